//! What a party says, written as text.

use std::fmt::Write as _;

use sbc::sip::{Message, Method, Name, digest};

use super::body::body;
use super::config::PASSWORD;
use super::party::{Dialog, Party};
use super::step::Reader;

const NEW: [&str; 12] = [
    "INVITE",
    "INVITE",
    "INVITE",
    "INVITE",
    "REGISTER",
    "SUBSCRIBE",
    "MESSAGE",
    "OPTIONS",
    "NOTIFY",
    "REFER",
    "PUBLISH",
    "FOO",
];
const NUMBERS: [&str; 8] = ["100", "200", "300", "400", "500", "399", "999", "anonymous"];
const INSIDE: [&str; 12] = [
    "INVITE",
    "BYE",
    "UPDATE",
    "INFO",
    "REFER",
    "INVITE",
    "PRACK",
    "NOTIFY",
    "SUBSCRIBE",
    "MESSAGE",
    "OPTIONS",
    "ACK",
];
const CODES: [u16; 28] = [
    200, 200, 200, 180, 183, 100, 181, 202, 204, 300, 302, 305, 400, 401, 403, 404, 407, 408, 415,
    420, 422, 480, 481, 486, 488, 491, 500, 603,
];

/// What may stand in a message beside the rest: a bit each.
mod extra {
    pub(super) const RELIABLE: u16 = 1;
    pub(super) const REQUIRED: u16 = 1 << 1;
    pub(super) const TIMER: u16 = 1 << 2;
    pub(super) const SHORT: u16 = 1 << 3;
    pub(super) const REFERS: u16 = 1 << 4;
    pub(super) const REPLACES: u16 = 1 << 5;
    pub(super) const NO_EVENT: u16 = 1 << 6;
    pub(super) const ENDS: u16 = 1 << 7;
    pub(super) const SEEN: u16 = 1 << 8;
    pub(super) const NO_CONTACT: u16 = 1 << 9;
    pub(super) const UNPROVEN: u16 = 1 << 10;
    pub(super) const OLD: u16 = 1 << 11;
    pub(super) const ROUTED: u16 = 1 << 12;
    pub(super) const UPDATES: u16 = 1 << 13;
    pub(super) const AWAY: u16 = 1 << 14;
}

impl Party {
    /// A request that begins something.
    pub(super) fn asks(&mut self, step: &mut Reader<'_>, others: &[String]) -> Vec<u8> {
        let (method, number) = (step.of(&NEW), step.of(&NUMBERS));
        let kind = step.byte();
        let extras = step.word();
        let count = self.next();
        let account = self.place.account.unwrap_or("al");
        let dialog = Dialog {
            call_id: format!("c{count}-{account}{}", self.address.port()),
            local: format!("\"Al\" <sip:{account}@{}>;tag=l{count}", self.address),
            remote: match method {
                "REGISTER" => format!("<sip:{account}@{}>", self.hop.local),
                _ => format!("<sip:{number}@{}>", self.hop.local),
            },
            target: match method {
                "REGISTER" => format!("sip:{}", self.hop.local),
                _ => format!("sip:{number}@{}", self.hop.local),
            },
            cseq: 1,
        };
        self.request(method, &dialog, kind, extras, others)
    }

    /// A request in a dialog; none if there is no dialog.
    pub(super) fn goes_on(&mut self, step: &mut Reader<'_>, others: &[String]) -> Option<Vec<u8>> {
        let method = step.of(&INSIDE);
        let index = usize::from(step.byte() % 8) % self.dialogs.len().max(1);
        let kind = step.byte();
        let extras = step.word();
        let dialog = self.dialogs.get_mut(index)?;
        if extras & extra::OLD == 0 && method != "ACK" {
            dialog.cseq += 1;
        }
        let dialog = dialog.clone();
        Some(self.request(method, &dialog, kind, extras, others))
    }

