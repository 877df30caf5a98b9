//! End to end: the box as a process among real clients in network namespaces, as root.

mod bad_input;
mod first_call;
mod harness;
mod load;
mod registered;
mod silence;
mod start;
mod support;
