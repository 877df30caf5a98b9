//! Who has many addresses.

use super::*;

/// An offender in the n-th /64 of the m-th /56 of a /48.
fn offender(m: u32, n: u32) -> String {
    format!("2001:db8:5:{:x}::1", m << 8 | n)
}

fn banned(actions: &[Action]) -> Vec<String> {
    let shown = actions.iter().map(|action| match action {
        Action::Ban(ban) => format!("+{} {} {}", ban.prefix, ban.by.label(), ban.times),
        Action::Unban { prefix, end, .. } => {
            assert_eq!(*end, End::Widened);
            format!("-{prefix}")
        }
        other => panic!("{other:?}"),
    });
    shown.collect()
}

#[test]
fn four_of_a_56_are_all_of_it_and_sixteen_of_a_48() {
    let mut both = both();
    for n in 0..3 {
        assert_eq!(both.offend(RIGHT, &offender(1, n), 10).len(), 1);
    }
    // Each network by itself.
    assert_eq!(both.offend(LEFT, &offender(1, 3), 10).len(), 1);
    assert_eq!(both.fate(RIGHT, &offender(1, 77)), Ok(()));
    assert_eq!(
        banned(&both.offend(RIGHT, &offender(1, 3), 10)),
        [
            "+2001:db8:5:100::/56 several-within 1",
            "-2001:db8:5:100::/64",
            "-2001:db8:5:101::/64",
            "-2001:db8:5:102::/64",
        ]
    );
    assert_eq!(both.fate(RIGHT, &offender(1, 77)), Err(Shed::Banned));
    assert_eq!(both.fate(RIGHT, &offender(1, 0)), Err(Shed::Banned));
    assert_eq!(both.fate(LEFT, &offender(1, 77)), Ok(()));
    assert_eq!(both.fate(RIGHT, &offender(2, 0)), Ok(()));
    // What was under way.
    assert_eq!(both.offend(RIGHT, &offender(1, 77), 10), []);
    assert_eq!(both.sources.count()[&RIGHT], 1);
    // It stands for four; eleven more are one too few.
    for n in 0..11 {
        let actions = both.offend(RIGHT, &offender(2 + n / 3, n), 10);
        assert_eq!(actions.len(), 1, "{n}");
    }
    let last = both.offend(RIGHT, &offender(9, 0), 10);
    assert_eq!(banned(&last)[0], "+2001:db8:5::/48 several-within 1");
    assert_eq!(last.len(), 13);
    assert_eq!(both.sources.count()[&RIGHT], 1);
    assert_eq!(both.fate(RIGHT, "2001:db8:5:ffff::1"), Err(Shed::Banned));
    assert_eq!(both.fate(RIGHT, "2001:db8:6::1"), Ok(()));
    assert_eq!(both.offend(RIGHT, &offender(77, 77), 10), []);
    // It ends as any ban, and is lifted as any.
    both.wait(Duration::from_secs(600));
    assert_eq!(both.fate(RIGHT, "2001:db8:5:ffff::1"), Ok(()));
    for n in 0..4 {
        both.offend(RIGHT, &offender(1, n), 10);
    }
    assert_eq!(both.sources.count()[&RIGHT], 1);
    let lifted = both.sources.unban(net("2001:db8:5::/48")).unwrap();
    assert_eq!(lifted[0].by, By::Several);
    both.drain();
    assert_eq!(both.fate(RIGHT, &offender(1, 0)), Ok(()));
}

#[test]
fn nothing_is_widened_around_who_is_known_nor_an_operators_ban() {
    let mut both = both();
    // Trunk b is in 2001:db8:7::/64 of the right network; a phone in the /48, but not in the /56.
    for n in 0..40 {
        let source = format!("2001:db8:7:{:x}::1", 0x100 * n);
        assert_eq!(both.offend(RIGHT, &source, 10).len(), 1);
    }
    both.registered("2001:db8:5:ff00::9");
    for n in 0..3 {
        both.offend(LEFT, &offender(1, n), 10);
    }
    // An operator's are counted for nothing, and stay.
    both.ban("2001:db8:5:209::/64", None);
    both.ban("2001:db8:5:1ff::/64", None);
    assert_eq!(both.offend(LEFT, &offender(1, 3), 10).len(), 4);
    for n in 0..40 {
        both.offend(LEFT, &offender(2 + n, 0), 10);
    }
    assert_eq!(both.fate(LEFT, "2001:db8:5:ff00::9"), Ok(()));
    let kept = |prefix: &str| both.sources.bans().any(|ban| ban.prefix == net(prefix));
    assert!(kept("2001:db8:5:209::/64") && kept("2001:db8:5:1ff::/64"));
    assert!(!kept("2001:db8:5::/48"));
    // Hosts of IPv4 are one each.
    for n in 0..40 {
        assert_eq!(both.offend(LEFT, &format!("192.0.2.{n}"), 10).len(), 1);
    }
}

#[test]
fn a_wider_ban_is_no_shorter_than_those_that_it_stands_for() {
    let mut both = both();
    for _ in 0..3 {
        both.offend(LEFT, &offender(1, 0), 10);
        let end = both.sources.poll_timeout().unwrap();
        both.wait(end - both.now);
    }
    both.offend(LEFT, &offender(1, 0), 10);
    let longest = both.sources.poll_timeout().unwrap();
    assert_eq!(longest - both.now, 64 * MINUTE);
    for n in 1..4 {
        both.offend(LEFT, &offender(1, n), 10);
    }
    let ban = *both.sources.bans().next().unwrap();
    assert_eq!(
        (ban.prefix, ban.until),
        (net("2001:db8:5:100::/56"), longest)
    );
    // A trunk that DNS finds in it was never meant.
    let trunk = Input::TrunkFound {
        trunk: TrunkId(0),
        network: LEFT,
        source: ip(&offender(1, 99)),
    };
    both.input(trunk);
    assert_eq!(both.sources.bans().count(), 0);
}

/// Who has a /48 can fill half of the table no more.
#[test]
fn a_prefix_takes_little_of_the_room() {
    let mut both = both();
    let mut most = 0;
    for n in 0..5000_u32 {
        both.offend(LEFT, &offender(n * 7919 % 256, n % 256), 10);
        most = most.max(both.sources.bans().count());
    }
    assert!(most <= 16, "{most}");
    assert_eq!((both.sources.bans().count(), both.sources.full()), (1, 0));
}
