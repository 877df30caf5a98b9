//! A user agent: what it does of its own accord.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::dialog::{Dialog, State, Unproven};
use super::sdp::sdp;
use crate::heard::{GIVE_UP, Heard, Repeat, T1, T2, finish};

/// Something that an agent does if it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Says this to an INVITE that it has; with SDP; and wants a PRACK for it.
    Ring(u16, bool, bool),
    /// Takes it.
    Take,
    /// Refuses it.
    Refuse(u16),
    /// Calls its own INVITE off.
    Cancel,
    /// A re-INVITE; `true`: without an offer.
    Reinvite(Change, bool),
    /// An UPDATE; `true`: with an offer.
    Update(Change, bool),
    /// INFO, MESSAGE, OPTIONS, ...
    Say(&'static str),
    /// Sends the other one elsewhere.
    Refer,
    /// Hangs up.
    HangUp,
}

/// What an offer changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Nothing,
    /// The direction: a hold or its end.
    Way(&'static str),
    /// The port.
    Port,
}

/// What somebody always does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Habits {
    /// Its INVITE has no offer.
    pub late: bool,
    /// Its INVITE says that it supports 100rel; or requires it.
    pub supports: bool,
    /// Likewise.
    pub requires: bool,
    /// Refuses every so many-th offer in a call; 0: none.
    pub refuses: u32,
    /// Takes UPDATE.
    pub updates: bool,
    /// ms until it acknowledges.
    pub acks_after: u64,
    /// Answers a re-INVITE with 180 first.
    pub rings_again: bool,
}

/// A request that has no final answer.
pub(super) struct Asked {
    pub(super) dialog: usize,
    pub(super) key: (String, String),
    pub(super) cseq: u32,
    pub(super) offers: bool,
    pub(super) is_late: bool,
    pub(super) repeat: Repeat,
}

/// A user agent.
pub struct Agent {
    /// Its own.
    pub address: SocketAddr,
    pub(super) box_: SocketAddr,
    pub(super) habits: Habits,
    pub(super) out: Vec<Vec<u8>>,
    pub(super) dialogs: Vec<Dialog>,
    pub(super) asked: Vec<Asked>,
    /// Final answers of ours, by branch and method.
    pub(super) answers: HashMap<(String, String), Vec<u8>>,
    /// Refusals of INVITEs that have no ACK.
    pub(super) refusals: Vec<(String, Repeat)>,
    /// The final answers that came, and the ACKs for them.
    pub(super) finals: HashMap<(String, String), Vec<u8>>,
    pub(super) acks: HashMap<(String, String), (Instant, Vec<u8>)>,
    pub(super) later: Vec<(Instant, Vec<u8>)>,
    pub(super) count: u32,
    pub(super) offers: u32,
    /// What was done, and how it went.
    pub done: Vec<String>,
}

impl Agent {
    pub(super) fn new(address: &str, peer: &str, habits: Habits) -> Agent {
        Agent {
            address: address.parse().expect("an address"),
            box_: peer.parse().expect("an address"),
            habits,
            out: Vec::new(),
            dialogs: Vec::new(),
            asked: Vec::new(),
            answers: HashMap::new(),
            refusals: Vec::new(),
            finals: HashMap::new(),
            acks: HashMap::new(),
            later: Vec::new(),
            count: 0,
            offers: 0,
            done: Vec::new(),
        }
    }

    /// It is in a call, or somebody rings at it.
    pub(super) fn is_busy(&self) -> bool {
        let waits = !self.asked.is_empty() || !self.later.is_empty();
        waits || self.dialogs.iter().any(|d| d.state != State::Over)
    }

    pub(super) fn is_up(&self) -> bool {
        self.dialogs.iter().any(|d| d.state == State::Up)
    }

    pub(super) fn is_early(&self) -> bool {
        self.dialogs.iter().any(|d| d.state == State::Early)
    }

    pub(super) fn next(&mut self) -> u32 {
        self.count += 1;
        self.count
    }

