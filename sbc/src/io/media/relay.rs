//! The flow table: which pair a socket belongs to, what the verdict says of a packet, and what is counted. No I/O here.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use sbc_ebpf::abi::MAX_EPOCH;
use sbc_ebpf::{Datagram, Drop, Kind, admit, whither};

use crate::config::NetworkId;
use crate::media::{FlowKind, FlowPair, FlowReport, PairId, Unsent, flow_configs, must_relearn};

use super::backend::{Account, Departure, Handler, SendFailure, SocketId};
use super::counters::Counters;
use super::reason::Reason;
use crate::io::flight::Recorder;
use entry::{Companion, Entry, Flow, Life, Side};
use flight::Fate;
use gather::Gathered;
use made::Made;
pub(super) use pipes::voices;
use timers::Timers;

mod entry;
mod flight;
mod gather;
mod keys;
mod made;
mod pipes;
#[cfg(test)]
mod property;
#[cfg(test)]
pub(super) mod tests;
mod timers;

/// Nanoseconds since whenever; never goes back.
pub(super) type Clock = fn() -> u64;

/// The pairs of one worker.
pub(super) struct Relay {
    pairs: BTreeMap<PairId, usize>,
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
    /// By a socket's index.
    places: Box<[Option<Place>]>,
    ended: VecDeque<(PairId, FlowReport)>,
    counters: Arc<Counters>,
    clock: Clock,
    /// What pipes have made and nobody has taken yet.
    made: Made,
    /// What pipes have left undone.
    gathered: Gathered,
    /// They may.
    gathers: bool,
    timers: Timers,
    /// Pairs that are transcoded.
    transcoded: usize,
    /// Keys that signalling is to be told of.
    keys: keys::Waiting,
    /// Of the next pipe.
    seed: u64,
    epoch: u64,
    /// Where the last packets are kept.
    recorder: Option<Recorder>,
    /// Pairs whose payload is recorded.
    tapped: flight::Tapped,
}

/// Where a socket's flow is.
#[derive(Clone, Copy, Debug)]
struct Place {
    entry: usize,
    side: Side,
}

/// The way of a packet that was let in.
struct Way {
    departure: Departure,
    kind: Kind,
    out: NetworkId,
}

impl Relay {
    /// No pair yet; socket indices are below `capacity`. Out of the seed come SSRCs and first sequence numbers; `epoch` is the NTP time
    /// (RFC 3550 4) at which the clock was zero.
    pub(super) fn new(
        capacity: usize,
        counters: Arc<Counters>,
        clock: Clock,
        seed: u64,
        epoch: u64,
    ) -> Relay {
        Relay {
            pairs: BTreeMap::new(),
            entries: Vec::new(),
            free: Vec::new(),
            places: vec![None; capacity].into(),
            ended: VecDeque::new(),
            counters,
            clock,
            made: Made::default(),
            gathered: Gathered::new(),
            gathers: false,
            timers: Timers::default(),
            transcoded: 0,
            keys: keys::Waiting::default(),
            seed,
            epoch,
            recorder: None,
            tapped: flight::Tapped::default(),
        }
    }

    /// From now on frames of G.722 may wait for each other, until [`Relay::work_off`] is asked; whether this processor has anything to gain by that.
    pub(super) fn begin_to_gather(&mut self) -> bool {
        self.gathers = self.gathered.is_worthwhile();
        self.gathers
    }

    /// Whether the pair is installed and not being removed.
    pub(super) fn contains(&self, pair: PairId) -> bool {
        self.pairs.contains_key(&pair)
    }

