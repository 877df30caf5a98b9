//! What an agent makes of what it hears.

use std::time::{Duration, Instant};

use super::agent::{Agent, Asked};
use super::dialog::{Dialog, State, Unacked};
use crate::heard::{GIVE_UP, Heard, Repeat, T2};

impl Agent {
    pub(super) fn receive(&mut self, now: Instant, bytes: &[u8]) {
        let heard = Heard::read(bytes);
        match heard.code() {
            Some(code) => self.on_answer(now, &heard, code, bytes),
            None => self.on_request(now, &heard),
        }
    }

    fn find(&self, heard: &Heard, side: &str) -> Option<usize> {
        let tag = heard.tag(side);
        self.dialogs.iter().position(|dialog| {
            let ours = dialog.local.split_once(";tag=").map(|(_, tag)| tag);
            dialog.call_id == heard.header("call-id") && (tag.is_empty() || ours == Some(tag))
        })
    }

    fn on_request(&mut self, now: Instant, heard: &Heard) {
        let key = heard.key();
        if key.1 == "ACK" {
            return self.on_ack(now, heard);
        }
        if let Some(answer) = self.answers.get(&key) {
            let answer = answer.clone();
            return self.out.push(answer);
        }
        let Some(index) = self.find(heard, "to") else {
            if heard.tag("to").is_empty() && key.1 == "INVITE" {
                return self.on_new(heard);
            }
            return self.reply(heard, 481, "", "");
        };
        let is_first = heard.tag("to").is_empty();
        if key.1 == "CANCEL" {
            self.reply(heard, 200, "", "");
            if self.dialogs[index].state == State::Early {
                self.refuse(now, index, 487);
            }
            return;
        }
        if is_first {
            // The INVITE again (RFC 3261 17.2.1).
            if self.dialogs[index].invite.is_some() {
                self.out.push(self.dialogs[index].last.clone());
            }
            return;
        }
        let dialog = &mut self.dialogs[index];
        if heard.cseq() <= dialog.heard_cseq {
            // It was overtaken (RFC 3261 12.2.2).
            return self.no(now, heard, 500, "Retry-After: 1\r\n");
        }
        dialog.heard_cseq = heard.cseq();
        match (key.1.as_str(), dialog.state) {
            ("BYE", _) => {
                dialog.end();
                if let Some(invite) = dialog.invite.take() {
                    let to = dialog.local.clone();
                    self.decline(now, &invite, &to, 487);
                }
                self.reply(heard, 200, "", "");
            }
            (_, State::Over) => self.no(now, heard, 481, ""),
            ("PRACK", _) => self.on_prack(heard, index),
            ("INVITE" | "UPDATE", _) => self.on_offer(now, heard, index),
            _ => self.reply(heard, 200, "", ""),
        }
    }

    fn on_new(&mut self, heard: &Heard) {
        let name = self.next();
        let local = format!("{};tag=r{name}x{}", heard.header("to"), self.address.port());
        let target = heard.contact().expect("a Contact");
        let mut dialog = Dialog::new(
            heard.header("call-id").to_owned(),
            local,
            heard.header("from").to_owned(),
            target,
        );
        dialog.is_caller = false;
        dialog.heard_cseq = heard.cseq();
        dialog.cseq = 500;
        dialog.offered = !heard.body.is_empty();
        dialog.invite = Some(heard.clone());
        dialog.last = heard.answer(100, heard.header("to"), "", "");
        self.out.push(dialog.last.clone());
        self.dialogs.push(dialog);
    }

    fn on_prack(&mut self, heard: &Heard, index: usize) {
        let dialog = &mut self.dialogs[index];
        let rack = heard.header("rack");
        let is_it = dialog.unproven.as_ref().is_some_and(|unproven| {
            let number = rack.split(' ').next().unwrap_or_default();
            number == unproven.rseq.to_string()
        });
        if !is_it {
            return self.reply(heard, 481, "", "");
        }
        let unproven = dialog.unproven.take().expect("just seen");
        let mut body = String::new();
        if unproven.offers {
            assert!(!heard.body.is_empty(), "the PRACK has no answer");
            dialog.offering = false;
            dialog.settled = true;
        } else if !heard.body.is_empty() {
            body = self.describe(index);
        }
        self.reply(heard, 200, "", &body);
    }

