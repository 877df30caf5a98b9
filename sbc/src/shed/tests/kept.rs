//! What outlives the daemon.

use std::collections::BTreeMap;

use super::*;
use crate::shed::ban;
use crate::shed::sources::MAX_BANS;

/// What stands in the store.
type Kept = BTreeMap<u32, Saved>;

fn config() -> Config {
    Config::parse(CONFIG, "test.toml", &NoSecrets).unwrap()
}

/// Puts down what has changed.
fn keep(both: &mut Edge, kept: &mut Kept) -> usize {
    let changed: Vec<_> =
        std::iter::from_fn(|| both.sources.poll_kept(both.now, &config())).collect();
    let count = changed.len();
    for (slot, saved) in changed {
        match saved {
            Some(saved) => kept.insert(slot, saved),
            None => kept.remove(&slot),
        };
    }
    count
}

/// Another daemon, with what the last one has left, so much later.
fn restarted(kept: &Kept, passed: Duration) -> (Edge, Vec<Restored>) {
    let mut next = both();
    let restored = restored(&mut next, kept, passed);
    (next, restored)
}

fn restored(edge: &mut Edge, kept: &Kept, passed: Duration) -> Vec<Restored> {
    let config = config();
    kept.iter()
        .map(|(slot, saved)| {
            let saved = saved.clone().after(passed);
            edge.sources.restore(edge.now, &config, *slot, &saved)
        })
        .collect()
}

fn listed(edge: &Edge) -> Vec<(String, By, u64, u32)> {
    let row = |ban: &Ban| {
        let left = (ban.until - edge.now).as_secs();
        (ban.prefix.to_string(), ban.by, left, ban.times)
    };
    edge.sources.bans().map(row).collect()
}

const OFFENCE: By = By::Offence(Offence::Credentials);

#[test]
fn whoever_is_banned_still_is_for_as_long_as_is_left() {
    let (mut both, mut kept) = (both(), Kept::new());
    both.ban("198.18.0.0/15", Some(10 * MINUTE));
    both.offend(LEFT, "192.0.2.1", 10);
    assert_eq!(keep(&mut both, &mut kept), 3);
    assert_eq!(keep(&mut both, &mut kept), 0, "told once");
    // As it is written.
    let text = serde_json::to_string(&kept).unwrap();
    assert_eq!(
        text,
        r#"{"0":{"network":"left","prefix":"198.18.0.0/15","ban":{"by":"operator","seconds":600}},"1":{"network":"right","prefix":"198.18.0.0/15","ban":{"by":"operator","seconds":600}},"2":{"network":"left","prefix":"192.0.2.1/32","ban":{"by":{"offence":"credentials"},"seconds":60},"record":{"times":1,"seconds":86460}}}"#
    );
    kept = serde_json::from_str(&text).unwrap();

    let (mut next, came) = restarted(&kept, Duration::from_secs(20));
    assert_eq!(came, [Restored::Banned; 3]);
    assert_eq!(
        listed(&next),
        [
            ("192.0.2.1/32".to_owned(), OFFENCE, 40, 1),
            ("198.18.0.0/15".to_owned(), By::Operator, 580, 1),
            ("198.18.0.0/15".to_owned(), By::Operator, 580, 1),
        ]
    );
    assert_eq!(next.drain().len(), 3);
    assert_eq!(next.fate(LEFT, "192.0.2.1"), Err(Shed::Banned));
    assert_eq!(next.fate(RIGHT, "198.19.0.1"), Err(Shed::Banned));
    assert_eq!(next.sources.count(), [(LEFT, 2), (RIGHT, 1)].into());
    assert_eq!(keep(&mut next, &mut kept), 0, "it stands there already");
    // They end as any do.
    assert_eq!(next.wait(Duration::from_secs(40)).len(), 1);
    assert_eq!(next.fate(LEFT, "192.0.2.1"), Ok(()));
    assert_eq!(next.wait(Duration::from_secs(540)).len(), 2);
    keep(&mut next, &mut kept);
    assert_eq!(kept.len(), 1, "of the operator's nothing is left");
}

