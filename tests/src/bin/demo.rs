//! Two real phones call each other through the box, and who carried their voices is shown while they talk.
//!
//! `demo SECONDS FAST_PATH`; `cargo xtask demo` builds what it needs and runs it.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sbc_tests::e2e::{
    Account, Baresip, CARRIER, Daemon, EDGE_LEFT, EDGE_RIGHT, FastPath, Lab, Metrics, Need, PHONE,
    Phone, RunAs, lab_config,
};

const ALICE: u32 = 425;
const BOB: u32 = 775;

fn main() -> ExitCode {
    match demo() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether both have heard each other without a gap.
fn demo() -> Result<bool> {
    let mut arguments = std::env::args().skip(1);
    let seconds: u64 = arguments
        .next()
        .unwrap_or_default()
        .parse()
        .context("usage: demo SECONDS FAST_PATH")?;
    let fast_path: FastPath = arguments.next().unwrap_or_default().parse()?;
    for need in [
        Need::Namespaces,
        Need::Program("ethtool"),
        Need::Program("baresip"),
    ] {
        if let Some(reason) = need.lacking() {
            bail!("{reason}");
        }
    }

    let lab = Lab::new()?;
    println!(
        "phone {PHONE} --- {EDGE_LEFT} edge {EDGE_RIGHT} --- {CARRIER} carrier: three hosts, as network namespaces\n"
    );
    let mut daemon = start(&lab, fast_path)?;
    for line in daemon
        .process()
        .printed()
        .lines()
        .filter(|line| line.contains("UDP "))
    {
        println!("{line}");
    }
    let sockets = lab.edge.udp()?.in_datagrams;
    let runs = daemon.bpf_run_count()?;

    let mut bob = phone(&lab, "bob")?;
    let mut alice = phone(&lab, "alice")?;
    alice.dial(&format!("sip:bob@{EDGE_LEFT}"))?;
    alice.wait_established()?;
    bob.wait_established()?;
    println!("\nAlice, who plays {ALICE} Hz, has called Bob, who plays {BOB} Hz:\n");
    println!("         kernel           user space       datagrams");
    println!("    s    A to B  B to A   A to B  B to A   to sockets");
    for second in 1..=seconds {
        std::thread::sleep(Duration::from_secs(1));
        let metrics = daemon.scrape()?;
        println!(
            "  {second:>3}    {:>6}  {:>6}   {:>6}  {:>6}   {:>6}",
            packets(&metrics, "kernel", "left"),
            packets(&metrics, "kernel", "right"),
            packets(&metrics, "user", "left"),
            packets(&metrics, "user", "right"),
            lab.edge.udp()?.in_datagrams - sockets,
        );
    }
    alice.hang_up()?;
    alice.wait_ended()?;
    bob.wait_ended()?;

    let metrics = daemon.scrape()?;
    let (a, b) = (alice.heard()?, bob.heard()?);
    println!("\nAlice heard {a}; Bob heard {b}");
    println!(
        "forwarded in the kernel: {} packets from Alice, {} from Bob; in user space: {} and {}",
        packets(&metrics, "kernel", "left"),
        packets(&metrics, "kernel", "right"),
        packets(&metrics, "user", "left"),
        packets(&metrics, "user", "right"),
    );
    println!(
        "the kernel's own word: {} datagrams reached a socket at the edge, the XDP program ran {} times",
        lab.edge.udp()?.in_datagrams - sockets,
        daemon.bpf_run_count()? - runs,
    );
    let dropped = metrics.show("sbc_media_dropped_packets_total");
    if dropped.is_empty() {
        println!("dropped: nothing");
    }
    for line in dropped {
        println!("dropped: {line}");
    }
    println!("\nthe call, as `sbc trace` has it:\n\n{}", ladder(&lab)?);
    let fine = a.tone == BOB && b.tone == ALICE && a.gaps.is_empty() && b.gaps.is_empty();
    if !fine {
        println!("\nthey did not hear each other as they should");
    }
    Ok(fine)
}

fn start(lab: &Lab, fast_path: FastPath) -> Result<Daemon<'_>> {
    let config = lab_config(fast_path, &lab.scratch.path().join("state"));
    let file = lab.scratch.write("lab.toml", &config)?;
    let arguments = ["run".as_ref(), "--config".as_ref(), file.as_os_str()];
    Daemon::start(&lab.edge, &lab.scratch, RunAs::Root, arguments)
}

/// The ladder of the last call.
fn ladder(lab: &Lab) -> Result<String> {
    let ask = |arguments: &[&str]| -> Result<String> {
        let output = Daemon::cli(&lab.edge, arguments)?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    };
    let list: serde_json::Value = serde_json::from_str(&ask(&["trace", "--json"])?)?;
    let id = list.pointer("/traces/0/id").or(list.pointer("/0/id"));
    let id = id.and_then(|id| id.as_str()).context("no call is kept")?;
    ask(&["trace", id])
}

fn phone(lab: &Lab, user: &'static str) -> Result<Baresip> {
    let (host, address, tone) = match user {
        "alice" => (&lab.phone, PHONE, ALICE),
        _ => (&lab.carrier, CARRIER, BOB),
    };
    let phone = Phone {
        user,
        address: (address, 5060).into(),
        tone,
        account: Account::Trunk,
    };
    Baresip::start(host, &lab.scratch, &phone)
}

/// What came in at a network and was forwarded.
fn packets(metrics: &Metrics, path: &str, network: &str) -> u64 {
    let labels = [("path", path), ("network", network), ("direction", "in")];
    metrics.sum("sbc_media_packets_total", &labels) as u64
}
