//! What the XDP program and the daemon share: the map ABI, the verdict on a media packet, and the rewrite of its headers.
//!
//! `no_std`, without dependencies and without unsafe code: the same functions run in the loaded program, in the daemon's
//! user-space relay and in tests on the host. The program itself (`main.rs`) gives them access to packet memory and maps and performs
//! what they return.
//!
//! - [`abi`]: what lies in the maps, byte for byte
//! - [`frame`]: access to packet bytes, and what a frame is
//! - [`verdict`]: may this packet pass, and where to
//! - [`quality`]: how well a stream of RTP comes in
//! - [`rewrite`]: the new headers
//! - [`shed`]: SIP that is dropped before anybody reads it; [`shed_abi`]: its maps
#![no_std]
#![cfg_attr(not(feature = "user"), forbid(unsafe_code))]
#![cfg_attr(feature = "user", deny(unsafe_code))]

#[cfg(feature = "user")]
extern crate std;

pub mod abi;
#[cfg(feature = "user")]
pub mod batch;
pub mod frame;
#[cfg(feature = "user")]
mod pod;
pub mod quality;
pub mod rewrite;
pub mod shed;
pub mod shed_abi;
pub mod verdict;

pub use abi::{
    Address, FlowConfig, FlowState, Latched, Local, MAX_CANDIDATES, MAX_NETWORKS, Near, Port,
    Stream,
};
pub use frame::{Frame, FrameMut, Headers, Media, PLAIN, Packet, Plain};
pub use rewrite::{Plan, rewrite, rewrite_plain};
pub use verdict::{
    Arrived, Datagram, Drop, Kind, Latch, Payload, Send, admit, is_settled, whither, whither_v4,
};
