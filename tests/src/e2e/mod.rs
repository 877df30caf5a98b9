//! The box end to end: real network namespaces, real packets, real SIP clients, the daemon as a process.
//!
//! A test takes its turn with [`Lab::new`], starts a [`Daemon`] at the edge and clients on both sides, and judges by what
//! is outside the box as well: recordings, the kernel's own counters. Nothing here outlives its guard.
//! A test that the machine cannot run says so through [`skipped`].

mod background;
mod baresip;
mod bpffs;
mod browser;
mod config;
mod conntrack;
mod crowd;
mod daemon;
mod delay;
mod desk;
mod ear;
mod family;
pub mod home;
mod kamailio;
mod kernel;
mod keypad;
mod lab;
mod linphone;
mod loopback;
mod machine;
mod metrics;
mod need;
mod plain;
mod process;
mod scenario;
mod sipp;
pub mod speaker;
mod talker;
mod tap;
mod tone;
mod weather;
mod wire;

pub use baresip::{Account, Baresip, Manner, Phone};
pub use bpffs::Bpffs;
pub use browser::Browser;
pub use config::{FastPath, lab_config, lab_config_over, lab_networks};
pub use crowd::{Crowd, Party};
pub use daemon::{Daemon, RunAs, binary, http};
pub use delay::{Delay, Passage};
pub use desk::Desk;
pub use ear::{Ear, Mark};
pub use family::{CARRIER, EDGE_LEFT, EDGE_RIGHT, Family, PHONE, host};
pub use kamailio::{Accounts, Carrier, Kamailio};
pub use kernel::{BpfStats, NoBpfStats, Udp, bpf_run_count, cpu_time, resident_bytes};
pub use keypad::Keypads;
pub use lab::{Lab, Namespace, Scratch, Turn};
pub use linphone::Linphone;
pub use loopback::{End, Loopback, LoopbackCall};
pub use machine::Machine;
pub use metrics::Metrics;
pub use need::{Need, skip, skipped};
pub use process::Process;
pub use scenario::Scenario;
pub use sipp::{Load, Sipp, SippReport};
pub use talker::{Mouth, Talker};
pub use tone::{Heard, analyse};
pub use weather::{Cable, Weather};
pub use wire::{Sip, Wire};
