//! What an agent does with answers.

use std::time::{Duration, Instant};

use super::agent::{Agent, Reliable};
use super::dialog::{State, tag};
use super::media::{Described, Said};
use super::transact::{Asked, Todo, Why};
use crate::heard::{GIVE_UP, Heard};

/// The longest that the box may ask to wait, in seconds.
const LONGEST_RETRY: u64 = 10;

impl Agent {
    pub(super) fn on_answer(&mut self, now: Instant, heard: &Heard, code: u16) {
        let is_of = |a: &Asked| a.branch == heard.branch() && a.method == heard.method();
        let index = self.asked.iter().position(is_of);
        if code < 200 {
            let Some(asked) = index.and_then(|index| self.asked.get_mut(index)) else {
                return;
            };
            if asked.method == "INVITE" {
                asked.repeat.arrived(now, GIVE_UP * 8);
            }
            let (dialog, is_call) = (asked.dialog, matches!(asked.why, Why::Call));
            if is_call {
                self.on_provisional(now, dialog, heard, code);
            }
            return;
        }
        let key = (
            heard.header("call-id").to_owned(),
            heard.cseq(),
            heard.tag("to").to_owned(),
        );
        let Some(index) = index else {
            // Its ACK was lost.
            if heard.method() == "INVITE" {
                self.out.extend(self.acks.get(&key).cloned());
            }
            return;
        };
        let asked = self.asked.remove(index);
        self.heard.push(format!("{code} {}", asked.method));
        if self.manner.insists {
            self.ask(now, asked.dialog, &asked.method, "", "", Why::Plain);
        }
        if asked.method == "INVITE" && code >= 300 {
            let target = self.dialogs[asked.dialog].target.clone();
            let to = heard.header("to");
            let ack = self.write(asked.dialog, "ACK", &asked.branch, asked.cseq, to, "", "");
            self.dialogs[asked.dialog].target = target;
            self.acks.insert(key, ack.clone());
            self.out.push(ack);
        }
        match code {
            200..300 => self.on_success(now, heard, asked),
            401 | 407 if !asked.is_proven && self.manner.account.is_some() => {
                self.say_again_with_proof(now, heard, asked);
            }
            422 if self.manner.timer.is_some() => self.say_again_for_longer(now, heard, asked),
            491 | 500 if self.dialogs[asked.dialog].state == State::Up => {
                self.try_again(now, heard, code, asked);
            }
            _ => {
                let state = self.dialogs[asked.dialog].state;
                // What is not the call's own may be gone without it.
                let is_own = !matches!(
                    asked.method.as_str(),
                    "PRACK" | "REFER" | "SUBSCRIBE" | "NOTIFY"
                );
                let is_gone = matches!(code, 408 | 481) && is_own;
                match (&asked.why, state) {
                    (Why::Call, State::Early) => self.end(asked.dialog, State::Refused(code)),
                    (_, State::Up) if is_gone => self.end(asked.dialog, State::Over),
                    _ => {}
                }
            }
        }
    }

    fn on_provisional(&mut self, now: Instant, dialog: usize, heard: &Heard, code: u16) {
        self.dialogs[dialog].invite.2 = true;
        if self.dialogs[dialog].cancels {
            self.send_cancel(now, dialog);
        }
        if code == 100 || self.dialogs[dialog].state != State::Early {
            return;
        }
        let is_reliable = heard.has("require", "100rel");
        match (self.manner.reliable, is_reliable) {
            (Reliable::No, true) => self.wrong.push("nobody asked for a PRACK".to_owned()),
            (Reliable::Required, false) => self.wrong.push("no PRACK is asked for".to_owned()),
            _ => {}
        }
        let by = heard.tag("to").to_owned();
        let found = &mut self.dialogs[dialog];
        if is_reliable {
            let rseq: u32 = heard.header("rseq").parse().expect("an RSeq");
            match found.rseqs.get(&by) {
                Some(&last) if rseq != last + 1 => return,
                _ => found.rseqs.insert(by.clone(), rseq),
            };
        }
        let is_first = !found.said.contains_key(&by);
        heard.header("to").clone_into(&mut found.remote);
        if let Some(contact) = heard.contact() {
            found.target = contact;
        }
        let mut note = code.to_string();
        if !heard.body.is_empty() {
            note.push('+');
            if let Err(wrong) = found.take(&heard.body) {
                self.wrong.push(wrong);
            }
        }
        if is_reliable {
            note.push('!');
        }
        self.heard.push(note);
        if is_reliable {
            self.send_prack(now, dialog, heard, is_first);
        }
    }

