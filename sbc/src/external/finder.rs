//! One family's address: asks a STUN server again and again, and believes what two answers in a row say.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_chacha::ChaCha12Rng;
use rand_core::RngCore as _;

use super::between;
use super::stun::{Answer, TransactionId, read, request};

/// Between two questions: often enough that a router keeps the way open, and that a change is found out within half a minute.
const EVERY: [Duration; 2] = [Duration::from_secs(25), Duration::from_secs(35)];
/// Until a new address is asked for a second time.
const CONFIRM: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(400)];
/// RFC 8489 6.2.1: the first interval, doubled each time.
const RTO: Duration = Duration::from_millis(500);
/// How often a question is sent. The last waits twice as long as the one before, so that all take 15.5 s.
const TRIES: u8 = 5;
/// How soon after an answer a doubt asks again.
const DOUBT: Duration = Duration::from_secs(2);

/// What is known of a family.
#[derive(Default)]
pub(super) struct Finder {
    /// Those of the family; none where nobody is to be asked.
    servers: Vec<SocketAddr>,
    /// Which of them is being asked.
    server: usize,
    /// How many have been silent since the last answer.
    silent: usize,
    open: Option<Open>,
    /// When to ask next.
    next: Option<Instant>,
    /// When the last answer came.
    answered: Option<Instant>,
    known: Option<IpAddr>,
    /// Said once.
    candidate: Option<IpAddr>,
    send: Option<(SocketAddr, Bytes)>,
    /// All servers have been asked in vain, which is still to be told.
    is_lost: bool,
}

/// A question without an answer.
struct Open {
    id: TransactionId,
    to: SocketAddr,
    sent: u8,
    interval: Duration,
    again: Instant,
}

/// What an answer comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is none.
    Nothing,
    /// What was known.
    Same,
    /// Something else, said for the first time.
    Perhaps,
    /// Something else, said for the second.
    Another { from: Option<IpAddr>, to: IpAddr },
}

impl Finder {
    /// Asks these from now on; at once, if others than before.
    pub(super) fn ask(&mut self, now: Instant, servers: Vec<SocketAddr>) {
        let is_known = |server: &SocketAddr| self.servers.contains(server);
        let is_same = servers.len() == self.servers.len() && servers.iter().all(is_known);
        if servers.is_empty() || is_same {
            return;
        }
        (self.server, self.silent) = (0, 0);
        self.servers = servers;
        self.open = None;
        self.next = Some(now);
    }

    /// Whether there is anybody to ask.
    pub(super) fn is_asking(&self) -> bool {
        !self.servers.is_empty()
    }

    pub(super) fn known(&self) -> Option<IpAddr> {
        self.known
    }

    /// Somebody else has seen us elsewhere: it is asked about at once, unless that was just done.
    pub(super) fn doubt(&mut self, now: Instant, seen: IpAddr) {
        let is_recent = self.answered.is_some_and(|at| now < at + DOUBT);
        if self.known.is_some_and(|known| known != seen) && self.open.is_none() && !is_recent {
            self.next = Some(now);
        }
    }

    /// Takes an address that somebody who may know has said; the second time in a row it holds.
    pub(super) fn believe(&mut self, address: IpAddr) -> Heard {
        if self.known == Some(address) {
            self.candidate = None;
            return Heard::Same;
        }
        if self.candidate != Some(address) {
            self.candidate = Some(address);
            return Heard::Perhaps;
        }
        self.candidate = None;
        let from = self.known.replace(address);
        Heard::Another { from, to: address }
    }

    /// Takes a datagram that may be the answer.
    pub(super) fn on_answer(
        &mut self,
        now: Instant,
        random: &mut ChaCha12Rng,
        from: SocketAddr,
        bytes: &[u8],
    ) -> Heard {
        let Ok((id, answer)) = read(bytes) else {
            return Heard::Nothing;
        };
        let is_it = |open: &mut Open| open.id == id && open.to == from;
        if self.open.take_if(is_it).is_none() {
            return Heard::Nothing;
        }
        let ip = match answer {
            Answer::Mapped(mapped) => mapped.ip().to_canonical(),
            // Another one may tell.
            Answer::Refused(_) => {
                self.is_silent(now, random);
                return Heard::Nothing;
            }
        };
        let is_usable = ip.is_ipv4() == from.is_ipv4()
            && !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast());
        if !is_usable {
            self.is_silent(now, random);
            return Heard::Nothing;
        }
        self.silent = 0;
        self.answered = Some(now);
        let heard = self.believe(ip);
        let wait = match heard {
            Heard::Perhaps => CONFIRM,
            _ => EVERY,
        };
        self.next = Some(now + between(random, wait));
        heard
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.open {
            Some(open) => Some(open.again),
            None => self.next,
        }
    }

    /// Whether all servers have been asked in vain, which is told each time round.
    pub(super) fn handle_timeout(&mut self, now: Instant, random: &mut ChaCha12Rng) -> bool {
        self.ask_again(now, random);
        std::mem::take(&mut self.is_lost)
    }

    fn ask_again(&mut self, now: Instant, random: &mut ChaCha12Rng) {
        if let Some(open) = &mut self.open {
            if open.again > now {
                return;
            }
            if open.sent < TRIES {
                open.sent += 1;
                open.interval *= 2;
                open.again = now + open.interval;
                self.send = Some((open.to, Bytes::copy_from_slice(&request(open.id))));
                return;
            }
            self.open = None;
            self.is_silent(now, random);
        }
        let (Some(at), Some(&to)) = (self.next, self.servers.get(self.server)) else {
            return;
        };
        if at <= now {
            let mut id = TransactionId([0; 12]);
            random.fill_bytes(&mut id.0);
            self.next = None;
            self.send = Some((to, Bytes::copy_from_slice(&request(id))));
            self.open = Some(Open {
                id,
                to,
                sent: 1,
                interval: RTO,
                again: now + RTO,
            });
        }
    }

    /// What is to be sent.
    pub(super) fn poll_send(&mut self) -> Option<(SocketAddr, Bytes)> {
        self.send.take()
    }

    /// The next one is asked: at once, and after a round of all in a while.
    fn is_silent(&mut self, now: Instant, random: &mut ChaCha12Rng) {
        let count = self.servers.len().max(1);
        self.server = (self.server + 1) % count;
        self.silent += 1;
        self.candidate = None;
        let is_round = self.silent.is_multiple_of(count);
        self.next = Some(match is_round {
            true => now + between(random, EVERY),
            false => now,
        });
        self.is_lost |= is_round;
    }
}