#[test]
fn how_often_an_offender_was_banned_is_known_for_a_day() {
    let (mut both, mut kept) = (both(), Kept::new());
    for minutes in [1, 4] {
        both.offend(LEFT, "192.0.2.1", 10);
        keep(&mut both, &mut kept);
        both.wait(minutes * MINUTE);
        keep(&mut both, &mut kept);
    }
    assert_eq!(kept.len(), 1);
    let day = Duration::from_secs(86_400);
    let (mut next, came) = restarted(&kept, day - MINUTE);
    assert_eq!((came, listed(&next)), (vec![Restored::Remembered], vec![]));
    next.offend(LEFT, "192.0.2.1", 10);
    assert_eq!(
        listed(&next),
        [("192.0.2.1/32".to_owned(), OFFENCE, 16 * 60, 3)]
    );
    let (mut next, came) = restarted(&kept, day);
    assert_eq!(came, [Restored::Over]);
    next.offend(LEFT, "192.0.2.1", 10);
    assert_eq!(listed(&next), [("192.0.2.1/32".to_owned(), OFFENCE, 60, 1)]);
    // Into the slot of what was over.
    keep(&mut next, &mut kept);
    assert_eq!(kept.len(), 1);
}

#[test]
fn who_was_let_off_is_not_banned_again_by_a_restart() {
    let (mut both, mut kept) = (both(), Kept::new());
    both.ban("192.0.2.0/24", None);
    both.offend(LEFT, "203.0.113.1", 10);
    keep(&mut both, &mut kept);
    assert_eq!(kept.len(), 3);
    both.sources.unban(net("0.0.0.0/0")).unwrap();
    assert_eq!(keep(&mut both, &mut kept), 3);
    assert_eq!(kept, Kept::new());
    // Nor is a trunk, for what it did while it was none.
    both.offend(RIGHT, "203.0.113.9", 10);
    keep(&mut both, &mut kept);
    let trunk = Input::TrunkFound {
        trunk: TrunkId(1),
        network: RIGHT,
        source: ip("203.0.113.9"),
    };
    both.input(trunk);
    assert_eq!(both.fate(RIGHT, "203.0.113.9"), Ok(()));
    keep(&mut both, &mut kept);
    assert_eq!(kept, Kept::new());
}

#[test]
fn a_reload_that_names_a_trunk_lifts_the_boxs_ban_of_it() {
    let mut both = both();
    both.offend(LEFT, "203.0.113.9", 10);
    both.offend(LEFT, "203.0.113.10", 10);
    let text = format!(
        "{CONFIG}accept_from = [\"2001:db8:7::9\"]\n[trunk.c]\nnetwork = \"left\"\nserver = \"sip:203.0.113.9:5060\"\n"
    );
    let config = Config::parse(&text, "test.toml", &NoSecrets).unwrap();
    both.sources.reload(&config);
    both.drain();
    assert_eq!(both.fate(LEFT, "203.0.113.9"), Ok(()));
    assert_eq!(both.fate(LEFT, "203.0.113.10"), Err(Shed::Banned));
    // An operator's word holds.
    both.ban("203.0.113.9", None);
    both.sources.reload(&config);
    both.drain();
    assert_eq!(both.fate(LEFT, "203.0.113.9"), Err(Shed::Banned));
}

#[test]
fn what_no_longer_fits_is_dropped_and_thrown_away() {
    let saved = |network: &str, prefix: &str, by, seconds| Saved {
        network: network.to_owned(),
        prefix: net(prefix),
        ban: Some(SavedBan { by, seconds }),
        record: None,
    };
    let mut kept: Kept = [
        saved("dmz", "192.0.2.1", By::Operator, 60),
        saved("left", "198.51.100.7", OFFENCE, 60),
        saved("left", "192.0.2.77", OFFENCE, 60),
        saved("left", "0.0.0.0/0", By::Operator, 60),
        saved("left", "192.0.2.1", By::Operator, 0),
        // A trunk's, but he wants it so.
        saved("left", "198.51.100.8", By::Operator, u64::MAX),
        saved("left", "198.51.100.8", By::Operator, 5),
    ]
    .into_iter()
    .zip(0..)
    .map(|(saved, slot)| (slot, saved))
    .collect();
    let mut next = both();
    next.registered("192.0.2.77");
    let came = restored(&mut next, &kept, Duration::ZERO);
    use Restored::{Banned, Invalid, Known, NoNetwork, Over};
    assert_eq!(
        came,
        [NoNetwork, Known, Known, Invalid, Over, Banned, Invalid]
    );
    let year = LONGEST.as_secs();
    assert_eq!(
        listed(&next),
        [("198.51.100.8/32".to_owned(), By::Operator, year, 1)]
    );
    assert_eq!(keep(&mut next, &mut kept), 6);
    assert_eq!(kept.keys().collect::<Vec<_>>(), [&5]);
    // When the clock was set all is written down anew.
    next.wait(MINUTE);
    next.sources.keep_anew();
    keep(&mut next, &mut kept);
    assert_eq!(kept[&5].ban.unwrap().seconds, year - 60);
}

