//! The flow table: which pair a socket belongs to, what the verdict says of a packet, and what is counted. No I/O here.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use sbc_ebpf::abi::MAX_EPOCH;
use sbc_ebpf::{Datagram, Drop, FlowConfig, FlowState, Kind, Payload, Send, admit, whither};

use crate::config::NetworkId;
use crate::media::{FlowPair, FlowReport, PairId, Slot, flow_configs, flow_count, must_relearn};

use super::backend::{Departure, Handler, SendFailure, SocketId};
use super::counters::Counters;
use super::reason::Reason;

/// The pairs of one worker.
pub(super) struct Relay {
    pairs: HashMap<PairId, usize>,
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
    /// By a socket's index.
    places: Box<[Option<Place>]>,
    ended: VecDeque<(PairId, FlowReport)>,
    counters: Arc<Counters>,
}

/// Where a socket's flow is.
#[derive(Clone, Copy, Debug)]
struct Place {
    entry: usize,
    side: Side,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    First,
    Second,
}

struct Entry {
    pair: FlowPair,
    slots: [Slot; 2],
    first: Flow,
    second: Flow,
    life: Life,
}

enum Life {
    Up,
    /// Its sockets are being closed; so many are left.
    Ending(u8),
}

/// What arrives at one side.
struct Flow {
    config: FlowConfig,
    state: Cell<FlowState>,
    socket: SocketId,
}

impl Relay {
    /// No pair yet; socket indices are below `capacity`.
    pub(super) fn new(capacity: usize, counters: Arc<Counters>) -> Relay {
        Relay {
            pairs: HashMap::new(),
            entries: Vec::new(),
            free: Vec::new(),
            places: vec![None; capacity].into(),
            ended: VecDeque::new(),
            counters,
        }
    }

    /// Whether the pair is installed and not being removed.
    pub(super) fn contains(&self, pair: PairId) -> bool {
        self.pairs.contains_key(&pair)
    }

    /// Begins to relay a pair, with the sockets of its two sides.
    pub(super) fn insert(&mut self, pair: &FlowPair, sockets: [SocketId; 2]) {
        let slots = [Slot { row: 0, epoch: 1 }; 2];
        let [first, second] = flow_configs(pair, slots, None);
        let [at_first, at_second] = sockets;
        let entry = Entry {
            pair: pair.clone(),
            slots,
            first: Flow::new(first, at_first),
            second: Flow::new(second, at_second),
            life: Life::Up,
        };
        let index = self.free.pop().unwrap_or(self.entries.len());
        if index == self.entries.len() {
            self.entries.push(None);
        }
        for (socket, side) in [(at_first, Side::First), (at_second, Side::Second)] {
            if let Some(place) = self.places.get_mut(usize::from(socket.index)) {
                *place = Some(Place { entry: index, side });
            }
        }
        if let Some(place) = self.entries.get_mut(index) {
            *place = Some(entry);
        }
        self.pairs.insert(pair.id, index);
    }

    /// What signalling has since named. Sockets stay as they are, their DSCP too. A pair that is not here is none of ours.
    pub(super) fn update(&mut self, pair: &FlowPair) {
        let index = self.pairs.get(&pair.id);
        let Some(entry) = index.and_then(|&index| self.entries.get_mut(index)?.as_mut()) else {
            return;
        };
        for ((slot, old), new) in entry
            .slots
            .iter_mut()
            .zip(&entry.pair.sides)
            .zip(&pair.sides)
        {
            if must_relearn(old, new) {
                slot.epoch = slot.epoch % MAX_EPOCH + 1;
            }
        }
        [entry.first.config, entry.second.config] = flow_configs(pair, entry.slots, None);
        entry.pair = pair.clone();
    }

    /// Ends a pair. Its sockets are to be closed; when both are, [`Relay::poll_ended`] has its report.
    pub(super) fn remove(&mut self, pair: PairId) -> Option<[SocketId; 2]> {
        let index = self.pairs.remove(&pair)?;
        let entry = self.entries.get_mut(index)?.as_mut()?;
        entry.life = Life::Ending(2);
        Some([entry.first.socket, entry.second.socket])
    }

