//! What is read of a message on its way into a log, and what of it must not stand there: credentials, keys of media, and the keys that somebody presses.

use std::sync::LazyLock;

use memchr::{memchr, memmem};
use smallvec::SmallVec;

/// Stands for what is hidden where the length does not matter.
const HIDDEN: &[u8] = b"***";

/// Stand for what is hidden byte for byte.
const XS: [u8; 64] = [b'x'; 64];
/// What keys of media stand behind (RFC 4568).
static INLINE: LazyLock<memmem::Finder<'static>> =
    LazyLock::new(|| memmem::Finder::new(b"inline:"));

/// Headers whose values are credentials.
const SECRET: [&[u8]; 2] = [b"authorization", b"proxy-authorization"];

/// Where things are in a message.
#[derive(Clone, Debug, Default)]
pub(super) struct Head<'m> {
    /// Empty if there is none.
    pub(super) call_id: &'m [u8],
    /// Values that are replaced by [`HIDDEN`], in order.
    secrets: SmallVec<[(u32, u32); 2]>,
    /// Of the body, which may be overwritten, byte for byte.
    masks: SmallVec<[(u32, u32); 2]>,
}

impl<'m> Head<'m> {
    /// Reads a message, or what may be one.
    pub(super) fn read(bytes: &'m [u8]) -> Head<'m> {
        let mut head = Head::default();
        let mut at = 0;
        let mut in_secret = false;
        while let Some(rest) = bytes.get(at..) {
            let Some(end) = memchr(b'\n', rest) else {
                break;
            };
            let line = rest.get(..end).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            match line.first() {
                None if at > 0 => {
                    at += end + 1;
                    break;
                }
                // A line that was folded goes on.
                Some(b' ' | b'\t') => {
                    if in_secret && let Some(last) = head.secrets.last_mut() {
                        last.1 = (at + line.len()) as u32;
                    }
                }
                Some(b'A' | b'a' | b'P' | b'p' | b'C' | b'c' | b'I' | b'i') => {
                    in_secret = head.field(bytes, at, line);
                }
                _ => in_secret = false,
            }
            at += end + 1;
        }
        head.body(bytes, at);
        head
    }

    /// Whether the line is one of credentials.
    fn field(&mut self, all: &'m [u8], at: usize, line: &[u8]) -> bool {
        let Some(colon) = memchr(b':', line) else {
            return false;
        };
        let name = line.get(..colon).unwrap_or_default().trim_ascii_end();
        let is_secret = SECRET.iter().any(|known| name.eq_ignore_ascii_case(known));
        if is_secret {
            self.secrets
                .push(((at + colon + 1) as u32, (at + line.len()) as u32));
        } else if self.call_id.is_empty()
            && (name.eq_ignore_ascii_case(b"call-id") || name.eq_ignore_ascii_case(b"i"))
        {
            let value = all.get(at + colon + 1..at + line.len());
            self.call_id = value.unwrap_or_default().trim_ascii();
        }
        is_secret
    }

    fn body(&mut self, all: &[u8], at: usize) {
        let body = all.get(at..).unwrap_or_default();
        if body.is_empty() {
            return;
        }
        let mut hide = |from: usize| {
            let rest = body.get(from..).unwrap_or_default();
            let end = rest.iter().position(|byte| b"|\r\n ".contains(byte));
            let end = at + from + end.unwrap_or(rest.len());
            self.masks.push(((at + from) as u32, end as u32));
        };
        if all.starts_with(b"INFO ") {
            // Keys: `Signal=5` (dtmf-relay), or nothing else (dtmf).
            match find_ignoring_case(body, b"signal") {
                Some(found) => {
                    let rest = body.get(found..).unwrap_or_default();
                    let value = memchr(b'=', rest).map_or(rest.len(), |equals| equals + 1);
                    let blanks = rest.get(value..).unwrap_or_default();
                    let blanks = blanks.iter().take_while(|byte| **byte == b' ').count();
                    hide(found + value + blanks);
                }
                None if body.len() <= 8 => hide(0),
                None => {}
            }
        }
        for found in INLINE.find_iter(body) {
            hide(found + b"inline:".len());
        }
        self.masks.sort_unstable();
    }

    /// How long the message is when it is written.
    pub(super) fn masked_len(&self, bytes: &[u8]) -> usize {
        let hidden = self.secrets.iter();
        let without: usize = hidden.map(|(from, to)| (to - from) as usize).sum();
        bytes.len() - without + self.secrets.len() * (HIDDEN.len() + 1)
    }
}

/// A message without what is secret, part by part.
pub(super) fn masked(bytes: &[u8], head: &Head<'_>, mut write: impl FnMut(&[u8])) {
    let mut at = 0;
    for &(from, end) in &head.secrets {
        write(bytes.get(at..from as usize).unwrap_or_default());
        write(b" ");
        write(HIDDEN);
        at = end as usize;
    }
    // The body comes after all of them.
    for &(from, end) in &head.masks {
        let (from, end) = ((from as usize).max(at), (end as usize).max(at));
        write(bytes.get(at..from).unwrap_or_default());
        for part in bytes.get(from..end).unwrap_or_default().chunks(XS.len()) {
            write(XS.get(..part.len()).unwrap_or_default());
        }
        at = end;
    }
    write(bytes.get(at..).unwrap_or_default());
}

fn find_ignoring_case(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len())
        .position(|part| part.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> (String, String) {
        let head = Head::read(text.as_bytes());
        let mut out = Vec::new();
        super::masked(text.as_bytes(), &head, |part| out.extend_from_slice(part));
        assert_eq!(out.len(), head.masked_len(text.as_bytes()));
        let call_id = String::from_utf8_lossy(head.call_id).into_owned();
        (call_id, String::from_utf8(out).unwrap())
    }

    #[test]
    fn credentials_are_hidden_wherever_they_stand() {
        let (call_id, text) = masked(
            "INVITE sip:b@h SIP/2.0\r\ni : abc@h \r\nAuthorization: Digest username=\"u\", response=\"f00\"\r\nTo: x\r\n\
             pROXY-aUTHORIZATION :Digest\r\n response=\"f00\"\r\n\tnonce=\"f00\"\r\nFrom: y\r\n\r\nAuthorization: f00 in a body",
        );
        assert_eq!(call_id, "abc@h");
        assert_eq!(
            text,
            "INVITE sip:b@h SIP/2.0\r\ni : abc@h \r\nAuthorization: ***\r\nTo: x\r\npROXY-aUTHORIZATION : ***\r\nFrom: y\r\n\r\n\
             Authorization: f00 in a body"
        );
    }

    #[test]
    fn keys_are_hidden_byte_for_byte() {
        let body = "Signal= 5\r\nDuration=160\r\n";
        let (_, text) = masked(&format!("INFO sip:b@h SIP/2.0\r\nCall-ID: c\r\n\r\n{body}"));
        assert!(
            text.ends_with("\r\n\r\nSignal= x\r\nDuration=160\r\n"),
            "{text}"
        );
        assert!(
            masked("INFO sip:b SIP/2.0\r\n\r\n#")
                .1
                .ends_with("\r\n\r\nx")
        );
        let (_, text) = masked(
            "INVITE sip:b SIP/2.0\r\nAuthorization: Digest f00\r\n\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0|2^20\r\n",
        );
        assert!(text.ends_with("inline:xxxxxxxx|2^20\r\n"), "{text}");
    }

    #[test]
    fn what_is_hidden_twice_is_hidden_once() {
        for body in [
            "Signal=inline:5",
            "a=inline:key|\r\nSignal=5",
            "inline:inline:k",
        ] {
            let (_, text) = masked(&format!("INFO sip:b SIP/2.0\r\n\r\n{body}"));
            let (_, found) = text.split_once("\r\n\r\n").unwrap();
            assert_eq!(found.len(), body.len());
            assert!(!found.contains('5') && !found.contains('k'), "{found}");
        }
    }

    #[test]
    fn anything_may_come() {
        for text in [
            "",
            "\n",
            "\r\n\r\n",
            ":",
            "Authorization",
            "Authorization:\n",
            "a\nAuthorization: \n x",
            "i:\n\n",
            "INFO \n\nsignal",
            "INFO \n\nsignal=",
            "INVITE \n\ninline:",
        ] {
            masked(text);
        }
    }
}
