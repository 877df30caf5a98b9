//! Who is called, with any number of early dialogs.

mod updates;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sbc::sip::digest::Credentials;

use super::sdp::{place, sdp};
use crate::heard::{GIVE_UP, Heard, Repeat, T2, finish};

/// Something that is said to the INVITE.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// ms after the INVITE came.
    pub after: u64,
    /// In which dialog.
    pub tag: &'static str,
    /// Which answer.
    pub code: u16,
    /// With SDP, and media at this port.
    pub port: Option<u16>,
    /// Wants a PRACK.
    pub reliable: bool,
}

impl Step {
    /// Says this so many ms after the INVITE.
    #[must_use]
    pub fn says(after: u64, tag: &'static str, code: u16, port: Option<u16>) -> Step {
        Step {
            after,
            tag,
            code,
            port,
            reliable: false,
        }
    }

    /// And wants a PRACK for it.
    #[must_use]
    pub fn wants_prack(self) -> Step {
        Step {
            reliable: true,
            ..self
        }
    }
}

/// One early dialog, or the one that is up.
#[derive(Default)]
struct Fork {
    rseq: u32,
    unpracked: Option<(u32, bool, Repeat)>,
    unacked: Option<Repeat>,
    is_final: bool,
    /// ACK came.
    is_up: bool,
    /// BYE came or was sent.
    is_over: bool,
    port: Option<u16>,
    place: Option<SocketAddr>,
    pracks: Vec<String>,
    /// When to send an UPDATE, and the one that has no answer.
    update_due: Option<Instant>,
    update: Option<(u32, Repeat)>,
    cseq: u32,
}

/// Who is called.
pub struct Called {
    /// Where it is.
    pub address: SocketAddr,
    steps: Vec<Step>,
    todo: Vec<(Instant, Step)>,
    invite: Option<Heard>,
    answers: HashMap<String, Vec<u8>>,
    forks: HashMap<&'static str, Fork>,
    /// CANCEL came.
    pub was_cancelled: bool,
    /// Final refusals, until their ACK.
    refusal: Option<Repeat>,
    /// It hangs up by itself as soon as its ACK is there.
    pub hangs_up: bool,
    bye: Option<Repeat>,
    /// Takes INVITEs with this password of `acct` only; each nonce is good for one.
    pub password: Option<&'static str>,
    /// How many INVITEs it has asked for a password.
    pub challenged: u32,
    /// Sends every call here, with a 302.
    pub moved_to: Option<&'static str>,
    /// Takes UPDATE, and says so.
    pub takes_update: bool,
    /// Moves its media to this port with an UPDATE, so many ms after a PRACK has come to what described it.
    pub updates: Option<(u64, u16)>,
    /// What its UPDATEs were answered with.
    pub update_codes: Vec<u16>,
    /// To be sent.
    pub out: Vec<Vec<u8>>,
}

impl Called {
    /// One at this place.
    #[must_use]
    pub fn new(address: &str, steps: &[Step]) -> Called {
        Called {
            address: address.parse().expect("an address"),
            steps: steps.to_vec(),
            todo: Vec::new(),
            invite: None,
            answers: HashMap::new(),
            forks: HashMap::new(),
            was_cancelled: false,
            refusal: None,
            hangs_up: false,
            bye: None,
            password: None,
            challenged: 0,
            moved_to: None,
            takes_update: false,
            updates: None,
            update_codes: Vec::new(),
            out: Vec::new(),
        }
    }

