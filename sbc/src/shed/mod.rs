//! Whose SIP is dropped before it is read: bans, and who is known and therefore served first.
//!
//! [`Sources`] decides: who is banned until when, by whom and why; which sources are trunks or registered phones. [`Gate`] is what user space
//! enforces it with, by the very function that the kernel program has ([`sbc_ebpf::shed`]); the kernel's maps are kept from the same [`Action`]s.
//!
//! A ban drops what comes from a source to the addresses and ports where SIP is bound, and nothing else: who bans the address that he sits at keeps
//! his shell. The media of a call that is up goes on until the call is gone.
//!
//! L1: imports [`crate::config`] and the kernel program's crate.

mod ban;
mod challenges;
mod gate;
mod io;
mod records;
mod saved;
mod slots;
mod sources;
#[cfg(test)]
mod tests;

pub use ban::{Ban, BanError, Banned, By, Offence, UnbanError, Warning};
pub use gate::Gate;
pub use io::{Action, End, Input};
pub use saved::{Restored, Saved, SavedBan, SavedRecord};
pub use sources::Sources;

use std::time::Duration;

use sbc_ebpf::shed_abi;

use crate::config::Limits;

/// A ban does not last longer.
pub const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// For so many seconds' worth a source may be ahead of its rate.
const BURST_SECONDS: u32 = 4;

/// A network's limits as buckets, by [`shed_abi::Who`], for a clock of so many units a second.
#[must_use]
pub fn rates(limits: &Limits, units_per_second: u64) -> [shed_abi::Rate; shed_abi::WHO] {
    let rate = |per_second: u32| {
        let burst = per_second.saturating_mul(BURST_SECONDS);
        shed_abi::Rate::new(per_second, burst, units_per_second)
    };
    [
        rate(limits.requests_per_second),
        rate(limits.strangers()),
        rate(limits.known()),
    ]
}
