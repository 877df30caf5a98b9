//! How things are, for a first look.

use std::net::IpAddr;
use std::time::Instant;

use super::Engine;
use crate::call::CallState;
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
        for (_, call) in self.calls(None) {
            match call.progress() {
                CallState::Ringing => status.ringing += 1,
                CallState::Up | CallState::Held => status.up += 1,
                CallState::Ending => {}
            }
        }
        for flow in self.flows.values() {
            match flow.path {
                "kernel" => status.kernel += 1,
                _ => status.user += 1,
            }
            status.transcoded += u64::from(flow.codecs.is_some());
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