    /// Begins to relay a pair, with the sockets of its two sides; none for a side whose RTCP comes and goes by the companion's.
    pub(super) fn insert(&mut self, pair: &FlowPair, sockets: [Option<SocketId>; 2]) {
        let index = self.free.pop().unwrap_or(self.entries.len());
        if index == self.entries.len() {
            self.entries.push(None);
        }
        for (socket, side) in sockets.into_iter().zip([Side::First, Side::Second]) {
            let place = socket.and_then(|id| self.places.get_mut(usize::from(id.index)));
            if let Some(place) = place {
                *place = Some(Place { entry: index, side });
            }
        }
        if let Some(place) = self.entries.get_mut(index) {
            let mut entry = Entry::new(pair, sockets);
            entry.tape = self.recorder.as_ref().and_then(Recorder::tape);
            *place = Some(entry);
        }
        self.pairs.insert(pair.id, index);
        self.tap_anew();
        self.voice(index);
        self.configure_with_companion(index);
    }

    /// What signalling has since named. A pair that is not here is none of ours. Comes back: the sockets that are to send with
    /// another DSCP from now on.
    pub(super) fn update(&mut self, pair: &FlowPair) -> [Option<(SocketId, u8)>; 2] {
        let Some(&index) = self.pairs.get(&pair.id) else {
            return [None; 2];
        };
        let Some(entry) = self.entries.get_mut(index).and_then(Option::as_mut) else {
            return [None; 2];
        };
        let sides = entry.pair.sides.iter().zip(&pair.sides);
        for (slot, (old, new)) in entry.slots.iter_mut().zip(sides) {
            if must_relearn(old, new) {
                slot.epoch = slot.epoch % MAX_EPOCH + 1;
            }
        }
        let marks = [Side::First, Side::Second].map(|side| {
            let dscp = side.of(&pair.sides).dscp;
            let is_new = side.of(&entry.pair.sides).dscp != dscp;
            let socket = side.of(&entry.flows).socket;
            socket.filter(|_| is_new).map(|socket| (socket, dscp))
        });
        let before = entry.pair.companion;
        entry.pair = pair.clone();
        self.voice(index);
        self.configure_with_companion(index);
        if let Some(before) = before.and_then(|before| self.pairs.get(&before).copied()) {
            self.configure(before);
        }
        marks
    }

    /// Ends a pair. Its sockets are to be closed; when all are, [`Relay::poll_ended`] has its report.
    pub(super) fn remove(&mut self, pair: PairId) -> Option<[Option<SocketId>; 2]> {
        let index = self.pairs.remove(&pair)?;
        self.silence(index);
        // Its companion goes on without it.
        self.configure_with_companion(index);
        let entry = self.entries.get_mut(index)?.as_mut()?;
        let sockets = entry.flows.each_ref().map(|flow| flow.socket);
        entry.life = Life::Ending(sockets.iter().flatten().count());
        Some(sockets)
    }

    /// What a pair has done so far; nothing if it is not here.
    pub(super) fn report(&self, pair: PairId) -> Option<FlowReport> {
        let &index = self.pairs.get(&pair)?;
        Some(self.entry(index)?.report(self.clock))
    }

    /// A pair whose sockets are closed.
    pub(super) fn poll_ended(&mut self) -> Option<(PairId, FlowReport)> {
        self.ended.pop_front()
    }

