//! A caller and a callee of plain text on one thread: calls at a steady pace, held or hung up at once, each set-up timed.

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use sbc_tests::e2e::{CARRIER, PHONE};

use crate::between::SIP;
use crate::media_lab::{MEDIA_PORT, MediaLab, at, socket};

/// Of the caller: that of sipp's is [`SIP`].
const CALLER: u16 = 5070;
/// Of who asks whether someone is there.
const ASKING: u16 = 5071;
/// What has no answer after so long is sent again (RFC 3261, T1).
const AGAIN: Duration = Duration::from_millis(500);
/// Who is called.
const NUMBER: &str = "15551234567";
/// More than any message here has.
const DATAGRAM: usize = 4096;
/// How long nothing at all may happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// Calls, and how many are begun in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calls {
    /// In all.
    pub count: u32,
    /// In a second.
    pub rate: u32,
}

/// Both ends, and the calls between them.
#[derive(Debug)]
pub struct Agent {
    caller: UdpSocket,
    callee: UdpSocket,
    to: SocketAddr,
    ready: Epoll,
    /// By Call-ID, those that have to be answered.
    open: HashMap<String, Open>,
    /// Calls so far.
    begun: u32,
    /// What the numbers begin with that are called, each once; one and the same for all calls where there is none.
    prefix: Option<&'static str>,
    /// Where caller and callee were told to send their media, by such a number.
    media: BTreeMap<String, [Option<SocketAddr>; 2]>,
}

/// What has no final answer yet.
#[derive(Debug)]
struct Open {
    sent: Instant,
    again: Instant,
    request: String,
}

impl Agent {
    /// A caller at the phone's host that sends to `to`, a callee at the carrier's.
    ///
    /// # Errors
    /// A socket cannot be had.
    pub fn new(lab: &MediaLab, to: SocketAddrV4) -> Result<Agent> {
        let caller = socket(&lab.lab.phone, at(PHONE, CALLER))?;
        let callee = socket(&lab.lab.carrier, at(CARRIER, SIP))?;
        Agent::of(caller, callee, to.into())
    }

    fn of(caller: UdpSocket, callee: UdpSocket, to: SocketAddr) -> Result<Agent> {
        let ready = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        for socket in [&caller, &callee] {
            socket.set_nonblocking(true)?;
            ready.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        }
        Ok(Agent {
            caller,
            callee,
            to,
            ready,
            open: HashMap::new(),
            begun: 0,
            prefix: None,
            media: BTreeMap::new(),
        })
    }

    /// From now on another number for each call, which begins so; who was called with one before is forgotten.
    pub fn dial(&mut self, prefix: Option<&'static str>) {
        self.prefix = prefix;
        self.media.clear();
    }

    /// Where the caller of each call to a number of its own sends its media, and where the callee does.
    ///
    /// # Errors
    /// One of them was not told.
    pub fn media(&self) -> Result<[Vec<SocketAddr>; 2]> {
        let mut targets = [Vec::new(), Vec::new()];
        for (number, told) in &self.media {
            for (targets, told) in targets.iter_mut().zip(told) {
                targets.push(told.with_context(|| format!("{number} has no media"))?);
            }
        }
        Ok(targets)
    }

    /// Begins calls and leaves them up.
    ///
    /// # Errors
    /// One is refused, or nothing happens any more.
    pub fn hold(&mut self, calls: Calls) -> Result<()> {
        self.place(calls, false).map(drop)
    }

    /// Begins calls and hangs each up once it is answered. Returns how long each INVITE took to its 200, the least first.
    ///
    /// # Errors
    /// As [`Agent::hold`].
    pub fn call(&mut self, calls: Calls) -> Result<Vec<Duration>> {
        let mut taken = self.place(calls, true)?;
        taken.sort_unstable();
        Ok(taken)
    }

