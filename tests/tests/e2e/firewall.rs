//! The rules that `sbc check --firewall` prints: nft takes them, calls pass, nothing else does.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use sbc_tests::e2e::{
    Daemon, EDGE_LEFT, FastPath, Lab, Namespace, Need, PHONE, Scratch, Turn, lab_config, skipped,
};

use super::support::{Call, PHONES, assert_heard, start, talk};

const NFT: Need = Need::Program("nft");
const TALK: Duration = Duration::from_secs(3);
/// Someone beside the phone.
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 71, 1, 66);
const PATIENCE: Duration = Duration::from_secs(5);

/// The rules for a config, in a file.
fn rules(namespace: &Namespace, scratch: &Scratch, config: &Path) -> Result<(PathBuf, String)> {
    let arguments = [
        "check".as_ref(),
        "--firewall".as_ref(),
        "--config".as_ref(),
        config.as_os_str(),
    ];
    let output = Daemon::cli(namespace, arguments)?;
    let (out, err) = (
        String::from_utf8(output.stdout)?,
        String::from_utf8(output.stderr)?,
    );
    assert!(output.status.success(), "{err}");
    Ok((scratch.write("sbc.nft", &out)?, out))
}

#[test]
fn nft_takes_them() -> Result<()> {
    if skipped("firewall rules of all kinds", &[Need::Namespaces, NFT]) {
        return Ok(());
    }
    let _turn = Turn::wait()?;
    let host = Namespace::new("rules")?;
    let scratch = Scratch::new()?;
    host.enter(|| {
        for which in ["all", "default", "lo"] {
            // Without IPv6 there is nothing to be turned on.
            let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "0");
        }
    })?;
    host.ip("link add left-0 type veth peer name right")?;
    for address in ["192.0.2.1/24", "192.0.2.2/24", "2001:db8::1/64"] {
        host.ip(&format!("addr add {address} dev left-0 nodad"))?;
    }
    host.ip("addr add 198.51.100.1/24 dev right")?;
    host.ip("link set left-0 up")?;
    host.ip("link set right up")?;
    let networks = "[network.wan-1]\ninterface = \"left-0\"\nsip = [\"udp:5060\", \"udp:5070\", \"tcp:5060\"]\n\
                    [network.b.c]\naddress = [\"198.51.100.1\"]\nfast_path = \"off\"\n";
    let networks = networks.replace("[network.b.c]", "[network.\"b.c+d\"]");
    let trunk = "[trunk.x]\nnetwork = \"wan-1\"\nserver = \"sip:203.0.113.1\"\n\
                 accept_from = [\"0.0.0.0/0\", \"203.0.113.0/24\", \"203.0.113.1\", \"::/0\", \"2001:db8:5::/48\"]\n";
    let phone = "[phone.6001]\npassword = \"one\"\n";
    for (name, text) in [
        ("networks", networks.clone()),
        ("a trunk", format!("{networks}{trunk}")),
        ("phones", format!("{networks}{trunk}{phone}")),
        (
            "admin",
            format!(
                "[sbc]\nadmin = \"[2001:db8::1]:9960\"\nadmin_token = \"token-of-this-test\"\n{networks}{phone}"
            ),
        ),
        (
            "loopback",
            "[network.lo]\naddress = \"127.0.0.1\"\n".to_owned(),
        ),
    ] {
        let config = scratch.write("rules.toml", &text)?;
        let (file, rules) = rules(&host, &scratch, &config)?;
        let file = file.display();
        for check in ["-c -f", "-f", "-f"] {
            host.exec(&format!("nft {check} {file}"))
                .with_context(|| format!("{name}:\n{rules}"))?;
        }
    }
    Ok(())
}

#[test]
fn a_call_passes_and_nothing_else_in_user_space() -> Result<()> {
    behind_rules(FastPath::Off)
}

#[test]
fn a_call_passes_and_nothing_else_in_the_kernel() -> Result<()> {
    behind_rules(FastPath::Native)
}

