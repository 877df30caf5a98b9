//! A phone or a trunk with any number of dialogs. Writes plain text, reads with rsip.

mod says;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::super::wire::{Heard, hear};
use rsip::SipMessage;

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
const GIVE_UP: Duration = Duration::from_secs(32);

/// How far a dialog is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody has answered.
    Ringing,
    /// It is up.
    Up,
    /// It was refused with this code.
    Refused(u16),
    /// One of the two has hung up.
    Over,
}

/// A dialog, or what may become one.
pub struct Dialog {
    /// As it stands in its messages.
    pub call_id: String,
    local: String,
    remote: String,
    target: String,
    cseq: u32,
    heard: u32,
    /// How far it is.
    pub state: State,
    /// Where media is to be sent.
    pub peer: Option<SocketAddr>,
    version: u32,
    invite: String,
}

impl Dialog {
    /// What a Replaces for it says, written by this side for the other one to read; escaped for a URI.
    #[must_use]
    pub fn replaces(&self) -> String {
        let text = self.plain_replaces();
        text.replace('@', "%40")
            .replace(';', "%3B")
            .replace('=', "%3D")
    }

    /// The same as a header has it.
    #[must_use]
    pub fn plain_replaces(&self) -> String {
        let (ours, theirs) = (tag(&self.local), tag(&self.remote));
        format!("{};to-tag={theirs};from-tag={ours}", self.call_id)
    }
}

struct Request {
    dialog: usize,
    method: String,
    branch: String,
    extra: String,
    body: String,
    bytes: Vec<u8>,
    interval: Duration,
    next: Option<Instant>,
    until: Instant,
    is_proven: bool,
}

struct Unacked {
    cseq: u32,
    dialog: usize,
    bytes: Vec<u8>,
    interval: Duration,
    next: Instant,
    until: Instant,
}

/// Someone on the street.
pub struct Party {
    /// Where he is.
    pub address: SocketAddr,
    /// All his dialogs, the first ones first.
    pub dialogs: Vec<Dialog>,
    /// What came: requests with the first line of what they say, and final answers to requests of his.
    pub heard: Vec<String>,
    /// What he answers to who calls: 200 or a refusal.
    pub answers_with: u16,
    /// How long he rings before.
    pub rings_for: Duration,
    /// What he says to these methods inside dialogs instead of 200.
    pub refuses: HashMap<&'static str, u16>,
    /// Wants to hear of the offers that he gets.
    pub(super) ours: SocketAddr,
    pub(super) out: Vec<Vec<u8>>,
    number: usize,
    account: Option<(String, String)>,
    count: u64,
    requests: Vec<Request>,
    unacked: Vec<Unacked>,
    answered: HashMap<(String, String), Vec<u8>>,
    acks: HashMap<(String, u32), Vec<u8>>,
    todo: VecDeque<(Instant, usize, String)>,
}

impl Party {
    pub(super) fn new(
        number: usize,
        address: SocketAddr,
        ours: SocketAddr,
        account: Option<(&str, &str)>,
    ) -> Party {
        Party {
            address,
            ours,
            number,
            account: account.map(|(user, password)| (user.to_owned(), password.to_owned())),
            dialogs: Vec::new(),
            heard: Vec::new(),
            answers_with: 200,
            rings_for: Duration::from_millis(500),
            refuses: HashMap::new(),
            out: Vec::new(),
            count: 0,
            requests: Vec::new(),
            unacked: Vec::new(),
            answered: HashMap::new(),
            acks: HashMap::new(),
            todo: VecDeque::new(),
        }
    }

    /// Where he listens in a dialog.
    #[must_use]
    pub fn media(&self, dialog: usize) -> SocketAddr {
        let port = 4000 + 2 * u16::try_from(dialog).expect("a few");
        SocketAddr::new(self.address.ip(), port)
    }