    fn send_prack(&mut self, now: Instant, dialog: usize, heard: &Heard, is_first: bool) {
        let mut proposed = None;
        let body = if heard.body.is_empty() {
            String::new()
        } else if self.manner.is_late {
            let offer = Described::read(&heard.body);
            self.dialogs[dialog].answer(&offer, self.manner.declines)
        } else if let Some(change) = self.manner.pracks_with.filter(|_| is_first) {
            let mut media = self.dialogs[dialog].media.clone();
            change(&mut media);
            let body = self.dialogs[dialog].describe(&media, None);
            proposed = Some(media);
            body
        } else {
            String::new()
        };
        let cseq = self.dialogs[dialog].invite.1;
        let rack = format!("RAck: {} {cseq} INVITE\r\n", heard.header("rseq"));
        self.ask(now, dialog, "PRACK", &rack, &body, Why::Prack(proposed));
    }

    fn on_success(&mut self, now: Instant, heard: &Heard, asked: Asked) {
        let dialog = asked.dialog;
        let is_over = matches!(self.dialogs[dialog].state, State::Over | State::Refused(_));
        if is_over && asked.method != "INVITE" || asked.method == "CANCEL" {
            return;
        }
        let is_target_refresh = matches!(asked.method.as_str(), "INVITE" | "UPDATE" | "SUBSCRIBE");
        let found = &mut self.dialogs[dialog];
        if is_target_refresh {
            heard.header("to").clone_into(&mut found.remote);
            match heard.contact() {
                Some(contact) => found.target = contact,
                None => self
                    .wrong
                    .push(format!("no Contact in the 200 to {}", asked.method)),
            }
        }
        let found = &mut self.dialogs[dialog];
        let mut offer = None;
        let by = tag(&found.remote).to_owned();
        let is_settled = matches!(asked.why, Why::Call) && found.said.contains_key(&by);
        if asked.method != "SUBSCRIBE" && !heard.body.is_empty() {
            match found.take(&heard.body) {
                Ok(described) => offer = Some(described),
                Err(wrong) => self.wrong.push(wrong),
            }
        } else if let Some(body) = found
            .said
            .get(&by)
            .filter(|_| matches!(asked.why, Why::Call))
        {
            // What was said reliably before holds.
            found.theirs = Some(Described::read(body));
        }
        if let (Why::Offer(..) | Why::Refresh, Some(answer)) = (&asked.why, &offer) {
            let own = Described::read(&found.body);
            let is_off = |streams: &[Said]| -> Vec<bool> {
                streams.iter().map(|stream| stream.port == 0).collect()
            };
            let (ours, theirs) = (is_off(&own.streams), is_off(&answer.streams));
            if ours.len() != theirs.len() || ours.iter().zip(&theirs).any(|(o, t)| *o && !*t) {
                self.wrong
                    .push(format!("{theirs:?} is no answer to {ours:?}"));
            }
        }
        let mut answer = String::new();
        match (&asked.why, offer) {
            (Why::Call, Some(offer)) if self.manner.is_late && !is_settled => {
                answer = found.answer(&offer, self.manner.declines);
            }
            (Why::Late(change), Some(offer)) => {
                found.media.fit(&offer, self.manner.declines);
                change(&mut found.media);
                let media = found.media.clone();
                answer = found.describe(&media, Some(&offer));
            }
            (Why::Offer(_, media) | Why::Prack(Some(media)), Some(_)) => {
                found.media = media.clone();
                found.agree();
            }
            (Why::Call, _) if !self.manner.is_late => found.agree(),
            (Why::Offer(..) | Why::Late(_), None) => {
                self.wrong
                    .push(format!("no SDP in the 200 to {}", asked.method));
            }
            _ => {}
        }
        if asked.method == "INVITE" {
            self.acknowledge(heard, &asked, &answer);
        }
        let was_cancelled = self.heard.iter().any(|line| line == "200 CANCEL")
            || self
                .asked
                .iter()
                .any(|a| a.dialog == dialog && a.method == "CANCEL")
            || self.dialogs[dialog].cancels;
        match asked.why {
            Why::Call if is_over => {}
            Why::Call => {
                self.dialogs[dialog].state = State::Up;
                self.agreed(now, dialog, heard);
                if was_cancelled {
                    // The 200 crossed our CANCEL.
                    self.asked.retain(|a| a.method != "CANCEL");
                    self.hang_up(now, dialog, "");
                }
            }
            Why::Plain if asked.method == "SUBSCRIBE" => {
                self.dialogs[dialog].state = State::Up;
            }
            Why::Offer(..) | Why::Late(_) | Why::Refresh if !is_over => {
                self.refreshes += usize::from(matches!(asked.why, Why::Refresh));
                self.agreed(now, dialog, heard);
            }
            _ => {}
        }
    }

