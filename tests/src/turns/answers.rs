//! What an agent says to requests and answers of the box.

use std::time::{Duration, Instant};

use rand_core::RngCore as _;

use super::agent::{Agent, Asked, Fact, Session, Turn, Unacked};
use super::text::{Described, GIVE_UP, Heard, Repeat, T2, param};

/// How often a turn is tried again.
const LONGEST_RETRY: u64 = 10;

impl Agent {
    pub(super) fn on_request(&mut self, now: Instant, heard: &Heard) {
        let key = (heard.branch().to_owned(), heard.method().to_owned());
        if heard.method() == "ACK" {
            return self.on_ack(now, heard);
        }
        if let Some(answer) = self.answers.get(&key) {
            self.out.push(answer.clone());
            return;
        }
        if !heard.has_tag("to") {
            self.call_id = heard.header("call-id").to_owned();
            let (_, tag) = self.local.rsplit_once(';').expect("a tag");
            self.local = format!("{};{tag}", heard.header("to"));
            self.remote = heard.header("from").to_owned();
        }
        if heard.cseq() < self.remote_cseq {
            return self.reply(now, heard, 500, "", "");
        }
        self.remote_cseq = heard.cseq();
        match heard.method() {
            "BYE" => {
                self.reply(now, heard, 200, "", "");
                self.forget();
                if !std::mem::replace(&mut self.is_over, true) {
                    let reason = heard.header("reason").to_owned();
                    self.facts.push(Fact::TheyHungUp(reason));
                }
            }
            _ if self.is_over => self.reply(now, heard, 481, "", ""),
            "INVITE" | "UPDATE" => self.on_offer(now, heard),
            method => panic!("{method} was not expected"),
        }
    }

    fn on_offer(&mut self, now: Instant, heard: &Heard) {
        let is_invite = heard.method() == "INVITE";
        let offers = is_invite || !heard.body.is_empty();
        let mine = self.asked.iter().any(|asked| asked.offers);
        let is_first = !heard.has_tag("to");
        let waits = self.unacked.as_ref().is_some_and(|u| u.is_success);
        if offers && !is_first && (mine || waits) {
            return self.reply(now, heard, 491, "", "");
        }
        assert!(is_invite || self.plan.updates, "it does not take UPDATE");
        if let Some(least) = self.too_short(heard) {
            let extra = format!("Min-SE: {least}\r\n");
            return self.reply(now, heard, 422, &extra, "");
        }
        let is_refresh = heard.body == self.their_body || !offers;
        if let Some(code) = self.plan.refuses.filter(|_| !is_first && !is_refresh) {
            return self.reply(now, heard, code, "", "");
        }
        let is_late = is_invite && heard.body.is_empty();
        if is_late && self.plan.makes_no_late_offer {
            return self.reply(now, heard, 488, "", "");
        }
        self.target = heard.contact();
        if !is_first && is_refresh && !is_late {
            self.facts
                .push(Fact::WasRefreshed(heard.method().to_owned()));
        }
        if !heard.body.is_empty() {
            self.take(&heard.body);
        }
        let body = match offers {
            true => self.describe(false),
            false => String::new(),
        };
        let extra = format!("{}{}", self.contact(), self.agree(now, heard));
        self.reply(now, heard, 200, &extra, &body);
        if let Some(unacked) = &mut self.unacked {
            unacked.late = is_late;
        }
    }

    fn on_ack(&mut self, now: Instant, heard: &Heard) {
        let cseq = heard.cseq();
        let Some(unacked) = self.unacked.take_if(|unacked| unacked.cseq == cseq) else {
            return;
        };
        if !unacked.is_success || self.is_over {
            return;
        }
        if unacked.late {
            self.take(&heard.body);
        }
        self.up(now);
    }