    fn request(
        &mut self,
        method: &str,
        dialog: &Dialog,
        kind: u8,
        extras: u16,
        others: &[String],
    ) -> Vec<u8> {
        let count = self.next();
        let mut head = format!(
            "{method} {} SIP/2.0\r\n{}Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} {method}\r\n",
            dialog.target,
            self.via(&format!("z9hG4bKp{}x{count}", self.address.port())),
            dialog.local,
            dialog.remote,
            dialog.call_id,
            dialog.cseq,
        );
        if extras & extra::UNPROVEN == 0 {
            head += &self.proof(method, &dialog.target);
        }
        if extras & extra::RELIABLE != 0 {
            head += "Supported: 100rel, timer\r\n";
        }
        if extras & extra::REQUIRED != 0 && method == "INVITE" {
            head += "Require: 100rel\r\n";
        }
        if method == "PRACK" {
            let told = self.told.iter().find(|m| m.call_id() == dialog.call_id);
            let rseq = told.and_then(|m| m.header(Name::RSeq)).unwrap_or("1");
            let cseq = told.map_or(1, |m| m.cseq().number);
            let _ = write!(head, "RAck: {rseq} {cseq} INVITE\r\n");
        }
        let other = others.get(usize::from(kind) % others.len().max(1));
        if method == "REFER" || extras & extra::REFERS != 0 {
            let target = NUMBERS[usize::from(kind) % NUMBERS.len()];
            let replaces = other.filter(|_| extras & extra::REPLACES != 0);
            let replaces = replaces.map(|r| format!("?Replaces={}", escaped(r)));
            let (host, replaces) = (self.hop.local, replaces.unwrap_or_default());
            let _ = write!(head, "Refer-To: <sip:{target}@{host}{replaces}>\r\n");
        } else if let Some(other) = other.filter(|_| extras & extra::REPLACES != 0) {
            let _ = write!(head, "Replaces: {other}\r\n");
        }
        if extras & extra::NO_EVENT == 0 {
            match method {
                "SUBSCRIBE" | "PUBLISH" => head += "Event: presence\r\nExpires: 120\r\n",
                "NOTIFY" if extras & extra::ENDS != 0 => {
                    head += "Event: presence\r\nSubscription-State: terminated\r\n";
                }
                "NOTIFY" => head += "Event: presence\r\nSubscription-State: active;expires=60\r\n",
                _ => {}
            }
        }
        if extras & extra::ENDS != 0 {
            head += "Reason: Q.850;cause=16\r\n";
            if matches!(method, "SUBSCRIBE" | "REGISTER") {
                head += "Expires: 0\r\n";
            }
        }
        if extras & extra::ROUTED != 0 {
            let _ = write!(head, "Record-Route: <sip:{};lr>\r\n", self.address);
        }
        if matches!(kind % 20, 1..=18) && matches!(method, "INFO" | "NOTIFY" | "MESSAGE" | "REFER")
            || matches!(method, "REGISTER" | "BYE" | "OPTIONS")
        {
            return self.finished(head, extras, 0);
        }
        self.finished(head, extras, kind)
    }

    /// An answer to a request of the engine's; none if there was none.
    pub(super) fn answers(&mut self, step: &mut Reader<'_>) -> Option<Vec<u8>> {
        let index = usize::from(step.byte() % 8) % self.asked.len().max(1);
        let code = step.of(&CODES);
        let kind = step.byte();
        let extras = step.word();
        let asked = self.asked.get(index)?.clone();
        Some(self.answer(&asked, code, kind, extras))
    }

    fn answer(&mut self, asked: &Message, code: u16, kind: u8, extras: u16) -> Vec<u8> {
        let mut head = format!("SIP/2.0 {code} Said\r\n");
        for field in asked.fields() {
            let (spelled, value) = (field.spelled, field.value);
            let _ = match field.name {
                Name::Via | Name::From | Name::CallId | Name::CSeq | Name::RecordRoute => {
                    write!(head, "{spelled}: {value}\r\n")
                }
                Name::To if code > 100 && asked.to().tag().is_none() => {
                    let tag = kind / 20 % 4;
                    write!(head, "To: {value};tag=b{tag}p{}\r\n", self.address.port())
                }
                Name::To => write!(head, "To: {value}\r\n"),
                _ => Ok(()),
            };
        }
        if extras & extra::RELIABLE != 0 && (101..200).contains(&code) {
            let _ = write!(head, "Require: 100rel\r\nRSeq: {}\r\n", self.next());
        }
        if matches!(code, 401 | 407) {
            let name = ["WWW", "Proxy"][usize::from(code == 407)];
            let count = self.next();
            let _ = write!(
                head,
                "{name}-Authenticate: Digest realm=\"r\", nonce=\"n{count}\", qop=\"auth\"\r\n"
            );
        }
        match code {
            300..=399 => {
                let (number, host) = (NUMBERS[usize::from(kind) % 8], self.hop.local);
                let host = if extras & extra::AWAY != 0 {
                    self.address
                } else {
                    host
                };
                let _ = write!(head, "Contact: <sip:{number}@{host}>\r\n");
                return self.finished(head, extras | extra::NO_CONTACT, 0);
            }
            422 => head += "Min-SE: 600\r\n",
            500..=599 => head += "Retry-After: 5\r\n",
            _ => {}
        }
        if asked.method() == Method::Subscribe {
            head += "Expires: 60\r\n";
        }
        let describes = matches!(
            asked.method(),
            Method::Invite | Method::Update | Method::Prack
        );
        let kind = if describes && code < 300 && code > 100 {
            kind
        } else {
            0
        };
        self.finished(head, extras, kind)
    }

