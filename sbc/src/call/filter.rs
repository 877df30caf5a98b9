//! Which headers go from one leg to the other: those that always do, and what the config of both sides lets through.

use std::borrow::Cow;
use std::net::IpAddr;

use super::context::ALLOW;
use super::identity::Withholds;
use super::machine::{Call, LEG_A};
use super::side::face;
use crate::config::{AddedHeader, Config, Headers, Passes, Peer};
use crate::media::LegId;
use crate::sip::{Field, Name};
use crate::transaction::Hop;

/// What both sides of a way say of headers.
#[derive(Clone, Copy)]
pub struct Filter<'c> {
    /// `None`: all that the wire layer does not know.
    sides: [Option<&'c Headers>; 2],
    /// Both are trunks that are trusted.
    is_trusted: bool,
    /// Of what names the caller.
    withholds: Withholds,
    /// Set by the route: the caller's own do not pass.
    added: &'c [AddedHeader],
    /// Our address on the side that it goes to.
    pub(super) home: IpAddr,
}

static NONE: Headers = Headers::NONE;

/// What becomes of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It does not pass.
    Stays,
    /// It passes unless it tells something of its side.
    Passes,
    /// It is named in the config: its SIP URIs are at our address.
    Named,
}

impl<'c> Filter<'c> {
    /// For a message of `from` that goes on to `to`, where we are at `home`.
    #[must_use]
    pub fn new(config: &'c Config, from: Peer, to: Peer, home: IpAddr) -> Filter<'c> {
        let trusts = |peer: &Peer| {
            peer.trunk
                .is_some_and(|id| config.trunk(id).identity.trusted)
        };
        Filter {
            is_trusted: [from, to].iter().all(trusts),
            ..Filter::between([from, to].map(|peer| config.passes(peer).headers), home)
        }
    }

    fn between(sides: [Option<&'c Headers>; 2], home: IpAddr) -> Filter<'c> {
        Filter {
            sides,
            is_trusted: false,
            withholds: Withholds::Nothing,
            added: &[],
            home,
        }
    }

    /// For an INVITE that opens a leg.
    pub(crate) fn of_invite(self, withholds: Withholds, added: &'c [AddedHeader]) -> Filter<'c> {
        Filter {
            withholds,
            added,
            ..self
        }
    }

    /// The one where the config says nothing.
    #[cfg(test)]
    pub(super) fn usual(home: IpAddr) -> Filter<'static> {
        Filter::between([None, None], home)
    }

    pub(super) fn judge(&self, field: &Field<'_>) -> Verdict {
        if self
            .added
            .iter()
            .any(|added| added.is(field.name, field.spelled))
        {
            return Verdict::Stays;
        }
        let [names_caller, names_others] = [
            matches!(
                field.name,
                Name::PAssertedIdentity | Name::PPreferredIdentity | Name::RemotePartyId
            ),
            matches!(field.name, Name::Diversion | Name::HistoryInfo),
        ];
        match self.withholds {
            Withholds::All if names_caller || names_others => return Verdict::Stays,
            Withholds::Own if names_caller => return Verdict::Stays,
            _ => {}
        }
        // What is preferred is for whoever asserts it, and goes no further (RFC 3325 5).
        if self.is_trusted
            && (names_caller || names_others)
            && field.name != Name::PPreferredIdentity
        {
            return Verdict::Named;
        }
        if always_passes(field.name) {
            return Verdict::Passes;
        }
        let is_unknown = field.name == Name::Other && !belongs_to_a_hop(field.spelled);
        if let [None, None] = self.sides {
            return match is_unknown {
                true => Verdict::Passes,
                false => Verdict::Stays,
            };
        }
        let is_named = |side: &Headers| side.names(field.name, field.spelled);
        let lets = |side: &Option<&Headers>| match side {
            Some(side) => is_named(side) || side.unknown && is_unknown,
            None => is_unknown,
        };
        match self.sides.iter().all(lets) {
            false => Verdict::Stays,
            true if self.sides.iter().flatten().any(|side| is_named(side)) => Verdict::Named,
            true => Verdict::Passes,
        }
    }
}

impl Call {
    /// For what `from` says to `to`.
    pub(super) fn filter<'c>(
        &self,
        config: &'c Config,
        [from, to]: [LegId; 2],
        hop: &Hop,
    ) -> Filter<'c> {
        let home = face(config, hop).ip();
        match (self.peer(from), self.peer(to)) {
            (Some(from), Some(to)) => Filter::new(config, from, to, home),
            // Nobody knows any more who said it.
            _ => Filter::between([Some(&NONE); 2], home),
        }
    }

    /// Who calls.
    pub(super) fn caller(&self) -> Peer {
        Peer {
            trunk: self.a.side.trunk,
            phone: self.a.phone,
            network: self.a.side.hop.network,
        }
    }

    /// Who is at a leg.
    pub(super) fn peer(&self, leg: LegId) -> Option<Peer> {
        if leg == LEG_A {
            return Some(self.caller());
        }
        let branch = self.branches.iter().find(|b| b.leg == leg)?;
        Some(Peer {
            trunk: branch.side.trunk,
            phone: branch.phone,
            network: branch.side.hop.network,
        })
    }

    /// What holds for who is at a leg.
    pub(super) fn passes<'c>(&self, config: &'c Config, leg: LegId) -> Option<Passes<'c>> {
        Some(config.passes(self.peer(leg)?))
    }
}

/// What we take from a peer, as in Allow: what the box serves, and the methods that pass there.
#[must_use]
pub(super) fn allowed(config: &Config, peer: Peer) -> Cow<'static, str> {
    const SERVED: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, REGISTER, REFER";
    let Some(methods) = config.passes(peer).methods else {
        return Cow::Borrowed(ALLOW);
    };
    let mut all = SERVED.to_owned();
    for method in methods {
        all.push_str(", ");
        all.push_str(method);
    }
    Cow::Owned(all)
}

/// Headers that a B2BUA hands through. What belongs to a hop, a dialog, a transaction, an extension that we do not speak,
/// or to a body that we rewrite, does not pass.
fn always_passes(name: Name) -> bool {
    matches!(
        name,
        Name::Subject
            | Name::Priority
            | Name::Organization
            | Name::Reason
            | Name::RetryAfter
            | Name::Date
            | Name::AcceptLanguage
            | Name::Privacy
            | Name::AlertInfo
            | Name::CallInfo
    )
}

/// Names that the wire layer does not know, but that belong to one hop.
fn belongs_to_a_hop(spelled: &str) -> bool {
    const HOP: [&str; 7] = [
        "Feature-Caps",
        "Flow-Timer",
        "P-Access-Network-Info",
        "P-Visited-Network-ID",
        "Security-Client",
        "Security-Verify",
        "Session-ID",
    ];
    HOP.iter().any(|hop| hop.eq_ignore_ascii_case(spelled))
}
