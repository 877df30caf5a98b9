//! Phones that register: what each time costs whoever takes it, and what a registered phone takes.

use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sbc::config::{Config, NoSecrets};
use sbc::sip::digest::Asked;
use sbc_tests::e2e::{EDGE_LEFT, FastPath, PHONE};
use socket2::SockRef;

use crate::between::{AtWork, Between, SIP};
use crate::media_lab::MediaLab;

/// As both configs have it.
const REALM: &str = "pbx";
const PASSWORD: &str = "secret";
/// The number of the first phone.
const FIRST: usize = 100_000;
/// REGISTERs that wait for their answers.
const OPEN: usize = 64;
/// All phones have one socket.
const PORT: u16 = 5070;
const ROOM: usize = 8 << 20;
/// Without any answer for so long something is lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// A config with so many phones and nothing else.
#[must_use]
pub fn config(phones: usize, fast_path: FastPath, state_dir: &str) -> String {
    let mut text = format!(
        "[sbc]\nname = \"{REALM}\"\nstate_dir = \"{state_dir}\"\nadmin = \"127.0.0.1:9960\"\n\
         [network.left]\naddress = [\"{EDGE_LEFT}\"]\nsip = [\"udp:{SIP}\"]\nfast_path = \"{}\"\n\
         limits = {{ requests_per_second = 100000 }}\n",
        fast_path.word()
    );
    for number in FIRST..FIRST + phones {
        text += &format!("[phone.{number}]\npassword = \"{PASSWORD}\"\n");
    }
    text
}

/// Seconds that it takes to read a config of so many phones.
///
/// # Errors
/// It is not valid.
pub fn reading(phones: usize) -> Result<f64> {
    let text = config(phones, FastPath::Off, "/tmp");
    let began = Instant::now();
    let config = Config::parse(&text, "phones.toml", &NoSecrets)?;
    let taken = began.elapsed();
    ensure!(config.phones.len() == phones);
    Ok(taken.as_secs_f64())
}

/// CPU seconds per 10,000 registrations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// REGISTER, 401, REGISTER, 200.
    pub challenged: f64,
    /// REGISTER with the nonce of the time before, 200.
    pub refreshed: f64,
}

/// So many phones register, and then refresh, at that rate.
///
/// # Errors
/// It cannot be started, or does not answer.
pub fn cost(lab: &MediaLab, between: Between, phones: usize, rate: u32) -> Result<Cost> {
    let mut at_work = between.register_at(lab, phones)?;
    let mut agent = Agent::new(lab, phones)?;
    // Buffers grow, and each is in the table afterwards.
    agent.register(0..phones, rate, true)?;
    let mut of = |fresh| -> Result<f64> {
        let before = at_work.cpu_time()?;
        agent.register(0..phones, rate, fresh)?;
        let used = at_work.cpu_time()?.saturating_sub(before);
        Ok(used.as_secs_f64() * 1e4 / phones as f64)
    };
    Ok(Cost {
        challenged: of(true)?,
        refreshed: of(false)?,
    })
}

/// What very many phones cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crowd {
    /// Bytes that each registered one takes beside its lines of the config.
    pub memory: f64,
    /// How much of one processor it takes that each refreshes in turn.
    pub share: f64,
}

/// So many phones register, and then refresh at that rate for so long.
///
/// # Errors
/// It cannot be started, or does not answer.
pub fn crowd(
    lab: &MediaLab,
    phones: usize,
    [fill, rate]: [u32; 2],
    lasting: Duration,
) -> Result<Crowd> {
    let mut at_work = Between::Daemon.register_at(lab, phones)?;
    let mut agent = Agent::new(lab, phones)?;
    let before = at_work.memory()?;
    agent.register(0..phones, fill, true)?;
    let memory = settled(&mut at_work)?.saturating_sub(before) as f64 / phones as f64;
    let some = (f64::from(rate) * lasting.as_secs_f64()) as usize;
    let (began, used) = (Instant::now(), at_work.cpu_time()?);
    agent.register(0..some.min(phones), rate, false)?;
    let used = at_work.cpu_time()?.saturating_sub(used);
    Ok(Crowd {
        memory,
        share: used.as_secs_f64() / began.elapsed().as_secs_f64(),
    })
}

/// Once the last transactions are over: they are not the phones'.
fn settled(at_work: &mut AtWork<'_>) -> Result<u64> {
    let end = Instant::now() + Duration::from_secs(45);
    while at_work.daemon()?.scrape()?.sum("sbc_transactions", &[]) > 0.0 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(500));
    }
    at_work.memory()
}

