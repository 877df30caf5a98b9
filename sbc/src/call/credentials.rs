//! What a trunk is told that asks for a password (RFC 3261 22, RFC 7616): the one that the config has for it.

use std::collections::BTreeMap;
use std::time::Instant;

use smallvec::SmallVec;

use super::context::Context;
use super::failure::Failure;
use super::io::{Action, Purpose};
use super::legs::Attempt;
use super::machine::{Call, State};
use super::side::{Side, via};
use crate::config::{Credentials, TrunkId};
use crate::dialog::Tokens;
use crate::engine::Outcome;
use crate::media::LegId;
use crate::sip::digest::{Asked, DigestError};
use crate::sip::{Message, Method, Name, Writer};

/// How many realms may ask in one call: a proxy, and who is behind it, and one to spare.
const MAX_REALMS: usize = 3;

/// How often one realm's answer may be too old.
const MAX_STALE: u8 = 3;

/// What one side has asked so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Challenges {
    known: SmallVec<[Challenge; 1]>,
}

/// What each trunk has asked last, and was answered right: its next call says so at once. As many as there are trunks, each with so
/// many realms as a call may have.
#[derive(Default)]
pub struct Remembered {
    trunks: BTreeMap<TrunkId, Challenges>,
}

#[derive(Clone, Debug)]
struct Challenge {
    /// The field's value.
    value: String,
    /// Proxy-Authenticate.
    by_proxy: bool,
    /// How often its nonce was used.
    count: u32,
    /// How many nonces before it were too old.
    stale: u8,
    /// It was answered, and that was right: another nonce is no refusal.
    is_proven: bool,
}

/// Why a challenge is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unanswered {
    /// The answer to the one before was wrong.
    #[error("it refuses its username or password; check both")]
    Wrong,
    /// It cannot be read or wants what is not spoken here.
    #[error("its challenge cannot be answered: {0}")]
    Unreadable(DigestError),
    /// There is none in a 401 or 407.
    #[error("it asks for a password without saying for what")]
    Missing,
    /// More realms, or more nonces that are too old, than anyone needs.
    #[error("it does not stop asking for its password")]
    TooMany,
}

impl Challenges {
    /// Takes what a 401 or 407 asks: to be answered with the next request. Of several for the same the first that is spoken here
    /// counts (RFC 8760 2.3).
    pub(crate) fn take(&mut self, answer: &Message) -> Result<(), Unanswered> {
        let by_proxy = answer.code() == Some(407);
        let name = match by_proxy {
            true => Name::ProxyAuthenticate,
            false => Name::WwwAuthenticate,
        };
        let fields = answer.fields().filter(|field| field.name == name);
        let mut unread = Unanswered::Missing;
        let mut taken: SmallVec<[&str; 2]> = SmallVec::new();
        for field in fields.take(2 * MAX_REALMS) {
            let asked = match Asked::parse(field.value) {
                Ok(asked) => asked,
                Err(error) => {
                    unread = Unanswered::Unreadable(error);
                    continue;
                }
            };
            if !taken.contains(&asked.realm) {
                self.note(by_proxy, &asked, field.value)?;
                taken.push(asked.realm);
            }
        }
        if taken.is_empty() {
            return Err(unread);
        }
        Ok(())
    }

    fn note(&mut self, by_proxy: bool, asked: &Asked<'_>, value: &str) -> Result<(), Unanswered> {
        let same = |known: &&mut Challenge| {
            let before = Asked::parse(&known.value).ok();
            known.by_proxy == by_proxy && before.is_some_and(|b| b.realm == asked.realm)
        };
        let Some(known) = self.known.iter_mut().find(same) else {
            if self.known.len() == MAX_REALMS {
                return Err(Unanswered::TooMany);
            }
            self.known.push(Challenge {
                value: value.to_owned(),
                by_proxy,
                count: 0,
                stale: 0,
                is_proven: false,
            });
            return Ok(());
        };
        let is_again = Asked::parse(&known.value).is_ok_and(|b| b.nonce == asked.nonce);
        // One that was answered is good for no more than that, unless its nonce was too old, or every request has one of its own.
        if known.count > 0 && (is_again || !asked.stale && !known.is_proven) {
            return Err(Unanswered::Wrong);
        }
        let stale = if known.is_proven { 0 } else { known.stale };
        if stale == MAX_STALE {
            return Err(Unanswered::TooMany);
        }
        *known = Challenge {
            value: value.to_owned(),
            by_proxy,
            count: 0,
            stale: stale + 1,
            is_proven: false,
        };
        Ok(())
    }

