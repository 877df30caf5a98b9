//! What who is called says and hears in an UPDATE.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::super::sdp::{place, sdp};
use super::Called;
use crate::heard::{Heard, Repeat, T2, finish};

impl Called {
    pub(super) fn send_updates(&mut self, now: Instant) {
        if self.was_cancelled {
            self.forks.values_mut().for_each(|f| f.update_due = None);
        }
        let Some(invite) = self.invite.clone() else {
            return;
        };
        let port = self.updates.map_or(0, |(_, port)| port);
        for (tag, fork) in &mut self.forks {
            if fork.update_due.take_if(|at| *at <= now).is_none() || fork.is_final || fork.is_over {
                continue;
            }
            fork.cseq += 1;
            let cseq = fork.cseq;
            let text = format!(
                "UPDATE {} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKup{tag}{cseq}\r\nMax-Forwards: 70\r\n\
                 From: {};tag={tag}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} UPDATE\r\nContact: <sip:{tag}@{at}>\r\n",
                invite.contact().expect("a Contact"),
                invite.header("to"),
                invite.header("from"),
                invite.header("call-id"),
                at = self.address,
            );
            let bytes = finish(
                text,
                "UPDATE",
                &sdp(SocketAddr::new(self.address.ip(), port), 7),
            );
            self.out.push(bytes.clone());
            fork.update = Some((cseq, Repeat::new(now, &bytes, T2)));
        }
    }

    pub(super) fn on_updated(&mut self, now: Instant, heard: &Heard) {
        let Some(fork) = self.forks.get_mut(heard.tag("from")) else {
            return;
        };
        let is_it = |(cseq, _): &mut (u32, Repeat)| *cseq == heard.cseq();
        if fork.update.take_if(is_it).is_none() {
            return;
        }
        self.update_codes.push(heard.status());
        match heard.status() {
            ..300 => {
                fork.port = self.updates.map(|(_, port)| port);
                fork.place = place(heard);
            }
            491 | 500 => fork.update_due = Some(now + Duration::from_secs(1)),
            _ => {}
        }
    }

    pub(super) fn on_update(&mut self, heard: &Heard) -> Vec<u8> {
        let Some(fork) = self.forks.get_mut(heard.tag("to")) else {
            panic!("an UPDATE in no dialog");
        };
        if fork.update.is_some() {
            return heard.answer_as(491, "", "", "");
        }
        let owes_answer = fork
            .unpracked
            .as_ref()
            .is_some_and(|(_, has_sdp, _)| *has_sdp);
        assert!(!owes_answer && !fork.is_over, "no time for offers");
        fork.place = place(heard).or(fork.place);
        let port = fork.port.expect("it has described its media");
        let at = SocketAddr::new(self.address.ip(), port);
        let contact = format!("Contact: <sip:{}>\r\n", self.address);
        heard.answer_as(200, "", &contact, &sdp(at, 8))
    }
}
