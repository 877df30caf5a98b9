//! The pool, and what the shells hold of it.

use std::collections::BTreeSet;

use super::*;
use crate::media::tests::support::{INSIDE, OUTSIDE, config, ip};

#[test]
fn a_pool_outlives_its_address_until_its_last_call_has_ended() {
    let now = Instant::now();
    let (old, new) = (ip("10.71.2.1"), ip("10.71.2.7"));
    let mut ports = Ports::new(&config(), [1; 32]);
    let before = ports.free(INSIDE);
    let pair = ports.take(now, INSIDE, old).unwrap();
    let place = pair.rtp();
    ports.readdress(INSIDE, &[new], &(20000..=20009));
    assert_eq!(ports.free(INSIDE), 10);
    assert!(ports.take(now, INSIDE, new).is_ok());
    assert!(ports.is_ours(place));
    // It is back before the call has ended: its port is still the call's.
    ports.readdress(INSIDE, &[old, new], &(20000..=20009));
    assert_eq!(ports.free(INSIDE), before - 2 + 8);
    ports.readdress(INSIDE, &[new], &(20000..=20009));
    ports.give_back(now, pair);
    assert!(!ports.is_ours(place));
    assert!(ports.take(now, INSIDE, old).is_err());
}

#[test]
fn pairs_are_even_distinct_random_and_rest() {
    let now = Instant::now();
    let address = ip("10.71.2.1");
    let take_all = |seed: u8| {
        let mut ports = Ports::new(&config(), [seed; 32]);
        let pairs: Vec<_> = std::iter::from_fn(|| ports.take(now, INSIDE, address).ok()).collect();
        (ports, pairs)
    };
    let (mut ports, pairs) = take_all(1);
    let numbers: Vec<_> = pairs.iter().map(|p| p.rtp().port()).collect();
    let sorted: BTreeSet<_> = numbers.iter().copied().collect();
    assert!(sorted.iter().copied().eq((30_000..30_100).step_by(2)));
    assert!(pairs.iter().all(|p| p.rtcp().port() == p.rtp().port() + 1));
    let others: Vec<_> = take_all(2).1.iter().map(|p| p.rtp().port()).collect();
    assert_ne!(numbers, others);
    assert_ne!(numbers, Vec::from_iter(sorted));
    assert_eq!(ports.free(INSIDE), 0);
    assert!(ports.is_ours(pairs[7].rtp()) && ports.is_ours(pairs[7].rtcp()));
    assert_eq!(ports.take(now, INSIDE, address), Err(Exhausted { address }));

    let place = pairs[7].rtp();
    for pair in pairs {
        ports.give_back(now, pair);
    }
    assert!(!ports.is_ours(place));
    assert_eq!(
        (ports.poll_timeout(), ports.free(INSIDE)),
        (Some(now + REST), 0)
    );
    ports.handle_timeout(now + REST - Duration::from_millis(1));
    assert_eq!(ports.free(INSIDE), 0);
    ports.handle_timeout(now + REST);
    assert_eq!((ports.poll_timeout(), ports.free(INSIDE)), (None, 100));
}

#[test]
fn each_address_has_ports_of_its_own() {
    let now = Instant::now();
    let mut ports = Ports::new(&config(), [1; 32]);
    assert_eq!(ports.free(OUTSIDE), 200);
    let pair = ports.take(now, OUTSIDE, ip("fd00::1")).unwrap();
    assert_eq!(pair.rtp().ip(), ip("fd00::1"));
    assert_eq!(ports.free(OUTSIDE), 198);
    assert_eq!(ports.free_at(now, INSIDE), 100);
    let address = ip("10.71.2.1");
    assert_eq!(
        ports.take(now, OUTSIDE, address),
        Err(Exhausted { address })
    );
}

/// What the pool wants of whoever holds ports, as if `taken` were someone else's; the ports that are to be released.
fn hold(ports: &mut Ports, now: Instant, taken: impl Fn(u16) -> bool) -> Vec<u16> {
    let mut released = Vec::new();
    while let Some(command) = ports.poll_action() {
        match command {
            PortCommand::Hold(reserve) => ports.found(now, reserve, taken(reserve.rtp.port())),
            PortCommand::Release(reserve) => released.push(reserve.rtp.port()),
        }
    }
    released
}

