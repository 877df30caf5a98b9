//! Bans that outlive the daemon: whoever was banned still is, and how often he was is known.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tracing::{debug, info, warn};

use super::keeper::since_1970;
use super::store::{Change, Row, Table};
use crate::engine::Engine;
use crate::shed::{Restored, Saved};

/// Names of networks that one line of the log has.
const MAX_NAMES: usize = 8;

/// What stands in a slot. The engine's clock begins anew with each start, and that of the host may have been set: what was left, and when that was
/// so, are two things, so that neither makes a ban longer than it was.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// When it was written: seconds since 1970.
    written: u64,
    #[serde(flatten)]
    saved: Saved,
}

/// A slot that is to be written anew.
pub(super) fn next(engine: &mut Engine, now: Instant) -> Option<Change> {
    let (slot, saved) = engine.poll_bans(now)?;
    let record = saved.map(|saved| Record {
        written: since_1970(),
        saved,
    });
    Some(Change {
        table: Table::Bans,
        key: slot.to_string(),
        // Our own types can be written.
        value: record.and_then(|record| serde_json::to_vec(&record).ok()),
    })
}

/// Takes back what still holds, by what the time of day is now.
pub(super) fn restore<'a>(
    engine: &mut Engine,
    now: Instant,
    today: u64,
    kept: impl Iterator<Item = &'a Row>,
) {
    let mut tally = Tally::default();
    let mut is_early = false;
    for row in kept {
        let Some((slot, record)) = read(row) else {
            tally.unreadable += 1;
            continue;
        };
        is_early |= record.written > today;
        // A clock that was set back makes no ban longer than what was left of it.
        let passed = Duration::from_secs(today.saturating_sub(record.written));
        let saved = record.saved.after(passed);
        let restored = engine.restore_ban(now, slot, &saved);
        debug!(network = saved.network, prefix = %saved.prefix, ?restored, "kept");
        tally.count(&saved.network, restored);
    }
    if is_early {
        // Or they would begin anew with each start, until the clock is where it was.
        engine.keep_bans_anew();
    }
    tally.tell();
}

/// What stands in a slot, unless that is something else.
fn read(row: &Row) -> Option<(u32, Record)> {
    let slot: u32 = row.key.parse().ok()?;
    let record = serde_json::from_slice(&row.value).ok()?;
    (slot.to_string() == row.key).then_some((slot, record))
}

/// There may be tens of thousands: a few lines tell of all.
#[derive(Debug, Default)]
struct Tally {
    banned: u64,
    remembered: u64,
    over: u64,
    known: u64,
    invalid: u64,
    full: u64,
    unreadable: u64,
    /// By the networks that are gone.
    no_network: BTreeMap<String, u64>,
}

impl Tally {
    fn count(&mut self, network: &str, restored: Restored) {
        let count = match restored {
            Restored::Banned => &mut self.banned,
            Restored::Remembered => &mut self.remembered,
            Restored::Over => &mut self.over,
            Restored::Known => &mut self.known,
            Restored::Invalid => &mut self.invalid,
            Restored::Full => &mut self.full,
            Restored::NoNetwork => {
                let is_listed = self.no_network.len() < MAX_NAMES;
                let name = if is_listed || self.no_network.contains_key(network) {
                    network
                } else {
                    "others"
                };
                self.no_network.entry(name.to_owned()).or_default()
            }
        };
        *count += 1;
    }

