//! How often somebody failed to prove who he is: by source, by account, and by both together.
//!
//! Only failures that are proven to come from where they say count (a nonce that was sent there was answered), so that nobody is shut out by
//! datagrams that others forge in his name. Names that no account has are counted as those of accounts are.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::config::NetworkId;

/// Failures within a minute after which a source, or a source with one account, has to wait.
const PER_SOURCE: u32 = 10;
/// The same for an account, wherever they come from.
const PER_ACCOUNT: u32 = 30;
const MINUTE: Duration = Duration::from_secs(60);
/// A source waits twice as long each time, up to this often: a little more than an hour.
const MAX_DOUBLINGS: u32 = 6;
/// So long after its last failure a source begins anew.
const MEMORY: Duration = Duration::from_secs(2 * 3600);
/// Rows of the table.
const MAX_ROWS: usize = 16_384;
/// No account has a longer name.
const MAX_NAME: usize = 64;

/// Failed attempts. Bounded: what has no room is not counted.
#[derive(Debug)]
pub struct Attempts {
    rows: HashMap<Whose, Row>,
    limit: usize,
    full: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Whose {
    Source(NetworkId, IpAddr),
    Account(Box<str>),
    Both(NetworkId, IpAddr, Box<str>),
}

#[derive(Clone, Copy, Debug)]
struct Row {
    /// When the minute began.
    since: Instant,
    count: u32,
    /// When it ends that he has to wait.
    until: Option<Instant>,
    /// How often he had to.
    times: u32,
    last: Instant,
}

/// Who tries, and where.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The side of the box.
    pub network: NetworkId,
    /// Where from.
    pub source: IpAddr,
    /// Which account.
    pub name: &'a str,
    /// The account is registered at that address.
    pub is_at_home: bool,
    /// The account is registered at that very socket.
    pub is_own_flow: bool,
}

impl Default for Attempts {
    fn default() -> Self {
        Attempts::with_limit(MAX_ROWS)
    }
}

impl Attempts {
    /// With room for so many rows.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Attempts {
            rows: HashMap::new(),
            limit,
            full: 0,
        }
    }

    /// How long he has to wait before he is listened to. A phone where it is registered does not wait for what others have done: neither those who
    /// try its account from elsewhere, nor its neighbours behind the same NAT.
    #[must_use]
    pub fn wait(&self, now: Instant, attempt: &Attempt<'_>) -> Option<Duration> {
        if attempt.is_own_flow {
            return None;
        }
        let waits = |whose: &Whose| {
            let until = self.rows.get(whose)?.until?;
            until.checked_duration_since(now).filter(|d| !d.is_zero())
        };
        let [source, account, both] = whose(attempt);
        match attempt.is_at_home {
            true => waits(&both),
            false => [source, account, both].iter().filter_map(waits).max(),
        }
    }

    /// Counts a failure.
    pub fn failed(&mut self, now: Instant, attempt: &Attempt<'_>) {
        let [source, account, both] = whose(attempt);
        self.count(now, source, PER_SOURCE, MAX_DOUBLINGS);
        // What others do to an account is not to keep its owner waiting for long.
        self.count(now, account, PER_ACCOUNT, 0);
        self.count(now, both, PER_SOURCE, MAX_DOUBLINGS);
    }

    /// How often there was no room to count a failure.
    #[must_use]
    pub fn full(&self) -> u64 {
        self.full
    }

    fn count(&mut self, now: Instant, whose: Whose, limit: u32, doublings: u32) {
        let since = |at: Instant| now.saturating_duration_since(at);
        if self.rows.len() >= self.limit && !self.rows.contains_key(&whose) {
            self.rows.retain(|_, row| {
                let is_waiting = row.until.is_some_and(|until| until > now);
                is_waiting || since(row.last) < MINUTE
            });
            if self.rows.len() >= self.limit {
                self.full += 1;
                return;
            }
        }
        let new = Row {
            since: now,
            count: 0,
            until: None,
            times: 0,
            last: now,
        };
        let row = self.rows.entry(whose).or_insert(new);
        if since(row.last) >= MEMORY {
            *row = new;
        }
        if since(row.since) >= MINUTE {
            (row.since, row.count) = (now, 0);
        }
        row.last = now;
        row.count += 1;
        if row.count >= limit {
            row.until = Some(now + MINUTE * 2_u32.pow(row.times.min(doublings)));
            row.times += 1;
            (row.since, row.count) = (now, 0);
        }
    }
}

