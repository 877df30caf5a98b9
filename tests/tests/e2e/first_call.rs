//! A phone calls a phone through the box, and who forwarded the voice is told by the kernel.

use std::time::Duration;

use anyhow::Result;
use sbc_tests::e2e::{FastPath, Lab, Need, skipped};

use super::support::{Call, PHONES, assert_heard, start, talk};

const TALK: Duration = Duration::from_secs(10);
/// Of 500 packets in 10 s.
const PACKETS: u64 = 450;
/// Signalling of one call that reaches the edge's sockets: INVITE, 200, ACK, BYE and the like from either side.
const SIGNALLING: u64 = 40;

#[test]
fn native() -> Result<()> {
    call_through(FastPath::Native, &PHONES)
}

#[test]
fn generic() -> Result<()> {
    call_through(FastPath::Generic, &PHONES)
}

#[test]
fn user_space() -> Result<()> {
    call_through(FastPath::Off, &PHONES)
}

fn call_through(fast_path: FastPath, needs: &[Need]) -> Result<()> {
    if skipped(&format!("a call, fast_path = {}", fast_path.word()), needs) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut daemon = start(&lab, fast_path)?;
    assert_attached(&lab, fast_path)?;
    let (runs, udp) = (daemon.bpf_run_count()?, lab.edge.udp()?);

    let call = Call::begin(&lab)?;
    talk(&lab, TALK)?;
    let during = daemon.scrape()?;
    let heard = call.end()?;

    assert_heard(&heard, TALK.as_secs_f64() - 0.3);
    let metrics = daemon.scrape()?;
    for network in ["left", "right"] {
        for direction in ["in", "out"] {
            let packets = |path| {
                let labels = [
                    ("network", network),
                    ("path", path),
                    ("direction", direction),
                ];
                metrics.sum("sbc_media_packets_total", &labels) as u64
            };
            let (ours, other) = (packets(fast_path.label()), packets(fast_path.other_label()));
            assert!(
                ours >= PACKETS,
                "{network} {direction}: {ours} packets by {}; {:#?}",
                fast_path.label(),
                metrics.show("sbc_media")
            );
            assert_eq!(
                other,
                0,
                "{network} {direction}: by {}",
                fast_path.other_label()
            );
        }
    }
    let flows = [("path", fast_path.label())];
    assert!(
        during.sum("sbc_flows", &flows) > 0.0,
        "{:#?}",
        during.show("sbc_flows")
    );
    assert_eq!(
        metrics.sum("sbc_flows", &[]),
        0.0,
        "{:#?}",
        metrics.show("sbc_flows")
    );

    let datagrams = lab.edge.udp()?.in_datagrams - udp.in_datagrams;
    let runs = daemon.bpf_run_count()? - runs;
    match fast_path {
        FastPath::Native | FastPath::Generic => {
            assert!(
                datagrams <= SIGNALLING,
                "{datagrams} datagrams reached a socket"
            );
            assert!(runs >= 2 * PACKETS, "the program ran {runs} times");
        }
        FastPath::Off => {
            assert!(
                datagrams >= 2 * PACKETS,
                "{datagrams} datagrams reached a socket"
            );
            assert_eq!(runs, 0, "there is no program to run");
        }
    }

    let process = daemon.process();
    let status = process.stop()?;
    assert!(status.success(), "{status}: {}", process.printed());
    assert_attached(&lab, FastPath::Off)
}

/// Whether, and how, `ip` says that programs are attached at the edge: it knows the driver's own mode as `xdp`.
fn assert_attached(lab: &Lab, fast_path: FastPath) -> Result<()> {
    for port in ["left", "right"] {
        let shown = lab.edge.ip(&format!("link show dev {port}"))?;
        let has = |word| shown.split_whitespace().any(|have| have == word);
        let attached = (has("xdp"), has("xdpgeneric"));
        let expected = match fast_path {
            FastPath::Native => (true, false),
            FastPath::Generic => (false, true),
            FastPath::Off => (false, false),
        };
        assert_eq!(attached, expected, "{shown}");
    }
    Ok(())
}
