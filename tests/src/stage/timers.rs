//! Session timers (RFC 4028), as an agent keeps them.

use std::time::{Duration, Instant};

use super::agent::Agent;
use super::dialog::{Session, State};
use super::transact::Why;
use crate::heard::{GIVE_UP, Heard, param};

impl Agent {
    pub(super) fn handle_sessions(&mut self, now: Instant) {
        for dialog in 0..self.dialogs.len() {
            let Some(session) = &mut self.dialogs[dialog].session else {
                continue;
            };
            if session.end <= now {
                self.dialogs[dialog].session = None;
                self.wrong
                    .push("a session ran out without a BYE".to_owned());
            } else if session.refresh.take_if(|at| *at <= now).is_some() {
                self.refresh(now, dialog);
            }
        }
    }

    fn refresh(&mut self, now: Instant, dialog: usize) {
        if self.manner.timer.is_some_and(|timer| timer.forgets) {
            return;
        }
        if self.is_busy(dialog) {
            if let Some(session) = &mut self.dialogs[dialog].session {
                session.refresh = Some(now + Duration::from_secs(1));
            }
            return;
        }
        let (method, body) = match self.manner.updates {
            true => ("UPDATE", String::new()),
            false => ("INVITE", {
                let media = self.dialogs[dialog].media.clone();
                self.dialogs[dialog].describe(&media, None)
            }),
        };
        self.ask(now, dialog, method, "", &body, Why::Refresh);
    }

    pub(super) fn timer_of_request(&self, dialog: usize) -> String {
        let Some(timer) = self.manner.timer else {
            return String::new();
        };
        let role = match (&self.dialogs[dialog].session, timer.refreshes) {
            // What was agreed upon stays; only who refreshes asks again.
            (Some(session), _) if session.refresh.is_none() && !timer.refreshes => "uas",
            (Some(_), _) | (None, true) => "uac",
            (None, false) => "uas",
        };
        format!(
            "Supported: timer\r\nSession-Expires: {};refresher={role}\r\nMin-SE: {}\r\n",
            timer.interval, timer.least
        )
    }

    /// What it takes at least, if this is less.
    pub(super) fn too_short(&self, heard: &Heard) -> Option<u32> {
        let timer = self.manner.timer?;
        (interval(heard)? < timer.least).then_some(timer.least)
    }

    /// What its 200 says of the timer.
    pub(super) fn agree(&mut self, now: Instant, dialog: usize, heard: &Heard) -> String {
        let (Some(timer), Some(asked)) = (self.manner.timer, interval(heard)) else {
            return String::new();
        };
        let interval = asked.min(timer.interval.max(timer.least));
        let mine = match param(heard.header("session-expires"), "refresher") {
            Some("uac") => false,
            Some("uas") => true,
            _ => timer.refreshes,
        };
        self.keep_session(now, dialog, interval, mine);
        match mine {
            true => format!("Session-Expires: {interval};refresher=uas\r\n"),
            false => format!("Require: timer\r\nSession-Expires: {interval};refresher=uac\r\n"),
        }
    }

    /// What the box's 200 says of it.
    pub(super) fn agreed(&mut self, now: Instant, dialog: usize, heard: &Heard) {
        let Some(interval) = interval(heard) else {
            self.dialogs[dialog].session = None;
            return;
        };
        if self.manner.timer.is_none() {
            return self
                .wrong
                .push("it does not know session timers".to_owned());
        }
        let mine = param(heard.header("session-expires"), "refresher") == Some("uac");
        if heard.has("require", "timer") != mine {
            self.wrong
                .push("a timer is required exactly of who refreshes".to_owned());
        }
        self.keep_session(now, dialog, interval, mine);
    }

    fn keep_session(&mut self, now: Instant, dialog: usize, interval: u32, mine: bool) {
        if matches!(self.dialogs[dialog].state, State::Over | State::Refused(_)) {
            return;
        }
        let whole = Duration::from_secs(interval.into());
        self.dialogs[dialog].session = Some(Session {
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
