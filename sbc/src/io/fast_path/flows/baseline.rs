//! What a row of the state table had counted before its flow: rows are given out again, and go on counting.

use sbc_ebpf::abi::{FlowState, Stream};

/// Of a [`FlowState`] what is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Baseline {
    packets: u64,
    bytes: u64,
    lost: u32,
    reordered: u32,
    duplicate: u32,
    ssrc_changes: u32,
}

impl Baseline {
    pub(super) fn of(state: &FlowState) -> Baseline {
        let stream = &state.stream;
        Baseline {
            packets: state.packets,
            bytes: state.bytes,
            lost: stream.lost,
            reordered: stream.reordered,
            duplicate: stream.duplicate,
            ssrc_changes: stream.ssrc_changes,
        }
    }

    /// As a state in which nothing has come yet.
    pub(super) fn state(&self) -> FlowState {
        FlowState {
            packets: self.packets,
            bytes: self.bytes,
            stream: Stream {
                lost: self.lost,
                reordered: self.reordered,
                duplicate: self.duplicate,
                ssrc_changes: self.ssrc_changes,
                ..Stream::default()
            },
            ..FlowState::default()
        }
    }
}
