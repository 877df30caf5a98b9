//! What an agent says to requests.

use std::time::Instant;

use sbc::sip::digest::Credentials;

use super::agent::Agent;
use super::dialog::{Dialog, State, tag};
use super::transact::Unacked;
use crate::heard::{Heard, Repeat, T2};

impl Agent {
    pub(super) fn receive(&mut self, now: Instant, bytes: &[u8]) {
        if self.is_dead {
            return;
        }
        let heard = Heard::read(bytes);
        if let Some(number) = self.manner.sends_back
            && let Some(on) = self.pass_on(&heard, number)
        {
            return self.out.push(on);
        }
        match heard.code() {
            Some(code) => self.on_answer(now, &heard, code),
            None => self.on_request(now, &heard),
        }
        self.go_on(now);
    }

    fn on_request(&mut self, now: Instant, heard: &Heard) {
        if heard.method() == "ACK" {
            return self.on_ack(heard);
        }
        if let Some(answer) = self.answers.get(&heard.key()) {
            return self.out.push(answer.clone());
        }
        if heard.method() == "CANCEL" {
            return self.on_cancel(now, heard);
        }
        self.requests
            .insert(heard.method().to_owned(), heard.clone());
        let line = heard.body.lines().next().unwrap_or_default();
        let found = self.find(heard);
        let Some(dialog) = found else {
            if !heard.tag("to").is_empty() {
                return self.reply(heard, 481, heard.header("to"), "", "");
            }
            if let Some(extra) = self.challenges(heard) {
                let code = self.manner.challenge.as_ref().map_or(401, |c| c.code);
                return self.refuse(now, heard, code, &extra);
            }
            self.heard.push(format!("{} {line}", heard.method()));
            return self.on_new(now, heard);
        };
        let to = heard.header("to");
        if heard.cseq() < self.dialogs[dialog].heard {
            // Overtaken on the way (RFC 3261 12.2.2).
            return self.say_no(now, dialog, heard, 500, "Retry-After: 1\r\n");
        }
        self.dialogs[dialog].heard = heard.cseq();
        if let Some(extra) = self.challenges(heard) {
            let code = self.manner.challenge.as_ref().map_or(401, |c| c.code);
            return self.say_no(now, dialog, heard, code, &extra);
        }
        self.heard.push(format!("{} {line}", heard.method()));
        let state = self.dialogs[dialog].state;
        match heard.method() {
            "BYE" => {
                self.reply(heard, 200, to, "", "");
                self.end(dialog, State::Over);
            }
            "PRACK" => self.on_prack(dialog, heard),
            _ if matches!(state, State::Over | State::Refused(_)) => {
                self.say_no(now, dialog, heard, 481, "");
            }
            "INVITE" | "UPDATE" => self.on_offer(now, dialog, heard),
            method => {
                let code = self.manner.refuses.get(method).copied().unwrap_or(200);
                let code = if method == "REFER" && code == 200 {
                    202
                } else {
                    code
                };
                self.reply(heard, code, to, expires(method), "");
            }
        }
    }

    fn on_offer(&mut self, now: Instant, dialog: usize, heard: &Heard) {
        let is_invite = heard.method() == "INVITE";
        let offers = is_invite || !heard.body.is_empty();
        if offers && self.is_busy(dialog) {
            return self.say_no(now, dialog, heard, 491, "");
        }
        if !is_invite && !self.manner.updates {
            self.wrong.push("it does not take UPDATE".to_owned());
        }
        if let Some(least) = self.too_short(heard) {
            let extra = format!("Min-SE: {least}\r\n");
            return self.say_no(now, dialog, heard, 422, &extra);
        }
        let by = tag(&self.dialogs[dialog].remote).to_owned();
        let is_same = self.dialogs[dialog].said.get(&by) == Some(&heard.body);
        let is_refresh = is_same || !offers;
        let refusal = self.manner.refuses.get(heard.method()).copied();
        if let Some(code) = refusal.filter(|_| !is_refresh) {
            return self.say_no(now, dialog, heard, code, "");
        }
        let is_late = is_invite && heard.body.is_empty();
        if is_late && self.manner.makes_no_late_offer {
            return self.say_no(now, dialog, heard, 488, "");
        }
        self.refreshes += usize::from(is_refresh && !is_late);
        if let Some(contact) = heard.contact() {
            self.dialogs[dialog].target = contact;
        }
        let body = if heard.body.is_empty() {
            let media = self.dialogs[dialog].media.clone();
            let offer = |d: &mut Dialog| d.describe(&media, None);
            if is_late {
                offer(&mut self.dialogs[dialog])
            } else {
                String::new()
            }
        } else {
            match self.dialogs[dialog].take(&heard.body) {
                Ok(offer) => self.dialogs[dialog].answer(&offer, self.manner.declines),
                Err(wrong) => {
                    self.wrong.push(wrong);
                    String::new()
                }
            }
        };
        let timer = self.agree(now, dialog, heard);
        let extra = format!("{}{timer}", self.contact());
        self.reply(heard, 200, heard.header("to"), &extra, &body);
        if is_invite {
            self.await_ack(now, dialog, heard, true, is_late);
        }
    }

