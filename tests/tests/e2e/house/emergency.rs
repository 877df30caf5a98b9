//! A call for help while the trunk has all the calls that it may, and strangers flood the box. What the engine's own limits are, and that emergency
//! calls pass those too, is shown with smaller ones in `simulated_groups`.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use sbc_tests::e2e::home::{Home, PUBLIC, SERVER, STUN, TRUNK};
use sbc_tests::e2e::{Ear, Manner};

use super::*;
use crate::support::Raise;

/// `max_calls` of the trunk.
const MOST: usize = 4;
/// Datagrams at a time, then a break.
const BURST: u32 = 20;
const BREAK: Duration = Duration::from_millis(5);

#[test]
fn a_call_for_help_goes_through_when_everything_is_full() -> Result<()> {
    if skip("an emergency") {
        return Ok(());
    }
    let home = Home::new()?;
    let mut house = House::open(&home)?;
    let mut alice = house.living(Manner::default())?;
    let mut office = house.office(Manner::default())?;
    let mut bob = house.outside(FRIEND, 5070, BOB)?;
    let mut help = house.outside(HELP, 5080, OTHERS)?;
    let at_living = Ear::open(&home.living, SERVER)?;
    let at_mobile = Ear::open(&home.mobile, PUBLIC)?;
    let at_carrier = Ear::open(&home.carrier, PUBLIC)?;
    for calls in 1..=MOST {
        bob.dial(&uri(OURS, TRUNK))?;
        bob.wait_established()?;
        alice.wait_established()?;
        house.has_calls(calls as f64)?;
    }
    let stranger = home
        .carrier
        .enter(|| UdpSocket::bind((STUN, 6000)))?
        .context("cannot bind the stranger's port")?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| -> Result<()> {
        let _done = Raise(&stop);
        scope.spawn(|| flood(&stranger, &stop));
        house
            .daemon
            .scrape_until("a flood", SOON, |metrics| {
                metrics.sum("sbc_sip_refused_total", &[("reason", "flood")]) > 100.0
            })
            .context("the flood is not shed")?;

        office.dial(&uri("7654321", SERVER))?;
        let refused = office.wait_ended()?;
        assert!(refused.contains("503"), "{refused}");
        office.dial(&uri(HELP, SERVER))?;
        office.wait_established()?;
        help.wait_established()?;
        at_living.hears(OTHERS, VOICE)?;
        at_carrier.hears(OFFICE, VOICE)?;
        house.has_calls(MOST as f64 + 1.0)?;
        office.hang_up()?;
        both_heard([&mut office, &mut help], [OFFICE, OTHERS])?;

        // Nor does it matter who calls, and from where.
        let mut mobile = house.mobile("", Manner::default())?;
        mobile.dial(&uri(HELP, PUBLIC))?;
        mobile.wait_established()?;
        help.wait_established()?;
        at_mobile.hears(OTHERS, VOICE)?;
        at_carrier.hears(ROAD, VOICE)?;
        mobile.hang_up()?;
        both_heard([&mut mobile, &mut help], [ROAD, OTHERS])
    })?;
    let metrics = house.daemon.scrape()?;
    let limited = metrics.sum("sbc_trunk_limited_total", &[("limit", "max-calls")]);
    assert_eq!(limited, 1.0, "{:#?}", metrics.show("sbc_trunk"));
    assert!(bob.process().stop()?.success());
    house.is_quiet()
}

/// Calls of nobody's, more than the box takes from strangers.
fn flood(stranger: &UdpSocket, stop: &AtomicBool) {
    let to = SocketAddr::from((PUBLIC, 5060));
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..BURST {
            number += 1;
            let invite = format!(
                "INVITE sip:911@{PUBLIC} SIP/2.0\r\nVia: SIP/2.0/UDP {STUN}:6000;branch=z9hG4bK{number};rport\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:nobody@{STUN}>;tag={number}\r\nTo: <sip:911@{PUBLIC}>\r\n\
                 Call-ID: {number}\r\nCSeq: 1 INVITE\r\nContact: <sip:nobody@{STUN}:6000>\r\nContent-Length: 0\r\n\r\n"
            );
            // What does not fit is not needed.
            let _ = stranger.send_to(invite.as_bytes(), to);
        }
        std::thread::sleep(BREAK);
    }
}
