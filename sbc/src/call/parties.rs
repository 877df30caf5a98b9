//! Who is in a call, and by which names it is known.

use super::machine::{Call, LEG_A, State};
use super::replaces::{unescaped, user_of};
use crate::config::{Config, NetworkId, PhoneId};
use crate::dialog::Dialog;
use crate::engine::{CallId, Party};
use crate::media::{FlowPair, LegId, PairId};
use crate::routing::Caller;
use crate::transaction::ServerId;

impl Call {
    /// Ringing or answered: who calls, and who is called.
    #[must_use]
    pub fn parties(&self) -> Option<(Party, Party)> {
        match self.state {
            State::Over => None,
            State::Ringing(_) | State::Up { .. } => Some((self.from(), self.to())),
        }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> CallId {
        self.id
    }

    /// No limit and no failed probe stops it.
    #[must_use]
    pub fn is_emergency(&self) -> bool {
        self.is_emergency
    }

    /// The transactions of the INVITEs that made it what it is.
    pub fn servers(&self) -> impl Iterator<Item = ServerId> {
        std::iter::once(self.a.id).chain(self.guests.iter().copied())
    }

    /// The caller's Call-ID, then ours towards those who are or were asked.
    pub fn sip_call_ids(&self) -> impl Iterator<Item = &str> {
        let ours = self.branches.iter().map(|b| b.invite.call_id());
        std::iter::once(self.a.invite.call_id()).chain(ours)
    }

    /// The account that calls, if a phone does.
    #[must_use]
    pub fn phone(&self) -> Option<PhoneId> {
        self.a.phone
    }

    /// The user part that was dialled.
    #[must_use]
    pub fn number(&self) -> &str {
        &self.number
    }

    /// Its flow pairs that are installed, or being so.
    pub fn flow_pairs(&self) -> impl Iterator<Item = &FlowPair> {
        self.media.pairs()
    }

    /// Who is at the sides of a flow pair.
    #[must_use]
    pub fn parties_of(&self, pair: PairId) -> [Party; 2] {
        match self.media.legs_of(pair) {
            Some(legs) => legs.map(|leg| self.party_of(leg)),
            // It was taken back in the very turn in which it was made.
            None => [self.from(), self.to()],
        }
    }

    /// Our tags in all its dialogs.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        let ours = self.branches.iter().filter_map(|b| b.invite.from().tag());
        let sides = std::iter::once(&self.a.side).chain(self.branches.iter().map(|b| &b.side));
        let dialogs = sides.filter_map(|side| Some(side.dialog.as_ref()?.local_tag()));
        let own = self.a.tags.iter().map(String::as_str);
        own.chain(ours).chain(dialogs)
    }

    /// Who calls, or who has been there longest.
    pub(super) fn from(&self) -> Party {
        match self.state {
            State::Up { near, .. } => self.party_of(near),
            State::Ringing(_) | State::Over => self.a.side.party,
        }
    }

    /// A leg's label.
    pub(crate) fn party_of(&self, leg: LegId) -> Party {
        if leg == LEG_A {
            return self.a.side.party;
        }
        let branch = self.branches.iter().find(|b| b.leg == leg);
        branch.map_or(Party::Nobody, |branch| branch.side.party)
    }

    /// The account or trunk at a leg.
    pub(crate) fn caller_of(&self, leg: LegId) -> Option<Caller> {
        let (side, phone) = match leg {
            LEG_A => (&self.a.side, self.a.phone),
            _ => {
                let branch = self.branches.iter().find(|b| b.leg == leg)?;
                (&branch.side, branch.phone)
            }
        };
        let trunk = side.trunk.map(Caller::Trunk);
        trunk.or(phone.map(Caller::Phone))
    }

    /// Where a leg's party calls from, if it does: its network, and its number, unescaped.
    pub(super) fn calls_from(&self, config: &Config, leg: LegId) -> (NetworkId, String) {
        let branch = self.branches.iter().find(|b| b.leg == leg);
        let (side, phone) = match branch {
            Some(branch) => (&branch.side, branch.phone),
            None => (&self.a.side, self.a.phone),
        };
        let number = match (phone, branch) {
            (Some(phone), _) => config.phone(phone).name.clone(),
            (None, Some(_)) => unescaped(&self.number),
            (None, None) => user_of(self.a.invite.from().uri()),
        };
        (side.hop.network, number)
    }

    /// The dialog with a leg, once there is one.
    pub(super) fn dialog(&self, leg: LegId) -> Option<&Dialog> {
        if leg == LEG_A {
            return self.a.side.dialog.as_ref();
        }
        let branch = self.branches.iter().find(|b| b.leg == leg)?;
        branch.side.dialog.as_ref()
    }

    /// Who took it, or who came last, while it is up.
    pub(crate) fn answered_leg(&self) -> Option<LegId> {
        match self.state {
            State::Up { leg, .. } => Some(leg),
            State::Ringing(_) | State::Over => None,
        }
    }

    /// The other one of the two who talk, if this is one of them.
    pub(super) fn opposite(&self, of: LegId) -> Option<LegId> {
        match self.state {
            State::Up { near, leg, .. } if of == near => Some(leg),
            State::Up { near, leg, .. } if of == leg => Some(near),
            _ => None,
        }
    }

    /// Who is called: who took it, else who is being asked.
    pub(super) fn to(&self) -> Party {
        match self.state {
            State::Up { leg, .. } => self.branches.iter().find(|b| b.leg == leg),
            State::Ringing(_) | State::Over => self.branches.last(),
        }
        .map_or(Party::Nobody, |branch| branch.side.party)
    }
}