    pub(super) fn call(&mut self, now: Instant, number: &str) {
        let (address, peer) = (self.address, self.box_);
        let name = self.next();
        self.dialogs.push(Dialog::new(
            format!("c{name}{}", address.port()),
            format!(
                "\"{}\" <sip:u@{address}>;tag=t{name}x{}",
                address.ip(),
                address.port()
            ),
            format!("<sip:{number}@{peer}>"),
            format!("sip:{number}@{peer}"),
        ));
        let dialog = self.dialogs.len() - 1;
        let mut extra = String::new();
        if self.habits.requires {
            extra += "Require: 100rel\r\n";
        } else if self.habits.supports {
            extra += "Supported: 100rel\r\n";
        }
        self.invite(now, dialog, self.habits.late, &extra);
    }

    fn invite(&mut self, now: Instant, dialog: usize, late: bool, extra: &str) {
        let body = match late {
            true => String::new(),
            false => self.describe(dialog),
        };
        self.dialogs[dialog].inviting = true;
        self.dialogs[dialog].rings = false;
        self.dialogs[dialog].cancelled = false;
        self.ask(now, dialog, "INVITE", extra, &body);
    }

    /// Does it where it may; the latest dialog is meant.
    pub fn act(&mut self, now: Instant, act: Act) {
        let Some(index) = self.dialogs.iter().rposition(|d| d.state != State::Over) else {
            return;
        };
        let before = self.out.len();
        self.act_in(now, index, act);
        if self.out.len() != before {
            self.done.push(format!("{act:?}"));
        }
    }

    fn act_in(&mut self, now: Instant, index: usize, act: Act) {
        let dialog = &mut self.dialogs[index];
        let is_first = dialog.state == State::Early && !dialog.is_caller;
        match act {
            Act::Ring(code, describes, reliable) if is_first => {
                self.ring(now, index, code, describes, reliable);
            }
            Act::Take if is_first && dialog.unproven.is_none() => self.take(now, index),
            Act::Refuse(code) if is_first && dialog.unproven.is_none() => {
                self.refuse(now, index, code);
            }
            Act::Cancel if dialog.may_cancel() => self.cancel(now, index),
            Act::Reinvite(change, late) if dialog.may_invite() => {
                self.change(index, change);
                self.invite(now, index, late, "");
            }
            Act::Update(change, offers) if dialog.settled && dialog.heard_target() => {
                if offers && !dialog.may_offer() || dialog.state == State::Over {
                    return;
                }
                let mut body = String::new();
                if offers {
                    self.change(index, change);
                    body = self.describe(index);
                }
                self.ask(now, index, "UPDATE", "", &body);
            }
            Act::Say(method) if dialog.may_ask() => {
                let body = if method == "OPTIONS" { "" } else { "hello" };
                self.ask(now, index, method, "", body);
            }
            Act::Refer if dialog.may_ask() => {
                let extra = format!("Refer-To: <sip:300@{}>\r\n", self.box_);
                self.ask(now, index, "REFER", &extra, "");
            }
            // An ACK that is still to be sent goes first.
            Act::HangUp if dialog.may_hang_up() && self.later.is_empty() => {
                self.hang_up(now, index);
            }
            _ => {}
        }
    }

    pub(super) fn hang_up(&mut self, now: Instant, index: usize) {
        self.dialogs[index].end();
        self.ask(now, index, "BYE", "", "");
    }

    fn cancel(&mut self, now: Instant, index: usize) {
        self.dialogs[index].cancelled = true;
        let is_it = |a: &&Asked| a.dialog == index && a.key.1 == "INVITE";
        let invite = self.asked.iter().find(is_it).expect("an open INVITE");
        let text = String::from_utf8_lossy(&invite.repeat.bytes).into_owned();
        let (cseq, branch) = (invite.cseq, invite.key.0.clone());
        let mut bytes = String::new();
        for (number, line) in text.lines().take_while(|line| !line.is_empty()).enumerate() {
            if number == 0 {
                bytes += &format!("{}\r\n", line.replacen("INVITE", "CANCEL", 1));
            } else if ["Via", "Max-Forwards", "From", "To", "Call-ID"]
                .iter()
                .any(|name| line.starts_with(name))
            {
                bytes += &format!("{line}\r\n");
            }
        }
        let bytes = finish(format!("{bytes}CSeq: {cseq} CANCEL\r\n"), "CANCEL", "");
        self.send(
            now,
            index,
            (branch, "CANCEL".to_owned()),
            cseq,
            bytes,
            false,
        );
    }

