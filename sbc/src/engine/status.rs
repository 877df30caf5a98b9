//! How things are, for a first look.

use std::net::IpAddr;
use std::time::Instant;

use super::Engine;
use crate::config::NetworkId;
use crate::media::{Fallback, NetworkPath};

/// How things are, beside what is counted.
#[derive(Clone, Debug, Default)]
pub struct StatusView {
    /// Calls that somebody has taken.
    pub up: u64,
    /// Calls that nobody has taken yet.
    pub ringing: u64,
    /// Calls that came in within the last minute and led somewhere.
    pub last_minute: u64,
    /// Flow pairs in the kernel.
    pub kernel: u64,
    /// Flow pairs in user space.
    pub user: u64,
    /// Those of them that are transcoded.
    pub transcoded: u64,
    /// How the media of each network is forwarded.
    pub paths: Vec<(NetworkId, NetworkPath)>,
    /// Addresses of networks that this host does not have now.
    pub gone: Vec<(NetworkId, IpAddr)>,
}

impl Engine {
    /// How things are.
    #[must_use]
    pub fn status(&self, now: Instant) -> StatusView {
        let mut status = StatusView {
            last_minute: self.lately.count(now),
            ..StatusView::default()
        };
        for (counted, count) in self.census.counts() {
            match counted.is_up {
                true => status.up += count,
                false => status.ringing += count,
            }
        }
        for (kind, count) in self.flows.census() {
            match kind.path {
                "kernel" => status.kernel += count,
                _ => status.user += count,
            }
            if kind.is_transcoded {
                status.transcoded += count;
            }
        }
        for (id, network) in (0..).map(NetworkId).zip(&self.config.networks) {
            let path = self.host.paths.get(&id).copied();
            let path = path.unwrap_or(NetworkPath::User(Fallback::Off));
            status.paths.push((id, path));
            let gone = network.addresses.iter().filter(|ip| self.host.lacks(**ip));
            status.gone.extend(gone.map(|ip| (id, *ip)));
        }
        status
    }
}
