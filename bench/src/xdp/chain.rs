//! 100,000 flows in random order: what caches cost.
//!
//! BPF_PROG_TEST_RUN does not put the frame back between repeats: what one flow makes of it is the next one's packet, on a random way
//! round all of them. The other programs go the same way, in turns. Each time round it is the sender's next packet.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, ensure};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use sbc::config::NetworkId;
use sbc::io::fast_path::{HopMap, Program};
use sbc::media::{FlowKind, FlowPair, PairId, Path, Side, Slot, flow_configs};
use sbc_ebpf::abi::Local;

use super::floor::{Floor, Turns};
use super::frame::{destination_port, frame, rtp};
use super::{Ran, SENT, hop};

/// Media ports of each of our addresses: the program knows four without a look-up.
const PORTS: u32 = 25_000;
const LOW: u16 = 10_000;

/// So many rounds of turns round so many flows; the quickest count.
///
/// # Errors
/// No root, no BPF, or a packet that does not come round.
pub fn measure(flows: u32, rounds: u32) -> Result<Turns> {
    ensure!(flows <= 4 * PORTS, "at most {} flows", 4 * PORTS);
    let next = way(flows);
    let (ours, mut hops) = ours(&next)?;
    let mut minimal = minimal(&next)?;
    minimal.lap_at(local(0))?;
    let start = frame([peer(0), local(0)], None, &rtp(2))?;
    // Once round, so that each flow latches.
    arrived(&minimal.run_box(&ours, &start, flows)?, &start, 0)?;
    let mut all = Vec::new();
    for _ in 0..rounds {
        hops.beat()?;
        let (ran, turns) = minimal.take_turns(&ours, &start, flows * LAPS, TURNS)?;
        // The last packet is the first of a new lap.
        arrived(&ran, &start, next[0])?;
        all.extend(turns);
    }
    Ok(Turns::quickest(all))
}

/// Laps in a turn: what the one before has left in the caches is the less, the more there are.
const LAPS: u32 = 5;
/// Turns of each program in a round.
const TURNS: u32 = 3;

/// After whole laps the packet is where it was.
fn arrived(ran: &Ran, start: &[u8], flow: u32) -> Result<()> {
    ensure!(
        ran.action == SENT && destination_port(&ran.out) == Some(local(flow).port()),
        "a packet of {} bytes does not come round: action {}",
        start.len(),
        ran.action
    );
    Ok(())
}

/// After each flow the next: one random cycle through all of them (Sattolo's).
fn way(flows: u32) -> Vec<u32> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut order: Vec<u32> = (0..flows).collect();
    for last in (1..order.len()).rev() {
        let other = random.next_u64() % last as u64;
        order.swap(last, other as usize);
    }
    order
}

fn local(flow: u32) -> SocketAddr {
    let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 1)) + flow / PORTS);
    SocketAddr::from((address, LOW + (flow % PORTS) as u16))
}

fn peer(flow: u32) -> SocketAddr {
    let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 100, 0, 1)) + flow);
    SocketAddr::from((address, 4000))
}

fn ours(next: &[u32]) -> Result<(Program, HopMap)> {
    let count = u32::try_from(next.len())?;
    let (mut program, mut hops) = Program::load(count)?;
    for first in (0..count).step_by(PORTS as usize) {
        program.put_local(Local {
            address: local(first).ip().into(),
            low: LOW,
            count: PORTS as u16,
            base: first + 1,
            ..Local::default()
        })?;
    }
    hops.put(1, hop())?;
    hops.beat()?;
    for (flow, &next) in (0..).zip(next) {
        let side = |local: SocketAddr, named: SocketAddr| Side {
            named: Some(named),
            payload_types: 1,
            timed: 1,
            clock_rate: 8000,
            ..Side::new(NetworkId(0), local)
        };
        let pair = FlowPair {
            id: PairId(flow.into()),
            kind: FlowKind::Rtp,
            sides: [side(local(flow), peer(flow)), side(peer(next), local(next))],
            path: Path::Kernel,
            companion: None,
        };
        // Two flows share a row as those of a call do. The neighbour's latch is of another epoch to this one: it sends to where it is told.
        let slots = [(flow, 1), (flow ^ 1, 2)].map(|(row, epoch)| Slot { row, epoch });
        let [mut config, _] = flow_configs(&pair, slots, None);
        config.next_hops[0] = 1;
        program.write_flow(flow + 1, &config)?;
        program.point(flow + 1, flow + 1, config.state)?;
    }
    Ok((program, hops))
}

fn minimal(next: &[u32]) -> Result<Floor> {
    let mut floor = Floor::load(u32::try_from(next.len()).context("flows")?)?;
    for (flow, &next) in (0..).zip(next) {
        floor.put([peer(flow), local(flow)], [peer(next), local(next)])?;
    }
    Ok(floor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_goes_round_all_flows_once() {
        let way = way(1_000);
        let (mut seen, mut at) = (vec![false; 1_000], 0_u32);
        for _ in 0..1_000 {
            assert!(!std::mem::replace(&mut seen[at as usize], true));
            at = way[at as usize];
        }
        assert_eq!(at, 0);
    }

    #[test]
    fn no_two_flows_have_the_same_port() {
        let ports: std::collections::BTreeSet<_> = (0..4 * PORTS).map(local).collect();
        assert_eq!(ports.len(), 4 * PORTS as usize);
    }
}
