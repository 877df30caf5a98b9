//! Bans, offences, and the door.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use proptest::prelude::*;
use sbc_ebpf::shed::Shed;

use super::*;
use crate::config::{Config, NetworkId, NoSecrets, TrunkId};

mod door;
mod kept;
mod widen;

const CONFIG: &str = r#"
[network.left]
address = ["10.71.1.1"]
limits = { requests_per_second = 5, ban = "1m" }

[network.right]
address = ["10.71.2.1", "fd00::1"]

[trunk.a]
network = "left"
server = "sip:10.71.1.2:5060"
accept_from = ["10.71.1.2", "198.51.100.0/24"]

[trunk.b]
network = "right"
server = "sip:[2001:db8:7::9]:5060"
"#;

const LEFT: NetworkId = NetworkId(0);
const RIGHT: NetworkId = NetworkId(1);
const MINUTE: Duration = Duration::from_secs(60);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn net(text: &str) -> IpNet {
    text.parse()
        .or_else(|_| text.parse().map(IpNet::from as fn(IpAddr) -> IpNet))
        .unwrap()
}

/// The two halves together, as the shells have them.
struct Edge {
    sources: Sources,
    gate: Gate,
    now: Instant,
}

fn both() -> Edge {
    let config = Config::parse(CONFIG, "test.toml", &NoSecrets).unwrap();
    let now = Instant::now();
    let mut both = Edge {
        sources: Sources::new(&config),
        gate: Gate::new(&config, now),
        now,
    };
    let known = both.drain();
    assert_eq!(known.len(), 3);
    both
}

impl Edge {
    fn drain(&mut self) -> Vec<Action> {
        let actions: Vec<_> = std::iter::from_fn(|| self.sources.poll_action()).collect();
        actions.iter().for_each(|action| self.gate.apply(action));
        actions
    }

    fn input(&mut self, input: Input) -> Vec<Action> {
        self.sources.handle_input(self.now, input);
        self.drain()
    }

    fn offend(&mut self, network: NetworkId, source: &str, times: u32) -> Vec<Action> {
        let (source, offence) = (ip(source), Offence::Credentials);
        (0..times)
            .flat_map(|_| {
                self.input(Input::Offence {
                    network,
                    source,
                    offence,
                })
            })
            .collect()
    }

    fn registered(&mut self, source: &str) -> Vec<Action> {
        self.input(Input::Registered {
            network: LEFT,
            source: ip(source),
        })
    }

    fn ban(&mut self, prefix: &str, lasting: Option<Duration>) -> Vec<Warning> {
        let banned = self.sources.ban(self.now, net(prefix), lasting).unwrap();
        assert_eq!(banned.bans.len(), 2);
        self.drain();
        banned.warnings
    }

    /// How many of so many at once are let in.
    fn served(&self, network: NetworkId, source: &str, tries: usize) -> usize {
        (0..tries)
            .filter(|_| self.gate.admit(self.now, network, ip(source)).is_ok())
            .count()
    }

    fn fate(&self, network: NetworkId, source: &str) -> Result<(), Shed> {
        self.gate.admit(self.now, network, ip(source))
    }

    fn wait(&mut self, duration: Duration) -> Vec<Action> {
        self.now += duration;
        self.sources.handle_timeout(self.now);
        self.drain()
    }
}

