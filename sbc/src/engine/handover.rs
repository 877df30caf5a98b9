//! Ports that go from one flow pair to the next in user space, as when a leg changes its partner. A socket is closed some time after
//! it was asked for: who wants its port next is installed when the pair before has ended, and not sooner.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::media::{FlowCommand, FlowPair, PairId, Path};

/// Pairs whose sockets are being closed, and pairs that wait for that. There are no more of either than flows that calls had or have.
#[derive(Debug, Default)]
pub(super) struct Handover {
    leaving: HashMap<PairId, [SocketAddr; 2]>,
    /// Whose each port of those is.
    ports: HashMap<SocketAddr, PairId>,
    /// In the order in which they were asked for.
    waiting: Vec<FlowPair>,
    /// Keys for those, of all calls together at most [`MAX_KEYS`].
    keys: Vec<FlowCommand>,
}

/// Keys that wait for the few milliseconds that a socket takes to close.
const MAX_KEYS: usize = 256;

/// What becomes of a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// It goes to the shells.
    Now(FlowCommand),
    /// It goes later, or is part of what does.
    Later,
    /// The pair never came about, and is gone.
    Never(PairId),
}

/// The ports that the sockets of a pair have; none where it is the kernel's.
pub(super) fn ports_of(pair: &FlowPair) -> Option<Box<[SocketAddr; 2]>> {
    match pair.path {
        Path::Kernel => None,
        Path::User(_) => Some(Box::new(pair.sides.each_ref().map(|side| side.local))),
    }
}

impl Handover {
    /// A pair is being removed that has sockets at these ports.
    pub(super) fn leaves(&mut self, pair: PairId, ports: [SocketAddr; 2]) {
        self.ports.extend(ports.map(|port| (port, pair)));
        self.leaving.insert(pair, ports);
    }

    /// Whether a command may go now.
    pub(super) fn pass(&mut self, command: FlowCommand) -> Passage {
        let waits = |pair: PairId| self.waiting.iter().position(|waiting| waiting.id == pair);
        match command {
            FlowCommand::Install(pair) if self.must_wait(&pair, &self.waiting) => {
                self.waiting.push(Arc::unwrap_or_clone(pair));
                Passage::Later
            }
            FlowCommand::Update(pair) => match waits(pair.id) {
                Some(index) => {
                    if let Some(waiting) = self.waiting.get_mut(index) {
                        *waiting = Arc::unwrap_or_clone(pair);
                    }
                    Passage::Later
                }
                None => Passage::Now(FlowCommand::Update(pair)),
            },
            FlowCommand::Read(pair) if waits(pair).is_some() => Passage::Later,
            FlowCommand::Key(pair, ..) if waits(pair).is_some() => {
                if self.keys.len() < MAX_KEYS {
                    self.keys.push(command);
                }
                Passage::Later
            }
            FlowCommand::Remove(pair) => match waits(pair) {
                Some(index) => {
                    self.waiting.remove(index);
                    self.keys_of(pair);
                    Passage::Never(pair)
                }
                None => Passage::Now(FlowCommand::Remove(pair)),
            },
            command => Passage::Now(command),
        }
    }

    /// A pair has ended, or will not say so any more. Gives those that waited for nothing else, in their order.
    pub(super) fn ended(&mut self, pair: PairId) -> Vec<FlowPair> {
        let Some(ports) = self.leaving.remove(&pair) else {
            return Vec::new();
        };
        for port in ports {
            if self.ports.get(&port) == Some(&pair) {
                self.ports.remove(&port);
            }
        }
        let (mut go, mut stay) = (Vec::new(), Vec::new());
        for waiting in std::mem::take(&mut self.waiting) {
            if self.must_wait(&waiting, &stay) {
                stay.push(waiting);
            } else {
                go.push(waiting);
            }
        }
        self.waiting = stay;
        go
    }

    /// The keys for a pair that does not wait any more, in their order.
    pub(super) fn keys_of(&mut self, pair: PairId) -> Vec<FlowCommand> {
        let is_for = |key: &mut FlowCommand| matches!(key, FlowCommand::Key(of, ..) if *of == pair);
        self.keys.extract_if(.., is_for).collect()
    }

    /// RTCP also waits for the RTP that it leans on.
    fn must_wait(&self, pair: &FlowPair, before: &[FlowPair]) -> bool {
        let is_taken = |side: &crate::media::Side| self.ports.contains_key(&side.local);
        let path_is_user = matches!(pair.path, Path::User(_));
        let waits_too = |companion| before.iter().any(|waiting| waiting.id == companion);
        path_is_user && pair.sides.iter().any(is_taken) || pair.companion.is_some_and(waits_too)
    }

    /// Whether nobody leaves, and nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.leaving.is_empty()
            && self.ports.is_empty()
            && self.waiting.is_empty()
            && self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NetworkId;
    use crate::media::{Fallback, FlowKind, Side};

