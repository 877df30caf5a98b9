//! The bench itself, without the box: what is wrong here would be blamed on the box elsewhere.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use anyhow::Result;
use sbc_tests::e2e::{Account, Baresip, CARRIER, Lab, Load, Need, PHONE, Phone, Sipp, skipped};

use super::support::talk;

/// Datagrams of a call that are no RTP: SIP and RTCP.
const SIGNALLING: u64 = 30;

/// The edge as a plain router: everything that the box will be measured by works without it.
fn routed_lab() -> Result<Lab> {
    let lab = Lab::new()?;
    lab.edge
        .enter(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))??;
    Ok(lab)
}

#[test]
fn two_phones_hear_each_other_and_the_recordings_show_it() -> Result<()> {
    if skipped(
        "two phones without the box",
        &[
            Need::Namespaces,
            Need::Program("baresip"),
            Need::Program("ethtool"),
        ],
    ) {
        return Ok(());
    }
    let lab = routed_lab()?;
    let phone = |user, address, tone| Phone {
        user,
        address: (address, 5060).into(),
        tone,
        account: Account::Trunk,
    };
    let mut b = Baresip::start(&lab.carrier, &lab.scratch, &phone("bob", CARRIER, 775))?;
    let mut a = Baresip::start(&lab.phone, &lab.scratch, &phone("alice", PHONE, 425))?;
    let before = lab.carrier.udp()?;
    let began = Instant::now();
    a.dial(&format!("sip:bob@{CARRIER}"))?;
    a.wait_established()?;
    b.wait_established()?;
    talk(&lab, Duration::from_secs(3))?;
    a.hang_up()?;
    a.wait_ended()?;
    b.wait_ended()?;
    // A busy machine may have let them talk for longer.
    let took = began.elapsed().as_secs_f64();
    let (heard_a, heard_b) = (a.heard()?, b.heard()?);
    assert_eq!(
        (heard_a.tone, heard_b.tone),
        (775, 425),
        "{heard_a}, {heard_b}"
    );
    for heard in [&heard_a, &heard_b] {
        assert!(heard.gaps.is_empty(), "{heard:?}");
        assert!(
            heard.seconds > 2.8 && heard.seconds < took,
            "{heard:?} in {took} s"
        );
    }
    // 50 packets of RTP a second, and some signalling.
    let datagrams = lab.carrier.udp()?.in_datagrams - before.in_datagrams;
    let most = (50.0 * took) as u64 + SIGNALLING;
    assert!((145..most).contains(&datagrams), "{datagrams} in {took} s");
    Ok(())
}

#[test]
fn sipp_makes_its_calls_and_counts_them() -> Result<()> {
    if skipped(
        "sipp without the box",
        &[
            Need::Namespaces,
            Need::Program("sipp"),
            Need::Program("ethtool"),
        ],
    ) {
        return Ok(());
    }
    let lab = routed_lab()?;
    let (from, to) = (
        SocketAddrV4::new(PHONE, 5060),
        SocketAddrV4::new(CARRIER, 5060),
    );
    let _callee = Sipp::callee(&lab.carrier, &lab.scratch, to)?;
    let load = Load {
        calls: 100,
        rate: 100,
    };
    let report = Sipp::call(&lab.phone, &lab.scratch, from, to, load)?;
    assert_eq!((report.successful, report.failed), (100, 0), "{report:?}");
    Ok(())
}