    pub(super) fn on_answer(&mut self, now: Instant, heard: &Heard, code: u16) {
        let is_of =
            |asked: &Asked| asked.branch == heard.branch() && asked.method == heard.method();
        let index = self.asked.iter().position(is_of);
        if code < 200 {
            if let Some(asked) = index.and_then(|index| self.asked.get_mut(index)) {
                asked.repeat.arrived(now);
            }
            return;
        }
        let Some(index) = index else {
            // Its ACK was lost.
            if heard.method() == "INVITE" {
                self.out.extend(self.acks.get(&heard.cseq()).cloned());
            }
            return;
        };
        let asked = self.asked.remove(index);
        if asked.method == "INVITE" {
            self.acknowledge(heard, code, &asked);
        }
        match (asked.method.as_str(), code) {
            ("BYE", _) => self.facts.push(Fact::HungUp),
            (_, 200..300) => self.on_success(now, heard, &asked),
            // Another interval (RFC 4028 7.3).
            (method, 422) => {
                let least = heard.header("min-se").parse().expect("a Min-SE");
                let timer = self.plan.timer.as_mut().expect("a timer");
                assert!(least > timer.interval);
                timer.interval = least;
                let (method, offers) = (method.to_owned(), asked.offers);
                self.ask(now, &method, asked.turn, offers);
            }
            (_, 491 | 500) if self.is_up => {
                let random = u64::from(self.random.next_u32());
                // RFC 3261 14.1: who owns the Call-ID waits longer.
                let wait = match (code, self.plan.calls) {
                    (491, true) => 2_100 + random % 191 * 10,
                    (491, false) => random % 201 * 10,
                    _ => {
                        let wait: u64 = heard.header("retry-after").parse().expect("a number");
                        assert!(wait <= LONGEST_RETRY);
                        wait * 1000
                    }
                };
                let at = now + Duration::from_millis(wait);
                match (asked.turn, &mut self.session) {
                    // What it says by then is what it wants by then.
                    (Some(Turn::Move), _) => {
                        self.port -= 10;
                        self.todo.push((at, Turn::Move));
                    }
                    (Some(turn), _) => self.todo.push((at, turn)),
                    (None, Some(session)) => session.refresh = Some(at),
                    (None, None) => {}
                }
            }
            (_, _) => {
                match asked.turn {
                    Some(turn) => {
                        // It stays as it was.
                        match turn {
                            Turn::Move => self.port -= 10,
                            Turn::Hold | Turn::HoldInactive | Turn::HoldOldStyle => {
                                self.hold = None;
                            }
                            _ => {}
                        }
                        self.facts.push(Fact::Refused(turn, code));
                    }
                    None => self.facts.push(Fact::Failed(code)),
                }
                self.is_over |= !self.is_up || matches!(code, 408 | 481);
                if self.is_over {
                    self.forget();
                }
            }
        }
    }

    fn on_success(&mut self, now: Instant, heard: &Heard, asked: &Asked) {
        self.remote = heard.header("to").to_owned();
        self.target = heard.contact();
        if !heard.body.is_empty() {
            self.take(&heard.body);
        }
        self.agreed(now, heard);
        match asked.turn {
            Some(turn) => self.facts.push(Fact::Taken(turn)),
            None if self.is_up => self.facts.push(Fact::Refreshed),
            None => {}
        }
        self.up(now);
    }

    fn acknowledge(&mut self, heard: &Heard, code: u16, asked: &Asked) {
        let is_success = code < 300;
        let branch = match is_success {
            true => format!("z9hG4bK{:016x}", self.random.next_u64()),
            false => asked.branch.clone(),
        };
        if is_success {
            self.remote = heard.header("to").to_owned();
            self.target = heard.contact();
        }
        let is_late = matches!(asked.turn, Some(Turn::Late | Turn::LateMove));
        if is_success && asked.turn == Some(Turn::LateMove) {
            self.port += 10;
        }
        let body = match is_late && is_success {
            true => self.describe(asked.turn == Some(Turn::LateMove)),
            false => String::new(),
        };
        let before = std::mem::replace(&mut self.remote, heard.header("to").to_owned());
        let ack = self.write("ACK", asked.cseq, &branch, &body);
        if !is_success {
            self.remote = before;
        }
        self.acks.insert(asked.cseq, ack.clone());
        self.out.push(ack);
    }

