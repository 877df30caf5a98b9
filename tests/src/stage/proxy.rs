//! A proxy without state that sends calls back to where they came from, stays in their way, and relays their media.

use super::agent::Agent;
use crate::heard::Heard;

/// What its branches begin with; the rest is that of who sent it.
const MARK: &str = "z9hG4bKback";

impl Agent {
    /// What it makes of a message that is not for itself.
    pub(super) fn pass_on(&mut self, heard: &Heard, number: &str) -> Option<Vec<u8>> {
        let own = format!("<sip:{};lr>", self.address);
        if heard.code().is_some() {
            return heard
                .branch()
                .starts_with(MARK)
                .then(|| self.rewritten(heard, &heard.first, "", "via"));
        }
        let is_routed = heard.header("route") == own;
        let is_new = heard.method() == "INVITE" && heard.tag("to").is_empty();
        if is_new {
            self.sent_back.insert(heard.branch().to_owned());
        }
        if !is_routed && !self.sent_back.contains(heard.branch()) {
            return None;
        }
        let first = match is_routed {
            true => heard.first.clone(),
            false => format!("{} sip:{number}@{} SIP/2.0", heard.verb(), self.ours.ip()),
        };
        let mut top = format!(
            "Via: SIP/2.0/UDP {};branch={MARK}{}\r\n",
            self.address,
            heard.branch()
        );
        if is_new {
            top += &format!("Record-Route: {own}\r\n");
        }
        let gone = if is_routed { "route" } else { "" };
        Some(self.rewritten(heard, &first, &top, gone))
    }

    /// The same with another first line, `top` before the rest, without the first header that is named `gone`, one hop less, and media that
    /// goes by way of it, at the same ports.
    fn rewritten(&self, heard: &Heard, first: &str, top: &str, gone: &str) -> Vec<u8> {
        let mut text = format!("{first}\r\n{top}");
        let mut gone = Some(gone);
        for (name, value) in heard.headers() {
            let value = match name {
                _ if gone == Some(name) => {
                    gone = None;
                    continue;
                }
                "content-length" => continue,
                "max-forwards" => {
                    let hops: u32 = value.parse().expect("a number");
                    hops.saturating_sub(1).to_string()
                }
                _ => value.to_owned(),
            };
            text += &format!("{name}: {value}\r\n");
        }
        let (own, theirs) = (
            format!("IN IP4 {}", self.address.ip()),
            format!("IN IP4 {}", self.ours.ip()),
        );
        let body = heard.body.replace(&theirs, &own);
        (text + &format!("Content-Length: {}\r\n\r\n{body}", body.len())).into_bytes()
    }
}
