//! A pair in the flow table, and what arrives at each of its sides.

use std::cell::Cell;
use std::time::Duration;

use sbc_ebpf::{
    Arrived as _, Datagram, Drop, Faults as Noted, FlowConfig, FlowState, Kind, Stream,
    is_listened_to,
};

use crate::io::flight::{Tap, Tape};
use crate::media::transcode::{Pipe, TranscodeStats};
use crate::media::{
    Faults, FlowCount, FlowKind, FlowPair, FlowReport, RoundTrip, RoundTrips, Slot, Unsent, Voice,
    flow_count, lost_at_end,
};

use super::super::backend::{Account, SocketId};
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
    /// Once RTCP went through as it is; that of RTP that is here, too, comes to that.
    pub(super) trips: Option<Box<RoundTrips>>,
    /// What the pipe's reports say of the same.
    pub(super) told: [RoundTrip; 2],
    /// What came lately at each side, where the flight recorder is on.
    pub(super) tape: Option<Tape>,
    /// Where its payload is recorded.
    pub(super) tap: Option<Tap>,
}

/// What transcodes a pair.
pub(super) struct Voiced {
    pub(super) pipe: Pipe,
    pub(super) voices: [Voice; 2],
    /// When it has said BYE: whatever comes much later begins anew.
    pub(super) parted: Option<u64>,
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
    /// As the XDP program notes it; what is not sent here is beside it.
    pub(super) noted: Cell<Noted>,
    pub(super) unsent: Cell<(u32, Option<Unsent>)>,
    /// [`sound`] of a pipe that there was.
    pub(super) sound: Cell<[u32; 2]>,
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
                noted: Cell::default(),
                unsent: Cell::default(),
                sound: Cell::default(),
                socket,
            }),
            companion: Companion::None,
            life: Life::Up,
            ends_in: None,
            voiced: None,
            trips: None,
            told: Default::default(),
            tape: None,
            tap: None,
        }
    }

    /// What it has done by now.
    pub(super) fn report(&self, clock: Clock) -> FlowReport {
        let none = FlowState::default();
        let seen = self.trips.as_ref().map(|trips| trips.values());
        let seen = seen.unwrap_or_default();
        let [first, second] = [Side::First, Side::Second].map(|side| {
            let flow = side.of(&self.flows);
            let state = flow.state.get();
            let count = flow_count(&flow.config, side.of(&self.pair.sides), &none, &state);
            let silent = || Duration::from_nanos(clock().saturating_sub(state.last_seen));
            FlowCount {
                silent: (count.packets > 0).then(silent),
                faults: match self.pair.kind {
                    FlowKind::Rtp => self.faults(side),
                    FlowKind::Rtcp | FlowKind::Opaque => Faults::default(),
                },
                round_trip: side.of(&self.told).value().or(*side.of(&seen)),
                ..count
            }
        });
        FlowReport {
            sides: [first, second],
        }
    }

    /// Of what is, or was, transcoded all is listened to.
    fn faults(&self, side: Side) -> Faults {
        let flow = side.of(&self.flows);
        let noted = flow.faults();
        let stats = self.voiced.as_ref().map(|voiced| voiced.pipe.stats());
        let [heard, still] = match stats {
            Some(stats) => sound(side.of(&stats)),
            None => flow.sound.get(),
        };
        match heard {
            0 => noted,
            _ => Faults {
                listened: heard,
                quiet: still,
                ..noted
            },
        }
    }

    /// What it has done, now that nothing comes any more.
    pub(super) fn last_report(&self, clock: Clock) -> FlowReport {
        let mut report = self.report(clock);
        for (count, flow) in report.sides.iter_mut().zip(&self.flows) {
            count.quality.lost += lost_at_end(&flow.config, &flow.state.get());
        }
        report
    }
}

/// Frames that were decoded, and those in which nothing was to be heard.
pub(super) fn sound(stats: &TranscodeStats) -> [u32; 2] {
    [stats.heard, stats.still].map(|count| u32::try_from(count).unwrap_or(u32::MAX))
}

impl Voiced {
    pub(super) fn new(voices: [Voice; 2], seed: u64, epoch: u64) -> Voiced {
        let mut pipe = Pipe::new(voices, seed);
        pipe.set_epoch(epoch);
        Voiced {
            pipe,
            voices,
            parted: None,
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
    pub(super) fn count(&self, kind: Kind, datagram: &Datagram, payload: &[u8], clock: Clock) {
        let mut state = self.state.get();
        let head = &datagram.payload;
        state.packets = state.packets.wrapping_add(1);
        state.bytes = state.bytes.wrapping_add(head.length.into());
        state.last_seen = clock();
        state
            .stream
            .follow(&self.config, kind, head, clock, Stream::odd);
        self.state.set(state);
        if kind == Kind::Rtp && is_listened_to(head.sequence) {
            let mut noted = self.noted.get();
            noted.listen(payload, 0);
            self.noted.set(noted);
        }
    }

    /// Whose packets that go on are.
    pub(super) fn account(&self) -> Account {
        Account {
            network: self.config.network,
            // One that shares its companion's has none of its own, nor an index as large as that.
            socket: self.socket.map_or(u16::MAX, |socket| socket.index),
        }
    }

    /// Notes a packet that was dropped.
    pub(super) fn note(&self, reason: Drop, datagram: &Datagram) {
        let (source, payload) = (datagram.source(), &datagram.payload);
        let mut noted = self.noted.get();
        let from = (&source, datagram.source_port());
        noted.note(reason as u8, from, payload.second, payload.word2);
        self.noted.set(noted);
    }

    /// Notes one that was let in here and could not be sent to the other side.
    pub(super) fn note_unsent(&self, why: Unsent) {
        let (count, _) = self.unsent.get();
        self.unsent.set((count.saturating_add(1), Some(why)));
    }

    fn faults(&self) -> Faults {
        let (count, why) = self.unsent.get();
        let noted = Faults::of(&self.noted.get());
        Faults {
            unsent: noted.unsent.saturating_add(count),
            why_unsent: why.or(noted.why_unsent),
            ..noted
        }
    }
}
