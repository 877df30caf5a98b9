//! An agent's transactions: what is sent again until something comes back.

use std::time::Instant;

use super::agent::Agent;
use super::dialog::{Dialog, State};
use super::media::{Change, Media};
use crate::heard::{GIVE_UP, Repeat, T2, finish};

/// What a request is for.
#[derive(Clone, Debug)]
pub(super) enum Why {
    /// Begins a call.
    Call,
    /// Offers this.
    Offer(Change, Media),
    /// Asks for an offer.
    Late(Change),
    /// Refreshes the session.
    Refresh,
    /// Acknowledges, and offers this if there is one.
    Prack(Option<Media>),
    /// Anything else.
    Plain,
}

/// A request without a final answer.
pub(super) struct Asked {
    pub(super) dialog: usize,
    pub(super) method: String,
    pub(super) branch: String,
    pub(super) cseq: u32,
    pub(super) extra: String,
    pub(super) body: String,
    pub(super) why: Why,
    pub(super) is_proven: bool,
    pub(super) repeat: Repeat,
}

impl Asked {
    pub(super) fn offers(&self) -> bool {
        self.method == "INVITE" || matches!(self.why, Why::Offer(..) | Why::Prack(Some(_)))
    }
}

/// A final answer to an INVITE that waits for its ACK.
pub(super) struct Unacked {
    pub(super) dialog: usize,
    pub(super) cseq: u32,
    /// It made the offer.
    pub(super) is_late: bool,
    pub(super) is_success: bool,
    pub(super) repeat: Repeat,
}

/// What is to be done at its time.
#[derive(Clone, Debug)]
pub(super) enum Todo {
    Offer(usize, &'static str, Change),
    Late(usize, Change),
    /// The next thing to say to that INVITE.
    Step(usize, super::agent::Step),
}

impl Todo {
    pub(super) fn dialog(&self) -> Option<usize> {
        match self {
            Todo::Offer(dialog, ..) | Todo::Late(dialog, _) => Some(*dialog),
            Todo::Step(..) => None,
        }
    }
}

impl Agent {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if self.is_dead {
            return None;
        }
        let asked = self.asked.iter().map(|asked| asked.repeat.wakes());
        let unacked = self.unacked.iter().map(|u| u.repeat.wakes());
        let unpracked = self.incoming.iter().filter_map(|i| i.poll_timeout());
        let todo = self.todo.iter().map(|(at, _)| *at);
        let sessions = self.dialogs.iter().filter_map(|dialog| dialog.session);
        let sessions = sessions.flat_map(|s| [Some(s.end), s.refresh]).flatten();
        let all = asked.chain(unacked).chain(unpracked).chain(todo);
        all.chain(sessions).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.is_dead {
            return;
        }
        let mut lost = Vec::new();
        for asked in &mut self.asked {
            self.out.extend(asked.repeat.due(now));
        }
        self.asked.retain(|asked| {
            let is_over = asked.repeat.is_over(now);
            if is_over {
                lost.push(format!("{} had no answer", asked.method));
            }
            !is_over
        });
        for unacked in &mut self.unacked {
            self.out.extend(unacked.repeat.due(now));
        }
        self.unacked.retain(|unacked| {
            let is_over = unacked.repeat.is_over(now);
            if is_over && unacked.is_success {
                lost.push("an ACK never came".to_owned());
            }
            !is_over
        });
        self.wrong.extend(lost);
        self.repeat_provisional(now);
        self.handle_sessions(now);
        while let Some(index) = self.todo.iter().position(|(at, _)| *at <= now) {
            let (_, todo) = self.todo.remove(index);
            match todo {
                Todo::Step(incoming, step) => self.step(now, incoming, step),
                again => self.waiting.push_front(again),
            }
        }
        self.go_on(now);
    }

    pub(super) fn ask(
        &mut self,
        now: Instant,
        dialog: usize,
        method: &str,
        extra: &str,
        body: &str,
        why: Why,
    ) {
        self.prove(now, dialog, method, extra, body, why, None);
    }