    fn on_offer(&mut self, now: Instant, heard: &Heard, index: usize) {
        let is_invite = heard.method() == "INVITE";
        let dialog = &mut self.dialogs[index];
        let open = dialog.inviting || dialog.offering || dialog.offered;
        let early = dialog.unproven.is_some() || dialog.unacked.is_some();
        let offers = is_invite || !heard.body.is_empty();
        if is_invite && dialog.invite.is_some() {
            return self.no(now, heard, 500, "Retry-After: 1\r\n");
        }
        if offers && (open || early) {
            return self.no(now, heard, 491, "");
        }
        if !is_invite && !self.habits.updates {
            return self.no(now, heard, 405, "");
        }
        if let Some(target) = heard.contact() {
            dialog.target = target;
        }
        self.offers += u32::from(offers && !heard.body.is_empty());
        let every = self.habits.refuses;
        if offers && every > 0 && self.offers.is_multiple_of(every) {
            return self.no(now, heard, 488, "");
        }
        let body = match offers {
            true => self.describe(index),
            false => String::new(),
        };
        let extra = self.contact();
        if !is_invite {
            return self.reply(heard, 200, &extra, &body);
        }
        if self.habits.rings_again {
            let to = self.dialogs[index].local.clone();
            self.out.push(heard.answer(180, &to, &extra, ""));
        }
        self.accept(now, index, heard, &extra, &body);
    }

    /// A 2xx to an INVITE, until its ACK.
    pub(super) fn accept(
        &mut self,
        now: Instant,
        index: usize,
        invite: &Heard,
        extra: &str,
        body: &str,
    ) {
        let dialog = &mut self.dialogs[index];
        let offers = invite.body.is_empty() && !body.is_empty();
        dialog.offered = false;
        dialog.offering = offers;
        dialog.settled |= !offers;
        let to = dialog.local.clone();
        let bytes = invite.answer(200, &to, extra, body);
        dialog.unacked = Some(Unacked {
            cseq: invite.cseq(),
            offers,
            repeat: Repeat::new(now, &bytes, T2),
        });
        self.answers.insert(invite.key(), bytes.clone());
        self.out.push(bytes);
    }

    fn on_ack(&mut self, now: Instant, heard: &Heard) {
        let branch = heard.key().0;
        self.refusals.retain(|(b, _)| *b != branch);
        let Some(index) = self.find(heard, "to") else {
            return;
        };
        let dialog = &mut self.dialogs[index];
        let is_it = |unacked: &mut Unacked| unacked.cseq == heard.cseq();
        if let Some(unacked) = dialog.unacked.take_if(is_it)
            && unacked.offers
        {
            dialog.offering = false;
            dialog.settled |= !heard.body.is_empty();
            // Who hung up before his ACK came has answered nothing: a BYE follows.
            if heard.body.is_empty() && dialog.state != State::Over {
                dialog.unanswered = Some(now);
            }
        }
    }

    fn on_answer(&mut self, now: Instant, heard: &Heard, code: u16, bytes: &[u8]) {
        let key = heard.key();
        if code >= 200 {
            let first = self.finals.entry(key.clone());
            let first = first.or_insert_with(|| bytes.to_vec());
            // The 200 to a CANCEL has the tag that the INVITE's answers have, once there is one.
            let is_same = first == bytes || key.1 == "CANCEL" && first.starts_with(b"SIP/2.0 200");
            assert!(is_same, "{key:?} is answered twice: {:?}", self.done);
        }
        let Some(at) = self.asked.iter().position(|asked| asked.key == key) else {
            if let Some((since, ack)) = self.acks.get(&key) {
                // Its ACK was lost, or is not due yet.
                if now >= *since {
                    let ack = ack.clone();
                    self.out.push(ack);
                }
            }
            return;
        };
        if code < 200 {
            let asked = &mut self.asked[at];
            if key.1 == "INVITE" {
                asked.repeat.arrived(now, GIVE_UP * 10);
            }
            let index = asked.dialog;
            return self.on_provisional(now, heard, code, index);
        }
        let asked = self.asked.remove(at);
        match key.1.as_str() {
            "INVITE" if code < 300 => self.on_taken(now, heard, &asked),
            "INVITE" => self.on_declined(now, heard, code, &asked),
            method => {
                let dialog = &mut self.dialogs[asked.dialog];
                if asked.offers {
                    dialog.offering = false;
                }
                self.done.push(format!("{method} {code}"));
                if matches!(code, 408 | 481) && matches!(method, "UPDATE" | "INFO") {
                    dialog.end();
                }
            }
        }
    }

