//! Look-ups of the box's own host, from ports that the kernel chooses, while media runs: the guard of the media ports takes none
//! of their answers.

use std::net::{Ipv4Addr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use sbc_tests::e2e::{CARRIER, EDGE_RIGHT, FastPath, Lab, skipped};

use super::support::{Call, PHONES, assert_heard, start};

/// Where the answers come from.
const SERVER: (Ipv4Addr, u16) = (CARRIER, 53);
const LOOKUPS: u64 = 10_000;
/// So many are under way at a time: no buffer on the way is that small.
const AT_ONCE: u64 = 16;
/// Nothing is on its way for so long between two namespaces of one machine.
const PATIENCE: Duration = Duration::from_secs(5);
const MEDIA_PORTS: RangeInclusive<u16> = 20_000..=29_999;

#[test]
fn ten_thousand_answers_arrive() -> Result<()> {
    if skipped("look-ups while media runs", &PHONES) {
        return Ok(());
    }
    let lab = Lab::alone()?;
    let mut daemon = start(&lab, FastPath::Native)?;
    let call = Call::begin(&lab)?;
    let (before, runs) = (daemon.scrape()?, daemon.bpf_run_count()?);

    let server = lab.carrier.enter(|| UdpSocket::bind(SERVER))??;
    server.set_read_timeout(Some(Duration::from_millis(50)))?;
    let done = AtomicBool::new(false);
    let (answered, guarded) = std::thread::scope(|scope| -> Result<_> {
        let serve = scope.spawn(|| answer(&server, &done));
        let asked = lab.edge.enter(|| -> Result<Answered> {
            let mut all = Answered::default();
            let threads: Vec<_> = (0..AT_ONCE)
                .map(|thread| {
                    std::thread::Builder::new().spawn_scoped(scope, move || look_up(thread))
                })
                .collect::<Result<_, _>>()?;
            for thread in threads {
                let one = thread
                    .join()
                    .map_err(|_| anyhow::anyhow!("a look-up panicked"))??;
                all.count += one.count;
                all.unanswered.extend(one.unanswered);
                all.among_media += one.among_media;
            }
            Ok(all)
        });
        // The guard is there: a port of its range gets no answer.
        let guarded = lab.edge.enter(|| -> Result<bool> {
            let socket = UdpSocket::bind((EDGE_RIGHT, *MEDIA_PORTS.end()))?;
            socket.set_read_timeout(Some(Duration::from_millis(300)))?;
            socket.send_to(b"guarded", SERVER)?;
            Ok(socket.recv(&mut [0; 64]).is_err())
        });
        done.store(true, Ordering::Relaxed);
        serve
            .join()
            .map_err(|_| anyhow::anyhow!("the server panicked"))??;
        Ok((asked??, guarded??))
    })?;
    let (after, runs) = (daemon.scrape()?, daemon.bpf_run_count()? - runs);
    let heard = call.end()?;

    assert_eq!(answered.unanswered, [0; 0], "ports without an answer");
    assert_eq!(answered.count, LOOKUPS);
    assert_eq!(answered.among_media, 0, "ports among the media's");
    assert!(guarded, "nothing guards the media ports");
    let rise = |name, labels: &[(&str, &str)]| after.sum(name, labels) - before.sum(name, labels);
    let dropped = rise(
        "sbc_media_dropped_packets_total",
        &[("network", "right"), ("reason", "no-flow")],
    );
    assert!(
        (dropped - 1.0).abs() < 0.5,
        "{dropped}: {:#?}",
        after.show("sbc_media_dropped")
    );
    let media = rise(
        "sbc_media_packets_total",
        &[("path", "kernel"), ("direction", "in")],
    );
    assert!(media >= 20.0, "no media ran meanwhile: {media}");
    assert!(runs >= LOOKUPS, "the program saw {runs} packets");
    assert_heard(&heard, 0.2);
    assert!(daemon.process().stop()?.success());
    Ok(())
}

#[derive(Debug, Default)]
struct Answered {
    count: u64,
    /// Our ports.
    unanswered: Vec<u16>,
    among_media: u64,
}

/// One after the other, each from a port of its own.
fn look_up(thread: u64) -> Result<Answered> {
    let mut result = Answered::default();
    for number in (thread..LOOKUPS).step_by(AT_ONCE as usize) {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(SERVER)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let port = socket.local_addr()?.port();
        result.among_media += u64::from(MEDIA_PORTS.contains(&port));
        socket.send(&number.to_be_bytes())?;
        let mut buffer = [0; 64];
        match socket.recv(&mut buffer) {
            Ok(length) if buffer[..length] == (!number).to_be_bytes() => result.count += 1,
            Ok(length) => anyhow::bail!("{:?} is not the answer to {number}", &buffer[..length]),
            Err(_) => result.unanswered.push(port),
        }
    }
    Ok(result)
}

/// Answers with the complement of what was asked.
fn answer(server: &UdpSocket, done: &AtomicBool) -> Result<()> {
    let mut buffer = [0; 64];
    while !done.load(Ordering::Relaxed) {
        let Ok((length, from)) = server.recv_from(&mut buffer) else {
            continue;
        };
        let asked = buffer
            .get_mut(..length)
            .context("a datagram is longer than its buffer")?;
        asked.iter_mut().for_each(|byte| *byte = !*byte);
        server.send_to(asked, from)?;
    }
    Ok(())
}
