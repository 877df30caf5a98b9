//! The daemon as a process: what it listens on follows its interface.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use sbc_tests::e2e::{Daemon, RunAs, Scratch};

use super::lab::{address, build, socket, until};

fn config(scratch: &Scratch) -> String {
    let state = scratch.path().join("state");
    format!(
        r#"[sbc]
name      = "lab"
state_dir = "{}"
admin     = "127.0.0.1:9960"

[network.inside]
address     = "10.71.1.1"
sip         = ["udp:5060"]
media_ports = "20000-20999"

[network.outside]
interface   = "right"
sip         = ["udp:5060", "tcp:5060"]
media_ports = "20000-20999"

[trunk.carrier]
network     = "outside"
server      = "sip:10.71.2.2:5060"
accept_from = ["10.71.2.2"]
"#,
        state.display()
    )
}

/// Whether an OPTIONS there is answered.
fn answers(from: &UdpSocket, at: &str) -> bool {
    let options = format!(
        "OPTIONS sip:{at} SIP/2.0\r\nVia: SIP/2.0/UDP 10.71.2.2:5060;branch=z9hG4bK{:p}{};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:carrier@10.71.2.2>;tag=1\r\nTo: <sip:{at}>\r\n\
         Call-ID: {at}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
        &from,
        Instant::now().elapsed().as_nanos()
    );
    let mut bytes = [0; 2048];
    if from.send_to(options.as_bytes(), (at, 5060)).is_err() {
        return false;
    }
    matches!(from.recv_from(&mut bytes), Ok((_, source)) if source.ip().to_string() == at
        && bytes.starts_with(b"SIP/2.0 200"))
}

#[test]
fn a_lease_that_changes_moves_sip_and_media() {
    let Some(lab) = build("lease") else {
        return;
    };
    // A lease is IPv4's.
    lab.edge.ip("addr del fd71:2::1/64 dev right").unwrap();
    let file = lab
        .scratch
        .write("lab.toml", &config(&lab.scratch))
        .unwrap();
    let mut daemon = Daemon::start(
        &lab.edge,
        &lab.scratch,
        RunAs::Root,
        ["run".as_ref(), "--config".as_ref(), file.as_os_str()],
    )
    .unwrap();
    let carrier = socket(&lab.carrier, "10.71.2.2:5060");
    until("an answer", || answers(&carrier, "10.71.2.1"));
    lab.edge.ip("addr del 10.71.2.1/24 dev right").unwrap();
    let begin = Instant::now();
    lab.edge.ip("addr add 10.71.2.7/24 dev right").unwrap();
    until("an answer at the new address", || {
        answers(&carrier, "10.71.2.7")
    });
    let took = begin.elapsed();
    eprintln!("SIP at the new address after {took:?}");
    assert!(
        took < Duration::from_secs(5),
        "it was told, not found: {took:?}"
    );
    // The way of the link goes with its old index; another one has its name.
    lab.edge.ip("link del right").unwrap();
    until("it is said", || {
        said(&mut daemon, "interface right is gone") && said(&mut daemon, "the address is gone")
    });
    lab.cable("right", &lab.carrier, "eth0").unwrap();
    address(&lab, "right", "10.71.2.7", "eth0", "10.71.2.2");
    until("an answer", || answers(&carrier, "10.71.2.7"));
    until("it is said", || said(&mut daemon, "the address is back"));
    // One line after the other: the test may read between two.
    until("it is attached again", || {
        let printed = daemon.process().printed();
        let attached = printed.matches("XDP program attached to right, native mode");
        attached.count() == 2
    });
}

fn said(daemon: &mut Daemon<'_>, what: &str) -> bool {
    daemon.process().printed().contains(what)
}