    /// What is proper: an answer to a request, an ACK or a PRACK for an answer, credentials for a challenge.
    pub(super) fn reacts(&mut self, heard: &Message, step: &mut Reader<'_>) -> Option<Vec<u8>> {
        let (how, with) = (step.byte(), step.byte());
        if heard.is_request() {
            let kind = with % 20;
            return match (heard.method(), how % 16) {
                (Method::Ack, _) => None,
                (Method::Invite, 1 | 2) => Some(self.answer(heard, 180, 0, 0)),
                (Method::Invite, 3) => Some(self.answer(heard, 183, kind.max(1), 0)),
                (Method::Invite, 4) => Some(self.answer(heard, 183, kind, extra::RELIABLE)),
                (_, 5) => {
                    let code = CODES[usize::from(with) % CODES.len()];
                    Some(self.answer(heard, code, kind, 0))
                }
                (Method::Invite, _) if heard.body().is_empty() => {
                    Some(self.answer(heard, 200, 1, extra::UPDATES))
                }
                (Method::Invite, 6) => Some(self.answer(heard, 200, kind, extra::TIMER)),
                (Method::Invite, _) => Some(self.answer(heard, 200, 1, u16::from(with) << 5)),
                (Method::Update | Method::Prack, _) if !heard.body().is_empty() => {
                    Some(self.answer(heard, 200, 1, 0))
                }
                _ => Some(self.answer(heard, 200, 0, 0)),
            };
        }
        let code = heard.code().unwrap_or_default();
        let is_invite = heard.cseq().method == Method::Invite;
        match code {
            101..=199 if heard.header(Name::RSeq).is_some() => {
                let dialog = self.dialog_of(heard)?;
                Some(self.request("PRACK", &dialog, 0, 0, &[]))
            }
            200..=299 if is_invite => Some(self.ack(heard, with)),
            300..=699 if is_invite && how.is_multiple_of(4) => Some(self.ack(heard, 0)),
            401 | 407 => {
                let said = self.said.iter().find_map(|bytes| {
                    let said = Message::parse(bytes.clone(), &Default::default()).ok()?;
                    let is_it = said.is_request() && said.call_id() == heard.call_id();
                    (is_it && said.method() == heard.cseq().method).then_some(said)
                })?;
                Some(self.again(&said))
            }
            _ => None,
        }
    }

    /// The same with credentials, another branch and the next number.
    fn again(&mut self, said: &Message) -> Vec<u8> {
        let (method, uri) = (said.method().name(), said.uri().unwrap_or_default());
        let branch = format!("z9hG4bKq{}x{}", self.address.port(), self.next());
        let mut text = format!("{method} {uri} SIP/2.0\r\n{}", self.via(&branch));
        text += &self.proof(method, uri);
        for field in said.fields() {
            let _ = match field.name {
                Name::Via | Name::Authorization | Name::ProxyAuthorization => Ok(()),
                Name::CSeq => write!(
                    text,
                    "CSeq: {} {method}\r\n",
                    said.cseq().number.saturating_add(1)
                ),
                _ => write!(text, "{}: {}\r\n", field.spelled, field.value),
            };
        }
        [text.as_bytes(), b"\r\n", said.body()].concat()
    }

    /// ACK, CANCEL or PRACK for an INVITE of its own.
    pub(super) fn follows(&mut self, step: &mut Reader<'_>) -> Option<Vec<u8>> {
        let (what, which, with) = (step.byte(), step.byte(), step.byte());
        let invite = self
            .invites
            .get(usize::from(which) % self.invites.len().max(1))?
            .clone();
        let told = self
            .told
            .iter()
            .find(|m| m.call_id() == invite.call_id())
            .cloned();
        match (what % 4, told) {
            (0 | 1, _) => Some(self.beside(&invite, "CANCEL", None)),
            (2, Some(told)) => Some(self.ack(&told, with)),
            (3, Some(told)) => {
                let dialog = self.dialog_of(&told)?;
                Some(self.request("PRACK", &dialog, with, 0, &[]))
            }
            _ => Some(self.beside(&invite, "ACK", None)),
        }
    }