    fn entry(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index)?.as_ref()
    }

    fn configure_with_companion(&mut self, index: usize) {
        self.configure(index);
        let companion = self
            .entry(index)
            .and_then(|entry| self.index_of_companion(entry));
        if let Some(companion) = companion {
            self.configure(companion);
        }
    }

    /// Works out what the verdict needs, whenever the pair or its companion has changed.
    fn configure(&mut self, index: usize) {
        let Some(entry) = self.entry(index) else {
            return;
        };
        let link = self.index_of_companion(entry);
        let slots = link.and_then(|link| Some(self.entry(link)?.slots));
        let configs = flow_configs(&entry.pair, entry.slots, slots);
        let companion = Companion::of(&entry.pair, link);
        let is_voiced = |at: &usize| self.entry(*at).is_some_and(|entry| entry.voiced.is_some());
        let ends_in = match (entry.pair.kind, link) {
            (FlowKind::Rtcp, link) => link.filter(is_voiced),
            (FlowKind::Rtp | FlowKind::Opaque, _) => Some(index).filter(is_voiced),
        };
        if let Some(entry) = self.entries.get_mut(index).and_then(Option::as_mut) {
            for (flow, config) in entry.flows.iter_mut().zip(configs) {
                flow.config = config;
            }
            entry.companion = companion;
            entry.ends_in = ends_in;
        }
    }

    fn index_of_companion(&self, entry: &Entry) -> Option<usize> {
        self.pairs.get(&entry.pair.companion?).copied()
    }

    fn at(&self, socket: SocketId) -> Option<(&Entry, Side)> {
        let place = (*self.places.get(usize::from(socket.index))?)?;
        let entry = self.entry(place.entry)?;
        (place.side.of(&entry.flows).socket == Some(socket)).then_some((entry, place.side))
    }

    fn judge(&self, entry: &Entry, side: Side, datagram: &Datagram) -> Result<Way, Drop> {
        if let Life::Ending(_) = entry.life {
            return Err(Drop::NoFlow);
        }
        let own = side.of(&entry.flows);
        let kind = admit(&own.config, &own.state, datagram)?;
        let (goes_as, twin) = self.onward(entry, side, kind).ok_or(Drop::NoPeer)?;
        let send = whither(&goes_as.config, &twin.state)?;
        Ok(Way {
            departure: Departure {
                socket: twin.socket.ok_or(Drop::NoPeer)?,
                to: send.to(),
                account: own.account(),
            },
            kind,
            out: NetworkId(goes_as.config.twin_network),
        })
    }

    /// RTCP goes through as it is: how long it is to its peers and back. Where it shares sockets with RTP that has it, whichever way it comes.
    fn time(&mut self, socket: SocketId, payload: &[u8]) {
        let Some(Some(place)) = self.places.get(usize::from(socket.index)).copied() else {
            return;
        };
        let linked = self
            .entry(place.entry)
            .and_then(|entry| match entry.companion {
                Companion::Rtp(link) => link.filter(|_| self.companion(entry, link).is_some()),
                Companion::None | Companion::Rtcp(_) => None,
            });
        let now = (self.clock)();
        let entry = self.entries.get_mut(linked.unwrap_or(place.entry));
        if let Some(entry) = entry.and_then(Option::as_mut) {
            let trips = entry.trips.get_or_insert_default();
            trips.follow(now, place.side.index(), payload);
        }
    }

    /// The companion, if it is (still) what is at that place and goes on.
    fn companion(&self, entry: &Entry, place: Option<usize>) -> Option<&Entry> {
        let companion = self.entry(place?)?;
        let is_it = Some(companion.pair.id) == entry.pair.companion;
        (is_it && matches!(companion.life, Life::Up)).then_some(companion)
    }

    /// The flow as which a packet goes on, and the one whose peer it goes to and whose socket it leaves from. `None`: it is
    /// the companion's, and that is not there.
    fn onward<'a>(
        &'a self,
        entry: &'a Entry,
        side: Side,
        kind: Kind,
    ) -> Option<(&'a Flow, &'a Flow)> {
        let other = side.other();
        let (own, twin) = (side.of(&entry.flows), other.of(&entry.flows));
        match entry.companion {
            // RTCP that came in at the port of RTP, to one that has a port for it.
            Companion::Rtcp(link) if kind == Kind::Rtcp => {
                let rtcp = self.companion(entry, link)?;
                Some((side.of(&rtcp.flows), other.of(&rtcp.flows)))
            }
            // The other way round.
            Companion::Rtp(link) if other.of(&entry.pair.sides).multiplexed => {
                let rtp = self.companion(entry, link)?;
                Some((own, other.of(&rtp.flows)))
            }
            _ => Some((own, twin)),
        }
    }

    /// What becomes of a packet, and where it goes. None: it is nobody's.
    fn decide(
        &mut self,
        socket: SocketId,
        from: SocketAddr,
        payload: &[u8],
    ) -> Option<(Fate, Option<Departure>)> {
        let (entry, side) = self.at(socket)?;
        let own = side.of(&entry.flows);
        let network = NetworkId(own.config.network);
        let datagram = Datagram::received(from, payload);
        if let Some(target) = self.pipe_of(entry) {
            let at = (*self.places.get(usize::from(socket.index))?)?;
            self.transcode(at, target, &datagram, payload);
            return Some((Fate::Taken, None));
        }
        match self.judge(entry, side, &datagram) {
            Ok(way) => {
                own.count(way.kind, &datagram, payload, self.clock);
                let bytes = payload.len() as u64;
                self.counters.relayed(network, way.out, bytes);
                if way.kind == Kind::Rtcp {
                    self.time(socket, payload);
                }
                Some((Fate::Sent, Some(way.departure)))
            }
            Err(reason) => {
                own.note(reason, &datagram);
                self.counters.dropped(network, Reason::Verdict(reason));
                Some((Fate::Dropped(reason), None))
            }
        }
    }
}

