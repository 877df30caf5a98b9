//! A user agent for one call: what it does of its own accord.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha12Rng;
use rand_core::RngCore as _;

use super::text::{Described, GIVE_UP, Heard, Repeat, T2, finish};

/// What an agent does.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// It begins the call.
    pub calls: bool,
    /// What it does so long after the call is up.
    pub turns: Vec<(Duration, Turn)>,
    /// It says that it takes UPDATE.
    pub updates: bool,
    /// It knows session timers.
    pub timer: Option<Timer>,
    /// It answers offers inside the dialog with this code.
    pub refuses: Option<u16>,
    /// It never answers re-INVITEs without an offer with one, but with 488.
    pub makes_no_late_offer: bool,
    /// From then on it says nothing at all.
    pub dies_after: Option<Duration>,
}

/// What it wants of session timers.
#[derive(Clone, Copy, Debug)]
pub struct Timer {
    /// Seconds: what it asks for, or agrees to if it is less.
    pub interval: u32,
    /// Seconds: what it takes at least.
    pub least: u32,
    /// It refreshes, if it may choose.
    pub refreshes: bool,
    /// It agrees to refresh and then does not.
    pub forgets: bool,
}

/// Something to do while the call is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Puts the other one on hold: `a=sendonly`.
    Hold,
    /// The same with `a=inactive`.
    HoldInactive,
    /// The same with the address 0.0.0.0.
    HoldOldStyle,
    /// Ends its hold.
    Resume,
    /// Media goes on at another port.
    Move,
    /// A re-INVITE without an offer.
    Late,
    /// The same, and media goes on at another port.
    LateMove,
    /// Hangs up.
    HangUp,
}

/// What happened to an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The call is up.
    Up,
    /// What it offered, or asked an offer for, was taken.
    Taken(Turn),
    /// It was refused.
    Refused(Turn, u16),
    /// Its own refresh was taken.
    Refreshed,
    /// A refresh of the box's came, by this method.
    WasRefreshed(String),
    /// Its call did not come about.
    Failed(u16),
    /// Its BYE was answered, or refused as the other's had come first.
    HungUp,
    /// BYE came, with this Reason.
    TheyHungUp(String),
    /// A request had no answer.
    TimedOut(String),
    /// The session ran out without a BYE.
    RanOut,
}

/// A request of ours.
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) branch: String,
    pub(super) cseq: u32,
    pub(super) turn: Option<Turn>,
    pub(super) offers: bool,
    pub(super) repeat: Repeat,
}

/// A final answer to an INVITE that waits for its ACK.
pub(super) struct Unacked {
    pub(super) cseq: u32,
    /// It made the offer.
    pub(super) late: bool,
    pub(super) is_success: bool,
    pub(super) repeat: Repeat,
}

/// What is agreed upon.
pub(super) struct Session {
    /// When it refreshes.
    pub(super) refresh: Option<Instant>,
    pub(super) end: Instant,
}

/// A user agent.
pub struct Agent {
    /// Its own.
    pub address: SocketAddr,
    /// What happened, in order.
    pub facts: Vec<Fact>,
    pub(super) plan: Plan,
    pub(super) peer: SocketAddr,
    pub(super) random: ChaCha12Rng,
    pub(super) out: Vec<Vec<u8>>,
    pub(super) asked: Vec<Asked>,
    pub(super) unacked: Option<Unacked>,
    pub(super) answers: BTreeMap<(String, String), Vec<u8>>,
    pub(super) acks: BTreeMap<u32, Vec<u8>>,
    pub(super) todo: Vec<(Instant, Turn)>,
    pub(super) call_id: String,
    pub(super) local: String,
    pub(super) remote: String,
    pub(super) target: String,
    pub(super) cseq: u32,
    pub(super) remote_cseq: u32,
    pub(super) is_up: bool,
    pub(super) is_over: bool,
    pub(super) version: u64,
    pub(super) port: u16,
    /// How it holds.
    pub(super) hold: Option<Turn>,
    /// What the box has last said.
    pub(super) theirs: Option<Described>,
    pub(super) their_body: String,
    pub(super) session: Option<Session>,
    pub(super) dies: Option<Instant>,
}

