//! A pair in the flow table, and what arrives at each of its sides.

use std::cell::Cell;
use std::time::Duration;

use sbc_ebpf::{FlowConfig, FlowState, Kind, Payload, Stream};

use crate::media::transcode::{Pipe, TranscodeStats};
use crate::media::{
    FlowCount, FlowKind, FlowPair, FlowReport, Slot, Voice, flow_count, lost_at_end,
};

use super::super::backend::SocketId;
use super::Clock;

/// One side of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    First,
    Second,
}

impl Side {
    /// This side's of two.
    pub(super) fn of<T>(self, [first, second]: &[T; 2]) -> &T {
        match self {
            Side::First => first,
            Side::Second => second,
        }
    }

    /// 0 or 1.
    pub(super) fn index(self) -> usize {
        match self {
            Side::First => 0,
            Side::Second => 1,
        }
    }

    /// The one that it talks to.
    pub(super) fn other(self) -> Side {
        match self {
            Side::First => Side::Second,
            Side::Second => Side::First,
        }
    }
}

/// A pair.
pub(super) struct Entry {
    pub(super) pair: FlowPair,
    pub(super) slots: [Slot; 2],
    pub(super) flows: [Flow; 2],
    pub(super) companion: Companion,
    pub(super) life: Life,
    /// The place of the pair in whose pipe ends what comes in here: its own, or that of the RTP that this is the RTCP of. `None`: it is
    /// forwarded as it is.
    pub(super) ends_in: Option<usize>,
    /// Where it is transcoded.
    pub(super) voiced: Option<Box<Voiced>>,
}

/// What transcodes a pair.
pub(super) struct Voiced {
    pub(super) pipe: Pipe,
    pub(super) voices: [Voice; 2],
    /// It has said BYE: whatever comes begins anew.
    pub(super) has_parted: bool,
    /// What the worker's counters have of each side.
    pub(super) counted: [Mended; 2],
}

/// What a pipe counts that becomes a metric.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mended {
    pub(super) concealed: u64,
    pub(super) late: u64,
}

pub(super) enum Life {
    Up,
    /// Its sockets are being closed; so many are left.
    Ending(usize),
}

/// The pair that RTCP shares sockets or a pipe with: where one side multiplexes, or the streams are transcoded; its place in the table, if it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Companion {
    /// Nobody multiplexes and nothing is transcoded, or both sides multiplex.
    None,
    /// This one is RTP, and that its RTCP.
    Rtcp(Option<usize>),
    /// The other way round.
    Rtp(Option<usize>),
}

/// What arrives at one side.
pub(super) struct Flow {
    pub(super) config: FlowConfig,
    pub(super) state: Cell<FlowState>,
    /// `None`: the companion's.
    pub(super) socket: Option<SocketId>,
}

impl Entry {
    /// Not configured yet.
    pub(super) fn new(pair: &FlowPair, sockets: [Option<SocketId>; 2]) -> Entry {
        Entry {
            pair: pair.clone(),
            slots: [Slot { row: 0, epoch: 1 }; 2],
            flows: sockets.map(|socket| Flow {
                config: FlowConfig::default(),
                state: Cell::default(),
                socket,
            }),
            companion: Companion::None,
            life: Life::Up,
            ends_in: None,
            voiced: None,
        }
    }

    /// What it has done by now.
    pub(super) fn report(&self, clock: Clock) -> FlowReport {
        let none = FlowState::default();
        let [first, second] = [Side::First, Side::Second].map(|side| {
            let flow = side.of(&self.flows);
            let state = flow.state.get();
            let count = flow_count(&flow.config, side.of(&self.pair.sides), &none, &state);
            let silent = || Duration::from_nanos(clock().saturating_sub(state.last_seen));
            FlowCount {
                silent: (count.packets > 0).then(silent),
                ..count
            }
        });
        FlowReport {
            sides: [first, second],
        }
    }

    /// What it has done, now that nothing comes any more.
    pub(super) fn last_report(&self, clock: Clock) -> FlowReport {
        let mut report = self.report(clock);
        for (count, flow) in report.sides.iter_mut().zip(&self.flows) {
            count.silent = None;
            count.quality.lost += lost_at_end(&flow.config, &flow.state.get());
        }
        report
    }
}

impl Voiced {
    pub(super) fn new(voices: [Voice; 2], seed: u64, epoch: u64) -> Voiced {
        let mut pipe = Pipe::new(voices, seed);
        pipe.set_epoch(epoch);
        Voiced {
            pipe,
            voices,
            has_parted: false,
            counted: Default::default(),
        }
    }
}

impl Mended {
    pub(super) fn of(stats: &TranscodeStats) -> Mended {
        Mended {
            concealed: stats.concealed,
            late: stats.late,
        }
    }
}

impl Companion {
    pub(super) fn of(pair: &FlowPair, place: Option<usize>) -> Companion {
        match (pair.companion, pair.kind) {
            (Some(_), FlowKind::Rtp) => Companion::Rtcp(place),
            (Some(_), FlowKind::Rtcp) => Companion::Rtp(place),
            _ => Companion::None,
        }
    }
}

impl Flow {
    /// Notes a packet that goes on: as the XDP program does, with a clock of its own.
    pub(super) fn count(&self, kind: Kind, payload: &Payload, clock: Clock) {
        let mut state = self.state.get();
        state.packets = state.packets.wrapping_add(1);
        state.bytes = state.bytes.wrapping_add(payload.length.into());
        state.last_seen = clock();
        state
            .stream
            .follow(&self.config, kind, payload, clock, Stream::odd);
        self.state.set(state);
    }
}
