//! What a packet costs in user space: CPU of the media worker's thread, beside a plain loop that does nothing but receive and send.
//!
//! One generator plays both ends on loopback: it sends a burst over all flows, then waits for the same packets at the far end. So
//! nothing is lost for want of room, and both contenders see the same bursts.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use sbc::config::NetworkId;
use sbc::io::media::{Driver, Workers};
use sbc::media::{Fallback, FlowCommand, FlowKind, FlowPair, PairId, Path, Side};

use crate::cpu_time;

/// What one run has shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// Packets sent, all of which arrived.
    pub packets: u64,
    /// CPU seconds of the relaying thread alone, per million packets: receiving and sending included, in user space and kernel.
    pub cpu_per_million: f64,
    /// Wall-clock packets per second. Generator and relay share the machine.
    pub rate: f64,
}

/// 20 ms of PCMU.
const PAYLOAD: usize = 172;
/// Longer than a packet takes that arrives at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// `packets` packets through one media worker on that driver with that many flow pairs, in bursts of `burst`.
///
/// # Errors
/// The driver is refused, `burst` is more than loopback holds and a packet was lost, or the kernel keeps no thread times.
pub fn worker(driver: Driver, packets: u64, flows: u16, burst: usize) -> anyhow::Result<Run> {
    ensure!(flows > 0 && flows <= 4000, "between 1 and 4000 flows");
    let (sender, reports) = channel();
    let report = Arc::new(move |input| {
        // The benchmark may have ended.
        let _ = sender.send(input);
    });
    let others = cpu_time::own_threads("media-0")?;
    let workers = Workers::start_on(driver, 1, 2, report)?;
    let mine = cpu_time::own_threads("media-0")?;
    let thread = mine.difference(&others).next();
    let thread = thread.context("the worker's thread is not in /proc/self/task")?;

    let near = UdpSocket::bind("127.0.0.1:0")?;
    let far = UdpSocket::bind("127.0.0.1:0")?;
    far.set_read_timeout(Some(PATIENCE))?;
    let mut targets = Vec::new();
    for flow in 0..flows {
        let pair = pair(flow, &near, &far)?;
        targets.push(pair.sides[0].local);
        let refused = |failure| anyhow::anyhow!("a flow was refused: {failure:?}");
        workers
            .command(FlowCommand::Install(pair.into()))
            .map_err(refused)?;
    }
    // Nobody has this pair: the answer says that all before it was done.
    let _ = workers.command(FlowCommand::Remove(PairId(u64::MAX)));
    let answer = reports.recv_timeout(PATIENCE)?;
    ensure!(
        matches!(answer, sbc::engine::Input::FlowEnded { .. }),
        "a flow could not be installed: {answer:?}"
    );
    measure(packets, burst, thread, &near, &targets, &far)
}

/// The same packets through one socket and a loop of `recv_from` and `send_to`: no flows, no verdict, no counters.
///
/// # Errors
/// As for [`worker`].
pub fn plain_loop(packets: u64, burst: usize) -> anyhow::Result<Run> {
    let near = UdpSocket::bind("127.0.0.1:0")?;
    let far = UdpSocket::bind("127.0.0.1:0")?;
    far.set_read_timeout(Some(PATIENCE))?;
    let middle = UdpSocket::bind("127.0.0.1:0")?;
    let target = middle.local_addr()?;
    let to = far.local_addr()?;
    let (sender, started) = channel();
    let relay = std::thread::spawn(move || -> anyhow::Result<()> {
        let path = fs::read_link("/proc/thread-self")?;
        sender.send(format!("/proc/{}", path.display()))?;
        let mut bytes = [0; 2048];
        loop {
            let (length, _) = middle.recv_from(&mut bytes)?;
            if length == 0 {
                return Ok(());
            }
            middle.send_to(&bytes[..length], to)?;
        }
    });
    let thread = started.recv()?;
    let run = measure(packets, burst, &thread, &near, &[target], &far);
    near.send_to(&[], target)?;
    match relay.join() {
        Ok(ended) => ended?,
        Err(_) => anyhow::bail!("the loop panicked"),
    }
    run
}

fn measure(
    packets: u64,
    burst: usize,
    thread: &str,
    near: &UdpSocket,
    targets: &[SocketAddr],
    far: &UdpSocket,
) -> anyhow::Result<Run> {
    let mut packet = [0; PAYLOAD];
    packet[0] = 0x80;
    let mut bytes = [0; 2048];
    let mut targets = targets.iter().cycle();
    let mut play = |packets: u64| -> anyhow::Result<()> {
        let mut left = packets;
        while left > 0 {
            let burst = left.min(burst as u64);
            for target in targets.by_ref().take(burst as usize) {
                near.send_to(&packet, target)?;
            }
            for _ in 0..burst {
                far.recv(&mut bytes).context("a packet was lost")?;
            }
            left -= burst;
        }
        Ok(())
    };
    // Each flow latches, and caches fill.
    play(10_000)?;
    let (began, before) = (Instant::now(), cpu_time::of(thread)?);
    play(packets)?;
    let (wall, after) = (began.elapsed(), cpu_time::of(thread)?);
    Ok(Run {
        packets,
        cpu_per_million: (after - before).as_secs_f64() / packets as f64 * 1e6,
        rate: packets as f64 / wall.as_secs_f64(),
    })
}

fn pair(flow: u16, near: &UdpSocket, far: &UdpSocket) -> anyhow::Result<FlowPair> {
    // An address of this process's own: no port of it is anyone else's.
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = [127, 16 + high % 200, low, 200];
    let side = |network: u16, port: u16, peer: &UdpSocket| -> anyhow::Result<Side> {
        let local = SocketAddr::from((address, port));
        Ok(Side {
            named: Some(peer.local_addr()?),
            payload_types: 1,
            ..Side::new(NetworkId(network), local)
        })
    };
    Ok(FlowPair {
        id: PairId(flow.into()),
        kind: FlowKind::Rtp,
        sides: [
            side(0, 10_000 + 2 * flow, near)?,
            side(1, 20_000 + 2 * flow, far)?,
        ],
        path: Path::User(Fallback::Off),
        companion: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is measured has relayed every packet.
    #[test]
    fn each_contender_runs() {
        let loop_ran = plain_loop(1000, 8).map(|run| run.packets);
        assert_eq!(loop_ran.unwrap(), 1000);
        let epoll = worker(Driver::Epoll, 1000, 10, 8);
        assert_eq!(epoll.unwrap().packets, 1000);
        match worker(Driver::IoUring, 1000, 10, 8) {
            Ok(run) => assert_eq!(run.packets, 1000),
            Err(error) => assert!(format!("{error:#}").contains("no media worker on io_uring")),
        }
    }
}