    fn on_ack(&mut self, heard: &Heard) {
        let cseq = heard.cseq();
        let of = self.find(heard);
        if of.is_some() && self.manner.ignores_acks > 0 {
            self.manner.ignores_acks -= 1;
            return;
        }
        let is_it = |u: &mut Unacked| u.cseq == cseq && (Some(u.dialog) == of || !u.is_success);
        let Some(unacked) = self.unacked.extract_if(.., is_it).next() else {
            return;
        };
        let dialog = unacked.dialog;
        if !unacked.is_success || self.dialogs[dialog].state == State::Over {
            return;
        }
        if unacked.is_late {
            if heard.body.is_empty() {
                self.wrong.push("no answer in the ACK".to_owned());
            } else if let Err(wrong) = self.dialogs[dialog].take(&heard.body) {
                self.wrong.push(wrong);
            }
            self.dialogs[dialog].agree();
        }
        self.dialogs[dialog].state = State::Up;
    }

    /// Anything out of a dialog.
    fn on_new(&mut self, now: Instant, heard: &Heard) {
        if heard.method() == "INVITE" {
            if let Some(to) = self.manner.moved_to {
                return self.refuse(now, heard, 302, &format!("Contact: {to}\r\n"));
            }
            if let Some(least) = self.too_short(heard) {
                return self.refuse(now, heard, 422, &format!("Min-SE: {least}\r\n"));
            }
            return self.on_call(now, heard);
        }
        let dialog = self.accept(heard, "r");
        self.dialogs[dialog].state = match heard.method() {
            "SUBSCRIBE" => State::Up,
            _ => State::Over,
        };
        let local = self.dialogs[dialog].local.clone();
        let code = self
            .manner
            .refuses
            .get(heard.method())
            .copied()
            .unwrap_or(200);
        let extra = format!("{}{}", self.contact(), expires(heard.method()));
        self.reply(heard, code, &local, &extra, "");
    }

    /// A dialog that someone else began.
    pub(super) fn accept(&mut self, heard: &Heard, name: &str) -> usize {
        self.count += 1;
        let index = self.dialogs.len();
        let local = format!(
            "{};tag={name}{}x{}",
            heard.header("to"),
            self.count,
            self.number
        );
        let from = heard.header("from").to_owned();
        let mut dialog = Dialog::new(
            heard.header("call-id").to_owned(),
            local,
            from,
            self.fresh_media(index),
        );
        dialog.target = heard.contact().unwrap_or_default();
        dialog.heard = heard.cseq();
        self.dialogs.push(dialog);
        index
    }

    /// An answer that is kept for repeats of the request.
    pub(super) fn reply(&mut self, heard: &Heard, code: u16, to: &str, extra: &str, body: &str) {
        let bytes = heard.answer(code, to, extra, body);
        self.answers.insert(heard.key(), bytes.clone());
        self.out.push(bytes);
    }

    /// A refusal inside a dialog.
    fn say_no(&mut self, now: Instant, dialog: usize, heard: &Heard, code: u16, extra: &str) {
        self.reply(heard, code, heard.header("to"), extra, "");
        if heard.method() == "INVITE" {
            self.await_ack(now, dialog, heard, false, false);
        }
    }

    /// A refusal of something new.
    fn refuse(&mut self, now: Instant, heard: &Heard, code: u16, extra: &str) {
        let to = format!("{};tag=no{}", heard.header("to"), self.number);
        self.reply(heard, code, &to, extra, "");
        if heard.method() == "INVITE" {
            self.await_ack(now, usize::MAX, heard, false, false);
        }
    }

    pub(super) fn await_ack(
        &mut self,
        now: Instant,
        dialog: usize,
        heard: &Heard,
        is_success: bool,
        is_late: bool,
    ) {
        let bytes = self.answers.get(&heard.key()).cloned().unwrap_or_default();
        self.unacked.push(Unacked {
            dialog,
            cseq: heard.cseq(),
            is_late,
            is_success,
            repeat: Repeat::new(now, &bytes, T2),
        });
    }

    fn find(&self, heard: &Heard) -> Option<usize> {
        let (call_id, ours) = (heard.header("call-id"), heard.tag("to"));
        let is_it = |dialog: &Dialog| dialog.call_id == call_id && tag(&dialog.local) == ours;
        self.dialogs.iter().position(is_it)
    }

    /// What it asks for if it wants that proven first.
    fn challenges(&mut self, heard: &Heard) -> Option<String> {
        let challenge = self.manner.challenge.clone()?;
        let method = heard.method();
        if !challenge.methods.contains(&method) {
            return None;
        }
        let (asks, says) = match challenge.code {
            407 => ("Proxy-Authenticate", "proxy-authorization"),
            _ => ("WWW-Authenticate", "authorization"),
        };
        let nonce = format!("n{}", self.nonces);
        let is_right = Credentials::parse(heard.header(says)).is_ok_and(|said| {
            said.username == "acct"
                && said.nonce == nonce
                && said.verify(challenge.password, method)
        });
        // Each is good for one.
        self.nonces += 1;
        let nonce = self.nonces;
        (!is_right)
            .then(|| format!("{asks}: Digest realm=\"r\", nonce=\"n{nonce}\", qop=\"auth\"\r\n"))
    }
}

fn expires(method: &str) -> &'static str {
    match method {
        "SUBSCRIBE" => "Expires: 600\r\n",
        _ => "",
    }
}
