//! Where phones are, read off the engine in parts: traffic has its turn in between.

use std::time::Instant;

use crate::config::PhoneId;
use crate::engine::{ContactView, Engine};

/// Accounts looked at for one part.
const PHONES: u16 = 512;
/// Contacts of a part, or somewhat more.
const CONTACTS: usize = 64;

/// Some contacts.
#[derive(Debug)]
pub(super) struct Contacts {
    pub(super) now: Instant,
    pub(super) rows: Vec<ContactView>,
    /// The account that the next part begins with, if there is one.
    pub(super) next: Option<PhoneId>,
}

/// Those of the accounts from this one on.
pub(super) fn contacts(engine: &Engine, now: Instant, from: PhoneId) -> Contacts {
    let end = u16::try_from(engine.config().phones.len()).unwrap_or(u16::MAX);
    let mut rows = Vec::new();
    for index in from.0..end {
        if rows.len() >= CONTACTS || index - from.0 == PHONES {
            let next = Some(PhoneId(index));
            return Contacts { now, rows, next };
        }
        rows.extend(engine.contacts(PhoneId(index)));
    }
    Contacts {
        now,
        rows,
        next: None,
    }
}