/// All the phones.
struct Agent {
    socket: UdpSocket,
    local: SocketAddrV4,
    to: SocketAddr,
    phones: Vec<Phone>,
    branch: u64,
}

#[derive(Clone, Default)]
struct Phone {
    /// Of REGISTERs.
    cseq: u32,
    challenge: Option<String>,
    /// How often it was answered.
    count: u32,
}

impl Agent {
    /// One of them registers: from then on their address is known, and all are asked for their passwords at once.
    fn new(lab: &MediaLab, phones: usize) -> Result<Agent> {
        let local = SocketAddrV4::new(PHONE, PORT);
        let socket = lab.lab.phone.enter(|| UdpSocket::bind(local))??;
        SockRef::from(&socket).set_recv_buffer_size(ROOM)?;
        socket.set_read_timeout(Some(Duration::from_millis(1)))?;
        let mut agent = Agent {
            socket,
            local,
            to: SocketAddrV4::new(EDGE_LEFT, SIP).into(),
            phones: vec![Phone::default(); phones],
            branch: 0,
        };
        agent.register(0..1, 1000, true)?;
        Ok(agent)
    }

    /// These register once, so many a second. `fresh`: they wait to be asked for their passwords.
    fn register(&mut self, which: Range<usize>, rate: u32, fresh: bool) -> Result<()> {
        let all = which.len();
        let began = Instant::now();
        let (mut next, mut done, mut last) = (which.start, 0, Instant::now());
        while done < all {
            let due = (began.elapsed().as_secs_f64() * f64::from(rate)) as usize;
            while next < which.end && next - which.start < due && next - which.start - done < OPEN {
                if fresh {
                    self.phones[next].challenge = None;
                }
                self.send(next)?;
                next += 1;
            }
            let mut buffer = [0; 2048];
            let Ok(length) = self.socket.recv(&mut buffer) else {
                ensure!(
                    last.elapsed() < PATIENCE,
                    "no answer to {} of {all} REGISTERs",
                    next - which.start - done
                );
                continue;
            };
            last = Instant::now();
            done += usize::from(self.answered(&buffer[..length])?);
        }
        Ok(())
    }

    fn send(&mut self, index: usize) -> Result<()> {
        self.branch += 1;
        let (branch, local, to) = (self.branch, self.local, self.to.ip());
        let phone = &mut self.phones[index];
        phone.cseq += 1;
        let (user, cseq) = (FIRST + index, phone.cseq);
        let mut credentials = String::new();
        if let Some(challenge) = &phone.challenge {
            phone.count += 1;
            let asked = Asked::parse(challenge)?;
            let (name, uri) = (user.to_string(), format!("sip:{to}"));
            let who = [name.as_str(), PASSWORD];
            let value = asked.answer(who, ["REGISTER", &uri], "0a4f113b", phone.count);
            credentials = format!("Authorization: {value}\r\n");
        }
        let text = format!(
            "REGISTER sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{branch};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:{user}@{to}>;tag=8c1{user}\r\nTo: <sip:{user}@{to}>\r\nCall-ID: {user}@{PHONE}\r\n\
             CSeq: {cseq} REGISTER\r\nContact: <sip:{user}@{local}>;expires=600\r\nUser-Agent: a phone\r\n\
             Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, REFER, NOTIFY\r\n{credentials}Content-Length: 0\r\n\r\n"
        );
        self.socket.send_to(text.as_bytes(), self.to)?;
        Ok(())
    }

    /// Whether a phone is registered by it.
    fn answered(&mut self, bytes: &[u8]) -> Result<bool> {
        let text = std::str::from_utf8(bytes)?;
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::trim)
        };
        let user = value("Call-ID:").and_then(|id| id.split('@').next()?.parse::<usize>().ok());
        let index = user.and_then(|user| user.checked_sub(FIRST));
        let index = index.context("an answer to nobody")?;
        if text.starts_with("SIP/2.0 200") {
            return Ok(true);
        }
        let challenge = value("WWW-Authenticate:").filter(|_| text.starts_with("SIP/2.0 401"));
        let challenge = challenge.with_context(|| text.to_owned())?.to_owned();
        let phone = self.phones.get_mut(index).context("no such phone")?;
        phone.challenge = Some(challenge);
        phone.count = 0;
        self.send(index)?;
        Ok(false)
    }
}
