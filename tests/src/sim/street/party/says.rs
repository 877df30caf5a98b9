//! What a party says: requests, answers, SDP.

use std::time::Instant;

use super::{Dialog, GIVE_UP, Party, Request, T1, body_of};

impl Party {
    pub(super) fn proof(&self, challenge: &str, method: &str) -> Option<String> {
        let (user, password) = self.account.as_ref()?;
        let offer = field(challenge, "WWW-Authenticate")?;
        let uri = format!("sip:{}", self.ours);
        let value = sbc::sip::digest::answer(offer, user, password, method, &uri, "cn").ok()?;
        Some(format!("Authorization: {value}\r\n"))
    }

    pub(super) fn send(
        &mut self,
        now: Instant,
        dialog: usize,
        method: &str,
        extra: &str,
        body: &str,
        proof: Option<String>,
    ) {
        self.dialogs[dialog].cseq += 1;
        let cseq = self.dialogs[dialog].cseq;
        let branch = self.branch();
        let to = self.dialogs[dialog].remote.clone();
        let is_proven = proof.is_some();
        let lines = format!("{extra}{}", proof.unwrap_or_default());
        let bytes = self.write(dialog, method, &branch, cseq, &to, &lines, body);
        self.out.push(bytes.clone());
        self.requests.push(Request {
            dialog,
            method: method.to_owned(),
            branch,
            extra: extra.to_owned(),
            body: body.to_owned(),
            bytes,
            interval: T1,
            next: Some(now + T1),
            until: now + GIVE_UP,
            is_proven,
        });
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
            ..
        } = &self.dialogs[dialog];
        let (address, kind) = (self.address, kind(method, body));
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch={branch};rport\r\nMax-Forwards: 70\r\n\
             From: {local}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:u@{address}>\r\n\
             {extra}{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    pub(super) fn answer(
        &mut self,
        dialog: Option<usize>,
        request: &str,
        code: u16,
        extra: &str,
        body: &str,
    ) -> Vec<u8> {
        let mut text = format!("SIP/2.0 {code} Said\r\n");
        for line in request.lines().take_while(|line| !line.is_empty()) {
            let name = line.split(':').next().unwrap_or_default();
            if matches!(name, "Via" | "From" | "Call-ID" | "CSeq") {
                text += &format!("{line}\r\n");
            }
        }
        let to = field(request, "To").unwrap_or_default();
        let to = match (to.contains(";tag="), dialog) {
            (false, Some(dialog)) => self.dialogs[dialog].local.clone(),
            _ => to.to_owned(),
        };
        let method = request.split(' ').next().unwrap_or_default();
        let kind = kind(method, body);
        text += &format!(
            "To: {to}\r\nContact: <sip:u@{}>\r\n{extra}{kind}Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        text.into_bytes()
    }

    pub(super) fn note_sdp(&mut self, dialog: usize, text: &str) {
        let body = body_of(text);
        let after = |start: &str| {
            let line = body.lines().find_map(|line| line.strip_prefix(start))?;
            line.split(' ').next()
        };
        if let (Some(ip), Some(port)) = (after("c=IN IP4 "), after("m=audio ")) {
            self.dialogs[dialog].peer = format!("{ip}:{port}").parse().ok();
        }
    }

    pub(super) fn sdp(&mut self, dialog: usize, direction: &str) -> String {
        self.dialogs[dialog].version += 1;
        let (media, version) = (self.media(dialog), self.dialogs[dialog].version);
        let direction = match direction {
            "" => String::new(),
            direction => format!("a={direction}\r\n"),
        };
        format!(
            "v=0\r\no=- 1 {version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {} RTP/AVP 0\r\n{direction}",
            media.port(),
            ip = media.ip()
        )
    }

    pub(super) fn branch(&mut self) -> String {
        self.count += 1;
        format!("z9hG4bKp{}x{}", self.number, self.count)
    }
}

fn kind(method: &str, body: &str) -> &'static str {
    match method {
        _ if body.is_empty() => "",
        "INFO" => "Content-Type: application/dtmf-relay\r\n",
        "NOTIFY" => "Content-Type: application/dialog-info+xml\r\n",
        "MESSAGE" => "Content-Type: text/plain\r\n",
        _ => "Content-Type: application/sdp\r\n",
    }
}

fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}
