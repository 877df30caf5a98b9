//! Which of those who could be asked may be: who does not answer his probes is not, nor a trunk that has as many calls as it may have.

use std::time::Instant;

use smallvec::SmallVec;

use super::asking::Target;
use super::context::Context;
use super::failure::Failure;
use super::machine::{Call, State};
use crate::config::TrunkId;
use crate::engine::Outcome;
use crate::routing::Destination;
use crate::trunks::{Probed, Trunks};

/// Those that may be asked; each trunk among them has a call more from now on. `always`: they all may (an emergency).
///
/// # Errors
/// Nobody is left: why.
pub(super) fn reachable<'c>(
    now: Instant,
    cx: &mut Context<'_>,
    always: bool,
    targets: SmallVec<[Target<'c>; 4]>,
) -> Result<SmallVec<[Target<'c>; 4]>, Failure> {
    let mut reached = SmallVec::new();
    let mut failure = None;
    for target in targets {
        match may_be_asked(now, cx, always, &target) {
            Ok(()) => reached.push(target),
            Err(why) => why.note(&mut failure),
        }
    }
    match failure {
        Some(failure) if reached.is_empty() => Err(*failure),
        _ => Ok(reached),
    }
}

fn may_be_asked(
    now: Instant,
    cx: &mut Context<'_>,
    always: bool,
    target: &Target<'_>,
) -> Result<(), Failure> {
    if !always && !is_there(cx.trunks, target) {
        let named = target.destination.named(cx.config);
        let code = match target.destination {
            Destination::Trunk(_) => 503,
            Destination::Phone(_) => 480,
        };
        let why = format!("{named} does not answer its probes");
        return Err(Failure::own(code, Outcome::Failed, why));
    }
    let Destination::Trunk(id) = target.destination else {
        return Ok(());
    };
    cx.trunks.begin(now, cx.config, id, always).map_err(|busy| {
        let named = target.destination.named(cx.config);
        Failure::own(503, Outcome::Failed, format!("{named} {busy}"))
    })
}

/// Whether nothing is known against asking there.
pub(crate) fn is_there(trunks: &Trunks, target: &Target<'_>) -> bool {
    let who = match target.destination {
        Destination::Trunk(id) => Probed::Trunk(id),
        Destination::Phone(phone) => Probed::Contact {
            phone,
            network: target.hop.network,
            source: target.hop.remote,
        },
    };
    trunks.is_there(&who)
}

impl Call {
    /// The trunks that it has legs with which ring or are up, each as often as it has.
    pub fn trunk_legs(&self) -> impl Iterator<Item = TrunkId> {
        let is_over = matches!(self.state, State::Over);
        let a = self.a.side.trunk.filter(|_| !self.a.side.is_gone);
        let branches = self
            .branches
            .iter()
            .filter(|branch| branch.is_ringing() || branch.is_up() && !branch.side.is_gone)
            .filter_map(|branch| branch.side.trunk);
        a.into_iter().chain(branches).filter(move |_| !is_over)
    }
}