    fn ack(&mut self, heard: &Message, with: u8) -> Vec<u8> {
        let is_success = heard.code().is_some_and(|code| code < 300);
        let of =
            |m: &&Message| m.call_id() == heard.call_id() && m.cseq().number == heard.cseq().number;
        let invite = self.invites.iter().find(of).cloned();
        match (invite, is_success) {
            (Some(invite), false) => self.beside(&invite, "ACK", heard.header(Name::To)),
            (invite, _) => {
                let was_late = invite.is_some_and(|invite| invite.body().is_empty());
                let kind = match was_late {
                    true => with.max(1),
                    false => 0,
                };
                let dialog = Dialog {
                    call_id: heard.call_id().to_owned(),
                    local: heard.header(Name::From).unwrap_or_default().to_owned(),
                    remote: heard.header(Name::To).unwrap_or_default().to_owned(),
                    target: heard
                        .header(Name::Contact)
                        .map_or_else(|| format!("sip:{}", self.hop.local), super::party::uri_of),
                    cseq: heard.cseq().number,
                };
                self.request("ACK", &dialog, kind, 0, &[])
            }
        }
    }

    /// What has the branch of the INVITE that it belongs to.
    fn beside(&mut self, invite: &Message, method: &str, to: Option<&str>) -> Vec<u8> {
        let uri = invite.uri().unwrap_or_default();
        let mut text = format!("{method} {uri} SIP/2.0\r\n");
        for field in invite.fields() {
            let (spelled, value) = (field.spelled, field.value);
            let _ = match field.name {
                Name::Via | Name::From | Name::CallId | Name::MaxForwards => {
                    write!(text, "{spelled}: {value}\r\n")
                }
                Name::To => write!(text, "To: {}\r\n", to.unwrap_or(value)),
                Name::CSeq => write!(text, "CSeq: {} {method}\r\n", invite.cseq().number),
                _ => Ok(()),
            };
        }
        text += "Content-Length: 0\r\n\r\n";
        text.into_bytes()
    }

    fn dialog_of(&mut self, heard: &Message) -> Option<Dialog> {
        let call_id = heard.call_id();
        let dialog = self.dialogs.iter_mut().find(|d| d.call_id == call_id)?;
        dialog.cseq += 1;
        Some(dialog.clone())
    }

    fn via(&self, branch: &str) -> String {
        let (name, address) = (self.hop.transport.name().to_uppercase(), self.address);
        format!("Via: SIP/2.0/{name} {address};rport;branch={branch}\r\n")
    }

    fn proof(&self, method: &str, uri: &str) -> String {
        let (Some(user), Some(challenge)) = (self.place.account, &self.challenge) else {
            return String::new();
        };
        self.answers.set(self.answers.get() + 1);
        let value = digest::Asked::parse(challenge)
            .map(|asked| asked.answer([user, PASSWORD], [method, uri], "cn", self.answers.get()));
        value.map_or_else(
            |_| String::new(),
            |value| format!("Authorization: {value}\r\n"),
        )
    }

    fn finished(&mut self, mut head: String, extras: u16, kind: u8) -> Vec<u8> {
        if extras & extra::NO_CONTACT == 0 {
            let transport = match self.place.connection {
                Some(_) => ";transport=tcp",
                None => "",
            };
            let user = self.place.account.unwrap_or("al");
            let _ = write!(
                head,
                "Contact: <sip:{user}@{}{transport}>\r\n",
                self.address
            );
        }
        if extras & extra::TIMER != 0 {
            let seconds = if extras & extra::SHORT != 0 { 60 } else { 300 };
            let role = ["uac", "uas"][usize::from(extras & extra::SEEN != 0)];
            let _ = write!(head, "Session-Expires: {seconds};refresher={role}\r\n");
            if extras & extra::SHORT != 0 {
                head += "Min-SE: 120\r\n";
            }
        }
        if extras & extra::UPDATES != 0 {
            head += "Allow: INVITE, ACK, BYE, CANCEL, UPDATE, PRACK, INFO, REFER\r\n";
        }
        if extras & extra::SEEN != 0 {
            let _ = write!(
                head,
                "X-Seen: at {a}\r\nReason: SIP;cause=200;text=\"by {a}\"\r\nCall-Info: <sip:{a}>\r\n",
                a = self.address
            );
        }
        let number = self.next();
        match body(kind, self.address, number) {
            Some((name, body)) => {
                let _ = write!(
                    head,
                    "Content-Type: {name}\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
            }
            None => head += "Content-Length: 0\r\n\r\n",
        }
        head.into_bytes()
    }

    /// What its dialogs are called in Replaces.
    pub(super) fn names(&self) -> Vec<String> {
        let tag = |value: &str| value.split_once(";tag=").map(|(_, tag)| tag.to_owned());
        let of = |d: &Dialog| {
            let (local, remote) = (tag(&d.local)?, tag(&d.remote)?);
            Some(format!("{};to-tag={remote};from-tag={local}", d.call_id))
        };
        self.dialogs.iter().filter_map(of).collect()
    }
}

fn escaped(replaces: &str) -> String {
    let text = replaces.replace('@', "%40");
    text.replace(';', "%3B").replace('=', "%3D")
}
