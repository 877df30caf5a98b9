//! What happens to a packet of a pair that is transcoded: it ends in the pair's pipe, and so does RTCP of the pair's companion. What the pipe
//! makes leaves from the sockets of both.

use sbc_ebpf::{Datagram, Drop, Kind, admit, whither};

use crate::config::NetworkId;
use crate::media::{FlowKind, FlowPair, PairId, Voice};

use super::super::backend::{Departure, SendFailure};
use super::super::reason::Reason;
use super::entry::{Companion, Entry, Life, Mended, Side, Voiced, sound};
use super::made::Packet;
use super::{Place, Relay};

/// What both peers of a pair that is transcoded speak.
pub(in crate::io::media) fn voices(pair: &FlowPair) -> Option<[Voice; 2]> {
    let [first, second] = &pair.sides;
    let voices = [first.voice?, second.voice?];
    (pair.kind == FlowKind::Rtp).then_some(voices)
}

/// For so long after BYE nothing is sent, in nanoseconds: mostly the streams end as well, and a packet that comes in between would be one of a
/// third source, for a moment.
const LEAVING: u64 = 40_000_000;

impl Relay {
    /// When [`Relay::handle_timeout`] has something to do.
    pub(in crate::io::media) fn poll_timeout(&self) -> Option<u64> {
        self.timers.first()
    }

    /// Asks one pipe whose time has come; what it makes is to be sent before the next is asked. `false`: there is none.
    pub(in crate::io::media) fn handle_timeout(&mut self, now: u64) -> bool {
        let Some(place) = self.timers.due(now) else {
            return false;
        };
        if let Some(voiced) = voiced(&mut self.entries, place) {
            voiced.pipe.handle_timeout(now, &mut self.made.by(place));
        }
        self.tidy_up(place);
        self.count_pipe(place);
        true
    }

    /// How many pairs are transcoded.
    pub(in crate::io::media) fn transcoded(&self) -> usize {
        self.transcoded
    }

    /// What is said before a pair is removed, or is not transcoded any more: RTCP BYE (RFC 3550 6.6), to be sent while the sockets are there. When RTCP
    /// goes before the streams it is said then; should they go on, they are others.
    pub(in crate::io::media) fn part(&mut self, pair: PairId) {
        let Some(&index) = self.pairs.get(&pair) else {
            return;
        };
        let Some(place) = self.entry(index).and_then(|entry| self.pipe_of(entry)) else {
            return;
        };
        let now = (self.clock)();
        if let Some(voiced) = voiced(&mut self.entries, place)
            && voiced.parted.is_none()
        {
            voiced.parted = Some(now);
            voiced.pipe.end(now, &mut self.made.by(place));
        }
        self.count_pipe(place);
        self.timers.set(place, None);
    }

    /// Begins, changes or ends to transcode, as the pair at this place says now.
    pub(super) fn voice(&mut self, place: usize) {
        let (seed, epoch) = (self.next_seed(), self.epoch);
        let Some(entry) = self.entries.get_mut(place).and_then(Option::as_mut) else {
            return;
        };
        match (voices(&entry.pair), &mut entry.voiced) {
            (Some(voices), Some(voiced)) => {
                voiced.voices = voices;
                voiced.pipe.settle_all(&mut self.made.by(place));
                voiced.pipe.update(voices);
            }
            (Some(voices), none) => {
                *none = Some(Box::new(Voiced::new(voices, seed, epoch)));
                self.transcoded += 1;
                self.timers.make_room(place);
            }
            (None, Some(_)) => self.silence(place),
            (None, None) => return,
        }
        self.tidy_up(place);
    }

    /// Ends to transcode.
    pub(super) fn silence(&mut self, place: usize) {
        self.count_pipe(place);
        let entry = self.entries.get_mut(place).and_then(Option::as_mut);
        if entry.is_some_and(|entry| entry.voiced.take().is_some()) {
            self.transcoded = self.transcoded.saturating_sub(1);
        }
        self.timers.set(place, None);
    }

    /// The place of the pipe in which ends what comes in here.
    pub(super) fn pipe_of(&self, entry: &Entry) -> Option<usize> {
        let place = entry.ends_in?;
        let owner = match entry.pair.kind {
            FlowKind::Rtcp => self.companion(entry, Some(place))?,
            FlowKind::Rtp | FlowKind::Opaque => entry,
        };
        owner.voiced.is_some().then_some(place)
    }

