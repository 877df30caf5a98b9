//! A trunk with a name: the daemon asks a real name server, and calls go where that says.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sbc_tests::e2e::{
    CARRIER, Daemon, EDGE_LEFT, FastPath, Lab, Namespace, Need, PHONE, RunAs, lab_config, skipped,
};

use super::name_server::{Mood, NameServer};

const NEEDS: [Need; 2] = [Need::Namespaces, Need::Program("ethtool")];
const ONE: Ipv4Addr = Ipv4Addr::new(10, 71, 2, 3);
const TWO: Ipv4Addr = Ipv4Addr::new(10, 71, 2, 4);
/// On a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// Two addresses more for the carrier, its name server, and the daemon with trunk b by that name.
struct Stage<'l> {
    daemon: Daemon<'l>,
    caller: UdpSocket,
    calls: u32,
}

fn lab() -> Result<(Lab, NameServer)> {
    let lab = Lab::new()?;
    for address in [ONE, TWO] {
        lab.carrier.ip(&format!("addr add {address}/24 dev eth0"))?;
    }
    let dns = NameServer::start(&lab.carrier, CARRIER)?;
    Ok((lab, dns))
}

impl<'l> Stage<'l> {
    fn start(lab: &'l Lab, server: &str) -> Result<Stage<'l>> {
        let file = config(lab, server)?;
        let arguments = ["run".as_ref(), "--config".as_ref(), file.as_os_str()];
        let daemon = Daemon::start(&lab.edge, &lab.scratch, RunAs::Root, arguments)?;
        let caller = lab.phone.enter(|| UdpSocket::bind((PHONE, 5060)))??;
        caller.set_read_timeout(Some(SOON))?;
        Ok(Stage {
            daemon,
            caller,
            calls: 0,
        })
    }

    fn wait_for(&mut self, line: &str) -> Result<String> {
        self.daemon.process().wait_for(line, SOON)
    }

    /// Calls; code and phrase of the final answer.
    fn call(&mut self) -> Result<String> {
        self.calls += 1;
        let number = self.calls;
        let body = format!(
            "v=0\r\no=- 1 1 IN IP4 {PHONE}\r\ns=-\r\nc=IN IP4 {PHONE}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
        );
        let message = |method: &str, to: &str, body: &str| {
            format!(
                "{method} sip:100@{EDGE_LEFT} SIP/2.0\r\nVia: SIP/2.0/UDP {PHONE}:5060;branch=z9hG4bK{number}\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:al@{PHONE}>;tag=a{number}\r\nTo: {to}\r\nCall-ID: call-{number}\r\n\
                 CSeq: 1 {method}\r\nContact: <sip:al@{PHONE}:5060>\r\nContent-Type: application/sdp\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        let to = format!("<sip:100@{EDGE_LEFT}>");
        let edge = SocketAddr::from((EDGE_LEFT, 5060));
        self.caller
            .send_to(message("INVITE", &to, &body).as_bytes(), edge)?;
        let mut buffer = [0; 4096];
        loop {
            let (length, _) = self.caller.recv_from(&mut buffer).context("no answer")?;
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let line = text.lines().next().unwrap_or_default();
            let Some(status) = line.strip_prefix("SIP/2.0 ") else {
                bail!("no answer: {text}");
            };
            if !text.contains(&format!("Call-ID: call-{number}\r\n")) || status.starts_with('1') {
                continue;
            }
            let to = text.lines().find_map(|line| line.strip_prefix("To: "));
            let ack = message("ACK", to.unwrap_or_default(), "");
            self.caller.send_to(ack.as_bytes(), edge)?;
            return Ok(status.to_owned());
        }
    }
}

fn config(lab: &Lab, server: &str) -> Result<std::path::PathBuf> {
    let config = lab_config(FastPath::Off, &lab.scratch.path().join("state"));
    let config = config
        .replace("[sbc]\n", &format!("[sbc]\nresolver = [\"{CARRIER}\"]\n"))
        .replace(&format!("sip:{CARRIER}:5060"), server)
        .replace(&format!("accept_from = [\"{CARRIER}\"]\n"), "");
    lab.scratch.write("lab.toml", &config)
}

/// Refuses each INVITE in its own words; gone on drop.
struct Server {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn udp(namespace: &Namespace, at: Ipv4Addr, words: &'static str) -> Result<Server> {
        let socket = namespace.enter(|| UdpSocket::bind((at, 5060)))??;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        Ok(Server::run(move |done| {
            let mut buffer = [0; 8192];
            while !done.load(Ordering::Relaxed) {
                if let Ok((length, from)) = socket.recv_from(&mut buffer)
                    && let Some(answer) = refusal(&buffer[..length], words)
                {
                    let _ = socket.send_to(answer.as_bytes(), from);
                }
            }
        }))
    }

    fn tcp(namespace: &Namespace, at: Ipv4Addr, words: &'static str) -> Result<Server> {
        let listener = namespace.enter(|| TcpListener::bind((at, 5060)))??;
        listener.set_nonblocking(true)?;
        Ok(Server::run(move |done| {
            let mut streams = Vec::new();
            let mut buffer = [0; 8192];
            while !done.load(Ordering::Relaxed) {
                if let Ok((stream, _)) = listener.accept() {
                    let _ = stream.set_read_timeout(Some(Duration::from_millis(50)));
                    let _ = stream.set_nonblocking(false);
                    streams.push(stream);
                }
                for stream in &mut streams {
                    // A message is small enough to come at once.
                    if let Ok(length) = stream.read(&mut buffer)
                        && let Some(answer) = refusal(&buffer[..length], words)
                    {
                        let _ = stream.write_all(answer.as_bytes());
                    }
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }))
    }

    fn run(work: impl FnOnce(&AtomicBool) + Send + 'static) -> Server {
        let done = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&done);
        let thread = std::thread::spawn(move || work(&until));
        Server {
            done,
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// 486 with these words, to an INVITE.
fn refusal(request: &[u8], words: &str) -> Option<String> {
    let text = String::from_utf8_lossy(request);
    if !text.starts_with("INVITE ") {
        return None;
    }
    let mut answer = format!("SIP/2.0 486 {words}\r\n");
    for line in text.split("\r\n\r\n").next()?.lines().skip(1) {
        let name = line.split(':').next()?;
        let tag = if name == "To" { ";tag=b" } else { "" };
        if ["Via", "From", "To", "Call-ID", "CSeq"].contains(&name) {
            answer += &format!("{line}{tag}\r\n");
        }
    }
    Some(answer + "Content-Length: 0\r\n\r\n")
}

#[test]
fn when_the_first_server_dies_calls_go_to_the_second_and_a_change_moves_them() -> Result<()> {
    if skipped("servers by SRV", &NEEDS) {
        return Ok(());
    }
    let (lab, dns) = lab()?;
    dns.srv(
        "_sip._udp.carrier.example",
        &[
            (10, 0, 5060, "one.carrier.example"),
            (20, 0, 5060, "two.carrier.example"),
        ],
    );
    dns.a("one.carrier.example", &[ONE]);
    dns.a("two.carrier.example", &[TWO]);
    dns.ttl(5);
    let one = Server::udp(&lab.carrier, ONE, "Here is One")?;
    let _two = Server::udp(&lab.carrier, TWO, "Here is Two")?;
    let mut stage = Stage::start(&lab, "sip:carrier.example")?;
    let found = stage.wait_for("servers found")?;
    assert!(
        found.contains("udp:10.71.2.3:5060 udp:10.71.2.4:5060"),
        "{found}"
    );
    assert_eq!(stage.call()?, "486 Here is One");

    drop(one);
    assert_eq!(stage.call()?, "486 Here is Two");
    stage.wait_for("a server rests")?;
    let resting = stage.daemon.scrape()?.sum("sbc_servers_resting", &[]);
    assert_eq!(resting, 1.0);
    // It is not waited for again: that would take four seconds.
    let begun = Instant::now();
    assert_eq!(stage.call()?, "486 Here is Two");
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );

    let _moved = Server::udp(&lab.carrier, ONE, "Here is Three")?;
    dns.srv(
        "_sip._udp.carrier.example",
        &[(10, 0, 5060, "two.carrier.example")],
    );
    let found = stage.wait_for("servers found")?;
    assert!(!found.contains("10.71.2.3"), "{found}");
    dns.a("two.carrier.example", &[CARRIER]);
    let _carrier = Server::udp(&lab.carrier, CARRIER, "Here is Four")?;
    let found = stage.wait_for("servers found")?;
    assert!(found.contains("udp:10.71.2.2:5060"), "{found}");
    assert_eq!(stage.call()?, "486 Here is Four");
    assert!(stage.daemon.process().stop()?.success());
    Ok(())
}

#[test]
fn naptr_leads_to_tcp() -> Result<()> {
    if skipped("servers by NAPTR", &NEEDS) {
        return Ok(());
    }
    let (lab, dns) = lab()?;
    dns.naptr(
        "carrier.example",
        &[
            (10, 10, "SIPS+D2T", "_sips._tcp.carrier.example"),
            (20, 10, "SIP+D2T", "_sip._tcp.carrier.example"),
            (30, 10, "SIP+D2U", "_sip._udp.carrier.example"),
        ],
    );
    dns.srv(
        "_sip._tcp.carrier.example",
        &[(10, 0, 5060, "one.carrier.example")],
    );
    dns.srv(
        "_sip._udp.carrier.example",
        &[(10, 0, 5060, "one.carrier.example")],
    );
    dns.a("one.carrier.example", &[ONE]);
    let tcp = Server::tcp(&lab.carrier, ONE, "Over TCP")?;
    let _udp = Server::udp(&lab.carrier, ONE, "Over UDP")?;
    let mut stage = Stage::start(&lab, "sip:carrier.example")?;
    let found = stage.wait_for("servers found")?;
    assert!(
        found.contains("tcp:10.71.2.3:5060 udp:10.71.2.3:5060"),
        "{found}"
    );
    assert!(found.contains("TLS, which is not supported"), "{found}");
    assert_eq!(stage.call()?, "486 Over TCP");
    // Nobody listens there any more: the next way at once.
    drop(tcp);
    assert_eq!(stage.call()?, "486 Over UDP");

    let file = config(&lab, "sip:carrier.example")?;
    let arguments = ["check".as_ref(), "--config".as_ref(), file.as_os_str()];
    let output = Daemon::cli(&lab.edge, arguments)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = "trunk:b (carrier.example) is at tcp:10.71.2.3:5060, udp:10.71.2.3:5060.";
    assert!(output.status.success() && text.contains(line), "{text}");
    dns.mood(Mood::Silent);
    let output = Daemon::cli(&lab.edge, arguments)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = "Warning: where trunk:b is (carrier.example) is not known:";
    assert!(output.status.success() && text.contains(line), "{text}");
    assert!(stage.daemon.process().stop()?.success());
    Ok(())
}

#[test]
fn a_name_server_that_is_slow_or_lies_keeps_nobody_from_calling() -> Result<()> {
    if skipped("a name server that lies", &NEEDS) {
        return Ok(());
    }
    let (lab, dns) = lab()?;
    dns.mood(Mood::Silent);
    dns.ttl(1);
    dns.a("one.carrier.example", &[ONE]);
    let _one = Server::udp(&lab.carrier, ONE, "Here is One")?;
    // It is ready although nobody answers.
    let mut stage = Stage::start(&lab, "sip:one.carrier.example:5060")?;
    assert!(stage.call()?.starts_with("503 "));
    dns.mood(Mood::Honest);
    stage.wait_for("servers found")?;
    assert_eq!(stage.call()?, "486 Here is One");
    for mood in [Mood::Silent, Mood::Garbage, Mood::Circle] {
        dns.mood(mood);
        let asked = dns.asked();
        let end = Instant::now() + SOON;
        while dns.asked() < asked + 3 {
            assert!(Instant::now() < end, "{mood:?}: it is not asked again");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(stage.call()?, "486 Here is One", "{mood:?}");
    }
    // Dozens of addresses, of which most are nobody's.
    let many: Vec<Ipv4Addr> = (0..60)
        .map(|n| Ipv4Addr::new(224, 0, 0, n))
        .chain([ONE])
        .collect();
    dns.a("one.carrier.example", &many);
    dns.mood(Mood::Honest);
    stage.wait_for("DNS answers again")?;
    assert_eq!(stage.call()?, "486 Here is One");
    let metrics = stage.daemon.scrape()?;
    let count = |result| metrics.sum("sbc_dns_lookups_total", &[("result", result)]);
    let failed = count("timeout") + count("refused");
    assert!(failed >= 1.0, "{:#?}", metrics.show("sbc_dns"));
    assert!(stage.daemon.process().stop()?.success());
    Ok(())
}