    /// The dialogs that were acknowledged and not ended.
    #[must_use]
    pub fn up(&self) -> Vec<&'static str> {
        let up = self
            .forks
            .iter()
            .filter(|(_, fork)| fork.is_up && !fork.is_over);
        let mut tags: Vec<_> = up.map(|(tag, _)| *tag).collect();
        tags.sort_unstable();
        tags
    }

    /// Nothing of it waits for anything.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.forks
            .values()
            .all(|fork| fork.unacked.is_none() && fork.unpracked.is_none() && fork.update.is_none())
    }

    /// Where the media of a dialog is.
    #[must_use]
    pub fn media(&self, tag: &str) -> Option<SocketAddr> {
        let port = self.forks.get(tag)?.port?;
        Some(SocketAddr::new(self.address.ip(), port))
    }

    /// Where the box wants it.
    #[must_use]
    pub fn place(&self, tag: &str) -> Option<SocketAddr> {
        self.forks.get(tag)?.place
    }

    /// The RAcks of a dialog's PRACKs, each transaction once.
    #[must_use]
    pub fn pracks(&self, tag: &str) -> usize {
        self.forks.get(tag).map_or(0, |fork| fork.pracks.len())
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let forks = self.forks.values();
        let repeats = forks.flat_map(|fork| {
            let open = fork.unpracked.as_ref().map(|(_, _, repeat)| repeat);
            let update = fork.update.as_ref().map(|(_, repeat)| repeat);
            open.into_iter().chain(update).chain(&fork.unacked)
        });
        let updates = self.forks.values().filter_map(|fork| fork.update_due);
        let repeats = repeats.chain(&self.refusal).chain(&self.bye);
        let todo = self.todo.iter().map(|(at, _)| *at);
        repeats.map(Repeat::wakes).chain(todo).chain(updates).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let out = &mut self.out;
        for fork in self.forks.values_mut() {
            if let Some((_, _, repeat)) = &mut fork.unpracked {
                assert!(!repeat.is_over(now), "a PRACK never came");
                out.extend(repeat.due(now));
            }
            if let Some((_, repeat)) = &mut fork.update {
                out.extend(repeat.due(now));
            }
            fork.update.take_if(|(_, repeat)| repeat.is_over(now));
            if let Some(repeat) = &mut fork.unacked {
                assert!(!repeat.is_over(now), "an ACK never came");
                out.extend(repeat.due(now));
            }
        }
        for slot in [&mut self.refusal, &mut self.bye] {
            slot.take_if(|repeat| repeat.is_over(now));
            out.extend(slot.as_mut().and_then(|repeat| repeat.due(now)));
        }
        self.send_updates(now);
        while let Some(index) = self.todo.iter().position(|(at, _)| *at <= now) {
            let (_, step) = self.todo.remove(index);
            self.act(now, step);
        }
    }

    fn act(&mut self, now: Instant, step: Step) {
        let Some(invite) = self.invite.clone().filter(|_| !self.was_cancelled) else {
            return;
        };
        let fork = self.forks.entry(step.tag).or_default();
        if fork.is_over || fork.is_final {
            return;
        }
        let is_supported = invite.has("supported", "100rel") || invite.has("require", "100rel");
        let is_reliable = step.reliable && is_supported;
        // One at a time; a 2xx waits too.
        let waits = step.code >= 200 || is_reliable;
        if waits
            && fork
                .unpracked
                .as_ref()
                .is_some_and(|(_, has_sdp, _)| is_reliable || *has_sdp)
        {
            self.todo.push((now + Duration::from_millis(50), step));
            return;
        }
        if step.code >= 200 && (fork.update.is_some() || fork.update_due.is_some()) {
            self.todo.push((now + Duration::from_millis(50), step));
            return;
        }
        let mut body = String::new();
        if let Some(port) = step.port {
            fork.port = Some(port);
            body = sdp(SocketAddr::new(self.address.ip(), port), u32::from(port));
        }
        if invite.body.is_empty() && step.code < 200 && !is_reliable {
            // An answer that is not acknowledged makes no offer.
            body.clear();
        }
        let allow = match self.takes_update {
            true => "Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE\r\n",
            false => "",
        };
        let contact = format!("Contact: <sip:{}@{}>\r\n{allow}", step.tag, self.address);
        if step.code >= 200 {
            fork.is_final = true;
            fork.unpracked = None;
            let bytes = invite.answer_as(step.code, step.tag, &contact, &body);
            self.out.push(bytes.clone());
            match step.code {
                300.. => self.refusal = Some(Repeat::new(now, &bytes, T2)),
                _ => {
                    fork.unacked = Some(Repeat::new(now, &bytes, T2));
                    // A proxy that forks calls the others off.
                    for fork in self.forks.values_mut() {
                        fork.unpracked = None;
                    }
                }
            }
        } else if is_reliable {
            fork.rseq = if fork.rseq == 0 { 7000 } else { fork.rseq + 1 };
            let extra = format!("{contact}Require: 100rel\r\nRSeq: {}\r\n", fork.rseq);
            let bytes = invite.answer_as(step.code, step.tag, &extra, &body);
            self.out.push(bytes.clone());
            fork.unpracked = Some((
                fork.rseq,
                !body.is_empty(),
                Repeat::new(now, &bytes, GIVE_UP),
            ));
        } else {
            self.out
                .push(invite.answer_as(step.code, step.tag, &contact, &body));
        }
    }

    pub(super) fn receive(&mut self, now: Instant, bytes: &[u8]) {
        let heard = Heard::read(bytes);
        if heard.code().is_some() {
            if heard.method() == "BYE" {
                self.bye = None;
            }
            if heard.method() == "UPDATE" {
                self.on_updated(now, &heard);
            }
            return;
        }
        if heard.method() == "ACK" {
            return self.on_ack(now, &heard);
        }
        let key = format!("{} {}", heard.branch(), heard.method());
        if let Some(answer) = self.answers.get(&key) {
            return self.out.push(answer.clone());
        }
        let answer = match heard.method() {
            "INVITE" if self.moved_to.is_some() => {
                let contact = format!("Contact: {}\r\n", self.moved_to.unwrap_or_default());
                self.refuse(now, &heard, 302, &contact)
            }
            "INVITE" if !self.is_authorized(&heard) => {
                self.challenged += 1;
                let nonce = self.challenged;
                let asked = format!(
                    "WWW-Authenticate: Digest realm=\"r\", nonce=\"n{nonce}\", qop=\"auth\"\r\n"
                );
                self.refuse(now, &heard, 401, &asked)
            }
            "INVITE" => {
                self.todo = self
                    .steps
                    .iter()
                    .map(|step| (now + Duration::from_millis(step.after), *step))
                    .collect();
                let place = place(&heard);
                for step in &self.steps {
                    self.forks.entry(step.tag).or_default().place = place;
                }
                let trying = heard.answer_as(100, "", "", "");
                self.invite = Some(heard);
                trying
            }
            "CANCEL" => {
                let is_open =
                    self.refusal.is_none() && !self.forks.values().any(|fork| fork.is_final);
                if is_open && let Some(invite) = self.invite.clone() {
                    self.was_cancelled = true;
                    self.todo.clear();
                    for fork in self.forks.values_mut() {
                        fork.unpracked = None;
                    }
                    let bytes = invite.answer_as(487, "over", "", "");
                    self.out.push(bytes.clone());
                    self.refusal = Some(Repeat::new(now, &bytes, T2));
                }
                heard.answer_as(200, "over", "", "")
            }
            "PRACK" => self.on_prack(now, &heard),
            "UPDATE" => self.on_update(&heard),
            "BYE" => {
                let mut code = 481;
                if let Some(fork) = self.forks.get_mut(heard.tag("to")) {
                    fork.is_over = true;
                    fork.unacked = None;
                    code = 200;
                }
                heard.answer_as(code, "", "", "")
            }
            _ => heard.answer_as(405, "", "", ""),
        };
        self.out.push(answer.clone());
        self.answers.insert(key, answer);
    }

    fn refuse(&mut self, now: Instant, heard: &Heard, code: u16, extra: &str) -> Vec<u8> {
        let bytes = heard.answer_as(code, "no", extra, "");
        self.refusal = Some(Repeat::new(now, &bytes, T2));
        bytes
    }

    fn is_authorized(&self, invite: &Heard) -> bool {
        let Some(password) = self.password else {
            return true;
        };
        let value = invite.header("authorization");
        Credentials::parse(value).is_ok_and(|said| {
            let nonce = format!("n{}", self.challenged);
            said.username == "acct" && said.nonce == nonce && said.verify(password, "INVITE")
        })
    }

    fn on_prack(&mut self, now: Instant, heard: &Heard) -> Vec<u8> {
        let rack = heard.header("rack").to_owned();
        let invite = self.invite.as_ref().expect("an INVITE");
        let is_late = invite.body.is_empty();
        let expected_cseq = invite.cseq();
        let is_answered = self.forks.values().any(|fork| fork.is_final);
        let Some(fork) = self.forks.get_mut(heard.tag("to")) else {
            panic!("a PRACK in no dialog");
        };
        assert!(!fork.pracks.contains(&rack), "acknowledged twice: {rack}");
        assert!(
            heard.cseq() > expected_cseq,
            "the number of the INVITE or below"
        );
        let Some((rseq, has_sdp, _)) = fork.unpracked.take() else {
            assert!(
                self.was_cancelled || is_answered,
                "a PRACK for nothing: {rack}"
            );
            return heard.answer_as(481, "", "", "");
        };
        assert_eq!(rack, format!("{rseq} {expected_cseq} INVITE"));
        fork.pracks.push(rack);
        if has_sdp && let Some((after, _)) = self.updates {
            fork.update_due = Some(now + Duration::from_millis(after));
        }
        fork.place = place(heard).or(fork.place);
        assert!(
            !(is_late && has_sdp && heard.body.is_empty()),
            "no answer in the PRACK"
        );
        let port = fork.port.filter(|_| !is_late && !heard.body.is_empty());
        let body = port.map(|port| sdp(SocketAddr::new(self.address.ip(), port), 9));
        heard.answer_as(200, "", "", &body.unwrap_or_default())
    }

    fn on_ack(&mut self, now: Instant, heard: &Heard) {
        let Some((&tag, fork)) = self
            .forks
            .iter_mut()
            .find(|(tag, fork)| **tag == heard.tag("to") && fork.unacked.is_some())
        else {
            self.refusal = None;
            return;
        };
        fork.unacked = None;
        fork.is_up = true;
        fork.place = place(heard).or(fork.place);
        if self.hangs_up && !fork.is_over {
            fork.is_over = true;
            let invite = self.invite.as_ref().expect("an INVITE");
            let text = format!(
                "BYE {} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKbye{tag}\r\nMax-Forwards: 70\r\nFrom: {};tag={tag}\r\n\
                 To: {}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\n",
                invite.contact().expect("a Contact"),
                self.address,
                invite.header("to"),
                invite.header("from"),
                invite.header("call-id"),
            );
            let bytes = finish(text, "BYE", "");
            self.out.push(bytes.clone());
            self.bye = Some(Repeat::new(now, &bytes, T2));
        }
    }
}
