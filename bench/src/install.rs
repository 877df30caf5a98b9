//! What a call costs the fast path when it begins and when it ends, and what its flows take of memory.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use sbc::io::fast_path::FastPath;
use sbc::media::{FlowKind, FlowPair, PairId, Path, Side};
use sbc_tests::e2e::{CARRIER, EDGE_LEFT, EDGE_RIGHT, PHONE, resident_bytes};

use crate::contender;
use crate::cpu_time;
use crate::media_lab::{MediaLab, at};

/// The lab's media range.
const PORTS: (u16, u16) = (20_000, 10_000);

/// Where the phones of the pairs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phones {
    /// All at one address: the way to it is known after the first.
    Together,
    /// Each at one of its own, behind a router: the kernel is asked for each way.
    Apart,
}

/// What one run has shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Installing and removing a pair, in seconds of the calling thread's processor time: half of them take less.
    pub p50: f64,
    /// All but one in a hundred take less.
    pub p99: f64,
    /// What the kernel's maps take with all flows installed, in bytes.
    pub maps: u64,
    /// What the flows have added to that, in bytes a flow.
    pub kernel_flow: f64,
    /// What they have added to the process, in bytes a flow.
    pub user_flow: f64,
}

/// Installs so many pairs one after the other, then removes them.
///
/// # Errors
/// There is no fast path, or it refuses a pair.
pub fn measure(lab: &MediaLab, pairs: u16, phones: Phones) -> Result<Cost> {
    ensure!(
        pairs > 0 && pairs <= PORTS.1,
        "between 1 and {} pairs",
        PORTS.1
    );
    lab.lab
        .edge
        .ip(&format!("route replace 10.80.0.0/16 via {PHONE}"))?;
    let mut fast_path = contender::open(lab)?;
    let pairs: Vec<_> = (0..pairs)
        .map(|number| Arc::new(pair(number, phones)))
        .collect();
    let process = std::process::id();
    let (kernel, user) = (maps()?, resident_bytes(process)?);
    let mut taken = Vec::with_capacity(pairs.len());
    for pair in &pairs {
        // Made here, as its call would: it is part of what a flow takes.
        let pair = Arc::new(pair.clone());
        let (used, result) = timed(|| fast_path.install(&pair))?;
        result.map_err(|failure| anyhow!("a flow was refused: {failure:?}"))?;
        taken.push(used);
    }
    let flows = 2.0 * pairs.len() as f64;
    let full = maps()?;
    let kernel_flow = full.saturating_sub(kernel) as f64 / flows;
    let user_flow = resident_bytes(process)?.saturating_sub(user) as f64 / flows;
    remove(&mut fast_path, &pairs, &mut taken)?;
    taken.sort_unstable();
    let percentile = |percent: usize| {
        let taken = taken.get(taken.len() * percent / 100);
        taken.map_or(0.0, Duration::as_secs_f64)
    };
    Ok(Cost {
        p50: percentile(50),
        p99: percentile(99),
        maps: full,
        kernel_flow,
        user_flow,
    })
}

/// The word by which this program measures memory and nothing else.
pub const CHILD: &str = "--install";

/// As [`measure`] with [`Phones::Together`], in a process of its own: memory that was used before is not taken again.
///
/// # Errors
/// As [`measure`].
pub fn in_child(pairs: u16) -> Result<Cost> {
    let output = std::process::Command::new(std::env::current_exe()?)
        .args([CHILD, &pairs.to_string()])
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let value: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let figure = |name: &str| value[name].as_f64().with_context(|| format!("no {name}"));
    Ok(Cost {
        p50: figure("p50")?,
        p99: figure("p99")?,
        maps: figure("maps")? as u64,
        kernel_flow: figure("kernel_flow")?,
        user_flow: figure("user_flow")?,
    })
}

/// What [`in_child`] starts: prints the cost as JSON.
///
/// # Errors
/// As [`measure`].
pub fn child(pairs: &str) -> Result<()> {
    let cost = measure(&MediaLab::new()?, pairs.parse()?, Phones::Together)?;
    let value = serde_json::json!({
        "p50": cost.p50, "p99": cost.p99, "maps": cost.maps,
        "kernel_flow": cost.kernel_flow, "user_flow": cost.user_flow,
    });
    println!("{value}");
    Ok(())
}

fn remove(fast_path: &mut FastPath, pairs: &[Arc<FlowPair>], taken: &mut [Duration]) -> Result<()> {
    for (pair, taken) in pairs.iter().zip(taken) {
        let (used, report) = timed(|| fast_path.remove(pair.id))?;
        report.context("a pair was not installed")?;
        *taken += used;
    }
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> T) -> Result<(Duration, T)> {
    let before = cpu_time::mine()?;
    let result = work();
    Ok((cpu_time::mine()?.saturating_sub(before), result))
}

/// Every port of the range is one pair's: here RTP may be on odd ones.
fn pair(number: u16, phones: Phones) -> FlowPair {
    let phone = match phones {
        Phones::Together => PHONE,
        Phones::Apart => Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 80, 0, 1)) + u32::from(number)),
    };
    let side = |network: u16, ours, peer: IpAddr| Side {
        named: Some(at(peer, 4000)),
        payload_types: 1 | 1 << 13,
        timed: 1,
        clock_rate: 8000,
        ..Side::new(
            sbc::config::NetworkId(network),
            at(IpAddr::V4(ours), PORTS.0 + number),
        )
    };
    FlowPair {
        id: PairId(u64::from(number)),
        kind: FlowKind::Rtp,
        sides: [
            side(0, EDGE_LEFT, phone.into()),
            side(1, EDGE_RIGHT, CARRIER.into()),
        ],
        path: Path::Kernel,
        companion: None,
    }
}

/// What the kernel holds for the BPF maps of this process, in bytes.
fn maps() -> Result<u64> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir("/proc/self/fdinfo")? {
        // The descriptor of this very folder is gone by now.
        let Ok(text) = std::fs::read_to_string(entry?.path()) else {
            continue;
        };
        found.extend(map_of(&text));
    }
    Ok(found.values().sum())
}

/// Map id and bytes, if a descriptor is a BPF map's.
fn map_of(fdinfo: &str) -> Option<(u64, u64)> {
    let field = |name: &str| {
        fdinfo
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
    };
    Some((field("map_id:")?, field("memlock:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_map_takes_a_maps_memory() {
        let map = "pos:\t0\nmap_type:\t2\nmemlock:\t4096\nmap_id:\t7\nfrozen:\t0\n";
        assert_eq!(map_of(map), Some((7, 4096)));
        assert_eq!(map_of("pos:\t0\nprog_type:\t6\nmemlock:\t4096\n"), None);
    }

    #[test]
    fn every_pair_has_ports_of_its_own() {
        let (first, last) = (pair(0, Phones::Apart), pair(9_999, Phones::Apart));
        assert_eq!(first.sides[0].local, at(EDGE_LEFT, 20_000));
        assert_eq!(last.sides[1].local, at(EDGE_RIGHT, 29_999));
        let last = last.sides[0].named.unwrap().ip();
        assert_eq!(last, IpAddr::from([10, 80, 39, 16]));
    }
}