    /// A request inside the dialog has this final answer. Whoever says that he is busy has looked at what was asked.
    pub(super) fn answered(&mut self, code: u16) {
        if matches!(code, 200..300 | 491) {
            self.passed();
        }
    }

    /// A request with what was asked has been taken.
    pub(crate) fn passed(&mut self) {
        for known in self.known.iter_mut().filter(|known| known.count > 0) {
            known.is_proven = true;
        }
    }

    /// Adds to a request what has been asked for so far. Nobody else counts the uses of these nonces.
    pub(crate) fn authorize(
        &mut self,
        own: &Credentials,
        tokens: &mut Tokens,
        request: [&str; 2],
        writer: Writer,
    ) -> Writer {
        self.authorize_counted(own, tokens, request, writer, |_| None)
    }

    /// The same; `count` says how often a nonce has been used, this time included, where others use it too.
    fn authorize_counted(
        &mut self,
        own: &Credentials,
        tokens: &mut Tokens,
        request: [&str; 2],
        mut writer: Writer,
        mut count: impl FnMut(&Challenge) -> Option<u32>,
    ) -> Writer {
        for challenge in &mut self.known {
            let Ok(asked) = Asked::parse(&challenge.value) else {
                continue;
            };
            // Each use of a nonce has a number of its own, whichever call it is for (RFC 7616 3.4).
            let shared = count(challenge);
            challenge.count = shared.unwrap_or_else(|| challenge.count.saturating_add(1));
            let name = match challenge.by_proxy {
                true => Name::ProxyAuthorization,
                false => Name::Authorization,
            };
            let user = [own.username.as_str(), own.password.reveal()];
            let value = asked.answer(user, request, &tokens.tag(), challenge.count);
            writer = writer.header(name, value);
        }
        writer
    }
}

impl Remembered {
    /// What a new call to this trunk begins with.
    pub(super) fn of(&self, trunk: Option<TrunkId>) -> Challenges {
        let known = trunk.and_then(|trunk| self.trunks.get(&trunk));
        known.cloned().unwrap_or_default()
    }

    /// A request with these has been taken.
    pub(super) fn keep(&mut self, trunk: Option<TrunkId>, taken: &Challenges) {
        let Some(trunk) = trunk.filter(|_| taken.known.iter().any(|known| known.count > 0)) else {
            return;
        };
        let kept = self.trunks.entry(trunk).or_default();
        for new in taken.known.iter().filter(|known| known.count > 0) {
            let room = MAX_REALMS.saturating_sub(kept.known.len());
            match kept.known.iter_mut().find(|old| old.is_alike(new)) {
                // Its count goes on for all calls together.
                Some(old) if old.value == new.value => {}
                Some(old) => *old = new.clone(),
                None if room > 0 => kept.known.push(new.clone()),
                None => {}
            }
        }
    }

    /// The trunk asks anew: what it asked before is worth nothing.
    pub fn forget(&mut self, trunk: Option<TrunkId>) {
        if let Some(trunk) = trunk {
            self.trunks.remove(&trunk);
        }
    }

    /// How often a nonce that is kept has been used, this time included; `None`: it is not kept.
    fn count(&mut self, trunk: Option<TrunkId>, used: &Challenge) -> Option<u32> {
        let kept = self.trunks.get_mut(&trunk?)?;
        let is_it =
            |kept: &&mut Challenge| kept.by_proxy == used.by_proxy && kept.value == used.value;
        let kept = kept.known.iter_mut().find(is_it)?;
        kept.count = kept.count.saturating_add(1);
        Some(kept.count)
    }
}

impl Challenge {
    /// Both are for the same realm, of the same one.
    fn is_alike(&self, other: &Challenge) -> bool {
        let realms =
            [self, other].map(|one| Asked::parse(&one.value).ok().map(|asked| asked.realm));
        let [one, two] = realms;
        self.by_proxy == other.by_proxy && one == two
    }
}

impl Side {
    /// Adds to a request of ours what this side has asked for.
    pub(super) fn authorize(
        &mut self,
        cx: &mut Context<'_>,
        method: Method,
        uri: &str,
        writer: Writer,
    ) -> Writer {
        self.authorize_named(cx, method.name(), uri, writer)
    }