#[test]
fn a_ban_lasts_as_each_network_says_and_then_is_over() {
    let mut both = both();
    both.ban("192.0.2.0/24", None);
    assert_eq!(both.fate(LEFT, "192.0.2.7"), Err(Shed::Banned));
    assert_eq!(both.fate(RIGHT, "::ffff:192.0.2.7"), Err(Shed::Banned));
    assert_eq!(both.fate(LEFT, "192.0.3.7"), Ok(()));
    assert_eq!(both.sources.count(), [(LEFT, 1), (RIGHT, 1)].into());
    assert_eq!(both.sources.poll_timeout(), Some(both.now + MINUTE));
    assert_eq!(both.wait(MINUTE - Duration::from_nanos(1)), []);
    let over = |network| Action::Unban {
        network,
        prefix: net("192.0.2.0/24"),
        end: End::Expired,
    };
    assert_eq!(both.wait(Duration::from_nanos(1)), [over(LEFT)]);
    assert_eq!(both.fate(LEFT, "192.0.2.7"), Ok(()));
    assert_eq!(both.fate(RIGHT, "192.0.2.7"), Err(Shed::Banned));
    assert_eq!(both.wait(9 * MINUTE), [over(RIGHT)]);
    assert_eq!(both.sources.poll_timeout(), None);
    assert_eq!(both.sources.count(), [].into());
}

#[test]
fn each_ban_of_an_offender_lasts_longer_than_the_one_before() {
    let mut both = both();
    let stranger = "192.0.2.7";
    let mut lengths = Vec::new();
    for times in 1..=8 {
        let actions = both.offend(LEFT, stranger, 10);
        let [Action::Ban(ban)] = actions[..] else {
            panic!("{actions:?}");
        };
        assert_eq!(ban.times, times);
        let lasting = ban.until - both.now;
        lengths.push(lasting.as_secs() / 60);
        both.wait(lasting);
        assert_eq!(both.fate(LEFT, stranger), Ok(()));
    }
    // Minutes, up to a day.
    assert_eq!(lengths, [1, 4, 16, 64, 256, 1024, 1440, 1440]);
    // Another begins at the beginning, and so does who was quiet for a day.
    let first = |actions: Vec<Action>| match actions[..] {
        [Action::Ban(ban)] => ban.times,
        _ => panic!("{actions:?}"),
    };
    assert_eq!(first(both.offend(LEFT, "192.0.2.8", 10)), 1);
    both.wait(Duration::from_secs(86_400));
    assert_eq!(first(both.offend(LEFT, stranger, 10)), 1);
    // And who was let off.
    both.sources.unban(net(stranger)).unwrap();
    both.drain();
    assert_eq!(first(both.offend(LEFT, stranger, 10)), 1);
}

#[test]
fn a_ban_with_its_own_duration_may_be_given_again() {
    let mut both = both();
    both.ban("2001:db8::/32", Some(Duration::from_secs(5)));
    both.ban("2001:db8::1/32", Some(MINUTE));
    assert_eq!(both.sources.bans().count(), 2);
    assert_eq!(both.wait(Duration::from_secs(59)), []);
    assert_eq!(both.fate(LEFT, "2001:db8:1::1"), Err(Shed::Banned));
    assert_eq!(both.wait(Duration::from_secs(1)).len(), 2);
    assert_eq!(both.fate(LEFT, "2001:db8:1::1"), Ok(()));
}

#[test]
fn unban_lifts_what_is_in_it_and_says_what_is_around_it() {
    let mut both = both();
    both.ban("192.0.2.1", None);
    both.ban("192.0.2.9", None);
    both.ban("192.0.2.0/25", None);
    let error = both.sources.unban(net("192.0.2.3")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "192.0.2.3 is not banned by itself, but as part of 192.0.2.0/25: lift that with `sbc unban 192.0.2.0/25`"
    );
    let error = both.sources.unban(net("203.0.113.0/24")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "203.0.113.0/24 is not banned: `sbc bans` lists who is"
    );
    assert_eq!(both.sources.unban(net("192.0.2.9")).unwrap().len(), 2);
    assert_eq!(both.drain().len(), 2);
    assert_eq!(
        both.fate(LEFT, "192.0.2.9"),
        Err(Shed::Banned),
        "the /25 holds"
    );
    assert_eq!(both.sources.unban(net("192.0.2.0/24")).unwrap().len(), 4);
    both.drain();
    assert_eq!(both.fate(LEFT, "192.0.2.1"), Ok(()));
    assert_eq!(both.sources.poll_timeout(), None);
}