    fn tell(&self) {
        let Tally {
            banned,
            remembered,
            over,
            known,
            full,
            ..
        } = *self;
        if banned + remembered + over > 0 {
            info!(
                bans = banned,
                remembered, over, "whoever was banned still is"
            );
        }
        if known > 0 {
            info!(
                bans = known,
                "the box's own bans of whom it knows now, trunks, phones and this host, are dropped"
            );
        }
        for (network, bans) in &self.no_network {
            warn!(
                network,
                bans, "the config has no network of that name any more: its bans are dropped"
            );
        }
        if full > 0 {
            warn!(
                bans = full,
                "there is no room for more bans: these are dropped"
            );
        }
        let unreadable = self.unreadable + self.invalid;
        if unreadable > 0 {
            warn!(
                unreadable,
                "some of what was kept of bans cannot be read: these do not hold any more"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::config::{Config, NoSecrets};
    use crate::shed::{Ban, LONGEST};

    const TODAY: u64 = 1_790_000_000;

    fn engine(now: Instant) -> Engine {
        let text = "[network.lan]\naddress = [\"10.71.1.1\"]\n";
        let config = Config::parse(text, "test.toml", &NoSecrets).unwrap();
        Engine::new(Arc::new(config), [7; 32], now)
    }

    fn row(key: &str, value: &str) -> Row {
        Row {
            key: key.to_owned(),
            value: value.as_bytes().to_vec(),
        }
    }

    /// An hour's ban, of which half is left when it is written.
    fn half_an_hour(written: u64) -> Row {
        let ban = r#""ban":{"by":"operator","seconds":1800}"#;
        let text =
            format!(r#"{{"written":{written},"network":"lan","prefix":"192.0.2.0/24",{ban}}}"#);
        row("3", &text)
    }

    /// Seconds that are left of the ban that there is, and how many slots are to be written.
    fn left(rows: &[Row]) -> (Option<u64>, usize) {
        let now = Instant::now();
        let mut engine = engine(now);
        restore(&mut engine, now, TODAY, rows.iter());
        let left = |ban: &Ban| (ban.until - now).as_secs();
        let seconds = engine.bans().next().map(left);
        let changes = std::iter::from_fn(|| next(&mut engine, now)).count();
        (seconds, changes)
    }

    #[test]
    fn the_time_away_counts_and_a_clock_that_was_set_makes_no_ban_longer() {
        assert_eq!(left(&[half_an_hour(TODAY)]), (Some(1800), 0));
        assert_eq!(left(&[half_an_hour(TODAY - 600)]), (Some(1200), 0));
        // Over while nobody was there, or the clock was set forward: it is thrown away.
        assert_eq!(left(&[half_an_hour(TODAY - 1800)]), (None, 1));
        assert_eq!(left(&[half_an_hour(0)]), (None, 1));
        // Written by a clock that was ahead: as long as was left, and written down by the clock of today.
        assert_eq!(left(&[half_an_hour(TODAY + 1)]), (Some(1800), 1));
        assert_eq!(left(&[half_an_hour(u64::MAX)]), (Some(1800), 1));
    }

    #[test]
    fn what_is_written_is_read() {
        let now = Instant::now();
        let mut engine = engine(now);
        let prefix = "2001:db8::/48".parse().unwrap();
        engine.ban(now, prefix, Some(LONGEST)).unwrap();
        let change = next(&mut engine, now).unwrap();
        assert_eq!((change.table, change.key.as_str()), (Table::Bans, "0"));
        assert_eq!(next(&mut engine, now), None);
        let (slot, record) = read(&Row {
            key: change.key,
            value: change.value.unwrap(),
        })
        .unwrap();
        assert_eq!((slot, record.saved.prefix), (0, prefix));
        assert_eq!(record.saved.ban.unwrap().seconds, LONGEST.as_secs());
        engine.unban(prefix).unwrap();
        assert_eq!(next(&mut engine, now).unwrap().value, None);
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        let good = half_an_hour(TODAY);
        let bad = [
            row("03", "{}"),
            row("-1", "{}"),
            row("4294967296", "{}"),
            row("1", ""),
            row("2", "null"),
            row(
                "4",
                r#"{"written":1,"network":"lan","prefix":"192.0.2.0/99"}"#,
            ),
            row(
                "5",
                r#"{"written":-1,"network":"lan","prefix":"192.0.2.0/24"}"#,
            ),
            Row {
                key: "03".to_owned(),
                ..good.clone()
            },
        ];
        assert!(bad.iter().all(|row| read(row).is_none()));
        let mut all = bad.to_vec();
        all.push(good);
        assert_eq!(left(&all), (Some(1800), 0));
    }

    fn pieces() -> impl Strategy<Value = String> {
        let number = || {
            prop_oneof![
                Just("0".to_owned()),
                Just("18446744073709551615".to_owned()),
                Just("-1".to_owned()),
                any::<u64>().prop_map(|n| n.to_string()),
                (0_u64..100_000).prop_map(|n| n.to_string()),
            ]
        };
        let prefix = prop_oneof![
            any::<(u32, u8)>().prop_map(|(a, l)| format!(
                "{}/{}",
                std::net::Ipv4Addr::from(a),
                l % 34
            )),
            any::<(u128, u8)>().prop_map(|(a, l)| format!(
                "{}/{}",
                std::net::Ipv6Addr::from(a),
                l % 130
            )),
        ];
        let by = prop_oneof![
            Just(r#""operator""#),
            Just(r#"{"offence":"stranger"}"#),
            Just(r#""several""#),
            Just(r#"{"offence":"none"}"#)
        ];
        (number(), "lan|wan", prefix, by, number(), number(), number()).prop_map(
            |(written, network, prefix, by, left, times, forgotten)| {
                format!(
                    r#"{{"written":{written},"network":"{network}","prefix":"{prefix}","ban":{{"by":{by},"seconds":{left}}},"record":{{"times":{times},"seconds":{forgotten}}}}}"#
                )
            },
        )
    }

    proptest! {
        /// Whatever stands in the store: no panic, no ban that lasts for ever or ends before it begins, and what is told to be written is read the same.
        #[test]
        fn a_foreign_store_does_no_harm(
            rows in proptest::collection::vec(
                ("[0-9]{1,2}|[0-9]{9,11}|.{0,3}", prop_oneof![
                    4 => pieces().prop_map(String::into_bytes),
                    1 => proptest::collection::vec(any::<u8>(), 0..40),
                ]),
                0..20,
            ),
            today in prop_oneof![Just(0), Just(TODAY), Just(u64::MAX), any::<u64>()],
        ) {
            let now = Instant::now();
            let mut engine = engine(now);
            let rows: Vec<Row> = rows
                .into_iter()
                .map(|(key, value)| Row { key, value })
                .collect();
            restore(&mut engine, now, today, rows.iter());
            for ban in engine.bans() {
                prop_assert!(ban.until > now && ban.until <= now + LONGEST, "{:?}", ban);
            }
            let bans: Vec<Ban> = engine.bans().copied().collect();
            engine.keep_bans_anew();
            let written: Vec<Row> = std::iter::from_fn(|| next(&mut engine, now))
                .filter_map(|change| Some(Row { key: change.key, value: change.value? }))
                .collect();
            let mut again = super::tests::engine(now);
            restore(&mut again, now, since_1970(), written.iter());
            prop_assert_eq!(again.bans().count(), bans.len());
            while let Some(deadline) = again.poll_timeout() {
                again.handle_timeout(deadline);
            }
            prop_assert_eq!(again.bans().count(), 0);
        }
    }
}