    /// Begins a dialog with a request; `extra` are whole lines.
    pub fn begin(&mut self, now: Instant, method: &str, number: &str, extra: &str) -> usize {
        let user = self.account.as_ref().map_or("user", |(user, _)| user);
        let name = self.count;
        let target = match number {
            "" => format!("sip:{}", self.ours),
            _ => format!("sip:{number}@{}", self.ours),
        };
        self.dialogs.push(Dialog {
            call_id: format!("c{name}-{}@party", self.number),
            local: format!("<sip:{user}@{}>;tag=l{name}x{}", self.address, self.number),
            remote: match method {
                "REGISTER" => format!("<sip:{user}@{}>", self.ours),
                _ => format!("<{target}>"),
            },
            target,
            cseq: 0,
            heard: 0,
            state: State::Ringing,
            peer: None,
            version: 0,
            invite: String::new(),
        });
        let dialog = self.dialogs.len() - 1;
        let body = match method {
            "INVITE" => self.sdp(dialog, ""),
            _ => String::new(),
        };
        self.send(now, dialog, method, extra, &body, None);
        dialog
    }

    /// Calls a number.
    pub fn call(&mut self, now: Instant, number: &str) -> usize {
        self.begin(now, "INVITE", number, "")
    }

    /// A request in a dialog.
    pub fn say(&mut self, now: Instant, dialog: usize, method: &str, extra: &str, body: &str) {
        self.send(now, dialog, method, extra, body, None);
    }

    /// A re-INVITE with this direction.
    pub fn reinvite(&mut self, now: Instant, dialog: usize, direction: &str) {
        let body = self.sdp(dialog, direction);
        self.send(now, dialog, "INVITE", "", &body, None);
    }

    /// Hangs up.
    pub fn hang_up(&mut self, now: Instant, dialog: usize) {
        self.dialogs[dialog].state = State::Over;
        self.unacked.retain(|unacked| unacked.dialog != dialog);
        self.send(now, dialog, "BYE", "", "", None);
    }

    /// From now on he proves nothing.
    pub fn forget_password(&mut self) {
        self.account = None;
    }

    /// What came that begins like this.
    #[must_use]
    pub fn heard(&self, start: &str) -> Vec<&str> {
        let lines = self.heard.iter().map(String::as_str);
        lines.filter(|line| line.starts_with(start)).collect()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let requests = self
            .requests
            .iter()
            .map(|r| r.next.map_or(r.until, |next| next.min(r.until)));
        let unacked = self.unacked.iter().map(|u| u.next.min(u.until));
        let todo = self.todo.iter().map(|(at, ..)| *at);
        requests.chain(unacked).chain(todo).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let (out, heard) = (&mut self.out, &mut self.heard);
        self.requests.retain_mut(|request| {
            if request.until <= now {
                heard.push(format!("timeout {}", request.method));
                return false;
            }
            if request.next.is_some_and(|at| at <= now) {
                out.push(request.bytes.clone());
                request.interval = (request.interval * 2).min(T2);
                request.next = Some(now + request.interval);
            }
            true
        });
        self.unacked.retain_mut(|unacked| {
            if unacked.next <= now {
                out.push(unacked.bytes.clone());
                unacked.interval = (unacked.interval * 2).min(T2);
                unacked.next = now + unacked.interval;
            }
            unacked.until > now
        });
        while let Some(index) = self.todo.iter().position(|(at, ..)| *at <= now) {
            let Some((_, dialog, invite)) = self.todo.remove(index) else {
                return;
            };
            if self.dialogs[dialog].state == State::Ringing {
                self.take(now, dialog, &invite);
            }
        }
    }

    pub(super) fn receive(&mut self, now: Instant, bytes: &[u8]) {
        let heard = hear(bytes);
        let text = String::from_utf8_lossy(bytes).into_owned();
        match &heard.message {
            SipMessage::Request(_) => self.on_request(now, &heard, &text),
            SipMessage::Response(response) => {
                let code = response.status_code.code();
                self.on_response(now, &heard, &text, code);
            }
        }
    }

