//! Pairs and companions that come, change and go in any order: nothing leaves from a socket that is not a pair's, and nothing is left over.

use std::collections::HashSet;

use proptest::prelude::*;

use crate::media::{FlowKind, Side};

use super::tests::{pair, transcoded};
use super::*;

/// Streams; each may have an RTP and an RTCP pair.
const STREAMS: u16 = 3;

#[derive(Clone, Debug)]
enum Step {
    /// Installs or updates a pair, which of its sides multiplex, and whether it is transcoded.
    Pair(u16, bool, [bool; 2], bool),
    Remove(u16, bool),
    /// The sockets of those removed first are closed.
    Close,
    /// To that index of a socket, from a peer that is named or not, RTP, RTCP or neither.
    Packet(u16, bool, u8),
    /// The time comes that a pipe waits for.
    Time,
}

fn step() -> impl Strategy<Value = Step> {
    let stream = 0..STREAMS;
    prop_oneof![
        (
            stream.clone(),
            any::<bool>(),
            any::<[bool; 2]>(),
            any::<bool>()
        )
            .prop_map(|(stream, is_rtcp, sides, voiced)| Step::Pair(
                stream, is_rtcp, sides, voiced
            )),
        (stream, any::<bool>()).prop_map(|(stream, is_rtcp)| Step::Remove(stream, is_rtcp)),
        Just(Step::Close),
        Just(Step::Time),
        (0..STREAMS * 4, any::<bool>(), 0..3u8)
            .prop_map(|(index, named, kind)| Step::Packet(index, named, kind)),
    ]
}

/// The relay, and the sockets as a backend would have them.
struct Bench {
    relay: Relay,
    /// By stream, then RTP and RTCP: the name of the pair that is up.
    up: [[Option<PairId>; 2]; STREAMS as usize],
    open: HashSet<SocketId>,
    closing: VecDeque<SocketId>,
    generation: u32,
    installed: usize,
    ended: usize,
}

impl Bench {
    fn pair(&mut self, stream: u16, is_rtcp: bool, multiplexed: [bool; 2], is_voiced: bool) {
        let place = usize::from(stream);
        let [rtp, rtcp] = self.up[place];
        let own = if is_rtcp { rtcp } else { rtp };
        self.generation += 1;
        let mut pair: FlowPair = pair(u64::from(stream));
        pair.id = own.unwrap_or(PairId(self.generation.into()));
        if is_rtcp {
            pair.kind = FlowKind::Rtcp;
        } else if is_voiced {
            pair = transcoded(pair);
        }
        let [first, second] = multiplexed;
        let sides: &mut [Side; 2] = &mut pair.sides;
        (sides[0].multiplexed, sides[1].multiplexed) = (first, second);
        // One that is not there is a name like any other.
        let other = if is_rtcp { rtp } else { rtcp };
        let shared = first != second || (is_voiced && !first);
        pair.companion = shared.then(|| other.unwrap_or(PairId(u64::MAX)));
        if let Some(own) = own {
            if !is_rtcp && !is_voiced {
                self.relay.part(own);
                self.drain();
            }
            self.relay.update(&pair);
            return;
        }
        let leans = is_rtcp && pair.companion.is_some();
        let base = stream * 4 + 2 * u16::from(is_rtcp);
        let sockets = [0, 1].map(|side| {
            let id = SocketId {
                index: base + side,
                generation: self.generation,
            };
            (!(leans && multiplexed[usize::from(side)])).then_some(id)
        });
        // A backend gives an index out again when its socket is closed.
        if self.closing.iter().any(|id| id.index / 2 == base / 2) {
            return;
        }
        self.open.extend(sockets.iter().flatten());
        self.relay.insert(&pair, sockets);
        self.up[place][usize::from(is_rtcp)] = Some(pair.id);
        self.installed += 1;
    }

    fn remove(&mut self, stream: u16, is_rtcp: bool) {
        let up = self.up[usize::from(stream)][usize::from(is_rtcp)].take();
        if let Some(pair) = up {
            self.relay.part(pair);
            self.drain();
        }
        let sockets = up.map(|pair| self.relay.remove(pair).unwrap());
        for socket in sockets.into_iter().flatten().flatten() {
            self.closing.push_back(socket);
        }
    }

    /// What pipes have made.
    fn drain(&mut self) {
        while let Some((departure, _)) = self.relay.made() {
            assert!(self.open.contains(&departure.socket));
            assert!(!self.closing.contains(&departure.socket));
        }
    }

    fn time(&mut self) {
        if let Some(due) = self.relay.poll_timeout() {
            assert!(self.relay.handle_timeout(due));
            self.drain();
        }
    }

    fn close(&mut self) {
        if let Some(socket) = self.closing.pop_front() {
            self.open.remove(&socket);
            self.relay.closed(socket);
            self.ended += usize::from(self.relay.poll_ended().is_some());
        }
    }

    fn packet(&mut self, index: u16, named: bool, kind: u8) {
        let Some(&socket) = self.open.iter().find(|socket| socket.index == index) else {
            return;
        };
        let network = index % 2;
        let port = if named { 4000 } else { 4001 };
        let from = SocketAddr::from(([198, 51, 100, network as u8], port));
        let payload: &[u8] = match kind {
            0 => &[0x80, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1],
            1 => &[0x80, 201, 0, 1, 0, 0, 0, 1],
            _ => b"",
        };
        if let Some(departure) = self.relay.packet(socket, from, payload) {
            assert!(self.open.contains(&departure.socket));
            assert!(!self.closing.contains(&departure.socket));
            // To the other side's network, of the same stream.
            assert_ne!(departure.socket.index % 2, network);
            assert_eq!(departure.socket.index / 4, index / 4);
        } else {
            self.drain();
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_left_over(steps in proptest::collection::vec(step(), 0..80)) {
        let counters = Arc::new(Counters::new(2));
        let mut bench = Bench {
            relay: Relay::new(usize::from(STREAMS) * 4, counters, || 0, 7, 0),
            up: Default::default(),
            open: HashSet::new(),
            closing: VecDeque::new(),
            generation: 0,
            installed: 0,
            ended: 0,
        };
        for step in steps {
            match step {
                Step::Pair(stream, is_rtcp, sides, voiced) => {
                    bench.pair(stream, is_rtcp, sides, voiced);
                }
                Step::Time => bench.time(),
                Step::Remove(stream, is_rtcp) => bench.remove(stream, is_rtcp),
                Step::Close => bench.close(),
                Step::Packet(index, named, kind) => bench.packet(index, named, kind),
            }
        }
        for stream in 0..STREAMS {
            bench.remove(stream, false);
            bench.remove(stream, true);
        }
        while !bench.closing.is_empty() {
            bench.close();
        }
        prop_assert_eq!(bench.ended, bench.installed);
        prop_assert_eq!((bench.relay.transcoded(), bench.relay.poll_timeout()), (0, None));
        prop_assert!(bench.relay.pairs.is_empty());
        prop_assert!(bench.relay.places.iter().all(Option::is_none));
        prop_assert!(bench.relay.entries.iter().all(Option::is_none));
        prop_assert_eq!(bench.relay.free.len(), bench.relay.entries.len());
    }
}
