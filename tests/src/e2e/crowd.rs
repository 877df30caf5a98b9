//! Many calls that are up at once, between two trunks of plain text. Each has a number of its own; so many are begun or ended at a
//! time, and the next when one of them is done.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::lab::Namespace;
use super::plain;

/// Calls that are being begun or ended at once.
const WINDOW: usize = 16;
/// After so long without an answer everything that has none is sent again (RFC 3261, T1).
const AGAIN: Duration = Duration::from_millis(500);
/// How long nothing at all may happen.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often the callee looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// A party: where it is, its SIP address, where it wants the RTP of all of its calls.
#[derive(Clone, Copy, Debug)]
pub struct Party<'a> {
    /// Its host.
    pub host: &'a Namespace,
    /// Of its SIP.
    pub sip: SocketAddr,
    /// Of its media.
    pub media: SocketAddr,
}

/// Calls that are up, or have been.
#[derive(Debug)]
pub struct Crowd {
    caller: UdpSocket,
    sbc: SocketAddr,
    calls: BTreeMap<String, Dialog>,
    callee: Callee,
}

/// The caller's side of a call.
#[derive(Clone, Debug)]
struct Dialog {
    /// Where requests in it go.
    target: String,
    /// With the tag.
    to: String,
    /// Where the caller's media goes.
    media: SocketAddr,
}

impl Crowd {
    /// So many calls through the box at `sbc`, one after the other and some at once; returns when all of them are up on both sides.
    ///
    /// # Errors
    /// One is refused, or nothing happens any more.
    pub fn begin(
        caller: Party<'_>,
        callee: Party<'_>,
        sbc: SocketAddr,
        count: usize,
    ) -> Result<Crowd> {
        let mut crowd = Crowd {
            caller: caller.host.enter(|| UdpSocket::bind(caller.sip))??,
            sbc,
            calls: BTreeMap::new(),
            callee: Callee::start(callee)?,
        };
        let offer = plain::sdp(caller.media);
        let numbers: Vec<String> = (0..count).map(|n| format!("1555{n:07}")).collect();
        crowd.each(&numbers, "INVITE", &offer)?;
        crowd.callee.wait_until_up(count)?;
        Ok(crowd)
    }

    /// The numbers of all calls, and where caller and callee have to send their media.
    ///
    /// # Errors
    /// The callee has not heard of one.
    pub fn media(&self) -> Result<Vec<(String, [SocketAddr; 2])>> {
        let each = self.calls.iter().map(|(number, dialog)| {
            let far = self.callee.media.get(number).context("a call too many")?;
            Ok((number.clone(), [dialog.media, *far]))
        });
        each.collect()
    }

    /// The caller hangs up all of them.
    ///
    /// # Errors
    /// One BYE is not answered, or nothing happens any more.
    pub fn hang_up(&mut self) -> Result<()> {
        let numbers: Vec<String> = self.calls.keys().cloned().collect();
        self.each(&numbers, "BYE", "")
    }

    /// Sends a request for each number and takes the 200 to it.
    fn each(&mut self, numbers: &[String], method: &str, body: &str) -> Result<()> {
        let mut next = numbers.iter();
        let mut open = BTreeSet::new();
        let mut bytes = vec![0; 65_535];
        let mut end = Instant::now() + PATIENCE;
        self.caller.set_read_timeout(Some(AGAIN))?;
        loop {
            while open.len() < WINDOW
                && let Some(number) = next.next()
            {
                self.ask(number, method, body)?;
                open.insert(number.as_str());
            }
            if open.is_empty() {
                return Ok(());
            }
            let Some(text) = receive(&self.caller, &mut bytes)? else {
                ensure!(Instant::now() < end, "no answer to {method}: {open:?}");
                for number in &open {
                    self.ask(number, method, body)?;
                }
                continue;
            };
            if text.starts_with("SIP/2.0 1") || !text.contains(&format!(" {method}\r\n")) {
                continue;
            }
            let number = plain::field(&text, "Call-ID").context("no Call-ID")?;
            ensure!(text.starts_with("SIP/2.0 200 "), "{method}: {text}");
            if method == "INVITE" {
                let dialog = Dialog::of(&text)?;
                self.calls.insert(number.to_owned(), dialog);
                self.ask(number, "ACK", "")?;
            }
            if open.remove(number) {
                end = Instant::now() + PATIENCE;
            }
        }
    }