    fn on_request(&mut self, now: Instant, heard: &Heard, text: &str) {
        if heard.method == "ACK" {
            let of = self.find(heard);
            self.unacked
                .retain(|u| Some(u.dialog) != of || u.cseq != heard.cseq);
            return;
        }
        let key = (heard.branch.clone(), heard.method.clone());
        if let Some(answer) = self.answered.get(&key) {
            return self.out.push(answer.clone());
        }
        let Some(dialog) = self.find(heard) else {
            if heard.to_tag.is_some() {
                let dialog = self.dialogs.len().checked_sub(1);
                let answer = self.answer(dialog, text, 481, "", "");
                return self.keep(key, answer);
            }
            return self.on_new(now, heard, text);
        };
        if heard.method == "CANCEL" {
            let ok = self.answer(Some(dialog), text, 200, "", "");
            self.keep(key, ok);
            if self.dialogs[dialog].state == State::Ringing {
                self.heard.push("CANCEL".to_owned());
                self.refuse(now, dialog, 487);
            }
            return;
        }
        if self.dialogs[dialog].heard >= heard.cseq {
            // Overtaken on the way (RFC 3261 12.2.2).
            let answer = self.answer(Some(dialog), text, 500, "", "");
            return self.keep(key, answer);
        }
        self.dialogs[dialog].heard = heard.cseq;
        let line = body_of(text).lines().next().unwrap_or_default();
        self.heard.push(format!("{} {line}", heard.method));
        let is_over = matches!(self.dialogs[dialog].state, State::Over | State::Refused(_));
        let refusal = self.refuses.get(heard.method.as_str()).copied();
        let code = match refusal {
            _ if is_over && heard.method != "BYE" => 481,
            Some(code) => code,
            None => 200,
        };
        let mut body = String::new();
        if heard.method == "INVITE" && code == 200 {
            self.note_sdp(dialog, text);
            body = self.sdp(dialog, "");
        }
        if heard.method == "BYE" {
            self.dialogs[dialog].state = State::Over;
            self.unacked.retain(|unacked| unacked.dialog != dialog);
        }
        let answer = self.answer(Some(dialog), text, code, "", &body);
        if heard.method == "INVITE" {
            self.await_ack(now, dialog, heard.cseq, answer.clone());
        }
        self.keep(key, answer);
    }

    /// An INVITE, or anything else out of a dialog.
    fn on_new(&mut self, now: Instant, heard: &Heard, text: &str) {
        let key = (heard.branch.clone(), heard.method.clone());
        let name = self.count;
        self.count += 1;
        self.dialogs.push(Dialog {
            call_id: heard.call_id.clone(),
            local: format!("{};tag=r{name}x{}", heard.to, self.number),
            remote: heard.from.clone(),
            target: heard.contact.clone().unwrap_or_default(),
            cseq: 1000,
            heard: heard.cseq,
            state: State::Ringing,
            peer: None,
            version: 0,
            invite: text.to_owned(),
        });
        let dialog = self.dialogs.len() - 1;
        let line = body_of(text).lines().next().unwrap_or_default();
        self.heard.push(format!("{} {line}", heard.method));
        if heard.method != "INVITE" {
            self.dialogs[dialog].state = State::Up;
            let code = self.refuses.get(heard.method.as_str());
            let code = code.copied().unwrap_or(200);
            let extra = match heard.method.as_str() {
                "SUBSCRIBE" => "Expires: 600\r\n",
                _ => "",
            };
            let answer = self.answer(Some(dialog), text, code, extra, "");
            return self.keep(key, answer);
        }
        self.note_sdp(dialog, text);
        let ringing = self.answer(Some(dialog), text, 180, "", "");
        self.keep(key, ringing);
        self.todo
            .push_back((now + self.rings_for, dialog, text.to_owned()));
    }

    fn take(&mut self, now: Instant, dialog: usize, invite: &str) {
        if self.answers_with >= 300 {
            return self.refuse(now, dialog, self.answers_with);
        }
        self.dialogs[dialog].state = State::Up;
        let body = self.sdp(dialog, "");
        let answer = self.answer(Some(dialog), invite, 200, "", &body);
        let heard = hear(invite.as_bytes());
        self.await_ack(now, dialog, heard.cseq, answer.clone());
        self.keep((heard.branch, heard.method), answer);
    }

