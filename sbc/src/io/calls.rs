//! Calls, as the engine's task tells of them: some at a time, so that traffic has its turn in between.

use crate::call::{CallView, Gist};
use crate::engine::{CallId, Engine};

/// Calls in one [`CallPart`]: what comes meanwhile waits for as many, a tenth of a millisecond or two.
const ROWS: usize = 50;
/// Calls that are looked at for one [`Found`].
const LOOKED_AT: usize = 250;
/// Calls that a name may stand for; more are not told.
pub(super) const MOST: usize = 10;

/// Some calls.
#[derive(Debug)]
pub(super) struct CallPart {
    /// In the order in which they began.
    pub(super) rows: Vec<Gist>,
    /// Where to go on, if there may be more.
    pub(super) last: Option<CallId>,
}

/// Whom a name may stand for, among some calls.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Those that go by it.
    pub(super) exact: Vec<CallView>,
    /// Those with a Call-ID that begins so.
    pub(super) like: Vec<CallView>,
    /// Where to go on, if there may be more.
    pub(super) last: Option<CallId>,
}

/// The calls that come after that one, a bounded number of them.
pub(super) fn part(engine: &Engine, after: Option<CallId>) -> CallPart {
    let rows: Vec<Gist> = engine
        .calls(after)
        .take(ROWS)
        .map(|(_, call)| call.gist())
        .collect();
    CallPart {
        last: rows.last().map(Gist::id).filter(|_| rows.len() == ROWS),
        rows,
    }
}

/// Those of the calls after that one that a name may stand for; a bounded number of calls is looked at.
pub(super) fn find(engine: &Engine, name: &str, after: Option<CallId>) -> Found {
    let mut found = Found::default();
    // A call's own name is found at once, and means nobody else.
    if let Some(call) = u64::from_str_radix(name, 16)
        .ok()
        .and_then(|id| engine.call(CallId(id)))
    {
        found.exact.push(call.view());
        return found;
    }
    let mut looked_at = 0;
    for (id, call) in engine.calls(after).take(LOOKED_AT) {
        looked_at += 1;
        found.last = Some(id);
        if call.is_named(name) && found.exact.len() <= MOST {
            found.exact.push(call.view());
        } else if found.like.len() <= MOST && call.is_named_like(name) {
            found.like.push(call.view());
        }
    }
    if looked_at < LOOKED_AT {
        found.last = None;
    }
    found
}