/// The rows that an attempt counts in: of the source, of the account, of both.
fn whose(attempt: &Attempt<'_>) -> [Whose; 3] {
    let source = match attempt.source.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        // A host has a /64 for itself.
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
    };
    let name = attempt.name;
    let end = name.floor_char_boundary(MAX_NAME + 1);
    let name: Box<str> = name.get(..end).unwrap_or_default().into();
    [
        Whose::Source(attempt.network, source),
        Whose::Account(name.clone()),
        Whose::Both(attempt.network, source, name),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt<'a>(source: &str, name: &'a str) -> Attempt<'a> {
        Attempt {
            network: NetworkId(0),
            source: source.parse().unwrap(),
            name,
            is_at_home: false,
            is_own_flow: false,
        }
    }

    #[test]
    fn a_source_waits_longer_each_time() {
        let mut attempts = Attempts::default();
        let mut now = Instant::now();
        let guess = attempt("192.0.2.1", "6001");
        for minutes in [1, 2, 4, 8, 16, 32, 64, 64] {
            for _ in 0..9 {
                attempts.failed(now, &guess);
            }
            assert_eq!(attempts.wait(now, &guess), None);
            attempts.failed(now, &guess);
            assert_eq!(attempts.wait(now, &guess), Some(MINUTE * minutes));
            assert_eq!(attempts.wait(now, &attempt("192.0.2.2", "6001")), None);
            now += MINUTE * minutes;
            assert_eq!(attempts.wait(now, &guess), None);
        }
        now += MEMORY;
        (0..10).for_each(|_| attempts.failed(now, &guess));
        assert_eq!(attempts.wait(now, &guess), Some(MINUTE));
    }

    #[test]
    fn an_account_that_many_try_is_left_to_its_owner() {
        let mut attempts = Attempts::default();
        let now = Instant::now();
        for host in 0..30 {
            let source = format!("2001:db8:0:{host}::1");
            attempts.failed(now, &attempt(&source, "6001"));
        }
        let stranger = attempt("192.0.2.9", "6001");
        assert_eq!(attempts.wait(now, &stranger), Some(MINUTE));
        assert_eq!(attempts.wait(now, &attempt("192.0.2.9", "6002")), None);
        let at_home = Attempt {
            is_at_home: true,
            ..stranger
        };
        assert_eq!(attempts.wait(now, &at_home), None);
        assert_eq!(attempts.wait(now + MINUTE, &stranger), None);
    }

    #[test]
    fn a_neighbour_who_guesses_does_not_throw_the_phone_out() {
        let mut attempts = Attempts::default();
        let now = Instant::now();
        let phone = Attempt {
            is_at_home: true,
            ..attempt("192.0.2.1", "6001")
        };
        for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
            attempts.failed(now, &attempt("192.0.2.1", name));
        }
        assert_eq!(attempts.wait(now, &attempt("192.0.2.1", "k")), Some(MINUTE));
        assert_eq!(attempts.wait(now, &phone), None);
        // He tries the phone's own account: its socket alone is listened to.
        (0..10).for_each(|_| attempts.failed(now, &phone));
        assert_eq!(attempts.wait(now, &phone), Some(MINUTE));
        let own = Attempt {
            is_own_flow: true,
            ..phone
        };
        assert_eq!(attempts.wait(now, &own), None);
    }

    #[test]
    fn the_table_has_an_end() {
        let mut attempts = Attempts::with_limit(6);
        let now = Instant::now();
        let long = "ü".repeat(1000);
        for source in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
            attempts.failed(now, &attempt(source, source));
        }
        assert_eq!((attempts.rows.len(), attempts.full()), (6, 3));
        // What is over makes room.
        attempts.failed(now + MINUTE, &attempt("192.0.2.4", &long));
        assert_eq!((attempts.rows.len(), attempts.full()), (3, 3));
    }
}
