//! What to do with media: flows and their life, the port pool, the media side of a call. L1: imports `config`, `sdp` and
//! the engine's inputs; no socket here.

mod call;
mod described;
mod direct;
mod exchange;
mod explained;
mod faults;
mod findings;
mod flow;
mod flows;
mod keys;
mod leg;
mod mos;
mod ports;
mod refused;
mod round_trip;
mod spoken;
mod stats;
mod told;
pub mod transcode;
mod verdict;
mod voices;
mod wanted;

#[cfg(test)]
mod tests;

pub use call::{AfterFailure, CallMedia, MAX_LEGS};
pub use described::MAX_STREAMS;
pub use direct::{Anchored, Direct};
pub use explained::{Choice, StreamSide, StreamView, StreamWay};
pub use faults::{Faults, Unsent};
pub use findings::{Cause, Facts, Finding, Hears, LegFacts, Unreachable, findings};
pub use flow::*;
pub use leg::{End, LegId};
pub use mos::{Speech, mos};
pub use ports::{Exhausted, PortCommand, PortPair, Ports, REST, REST_TAKEN, Reserve};
pub use refused::{Misfit, Refused, Unsupported};
pub use round_trip::{RoundTrip, RoundTrips, one_way};
pub use stats::{LegMedia, MediaStats, NetworkMedia, NetworkVoice, Traffic, VoiceStats};
pub use told::plainly;
pub use verdict::{
    Slot, TTL, candidates, flow_configs, flow_count, latched, lost_at_end, must_relearn,
};
pub use voices::Transcoding;