#[test]
fn an_operator_is_obeyed_and_warned() {
    let mut both = both();
    both.registered("192.0.2.1");
    both.registered("192.0.2.1");
    both.registered("192.0.2.2");
    both.input(Input::HostAddresses(vec![ip("10.71.1.1")]));
    assert_eq!(both.ban("192.0.2.0/24", None), [Warning::Phones(2)]);
    assert_eq!(both.fate(LEFT, "192.0.2.1"), Err(Shed::Banned));
    assert_eq!(both.ban("198.51.100.7", None), [Warning::Trunk(TrunkId(0))]);
    assert_eq!(
        both.ban("10.0.0.0/8", None),
        [Warning::Trunk(TrunkId(0)), Warning::Host]
    );
    assert_eq!(both.ban("127.0.0.1", None), [Warning::Host]);
    assert_eq!(both.fate(LEFT, "127.0.0.1"), Err(Shed::Banned));
    assert_eq!(both.ban("203.0.113.1", None), []);
}

#[test]
fn nobody_and_everybody_cannot_be_banned() {
    let mut both = both();
    let mut error = |prefix: &str| both.sources.ban(both.now, net(prefix), None).unwrap_err();
    assert_eq!(
        error("10.0.0.0/7").to_string(),
        "10.0.0.0/7 is too wide to be banned: a prefix has at least 8 bits; close the network in the firewall instead"
    );
    assert!(matches!(
        error("::/0"),
        BanError::TooWide { shortest: 16, .. }
    ));
    for nobody in [
        "0.0.0.0",
        "0.0.0.0/8",
        "::/16",
        "::ffff:0:0/90",
        "224.0.0.1",
        "ff02::1",
    ] {
        assert_eq!(
            error(nobody),
            BanError::NoSource(net(nobody).trunc()),
            "{nobody}"
        );
    }
    assert_eq!(both.drain(), []);
    both.ban("::ffff:192.0.2.0/120", None);
    assert_eq!(both.fate(LEFT, "192.0.2.7"), Err(Shed::Banned));
}

#[test]
fn whoever_insists_is_banned_for_a_while() {
    let mut both = both();
    assert_eq!(both.offend(LEFT, "192.0.2.1", 9), []);
    let ban = Ban {
        network: LEFT,
        prefix: net("192.0.2.1"),
        until: both.now + MINUTE,
        by: By::Offence(Offence::Credentials),
        times: 1,
    };
    assert_eq!(both.offend(LEFT, "192.0.2.1", 1), [Action::Ban(ban)]);
    assert_eq!(both.fate(LEFT, "192.0.2.1"), Err(Shed::Banned));
    assert_eq!(both.fate(RIGHT, "192.0.2.1"), Ok(()));
    assert_eq!(both.wait(MINUTE).len(), 1);
    assert_eq!(both.fate(LEFT, "192.0.2.1"), Ok(()));
    // Slowly is no offence: a phone whose password has changed.
    for _ in 0..20 {
        assert_eq!(both.offend(LEFT, "192.0.2.1", 9), []);
        both.now += MINUTE;
    }
}

#[test]
fn neither_trunks_nor_phones_nor_this_host_are_banned_by_offence() {
    let mut both = both();
    both.registered("192.0.2.1");
    both.input(Input::HostAddresses(vec![ip("10.71.1.1")]));
    for known in [
        "192.0.2.1",
        "10.71.1.2",
        "198.51.100.77",
        "10.71.1.1",
        "127.0.0.1",
        "::1",
        "127.9.9.9",
    ] {
        assert_eq!(both.offend(LEFT, known, 50), [], "{known}");
    }
    let source = ip("192.0.2.1");
    both.input(Input::Unregistered {
        network: LEFT,
        source,
    });
    assert_eq!(both.offend(LEFT, "192.0.2.1", 10).len(), 1);
}

