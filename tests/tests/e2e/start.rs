//! What the box says when it cannot run, or cannot use the kernel.

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::Result;
use sbc_tests::e2e::{Daemon, EDGE_LEFT, FastPath, Lab, Need, PHONE, RunAs, lab_config, skipped};

use super::support::start;

const LAB: [Need; 2] = [Need::Namespaces, Need::Program("ethtool")];

/// Starts the daemon with the lab's config, changed; it must end with code 1. Returns what it printed.
fn refusal(lab: &Lab, from: &str, to: &str) -> Result<String> {
    let config = lab_config(FastPath::Native, &lab.scratch.path().join("state"));
    assert!(config.contains(from), "nothing to change: {from}");
    let file = lab
        .scratch
        .write("changed.toml", &config.replace(from, to))?;
    let arguments = ["run".as_ref(), "--config".as_ref(), file.as_os_str()];
    let (status, printed) = Daemon::refuse(&lab.edge, &lab.scratch, arguments)?;
    assert_eq!(status.code(), Some(1), "{printed}");
    assert!(!printed.contains("panicked"), "{printed}");
    Ok(printed)
}

/// The one line that says what is wrong: it names all of `words`.
fn assert_line(printed: &str, words: &[&str]) {
    let found = printed
        .lines()
        .filter(|line| words.iter().all(|word| line.contains(word)))
        .count();
    assert_eq!(found, 1, "one line with {words:?} in:\n{printed}");
}

#[test]
fn a_port_that_is_taken() -> Result<()> {
    if skipped("a port that is taken", &LAB) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let _holder = lab.edge.enter(|| UdpSocket::bind((EDGE_LEFT, 5060)))??;
    let printed = refusal(&lab, "fast_path", "fast_path")?;
    assert_line(&printed, &["10.71.1.1:5060"]);
    Ok(())
}

#[test]
fn an_address_that_is_not_ours() -> Result<()> {
    if skipped("an address that is not ours", &LAB) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let printed = refusal(&lab, r#"["10.71.2.1"]"#, r#"["10.71.9.9"]"#)?;
    assert_line(&printed, &["10.71.9.9"]);
    Ok(())
}

#[test]
fn an_interface_that_is_not_there() -> Result<()> {
    if skipped("an interface that is not there", &LAB) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let printed = refusal(
        &lab,
        r#"address     = ["10.71.2.1"]"#,
        r#"interface   = "gone0""#,
    )?;
    assert_line(&printed, &["gone0"]);
    Ok(())
}

#[test]
fn a_misspelt_key() -> Result<()> {
    if skipped("a misspelt key", &LAB) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let printed = refusal(
        &lab,
        "media_ports = \"20000-29999\"\nfast_path",
        "media_prots = \"20000-29999\"\nfast_path",
    )?;
    assert!(printed.contains("changed.toml:9:1"), "{printed}");
    assert!(printed.contains("media_ports"), "{printed}");
    Ok(())
}

/// Loopback takes no XDP program that could send a packet on.
#[test]
fn an_interface_without_xdp_means_user_space_with_that_reason() -> Result<()> {
    if skipped("an interface without XDP", &LAB) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let config = lab_config(FastPath::Native, &lab.scratch.path().join("state"))
        .replace(r#"["10.71.2.1"]"#, r#"["127.0.0.1"]"#);
    let file = lab.scratch.write("lab.toml", &config)?;
    let arguments = ["run".as_ref(), "--config".as_ref(), file.as_os_str()];
    let mut daemon = Daemon::start(&lab.edge, &lab.scratch, RunAs::Root, arguments)?;
    let process = daemon.process();
    // What is printed is read after what is asked may have been answered.
    process.wait_for("right: UDP", Duration::from_secs(10))?;
    let printed = process.printed();
    assert_line(&printed, &["left: UDP", "in the kernel (XDP, native mode)"]);
    assert_line(
        &printed,
        &["right: UDP", "in user space", "no Ethernet interface"],
    );
    Ok(())
}

/// An interface is taken away while the box runs: the other side goes on.
#[test]
fn an_interface_that_goes_leaves_the_other_side_alone() -> Result<()> {
    if skipped("an interface that goes", &LAB) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut daemon = start(&lab, FastPath::Native)?;
    lab.edge.ip("link del right")?;
    let caller = lab.phone.enter(|| UdpSocket::bind((PHONE, 0)))??;
    caller.set_read_timeout(Some(Duration::from_secs(5)))?;
    let port = caller.local_addr()?.port();
    let options = format!(
        "OPTIONS sip:{EDGE_LEFT} SIP/2.0\r\nVia: SIP/2.0/UDP {PHONE}:{port};branch=z9hG4bKgone\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@{PHONE}>;tag=1\r\nTo: <sip:{EDGE_LEFT}>\r\n\
         Call-ID: gone\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    caller.send_to(options.as_bytes(), (EDGE_LEFT, 5060))?;
    let mut answer = [0; 2048];
    let length = caller.recv(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    assert_eq!(daemon.http("/readyz")?.0, 200);
    assert!(!daemon.process().printed().contains("panicked"));
    Ok(())
}
