//! End to end: the box as a process among real clients in network namespaces, as root.

mod bad_input;
mod firewall;
mod first_call;
mod flows;
mod harness;
mod load;
mod lookups;
mod registered;
mod shedding;
mod silence;
mod start;
mod support;
