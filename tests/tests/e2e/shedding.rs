//! Floods and bans: who is known goes on being served, in the kernel and in user space alike.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sbc::sip::{Message, Name, digest};
use sbc_tests::e2e::{Daemon, EDGE_LEFT, FastPath, Lab, Need, RunAs, lab_config, skipped};

pub(crate) const BOX: SocketAddr = SocketAddr::new(IpAddr::V4(EDGE_LEFT), 5060);
/// A phone that registers.
const REGISTERED: Ipv4Addr = Ipv4Addr::new(10, 71, 1, 4);
/// Neighbours of whom the box has never heard.
pub(crate) const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 71, 1, 3);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 71, 1, 5);
const FLOOD: usize = 20_000;
const T1: Duration = Duration::from_millis(500);
const SOON: Duration = Duration::from_secs(5);
/// Of what strangers send, so much at once and a second is taken in.
const BURST: f64 = 200.0;
const RATE: f64 = 50.0;

#[test]
fn a_flood_leaves_a_registered_phone_served_by_the_kernel() -> Result<()> {
    flood(FastPath::Native)
}

#[test]
fn a_flood_leaves_a_registered_phone_served_in_user_space() -> Result<()> {
    flood(FastPath::Off)
}

#[test]
fn a_banned_source_is_served_again_after_its_ban_by_the_kernel() -> Result<()> {
    ban(FastPath::Native)
}

#[test]
fn a_banned_source_is_served_again_after_its_ban_in_user_space() -> Result<()> {
    ban(FastPath::Off)
}

fn needs(what: &str, fast_path: FastPath) -> bool {
    let what = format!("{what}, fast_path = {}", fast_path.word());
    skipped(&what, &[Need::Namespaces, Need::Program("ethtool")])
}

fn start(lab: &Lab, fast_path: FastPath) -> Result<Daemon<'_>> {
    for address in [STRANGER, REGISTERED, OTHER] {
        lab.phone.ip(&format!("addr add {address}/24 dev eth0"))?;
    }
    let config = lab_config(fast_path, &lab.scratch.path().join("state"));
    let config = format!("{config}\n[phone.6001]\npassword = \"secret\"\n");
    let file = lab.scratch.write("shedding.toml", &config)?;
    Daemon::start(
        &lab.edge,
        &lab.scratch,
        RunAs::Root,
        ["run".as_ref(), "--config".as_ref(), file.as_os_str()],
    )
}

/// What the daemon's own command line prints.
pub(crate) fn told(lab: &Lab, arguments: &str) -> Result<String> {
    let binary = sbc_tests::e2e::binary()?;
    lab.edge.exec(&format!("{} {arguments}", binary.display()))
}

/// A SIP socket of the phones' host.
pub(crate) struct Agent {
    socket: UdpSocket,
    local: SocketAddr,
    sent: u32,
}

impl Agent {
    pub(crate) fn open(lab: &Lab, address: Ipv4Addr) -> Result<Agent> {
        let socket = lab.phone.enter(|| UdpSocket::bind((address, 5060)))??;
        socket.set_read_timeout(Some(SOON))?;
        Ok(Agent {
            local: socket.local_addr()?,
            socket,
            sent: 0,
        })
    }

    fn request(&mut self, method: &str, more: &str) -> String {
        self.sent += 1;
        let (local, sent) = (self.local, self.sent);
        format!(
            "{method} sip:{EDGE_LEFT} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{sent};rport\r\n\
             From: <sip:6001@{EDGE_LEFT}>;tag=a\r\nTo: <sip:6001@{EDGE_LEFT}>\r\nCall-ID: {local}\r\n\
             CSeq: {sent} {method}\r\nMax-Forwards: 70\r\nContact: <sip:6001@{local}>\r\n{more}Content-Length: 0\r\n\r\n"
        )
    }

