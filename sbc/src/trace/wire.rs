//! What is read of a message on its way into a log, and what of it must not stand there: credentials, keys of media, and the keys that somebody presses.

use std::sync::LazyLock;

use memchr::{memchr, memchr2_iter, memmem};
use smallvec::SmallVec;

/// Stands for what is hidden where the length does not matter.
const HIDDEN: &[u8] = b"***";

/// Stand for what is hidden byte for byte.
const XS: [u8; 64] = [b'x'; 64];

/// Headers whose values are credentials.
const SECRET: [&[u8]; 2] = [b"authorization", b"proxy-authorization"];

/// What the names of [`SECRET`] have in them, before its only z and from there.
const NAMED: [&[u8]; 2] = [b"authori", b"zation"];

/// Searched for in every message, line by line only where that does not do.
struct Finders {
    /// What keys of media stand behind (RFC 4568).
    inline: memmem::Finder<'static>,
    /// As we write it.
    call_id: memmem::Finder<'static>,
    /// Empty lines.
    ends: [memmem::Finder<'static>; 2],
}

static FIND: LazyLock<Finders> = LazyLock::new(|| Finders {
    inline: memmem::Finder::new(b"inline:"),
    call_id: memmem::Finder::new(b"\nCall-ID: "),
    ends: [memmem::Finder::new(b"\n\r\n"), memmem::Finder::new(b"\n\n")],
});

/// What is hidden of a message.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets {
    /// Values of headers that are replaced by [`HIDDEN`], in order.
    values: SmallVec<[(u32, u32); 2]>,
    /// Of the body, which may be overwritten, byte for byte.
    masks: SmallVec<[(u32, u32); 2]>,
}

/// The Call-ID in what stands before the body; empty if there is none.
pub(super) fn call_id(head: &[u8]) -> &[u8] {
    let ours = FIND.call_id.find(head);
    let value = ours.and_then(|found| head.get(found + FIND.call_id.needle().len()..));
    let value = value.or_else(|| {
        let mut lines = lines(head).filter_map(|(at, line)| named(at, line));
        let is_call_id =
            |name: &[u8]| name.eq_ignore_ascii_case(b"call-id") || name.eq_ignore_ascii_case(b"i");
        let (_, at) = lines.find(|(name, _)| is_call_id(name))?;
        head.get(at..)
    });
    let value = value.unwrap_or_default();
    let end = memchr(b'\n', value).unwrap_or(value.len());
    value.get(..end).unwrap_or_default().trim_ascii()
}

impl Secrets {
    /// Reads a message, or what may be one, whose body begins there.
    pub(super) fn of(bytes: &[u8], body: usize) -> Secrets {
        let mut secrets = Secrets::default();
        let head = bytes.get(..body).unwrap_or_default();
        if may_have_credentials(head) {
            secrets.read(head);
        }
        secrets.keys(bytes, body);
        secrets
    }

    fn read(&mut self, head: &[u8]) {
        let mut in_secret = false;
        for (at, line) in lines(head) {
            // A line that was folded goes on.
            if let Some(b' ' | b'\t') = line.first() {
                if in_secret && let Some(last) = self.values.last_mut() {
                    last.1 = (at + line.len()) as u32;
                }
                continue;
            }
            let secret = named(at, line)
                .filter(|(name, _)| SECRET.iter().any(|known| name.eq_ignore_ascii_case(known)));
            in_secret = secret.is_some();
            self.values
                .extend(secret.map(|(_, from)| (from as u32, (at + line.len()) as u32)));
        }
    }

    fn keys(&mut self, all: &[u8], at: usize) {
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
        for found in FIND.inline.find_iter(body) {
            hide(found + FIND.inline.needle().len());
        }
        self.masks.sort_unstable();
    }

    /// How long the message is when it is written.
    pub(super) fn masked_len(&self, bytes: &[u8]) -> usize {
        let hidden = self.values.iter();
        let without: usize = hidden.map(|(from, to)| (to - from) as usize).sum();
        bytes.len() - without + self.values.len() * (HIDDEN.len() + 1)
    }