#[test]
fn a_call_gets_what_is_held_for_it_and_never_what_someone_else_has() {
    let now = Instant::now();
    let address = ip("10.71.2.1");
    let mut ports = Ports::new(&config(), [1; 32]);
    // Of 50 pairs 30 are someone else's.
    let is_taken = |port: u16| port >= 30_040;
    assert!(hold(&mut ports, now, is_taken).is_empty());
    for _ in 0..20 {
        let pair = ports.take(now, INSIDE, address).unwrap();
        assert!(!is_taken(pair.rtp().port()), "{pair:?}");
        assert_eq!(hold(&mut ports, now, is_taken), [pair.rtp().port()]);
        assert!(ports.is_ours(pair.rtp()));
    }
    // Those are not free, and tried again after a while.
    assert_eq!(ports.take(now, INSIDE, address), Err(Exhausted { address }));
    assert_eq!(ports.free(INSIDE), 0);
    let later = now + REST_TAKEN;
    assert_eq!(ports.free_at(later, INSIDE), 60);
    ports.handle_timeout(later);
    hold(&mut ports, later, |_| false);
    assert!(is_taken(
        ports.take(later, INSIDE, address).unwrap().rtp().port()
    ));
}

#[test]
fn what_is_held_is_free() {
    let now = Instant::now();
    let mut ports = Ports::new(&config(), [1; 32]);
    hold(&mut ports, now, |_| false);
    assert_eq!((ports.free(INSIDE), ports.free(OUTSIDE)), (100, 200));
    assert_eq!(ports.free_at(now, INSIDE), 100);
    let pair = ports.take(now, INSIDE, ip("10.71.2.1")).unwrap();
    assert_eq!(ports.free(INSIDE), 98);
    ports.give_back_unused(pair);
    assert_eq!(ports.free(INSIDE), 100);
}

#[test]
fn tries_are_bounded_until_the_next_call() {
    let now = Instant::now();
    let address = ip("10.71.2.1");
    let mut ports = Ports::new(&config(), [1; 32]);
    hold(&mut ports, now, |_| true);
    let tried = |ports: &Ports| 50 - ports.free(INSIDE) / 2;
    assert_eq!(tried(&ports), TRIES as u64);
    // None that is known to be had is there: the call takes one that nobody has looked at.
    assert!(ports.take(now, INSIDE, address).is_ok());
    hold(&mut ports, now, |_| true);
    assert_eq!(tried(&ports), 50);
    assert_eq!(ports.take(now, INSIDE, address), Err(Exhausted { address }));
}

#[test]
fn an_address_that_is_gone_holds_nothing() {
    let now = Instant::now();
    let mut ports = Ports::new(&config(), [1; 32]);
    let mut asked = Vec::new();
    while let Some(PortCommand::Hold(reserve)) = ports.poll_action() {
        asked.push(reserve);
    }
    let (late, early) = asked.split_last().unwrap();
    for &reserve in early {
        ports.found(now, reserve, false);
    }
    assert_eq!(late.network, INSIDE);
    let lost = early.iter().filter(|one| one.network == INSIDE);
    let mut lost: Vec<u16> = lost.map(|one| one.rtp.port()).collect();
    let leased = ports.take(now, INSIDE, ip("10.71.2.1")).unwrap();
    ports.readdress(INSIDE, &[ip("10.71.2.7")], &(30_000..=30_099));
    ports.found(now, *late, false);
    lost.push(late.rtp.port());
    let mut released = Vec::new();
    while let Some(PortCommand::Release(reserve)) = ports.poll_action() {
        released.push(reserve.rtp.port());
    }
    lost.sort_unstable();
    released.sort_unstable();
    assert_eq!(released, lost);
    // The new one has a stock of its own, and the last call takes the old pool with it.
    let released = hold(&mut ports, now, |_| false);
    assert!(released.is_empty());
    ports.give_back(now, leased);
    assert_eq!(ports.free(INSIDE), 100);
}
