//! The steps of a ladder: what each entry of a log means, in words.

use std::time::Duration;

use bytes::Bytes;

use super::log::What;
use super::seen::Seen;
use super::words::Said;
use crate::sip::{Limits, Message, Method, Name, Start, Uri};

/// The place of the box among the parties.
const BOX: usize = 1;
/// Characters of a label or of a header that is told.
const MAX_TEXT: usize = 120;

/// One line of a ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Since the attempt began.
    pub at: Duration,
    /// Who sent it: 0 is who called, 1 the box, then those who were asked, in order.
    pub from: usize,
    /// Who got it; the box itself where it is what the box did.
    pub to: usize,
    /// A method, a status, or what the box did.
    pub label: String,
    /// The rest of it, in words.
    pub note: String,
    /// `udp` or `tcp`; none of what the box did.
    pub transport: Option<&'static str>,
    /// The session description.
    pub sdp: Option<String>,
    /// The whole message, without what is secret; none of one that came or went again.
    pub message: Option<String>,
}

/// What happened, in order.
#[must_use]
pub fn steps(seen: &Seen) -> Vec<Step> {
    let mut all = Vec::new();
    // Of each party, what it said last, and of the box, what it heard last from each.
    let mut heard: Option<(usize, Said)> = None;
    for entry in seen.entries() {
        let step = match entry.what {
            What::Note { label, text } => Step {
                at: entry.at,
                from: BOX,
                to: BOX,
                label: label.to_owned(),
                note: text.to_owned(),
                transport: None,
                sdp: None,
                message: None,
            },
            What::Message {
                is_sent,
                is_copy,
                party,
                hop,
                bytes,
            } => {
                let party = if party == 0 { 0 } else { party + 1 };
                let (from, to) = if is_sent { (BOX, party) } else { (party, BOX) };
                let told = Told::of(bytes);
                let mut notes = vec![told.note];
                let said = told
                    .sdp
                    .as_deref()
                    .and_then(|sdp| Said::read(sdp.as_bytes()));
                if let Some(said) = said.filter(|_| !is_copy) {
                    // What one party says goes on to another: that is what was changed.
                    let before = heard.as_ref().filter(|(who, _)| is_sent && *who != party);
                    notes.push(said.words(before.map(|(_, said)| said)));
                    if !is_sent {
                        heard = Some((party, said));
                    }
                }
                if is_copy {
                    notes = vec!["again".to_owned()];
                }
                notes.retain(|note| !note.is_empty());
                let transport = seen.hops.get(hop).map(|hop| hop.transport.name());
                Step {
                    at: entry.at,
                    from,
                    to,
                    label: told.label,
                    note: notes.join("; "),
                    transport,
                    sdp: told.sdp.filter(|_| !is_copy),
                    message: (!is_copy).then(|| String::from_utf8_lossy(bytes).into_owned()),
                }
            }
        };
        all.push(step);
    }
    all
}

/// What a message is called.
struct Told {
    label: String,
    note: String,
    sdp: Option<String>,
}

impl Told {
    fn of(bytes: &[u8]) -> Told {
        let Ok(message) = Message::parse(Bytes::copy_from_slice(bytes), &Limits::default()) else {
            let line = bytes.split(|byte| *byte == b'\r').next();
            return Told {
                label: short(&String::from_utf8_lossy(line.unwrap_or_default())),
                note: String::new(),
                sdp: None,
            };
        };
        let method = message.method();
        let (label, mut notes) = match message.start() {
            Start::Request { method: name, uri } => {
                (short(name), of_request(&message, method, uri))
            }
            Start::Response { code, reason } => {
                let label = format!("{code} {}", short(reason)).trim_end().to_owned();
                let label = match method {
                    Method::Invite => label,
                    other => format!("{label} ({})", other.name()),
                };
                let contact = message.header(Name::Contact).filter(|_| code / 100 == 3);
                (label, contact.map(short).into_iter().collect())
            }
        };
        for name in ["Reason", "Warning"] {
            let value = message.header_named(name);
            notes.extend(value.map(|value| format!("{name}: {}", short(value))));
        }
        let is_sdp = message.header(Name::ContentType).is_some_and(|kind| {
            kind.trim()
                .to_ascii_lowercase()
                .starts_with("application/sdp")
        });
        let body = message.body();
        Told {
            label,
            note: notes.join("; "),
            sdp: (is_sdp && !body.is_empty()).then(|| String::from_utf8_lossy(body).into_owned()),
        }
    }
}

fn of_request(message: &Message, method: Method, uri: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let is_first = message.to().tag().is_none();
    if method == Method::Invite && is_first {
        let user = Uri::parse(uri).ok().and_then(|uri| uri.user());
        notes.extend(user.map(|user| format!("for {}", short(user))));
    }
    if method == Method::Invite && !is_first {
        notes.push("in the call".to_owned());
    }
    if method == Method::Refer {
        notes.extend(
            message
                .header(Name::ReferTo)
                .map(|to| format!("to {}", short(to))),
        );
    }
    let has_secret = [Name::Authorization, Name::ProxyAuthorization]
        .into_iter()
        .any(|name| message.header(name).is_some());
    if has_secret {
        notes.push("with credentials".to_owned());
    }
    notes
}

fn short(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}