#[test]
fn a_success_is_a_new_beginning() {
    let mut both = both();
    both.offend(LEFT, "192.0.2.1", 9);
    both.registered("192.0.2.1");
    both.input(Input::Unregistered {
        network: LEFT,
        source: ip("192.0.2.1"),
    });
    assert_eq!(both.offend(LEFT, "192.0.2.1", 9), []);
}

#[test]
fn an_offender_takes_his_network_along_but_not_a_phone_in_it() {
    let mut both = both();
    let banned = |actions: &[Action]| match actions {
        [Action::Ban(ban)] => ban.prefix,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        banned(&both.offend(LEFT, "2001:db8::1", 10)),
        net("2001:db8::/64")
    );
    both.registered("2001:db8:1::9");
    assert_eq!(
        banned(&both.offend(LEFT, "2001:db8:1::1", 10)),
        net("2001:db8:1::1")
    );
    assert_eq!(
        banned(&both.offend(RIGHT, "2001:db8:7::1", 10)),
        net("2001:db8:7::1")
    );
    assert_eq!(both.fate(LEFT, "2001:db8:1::9"), Ok(()));
}

#[test]
fn an_offence_shortens_no_operators_ban() {
    let mut both = both();
    both.ban("192.0.2.1", Some(60 * MINUTE));
    assert_eq!(both.offend(LEFT, "192.0.2.1", 10), []);
    assert_eq!(both.sources.bans().next().unwrap().by, By::Operator);
}

#[test]
fn offenders_beyond_the_bound_are_counted() {
    let mut both = both();
    let offend = |both: &mut Edge, n: u32| {
        let source = IpAddr::from((0x0b00_0000 + n).to_be_bytes());
        both.input(Input::Offence {
            network: LEFT,
            source,
            offence: Offence::Stranger,
        })
    };
    for n in 0..4100 {
        offend(&mut both, n);
    }
    assert_eq!(both.sources.full(), 4);
    both.now += MINUTE;
    for _ in 0..9 {
        assert_eq!(offend(&mut both, 5000), []);
    }
    assert_eq!(offend(&mut both, 5000).len(), 1);
    assert_eq!(both.sources.full(), 4);
}

#[test]
fn the_table_of_bans_is_bounded() {
    let mut both = both();
    for n in 0..sbc_ebpf::shed_abi::MAX_BANS as u32 / 2 {
        let source = IpAddr::from((0x0b00_0000 + n).to_be_bytes());
        both.sources.ban(both.now, source.into(), None).unwrap();
    }
    both.drain();
    let error = both
        .sources
        .ban(both.now, net("192.0.2.1"), None)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "there are 65536 bans, which is all that there is room for: lift some with `sbc unban`"
    );
    assert_eq!(both.offend(LEFT, "192.0.2.1", 10), []);
    assert_eq!(both.sources.full(), 2);
    both.ban("11.0.0.1", Some(MINUTE));
}

#[test]
fn a_place_is_known_until_the_last_phone_is_gone() {
    let mut both = both();
    let (network, prefix, source) = (LEFT, net("192.0.2.1"), ip("192.0.2.1"));
    assert_eq!(
        both.registered("192.0.2.1"),
        [Action::Known { network, prefix }]
    );
    assert_eq!(both.registered("192.0.2.1"), []);
    assert_eq!(both.input(Input::Unregistered { network, source }), []);
    let gone = both.input(Input::Unregistered { network, source });
    assert_eq!(gone, [Action::Unknown { network, prefix }]);
    assert_eq!(both.input(Input::Unregistered { network, source }), []);
    // A phone beside a trunk takes nothing from it.
    assert_eq!(both.registered("10.71.1.2"), []);
    assert_eq!(
        both.input(Input::Unregistered {
            network,
            source: ip("10.71.1.2")
        }),
        []
    );
    assert_eq!(
        both.input(Input::Unregistered {
            network,
            source: ip("10.71.1.2")
        }),
        []
    );
    assert_eq!(both.served(LEFT, "10.71.1.2", 5000), 4000);
}