    fn ring(&mut self, now: Instant, index: usize, code: u16, describes: bool, reliable: bool) {
        let dialog = &mut self.dialogs[index];
        let Some(invite) = dialog.invite.clone() else {
            return;
        };
        let may = invite.has("supported", "100rel") || invite.has("require", "100rel");
        let reliable = may && reliable;
        if dialog.unproven.is_some() || (invite.has("require", "100rel") && !reliable) {
            return;
        }
        let is_late = invite.body.is_empty();
        // An offer is answered once, and made where its answer can come (RFC 3262 5).
        let describes = describes && !dialog.settled && !dialog.offering && (reliable || !is_late);
        let mut extra = self.contact();
        let mut body = String::new();
        if describes {
            body = self.describe(index);
        }
        let dialog = &mut self.dialogs[index];
        if reliable {
            dialog.rseq += 1;
            extra += &format!("Require: 100rel\r\nRSeq: {}\r\n", dialog.rseq);
        }
        let to = dialog.local.clone();
        let bytes = invite.answer(code, &to, &extra, &body);
        if reliable {
            let offers = describes && is_late;
            dialog.offering |= offers;
            if describes && !is_late {
                dialog.settled = true;
                dialog.offered = false;
            }
            dialog.unproven = Some(Unproven {
                rseq: dialog.rseq,
                offers,
                repeat: Repeat::new(now, &bytes, GIVE_UP),
            });
        }
        dialog.last.clone_from(&bytes);
        self.out.push(bytes);
    }

    fn take(&mut self, now: Instant, index: usize) {
        let invite = self.dialogs[index].invite.take();
        let invite = invite.expect("an INVITE");
        self.dialogs[index].state = State::Up;
        let body = match self.dialogs[index].settled {
            true => String::new(),
            false => self.describe(index),
        };
        let extra = self.contact();
        self.accept(now, index, &invite, &extra, &body);
    }

    pub(super) fn refuse(&mut self, now: Instant, index: usize, code: u16) {
        let Some(invite) = self.dialogs[index].invite.take() else {
            return;
        };
        self.dialogs[index].end();
        let to = self.dialogs[index].local.clone();
        self.decline(now, &invite, &to, code);
    }

    /// A final refusal of an INVITE, until its ACK.
    pub(super) fn decline(&mut self, now: Instant, invite: &Heard, to: &str, code: u16) {
        let bytes = invite.answer(code, to, "", "");
        let key = invite.key();
        let repeat = Repeat::new(now, &bytes, T2);
        self.refusals.push((key.0.clone(), repeat));
        self.answers.insert(key, bytes.clone());
        self.out.push(bytes);
    }

    fn change(&mut self, index: usize, change: Change) {
        let dialog = &mut self.dialogs[index];
        match change {
            Change::Nothing => return,
            Change::Way(way) => dialog.way = way,
            Change::Port => dialog.port += 2,
        }
        dialog.version += 1;
    }

    pub(super) fn describe(&self, index: usize) -> String {
        let dialog = &self.dialogs[index];
        let port = dialog.port + 200 * u16::try_from(index).expect("a few");
        let media = SocketAddr::new(self.address.ip(), port);
        sdp(media, dialog.version, dialog.way)
    }

    pub(super) fn contact(&self) -> String {
        let update = if self.habits.updates { ", UPDATE" } else { "" };
        format!(
            "Contact: <sip:u@{}>\r\nAllow: INVITE, ACK, CANCEL, BYE, PRACK, INFO, MESSAGE, NOTIFY{update}\r\n",
            self.address
        )
    }

