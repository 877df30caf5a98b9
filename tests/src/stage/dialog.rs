//! One dialog of an agent's.

use std::collections::BTreeMap;
use std::time::Instant;

use super::media::{Described, Media};

/// How far a dialog is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody has answered.
    Early,
    /// It is up.
    Up,
    /// It was refused with this code.
    Refused(u16),
    /// One of the two has hung up.
    Over,
}

/// What is agreed upon of a session's time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    /// When its owner refreshes.
    pub(super) refresh: Option<Instant>,
    pub(super) end: Instant,
}

/// A dialog, or what may become one.
pub struct Dialog {
    /// As it stands in its messages.
    pub call_id: String,
    /// Its owner began it.
    pub calls: bool,
    /// How far it is.
    pub state: State,
    /// What its owner says of its media.
    pub media: Media,
    pub(super) local: String,
    pub(super) remote: String,
    pub(super) target: String,
    pub(super) cseq: u32,
    pub(super) heard: u32,
    /// What the box has last said.
    pub(super) theirs: Option<Described>,
    /// The same as text, of each party behind the box.
    pub(super) said: BTreeMap<String, String>,
    pub(super) version: u64,
    /// What its owner has last said.
    pub(super) body: String,
    /// The last of that which was agreed upon.
    pub(super) agreed: String,
    pub(super) session: Option<Session>,
    /// Branch and number of the INVITE that began it, and whether anything came back.
    pub(super) invite: (String, u32, bool),
    /// It is to be called off as soon as something comes back.
    pub(super) cancels: bool,
    pub(super) rseqs: BTreeMap<String, u32>,
}

impl Dialog {
    pub(super) fn new(call_id: String, local: String, remote: String, media: Media) -> Dialog {
        Dialog {
            call_id,
            calls: false,
            state: State::Early,
            media,
            local,
            remote,
            target: String::new(),
            cseq: 100,
            heard: 0,
            theirs: None,
            said: BTreeMap::new(),
            version: 1,
            body: String::new(),
            agreed: String::new(),
            session: None,
            invite: Default::default(),
            cancels: false,
            rseqs: BTreeMap::new(),
        }
    }

    /// Whether its owner may send, and whether he is sent to, as far as both have said.
    pub(super) fn goes(&self) -> [bool; 2] {
        let first = self
            .theirs
            .as_ref()
            .and_then(|theirs| theirs.streams.first());
        let [they_send, they_receive] = first.map_or([false; 2], |said| said.goes);
        let [i_send, i_receive] = self.media.goes();
        [i_send && they_receive, i_receive && they_send]
    }

    /// What a Replaces for it says, written by this side for the box to read.
    #[must_use]
    pub fn replaces(&self) -> String {
        let (ours, theirs) = (tag(&self.local), tag(&self.remote));
        format!("{};to-tag={theirs};from-tag={ours}", self.call_id)
    }

    /// The same, escaped for a URI.
    #[must_use]
    pub fn escaped_replaces(&self) -> String {
        let text = self.replaces();
        text.replace('@', "%40")
            .replace(';', "%3B")
            .replace('=', "%3D")
    }

    /// What `media` is as text, with another version if that is not what was said last; an answer if the other side has offered.
    pub(super) fn describe(&mut self, media: &Media, offer: Option<&Described>) -> String {
        let text = media.write(self.version, offer);
        if text == self.body || self.body.is_empty() {
            self.body = text;
        } else {
            self.version += 1;
            self.body = media.write(self.version, offer);
        }
        if offer.is_some() {
            self.agree();
        }
        self.body.clone()
    }

    /// What was said last holds.
    pub(super) fn agree(&mut self) {
        self.agreed.clone_from(&self.body);
    }

    /// Takes the description of an offer, and gives the answer.
    pub(super) fn answer(&mut self, offer: &Described, declines: Option<&str>) -> String {
        self.media.fit(offer, declines);
        let media = self.media.clone();
        self.describe(&media, Some(offer))
    }

    /// Reads what the box says: its version rises exactly when it says something else.
    ///
    /// # Errors
    /// Otherwise.
    pub(super) fn take(&mut self, body: &str) -> Result<Described, String> {
        let new = Described::read(body);
        let by = tag(&self.remote).to_owned();
        let fault = self.said.get(&by).and_then(|old| {
            let was = Described::read(old).version;
            let fits = if old == body {
                new.version == was
            } else {
                new.version > was
            };
            (!fits).then(|| format!("the version of a description is wrong:\n{old}\n{body}"))
        });
        self.said.insert(by, body.to_owned());
        self.theirs = Some(new.clone());
        fault.map_or(Ok(new), Err)
    }
}

pub(super) fn tag(value: &str) -> &str {
    value.split_once(";tag=").map_or("", |(_, tag)| tag)
}