    /// What a pair has done so far; nothing if it is not here.
    pub(super) fn report(&self, pair: PairId) -> Option<FlowReport> {
        let &index = self.pairs.get(&pair)?;
        Some(self.entries.get(index)?.as_ref()?.report())
    }

    /// A pair whose sockets are closed.
    pub(super) fn poll_ended(&mut self) -> Option<(PairId, FlowReport)> {
        self.ended.pop_front()
    }

    fn at(&mut self, socket: SocketId) -> Option<(&mut Entry, Side)> {
        let place = (*self.places.get(usize::from(socket.index))?)?;
        let entry = self.entries.get_mut(place.entry)?.as_mut()?;
        (entry.flow(place.side).socket == socket).then_some((entry, place.side))
    }

    /// The network of a socket.
    fn network(&mut self, socket: SocketId) -> Option<NetworkId> {
        let (entry, side) = self.at(socket)?;
        Some(NetworkId(entry.flow(side).config.network))
    }
}

impl Handler for Relay {
    fn packet(&mut self, socket: SocketId, from: SocketAddr, payload: &[u8]) -> Option<Departure> {
        let (entry, side) = self.at(socket)?;
        let (own, twin) = match side {
            Side::First => (&mut entry.first, &entry.second),
            Side::Second => (&mut entry.second, &entry.first),
        };
        let datagram = Datagram::received(from, payload);
        let network = NetworkId(own.config.network);
        let verdict = match entry.life {
            Life::Up => verdict(own, twin, &datagram),
            Life::Ending(_) => Err(Drop::NoFlow),
        };
        let (kind, send) = match verdict {
            Ok(admitted) => admitted,
            Err(reason) => {
                self.counters.dropped(network, Reason::Verdict(reason));
                return None;
            }
        };
        let bytes = payload.len() as u64;
        own.count(kind, &datagram.payload);
        let departure = Departure {
            socket: twin.socket,
            to: send.to(),
            account: network.0,
        };
        let out = NetworkId(own.config.twin_network);
        self.counters.relayed(network, out, bytes);
        Some(departure)
    }

    fn too_big(&mut self, socket: SocketId) {
        if let Some(network) = self.network(socket) {
            self.counters
                .dropped(network, Reason::Verdict(Drop::TooBig));
        }
    }

    fn send_failed(&mut self, account: u16, failure: SendFailure) {
        self.counters
            .dropped(NetworkId(account), Reason::Unsent(failure));
    }

    fn closed(&mut self, socket: SocketId) {
        let Some((entry, _)) = self.at(socket) else {
            return;
        };
        let Life::Ending(left) = &mut entry.life else {
            return;
        };
        *left = left.saturating_sub(1);
        let ended = (*left == 0).then(|| (entry.pair.id, entry.report()));
        let place = self
            .places
            .get_mut(usize::from(socket.index))
            .and_then(Option::take);
        if let (Some(ended), Some(place)) = (ended, place) {
            if let Some(entry) = self.entries.get_mut(place.entry) {
                *entry = None;
                self.free.push(place.entry);
            }
            self.ended.push_back(ended);
        }
    }

    fn broken(&mut self, socket: SocketId, error: &io::Error) {
        if let Some((entry, side)) = self.at(socket) {
            let local = match side {
                Side::First => entry.pair.sides[0].local,
                Side::Second => entry.pair.sides[1].local,
            };
            tracing::warn!(%local, %error, "a media socket receives no more");
        }
    }

    fn starved(&mut self) {
        self.counters.starved();
    }
}

impl Entry {
    fn flow(&self, side: Side) -> &Flow {
        match side {
            Side::First => &self.first,
            Side::Second => &self.second,
        }
    }

