//! What everyone's SIP port meets every day, over UDP. A ban needs proof that the source is not forged; who has none for us learns nothing.
//!
//! | tool | sends | learns | banned |
//! |---|---|---|---|
//! | svmap | one OPTIONS an address | nothing: no answer | no: nothing came back from there |
//! | svwar, OPTIONS | one OPTIONS | nothing: no answer, and gives up | no: the same |
//! | svwar, REGISTER | a REGISTER for a name that nobody has; with `--force` one for the first name, too | that every name is asked for a password: gives up | no: it answers no challenge |
//! | svwar, INVITE | the same with INVITE, and an ACK | the same | no: its ACK proves it, but one is not ten |
//! | who does not give up | INVITE and ACK for one name after the other | the same | yes: ten ACKs, twenty messages |
//! | svcrack | REGISTER with a password, of our nonce | that each is wrong | yes: ten guesses, twenty messages |

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sbc::sip::{Message, Name, digest};
use sbc_tests::e2e::{Daemon, EDGE_LEFT, FastPath, Lab, Metrics, Need, PHONE, skipped};

use crate::support::start_on;

const BOX: SocketAddr = SocketAddr::new(IpAddr::V4(EDGE_LEFT), 5060);
const TOOLS: [Need; 5] = [
    Need::Namespaces,
    Need::Program("ethtool"),
    Need::Program("svmap"),
    Need::Program("svwar"),
    Need::Program("svcrack"),
];
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 71, 1, 3);
/// A password that whoever counts to it finds.
const PASSWORD: &str = "1234";
const SOON: Duration = Duration::from_secs(5);

fn start(lab: &Lab) -> Result<Daemon<'_>> {
    lab.phone.ip(&format!("addr add {OTHER}/24 dev eth0"))?;
    let state = lab.scratch.path().join("state");
    let (state, fast_path) = (state.display(), FastPath::Native.word());
    start_on(
        lab,
        &format!(
            "[sbc]\nname = \"pbx\"\nstate_dir = \"{state}\"\nadmin = \"127.0.0.1:9960\"\n\
             [network.left]\naddress = [\"{EDGE_LEFT}\"]\nfast_path = \"{fast_path}\"\n\
             [phone.6001]\npassword = \"{PASSWORD}\"\n[phone.6002]\npassword = \"{PASSWORD}\"\n\
             [[route]]\nfrom = \"phone:*\"\nto = \"phone:{{number}}\"\n"
        ),
    )
}

/// Runs one of the tools to its end at the phones' host; gives what it says.
fn attack(lab: &Lab, line: &str) -> Result<String> {
    let mut words = line.split_whitespace();
    let program = words.next().context("no tool")?;
    let output = lab
        .phone
        .command(program)
        .args(["-P", "5099"])
        .args(words)
        .env("HOME", lab.scratch.path())
        .current_dir(lab.scratch.path())
        .stdin(std::process::Stdio::null())
        .output()?;
    let said = [output.stdout, output.stderr].map(|s| String::from_utf8_lossy(&s).into_owned());
    let said = said.concat();
    println!("{line}:\n{said}");
    ensure!(!said.contains("Traceback"), "{line}: {said}");
    Ok(said)
}

fn refused(daemon: &Daemon<'_>, reason: &str) -> Result<f64> {
    let labels = [("network", "left"), ("reason", reason)];
    Ok(daemon.scrape()?.sum("sbc_sip_refused_total", &labels))
}

fn messages(daemon: &Daemon<'_>, direction: &str) -> Result<f64> {
    let labels = [("network", "left"), ("direction", direction)];
    Ok(daemon.scrape()?.sum("sbc_sip_messages_total", &labels))
}