    /// The same for any method.
    pub(super) fn authorize_named(
        &mut self,
        cx: &mut Context<'_>,
        method: &str,
        uri: &str,
        writer: Writer,
    ) -> Writer {
        let config = cx.config;
        let Some(own) = self
            .trunk
            .and_then(|id| config.trunk(id).credentials.as_ref())
        else {
            return writer;
        };
        let (trunk, remembered) = (self.trunk, &mut *cx.remembered);
        let count = |challenge: &Challenge| remembered.count(trunk, challenge);
        self.challenges
            .authorize_counted(own, cx.tokens, [method, uri], writer, count)
    }
}

impl Call {
    /// A 401 or 407 to what we sent inside a dialog: whether it is to be sent once more, with credentials.
    pub(super) fn learns_challenge(
        &mut self,
        cx: &Context<'_>,
        leg: LegId,
        refusal: &Message,
    ) -> bool {
        let Some(side) = self.side(leg) else {
            return false;
        };
        let trunk = side.trunk.map(|id| cx.config.trunk(id));
        trunk.is_some_and(|trunk| trunk.credentials.is_some())
            && side.challenges.take(refusal).is_ok()
    }

    /// A B leg wants to know who calls: asked once more with the trunk's password, if the config has one.
    pub(super) fn on_challenged(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        index: usize,
        answer: &Message,
    ) {
        let Some(leg) = self.branches.get(index).map(|branch| branch.leg) else {
            return;
        };
        let is_ringing = matches!(self.state, State::Ringing(_)) && !self.is_taken();
        let is_open = is_ringing || self.is_target(leg);
        let Some(branch) = self.branches.get_mut(index) else {
            return;
        };
        let trunk = branch.side.trunk.map(|id| cx.config.trunk(id));
        let Some(trunk) = trunk.filter(|_| is_open && branch.is_ringing()) else {
            return self.on_branch_failed(now, cx, leg, Failure::answer(leg, answer));
        };
        cx.remembered.forget(branch.side.trunk);
        let (name, code) = (&trunk.name, answer.code().unwrap_or_default());
        let why = match &trunk.credentials {
            Some(_) => branch.side.challenges.take(answer).err().map(|why| {
                format!("{code}: trunk {name}: {why}, `username` and `password` in [trunk.{name}]")
            }),
            None => Some(format!(
                "{code}: trunk {name} asks for a password; set `username` and `password` in [trunk.{name}]"
            )),
        };
        if let Some(why) = why {
            let failure = Failure::own(503, Outcome::Failed, why);
            return self.on_branch_failed(now, cx, leg, failure);
        }
        let uri = branch.invite.uri().unwrap_or_default().to_owned();
        let via = via(cx.config, &branch.side.hop, &cx.tokens.branch(&uri));
        let invite = branch.invite.clone();
        let Ok(invite) = again(cx, &mut branch.side, &invite, &uri, &via) else {
            let reason = "the INVITE is too large with its credentials";
            return self.on_branch_failed(now, cx, leg, Failure::own(513, Outcome::Failed, reason));
        };
        // Whoever said something to the one before is gone with it.
        branch.early.clear();
        branch.answer = None;
        branch.attempt = Attempt::Calling { cancel: false };
        branch.id = None;
        branch.invite = invite.clone();
        let hop = branch.side.hop;
        self.forget_early(leg);
        self.actions.push_back(Action::Request {
            purpose: Purpose::Invite(leg),
            hop,
            message: invite,
        });
    }
}

/// The same INVITE with a higher number, and credentials (RFC 3261 22.2).
fn again(
    cx: &mut Context<'_>,
    side: &mut Side,
    invite: &Message,
    uri: &str,
    via: &str,
) -> Result<Message, crate::sip::ParseError> {
    let mut writer = Writer::request("INVITE", uri).header(Name::Via, via);
    for field in invite.fields() {
        writer = match field.name {
            Name::Via
            | Name::Authorization
            | Name::ProxyAuthorization
            | Name::ContentType
            | Name::ContentLength => writer,
            Name::CSeq => {
                let number = invite.cseq().number.saturating_add(1);
                writer.header(Name::CSeq, format_args!("{number} INVITE"))
            }
            _ => writer.copy(field),
        };
    }
    let writer = side.authorize(cx, Method::Invite, uri, writer);
    let bytes = match (invite.header(Name::ContentType), invite.body()) {
        (Some(kind), body) if !body.is_empty() => writer.body(kind, body),
        _ => writer.finish(),
    };
    Message::parse(bytes, &Default::default())
}

/// Whether a request of ours says who we are.
pub(super) fn has_credentials(request: &Message) -> bool {
    request.header(Name::Authorization).is_some()
        || request.header(Name::ProxyAuthorization).is_some()
}