    #[expect(clippy::too_many_arguments, reason = "what a request is made of")]
    pub(super) fn prove(
        &mut self,
        now: Instant,
        dialog: usize,
        method: &str,
        extra: &str,
        body: &str,
        why: Why,
        proof: Option<&str>,
    ) {
        let branch = self.branch();
        self.dialogs[dialog].cseq += 1;
        let cseq = self.dialogs[dialog].cseq;
        let mut lines = format!("{extra}{}", proof.unwrap_or_default());
        if matches!(why, Why::Call) {
            self.dialogs[dialog].invite = (branch.clone(), cseq, false);
            lines += self.of_100rel();
            lines += self.manner.lines;
        }
        if matches!(method, "INVITE" | "UPDATE") {
            lines += &self.timer_of_request(dialog);
        }
        let to = self.dialogs[dialog].remote.clone();
        let bytes = self.write(dialog, method, &branch, cseq, &to, &lines, body);
        let longest = if method == "INVITE" { GIVE_UP } else { T2 };
        self.asked.push(Asked {
            dialog,
            method: method.to_owned(),
            branch,
            cseq,
            extra: extra.to_owned(),
            body: body.to_owned(),
            why,
            is_proven: proof.is_some(),
            repeat: Repeat::new(now, &bytes, longest),
        });
        self.out.push(bytes);
    }

    pub(super) fn send_cancel(&mut self, now: Instant, dialog: usize) {
        self.dialogs[dialog].cancels = false;
        let (branch, cseq, _) = self.dialogs[dialog].invite.clone();
        // As the INVITE was: without the tag that has come since.
        let to = format!("<{}>", self.request_uri(dialog));
        let bytes = self.write(dialog, "CANCEL", &branch, cseq, &to, "", "");
        self.asked.push(Asked {
            dialog,
            method: "CANCEL".to_owned(),
            branch,
            cseq,
            extra: String::new(),
            body: String::new(),
            why: Why::Plain,
            is_proven: true,
            repeat: Repeat::new(now, &bytes, T2),
        });
        self.out.push(bytes);
    }

    #[expect(clippy::too_many_arguments, reason = "what a message is made of")]
    pub(super) fn write(
        &self,
        dialog: usize,
        method: &str,
        branch: &str,
        cseq: u32,
        to: &str,
        extra: &str,
        body: &str,
    ) -> Vec<u8> {
        let Dialog {
            call_id,
            local,
            target,
            state,
            ..
        } = &self.dialogs[dialog];
        let target = match method {
            "CANCEL" => self.request_uri(dialog),
            _ => target.clone(),
        };
        let forwards = match (method, state) {
            ("INVITE", State::Early) => self.manner.forwards,
            _ => 70,
        };
        let (address, contact) = (self.address, self.contact());
        let text = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch={branch};rport\r\nMax-Forwards: {forwards}\r\n\
             From: {local}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n{contact}{extra}"
        );
        finish(text, method, body)
    }

    /// What its INVITE was sent to.
    fn request_uri(&self, dialog: usize) -> String {
        let remote = &self.dialogs[dialog].remote;
        let inner = remote
            .split_once('<')
            .and_then(|(_, rest)| rest.split_once('>'));
        inner.map_or(String::new(), |(uri, _)| uri.to_owned())
    }

    /// Contact and Allow.
    pub(super) fn contact(&self) -> String {
        let update = if self.manner.updates { ", UPDATE" } else { "" };
        format!(
            "Contact: <sip:user@{}>\r\nAllow: INVITE, ACK, CANCEL, BYE, PRACK, INFO, MESSAGE, NOTIFY, REFER{update}\r\n",
            self.address
        )
    }

    pub(super) fn branch(&mut self) -> String {
        self.count += 1;
        format!("z9hG4bKs{}x{}", self.number, self.count)
    }
}
