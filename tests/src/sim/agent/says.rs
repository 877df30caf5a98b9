//! What an agent says: requests, answers, SDP.

use std::time::Instant;

use rand_core::RngCore as _;
use rsip::{Request, SipMessage};

use super::super::wire::{Heard, Line, hear, request, response};
use super::{Agent, GIVE_UP, Open, T1, Unacked};

impl Agent {
    pub(super) fn cancel(&mut self, now: Instant) {
        let Some(branch) = self
            .open
            .iter()
            .find(|o| o.method == "INVITE")
            .map(|o| o.branch.clone())
        else {
            return;
        };
        let (cseq, to) = (self.talk.cseq, self.talk.remote.clone());
        let bytes = self.write("CANCEL", cseq, &branch, &to, None);
        self.send(now, "CANCEL", branch, bytes);
    }

    pub(super) fn request(&mut self, now: Instant, method: &str, body: Option<String>) {
        self.talk.cseq += 1;
        let branch = self.branch();
        let (cseq, to) = (self.talk.cseq, self.talk.remote.clone());
        let bytes = self.write(method, cseq, &branch, &to, body);
        self.send(now, method, branch, bytes);
    }

    pub(super) fn send(&mut self, now: Instant, method: &str, branch: String, bytes: Vec<u8>) {
        self.out.push(bytes.clone());
        self.open.push(Open {
            method: method.to_owned(),
            branch,
            bytes,
            interval: T1,
            next: Some(now + T1),
            until: now + GIVE_UP,
            heard: false,
        });
    }

    pub(super) fn write(
        &self,
        method: &str,
        cseq: u32,
        branch: &str,
        to: &str,
        body: Option<String>,
    ) -> Vec<u8> {
        let contact = format!("<sip:user@{}>", self.address);
        let line = Line {
            via: &format!("SIP/2.0/UDP {};branch={branch};rport", self.address),
            from: &self.talk.local,
            to,
            call_id: &self.talk.call_id,
            cseq,
            contact: (method == "INVITE").then_some(contact.as_str()),
        };
        request(method, &self.talk.target, &line, body)
    }

    pub(super) fn answer_invite(&mut self, now: Instant, code: u16, body: Option<String>) {
        let Some((invite, branch)) = self.invite.clone() else {
            return;
        };
        let heard = hear(&SipMessage::from(invite.clone()).to_string().into_bytes());
        debug_assert_eq!(heard.branch, branch);
        let bytes = self.reply(&heard, &invite, code, body);
        if code >= 200 {
            self.wait_for_ack(now, heard.cseq, bytes);
        }
    }

    pub(super) fn reply(
        &mut self,
        heard: &Heard,
        request: &Request,
        code: u16,
        body: Option<String>,
    ) -> Vec<u8> {
        let contact = format!("<sip:user@{}>", self.address);
        let bytes = response(request, code, &self.tag, &contact, body);
        self.answers
            .insert((heard.branch.clone(), heard.method.clone()), bytes.clone());
        self.out.push(bytes.clone());
        bytes
    }

    pub(super) fn wait_for_ack(&mut self, now: Instant, cseq: u32, bytes: Vec<u8>) {
        self.unacked.push(Unacked {
            cseq,
            bytes,
            interval: T1,
            next: now + T1,
            until: now + GIVE_UP,
        });
    }

    pub(super) fn branch(&mut self) -> String {
        format!("z9hG4bK{:016x}", self.random.next_u64())
    }

    pub(super) fn sdp(&self, extra: &str) -> String {
        if let Some(streams) = self.plan.streams {
            return self.described(streams);
        }
        let port = self.media;
        self.described(&format!(
            "m=audio {port} RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\n{extra}"
        ))
    }

    pub(super) fn described(&self, streams: &str) -> String {
        let (ip, version) = (self.address.ip(), self.version);
        format!("v=0\r\no=- 1 {version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n{streams}")
    }
}
