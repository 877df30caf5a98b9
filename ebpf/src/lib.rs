//! What the XDP program and the daemon share: the map ABI, the verdict on a media packet, and the rewrite of its headers.
//!
//! `no_std`, without dependencies and without unsafe code: the same functions run in the loaded program, in the daemon's
//! user-space relay and in tests on the host. The program itself (`main.rs`) gives them access to packet memory and maps and performs
//! what they return.
//!
//! - [`abi`], [`address`], [`state_abi`], [`shed_abi`], [`flight_abi`]: what lies in the maps, byte for byte
//! - [`frame`]: access to packet bytes, and what a frame is; [`plain`]: the one that nearly all are
//! - [`verdict`]: may this packet pass, and where to; [`reason`]: why not
//! - [`quality`]: how well a stream of RTP comes in
//! - [`rewrite`]: the new headers
//! - [`round_trip`]: how long it is to a peer and back; [`undelivered`]: that a peer is not there
//! - [`shed`]: SIP that is dropped before anybody reads it
#![no_std]
#![cfg_attr(not(feature = "user"), forbid(unsafe_code))]
#![cfg_attr(feature = "user", deny(unsafe_code))]

#[cfg(feature = "user")]
extern crate std;

pub mod abi;
pub mod address;
#[cfg(feature = "user")]
pub mod batch;
pub mod faults;
pub mod flight_abi;
pub mod frame;
#[cfg(feature = "user")]
pub mod pinned;
pub mod plain;
#[cfg(feature = "user")]
mod pod;
pub mod quality;
pub mod reason;
pub mod rewrite;
pub mod round_trip;
pub mod shed;
pub mod shed_abi;
pub mod state_abi;
pub mod undelivered;
pub mod verdict;

pub use abi::{
    Address, FlowConfig, FlowState, Latched, Local, MAX_CANDIDATES, MAX_NETWORKS, Near, Port,
    Stream,
};
pub use faults::{Faults, is_listened_to};
pub use frame::{Frame, FrameMut, Media, Packet};
pub use plain::{Headers, PLAIN, Plain, PlainSend};
pub use reason::Drop;
pub use rewrite::{Plan, payload_offset, rewrite, rewrite_plain};
pub use round_trip::RoundTrip;
pub use undelivered::Undelivered;
pub use verdict::{
    Arrived, Datagram, Kind, Latch, Payload, Send, admit, is_settled, is_stranger, whither,
};