impl Agent {
    pub(super) fn new(
        address: SocketAddr,
        peer: SocketAddr,
        plan: Plan,
        mut random: ChaCha12Rng,
    ) -> Agent {
        Agent {
            call_id: format!("c{:016x}", random.next_u64()),
            local: format!("<sip:user@{address}>;tag=t{:016x}", random.next_u64()),
            remote: format!("<sip:100@{peer}>"),
            target: format!("sip:100@{peer}"),
            address,
            facts: Vec::new(),
            plan,
            peer,
            random,
            out: Vec::new(),
            asked: Vec::new(),
            unacked: None,
            answers: BTreeMap::new(),
            acks: BTreeMap::new(),
            todo: Vec::new(),
            cseq: 10,
            remote_cseq: 0,
            is_up: false,
            is_over: false,
            version: 1,
            port: 4000,
            hold: None,
            theirs: None,
            their_body: String::new(),
            session: None,
            dies: None,
        }
    }

    /// Where its media comes from and goes to.
    #[must_use]
    pub fn media(&self) -> SocketAddr {
        SocketAddr::new(self.address.ip(), self.port)
    }

    /// Where the box wants its media.
    #[must_use]
    pub fn place(&self) -> Option<SocketAddr> {
        self.theirs.map(|theirs| theirs.place)
    }

    /// Whether it may send, and whether it is sent to, as far as both have said.
    #[must_use]
    pub fn talks(&self) -> [bool; 2] {
        let [they_send, they_receive] = self.theirs.map_or([false; 2], |theirs| theirs.goes);
        let [i_send, i_receive] = self.goes();
        [i_send && they_receive, i_receive && they_send]
    }

    /// Whether it is in a call.
    #[must_use]
    pub fn is_in_a_call(&self) -> bool {
        self.is_up && !self.is_over
    }

