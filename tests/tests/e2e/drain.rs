//! The end of the daemon: with its last call, or with nothing left of it in the kernel.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sbc_tests::e2e::{Daemon, FastPath, Lab, skipped};

use super::support::{Call, PHONES, assert_heard, start, talk};

/// Longer than the daemon takes to end, also with `--purge`.
const PATIENCE: Duration = Duration::from_secs(20);
const TALK: Duration = Duration::from_secs(2);

fn told(lab: &Lab, arguments: &[&str]) -> Result<String> {
    let file = lab.scratch.path().join("lab.toml");
    let mut all = arguments.to_vec();
    all.extend(["--config", file.to_str().context("not UTF-8")?]);
    let output = Daemon::cli(&lab.edge, all)?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "sbc {arguments:?}: {error}");
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn a_call_goes_on_while_the_box_drains_and_the_box_ends_with_it() -> Result<()> {
    if skipped("a drain", &PHONES) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut daemon = start(&lab, FastPath::Native)?;
    let call = Call::begin(&lab)?;
    let said = told(&lab, &["drain"])?;
    ensure!(said.starts_with("no new calls; 1 call to end"), "{said}");
    ensure!(daemon.http("/readyz")?.0 == 503);
    talk(&lab, TALK)?;
    assert_heard(&call.end()?, 1.8);
    let status = daemon.process().wait_end(PATIENCE)?;
    // No failure: a service manager does not start it again.
    ensure!(status.success(), "{status}");
    Ok(())
}

/// What a process has in the kernel: ids of programs, maps and links.
#[derive(Debug, PartialEq, Eq)]
struct InKernel {
    programs: BTreeSet<u32>,
    maps: BTreeSet<u32>,
    links: BTreeSet<u32>,
}

impl InKernel {
    /// As its open files say.
    fn of(pid: u32) -> Result<InKernel> {
        let mut all = InKernel {
            programs: BTreeSet::new(),
            maps: BTreeSet::new(),
            links: BTreeSet::new(),
        };
        for entry in std::fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
            // A descriptor that is closed meanwhile is none of them.
            let Ok(text) = std::fs::read_to_string(entry?.path()) else {
                continue;
            };
            let field = |name: &str| {
                let mut lines = text.lines();
                lines.find_map(|line| line.strip_prefix(name)?.trim().parse::<u32>().ok())
            };
            all.maps.extend(field("map_id:"));
            all.links.extend(field("link_id:"));
            all.programs.extend(field("prog_id:"));
        }
        Ok(all)
    }

    /// Those of them that the kernel still has.
    fn left(&self) -> Result<InKernel> {
        let mut left = InKernel {
            programs: BTreeSet::new(),
            maps: BTreeSet::new(),
            links: BTreeSet::new(),
        };
        for program in aya::programs::loaded_programs() {
            left.programs.insert(program?.id());
        }
        for map in aya::maps::loaded_maps() {
            left.maps.insert(map?.id());
        }
        for link in aya::programs::loaded_links() {
            left.links.insert(link?.id());
        }
        left.programs.retain(|id| self.programs.contains(id));
        left.maps.retain(|id| self.maps.contains(id));
        left.links.retain(|id| self.links.contains(id));
        Ok(left)
    }

    fn is_nothing(&self) -> bool {
        self.programs.is_empty() && self.maps.is_empty() && self.links.is_empty()
    }
}

#[test]
fn a_purge_ends_the_call_and_leaves_nothing_in_the_kernel() -> Result<()> {
    if skipped("a purge", &PHONES) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let seen = |what: &str| lab.edge.ip(what);
    let devices = || -> Result<String> {
        let mut all = String::new();
        for port in ["left", "right"] {
            all += &lab.edge.exec(&format!("tc qdisc show dev {port}"))?;
            all += &lab
                .edge
                .exec(&format!("tc filter show dev {port} ingress"))?;
        }
        Ok(all)
    };
    let before = devices()?;
    let mut daemon = start(&lab, FastPath::Native)?;
    let mut call = Call::begin(&lab)?;
    talk(&lab, TALK)?;
    let held = InKernel::of(daemon.process().id())?;
    let sets = [&held.programs, &held.maps, &held.links];
    ensure!(sets.iter().all(|ids| !ids.is_empty()), "{held:?}");
    ensure!(seen("-d link show dev left")?.contains("xdp"));
    ensure!(seen("-d neigh show")?.contains("managed"));

    let said = told(&lab, &["stop", "--purge"])?;
    ensure!(said == "1 call to end\nstopped\n", "{said}");
    call.alice.wait_ended()?;
    call.bob.wait_ended()?;
    let status = daemon.process().wait_end(PATIENCE)?;
    ensure!(status.success(), "{status}");
    // The kernel frees them a moment after the last file is closed.
    let end = Instant::now() + PATIENCE;
    loop {
        let left = held.left()?;
        if left.is_nothing() {
            break;
        }
        ensure!(Instant::now() < end, "left in the kernel: {left:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    for port in ["left", "right"] {
        let link = seen(&format!("-d link show dev {port}"))?;
        ensure!(!link.contains("xdp"), "{link}");
    }
    let neighbours = seen("-d neigh show")?;
    ensure!(!neighbours.contains("managed"), "{neighbours}");
    let after = devices()?;
    ensure!(after == before, "{after}\nwas:\n{before}");
    Ok(())
}
