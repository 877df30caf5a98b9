//! A trace, for whoever looks at it.

use std::net::SocketAddr;
use std::time::Duration;

use super::log::{Entries, Entry};
use crate::engine::CallId;
use crate::routing::Timestamp;
use crate::transaction::Hop;

/// What an attempt is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// As the call is.
    Call(CallId),
    /// One that was refused before it became a call: `r` and its number.
    Refused(u64),
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Name::Call(CallId(id)) => write!(f, "{id:x}"),
            Name::Refused(number) => write!(f, "r{number:x}"),
        }
    }
}

impl std::str::FromStr for Name {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Name, Self::Err> {
        match text.strip_prefix('r') {
            Some(number) => u64::from_str_radix(number, 16).map(Name::Refused),
            None => u64::from_str_radix(text, 16).map(|id| Name::Call(CallId(id))),
        }
    }
}

/// How far an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody has taken it.
    Ringing,
    /// Two talk.
    Up,
    /// It is over.
    Ended,
}

impl State {
    /// The word for it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            State::Ringing => "ringing",
            State::Up => "up",
            State::Ended => "ended",
        }
    }
}

/// Why somebody was not heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Who should have heard: `caller` or `callee`.
    pub hears: &'static str,
    /// Why not, in a fixed word.
    pub cause: &'static str,
    /// The same as a sentence, with what to do.
    pub text: String,
}

/// An attempt in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its place among all since the start.
    pub number: u64,
    /// What it is called.
    pub name: Name,
    /// When its first message came.
    pub began: Timestamp,
    /// From then to its end, or to now.
    pub lasted: Duration,
    /// How far it is.
    pub state: State,
    /// It came to nothing, or somebody was not heard.
    pub is_failed: bool,
    /// Who called: `trunk:NAME`, `phone:NAME`, or `unknown`.
    pub from: String,
    /// Who took it, else who was asked last.
    pub to: Option<String>,
    /// What was dialled.
    pub dialled: String,
    /// How it ended: the labels of `sbc_calls_total`.
    pub outcome: Option<&'static str>,
    /// Why, in a few words.
    pub reason: Option<String>,
    /// Entries of its log.
    pub entries: u32,
    /// Bytes of its log.
    pub bytes: usize,
    /// Entries that found no room.
    pub omitted: u32,
}

/// Who is part of an attempt; the box is not among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenParty {
    /// `trunk:NAME`, `phone:NAME` or `unknown`.
    pub name: String,
    /// Where the INVITE came from, or went.
    pub address: SocketAddr,
}

/// All of an attempt.
#[derive(Debug)]
pub struct Seen {
    /// In short.
    pub summary: Summary,
    /// Who called, then who was asked, in order.
    pub parties: Vec<SeenParty>,
    /// The ways that its messages came and went.
    pub hops: Vec<Hop>,
    /// Why somebody was not heard.
    pub verdict: Vec<Verdict>,
    pub(super) log: Entries,
}

impl Seen {
    /// Its entries in order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.log.iter()
    }
}
