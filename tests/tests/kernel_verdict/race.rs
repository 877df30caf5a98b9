//! Two first packets on two CPUs, in the loaded program: one of them has the latch.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use sbc_ebpf::{Address, Drop, FlowConfig, Latched, Port};
use sbc_tests::e2e::skip;
use sbc_tests::frames::{DROP, TX, at, rtp_of, udp};

use super::both::Both;

const ROUNDS: u16 = 4000;
/// No action: the run itself failed. A thread that gave up would leave the others waiting.
const FAILED: u32 = u32::MAX;

/// Two CPUs that this process may use.
fn two_cpus() -> Option<[usize; 2]> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let mut cpus = (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu) == Ok(true));
    Some([cpus.next()?, cpus.next()?])
}

/// A flow, and the two who speak first.
struct Race {
    local: &'static str,
    sources: [&'static str; 2],
    /// The first is whom signalling names.
    is_named: bool,
}

/// Spins a little, then lets others run.
fn until(is_so: impl Fn() -> bool) {
    let mut spins = 0;
    while !is_so() {
        spins += 1;
        if spins < 2000 {
            std::hint::spin_loop();
        } else {
            thread::yield_now();
        }
    }
}

/// Actions of both packets, in each round; what the state says after it.
fn run(both: &mut Both, cpus: [usize; 2], race: &Race) -> Vec<([u32; 2], FlowConfig, u64)> {
    let frames = race
        .sources
        .map(|source| udp(source, race.local, &rtp_of(0, 1, 7, 20)));
    let place = both.host.place(at(race.local));
    // Both wait for the round; whoever has run says so.
    let (round, ready, done) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    let actions = [AtomicU32::new(0), AtomicU32::new(0)];
    let Both { kernel, host, .. } = both;
    let mut results = Vec::new();
    // Rows are written between rounds only, by whoever may do that.
    let kernel = std::sync::RwLock::new(kernel);
    thread::scope(|scope| {
        for (index, cpu) in cpus.into_iter().enumerate() {
            let (frame, action) = (&frames[index], &actions[index]);
            let (round, ready, done, kernel) = (&round, &ready, &done, &kernel);
            scope.spawn(move || {
                let mut only = CpuSet::new();
                let pinned = only
                    .set(cpu)
                    .and_then(|()| sched_setaffinity(Pid::from_raw(0), &only));
                let mut out = vec![0; 512];
                for number in 1..=usize::from(ROUNDS) {
                    until(|| round.load(Ordering::Acquire) == number);
                    let kernel = kernel.read().unwrap();
                    // At once, as far as can be.
                    ready.fetch_add(1, Ordering::AcqRel);
                    until(|| ready.load(Ordering::Acquire) >= 2 * number);
                    // Now the one, now the other is a little late, by more and more.
                    if number % 2 == index {
                        (0..number % 512).for_each(|_| std::hint::spin_loop());
                    }
                    let result = kernel.run(frame, &mut out, 1);
                    let returned = result.map_or(FAILED, |result| result.return_value);
                    action.store(
                        if pinned.is_ok() { returned } else { FAILED },
                        Ordering::Relaxed,
                    );
                    std::mem::drop(kernel);
                    done.fetch_add(1, Ordering::Release);
                }
            });
        }
        for number in 1..=usize::from(ROUNDS) {
            host.renew();
            let config = host.flows[&place];
            let mut held = kernel.write().unwrap();
            held.write_flow(place, &config).unwrap();
            std::mem::drop(held);
            round.store(number, Ordering::Release);
            until(|| done.load(Ordering::Acquire) == 2 * number);
            let latch = kernel.read().unwrap().state(config.state).unwrap().latch;
            let actions = [0, 1].map(|index: usize| actions[index].load(Ordering::Relaxed));
            results.push((actions, config, latch));
        }
    });
    results
}

fn latch_of(source: &str, candidate: u8) -> Latched {
    let source = at(source);
    Latched {
        candidate,
        port: Port::new(source.port()),
        mark: Address::from(source.ip()).mark(),
    }
}

/// In each round exactly one, and it is the one whom the latch names, or whom signalling does.
fn judge(both: &mut Both, cpus: [usize; 2], race: &Race) -> [u32; 2] {
    let before = both.kernel.drops(3, Drop::WrongSource).unwrap();
    let mut wins = [0; 2];
    let mut sent = 0;
    for (actions, config, latch) in run(both, cpus, race) {
        let latched = Latched::unpack(latch, config.latch).unwrap();
        let candidates = if race.is_named { [0, 1] } else { [1, 1] };
        let winner = (0..2).find(|&n| latched == latch_of(race.sources[n], candidates[n]));
        let winner = winner.unwrap();
        assert_eq!(actions[winner], TX, "{latched:?}");
        let loser = actions[1 - winner];
        if race.is_named {
            // The other one may have been let in before he spoke.
            assert_eq!(winner, 0, "whom signalling names");
            assert!(loser == TX || loser == DROP);
        } else {
            assert_eq!(loser, DROP);
        }
        wins[winner] += 1;
        sent += actions.iter().filter(|action| **action == TX).count() as u64;
    }
    let dropped = both.kernel.drops(3, Drop::WrongSource).unwrap() - before;
    assert_eq!(dropped, 2 * u64::from(ROUNDS) - sent);
    wins
}

#[test]
fn of_two_first_packets_on_two_cpus_one_has_the_latch() {
    let Some(mut both) = Both::load() else { return };
    let Some(cpus) = two_cpus() else {
        return skip("two first packets", "there is one CPU");
    };
    for (local, sources) in [
        ("10.0.0.1:30000", ["192.0.2.7:1111", "192.0.2.7:2222"]),
        (
            "[fd00::1]:30020",
            ["[2001:db8::7]:1111", "[2001:db8::7]:2222"],
        ),
    ] {
        let race = Race {
            local,
            sources,
            is_named: false,
        };
        let wins = judge(&mut both, cpus, &race);
        println!("{local}: of {ROUNDS} rounds {wins:?}");
        assert!(wins.iter().all(|wins| *wins > 0), "{wins:?}");
    }
}

#[test]
fn whom_signalling_names_has_the_latch_also_from_another_cpu() {
    let Some(mut both) = Both::load() else { return };
    let Some(cpus) = two_cpus() else {
        return skip("two first packets", "there is one CPU");
    };
    for (local, sources) in [
        ("10.0.0.1:30000", ["10.0.0.2:4000", "192.0.2.7:2222"]),
        ("[fd00::1]:30020", ["[fd00::2]:4000", "[2001:db8::7]:2222"]),
    ] {
        let race = Race {
            local,
            sources,
            is_named: true,
        };
        let wins = judge(&mut both, cpus, &race);
        assert_eq!(wins, [u32::from(ROUNDS), 0]);
        // Whatever the other one left behind, the next packet puts right: what comes back goes to him.
        let named = udp(sources[0], local, &rtp_of(0, 2, 7, 20));
        let mut out = vec![0; 512];
        assert_eq!(
            both.kernel.run(&named, &mut out, 1).unwrap().return_value,
            TX
        );
        let place = both.host.place(at(local));
        let state = both.host.flows[&place].state;
        let state = both.kernel.state(state).unwrap();
        if !at(local).is_ipv4() {
            assert_eq!(state.source, at(sources[0]).ip().into());
        }
    }
}
