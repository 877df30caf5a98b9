//! End to end: the box as a process among real clients in network namespaces, as root.

mod bad_input;
mod carrier;
mod fallback;
mod firewall;
mod first_call;
mod flows;
mod forged;
mod harness;
mod linphone;
mod load;
mod lookups;
mod many_flows;
mod media_from;
mod nat;
mod privileges;
mod registered;
mod reload;
mod scenarios;
mod shedding;
mod silence;
mod spray;
mod start;
mod street;
mod support;
mod taken;
mod turns;