fn behind_rules(fast_path: FastPath) -> Result<()> {
    let needs = [PHONES.as_slice(), &[NFT]].concat();
    if skipped(
        &format!("firewall rules, fast_path = {}", fast_path.word()),
        &needs,
    ) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let config = lab_config(fast_path, &lab.scratch.path().join("state"));
    let config = lab.scratch.write("lab.toml", &config)?;
    let (file, rules) = rules(&lab.edge, &lab.scratch, &config)?;
    let says = match fast_path {
        FastPath::Off => "Media goes through user space: fast_path is \"off\".",
        FastPath::Native | FastPath::Generic => "the kernel program (native mode) drops what",
    };
    assert!(rules.contains(says), "{rules}");
    lab.edge.exec(&format!("nft -f {}", file.display()))?;
    probe(&lab)?;

    let mut daemon = start(&lab, fast_path)?;
    let call = Call::begin(&lab)?;
    talk(&lab, TALK)?;
    assert_heard(&call.end()?, TALK.as_secs_f64() - 0.3);
    assert!(daemon.process().stop()?.success());
    Ok(())
}

/// Before the daemon is there, so that sockets of ours can be at its ports.
fn probe(lab: &Lab) -> Result<()> {
    lab.phone.ip(&format!("addr add {STRANGER}/24 dev eth0"))?;
    let at_edge = |port| {
        lab.edge
            .enter(move || UdpSocket::bind((EDGE_LEFT, port)))?
            .map_err(anyhow::Error::from)
    };
    let (sip, media, other) = (at_edge(5060)?, at_edge(20_000)?, at_edge(7000)?);
    let service = lab.edge.enter(|| TcpListener::bind((EDGE_LEFT, 8080)))??;
    let from = |address| {
        lab.phone
            .enter(move || UdpSocket::bind((address, 0)))?
            .map_err(anyhow::Error::from)
    };
    let (phone, stranger) = (from(PHONE)?, from(STRANGER)?);

    let send = |what: &[u8]| -> Result<()> {
        stranger.send_to(what, (EDGE_LEFT, 5060))?;
        phone.send_to(what, (EDGE_LEFT, 7000))?;
        // What goes one way comes in order: when this is there, the others would be.
        phone.send_to(what, (EDGE_LEFT, 20_000))?;
        phone.send_to(what, (EDGE_LEFT, 5060))?;
        Ok(())
    };
    send(b"guarded")?;
    assert_eq!(next(&sip)?, Some((b"guarded".to_vec(), PHONE)));
    assert_eq!(next(&media)?, Some((b"guarded".to_vec(), PHONE)));
    other.set_nonblocking(true)?;
    assert_eq!(next(&other)?, None);
    sip.set_nonblocking(true)?;
    assert_eq!(next(&sip)?, None, "the stranger's");
    let service_address = service.local_addr()?;
    let connected = lab.phone.enter(move || {
        TcpStream::connect_timeout(&service_address, Duration::from_millis(300)).map(drop)
    })?;
    assert_eq!(
        connected.map_err(|error| error.kind()),
        Err(ErrorKind::TimedOut)
    );
    let chain = lab.edge.exec("nft list chain inet sbc guarded")?;
    let counter = chain
        .lines()
        .find_map(|line| line.trim().strip_prefix("counter packets "));
    let dropped = counter.and_then(|line| line.split(' ').next()?.parse::<u64>().ok());
    assert!(dropped >= Some(3), "{chain}");

    // Without the rules all of it arrives: it was they that kept it out.
    lab.edge.exec("nft delete table inet sbc")?;
    other.set_nonblocking(false)?;
    sip.set_nonblocking(false)?;
    send(b"open")?;
    assert_eq!(next(&sip)?, Some((b"open".to_vec(), STRANGER)));
    assert_eq!(next(&other)?, Some((b"open".to_vec(), PHONE)));
    lab.phone
        .enter(move || TcpStream::connect_timeout(&service_address, PATIENCE).map(drop))??;
    let file = lab.scratch.path().join("sbc.nft");
    lab.edge.exec(&format!("nft -f {}", file.display()))?;
    Ok(())
}

/// The next datagram, and who sent it; none where the socket does not wait for it.
fn next(socket: &UdpSocket) -> Result<Option<(Vec<u8>, Ipv4Addr)>> {
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = [0; 64];
    match socket.recv_from(&mut buffer) {
        Ok((length, std::net::SocketAddr::V4(from))) => {
            Ok(Some((buffer[..length].to_vec(), *from.ip())))
        }
        Ok((_, from)) => anyhow::bail!("from {from}"),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}
