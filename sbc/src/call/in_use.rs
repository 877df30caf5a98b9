//! Which trunks and phones a call still needs: a new config may not give their ids away.

use super::machine::{Call, State};
use super::plan::Plan;
use super::transfer::How;
use crate::config::{InUse, PhoneId, TrunkId};
use crate::routing::Destination;

impl Call {
    /// Adds its trunks and phones: those that are in it, and those that it may yet ask.
    pub fn mark(&self, in_use: &mut InUse) {
        let a = (self.a.side.trunk, self.a.phone);
        let b = self.branches.iter().map(|b| (b.side.trunk, b.phone));
        for (trunk, phone) in std::iter::once(a).chain(b) {
            note(in_use, trunk, phone);
        }
        let ringing = match &self.state {
            State::Ringing(plan) => Some(&**plan),
            State::Up { .. } | State::Over => None,
        };
        let transfer = match self.transfer.as_ref().map(|transfer| &transfer.how) {
            Some(How::Blind(blind)) => Some(blind.plan()),
            _ => None,
        };
        let plans = ringing.into_iter().chain(transfer);
        for destination in plans.flat_map(Plan::destinations) {
            match destination {
                Destination::Trunk(id) => note(in_use, Some(id), None),
                Destination::Phone(id) => note(in_use, None, Some(id)),
            }
        }
    }
}

fn note(in_use: &mut InUse, trunk: Option<TrunkId>, phone: Option<PhoneId>) {
    in_use.trunks.extend(trunk);
    in_use.phones.extend(phone);
}