#[test]
fn no_more_is_taken_back_than_there_is_room_for() {
    let most = MAX_BANS as u32 / 2;
    let of = |n: u32, by| Saved {
        network: "left".to_owned(),
        prefix: IpAddr::from((0x0b00_0000 + n).to_be_bytes()).into(),
        ban: Some(SavedBan { by, seconds: 60 }),
        record: Some(SavedRecord {
            times: 3,
            seconds: 1000,
        }),
    };
    let kept: Kept = (0..=most).map(|n| (n, of(n, OFFENCE))).collect();
    let (mut next, came) = restarted(&kept, Duration::ZERO);
    assert_eq!(came.last(), Some(&Restored::Full));
    assert_eq!(next.sources.bans().count(), most as usize);
    assert!(listed(&next).iter().all(|(.., times)| *times == 3));
    // Operators have their half.
    let kept: Kept = (0..=most)
        .map(|n| (most + n, of(0x10_0000 + n, By::Operator)))
        .collect();
    let came = restored(&mut next, &kept, Duration::ZERO);
    assert_eq!(came.last(), Some(&Restored::Full));
    assert_eq!(next.sources.bans().count(), MAX_BANS);
}

/// Some hosts, and five /64s of a /56.
fn source(who: u8) -> String {
    match who % 8 {
        last @ ..3 => format!("192.0.2.{last}"),
        of_56 => format!("2001:db8:1:{of_56}::1"),
    }
}

/// What happens, in the order of the bytes.
fn step(both: &mut Edge, [what, who]: [u8; 2]) {
    let source = source(who);
    match what % 6 {
        0 | 1 => drop(both.offend(LEFT, &source, 10)),
        2 => {
            let lasting = (who % 2 == 0).then_some(Duration::from_secs(who.into()));
            let _ = both.sources.ban(both.now, net(&source), lasting);
        }
        3 => drop(both.sources.unban(ban::host(ip(&source)))),
        4 => drop(both.registered(&source)),
        _ => drop(both.wait(Duration::from_secs(u64::from(who) * 60))),
    }
    both.drain();
}

proptest! {
    /// Whenever it ends, the next one has the bans that this one had, and forgets no offender sooner or later than it would have.
    #[test]
    fn the_next_daemon_has_what_this_one_had(
        steps in proptest::collection::vec(any::<[u8; 2]>(), 0..60),
        passed in 0_u64..7200,
    ) {
        let (mut both, mut kept) = (both(), Kept::new());
        for one in &steps {
            let began = both.now;
            step(&mut both, *one);
            for saved in kept.values_mut() {
                *saved = saved.clone().after(both.now - began);
            }
            if one[0] >= 128 {
                keep(&mut both, &mut kept);
            }
        }
        keep(&mut both, &mut kept);
        let passed = Duration::from_secs(passed);
        both.wait(passed);
        let phones: Vec<IpAddr> = (0..8).map(|who| ip(&source(who))).collect();
        let (mut next, _) = restarted(&kept, passed);
        next.drain();
        for &source in phones.iter().filter(|source| both.sources.knows(LEFT, **source)) {
            next.input(Input::Registered { network: LEFT, source });
        }
        prop_assert_eq!(listed(&next), listed(&both));
        for who in 0..8 {
            let source = source(who);
            prop_assert_eq!(next.fate(LEFT, &source).is_err(), both.fate(LEFT, &source).is_err());
            let lasts = |edge: &mut Edge| -> Vec<_> {
                let actions = edge.offend(LEFT, &source, 10);
                let bans = actions.iter().filter_map(|action| match action {
                    Action::Ban(ban) => Some((ban.prefix, ban.until - edge.now, ban.times)),
                    _ => None,
                });
                bans.collect()
            };
            prop_assert_eq!(lasts(&mut next), lasts(&mut both));
        }
    }
}