#[test]
fn svmap_finds_nothing() -> Result<()> {
    if skipped("svmap", &TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let daemon = start(&lab)?;
    let said = attack(&lab, &format!("svmap {EDGE_LEFT}"))?;
    ensure!(!said.contains("5060"), "{said}");
    ensure!(refused(&daemon, "stranger")? >= 1.0);
    assert_eq!(messages(&daemon, "out")?, 0.0);
    Ok(())
}

#[test]
fn svwar_finds_nothing() -> Result<()> {
    if skipped("svwar", &TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let daemon = start(&lab)?;
    for method in ["REGISTER", "INVITE", "OPTIONS"] {
        for force in ["", "--force"] {
            let before = messages(&daemon, "in")?;
            let line = format!("svwar {force} -m {method} -e 6000-6010 {EDGE_LEFT}");
            let said = attack(&lab, &line)?;
            ensure!(!said.contains("6001"), "{said}");
            let sent = messages(&daemon, "in")? - before;
            ensure!(sent <= 20.0, "{line}: {sent} messages before it gave up");
        }
    }
    // It gave up before it had done ten times what would prove it.
    assert_eq!(daemon.scrape()?.sum("sbc_bans", &[]), 0.0);
    // Nothing that it asked has opened anything.
    let metrics = daemon.scrape()?;
    assert_eq!(metrics.sum("sbc_transactions", &[]), 0.0);
    assert_eq!(metrics.sum("sbc_calls_total", &[]), 0.0);
    Ok(())
}

#[test]
fn who_calls_one_name_after_the_other_is_banned_within_twenty_messages() -> Result<()> {
    if skipped("an enumeration by INVITE", &TOOLS[..2]) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let daemon = start(&lab)?;
    let mut scanner = Phone::open(&lab, PHONE)?;
    let mut challenges = Vec::new();
    for name in 5995..6005 {
        let challenge = scanner.call(&name.to_string())?;
        challenges.push((
            challenge.code(),
            challenge.values(Name::WwwAuthenticate).count(),
        ));
        scanner.acknowledge(&challenge)?;
    }
    // The accounts among them are as the others.
    let first = challenges.first().copied();
    ensure!(
        challenges.iter().all(|one| Some(*one) == first),
        "{challenges:?}"
    );
    assert_eq!(first.and_then(|(code, _)| code), Some(401));
    let is_banned = |metrics: &Metrics| metrics.sum("sbc_bans", &[]) == 1.0;
    daemon.scrape_until("a ban", SOON, is_banned)?;
    assert_eq!(messages(&daemon, "in")?, 20.0);
    // Nobody listens any more; a neighbour is nobody's.
    scanner
        .socket
        .set_read_timeout(Some(Duration::from_millis(200)))?;
    ensure!(scanner.call("6001").is_err());
    let mut phone = Phone::open(&lab, OTHER)?;
    // However often a phone is asked for its password: it has it.
    for _ in 0..15 {
        phone.register("6001")?;
    }
    assert_eq!(daemon.scrape()?.sum("sbc_bans", &[]), 1.0);
    Ok(())
}

#[test]
fn svcrack_is_banned_within_twenty_packets() -> Result<()> {
    if skipped("svcrack", &TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let daemon = start(&lab)?;
    let said = attack(&lab, &crack())?;
    ensure!(!said.contains(&format!("| {PASSWORD}")), "{said}");
    let taken_in = messages(&daemon, "in")?;
    ensure!(taken_in <= 20.0, "{taken_in} messages");
    assert_eq!(daemon.scrape()?.sum("sbc_bans", &[]), 1.0);
    ensure!(refused(&daemon, "banned")? > 0.0);
    // Its neighbour is nobody's.
    Phone::open(&lab, OTHER)?.register("6001")
}

#[test]
fn svcrack_beside_a_registered_phone_finds_nothing_and_the_phone_stays() -> Result<()> {
    if skipped("svcrack behind a phone's address", &TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let daemon = start(&lab)?;
    let mut phone = Phone::open(&lab, PHONE)?;
    phone.register("6002")?;
    let said = attack(&lab, &crack())?;
    ensure!(!said.contains(&format!("| {PASSWORD}")), "{said}");
    assert_eq!(daemon.scrape()?.sum("sbc_bans", &[]), 0.0);
    let guesses = refused(&daemon, "credentials")?;
    assert_eq!(guesses, 10.0);
    ensure!(refused(&daemon, "throttled")? > 0.0);
    phone.register("6002")
}

fn crack() -> String {
    format!("svcrack -u 6001 -r 1000-2000 {EDGE_LEFT}")
}

/// A phone that registers.
struct Phone {
    socket: UdpSocket,
    sent: u32,
}

impl Phone {
    fn open(lab: &Lab, address: Ipv4Addr) -> Result<Phone> {
        let socket = lab.phone.enter(|| UdpSocket::bind((address, 5060)))??;
        socket.set_read_timeout(Some(SOON))?;
        Ok(Phone { socket, sent: 0 })
    }

    fn ask(&mut self, user: &str, more: &str) -> Result<Message> {
        self.sent += 1;
        let (local, sent) = (self.socket.local_addr()?, self.sent);
        let request = format!(
            "REGISTER sip:{EDGE_LEFT} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{sent};rport\r\n\
             From: <sip:{user}@{EDGE_LEFT}>;tag=a\r\nTo: <sip:{user}@{EDGE_LEFT}>\r\nCall-ID: {local}\r\n\
             CSeq: {sent} REGISTER\r\nMax-Forwards: 70\r\nContact: <sip:{user}@{local}>\r\n{more}Content-Length: 0\r\n\r\n"
        );
        self.socket.send_to(request.as_bytes(), BOX)?;
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).context("no answer")?;
        let answer = buffer[..length].to_vec();
        Ok(Message::parse(answer.into(), &Default::default())?)
    }

    /// INVITE in somebody's name, without a password.
    fn call(&mut self, user: &str) -> Result<Message> {
        self.sent += 1;
        self.send("INVITE", user, &format!("<sip:{user}@{EDGE_LEFT}>"))?;
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).context("no answer")?;
        let answer = buffer[..length].to_vec();
        Ok(Message::parse(answer.into(), &Default::default())?)
    }

    fn acknowledge(&mut self, answer: &Message) -> Result<()> {
        let to = answer.header(Name::To).context("no To")?;
        let user = to.split(['<', ':', '@']).nth(2).unwrap_or_default();
        self.send("ACK", user, to)
    }

    fn send(&self, method: &str, user: &str, to: &str) -> Result<()> {
        let (local, sent) = (self.socket.local_addr()?, self.sent);
        let request = format!(
            "{method} sip:{user}@{EDGE_LEFT} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKc{sent};rport\r\n\
             From: <sip:{user}@{EDGE_LEFT}>;tag=a\r\nTo: {to}\r\nCall-ID: {sent}-{local}\r\n\
             CSeq: {sent} {method}\r\nMax-Forwards: 70\r\nContact: <sip:{user}@{local}>\r\nContent-Length: 0\r\n\r\n"
        );
        self.socket.send_to(request.as_bytes(), BOX)?;
        Ok(())
    }

    fn register(&mut self, user: &str) -> Result<()> {
        let challenge = self.ask(user, "")?;
        let offer = challenge.header(Name::WwwAuthenticate);
        let offer = offer.with_context(|| format!("no challenge: {challenge:?}"))?;
        let uri = format!("sip:{EDGE_LEFT}");
        let value = digest::answer(offer, user, PASSWORD, "REGISTER", &uri, "cnonce")?;
        let ok = self.ask(user, &format!("Authorization: {value}\r\n"))?;
        ensure!(ok.code() == Some(200), "{ok:?}");
        Ok(())
    }
}