    fn on_provisional(&mut self, now: Instant, heard: &Heard, code: u16, index: usize) {
        let dialog = &mut self.dialogs[index];
        dialog.rings = true;
        if code == 100 || dialog.state != State::Early || dialog.cancelled {
            return;
        }
        let is_reliable = heard.has("require", "100rel");
        if let Some(contact) = heard.contact() {
            dialog.target = contact;
        }
        // Of several early dialogs the latest is followed.
        if dialog.remote != heard.header("to") {
            heard.header("to").clone_into(&mut dialog.remote);
            dialog.heard_rseq = None;
        }
        if !is_reliable {
            return;
        }
        let rseq: u32 = heard.header("rseq").parse().expect("an RSeq");
        if dialog.heard_rseq.is_some_and(|last| rseq != last + 1) {
            return;
        }
        dialog.heard_rseq = Some(rseq);
        let mut body = String::new();
        if !heard.body.is_empty() {
            if !dialog.offering && !dialog.settled {
                body = self.describe(index);
            }
            let dialog = &mut self.dialogs[index];
            dialog.offering = false;
            dialog.settled = true;
        }
        let cseq = self.dialogs[index].invite_cseq(&self.asked);
        let rack = format!("RAck: {rseq} {cseq} INVITE\r\n");
        self.ask(now, index, "PRACK", &rack, &body);
    }

    fn on_taken(&mut self, now: Instant, heard: &Heard, asked: &Asked) {
        let index = asked.dialog;
        let dialog = &mut self.dialogs[index];
        let was_called_off = dialog.cancelled && dialog.state == State::Early;
        dialog.inviting = false;
        if let Some(contact) = heard.contact() {
            dialog.target = contact;
        }
        heard.header("to").clone_into(&mut dialog.remote);
        let is_over = dialog.state == State::Over;
        if !is_over {
            dialog.state = State::Up;
        }
        let answers = asked.is_late && !heard.body.is_empty() && {
            let first = dialog.cseq_is_first(asked.cseq);
            !first || !dialog.settled
        };
        dialog.offering = false;
        dialog.settled = true;
        let body = match answers {
            true => self.describe(index),
            false => String::new(),
        };
        let branch = format!("z9hG4bKa{}x{}", self.address.port(), self.next());
        let ack = self.write(index, "ACK", &branch, asked.cseq, "", &body);
        let wait = Duration::from_millis(self.habits.acks_after);
        self.acks
            .insert(asked.key.clone(), (now + wait, ack.clone()));
        match was_called_off {
            true => self.out.push(ack),
            false => self.after(now, ack),
        }
        self.done.push("INVITE taken".to_owned());
        if was_called_off && !is_over {
            self.hang_up(now, index);
        }
    }

    fn on_declined(&mut self, now: Instant, heard: &Heard, code: u16, asked: &Asked) {
        let index = asked.dialog;
        // Its ACK has its branch and its URI (RFC 3261 17.1.1.3), and the tag that it came with.
        let before = self.dialogs[index].remote.clone();
        let said = String::from_utf8_lossy(&asked.repeat.bytes);
        let uri = said.split(' ').nth(1).unwrap_or_default().to_owned();
        let target = std::mem::replace(&mut self.dialogs[index].target, uri);
        heard
            .header("to")
            .clone_into(&mut self.dialogs[index].remote);
        let first = self.dialogs[index].state == State::Early;
        let ack = self.write(index, "ACK", &asked.key.0, asked.cseq, "", "");
        self.dialogs[index].remote = before;
        self.dialogs[index].target = target;
        self.acks.insert(asked.key.clone(), (now, ack.clone()));
        self.out.push(ack);
        let dialog = &mut self.dialogs[index];
        dialog.inviting = false;
        dialog.offering = false;
        self.done.push(format!("INVITE {code}"));
        if first || matches!(code, 408 | 481) {
            dialog.end();
        }
    }

    fn reply(&mut self, heard: &Heard, code: u16, extra: &str, body: &str) {
        let to = match (heard.tag("to"), self.find(heard, "to")) {
            ("", Some(index)) => self.dialogs[index].local.clone(),
            _ => heard.header("to").to_owned(),
        };
        let bytes = heard.answer(code, &to, extra, body);
        self.answers.insert(heard.key(), bytes.clone());
        self.out.push(bytes);
    }

    /// A refusal; of an INVITE it is repeated until its ACK.
    fn no(&mut self, now: Instant, heard: &Heard, code: u16, extra: &str) {
        if heard.method() == "INVITE" {
            let bytes = heard.answer(code, heard.header("to"), extra, "");
            let repeat = Repeat::new(now, &bytes, T2);
            self.refusals.push((heard.key().0, repeat));
        }
        self.reply(heard, code, extra, "");
    }
}

impl Dialog {
    /// The first INVITE of a caller has the number 1.
    fn cseq_is_first(&self, cseq: u32) -> bool {
        self.is_caller && cseq == 1
    }

    fn invite_cseq(&self, asked: &[Asked]) -> u32 {
        let invite = asked.iter().find(|a| a.key.1 == "INVITE");
        invite.map_or(1, |invite| invite.cseq)
    }
}
