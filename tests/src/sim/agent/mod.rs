//! A user agent for one call: retransmits, acknowledges, answers as planned.

mod plan;
mod says;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha12Rng;
use rand_core::RngCore as _;
use rsip::{Request, SipMessage};

use super::wire::{Heard, hear, response};

pub use plan::{Answer, Fact, Plan};

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
const GIVE_UP: Duration = Duration::from_secs(32);

/// A request of ours that has no final answer.
struct Open {
    method: String,
    branch: String,
    bytes: Vec<u8>,
    interval: Duration,
    next: Option<Instant>,
    until: Instant,
    heard: bool,
}

/// A final answer of ours to an INVITE that has no ACK.
struct Unacked {
    cseq: u32,
    bytes: Vec<u8>,
    interval: Duration,
    next: Instant,
    until: Instant,
}

/// What is said in a dialog.
#[derive(Clone, Default)]
struct Talk {
    call_id: String,
    local: String,
    remote: String,
    target: String,
    cseq: u32,
}

enum Todo {
    Cancel,
    Ring(u16),
    Answer(u16),
    HangUp,
    Offer(Turn),
}

/// What a re-INVITE is for.
#[derive(Clone, Copy)]
enum Turn {
    Hold,
    Fax,
    Voice,
}

/// A user agent.
pub struct Agent {
    /// Its own.
    pub address: SocketAddr,
    /// What it does.
    pub plan: Plan,
    /// What happened, in order.
    pub facts: Vec<Fact>,
    peer: SocketAddr,
    tag: String,
    random: ChaCha12Rng,
    open: Vec<Open>,
    unacked: Vec<Unacked>,
    acks: HashMap<(u32, Option<String>), Vec<u8>>,
    answers: HashMap<(String, String), Vec<u8>>,
    todo: Vec<(Instant, Todo)>,
    talk: Talk,
    invite: Option<(Request, String)>,
    is_final: bool,
    is_up: bool,
    is_over: bool,
    cancels: bool,
    media: u16,
    version: u32,
    /// What our last re-INVITE was for.
    turn: Turn,
    out: Vec<Vec<u8>>,
}

impl Agent {
    /// An agent that knows the box only.
    #[must_use]
    pub fn new(address: SocketAddr, peer: SocketAddr, plan: Plan, mut random: ChaCha12Rng) -> Self {
        let tag = format!("t{:016x}", random.next_u64());
        Agent {
            address,
            plan,
            facts: Vec::new(),
            peer,
            tag,
            random,
            open: Vec::new(),
            unacked: Vec::new(),
            acks: HashMap::new(),
            answers: HashMap::new(),
            todo: Vec::new(),
            talk: Talk::default(),
            invite: None,
            is_final: false,
            is_up: false,
            is_over: false,
            cancels: false,
            media: 4000,
            version: 1,
            turn: Turn::Hold,
            out: Vec::new(),
        }
    }