    fn ask(&mut self, method: &str, more: &str) -> Result<Message> {
        let request = self.request(method, more);
        self.socket.send_to(request.as_bytes(), BOX)?;
        self.answer()
    }

    /// As phones do: what is not answered is asked again after T1. Gives how often it was asked.
    fn insist(&mut self, method: &str) -> Result<u32> {
        let request = self.request(method, "");
        self.socket.set_read_timeout(Some(T1))?;
        for times in 1..=10 {
            self.socket.send_to(request.as_bytes(), BOX)?;
            if let Ok(answer) = self.answer() {
                ensure!(answer.code() == Some(200), "{answer:?}");
                return Ok(times);
            }
        }
        bail!("no answer to {request}")
    }

    /// The next message that comes.
    pub(crate) fn answer(&self) -> Result<Message> {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).context("no answer")?;
        Ok(Message::parse(
            buffer[..length].to_vec().into(),
            &Default::default(),
        )?)
    }

    /// Says something for which no answer is waited.
    pub(crate) fn send(&mut self, method: &str) -> Result<()> {
        let request = self.request(method, "");
        self.socket.send_to(request.as_bytes(), BOX)?;
        Ok(())
    }

    pub(crate) fn register(&mut self) -> Result<()> {
        let ok = self.register_with("secret")?;
        ensure!(ok.code() == Some(200), "{ok:?}");
        Ok(())
    }

    /// Tries a password, which is wrong.
    pub(crate) fn guess(&mut self) -> Result<()> {
        let refused = self.register_with("guess")?;
        ensure!(refused.code() == Some(401), "{refused:?}");
        Ok(())
    }

    fn register_with(&mut self, password: &str) -> Result<Message> {
        let challenge = self.ask("REGISTER", "")?;
        let offer = challenge
            .header(Name::WwwAuthenticate)
            .context("no challenge")?;
        let uri = format!("sip:{EDGE_LEFT}");
        let value = digest::answer(offer, "6001", password, "REGISTER", &uri, "cnonce")
            .context("no answer to the challenge")?;
        self.ask("REGISTER", &format!("Authorization: {value}\r\n"))
    }
}

fn refused(daemon: &Daemon<'_>, reason: &str) -> Result<f64> {
    let labels = [("network", "left"), ("reason", reason)];
    Ok(daemon.scrape()?.sum("sbc_sip_refused_total", &labels))
}

fn flood(fast_path: FastPath) -> Result<()> {
    if needs("a flood", fast_path) {
        return Ok(());
    }
    let lab = Lab::alone()?;
    let daemon = start(&lab, fast_path)?;
    let mut phone = Agent::open(&lab, REGISTERED)?;
    phone.register()?;
    let mut stranger = Agent::open(&lab, STRANGER)?;
    let taken_in = |daemon: &Daemon<'_>| -> Result<f64> {
        let labels = [
            ("network", "left"),
            ("direction", "in"),
            ("method", "OPTIONS"),
        ];
        Ok(daemon.scrape()?.sum("sbc_sip_messages_total", &labels))
    };
    assert_eq!(taken_in(&daemon)?, 0.0);

    let began = Instant::now();
    let mut asked = 0;
    for n in 0..FLOOD {
        let request = stranger.request("OPTIONS", "");
        // The sender's own queue may be full for a moment.
        while stranger.socket.send_to(request.as_bytes(), BOX).is_err() {
            std::thread::yield_now();
        }
        if n % 500 == 250 {
            asked += phone
                .insist("OPTIONS")
                .with_context(|| format!("after {n} datagrams"))?;
        }
    }
    if fast_path == FastPath::Native {
        assert_eq!(asked, 40, "nothing of the phone's was lost");
    }
    let all = FLOOD as f64 + f64::from(asked);
    let within = |metrics: &sbc_tests::e2e::Metrics| {
        let sum = |name: &str, labels: &[(&str, &str)]| metrics.sum(name, labels);
        let seen = sum(
            "sbc_sip_messages_total",
            &[
                ("network", "left"),
                ("direction", "in"),
                ("method", "OPTIONS"),
            ],
        );
        let shed = sum(
            "sbc_sip_refused_total",
            &[("network", "left"), ("reason", "flood")],
        );
        seen + shed
    };
    let metrics = daemon.scrape_until("all accounted for", SOON, |metrics| within(metrics) == all);
    let took = began.elapsed().as_secs_f64();
    let shed = refused(&daemon, "flood")?;
    let passed = all - shed - f64::from(asked);
    println!(
        "{}: {FLOOD} datagrams in {took:.2} s, {passed} taken in",
        fast_path.word()
    );
    if fast_path == FastPath::Native {
        metrics?;
        assert!(
            (BURST..=BURST + RATE * took + 1.0).contains(&passed),
            "{passed} in {took} s"
        );
    } else {
        // What the socket's own queue had no room for, nobody counts; the phone asks again.
        assert!(shed > FLOOD as f64 / 2.0, "{shed}");
        assert!(taken_in(&daemon)? <= BURST + RATE * took + 1.0 + f64::from(asked));
    }
    // Another neighbour is a stranger too, and was not the flood.
    let mut other = Agent::open(&lab, OTHER)?;
    assert_eq!(other.ask("REGISTER", "")?.code(), Some(401));
    // A forged source bans nobody.
    assert_eq!(daemon.scrape()?.sum("sbc_bans", &[]), 0.0);
    Ok(())
}