/// The credentials of one request of ours in another.
pub(crate) fn copy_credentials(from: &Message, mut writer: Writer) -> Writer {
    for field in from.fields() {
        if matches!(field.name, Name::Authorization | Name::ProxyAuthorization) {
            writer = writer.copy(field);
        }
    }
    writer
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn asked(realm: usize) -> Challenges {
        let mut challenges = Challenges::default();
        let text = format!(
            "SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>;tag=2\r\n\
             Call-ID: c\r\nCSeq: 1 INVITE\r\nWWW-Authenticate: Digest realm=\"r{realm}\", nonce=\"n\"\r\nContent-Length: 0\r\n\r\n"
        );
        let answer = Message::parse(Bytes::from(text), &Default::default()).unwrap();
        challenges.take(&answer).unwrap();
        challenges
    }

    #[test]
    fn of_a_trunk_so_many_realms_are_remembered_and_only_what_was_answered() {
        let mut remembered = Remembered::default();
        let trunk = Some(TrunkId(0));
        remembered.keep(trunk, &asked(0));
        assert_eq!(remembered.of(trunk).known.len(), 0);
        for realm in 0..MAX_REALMS + 2 {
            let mut taken = asked(realm);
            taken.known[0].count = 1;
            remembered.keep(trunk, &taken);
            remembered.keep(trunk, &taken);
            assert_eq!(
                remembered.of(trunk).known.len(),
                (realm + 1).min(MAX_REALMS)
            );
        }
        // Another nonce of the same realm takes the place of the one before.
        let mut newer = asked(1);
        newer.known[0].value = newer.known[0].value.replace("\"n\"", "\"m\"");
        newer.known[0].count = 1;
        remembered.keep(trunk, &newer);
        let known = remembered.of(trunk).known;
        assert_eq!(known.len(), MAX_REALMS);
        assert_eq!(known[1].value, newer.known[0].value);
        // A proxy's is another one than that of who is behind it.
        let mut remembered_too = Remembered::default();
        for by_proxy in [false, true] {
            newer.known[0].by_proxy = by_proxy;
            remembered_too.keep(trunk, &newer);
        }
        assert_eq!(remembered_too.of(trunk).known.len(), 2);
        assert_eq!(remembered.of(Some(TrunkId(1))).known.len(), 0);
        assert_eq!(remembered.of(None).known.len(), 0);
        remembered.forget(trunk);
        assert_eq!(remembered.of(trunk).known.len(), 0);
    }

    #[test]
    fn each_nonce_of_a_trunk_is_counted_by_itself() {
        let mut remembered = Remembered::default();
        let trunk = Some(TrunkId(0));
        let mut both = asked(0).known;
        both.extend(asked(1).known);
        for challenge in &mut both {
            challenge.count = 1;
            let known = std::iter::once(challenge.clone()).collect();
            let taken = Challenges { known };
            remembered.keep(trunk, &taken);
        }
        assert_eq!(remembered.count(trunk, &both[1]), Some(2));
        assert_eq!(remembered.count(trunk, &both[1]), Some(3));
        assert_eq!(remembered.count(trunk, &both[0]), Some(2));
        both[0].by_proxy = true;
        assert_eq!(remembered.count(trunk, &both[0]), None);
        assert_eq!(remembered.count(Some(TrunkId(1)), &both[1]), None);
        assert_eq!(remembered.count(None, &both[1]), None);
    }

    #[test]
    fn each_realm_has_a_challenge_of_its_own() {
        let text = |field: &str| {
            let text = format!(
                "SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>;tag=2\r\n\
                 Call-ID: c\r\nCSeq: 1 INVITE\r\n{field}\r\nContent-Length: 0\r\n\r\n"
            );
            Message::parse(Bytes::from(text), &Default::default()).unwrap()
        };
        let mut challenges = Challenges::default();
        for field in [
            "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"",
            "WWW-Authenticate: Digest realm=\"s\", nonce=\"n\"",
        ] {
            challenges.take(&text(field)).unwrap();
        }
        assert_eq!(challenges.known.len(), 2);
        // A new nonce before the old one was answered takes its place.
        challenges
            .take(&text("WWW-Authenticate: Digest realm=\"s\", nonce=\"m\""))
            .unwrap();
        assert_eq!(challenges.known.len(), 2);
        assert!(challenges.known[1].value.contains("nonce=\"m\""));
    }
}
