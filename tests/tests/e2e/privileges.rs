//! The daemon as its service runs it, as an ordinary user: what the kernel path needs of capabilities, and what is said where one is
//! missing.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use sbc_tests::e2e::{Daemon, FastPath, Lab, Need, RunAs, lab_config, skipped};

use super::support::{Call, PHONES, assert_heard, talk};

const TALK: Duration = Duration::from_secs(3);
/// Of 300 packets in 3 s, both ways together.
const PACKETS: f64 = 270.0;
/// As the kernel numbers them (`linux/capability.h`).
const NET_ADMIN: u64 = 1 << 12;
const BPF: u64 = 1 << 39;

#[test]
fn two_capabilities_are_enough_for_the_kernel_path() -> Result<()> {
    a_call(
        "a call with two capabilities",
        &["net_admin", "bpf"],
        NET_ADMIN | BPF,
        &[],
    )
}

#[test]
fn without_cap_bpf_it_is_user_space_with_that_reason() -> Result<()> {
    a_call(
        "a call without CAP_BPF",
        &["net_admin"],
        NET_ADMIN,
        &["CAP_BPF"],
    )
}

#[test]
fn without_cap_net_admin_it_is_user_space_with_that_reason() -> Result<()> {
    a_call(
        "a call without CAP_NET_ADMIN",
        &["bpf"],
        BPF,
        &["CAP_NET_ADMIN"],
    )
}

#[test]
fn without_any_it_is_user_space_with_that_reason() -> Result<()> {
    a_call(
        "a call without privileges",
        &[],
        0,
        &["CAP_NET_ADMIN", "CAP_BPF"],
    )
}

/// A call of two phones through a daemon that has these capabilities, `bits` of them, and lacks those.
fn a_call(
    name: &str,
    capabilities: &'static [&'static str],
    bits: u64,
    lacking: &[&str],
) -> Result<()> {
    let mut needs = [&PHONES[..], &[Need::Program("setpriv")]].concat();
    if lacking.is_empty() {
        // An older verifier wants CAP_PERFMON too.
        needs.push(Need::Linux(6, 8));
    }
    if skipped(name, &needs) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let state = lab.scratch.path().join("state");
    let file = lab
        .scratch
        .write("lab.toml", &lab_config(FastPath::Native, &state))?;
    let arguments = ["run".as_ref(), "--config".as_ref(), file.as_os_str()];
    let run_as = RunAs::User(capabilities);
    let mut daemon = Daemon::start(&lab.edge, &lab.scratch, run_as, arguments)?;

    let status = Status::of(daemon.process().id())?;
    assert_eq!(status.ids, [65534; 4]);
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status.sets.get(set), Some(&bits), "{set}: {status:?}");
    }
    let is_in_kernel = lacking.is_empty();
    let (path, other) = match is_in_kernel {
        true => ("kernel", "user"),
        false => ("user", "kernel"),
    };
    let call = Call::begin(&lab)?;
    talk(&lab, TALK)?;
    assert_heard(&call.end()?, TALK.as_secs_f64() - 0.3);
    let metrics = daemon.scrape()?;
    let packets = |path| {
        metrics.sum(
            "sbc_media_packets_total",
            &[("path", path), ("direction", "in")],
        )
    };
    let shown = metrics.show("sbc_");
    assert!(packets(path) >= PACKETS, "{shown:#?}");
    assert_eq!(packets(other), 0.0, "{shown:#?}");
    // RTP and RTCP.
    let unprivileged = metrics.sum("sbc_flow_fallbacks_total", &[("reason", "unprivileged")]);
    assert_eq!(
        unprivileged,
        if is_in_kernel { 0.0 } else { 2.0 },
        "{shown:#?}"
    );
    assert_eq!(
        metrics.sum("sbc_flow_fallbacks_total", &[]),
        unprivileged,
        "{shown:#?}"
    );

    let process = daemon.process();
    let status = process.stop()?;
    let printed = process.printed();
    assert!(status.success(), "{status}: {printed}");
    let said: Vec<&str> = printed
        .lines()
        .filter_map(|line| {
            line.split_once("the kernel path needs ")
                .map(|(_, what)| what)
        })
        .collect();
    // One line, which names those and no more.
    let expected: Vec<String> = match is_in_kernel {
        true => Vec::new(),
        false => vec![lacking.join(", ")],
    };
    assert_eq!(said, expected, "{printed}");
    let in_kernel = printed.matches("forwarded in the kernel (XDP, native mode)");
    let in_user_space = printed.matches("forwarded in user space");
    let networks = if is_in_kernel { (2, 0) } else { (0, 2) };
    let shown = (in_kernel.count(), in_user_space.count());
    assert_eq!(shown, networks, "{printed}");
    Ok(())
}

/// What the kernel says of a process.
#[derive(Debug)]
struct Status {
    /// User: real, effective, saved, of its files.
    ids: [u32; 4],
    /// Capabilities.
    sets: BTreeMap<String, u64>,
}

impl Status {
    fn of(pid: u32) -> Result<Status> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let (mut ids, mut sets) = (None, BTreeMap::new());
        for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
            if name == "Uid" {
                let each = value.split_whitespace().map(str::parse);
                let each: Vec<u32> = each.collect::<Result<_, _>>()?;
                ids = each.try_into().ok();
            } else if name.starts_with("Cap") {
                sets.insert(name.to_owned(), u64::from_str_radix(value.trim(), 16)?);
            }
        }
        let ids = ids.context("no line Uid")?;
        Ok(Status { ids, sets })
    }
}