    pub(super) fn ask(
        &mut self,
        now: Instant,
        index: usize,
        method: &str,
        extra: &str,
        body: &str,
    ) {
        self.dialogs[index].cseq += 1;
        let cseq = self.dialogs[index].cseq;
        let branch = format!("z9hG4bKl{}x{}", self.address.port(), self.next());
        let bytes = self.write(index, method, &branch, cseq, extra, body);
        let offers = body.starts_with("v=0") && method != "PRACK";
        if offers {
            self.dialogs[index].offering = true;
        }
        self.send(now, index, (branch, method.to_owned()), cseq, bytes, offers);
    }

    fn send(
        &mut self,
        now: Instant,
        dialog: usize,
        key: (String, String),
        cseq: u32,
        bytes: Vec<u8>,
        offers: bool,
    ) {
        let longest = if key.1 == "INVITE" { GIVE_UP } else { T2 };
        self.asked.push(Asked {
            dialog,
            is_late: key.1 == "INVITE" && !offers,
            key,
            cseq,
            offers,
            repeat: Repeat::new(now, &bytes, longest),
        });
        self.out.push(bytes);
    }

    pub(super) fn write(
        &self,
        index: usize,
        method: &str,
        branch: &str,
        cseq: u32,
        extra: &str,
        body: &str,
    ) -> Vec<u8> {
        let (address, contact) = (self.address, self.contact());
        let Dialog {
            call_id,
            local,
            remote,
            target,
            ..
        } = &self.dialogs[index];
        let text = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {address};rport;branch={branch}\r\nMax-Forwards: 70\r\n\
             From: {local}\r\nTo: {remote}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n{contact}{extra}"
        );
        finish(text, method, body)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let asked = self.asked.iter().map(|asked| asked.repeat.wakes());
        let dialogs = self.dialogs.iter().flat_map(|dialog| {
            let unproven = dialog.unproven.iter().map(|u| u.repeat.wakes());
            let unanswered = dialog.unanswered.map(|since| since + GIVE_UP + T1);
            let unacked = dialog.unacked.iter().map(|u| u.repeat.wakes());
            unproven.chain(unacked).chain(unanswered)
        });
        let refusals = self.refusals.iter().map(|(_, repeat)| repeat.wakes());
        let later = self.later.iter().map(|(at, _)| *at);
        asked.chain(dialogs).chain(refusals).chain(later).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        for asked in &mut self.asked {
            self.out.extend(asked.repeat.due(now));
            assert!(
                !asked.repeat.is_over(now),
                "nobody answers {:?} of {}: {:?}",
                asked.key,
                self.address,
                self.done
            );
        }
        for dialog in &mut self.dialogs {
            if let Some(unproven) = &mut dialog.unproven {
                self.out.extend(unproven.repeat.due(now));
                assert!(!unproven.repeat.is_over(now), "no PRACK: {:?}", self.done);
            }
            if let Some(unacked) = &mut dialog.unacked {
                self.out.extend(unacked.repeat.due(now));
                assert!(!unacked.repeat.is_over(now), "no ACK: {:?}", self.done);
            }
            if let Some(since) = dialog.unanswered {
                let is_late = now > since + GIVE_UP;
                assert!(!is_late, "no answer, and no BYE: {:?}", self.done);
            }
        }
        for (_, repeat) in &mut self.refusals {
            self.out.extend(repeat.due(now));
        }
        self.refusals.retain(|(_, repeat)| !repeat.is_over(now));
        let (due, later) = self.later.drain(..).partition(|(at, _)| *at <= now);
        self.later = later;
        let due: Vec<(Instant, Vec<u8>)> = due;
        self.out.extend(due.into_iter().map(|(_, bytes)| bytes));
    }

    pub(super) fn after(&mut self, now: Instant, bytes: Vec<u8>) {
        let wait = Duration::from_millis(self.habits.acks_after);
        self.later.push((now + wait, bytes));
    }
}

impl Dialog {
    /// RFC 3261 9.1: a provisional answer has come, and no final one; of a re-INVITE too.
    fn may_cancel(&self) -> bool {
        let rings = self.rings && self.inviting && !self.cancelled;
        let is_ours = self.is_caller || self.state == State::Up;
        is_ours && self.state != State::Over && rings
    }

    /// An answer has named who is at the other end.
    fn heard_target(&self) -> bool {
        !self.is_caller || self.remote.contains(";tag=")
    }
}
