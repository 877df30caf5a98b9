//! The door keeps to the list.

use super::*;

#[test]
fn a_flood_leaves_known_sources_served() {
    let mut both = both();
    both.registered("192.0.2.1");
    assert_eq!(both.served(LEFT, "203.0.113.1", 20_000), 20);
    let served = (0..100_000_u32)
        .filter(|n| {
            let source = IpAddr::from((0x0b00_0000 + n).to_be_bytes());
            both.gate.admit(both.now, LEFT, source).is_ok()
        })
        .count();
    assert_eq!(served, 800 - 20);
    assert_eq!(both.fate(LEFT, "203.0.113.9"), Err(Shed::Flood));
    assert_eq!(both.served(LEFT, "192.0.2.1", 20_000), 4000);
    assert_eq!(both.served(LEFT, "127.0.0.1", 20_000), 20_000);
    assert_eq!(both.fate(RIGHT, "203.0.113.1"), Ok(()));
    both.now += Duration::from_secs(1);
    assert_eq!(both.served(LEFT, "203.0.113.1", 20_000), 5);
}

proptest! {
    /// After any bans and lifts, exactly those are let in whom no ban covers.
    #[test]
    fn the_door_knows_what_the_list_says(
        steps in prop::collection::vec((any::<bool>(), 0..4_u32, 24..=32_u8), 0..40),
    ) {
        let mut both = both();
        for (bans, low, length) in steps {
            let prefix = IpNet::new(IpAddr::from((0xc000_0200 + low * 77).to_be_bytes()), length).unwrap();
            if bans {
                both.sources.ban(both.now, prefix, None).unwrap();
            } else {
                let _ = both.sources.unban(prefix);
            }
            both.drain();
            for last in 0..=255_u32 {
                let source = IpAddr::from((0xc000_0200 + last).to_be_bytes());
                let listed = both.sources.bans().any(|ban| ban.network == RIGHT && ban.prefix.contains(&source));
                let banned = both.gate.admit(both.now, RIGHT, source) == Err(Shed::Banned);
                prop_assert_eq!(banned, listed);
            }
        }
    }
}

#[test]
fn who_turns_out_to_be_a_trunk_is_served_again_and_not_banned_by_itself() {
    let mut both = both();
    both.offend(RIGHT, "192.0.2.7", 10);
    assert_eq!(both.served(RIGHT, "192.0.2.7", 1), 0);
    let (trunk, network, source) = (TrunkId(1), RIGHT, ip("192.0.2.7"));
    let found = Input::TrunkFound {
        trunk,
        network,
        source,
    };
    let prefix = net("192.0.2.7/32");
    let unban = Action::Unban {
        network,
        prefix,
        end: End::Lifted,
    };
    let known = Action::Known { network, prefix };
    assert_eq!(both.input(found), [known, unban]);
    assert_eq!(both.served(RIGHT, "192.0.2.7", 1), 1);
    assert_eq!(both.offend(RIGHT, "192.0.2.7", 20), []);
    // What an operator says holds.
    assert_eq!(both.ban("192.0.2.7", None), [Warning::Trunk(TrunkId(1))]);
    let gone = Input::TrunkGone {
        trunk,
        network,
        source,
    };
    assert_eq!(
        both.input(gone.clone()),
        [Action::Unknown { network, prefix }]
    );
    assert_eq!(both.input(gone), []);
}