impl Handler for Relay {
    fn packet(&mut self, socket: SocketId, from: SocketAddr, payload: &[u8]) -> Option<Departure> {
        let (fate, departure) = self.decide(socket, from, payload)?;
        if self.recorder.is_some() {
            self.keep(socket, from, payload, fate);
            self.hear(socket, from, payload, departure.as_ref());
        }
        departure
    }

    fn made(&mut self) -> Option<(Departure, &[u8])> {
        loop {
            let packet = self.made.next()?;
            let Some((departure, network)) = self.way_out(&packet) else {
                continue;
            };
            let payload = self.made.bytes(&packet);
            self.counters.said(network, payload.len() as u64);
            self.hear_made(&packet, &departure, payload);
            return Some((departure, payload));
        }
    }

    fn too_big(&mut self, socket: SocketId) {
        if let Some((entry, side)) = self.at(socket) {
            let network = NetworkId(side.of(&entry.flows).config.network);
            self.counters
                .dropped(network, Reason::Verdict(Drop::TooBig));
        }
    }

    fn send_failed(&mut self, account: Account, failure: SendFailure) {
        let network = NetworkId(account.network);
        self.counters.dropped(network, Reason::Unsent(failure));
        let place = self.places.get(usize::from(account.socket)).copied();
        // A socket that has been closed since is nobody's, or another flow's of late: once in a long while it is blamed for a packet that was not its own.
        if let Some(place) = place.flatten()
            && let Some(entry) = self.entry(place.entry)
        {
            place.side.of(&entry.flows).note_unsent(match failure {
                SendFailure::Overload => Unsent::Overload,
                SendFailure::Refused => Unsent::Refused,
            });
        }
    }

    fn closed(&mut self, socket: SocketId) {
        if self.at(socket).is_none() {
            return;
        }
        let Some(place) = self.places.get_mut(usize::from(socket.index)) else {
            return;
        };
        let Some(Place { entry: index, .. }) = *place else {
            return;
        };
        let Some(entry) = self.entries.get_mut(index).and_then(Option::as_mut) else {
            return;
        };
        let Life::Ending(left) = &mut entry.life else {
            return;
        };
        *place = None;
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.ended
                .push_back((entry.pair.id, entry.last_report(self.clock)));
            if let Some(entry) = self.entries.get_mut(index) {
                *entry = None;
            }
            self.free.push(index);
        }
    }

    fn broken(&mut self, socket: SocketId, error: &io::Error) {
        if let Some((entry, side)) = self.at(socket) {
            let local = side.of(&entry.pair.sides).local;
            tracing::warn!(%local, %error, "a media socket receives no more");
        }
    }

    fn starved(&mut self) {
        self.counters.starved();
    }
}