/// Of the stranger's.
pub(crate) fn connect(to: SocketAddr) -> std::io::Result<()> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((STRANGER, 0)).into())?;
    socket.connect_timeout(&to.into(), Duration::from_millis(300))
}

fn ban(fast_path: FastPath) -> Result<()> {
    if needs("a ban", fast_path) {
        return Ok(());
    }
    let lab = Lab::alone()?;
    let daemon = start(&lab, fast_path)?;
    let mut stranger = Agent::open(&lab, STRANGER)?;
    assert_eq!(stranger.ask("REGISTER", "")?.code(), Some(401));
    let done = told(&lab, "ban 10.71.1.2/31 --for 1h")?;
    assert!(
        done.starts_with("10.71.1.2/31 is banned: its SIP is dropped."),
        "{done}"
    );
    let request = stranger.request("OPTIONS", "");
    for _ in 0..10 {
        stranger.socket.send_to(request.as_bytes(), BOX)?;
    }
    let counted = |metrics: &sbc_tests::e2e::Metrics| {
        let labels = [("network", "left"), ("reason", "banned")];
        metrics.sum("sbc_sip_refused_total", &labels)
    };
    daemon.scrape_until("dropped", SOON, |metrics| counted(metrics) == 10.0)?;
    // The kernel's TCP does not hear of it; in user space a connection is closed without a word.
    if fast_path == FastPath::Native {
        let connected = lab.phone.enter(|| connect(BOX))?;
        let why = connected.err().map(|error| error.kind());
        assert_eq!(why, Some(std::io::ErrorKind::TimedOut));
    }
    // His shell is not his phone.
    let shell = lab.edge.enter(|| TcpListener::bind((EDGE_LEFT, 2222)))??;
    lab.phone.enter(|| connect(shell.local_addr()?))??;
    let mut other = Agent::open(&lab, OTHER)?;
    assert_eq!(other.ask("REGISTER", "")?.code(), Some(401));
    let listed = told(&lab, "bans")?;
    assert_eq!(listed.matches("10.71.1.2/31  ").count(), 2, "{listed}");

    let done = told(&lab, "unban 10.71.1.2/31")?;
    assert_eq!(
        done,
        "10.71.1.2/31 is served again on left.\n10.71.1.2/31 is served again on right.\n"
    );
    assert_eq!(stranger.ask("REGISTER", "")?.code(), Some(401));
    Ok(())
}