    fn report(&self) -> FlowReport {
        FlowReport {
            sides: [
                self.first.report(&self.pair.sides[0]),
                self.second.report(&self.pair.sides[1]),
            ],
        }
    }
}

impl Flow {
    fn new(config: FlowConfig, socket: SocketId) -> Flow {
        Flow {
            config,
            state: Cell::default(),
            socket,
        }
    }

    fn count(&self, kind: Kind, payload: &Payload) {
        let mut state = self.state.get();
        state.count(&self.config, kind, payload, 0);
        self.state.set(state);
    }

    fn report(&self, side: &crate::media::Side) -> crate::media::FlowCount {
        flow_count(&self.config, side, &FlowState::default(), &self.state.get())
    }
}

fn verdict(own: &Flow, twin: &Flow, datagram: &Datagram) -> Result<(Kind, Send), Drop> {
    let kind = admit(&own.config, &own.state, datagram)?;
    Ok((kind, whither(&own.config, &twin.state)?))
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::IpAddr;

    use crate::media::{Fallback, FlowCount, FlowKind, MediaStats, Path, Quality, Side, Traffic};

    use super::*;

    /// A pair between two IPv4 peers; payload type 0.
    pub(in super::super) fn pair(id: u64) -> FlowPair {
        let side = |network: u16| Side {
            named: Some(SocketAddr::from(([198, 51, 100, network as u8], 4000))),
            sources: [IpAddr::from([203, 0, 113, network as u8]).into()]
                .into_iter()
                .collect(),
            payload_types: 1,
            ..Side::new(
                NetworkId(network),
                SocketAddr::from(([192, 0, 2, network as u8], 20_000 + 2 * id as u16)),
            )
        };
        FlowPair {
            id: PairId(id),
            kind: FlowKind::Rtp,
            sides: [side(0), side(1)],
            path: Path::User(Fallback::Off),
            companion: None,
        }
    }

    /// 20 ms of PCMU.
    pub(in super::super) fn rtp(payload_type: u8) -> [u8; 172] {
        let mut packet = [0; 172];
        packet[..2].copy_from_slice(&[0x80, payload_type]);
        packet
    }

    const FIRST: SocketId = SocketId {
        index: 4,
        generation: 9,
    };
    const SECOND: SocketId = SocketId {
        index: 7,
        generation: 2,
    };
    const NAMED: &str = "198.51.100.0:4000";
    const OTHER: &str = "203.0.113.0:5555";

    fn relay() -> Relay {
        let mut relay = Relay::new(8, Arc::new(Counters::new(2)));
        relay.insert(&pair(1), [FIRST, SECOND]);
        relay
    }

    /// Where a packet that came to a socket goes.
    fn goes(relay: &mut Relay, socket: SocketId, from: &str) -> Option<(SocketId, String)> {
        let departure = relay.packet(socket, from.parse().unwrap(), &rtp(0))?;
        Some((departure.socket, departure.to.to_string()))
    }

    fn stats(relay: &Relay) -> MediaStats {
        let mut stats = MediaStats::default();
        relay.counters.add_to(&mut stats);
        stats
    }

    #[test]
    fn answers_follow_the_latch() {
        let mut relay = relay();
        let peer = Some((SECOND, "198.51.100.1:4000".to_owned()));
        assert_eq!(goes(&mut relay, FIRST, OTHER), peer);
        let back = goes(&mut relay, SECOND, "198.51.100.1:4000");
        assert_eq!(back, Some((FIRST, OTHER.to_owned())));
        assert_eq!(goes(&mut relay, FIRST, NAMED), peer);
        assert_eq!(goes(&mut relay, FIRST, OTHER), None);
        let back = goes(&mut relay, SECOND, "198.51.100.1:4000");
        assert_eq!(back, Some((FIRST, NAMED.to_owned())));
        let stats = stats(&relay);
        let first = &stats.networks[&NetworkId(0)];
        assert_eq!(
            first.received,
            Traffic {
                packets: 2,
                bytes: 344
            }
        );
        assert_eq!(
            first.sent,
            Traffic {
                packets: 2,
                bytes: 344
            }
        );
        assert_eq!(first.dropped, [("wrong-source", 1)].into());
    }

    #[test]
    fn a_packet_that_has_no_flow_goes_nowhere() {
        let mut relay = relay();
        // Another index, another generation, an index beyond the table.
        for (index, generation) in [(3, 0), (4, 8), (4, 10), (7, 9), (8, 0), (u16::MAX, 0)] {
            assert_eq!(
                goes(&mut relay, SocketId { index, generation }, NAMED),
                None
            );
        }
        assert_eq!(
            stats(&relay).networks[&NetworkId(0)].received,
            Traffic::default()
        );
    }

    #[test]
    fn an_update_keeps_a_latch_unless_the_sources_change() {
        let mut relay = relay();
        goes(&mut relay, FIRST, OTHER);
        let mut update = pair(1);
        update.sides[0].payload_types = 3;
        relay.update(&update);
        // Still the latched one's: another port of the same source is a stranger.
        assert_eq!(goes(&mut relay, FIRST, "203.0.113.0:6666"), None);
        update.sides[0]
            .sources
            .push(IpAddr::from([203, 0, 113, 77]).into());
        relay.update(&update);
        let peer = Some((SECOND, "198.51.100.1:4000".to_owned()));
        assert_eq!(goes(&mut relay, FIRST, "203.0.113.77:6666"), peer);
        assert_eq!(goes(&mut relay, FIRST, OTHER), None);
    }

    #[test]
    fn epochs_come_round() {
        let mut relay = relay();
        let mut update = pair(1);
        for round in 0..=MAX_EPOCH {
            update.sides[0].sources = [IpAddr::from([203, 0, 113, (round % 2) as u8 + 1]).into()]
                .into_iter()
                .collect();
            relay.update(&update);
            let (entry, _) = relay.at(FIRST).unwrap();
            assert!((1..=MAX_EPOCH).contains(&entry.slots[0].epoch));
            assert_eq!(entry.second.config.twin_latch, entry.first.config.latch);
            assert_eq!(entry.slots[1].epoch, 1);
        }
    }

    #[test]
    fn a_pair_ends_when_both_its_sockets_are_closed() {
        let mut relay = relay();
        goes(&mut relay, FIRST, NAMED);
        assert_eq!(relay.remove(PairId(1)), Some([FIRST, SECOND]));
        assert_eq!(relay.remove(PairId(1)), None);
        assert_eq!(goes(&mut relay, FIRST, NAMED), None);
        relay.closed(FIRST);
        assert_eq!(relay.poll_ended(), None);
        // Nobody is ended by a socket that is not his.
        relay.closed(SocketId {
            index: 7,
            generation: 1,
        });
        assert_eq!(relay.poll_ended(), None);
        relay.closed(SECOND);
        let (pair, report) = relay.poll_ended().unwrap();
        assert_eq!(pair, PairId(1));
        let latched = Some(NAMED.parse().unwrap());
        assert_eq!(
            report.sides[0],
            FlowCount {
                packets: 1,
                bytes: 172,
                latched,
                quality: Quality::default()
            }
        );
        assert_eq!(report.sides[1], FlowCount::default());
        assert_eq!(relay.poll_ended(), None);
        assert_eq!(
            stats(&relay).networks[&NetworkId(0)].dropped,
            [("no-flow", 1)].into()
        );
    }

    #[test]
    fn what_a_backend_could_not_do_is_counted() {
        let mut relay = relay();
        relay.too_big(FIRST);
        relay.send_failed(0, SendFailure::Overload);
        relay.send_failed(0, SendFailure::Refused);
        relay.starved();
        let expected = [("too-big", 1), ("overload", 1), ("send-failed", 1)].into();
        assert_eq!(stats(&relay).networks[&NetworkId(0)].dropped, expected);
        assert_eq!(relay.counters.times_starved(), 1);
    }
}