    /// A packet that ends in the pipe at `target`.
    pub(super) fn transcode(
        &mut self,
        at: Place,
        target: usize,
        datagram: &Datagram,
        payload: &[u8],
    ) {
        let Some(entry) = self.entry(at.entry) else {
            return;
        };
        let own = at.side.of(&entry.flows);
        let network = NetworkId(own.config.network);
        let kind = match may_end_here(entry, at.side, datagram) {
            Ok(kind) => kind,
            Err(reason) => {
                own.note(reason, datagram);
                return self.counters.dropped(network, Reason::Verdict(reason));
            }
        };
        own.count(kind, datagram, payload, self.clock);
        self.counters.heard(network, payload.len() as u64);
        let now = (self.clock)();
        let parted = voiced(&mut self.entries, target).and_then(|voiced| voiced.parted);
        if parted.is_some_and(|at| now.saturating_sub(at) < LEAVING) {
            return;
        }
        let seed = parted.map_or(0, |_| self.next_seed());
        let epoch = self.epoch;
        let Some(voiced) = voiced(&mut self.entries, target) else {
            return;
        };
        if parted.is_some() {
            *voiced = Voiced::new(voiced.voices, seed, epoch);
        }
        let from = at.side.index();
        let out = &mut self.made.gathering(target, self.gathers);
        match kind {
            Kind::Rtp => voiced.pipe.rtp(now, from, payload, out),
            Kind::Rtcp => voiced.pipe.rtcp(now, from, payload, out),
            Kind::Opaque => {}
        }
        let told = (kind == Kind::Rtcp).then(|| voiced.pipe.stats().map(|stats| stats.round_trip));
        match voiced.pipe.owes(from).filter(|_| kind == Kind::Rtp) {
            Some(owed) => self.gather(target, from, owed),
            None => self.tidy_up(target),
        }
        let entry = self.entries.get_mut(target).and_then(Option::as_mut);
        if let (Some(entry), Some(told)) = (entry, told) {
            entry.told = told;
        }
    }

    /// Where a packet goes that a pipe has made, and the network that it leaves at. `None`: nobody is there for it.
    pub(super) fn way_out(&self, packet: &Packet) -> Option<(Departure, NetworkId)> {
        let entry = self.entry(packet.place)?;
        let (from, to) = (packet.to.other(), packet.to);
        let multiplexed = to.of(&entry.pair.sides).multiplexed;
        let goes_as = match (packet.kind, entry.companion) {
            (FlowKind::Rtcp, Companion::Rtcp(link)) if !multiplexed => {
                self.companion(entry, link)?
            }
            (FlowKind::Rtcp, _) if !multiplexed => return None,
            _ => entry,
        };
        let (own, twin) = (from.of(&goes_as.flows), to.of(&goes_as.flows));
        let send = whither(&own.config, &twin.state).ok()?;
        let departure = Departure {
            socket: twin.socket?,
            to: send.to(),
            account: own.account(),
        };
        Some((departure, NetworkId(own.config.twin_network)))
    }

    /// After a pipe was asked: when it wants to be asked again, and what it made that nobody could take.
    pub(super) fn tidy_up(&mut self, place: usize) {
        self.take_keys(place);
        let lost = self.made.lost();
        let Some(entry) = self.entries.get(place).and_then(Option::as_ref) else {
            return self.timers.set(place, None);
        };
        let due = entry
            .voiced
            .as_ref()
            .and_then(|voiced| voiced.pipe.poll_timeout());
        self.timers.set(place, due);
        for (flow, lost) in entry.flows.iter().zip(lost) {
            // What was to go to this side came in at the other.
            let network = NetworkId(flow.config.twin_network);
            for _ in 0..lost {
                self.counters
                    .dropped(network, Reason::Unsent(SendFailure::Overload));
            }
        }
    }

    /// What a pipe has counted since.
    fn count_pipe(&mut self, place: usize) {
        let Some(entry) = self.entries.get_mut(place).and_then(Option::as_mut) else {
            return;
        };
        if let Some(voiced) = &mut entry.voiced {
            let sides = entry.flows.iter().zip(voiced.pipe.stats());
            for ((flow, stats), counted) in sides.zip(&mut voiced.counted) {
                flow.sound.set(sound(&stats));
                let now = Mended::of(&stats);
                let then = std::mem::replace(counted, now);
                self.counters.mended(
                    NetworkId(flow.config.network),
                    now.concealed.saturating_sub(then.concealed),
                    now.late.saturating_sub(then.late),
                );
            }
        }
    }

    /// splitmix64: what SSRCs and first sequence numbers come from.
    fn next_seed(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// What a packet is that may end in a pipe. Audio goes no further than it would as it is: where the other side has no peer it is not let in.
fn may_end_here(entry: &Entry, side: Side, datagram: &Datagram) -> Result<Kind, Drop> {
    if let Life::Ending(_) = entry.life {
        return Err(Drop::NoFlow);
    }
    let (own, twin) = (side.of(&entry.flows), side.other().of(&entry.flows));
    let kind = admit(&own.config, &own.state, datagram)?;
    if kind == Kind::Rtp {
        whither(&own.config, &twin.state)?;
    }
    Ok(kind)
}

pub(super) fn voiced(entries: &mut [Option<Entry>], place: usize) -> Option<&mut Voiced> {
    entries.get_mut(place)?.as_mut()?.voiced.as_deref_mut()
}

#[cfg(test)]
mod tests;