    fn port(number: u16) -> SocketAddr {
        SocketAddr::from(([10, 71, 1, 1], number))
    }

    fn pair(id: u64, ports: [u16; 2]) -> FlowPair {
        FlowPair {
            id: PairId(id),
            kind: FlowKind::Rtp,
            sides: ports.map(|number| Side::new(NetworkId(0), port(number))),
            path: Path::User(Fallback::Off),
            companion: None,
        }
    }

    fn rtcp(id: u64, ports: [u16; 2], companion: u64) -> FlowPair {
        FlowPair {
            kind: FlowKind::Rtcp,
            companion: Some(PairId(companion)),
            ..pair(id, ports)
        }
    }

    fn leave(handover: &mut Handover, pair: &FlowPair) {
        let ports = ports_of(pair).expect("in user space");
        let remove = FlowCommand::Remove(pair.id);
        assert_eq!(handover.pass(remove.clone()), Passage::Now(remove));
        handover.leaves(pair.id, *ports);
    }

    #[test]
    fn a_port_is_free_when_the_pair_before_has_ended() {
        let mut handover = Handover::default();
        leave(&mut handover, &pair(1, [4000, 4002]));
        leave(&mut handover, &pair(2, [4004, 4006]));
        let other = FlowCommand::Install(pair(3, [5000, 5002]).into());
        assert_eq!(handover.pass(other.clone()), Passage::Now(other));
        let of_both = pair(4, [4000, 4006]);
        assert_eq!(
            handover.pass(FlowCommand::Install(of_both.clone().into())),
            Passage::Later
        );
        assert_eq!(handover.ended(PairId(1)), []);
        assert_eq!(handover.ended(PairId(9)), []);
        assert_eq!(handover.ended(PairId(2)), [of_both]);
        assert!(handover.is_empty());
    }

    #[test]
    fn the_kernel_waits_for_no_socket() {
        let mut handover = Handover::default();
        leave(&mut handover, &pair(1, [4000, 4002]));
        let mut pinned = pair(2, [4000, 4008]);
        pinned.path = Path::Kernel;
        assert_eq!(ports_of(&pinned), None);
        let install = FlowCommand::Install(pinned.into());
        assert_eq!(handover.pass(install.clone()), Passage::Now(install));
    }

    #[test]
    fn a_key_waits_with_its_pair() {
        let mut handover = Handover::default();
        leave(&mut handover, &pair(1, [4000, 4002]));
        for id in [2, 3] {
            let passage = handover.pass(FlowCommand::Install(pair(id, [4000, 4004]).into()));
            assert_eq!(passage, Passage::Later);
        }
        let key = |pair, code| {
            let milliseconds = 100;
            let key = crate::rtp::info::Pressed { code, milliseconds };
            FlowCommand::Key(PairId(pair), 1, key)
        };
        for (pair, code) in [(2, 5), (3, 6), (2, 7)] {
            assert_eq!(handover.pass(key(pair, code)), Passage::Later);
        }
        let removed = handover.pass(FlowCommand::Remove(PairId(3)));
        assert_eq!(removed, Passage::Never(PairId(3)));
        assert_eq!(handover.ended(PairId(1)).len(), 1);
        assert_eq!(handover.keys_of(PairId(2)), [key(2, 5), key(2, 7)]);
        assert!(handover.is_empty());
        assert_eq!(handover.pass(key(2, 1)), Passage::Now(key(2, 1)));
    }

    #[test]
    fn rtcp_follows_its_rtp() {
        let mut handover = Handover::default();
        leave(&mut handover, &pair(1, [4000, 4002]));
        leave(&mut handover, &rtcp(2, [4001, 4003], 1));
        let (rtp, control) = (pair(3, [4000, 4010]), rtcp(4, [4001, 4011], 3));
        for pair in [&rtp, &control] {
            let passage = handover.pass(FlowCommand::Install(pair.clone().into()));
            assert_eq!(passage, Passage::Later);
        }
        assert_eq!(handover.ended(PairId(2)), []);
        assert_eq!(handover.ended(PairId(1)), [rtp, control]);
    }

    #[test]
    fn what_happens_to_a_pair_that_waits_happens_when_it_is_installed() {
        let mut handover = Handover::default();
        leave(&mut handover, &pair(1, [4000, 4002]));
        for id in [2, 3] {
            handover.pass(FlowCommand::Install(pair(id, [4000, 4004]).into()));
        }
        let read = FlowCommand::Read(PairId(2));
        assert_eq!(handover.pass(read), Passage::Later);
        let mut changed = pair(2, [4000, 4004]);
        changed.sides[1].dscp = 46;
        let update = FlowCommand::Update(changed.clone().into());
        assert_eq!(handover.pass(update), Passage::Later);
        let remove = FlowCommand::Remove(PairId(3));
        assert_eq!(handover.pass(remove), Passage::Never(PairId(3)));
        assert_eq!(handover.ended(PairId(1)), [changed]);
        assert!(handover.is_empty());
    }
}