    /// Plays the callee for so long and nothing else.
    ///
    /// # Errors
    /// A socket fails.
    pub fn idle(&mut self, lasting: Duration) -> Result<()> {
        let end = Instant::now() + lasting;
        while Instant::now() < end {
            self.wait(end)?;
            self.answer()?;
        }
        Ok(())
    }

    fn place(&mut self, calls: Calls, hang_up: bool) -> Result<Vec<Duration>> {
        let (began, mut begun, mut done) = (Instant::now(), 0, 0);
        let mut taken = Vec::with_capacity(calls.count as usize);
        let mut heard = began;
        let mut bytes = [0; DATAGRAM];
        while done < calls.count {
            let due = |number| began + Duration::from_secs(1) * number / calls.rate.max(1);
            while begun < calls.count && due(begun) <= Instant::now() {
                self.invite()?;
                begun += 1;
            }
            let next = if begun < calls.count {
                due(begun)
            } else {
                heard + AGAIN
            };
            self.wait(next)?;
            self.answer()?;
            while let Some((length, _)) = receive(&self.caller, &mut bytes)? {
                heard = Instant::now();
                let text = String::from_utf8_lossy(&bytes[..length]);
                match self.hear(&text, heard, hang_up)? {
                    Heard::Nothing => {}
                    Heard::Answered(setup) => {
                        taken.push(setup);
                        done += u32::from(!hang_up);
                    }
                    Heard::Ended => done += 1,
                }
            }
            ensure!(
                heard.elapsed() < PATIENCE,
                "no answer to {} requests",
                self.open.len()
            );
            self.send_again()?;
        }
        Ok(taken)
    }