    fn ask(&self, number: &str, method: &str, body: &str) -> Result<()> {
        let (sbc, from) = (self.sbc, self.caller.local_addr()?);
        let (target, to) = match self.calls.get(number) {
            Some(dialog) => (dialog.target.clone(), dialog.to.clone()),
            None => (
                format!("sip:{number}@{sbc}"),
                format!("<sip:{number}@{sbc}>"),
            ),
        };
        let cseq = u8::from(method == "BYE") + 1;
        let text = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{number}{method}\r\nMax-Forwards: 70\r\n\
             From: <sip:1@{from}>;tag=caller\r\nTo: {to}\r\nCall-ID: {number}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:1@{from}>\r\n{}",
            plain::content(body)
        );
        self.caller.send_to(text.as_bytes(), sbc)?;
        Ok(())
    }
}

impl Dialog {
    fn of(answer: &str) -> Result<Dialog> {
        let contact = plain::field(answer, "Contact").context("a 200 without Contact")?;
        let target = contact.trim_start_matches('<').split('>').next();
        Ok(Dialog {
            target: target.unwrap_or_default().to_owned(),
            to: plain::field(answer, "To")
                .context("a 200 without To")?
                .to_owned(),
            media: plain::media_of(answer)?,
        })
    }
}

/// Answers every call, on a thread of its own.
#[derive(Debug)]
struct Callee {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    heard: Receiver<Result<Heard>>,
    /// Where its media of each number goes.
    media: BTreeMap<String, SocketAddr>,
}

/// What the callee was told for the first time.
#[derive(Debug)]
enum Heard {
    Invite(String, SocketAddr),
    Ack,
}

impl Callee {
    fn start(party: Party<'_>) -> Result<Callee> {
        let socket = party.host.enter(|| UdpSocket::bind(party.sip))??;
        socket.set_read_timeout(Some(LOOK))?;
        let over = Arc::new(AtomicBool::new(false));
        let (tell, heard) = channel();
        let thread = std::thread::spawn({
            let (over, answer) = (Arc::clone(&over), plain::sdp(party.media));
            move || {
                if let Err(error) = answer_all(&socket, &answer, &over, &tell) {
                    // Whoever could have heard it is gone.
                    let _ = tell.send(Err(error));
                }
            }
        });
        Ok(Callee {
            over,
            thread: Some(thread),
            heard,
            media: BTreeMap::new(),
        })
    }

    fn wait_until_up(&mut self, count: usize) -> Result<()> {
        let mut acknowledged = 0;
        while acknowledged < count {
            let heard = self.heard.recv_timeout(PATIENCE);
            match heard.context("a call is up on one side only")?? {
                Heard::Invite(number, media) => {
                    ensure!(self.media.insert(number, media).is_none(), "dialled twice");
                }
                Heard::Ack => acknowledged += 1,
            }
        }
        ensure!(self.media.len() == count, "{} calls", self.media.len());
        Ok(())
    }
}

impl Drop for Callee {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It does not panic; and if it did, nobody needs it any more.
            let _ = thread.join();
        }
    }
}

fn answer_all(
    socket: &UdpSocket,
    answer: &str,
    over: &AtomicBool,
    tell: &Sender<Result<Heard>>,
) -> Result<()> {
    let contact = socket.local_addr()?;
    let mut bytes = vec![0; 65_535];
    // By Call-ID: whether it is acknowledged.
    let mut calls: HashMap<String, bool> = HashMap::new();
    while !over.load(Ordering::Relaxed) {
        let Some((text, from)) = receive_from(socket, &mut bytes)? else {
            continue;
        };
        let call = plain::field(&text, "Call-ID").context("no Call-ID")?;
        let (method, rest) = text.split_once(' ').context("no message")?;
        let body = match method {
            "INVITE" => {
                if !calls.contains_key(call) {
                    calls.insert(call.to_owned(), false);
                    let number = rest.trim_start_matches("sip:").split('@').next();
                    let number = number.unwrap_or_default().to_owned();
                    tell.send(Ok(Heard::Invite(number, plain::media_of(&text)?)))?;
                }
                answer
            }
            "ACK" => {
                if calls.insert(call.to_owned(), true) == Some(false) {
                    tell.send(Ok(Heard::Ack))?;
                }
                continue;
            }
            "BYE" => "",
            _ => bail!("the callee does not know: {text}"),
        };
        socket.send_to(plain::ok(&text, contact, body).as_bytes(), from)?;
    }
    Ok(())
}

fn receive(socket: &UdpSocket, bytes: &mut [u8]) -> Result<Option<String>> {
    Ok(receive_from(socket, bytes)?.map(|(text, _)| text))
}

/// None where nothing came in time.
fn receive_from(socket: &UdpSocket, bytes: &mut [u8]) -> Result<Option<(String, SocketAddr)>> {
    match socket.recv_from(bytes) {
        Ok((length, from)) => Ok(Some((
            String::from_utf8_lossy(&bytes[..length]).into_owned(),
            from,
        ))),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}