    fn reply(&mut self, now: Instant, heard: &Heard, code: u16, extra: &str, body: &str) {
        let to = match heard.has_tag("to") {
            true => heard.header("to").to_owned(),
            false => self.local.clone(),
        };
        let retry = if code == 500 {
            "Retry-After: 1\r\n"
        } else {
            ""
        };
        let bytes = heard.answer(code, &to, &format!("{extra}{retry}"), body);
        let key = (heard.branch().to_owned(), heard.method().to_owned());
        self.answers.insert(key, bytes.clone());
        // One that is refused while another waits for its ACK is only said once.
        if heard.method() == "INVITE" && (self.unacked.is_none() || code < 300) {
            self.unacked = Some(Unacked {
                cseq: heard.cseq(),
                late: false,
                is_success: code < 300,
                repeat: Repeat::new(now, &bytes, T2),
            });
        }
        self.out.push(bytes);
    }

    /// A description of the box's: its version rises exactly when it says something else.
    fn take(&mut self, body: &str) {
        let new = Described::read(body);
        if let Some(old) = &self.theirs {
            if body == self.their_body {
                assert_eq!(new.version, old.version);
            } else {
                assert!(new.version > old.version, "{body}\n{}", self.their_body);
            }
        }
        self.theirs = Some(new);
        body.clone_into(&mut self.their_body);
    }

    pub(super) fn timer_of_request(&self) -> String {
        let Some(timer) = self.plan.timer else {
            return String::new();
        };
        let role = match (&self.session, timer.refreshes) {
            // What was agreed upon stays; only who refreshes asks again.
            (Some(session), _) if session.refresh.is_none() && !timer.refreshes => ";refresher=uas",
            (Some(_), _) | (None, true) => ";refresher=uac",
            (None, false) => ";refresher=uas",
        };
        format!(
            "Supported: timer\r\nSession-Expires: {}{role}\r\nMin-SE: {}\r\n",
            timer.interval, timer.least
        )
    }

    fn too_short(&self, heard: &Heard) -> Option<u32> {
        let timer = self.plan.timer?;
        let interval = interval(heard)?;
        (interval < timer.least).then_some(timer.least)
    }

    /// What its 200 says of the timer.
    fn agree(&mut self, now: Instant, heard: &Heard) -> String {
        let (Some(timer), Some(asked)) = (self.plan.timer, interval(heard)) else {
            return String::new();
        };
        let interval = asked.min(timer.interval.max(timer.least));
        let role = param(heard.header("session-expires"), "refresher");
        let mine = match role {
            Some("uac") => false,
            Some("uas") => true,
            _ => timer.refreshes,
        };
        self.begin(now, interval, mine);
        match mine {
            true => format!("Session-Expires: {interval};refresher=uas\r\n"),
            false => format!("Require: timer\r\nSession-Expires: {interval};refresher=uac\r\n"),
        }
    }

    /// What the box's 200 says of it.
    fn agreed(&mut self, now: Instant, heard: &Heard) {
        let Some(interval) = interval(heard) else {
            self.session = None;
            return;
        };
        assert!(self.plan.timer.is_some(), "it does not know session timers");
        let mine = param(heard.header("session-expires"), "refresher") == Some("uac");
        assert_eq!(heard.header("require") == "timer", mine);
        self.begin(now, interval, mine);
    }

    fn begin(&mut self, now: Instant, interval: u32, mine: bool) {
        let whole = Duration::from_secs(interval.into());
        self.session = Some(Session {
            refresh: mine.then(|| now + whole / 2),
            // The box hangs up before that; its BYE may be lost for a while.
            end: now + whole + GIVE_UP,
        });
    }
}

fn interval(heard: &Heard) -> Option<u32> {
    let value = heard.header("session-expires");
    value.split(';').next()?.trim().parse().ok()
}