    /// What only this side may know: must not show on the other one.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = vec![self.address.ip().to_string(), self.tag.clone()];
        if self.plan.calls.is_some() {
            secrets.push(self.talk.call_id.clone());
        }
        secrets
    }

    /// Begins.
    pub fn start(&mut self, now: Instant) {
        let Some(number) = self.plan.calls.clone() else {
            return;
        };
        let uri = format!("sip:{number}@{}", self.peer);
        self.talk = Talk {
            call_id: format!("c{:016x}@{}", self.random.next_u64(), self.address.ip()),
            local: format!("<sip:user@{}>;tag={}", self.address, self.tag),
            remote: format!("<{uri}>"),
            target: uri,
            cseq: 0,
        };
        let body = (!self.plan.late_offer).then(|| self.sdp(""));
        self.request(now, "INVITE", body);
        if let Some(after) = self.plan.cancels_after {
            self.todo.push((now + after, Todo::Cancel));
        }
    }

    /// What it wants sent to the box.
    pub fn poll(&mut self) -> Option<Vec<u8>> {
        (!self.out.is_empty()).then(|| self.out.remove(0))
    }

    /// When it wants to be woken.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let open = self
            .open
            .iter()
            .map(|o| o.next.map_or(o.until, |n| n.min(o.until)));
        let unacked = self.unacked.iter().map(|u| u.next.min(u.until));
        let todo = self.todo.iter().map(|(at, _)| *at);
        open.chain(unacked).chain(todo).min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut out = Vec::new();
        let facts = &mut self.facts;
        self.open.retain_mut(|open| {
            if open.until <= now {
                facts.push(Fact::TimedOut(open.method.clone()));
                return false;
            }
            if let Some(at) = open.next.filter(|&at| at <= now) {
                out.push(open.bytes.clone());
                open.interval *= 2;
                if open.method != "INVITE" {
                    open.interval = open.interval.min(T2);
                }
                open.next = Some(at + open.interval);
            }
            true
        });
        self.unacked.retain_mut(|unacked| {
            if unacked.until <= now {
                facts.push(Fact::TimedOut("ACK".to_owned()));
                return false;
            }
            if unacked.next <= now {
                out.push(unacked.bytes.clone());
                unacked.interval = (unacked.interval * 2).min(T2);
                unacked.next = now + unacked.interval;
            }
            true
        });
        self.out.append(&mut out);
        while let Some(index) = self.todo.iter().position(|(at, _)| *at <= now) {
            let (_, todo) = self.todo.remove(index);
            self.act(now, todo);
        }
    }

    /// Takes a datagram of the box.
    pub fn receive(&mut self, now: Instant, bytes: &[u8]) {
        let heard = hear(bytes);
        match heard.message.clone() {
            SipMessage::Request(request) => self.on_request(now, &heard, request),
            SipMessage::Response(response) => {
                self.on_response(now, &heard, response.status_code.code());
            }
        }
    }

    fn on_request(&mut self, now: Instant, heard: &Heard, request: Request) {
        if heard.method == "ACK" {
            self.unacked.retain(|unacked| unacked.cseq != heard.cseq);
            let is_success = heard.branch.is_empty() || !self.is_over;
            if is_success && self.is_final && !self.is_up && !self.is_over {
                self.up(now);
            }
            return;
        }
        let key = (heard.branch.clone(), heard.method.clone());
        if let Some(answer) = self.answers.get(&key) {
            self.out.push(answer.clone());
            return;
        }
        match heard.method.as_str() {
            "INVITE" if heard.to_tag.is_none() => self.on_invite(now, heard, request),
            "INVITE" => {
                self.facts.push(Fact::WasHeld);
                let body = match String::from_utf8_lossy(&request.body).contains("m=image") {
                    true => self.described(self.plan.fax.unwrap_or_default()),
                    false => self.sdp("a=recvonly\r\n"),
                };
                let bytes = self.reply(heard, &request, 200, Some(body));
                self.wait_for_ack(now, heard.cseq, bytes);
            }
            "CANCEL" => {
                self.reply(heard, &request, 200, None);
                if let Some((invite, branch)) = self.invite.clone()
                    && !std::mem::replace(&mut self.is_final, true)
                {
                    self.facts.push(Fact::WasCancelled);
                    self.is_over = true;
                    self.todo.clear();
                    let heard = Heard {
                        branch,
                        method: "INVITE".to_owned(),
                        message: invite.clone().into(),
                        call_id: String::new(),
                        from: String::new(),
                        to: String::new(),
                        to_tag: None,
                        contact: None,
                        cseq: heard.cseq,
                    };
                    let bytes = self.reply(&heard, &invite, 487, None);
                    self.wait_for_ack(now, heard.cseq, bytes);
                }
            }
            "BYE" => {
                self.reply(heard, &request, 200, None);
                self.todo.clear();
                self.unacked.clear();
                if !std::mem::replace(&mut self.is_over, true) {
                    self.facts.push(Fact::TheyHungUp);
                }
            }
            _ => {
                self.reply(heard, &request, 200, None);
            }
        }
    }

    fn on_invite(&mut self, now: Instant, heard: &Heard, request: Request) {
        self.talk = Talk {
            call_id: heard.call_id.clone(),
            local: format!("{};tag={}", heard.to, self.tag),
            remote: heard.from.clone(),
            target: heard.contact.clone().expect("a Contact in the INVITE"),
            cseq: 100,
        };
        self.plan.late_offer = request.body.is_empty();
        self.invite = Some((request, heard.branch.clone()));
        let soon = Duration::from_millis(50);
        match self.plan.answer {
            Answer::Takes => {
                self.todo.push((now + soon, Todo::Ring(180)));
                self.todo.push((now + soon * 20, Todo::Answer(200)));
            }
            Answer::TakesAfter(time) => {
                self.todo.push((now + soon, Todo::Ring(183)));
                self.todo.push((now + time, Todo::Answer(200)));
            }
            Answer::TakesAtOnce => self.todo.push((now, Todo::Answer(200))),
            Answer::Refuses(code) => self.todo.push((now + soon, Todo::Answer(code))),
            Answer::Rings => self.todo.push((now + soon, Todo::Ring(180))),
            Answer::Silent => {}
        }
        // A copy of it is not a new one.
        let key = (heard.branch.clone(), heard.method.clone());
        if !matches!(self.plan.answer, Answer::Silent) {
            let bytes = response(
                &self.invite.as_ref().expect("just put there").0,
                100,
                "none",
                &format!("<sip:{}>", self.address),
                None,
            );
            self.out.push(bytes.clone());
            self.answers.insert(key, bytes);
        }
    }

    fn on_response(&mut self, now: Instant, heard: &Heard, code: u16) {
        let index = self
            .open
            .iter()
            .position(|o| o.branch == heard.branch && o.method == heard.method);
        if let Some(open) = index.and_then(|index| self.open.get_mut(index)) {
            open.heard = true;
            if open.method == "INVITE" {
                open.next = None;
                open.until = now + GIVE_UP * 20;
            }
            if code < 200 && self.cancels && heard.method == "INVITE" {
                self.cancels = false;
                self.cancel(now);
            }
        }
        if code < 200 {
            if heard.method == "INVITE" && matches!(code, 180 | 183) {
                self.facts.push(Fact::Ringing);
            }
            return;
        }
        if let Some(index) = index {
            self.open.remove(index);
        }
        match heard.method.as_str() {
            "INVITE" => self.on_final(now, heard, code, index.is_some()),
            "BYE" if index.is_some() => self.facts.push(Fact::HungUp),
            _ => {}
        }
    }

    fn on_final(&mut self, now: Instant, heard: &Heard, code: u16, is_first: bool) {
        let key = (heard.cseq, heard.to_tag.clone());
        if let Some(ack) = self.acks.get(&key) {
            self.out.push(ack.clone());
            return;
        }
        if self.plan.never_acks && code < 300 {
            if is_first {
                self.talk.remote = heard.to.clone();
                self.facts.push(Fact::Up);
            }
            return;
        }
        let via_branch = if code < 300 {
            self.branch()
        } else {
            heard.branch.clone()
        };
        if code < 300 {
            self.talk.remote = heard.to.clone();
            self.talk.target = heard.contact.clone().expect("a Contact in the 200");
        }
        let late = self.plan.late_offer && !self.is_up && code < 300;
        let body = late.then(|| self.sdp(""));
        let ack = self.write("ACK", heard.cseq, &via_branch, &heard.to, body);
        self.out.push(ack.clone());
        self.acks.insert(key, ack);
        match code {
            200..300 if self.is_up => self.facts.push(Fact::Held),
            200..300 => {
                self.up(now);
                // The 200 crossed our CANCEL.
                if self.plan.cancels_after.is_some() {
                    self.todo.push((now, Todo::HangUp));
                }
            }
            // The other side was faster: again in a while (RFC 3261 14.1).
            491 | 500 if self.is_up && !self.is_over => {
                self.todo
                    .push((now + Duration::from_millis(2100), Todo::Offer(self.turn)));
            }
            _ => {
                self.facts.push(Fact::Refused(code));
                self.is_over = !self.is_up;
                if self.is_over {
                    self.todo.clear();
                }
            }
        }
    }

    fn up(&mut self, now: Instant) {
        self.is_up = true;
        self.facts.push(Fact::Up);
        self.todo.retain(|(_, todo)| !matches!(todo, Todo::Cancel));
        if let Some(after) = self.plan.hangs_up_after {
            self.todo.push((now + after, Todo::HangUp));
        }
        for (after, turn) in [
            (self.plan.holds_after, Turn::Hold),
            (self.plan.faxes_after, Turn::Fax),
            (self.plan.talks_after, Turn::Voice),
        ] {
            self.todo
                .extend(after.map(|after| (now + after, Todo::Offer(turn))));
        }
    }

    fn act(&mut self, now: Instant, todo: Todo) {
        match todo {
            Todo::Cancel if self.is_up || self.is_over => {}
            Todo::Cancel => {
                let heard = self.open.iter().any(|o| o.method == "INVITE" && o.heard);
                if heard {
                    self.cancel(now);
                } else {
                    self.cancels = true;
                }
            }
            Todo::Ring(code) => {
                let body = (code == 183 && !self.plan.late_offer).then(|| self.sdp(""));
                self.answer_invite(now, code, body);
            }
            Todo::Answer(code) => {
                self.is_final = true;
                self.is_over = code >= 300;
                let body = (code < 300).then(|| self.sdp(""));
                self.answer_invite(now, code, body);
            }
            Todo::HangUp if self.is_over => {}
            Todo::HangUp => {
                self.is_over = true;
                self.todo.clear();
                self.request(now, "BYE", None);
            }
            Todo::Offer(_) if self.is_over => {}
            Todo::Offer(turn) => {
                self.version += 1;
                self.turn = turn;
                let body = match turn {
                    Turn::Hold => self.sdp("a=sendonly\r\n"),
                    Turn::Fax => self.described(self.plan.fax.unwrap_or_default()),
                    Turn::Voice => self.sdp(""),
                };
                self.request(now, "INVITE", Some(body));
            }
        }
    }
}
