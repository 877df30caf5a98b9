//! The map types are plain old data to aya.
#![expect(unsafe_code, reason = "a marker trait of aya's is unsafe to implement")]

use crate::abi::{Address, Beat, FlowConfig, Local, Near, NextHop, PairState, PlainFlow};
use crate::faults::Faults;
use crate::flight_abi::Ring;
use crate::shed_abi::{Host, Rate, SipKey};

// SAFETY: `repr(C)` of integers only, every byte pattern is valid, no padding (sizes are asserted in `abi`).
unsafe impl aya::Pod for Address {}
// SAFETY: as above.
unsafe impl aya::Pod for FlowConfig {}
// SAFETY: as above.
unsafe impl aya::Pod for PlainFlow {}
// SAFETY: as above.
unsafe impl aya::Pod for PairState {}
// SAFETY: as above.
unsafe impl aya::Pod for Faults {}
// SAFETY: as above.
unsafe impl aya::Pod for Local {}
// SAFETY: as above.
unsafe impl aya::Pod for NextHop {}
// SAFETY: as above.
unsafe impl aya::Pod for Near {}
// SAFETY: as above.
unsafe impl aya::Pod for Beat {}
// SAFETY: as above.
unsafe impl aya::Pod for SipKey {}
// SAFETY: as above.
unsafe impl aya::Pod for Host {}
// SAFETY: as above.
unsafe impl aya::Pod for Rate {}
// SAFETY: as above (sizes are asserted in `flight_abi`).
unsafe impl aya::Pod for Ring {}