    /// Whether nothing of its plan is left to do but to hang up.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let rest = self.todo.iter();
        self.is_over
            || self.is_up
                && self.asked.is_empty()
                && self.unacked.is_none()
                && rest.filter(|(_, t)| *t != Turn::HangUp).count() == 0
    }

    pub(super) fn start(&mut self, now: Instant) {
        if self.plan.calls {
            self.ask(now, "INVITE", None, true);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if self.dies.is_some() && self.is_over {
            return None;
        }
        let asked = self.asked.iter().map(|asked| asked.repeat.wakes());
        let unacked = self.unacked.iter().map(|u| u.repeat.wakes());
        let todo = self.todo.iter().map(|(at, _)| *at);
        let session = self.session.iter().flat_map(|s| [Some(s.end), s.refresh]);
        asked
            .chain(unacked)
            .chain(todo)
            .chain(session.flatten())
            .chain(self.dies)
            .min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.dies.is_some_and(|at| at <= now) {
            self.is_over = true;
            self.forget();
            return;
        }
        let mut lost = Vec::new();
        for asked in &mut self.asked {
            self.out.extend(asked.repeat.due(now));
        }
        self.asked.retain(|asked| {
            let is_over = asked.repeat.is_over(now);
            if is_over {
                lost.push(Fact::TimedOut(asked.method.clone()));
            }
            !is_over
        });
        if let Some(unacked) = &mut self.unacked {
            self.out.extend(unacked.repeat.due(now));
            if unacked.repeat.is_over(now) {
                lost.push(Fact::TimedOut("ACK".to_owned()));
                self.unacked = None;
            }
        }
        self.facts.extend(lost);
        if self.session.as_ref().is_some_and(|s| s.end <= now) {
            self.session = None;
            self.facts.push(Fact::RanOut);
        }
        if self
            .session
            .as_ref()
            .is_some_and(|s| s.refresh.is_some_and(|at| at <= now))
        {
            self.refresh(now);
        }
        while let Some(index) = self.todo.iter().position(|(at, _)| *at <= now) {
            let (_, turn) = self.todo.remove(index);
            self.act(now, turn);
        }
    }

    /// The call came up.
    pub(super) fn up(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.is_up, true) {
            self.facts.push(Fact::Up);
            let turns = self
                .plan
                .turns
                .iter()
                .map(|(after, turn)| (now + *after, *turn));
            self.todo.extend(turns);
            self.dies = self.plan.dies_after.map(|after| now + after);
        }
    }

    /// Nothing is left to do.
    pub(super) fn forget(&mut self) {
        self.todo.clear();
        self.asked.clear();
        self.unacked = None;
        self.session = None;
    }

    fn act(&mut self, now: Instant, turn: Turn) {
        if self.is_over {
            return;
        }
        if turn == Turn::HangUp {
            self.is_over = true;
            self.forget();
            self.ask(now, "BYE", None, false);
            return;
        }
        // One after the other (RFC 3261 14.1, RFC 3311 5.1).
        let waits = self.asked.iter().any(|asked| asked.offers) || self.unacked.is_some();
        if waits {
            let again = Duration::from_millis(100 + u64::from(self.random.next_u32() % 400));
            self.todo.push((now + again, turn));
            return;
        }
        match turn {
            Turn::Hold | Turn::HoldInactive | Turn::HoldOldStyle => self.hold = Some(turn),
            Turn::Resume => self.hold = None,
            Turn::Move => self.port += 10,
            Turn::Late | Turn::LateMove | Turn::HangUp => {}
        }
        let is_late = matches!(turn, Turn::Late | Turn::LateMove);
        let update = self.plan.updates && !is_late && self.random.next_u32().is_multiple_of(2);
        let method = if update { "UPDATE" } else { "INVITE" };
        self.ask(now, method, Some(turn), !is_late);
    }

    fn refresh(&mut self, now: Instant) {
        let Some(session) = &mut self.session else {
            return;
        };
        session.refresh = None;
        if self.plan.timer.is_some_and(|timer| timer.forgets) {
            return;
        }
        let busy = self.asked.iter().any(|asked| asked.offers) || self.unacked.is_some();
        if busy {
            session.refresh = Some(now + Duration::from_secs(1));
            return;
        }
        let method = if self.plan.updates {
            "UPDATE"
        } else {
            "INVITE"
        };
        self.ask(now, method, None, !self.plan.updates);
    }

    /// A request; with SDP if it offers something.
    pub(super) fn ask(&mut self, now: Instant, method: &str, turn: Option<Turn>, offers: bool) {
        self.cseq += 1;
        let branch = format!("z9hG4bK{:016x}", self.random.next_u64());
        let body = match offers {
            true => self.describe(turn.is_some()),
            false => String::new(),
        };
        let bytes = self.write(method, self.cseq, &branch, &body);
        let longest = if method == "INVITE" { GIVE_UP } else { T2 };
        self.asked.push(Asked {
            method: method.to_owned(),
            branch,
            cseq: self.cseq,
            turn,
            offers: method == "INVITE" || offers,
            repeat: Repeat::new(now, &bytes, longest),
        });
        self.out.push(bytes);
    }

    pub(super) fn write(&self, method: &str, cseq: u32, branch: &str, body: &str) -> Vec<u8> {
        let (address, target) = (self.address, &self.target);
        let extra = match method {
            "INVITE" | "UPDATE" => format!("{}{}", self.contact(), self.timer_of_request()),
            _ => String::new(),
        };
        finish(
            format!(
                "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch={branch};rport\r\nMax-Forwards: 70\r\n\
                 From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n{extra}",
                self.local, self.remote, self.call_id
            ),
            body,
        )
    }

    /// Contact and Allow.
    pub(super) fn contact(&self) -> String {
        let update = if self.plan.updates { ", UPDATE" } else { "" };
        format!(
            "Contact: <sip:user@{}>\r\nAllow: INVITE, ACK, CANCEL, BYE{update}\r\n",
            self.address
        )
    }

    /// What it says of its media; of another version if that is new.
    pub(super) fn describe(&mut self, is_new: bool) -> String {
        self.version += u64::from(is_new);
        let ip = self.address.ip();
        let (version, port) = (self.version, self.port);
        let connection = match self.hold {
            Some(Turn::HoldOldStyle) => "0.0.0.0".to_owned(),
            _ => ip.to_string(),
        };
        let way = match self.goes() {
            [true, true] => "",
            [true, false] => "a=sendonly\r\n",
            [false, true] => "a=recvonly\r\n",
            [false, false] => "a=inactive\r\n",
        };
        let way = match self.hold {
            Some(Turn::HoldOldStyle) => "",
            _ => way,
        };
        format!(
            "v=0\r\no=- 1 {version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {connection}\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 0 8\r\n{way}"
        )
    }

    /// Whether it wants to send, and to receive.
    fn goes(&self) -> [bool; 2] {
        match self.hold {
            None => [true, true],
            Some(Turn::HoldInactive) => [false, false],
            Some(_) => [true, false],
        }
    }

    pub(super) fn receive(&mut self, now: Instant, bytes: &[u8]) {
        if self.dies.is_some_and(|at| at <= now) {
            return;
        }
        let heard = Heard::read(bytes);
        match heard.code() {
            Some(code) => self.on_answer(now, &heard, code),
            None => self.on_request(now, &heard),
        }
    }
}