    fn acknowledge(&mut self, heard: &Heard, asked: &Asked, answer: &str) {
        let branch = self.branch();
        let (cseq, to) = (asked.cseq, heard.header("to"));
        let ack = self.write(asked.dialog, "ACK", &branch, cseq, to, "", answer);
        let key = (
            heard.header("call-id").to_owned(),
            cseq,
            heard.tag("to").to_owned(),
        );
        self.acks.insert(key, ack.clone());
        if self.manner.loses_acks > 0 {
            self.manner.loses_acks -= 1;
        } else {
            self.out.push(ack);
        }
    }

    fn say_again_with_proof(&mut self, now: Instant, heard: &Heard, asked: Asked) {
        let Some((user, password)) = self.manner.account else {
            return;
        };
        let uri = format!("sip:{}", self.ours);
        let (offer, name) = match heard.header("www-authenticate") {
            "" => (heard.header("proxy-authenticate"), "Proxy-Authorization"),
            offer => (offer, "Authorization"),
        };
        match sbc::sip::digest::answer(offer, user, password, &asked.method, &uri, "cn") {
            Ok(value) => {
                let proof = format!("{name}: {value}\r\n");
                let Asked {
                    dialog,
                    method,
                    extra,
                    body,
                    why,
                    ..
                } = asked;
                self.prove(now, dialog, &method, &extra, &body, why, Some(&proof));
            }
            Err(error) => self
                .wrong
                .push(format!("a challenge that nobody can answer: {error}")),
        }
    }

    /// RFC 4028 7.3.
    fn say_again_for_longer(&mut self, now: Instant, heard: &Heard, asked: Asked) {
        let least = heard.header("min-se").parse().expect("a Min-SE");
        let timer = self.manner.timer.as_mut().expect("a timer");
        if least <= timer.interval {
            return self.wrong.push("422 without need".to_owned());
        }
        timer.interval = least;
        let Asked {
            dialog,
            method,
            extra,
            body,
            why,
            ..
        } = asked;
        self.ask(now, dialog, &method, &extra, &body, why);
    }

    /// RFC 3261 14.1: who owns the Call-ID waits longer.
    fn try_again(&mut self, now: Instant, heard: &Heard, code: u16, asked: Asked) {
        let dialog = asked.dialog;
        let (least, spread) = match (code, self.dialogs[dialog].calls) {
            (491, true) => (2100, 1900),
            (491, false) => (0, 2000),
            _ => match heard.header("retry-after").parse::<u64>() {
                Ok(wait) if wait <= LONGEST_RETRY => (wait * 1000, 0),
                _ => return,
            },
        };
        let method = if asked.method == "UPDATE" {
            "UPDATE"
        } else {
            "INVITE"
        };
        match asked.why {
            Why::Offer(change, _) => {
                self.later(now, least, spread, Todo::Offer(dialog, method, change))
            }
            Why::Late(change) => self.later(now, least, spread, Todo::Late(dialog, change)),
            Why::Refresh => {
                if let Some(session) = &mut self.dialogs[dialog].session {
                    session.refresh = Some(now + Duration::from_millis(least));
                }
            }
            _ => {}
        }
    }
}
