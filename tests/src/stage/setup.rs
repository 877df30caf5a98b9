//! An agent that is called: any number of early dialogs, answers that want a PRACK (RFC 3262), CANCEL.

use std::time::{Duration, Instant};

use super::agent::{Agent, Reliable, Step};
use super::dialog::State;
use super::media::Described;
use super::transact::Todo;
use crate::heard::{GIVE_UP, Heard, Repeat};

/// An INVITE that is being answered.
pub(super) struct Incoming {
    heard: Heard,
    forks: Vec<Fork>,
    is_over: bool,
}

/// One early dialog.
struct Fork {
    tag: &'static str,
    dialog: usize,
    rseq: u32,
    /// Number, whether it has SDP, and itself.
    unpracked: Option<(u32, bool, Repeat)>,
    /// Offer and answer are exchanged and acknowledged.
    is_settled: bool,
    is_final: bool,
}

impl Incoming {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let open = self.forks.iter().filter_map(|fork| fork.unpracked.as_ref());
        open.map(|(_, _, repeat)| repeat.wakes()).min()
    }

    fn fork(&mut self, dialog: usize) -> Option<&mut Fork> {
        self.forks.iter_mut().find(|fork| fork.dialog == dialog)
    }

    fn calm(&mut self) {
        for fork in &mut self.forks {
            fork.unpracked = None;
        }
    }
}

impl Agent {
    pub(super) fn on_call(&mut self, now: Instant, heard: &Heard) {
        let offer = (!heard.body.is_empty()).then(|| Described::read(&heard.body));
        let steps = self.manner.steps.clone();
        let mut forks: Vec<Fork> = Vec::new();
        for step in &steps {
            let at = now + Duration::from_millis(step.after);
            self.todo.push((at, Todo::Step(self.incoming.len(), *step)));
            if forks.iter().any(|fork| fork.tag == step.tag) {
                continue;
            }
            let dialog = self.accept(heard, step.tag);
            if let Some(offer) = &offer {
                let dialog = &mut self.dialogs[dialog];
                dialog.media.fit(offer, self.manner.declines);
                if let Err(wrong) = dialog.take(&heard.body) {
                    self.wrong.push(wrong);
                }
            }
            forks.push(Fork {
                tag: step.tag,
                dialog,
                rseq: 7000,
                unpracked: None,
                is_settled: false,
                is_final: false,
            });
        }
        self.reply(heard, 100, heard.header("to"), "", "");
        self.incoming.push(Incoming {
            heard: heard.clone(),
            forks,
            is_over: false,
        });
    }

    pub(super) fn repeat_provisional(&mut self, now: Instant) {
        for fork in self.incoming.iter_mut().flat_map(|i| &mut i.forks) {
            let Some((_, _, repeat)) = &mut fork.unpracked else {
                continue;
            };
            self.out.extend(repeat.due(now));
            if repeat.is_over(now) {
                fork.unpracked = None;
                self.wrong.push("a PRACK never came".to_owned());
            }
        }
    }

    pub(super) fn step(&mut self, now: Instant, index: usize, step: Step) {
        let incoming = &mut self.incoming[index];
        let heard = incoming.heard.clone();
        let is_over = incoming.is_over;
        let found = incoming.forks.iter_mut().find(|fork| fork.tag == step.tag);
        let Some(fork) = found.filter(|fork| !is_over && !fork.is_final) else {
            return;
        };
        let knows = heard.has("supported", "100rel") || heard.has("require", "100rel");
        let is_reliable = step.reliable && knows && step.code < 200;
        // One at a time; a 200 waits for the answer to what was offered, too.
        let waits =
            |(_, has_sdp, _): &(u32, bool, Repeat)| is_reliable || step.code >= 200 && *has_sdp;
        if fork.unpracked.as_ref().is_some_and(waits) {
            let again = now + Duration::from_millis(50);
            self.todo.push((again, Todo::Step(index, step)));
            return;
        }
        let is_late = heard.body.is_empty();
        let dialog = fork.dialog;
        let is_success = (200..300).contains(&step.code);
        let describes = match step.code {
            // An answer that is not acknowledged makes no offer.
            ..200 => step.describes && (!is_late || is_reliable) && !fork.is_settled,
            200..300 => !fork.is_settled,
            _ => false,
        };
        fork.is_final = step.code >= 200;
        let mut rel = String::new();
        if is_reliable {
            fork.rseq += 1;
            rel = format!("Require: 100rel\r\nRSeq: {}\r\n", fork.rseq);
        }
        let rseq = fork.rseq;
        if fork.is_final {
            incoming.is_over = !is_success;
            incoming.calm();
        }
        if let Some(change) = step.change {
            change(&mut self.dialogs[dialog].media);
        }
        let mut body = String::new();
        if describes {
            let offer = match is_late {
                true => None,
                false => Some(Described::read(&heard.body)),
            };
            let media = self.dialogs[dialog].media.clone();
            body = self.dialogs[dialog].describe(&media, offer.as_ref());
        }
        let timer = if is_success {
            self.agree(now, dialog, &heard)
        } else {
            String::new()
        };
        let extra = format!("{}{rel}{timer}", self.contact());
        let local = self.dialogs[dialog].local.clone();
        self.reply(&heard, step.code, &local, &extra, &body);
        if is_reliable {
            let bytes = self.answers.get(&heard.key()).cloned().unwrap_or_default();
            let repeat = Repeat::new(now, &bytes, GIVE_UP);
            if let Some(fork) = self.incoming[index].fork(dialog) {
                fork.unpracked = Some((rseq, !body.is_empty(), repeat));
            }
        }
        if step.code >= 200 {
            self.await_ack(now, dialog, &heard, is_success, is_late && !body.is_empty());
        }
        if step.code >= 300 {
            self.dialogs[dialog].state = State::Refused(step.code);
        }
    }

