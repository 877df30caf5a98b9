//! What the engine must not say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use sbc::sip::{Message, Method, Start};
use sbc::transaction::Hop;

use super::config::OURS;
use super::party::Party;

/// As long as this a request that comes again is the same (timer J).
const SAME: Duration = Duration::from_secs(32);

/// What one message may lead to at once.
const MAX_AT_ONCE: usize = 64;

/// A request that was handed in.
struct Asked {
    first: Instant,
    copies: u32,
    bytes: Bytes,
    /// Different messages have the same name: whoever writes so must not expect to be understood.
    is_unclear: bool,
    answer: Option<(u16, Bytes)>,
}

/// A dialog: Call-ID, the engine's tag, the other's.
type Name = (String, String, String);

#[derive(Default)]
pub(super) struct Check {
    dialogs: Dialogs,
    asked: BTreeMap<String, Asked>,
    /// The number and the branch of the last request in each dialog.
    numbers: BTreeMap<String, (u32, String)>,
    branches: BTreeSet<String>,
    /// Messages to each stranger that he has not paid for with one of his.
    owed: BTreeMap<usize, u32>,
}

impl Check {
    /// A message is handed in.
    pub(super) fn received(&mut self, now: Instant, who: usize, hop: &Hop, bytes: &Bytes) {
        *self.owed.entry(who).or_default() += 1;
        let Ok(message) = Message::parse(bytes.clone(), &Default::default()) else {
            return;
        };
        self.dialogs.received(&message);
        if !message.is_request() || message.method() == Method::Ack {
            return;
        }
        let asked = self.asked.entry(name(hop, &message)).or_insert(Asked {
            first: now,
            copies: 0,
            bytes: bytes.clone(),
            is_unclear: false,
            answer: None,
        });
        asked.copies += 1;
        asked.is_unclear |= asked.bytes != *bytes;
    }

    /// The engine has said something, one of so many things at once.
    pub(super) fn sent(
        &mut self,
        now: Instant,
        (hop, bytes): (&Hop, &Bytes),
        parties: &[Party],
        nth: usize,
    ) -> Result<()> {
        let text = String::from_utf8_lossy(bytes);
        ensure!(nth < MAX_AT_ONCE, "so much at once");
        ensure!(bytes.len() <= 66_000, "a message of {} bytes", bytes.len());
        self.is_addressed(hop, &text, parties)?;
        let message = Message::parse(bytes.clone(), &Default::default());
        if let Ok(message) = &message {
            self.dialogs.sent(message);
        }
        if !text.starts_with("SIP/2.0 ") {
            let message = message.context("the request cannot be read")?;
            return self.is_in_order(hop, &message);
        }
        // A refusal of what is malformed repeats what is malformed.
        if let Ok(message) = message {
            self.is_the_answer(now, hop, &message)?;
        }
        Ok(())
    }

    /// In the end nobody is left in a call that the others have left.
    pub(super) fn finished(&self) -> Result<()> {
        let left: Vec<_> = self.dialogs.up.difference(&self.dialogs.over).collect();
        ensure!(left.is_empty(), "without BYE: {left:?}");
        Ok(())
    }

    /// It goes to someone who should hear it, and tells him nothing of the others.
    fn is_addressed(&mut self, hop: &Hop, text: &str, parties: &[Party]) -> Result<()> {
        let found = parties
            .iter()
            .position(|p| p.address == hop.remote && p.hop.network == hop.network);
        let ip = hop.remote.ip().to_string();
        if let Some(found) = found.filter(|&found| !parties[found].place.is_known) {
            let code = text.get(8..11).unwrap_or_default();
            ensure!(
                matches!(code, "401" | "403" | "481") && text.starts_with("SIP/2.0"),
                "a stranger is told {code}"
            );
            let owed = self.owed.entry(found).or_default();
            ensure!(*owed > 0, "a stranger is told more than he has asked");
            *owed -= 1;
        } else if found.is_none() {
            let mut known = parties.iter().filter(|p| p.place.is_known);
            ensure!(
                known.any(|party| party.named.contains(&ip)) || text.starts_with("SIP/2.0"),
                "it goes to someone whom nobody has named"
            );
        }
        let has_named = |secret: &str| found.is_some_and(|i| parties[i].named.contains(secret));
        let shown = shown(text);
        let others = parties.iter().map(|party| party.address.ip().to_string());
        let ours = OURS[usize::from(hop.network.0 == 0)].to_owned();
        for secret in others.chain([ours]) {
            ensure!(
                secret == ip || !shown.contains(&secret) || has_named(&secret),
                "{secret} is shown"
            );
        }
        Ok(())
    }

    /// One final answer to each request, and nothing after it but the same again.
    fn is_the_answer(&mut self, now: Instant, hop: &Hop, answer: &Message) -> Result<()> {
        let code = answer.code().unwrap_or_default();
        let asked = self.asked.get_mut(&name(hop, answer));
        // A refusal of what could not be read says so, and belongs to nothing.
        let is_of_unread =
            code == 505 || code == 413 || code == 400 && phrase(answer).contains('(');
        let Some(asked) = asked.filter(|_| !is_of_unread) else {
            ensure!(is_of_unread, "an answer to nothing that was asked");
            return Ok(());
        };
        if asked.is_unclear || now > asked.first + SAME || code == 100 {
            return Ok(());
        }
        if let Some((first, bytes)) = &asked.answer {
            // Refusals that leave nothing behind, and whatever comes again over a stream, are found anew.
            let is_new = hop.transport.is_reliable() || matches!(first, 401 | 403 | 481);
            let is_cancel = answer.cseq().method == Method::Cancel;
            ensure!(
                asked.copies > 1 && (is_new || is_cancel)
                    || first == &code && bytes == answer.bytes(),
                "after {first} it is answered {code}"
            );
        } else if code >= 200 {
            asked.answer = Some((code, answer.bytes().clone()));
        }
        Ok(())
    }

