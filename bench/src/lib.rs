//! What the box costs: instructions, nanoseconds, processor seconds. `cargo xtask bench` runs all of it.

pub mod agent;
pub mod between;
pub mod calls;
pub mod capacity;
pub mod codec;
pub mod contender;
pub mod cpu_time;
pub mod drops;
pub mod engine_run;
pub mod install;
pub mod instructions;
pub mod latency;
pub mod load;
pub mod media_cpu;
pub mod media_lab;
pub mod records;
pub mod registrar;
pub mod relay;
pub mod routes;
pub mod rtpengine;
pub mod sip;
pub mod table;
pub mod talk;
pub mod traffic;
pub mod transcode;
pub mod xdp;
