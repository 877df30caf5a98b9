//! Who speaks with the engine, and what he remembers of it.

use std::cell::Cell;
use std::collections::VecDeque;
use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use sbc::config::NetworkId;
use sbc::sip::{Message, Method, Name, Transport};
use sbc::transaction::{ConnectionId, Hop};

use super::config::{OURS, Place};

/// How much of each kind is remembered.
const MEMORY: usize = 24;

/// A dialog as one side has it.
#[derive(Clone, Debug)]
pub(super) struct Dialog {
    pub(super) call_id: String,
    /// With its tag.
    pub(super) local: String,
    pub(super) remote: String,
    pub(super) target: String,
    pub(super) cseq: u32,
}

pub(super) struct Party {
    pub(super) place: Place,
    pub(super) address: SocketAddr,
    pub(super) hop: Hop,
    /// What the engine has asked, the last first; and so on.
    pub(super) asked: VecDeque<Message>,
    pub(super) told: VecDeque<Message>,
    pub(super) invites: VecDeque<Message>,
    pub(super) dialogs: VecDeque<Dialog>,
    pub(super) said: VecDeque<Bytes>,
    /// All addresses that it has named, in what it said.
    pub(super) named: String,
    /// The value of the last challenge.
    pub(super) challenge: Option<String>,
    /// How often he has answered it: each answer counts (RFC 7616 3.4).
    pub(super) answers: Cell<u32>,
    /// Makes tags, branches and versions.
    pub(super) count: u32,
}

impl Party {
    pub(super) fn new(place: Place) -> Result<Party> {
        let address: SocketAddr = place.address.parse().context("an address")?;
        let ours = OURS[usize::from(place.network)];
        let hop = Hop {
            network: NetworkId(place.network),
            transport: match place.connection {
                Some(_) => Transport::Tcp,
                None => Transport::Udp,
            },
            local: format!("{ours}:5060").parse().context("an address")?,
            remote: address,
            connection: place.connection.map(ConnectionId),
        };
        Ok(Party {
            place,
            address,
            hop,
            asked: VecDeque::new(),
            told: VecDeque::new(),
            invites: VecDeque::new(),
            dialogs: VecDeque::new(),
            said: VecDeque::new(),
            named: String::new(),
            challenge: None,
            answers: Cell::new(0),
            count: 0,
        })
    }

    pub(super) fn next(&mut self) -> u32 {
        self.count += 1;
        self.count
    }

    /// It has said this.
    pub(super) fn note_said(&mut self, bytes: &Bytes) {
        self.named.push_str(&String::from_utf8_lossy(bytes));
        remember(&mut self.said, bytes.clone());
        let Ok(message) = Message::parse(bytes.clone(), &Default::default()) else {
            return;
        };
        if message.is_request() {
            if message.method() == Method::Invite {
                remember(&mut self.invites, message);
            }
        } else if let Some(tag) = message.to().tag()
            && makes_dialog(&message)
        {
            // The one that asked is at the other end.
            let asked = self.asked.iter().find(|a| a.call_id() == message.call_id());
            let target = asked.and_then(|a| a.header(Name::Contact)).map(uri_of);
            let local = message.header(Name::To).unwrap_or_default().to_owned();
            if !self.has(message.call_id(), tag) {
                let dialog = Dialog {
                    call_id: message.call_id().to_owned(),
                    local,
                    remote: message.header(Name::From).unwrap_or_default().to_owned(),
                    target: target.unwrap_or_else(|| format!("sip:{}", self.hop.local)),
                    cseq: 100,
                };
                remember(&mut self.dialogs, dialog);
            }
        }
    }

    /// The engine has told it this.
    pub(super) fn note_heard(&mut self, message: &Message) {
        if message.is_request() {
            if message.method() != Method::Ack {
                remember(&mut self.asked, message.clone());
            }
            return;
        }
        for name in [Name::WwwAuthenticate, Name::ProxyAuthenticate] {
            if let Some(challenge) = message.header(name) {
                self.challenge = Some(challenge.to_owned());
                self.answers.set(0);
            }
        }
        if let Some(tag) = message.from().tag()
            && makes_dialog(message)
            && message.to().tag().is_some()
            && !self.has(message.call_id(), tag)
        {
            let dialog = Dialog {
                call_id: message.call_id().to_owned(),
                local: message.header(Name::From).unwrap_or_default().to_owned(),
                remote: message.header(Name::To).unwrap_or_default().to_owned(),
                target: message
                    .header(Name::Contact)
                    .map_or_else(|| format!("sip:{}", self.hop.local), uri_of),
                cseq: message.cseq().number,
            };
            remember(&mut self.dialogs, dialog);
        }
        remember(&mut self.told, message.clone());
    }

    fn has(&self, call_id: &str, tag: &str) -> bool {
        let ending = format!(";tag={tag}");
        let mut dialogs = self.dialogs.iter();
        dialogs.any(|dialog| dialog.call_id == call_id && dialog.local.ends_with(&ending))
    }
}

fn makes_dialog(message: &Message) -> bool {
    let code = message.code().unwrap_or_default();
    let method = message.cseq().method;
    let makes = matches!(method, Method::Invite | Method::Subscribe | Method::Refer);
    makes && (101..300).contains(&code)
}

pub(super) fn uri_of(value: &str) -> String {
    let inner = value.split_once('<').map(|(_, rest)| rest);
    let inner = inner.and_then(|rest| rest.split_once('>'));
    inner.map_or(value, |(uri, _)| uri).to_owned()
}

pub(super) fn remember<T>(all: &mut VecDeque<T>, one: T) {
    if all.len() == MEMORY {
        all.pop_back();
    }
    all.push_front(one);
}
