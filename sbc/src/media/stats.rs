//! What was forwarded and dropped: plain data, read by the metrics shell at scrape.

use std::collections::BTreeMap;

use crate::config::NetworkId;

/// Totals since the start, of one path (kernel or user); flows that have ended are in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaStats {
    /// By network.
    pub networks: BTreeMap<NetworkId, NetworkMedia>,
}

/// One network's totals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkMedia {
    /// Came in and was forwarded.
    pub received: Traffic,
    /// Left.
    pub sent: Traffic,
    /// Came in and was dropped, by the label of its reason (`sbc_ebpf`'s `Drop`).
    pub dropped: BTreeMap<&'static str, u64>,
}

/// Packets and bytes of UDP payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes of UDP payload.
    pub bytes: u64,
}
