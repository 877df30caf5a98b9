//! What the box costs: instructions, nanoseconds, processor seconds. `cargo xtask bench` runs all of it.

pub mod instructions;
pub mod load;
pub mod relay;
pub mod sip;
pub mod table;
pub mod xdp;