    /// Branches are new, and numbers rise.
    fn is_in_order(&mut self, hop: &Hop, request: &Message) -> Result<()> {
        let method = request.method();
        let branch = request.via().branch().unwrap_or_default().to_owned();
        ensure!(branch.starts_with("z9hG4bK"), "a request without a branch");
        ensure!(request.max_forwards().is_some(), "no Max-Forwards");
        ensure!(request.from().tag().is_some(), "no tag in From");
        if matches!(method, Method::Ack | Method::Cancel) {
            return Ok(());
        }
        let dialog = format!(
            "{} {} {} {:?}",
            hop.network.0,
            request.call_id(),
            request.from().tag().unwrap_or_default(),
            request.to().tag()
        );
        let number = request.cseq().number;
        let known = self.numbers.get(&dialog);
        let is_same = known.is_some_and(|(n, b)| *n == number && *b == branch);
        if !is_same {
            let before = known.map_or(0, |(number, _)| *number);
            // One that comes again after another has been said.
            let is_again = number < before && self.branches.contains(&branch);
            ensure!(
                number > before || is_again,
                "{number} {} comes after {before}",
                method.name()
            );
            if !is_again {
                ensure!(self.branches.insert(branch.clone()), "a branch comes again");
                self.numbers.insert(dialog, (number, branch));
            }
        }
        Ok(())
    }
}

/// Which dialogs an ACK has confirmed, and which a BYE has ended.
#[derive(Default)]
struct Dialogs {
    /// With a 2xx to an INVITE, from either side.
    taken: BTreeSet<Name>,
    /// With a refusal under the same tag: no ACK says which of the two was heard.
    refused: BTreeSet<Name>,
    up: BTreeSet<Name>,
    over: BTreeSet<Name>,
}

impl Dialogs {
    fn received(&mut self, message: &Message) {
        let (from, to) = (message.from().tag(), message.to().tag());
        match message.is_request() {
            true => self.note(message, to, from),
            false => self.note(message, from, to),
        }
    }

    fn sent(&mut self, message: &Message) {
        let (from, to) = (message.from().tag(), message.to().tag());
        match message.is_request() {
            true => self.note(message, from, to),
            false => self.note(message, to, from),
        }
    }

    fn note(&mut self, message: &Message, ours: Option<&str>, theirs: Option<&str>) {
        let (Some(ours), Some(theirs)) = (ours, theirs) else {
            return;
        };
        let name = (
            message.call_id().to_owned(),
            ours.to_owned(),
            theirs.to_owned(),
        );
        match (message.code(), message.cseq().method) {
            (None, Method::Ack) if self.taken.contains(&name) && !self.refused.contains(&name) => {
                self.up.insert(name);
            }
            (None, Method::Bye) => {
                self.over.insert(name);
            }
            (Some(200..300), Method::Invite) => {
                self.taken.insert(name);
            }
            (Some(300..), Method::Invite) if !self.up.contains(&name) => {
                self.refused.insert(name);
            }
            _ => {}
        }
    }
}

fn phrase(answer: &Message) -> &str {
    match answer.start() {
        Start::Response { reason, .. } => reason,
        Start::Request { .. } => "",
    }
}

/// What tells one request from another, in it and in answers to it.
fn name(hop: &Hop, message: &Message) -> String {
    let via = message.via();
    let cseq = message.cseq();
    format!(
        "{} {} {} {:?} {} {} {} {}",
        hop.network.0,
        via.branch().unwrap_or_default(),
        via.host().to_ascii_lowercase(),
        via.port(),
        cseq.number,
        cseq.method.name(),
        message.call_id(),
        message.from().tag().unwrap_or_default()
    )
}

/// What must tell no address. What parties say to each other is their own, unless it is about media.
fn shown(text: &str) -> &str {
    let Some((head, _)) = text.split_once("\r\n\r\n") else {
        return text;
    };
    let method = head.lines().find_map(|line| line.strip_prefix("CSeq: "));
    let method = method.and_then(|value| value.split(' ').nth(1));
    let are_theirs = matches!(
        method,
        Some("INFO" | "MESSAGE" | "SUBSCRIBE" | "NOTIFY" | "REFER")
    );
    let mut lines = head.lines();
    let is_of_media = lines.any(|line| line.starts_with("Content-Type: application/sdp"));
    match are_theirs && !is_of_media {
        true => head,
        false => text,
    }
}

/// A message in one line.
pub(super) fn title(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default().to_owned();
    let rest = lines.filter(|line| {
        [
            "CSeq", "From", "To", "Call-ID", "m=", "c=", "RSeq", "Require",
        ]
        .iter()
        .any(|name| line.starts_with(name))
    });
    rest.fold(first, |all, line| all + " | " + line)
}