    fn refuse(&mut self, now: Instant, dialog: usize, code: u16) {
        self.dialogs[dialog].state = State::Refused(code);
        let invite = self.dialogs[dialog].invite.clone();
        let answer = self.answer(Some(dialog), &invite, code, "", "");
        let heard = hear(invite.as_bytes());
        self.await_ack(now, dialog, heard.cseq, answer.clone());
        self.keep((heard.branch, heard.method), answer);
    }

    fn on_response(&mut self, now: Instant, heard: &Heard, text: &str, code: u16) {
        let is_it = |r: &Request| r.branch == heard.branch && r.method == heard.method;
        let index = self.requests.iter().position(is_it);
        if code < 200 {
            if let Some(request) = index.and_then(|index| self.requests.get_mut(index))
                && request.method == "INVITE"
            {
                request.next = None;
                request.until = now + GIVE_UP * 10;
                // An early dialog.
                let talk = &mut self.dialogs[request.dialog];
                if talk.state == State::Ringing && heard.to.contains(";tag=") {
                    talk.remote.clone_from(&heard.to);
                }
            }
            return;
        }
        let key = (heard.call_id.clone(), heard.cseq);
        if let Some(ack) = self.acks.get(&key).filter(|_| heard.method == "INVITE") {
            self.out.push(ack.clone());
        }
        let Some(request) = index.map(|index| self.requests.remove(index)) else {
            return;
        };
        let dialog = request.dialog;
        if request.method == "INVITE" {
            let is_first = self.dialogs[dialog].state == State::Ringing;
            if code < 300 {
                let talk = &mut self.dialogs[dialog];
                talk.remote.clone_from(&heard.to);
                talk.target = heard.contact.clone().expect("a Contact in the 200");
                if is_first {
                    talk.state = State::Up;
                }
                self.note_sdp(dialog, text);
            } else if is_first && code != 401 {
                self.dialogs[dialog].state = State::Refused(code);
            }
            let branch = match code {
                ..300 => self.branch(),
                _ => request.branch.clone(),
            };
            let ack = self.write(dialog, "ACK", &branch, heard.cseq, &heard.to, "", "");
            self.out.push(ack.clone());
            self.acks.insert(key, ack);
        }
        if code == 401 && !request.is_proven && self.account.is_some() {
            let proof = self.proof(text, &request.method);
            let (extra, body) = (request.extra, request.body);
            return self.send(now, dialog, &request.method, &extra, &body, proof);
        }
        if request.method == "SUBSCRIBE" && code < 300 {
            let talk = &mut self.dialogs[dialog];
            talk.remote.clone_from(&heard.to);
            talk.target = heard.contact.clone().expect("a Contact in the 200");
            talk.state = State::Up;
        }
        self.heard.push(format!("{code} {}", request.method));
        // Both at once: again in a while (RFC 3261 14.1).
        if code == 491 && request.method == "INVITE" {
            let (extra, body) = (request.extra, request.body);
            self.send(now, dialog, "INVITE", &extra, &body, None);
        }
    }

    fn keep(&mut self, key: (String, String), answer: Vec<u8>) {
        self.out.push(answer.clone());
        self.answered.insert(key, answer);
    }

    fn await_ack(&mut self, now: Instant, dialog: usize, cseq: u32, bytes: Vec<u8>) {
        self.unacked.push(Unacked {
            cseq,
            dialog,
            bytes,
            interval: T1,
            next: now + T1,
            until: now + GIVE_UP,
        });
    }

    fn find(&self, heard: &Heard) -> Option<usize> {
        self.dialogs.iter().position(|dialog| {
            let is_ours = heard.to_tag.as_deref() == Some(tag(&dialog.local));
            let is_its_cancel = heard.to_tag.is_none() && heard.method == "CANCEL";
            dialog.call_id == heard.call_id && (is_ours || is_its_cancel)
        })
    }
}

fn body_of(text: &str) -> &str {
    text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

fn tag(value: &str) -> &str {
    value.split_once(";tag=").map_or("", |(_, tag)| tag)
}
