//! A trunk of two servers of which one is dead: what is said outside of calls goes on at the other, too.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sbc_tests::e2e::{
    CARRIER, Daemon, EDGE_LEFT, FastPath, Lab, Metrics, Namespace, Need, PHONE, RunAs, lab_config,
    skipped,
};

use super::name_server::NameServer;

const NEEDS: [Need; 2] = [Need::Namespaces, Need::Program("ethtool")];
const ONE: Ipv4Addr = Ipv4Addr::new(10, 71, 2, 3);
const TWO: Ipv4Addr = Ipv4Addr::new(10, 71, 2, 4);
/// On a busy machine.
const SOON: Duration = Duration::from_secs(90);
/// What a request over UDP that nobody answers is sent in all until its transaction ends (RFC 3261 17.1.2.2).
const COPIES: usize = 11;

/// What a server was asked, each datagram of it.
#[derive(Debug, Default)]
struct Heard {
    registers: AtomicUsize,
    options: AtomicUsize,
    messages: AtomicUsize,
    /// Copies of REGISTER that the other server had when this one had its first.
    other: Mutex<Option<usize>>,
}

/// A SIP server that grants everything, or says nothing; gone on drop.
struct Server {
    heard: Arc<Heard>,
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(
        namespace: &Namespace,
        at: Ipv4Addr,
        is_mute: bool,
        beside: Option<&Server>,
    ) -> Result<Server> {
        let socket = namespace.enter(|| UdpSocket::bind((at, 5060)))??;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let (heard, done) = (Arc::new(Heard::default()), Arc::new(AtomicBool::new(false)));
        let (its, until) = (Arc::clone(&heard), Arc::clone(&done));
        let beside = beside.map(|other| Arc::clone(&other.heard));
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while !until.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                its.note(&text, beside.as_deref());
                if !is_mute && let Some(answer) = granted(&text) {
                    let _ = socket.send_to(answer.as_bytes(), from);
                }
            }
        });
        Ok(Server {
            heard,
            done,
            thread: Some(thread),
        })
    }

    fn registers(&self) -> usize {
        self.heard.registers.load(Ordering::Relaxed)
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

impl Heard {
    fn note(&self, text: &str, beside: Option<&Heard>) {
        let count = match text.split(' ').next() {
            Some("REGISTER") => &self.registers,
            Some("OPTIONS") => &self.options,
            Some("MESSAGE") => &self.messages,
            _ => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
        if let Some(beside) = beside
            && text.starts_with("REGISTER ")
        {
            let had = beside.registers.load(Ordering::Relaxed);
            let mut other = self.other.lock().unwrap_or_else(PoisonError::into_inner);
            other.get_or_insert(had);
        }
    }
}

/// 200 with what was asked for.
fn granted(request: &str) -> Option<String> {
    let method = request.split(' ').next()?;
    if !["REGISTER", "OPTIONS", "MESSAGE"].contains(&method) {
        return None;
    }
    let mut answer = "SIP/2.0 200 OK\r\n".to_owned();
    for line in request.split("\r\n\r\n").next()?.lines().skip(1) {
        let name = line.split(':').next()?;
        let tag = if name == "To" { ";tag=b" } else { "" };
        if ["Via", "From", "To", "Call-ID", "CSeq", "Contact", "Expires"].contains(&name) {
            answer += &format!("{line}{tag}\r\n");
        }
    }
    Some(answer + "Content-Length: 0\r\n\r\n")
}

fn config(lab: &Lab) -> Result<std::path::PathBuf> {
    let account =
        "[trunk.b]\nusername = \"box\"\npassword = \"rosebud\"\nregister = true\nprobe = \"5s\"\n";
    let config = lab_config(FastPath::Off, &lab.scratch.path().join("state"));
    let config = config
        .replace("[sbc]\n", &format!("[sbc]\nresolver = [\"{CARRIER}\"]\n"))
        .replace(&format!("sip:{CARRIER}:5060"), "sip:carrier.example")
        .replace(&format!("accept_from = [\"{CARRIER}\"]\n"), "")
        .replace("[trunk.b]\n", account);
    lab.scratch.write("lab.toml", &config)
}

fn is(name: &'static str, wanted: f64) -> impl Fn(&Metrics) -> bool {
    move |metrics| metrics.sum(name, &[("trunk", "b")]) == wanted
}

#[test]
fn registration_probes_and_messages_go_on_at_the_second_server() -> Result<()> {
    if skipped("a trunk whose first server is dead", &NEEDS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    for address in [ONE, TWO] {
        lab.carrier.ip(&format!("addr add {address}/24 dev eth0"))?;
    }
    let dns = NameServer::start(&lab.carrier, CARRIER)?;
    let servers = [
        (10, 0, 5060, "one.carrier.example"),
        (20, 0, 5060, "two.carrier.example"),
    ];
    dns.srv("_sip._udp.carrier.example", &servers);
    dns.a("one.carrier.example", &[ONE]);
    dns.a("two.carrier.example", &[TWO]);
    dns.ttl(600);
    // Its machine is there, and says nothing: nobody hears that it is dead.
    let one = Server::start(&lab.carrier, ONE, true, None)?;
    let two = Server::start(&lab.carrier, TWO, false, Some(&one))?;
    let file = config(&lab)?;
    let arguments = ["run".as_ref(), "--config".as_ref(), file.as_os_str()];
    let mut daemon = Daemon::start(&lab.edge, &lab.scratch, RunAs::Root, arguments)?;

    let said = daemon
        .process()
        .wait_for("registered with the trunk", SOON)?;
    ensure!(said.contains("server=10.71.2.4:5060"), "{said}");
    // At the second before the first REGISTER had come to its end.
    let copies = *two
        .heard
        .other
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let copies = copies.context("the second server was not asked")?;
    ensure!(copies < COPIES, "{copies} copies went to the first server");
    let options = |metrics: &Metrics| {
        let labels = [
            ("network", "right"),
            ("direction", "in"),
            ("method", "OPTIONS"),
        ];
        metrics.sum("sbc_sip_messages_total", &labels) >= 2.0
    };
    daemon.scrape_until("probes are answered", SOON, options)?;
    daemon.scrape_until("up", SOON, is("sbc_trunk_up", 1.0))?;
    let printed = daemon.process().printed();
    ensure!(!printed.contains("no answer within 8 s"), "{printed}");
    ensure!(!printed.contains("no answer in time"), "{printed}");
    ensure!(printed.contains("a server rests"), "{printed}");

    // What is said outside of calls, too: its sender waits for half a minute at most.
    let caller = lab.phone.enter(|| UdpSocket::bind((PHONE, 5060)))??;
    caller.set_read_timeout(Some(SOON))?;
    ensure!(message(&caller)?.starts_with("SIP/2.0 200 "));
    ensure!(two.heard.messages.load(Ordering::Relaxed) >= 1);

    // Both are dead, and one comes back.
    drop(two);
    let said = daemon
        .process()
        .wait_for("does not answer its probes", SOON)?;
    ensure!(
        said.contains("udp:10.71.2.3:5060: ") && said.contains("udp:10.71.2.4:5060: "),
        "{said}"
    );
    daemon.scrape_until("down", SOON, is("sbc_trunk_up", 0.0))?;
    drop(one);
    let one = Server::start(&lab.carrier, ONE, false, None)?;
    daemon
        .process()
        .wait_for("the trunk answers its probes again", SOON)?;
    // Whoever is there again may have forgotten us.
    let said = daemon
        .process()
        .wait_for("registered with the trunk", SOON)?;
    ensure!(said.contains("server=10.71.2.3:5060"), "{said}");
    ensure!(one.registers() >= 1);
    ensure!(daemon.process().stop()?.success());
    Ok(())
}

/// What a MESSAGE comes to.
fn message(caller: &UdpSocket) -> Result<String> {
    let request = format!(
        "MESSAGE sip:100@{EDGE_LEFT} SIP/2.0\r\nVia: SIP/2.0/UDP {PHONE}:5060;branch=z9hG4bKm1\r\nMax-Forwards: 70\r\n\
         From: <sip:al@{PHONE}>;tag=a1\r\nTo: <sip:100@{EDGE_LEFT}>\r\nCall-ID: message-1\r\nCSeq: 1 MESSAGE\r\n\
         Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"
    );
    caller.send_to(request.as_bytes(), SocketAddr::from((EDGE_LEFT, 5060)))?;
    let mut buffer = [0; 4096];
    let (length, _) = caller.recv_from(&mut buffer).context("no answer")?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}