    /// The message without them, part by part.
    pub(super) fn masked(&self, bytes: &[u8], mut write: impl FnMut(&[u8])) {
        let mut at = 0;
        for &(from, end) in &self.values {
            write(bytes.get(at..from as usize).unwrap_or_default());
            write(b" ");
            write(HIDDEN);
            at = end as usize;
        }
        // The body comes after all of them.
        for &(from, end) in &self.masks {
            let (from, end) = ((from as usize).max(at), (end as usize).max(at));
            write(bytes.get(at..from).unwrap_or_default());
            for part in bytes.get(from..end).unwrap_or_default().chunks(XS.len()) {
                write(XS.get(..part.len()).unwrap_or_default());
            }
            at = end;
        }
        write(bytes.get(at..).unwrap_or_default());
    }
}

/// Where the body begins: behind the first empty line, or nowhere.
pub(super) fn body_at(bytes: &[u8]) -> usize {
    FIND.ends.iter().fold(bytes.len(), |first, end| {
        let found = end.find(bytes.get(..first).unwrap_or_default());
        found.map_or(first, |found| found + end.needle().len())
    })
}

/// Whether there may be a header of [`SECRET`]: few messages have any z but that of a branch.
fn may_have_credentials(head: &[u8]) -> bool {
    let [before, behind] = NAMED;
    memchr2_iter(b'z', b'Z', head).any(|z| {
        let is = |part: Option<&[u8]>, name| part.is_some_and(|p| p.eq_ignore_ascii_case(name));
        is(head.get(z..z + behind.len()), behind)
            && is(head.get(z.saturating_sub(before.len())..z), before)
    })
}

/// Lines, without their ends, and where they begin.
fn lines(head: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = head.get(at..).filter(|rest| !rest.is_empty())?;
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest.get(..end).unwrap_or_default();
        let begins = at;
        at += end + 1;
        Some((begins, line.strip_suffix(b"\r").unwrap_or(line)))
    })
}

/// The name of a header, and where its value begins.
fn named(at: usize, line: &[u8]) -> Option<(&[u8], usize)> {
    let colon = memchr(b':', line)?;
    let name = line.get(..colon)?.trim_ascii_end();
    Some((name, at + colon + 1))
}

fn find_ignoring_case(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len())
        .position(|part| part.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn id(text: &str) -> String {
        let head = &text.as_bytes()[..body_at(text.as_bytes())];
        String::from_utf8_lossy(call_id(head)).into_owned()
    }

    fn masked(text: &str) -> (String, String) {
        let secrets = Secrets::of(text.as_bytes(), body_at(text.as_bytes()));
        let mut out = Vec::new();
        secrets.masked(text.as_bytes(), |part| out.extend_from_slice(part));
        assert_eq!(out.len(), secrets.masked_len(text.as_bytes()));
        (id(text), String::from_utf8(out).unwrap())
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

    proptest! {
        /// What makes it quick changes nothing.
        #[test]
        fn what_is_passed_over_has_nothing(
            lines in vec("([aA][uU]thori[zZ]ation|[pP]roxy-Authori[zZ]ation|z|authori|Via|i|Call-ID)? ?[: ] ?[zZa;]{0,4}(\r?\n( z\r\n)?)?", 0..6)
        ) {
            let text = lines.concat();
            let bytes = text.as_bytes();
            let head = &bytes[..body_at(bytes)];
            let mut all = Secrets::default();
            all.read(head);
            prop_assert_eq!(Secrets::of(bytes, head.len()).values, all.values);
            prop_assert!(lines.is_empty() || !text.contains("\nCall-ID: a") || !call_id(bytes).is_empty() || body_at(bytes) < bytes.len());
        }
    }

    #[test]
    fn a_call_id_is_found_however_it_is_written() {
        for text in [
            "BYE sip:b SIP/2.0\r\nCall-ID: c\r\n\r\n",
            "BYE sip:b SIP/2.0\r\nFrom: x\r\nCall-ID: c\r\n\r\nCall-ID: d\r\n",
            "BYE sip:b SIP/2.0\ncall-id :c\n\n\nCall-ID: d\r\n\r\n",
            "BYE sip:b SIP/2.0\r\nI:  c \r\nTo: x\r\n\r\nx\r\nCall-ID: d\r\n",
            "BYE sip:b SIP/2.0\r\nCALL-ID: c",
        ] {
            assert_eq!(id(text), "c", "{text}");
        }
        for text in [
            "",
            "BYE sip:b SIP/2.0\r\nTo: x\r\n\r\nCall-ID: d\r\n",
            "Call-ID: \r\n",
        ] {
            assert_eq!(id(text), "", "{text}");
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