    fn wait(&self, until: Instant) -> Result<()> {
        let left = until.saturating_duration_since(Instant::now());
        let mut events = [EpollEvent::empty(); 2];
        // Whole milliseconds, rounded up: what is due is then sent at once.
        let timeout = left.as_micros().div_ceil(1000).min(100) as u16;
        match self.ready.wait(&mut events, EpollTimeout::from(timeout)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn invite(&mut self) -> Result<()> {
        self.begun += 1;
        let (from, to) = (self.caller.local_addr()?, self.to);
        let (number, process) = (self.begun, std::process::id());
        let dialled = match self.prefix {
            Some(prefix) => format!("{prefix}{number:06}"),
            None => NUMBER.to_owned(),
        };
        let call = format!("{number}-{process}-{}", from.ip());
        let body = sdp(SocketAddr::new(from.ip(), MEDIA_PORT));
        let request = format!(
            "INVITE sip:{dialled}@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{number}i\r\n\
             Max-Forwards: 70\r\nFrom: <sip:load@{from}>;tag=c{number}\r\nTo: <sip:{dialled}@{to}>\r\n\
             Call-ID: {call}\r\nCSeq: 1 INVITE\r\nContact: <sip:load@{from}>\r\n\
             Allow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.ask(call, request)
    }

    fn ask(&mut self, call: String, request: String) -> Result<()> {
        let sent = Instant::now();
        self.caller.send_to(request.as_bytes(), self.to)?;
        let again = sent + AGAIN;
        let open = Open {
            sent,
            again,
            request,
        };
        self.open.insert(call, open);
        Ok(())
    }

    fn send_again(&mut self) -> Result<()> {
        let now = Instant::now();
        for open in self.open.values_mut() {
            if open.again <= now {
                open.again = now + AGAIN;
                self.caller.send_to(open.request.as_bytes(), self.to)?;
            }
        }
        Ok(())
    }

    /// The caller hears an answer.
    fn hear(&mut self, text: &str, now: Instant, hang_up: bool) -> Result<Heard> {
        let call = field(text, "Call-ID").context("no Call-ID")?;
        let status = text.split(' ').nth(1).unwrap_or_default();
        if status.starts_with('1') {
            return Ok(Heard::Nothing);
        }
        let cseq = field(text, "CSeq").unwrap_or_default();
        let method = cseq.split(' ').nth(1).unwrap_or_default();
        let open = self.open.get(call);
        // An answer that came twice is to nothing.
        let Some(sent) = open
            .filter(|open| open.request.starts_with(method))
            .map(|open| open.sent)
        else {
            return Ok(Heard::Nothing);
        };
        ensure!(status == "200", "{method} is answered:\n{text}");
        self.open.remove(call);
        if method != "INVITE" {
            return Ok(Heard::Ended);
        }
        self.learn(text, 0);
        let ack = self.within(text, 1, "ACK")?;
        self.caller.send_to(ack.as_bytes(), self.to)?;
        if hang_up {
            let bye = self.within(text, 2, "BYE")?;
            self.ask(call.to_owned(), bye)?;
        }
        Ok(Heard::Answered(now - sent))
    }

    /// A request in the dialog that a 200 has made.
    fn within(&self, answer: &str, sequence: u32, method: &str) -> Result<String> {
        let contact = field(answer, "Contact").context("a 200 without Contact")?;
        let target = contact.trim_start_matches('<').split('>').next();
        let target = target.unwrap_or_default();
        let head = |name| field(answer, name).with_context(|| format!("a 200 without {name}"));
        let call = head("Call-ID")?;
        let mut routes: Vec<&str> = fields(answer, "Record-Route")
            .flat_map(|value| value.split(','))
            .collect();
        routes.reverse();
        let routes: String = routes
            .iter()
            .map(|route| format!("Route: {}\r\n", route.trim()))
            .collect();
        Ok(format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{call}{method}\r\n{routes}\
             Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {call}\r\nCSeq: {sequence} {method}\r\n\
             Content-Length: 0\r\n\r\n",
            self.caller.local_addr()?,
            head("From")?,
            head("To")?
        ))
    }

    /// What an offer or an answer tells the caller (0) or the callee (1).
    fn learn(&mut self, text: &str, who: usize) {
        let Some(prefix) = self.prefix else { return };
        let to = field(text, "To").and_then(|to| to.split_once("sip:")?.1.split_once('@'));
        if let Some((number, _)) = to.filter(|(number, _)| number.starts_with(prefix)) {
            self.media.entry(number.to_owned()).or_default()[who] = media_of(text);
        }
    }

    /// The callee answers all that has come.
    fn answer(&mut self) -> Result<()> {
        let here = self.callee.local_addr()?;
        let mut bytes = [0; DATAGRAM];
        while let Some((length, from)) = receive(&self.callee, &mut bytes)? {
            let text = String::from_utf8_lossy(&bytes[..length]);
            let send = |status, body: &str| -> Result<()> {
                let answer = response(&text, status, here, body);
                self.callee.send_to(answer.as_bytes(), from)?;
                Ok(())
            };
            match text.split(' ').next() {
                Some("INVITE") => {
                    send("180 Ringing", "")?;
                    send("200 OK", &sdp(SocketAddr::new(here.ip(), MEDIA_PORT)))?;
                    self.learn(&text, 1);
                }
                Some("ACK") => {}
                _ => send("200 OK", "")?,
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
enum Heard {
    Nothing,
    /// How long it took.
    Answered(Duration),
    Ended,
}

/// Whether somebody who speaks SIP answers the phone's host within a tenth of a second.
///
/// # Errors
/// There is no socket to ask from.
pub fn is_answered(lab: &MediaLab, to: SocketAddrV4) -> Result<bool> {
    let from = at(PHONE, ASKING);
    let socket = socket(&lab.lab.phone, from)?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let text = format!(
        "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKthere\r\nMax-Forwards: 70\r\n\
         From: <sip:there@{from}>;tag=there\r\nTo: <sip:{to}>\r\nCall-ID: there@{from}\r\nCSeq: 1 OPTIONS\r\n\
         Content-Length: 0\r\n\r\n"
    );
    // Refused at once while nobody is there.
    let _ = socket.send_to(text.as_bytes(), SocketAddr::from(to));
    Ok(socket.recv(&mut [0; 2048]).is_ok())
}

pub(crate) fn response(request: &str, status: &str, contact: SocketAddr, body: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    let head = request.split("\r\n\r\n").next().unwrap_or_default();
    for line in head.lines().skip(1) {
        let tag = match line.split(':').next().unwrap_or_default() {
            "To" if !line.contains("tag=") => ";tag=callee",
            "Via" | "Record-Route" | "From" | "To" | "Call-ID" | "CSeq" => "",
            _ => continue,
        };
        text += line;
        text += tag;
        text += "\r\n";
    }
    let kind = match body {
        "" => "",
        _ => "Content-Type: application/sdp\r\n",
    };
    let length = body.len();
    text + &format!(
        "Contact: <sip:callee@{contact}>\r\n{kind}Content-Length: {length}\r\n\r\n{body}"
    )
}

pub(crate) fn sdp(media: SocketAddr) -> String {
    let (ip, port) = (media.ip(), media.port());
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    )
}

/// Where media is to go, by a message's SDP.
fn media_of(message: &str) -> Option<SocketAddr> {
    let line = |start| message.lines().find_map(|line| line.strip_prefix(start));
    let ip = line("c=IN IP4 ")?.trim().parse().ok()?;
    let port = line("m=audio ")?.split(' ').next()?.parse().ok()?;
    Some(SocketAddr::new(ip, port))
}

pub(crate) fn field<'a>(message: &'a str, name: &'a str) -> Option<&'a str> {
    fields(message, name).next()
}

/// Every value of a header, by its full name.
fn fields<'a>(message: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let value = move |line: &'a str| line.strip_prefix(name)?.strip_prefix(": ");
    message.lines().filter_map(value)
}

fn receive(socket: &UdpSocket, bytes: &mut [u8]) -> Result<Option<(usize, SocketAddr)>> {
    match socket.recv_from(bytes) {
        Ok(received) => Ok(Some(received)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        // What ICMP has said about an earlier datagram.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Caller and callee with nobody between.
    fn agent() -> Agent {
        let [caller, callee] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let to = callee.local_addr().unwrap();
        Agent::of(caller, callee, to).unwrap()
    }

    #[test]
    fn calls_are_answered_timed_and_ended() {
        let mut agent = agent();
        let calls = Calls {
            count: 20,
            rate: 1_000,
        };
        let taken = agent.call(calls).unwrap();
        assert_eq!(taken.len(), 20);
        assert!(taken.is_sorted() && taken[0] > Duration::ZERO);
        agent.hold(calls).unwrap();
        assert_eq!(agent.begun, 40);
        assert!(agent.open.is_empty());
    }

    #[test]
    fn who_calls_a_number_of_its_own_tells_where_media_goes() {
        let mut agent = agent();
        agent.dial(Some("1999"));
        agent
            .hold(Calls {
                count: 3,
                rate: 1_000,
            })
            .unwrap();
        // With nobody between the callee hears the caller's offer, and the caller the callee's answer.
        let there = "127.0.0.1:4000".parse().unwrap();
        assert_eq!(agent.media().unwrap(), [vec![there; 3], vec![there; 3]]);
        agent.dial(None);
        assert!(agent.media().unwrap()[0].is_empty());
    }

    #[test]
    fn requests_in_a_call_go_the_way_that_the_answer_came() {
        let agent = agent();
        let answer = "SIP/2.0 200 OK\r\nRecord-Route: <sip:b;lr>, <sip:c;lr>\r\nRecord-Route: <sip:a;lr>\r\nFrom: <sip:1>;tag=1\r\n\
                      To: <sip:2>;tag=2\r\nCall-ID: x\r\nContact: <sip:2@there>;q=1\r\n\r\n";
        let bye = agent.within(answer, 2, "BYE").unwrap();
        assert!(bye.starts_with("BYE sip:2@there SIP/2.0\r\n"), "{bye}");
        let routes: Vec<&str> = fields(&bye, "Route").collect();
        assert_eq!(routes, ["<sip:a;lr>", "<sip:c;lr>", "<sip:b;lr>"]);
    }
}
