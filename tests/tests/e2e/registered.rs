//! The box on its embedded defaults, on loopback, without any privilege: phones that register.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use sbc_tests::e2e::{Account, Baresip, Daemon, Namespace, Phone, RunAs, Scratch, Turn, skipped};

use super::support::{ALICE, BOB, PHONES, assert_heard};

/// 5 s of voice last longer on a busy machine.
const SOON: Duration = Duration::from_secs(60);

const BOX: &str = "127.0.0.1:5060";

#[test]
fn two_phones_talk_and_a_wrong_password_does_not() -> Result<()> {
    if skipped("registered phones", &PHONES) {
        return Ok(());
    }
    let _turn = Turn::wait()?;
    let (host, scratch) = (Namespace::new("host")?, Scratch::new()?);
    let mut daemon = Daemon::start(&host, &scratch, RunAs::User(&[]), [""; 0])?;
    let password = |daemon: &mut Daemon<'_>, user: &str| -> Result<String> {
        // `    6001       abcd`
        let line = daemon.process().wait_until(
            &format!("the password of {user}"),
            Duration::from_secs(5),
            |line| line.split_whitespace().next() == Some(user),
        )?;
        let password = line.split_whitespace().nth(1).context("no password")?;
        Ok(password.to_owned())
    };
    let phone = |user, port, tone, password: &str| Phone {
        user,
        address: (Ipv4Addr::LOCALHOST, port).into(),
        tone,
        account: Account::Registered {
            registrar: BOX.to_owned(),
            password: password.to_owned(),
        },
    };
    let first = phone("6001", 5070, ALICE, &password(&mut daemon, "6001")?);
    let second = phone("6002", 5080, BOB, &password(&mut daemon, "6002")?);
    let mut alice = Baresip::start(&host, &scratch, &first)?;
    alice.wait_registered()?;
    let mut bob = Baresip::start(&host, &scratch, &second)?;
    bob.wait_registered()?;
    assert_eq!(daemon.scrape()?.sum("sbc_registrations", &[]), 2.0);

    alice.dial(&format!("sip:6002@{BOX}"))?;
    alice.wait_established()?;
    bob.wait_established()?;
    daemon.scrape_until("5 s of voice each way", SOON, |metrics| {
        metrics.sum("sbc_media_packets_total", &[("direction", "out")]) >= 500.0
    })?;
    alice.hang_up()?;
    alice.wait_ended()?;
    bob.wait_ended()?;
    assert_heard(&[alice.heard()?, bob.heard()?], 4.7);

    // The account is Bob's, the password is not.
    bob.process().stop()?;
    std::fs::rename(scratch.path().join("6002"), scratch.path().join("bob"))?;
    let mut mallory = Baresip::start(&host, &scratch, &phone("6002", 5090, 1_200, "wrong"))?;
    mallory.wait_not_registered()?;
    mallory.dial(&format!("sip:6001@{BOX}"))?;
    mallory.wait_ended()?;

    let metrics = daemon.scrape()?;
    let calls = metrics.sum("sbc_calls_total", &[("outcome", "answered")]);
    assert_eq!(calls, 1.0, "{:#?}", metrics.show("sbc_calls"));
    let kernel = metrics.sum("sbc_media_packets_total", &[("path", "kernel")]);
    assert_eq!(kernel, 0.0, "{:#?}", metrics.show("sbc_media"));
    let local = metrics.sum("sbc_flow_fallbacks_total", &[]);
    assert!(local >= 1.0, "{:#?}", metrics.show("sbc_flow"));
    Ok(())
}