    pub(super) fn on_cancel(&mut self, now: Instant, heard: &Heard) {
        self.reply(heard, 200, heard.header("to"), "", "");
        let is_it = |i: &Incoming| i.heard.branch() == heard.branch();
        let Some(index) = self.incoming.iter().position(is_it) else {
            return;
        };
        let incoming = &mut self.incoming[index];
        if incoming.is_over || incoming.forks.iter().any(|fork| fork.is_final) {
            return;
        }
        incoming.is_over = true;
        incoming.calm();
        let invite = incoming.heard.clone();
        let dialogs: Vec<_> = incoming.forks.iter().map(|fork| fork.dialog).collect();
        let Some(&first) = dialogs.first() else {
            return;
        };
        self.heard.push("CANCEL".to_owned());
        self.requests.insert("CANCEL".to_owned(), heard.clone());
        self.todo
            .retain(|(_, todo)| !matches!(todo, Todo::Step(i, _) if *i == index));
        for dialog in dialogs {
            self.dialogs[dialog].state = State::Refused(487);
        }
        let local = self.dialogs[first].local.clone();
        self.reply(&invite, 487, &local, "", "");
        self.await_ack(now, first, &invite, false, false);
    }

    pub(super) fn on_prack(&mut self, dialog: usize, heard: &Heard) {
        let to = heard.header("to").to_owned();
        let is_it = |i: &Incoming| i.forks.iter().any(|fork| fork.dialog == dialog);
        let Some(incoming) = self.incoming.iter_mut().find(|i| is_it(i)) else {
            return self.reply(heard, 481, &to, "", "");
        };
        let (cseq, is_late) = (incoming.heard.cseq(), incoming.heard.body.is_empty());
        let is_ended = incoming.is_over || incoming.forks.iter().any(|fork| fork.is_final);
        let Some(fork) = incoming.fork(dialog) else {
            return;
        };
        let Some((rseq, has_sdp, _)) = fork.unpracked.take() else {
            if !is_ended {
                self.wrong.push("a PRACK for nothing".to_owned());
            }
            return self.reply(heard, 481, &to, "", "");
        };
        if heard.header("rack") != format!("{rseq} {cseq} INVITE") {
            self.wrong.push(format!("RAck: {}", heard.header("rack")));
        }
        fork.is_settled |= has_sdp;
        if heard.body.is_empty() {
            if is_late && has_sdp {
                self.wrong.push("no answer in the PRACK".to_owned());
            }
            return self.reply(heard, 200, &to, "", "");
        }
        let taken = self.dialogs[dialog].take(&heard.body);
        let body = match taken {
            Ok(_) if is_late && has_sdp => {
                self.dialogs[dialog].agree();
                String::new()
            }
            Ok(offer) => self.dialogs[dialog].answer(&offer, self.manner.declines),
            Err(wrong) => {
                self.wrong.push(wrong);
                String::new()
            }
        };
        self.reply(heard, 200, &to, "", &body);
    }

    pub(super) fn of_100rel(&self) -> &'static str {
        match self.manner.reliable {
            Reliable::No => "",
            Reliable::Supported => "Supported: 100rel\r\n",
            Reliable::Required => "Require: 100rel\r\n",
        }
    }
}
