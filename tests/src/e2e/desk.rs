//! A desk phone of plain text, by UDP, which does what the phones of Debian do not: it answers by itself when a header asks for that, and tells
//! those who watch it of its calls (RFC 4235).

use std::collections::HashSet;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sbc::sip::digest;

use super::background::{Background, LOOK};
use super::lab::Namespace;
use super::plain;
use super::wire::Sip;

const PATIENCE: Duration = Duration::from_secs(60);
/// Its media port is so many above that of SIP.
const MEDIA: u16 = 1_000;
/// What it looks for in an INVITE.
const BY_ITSELF: &str = "info=alert-autoanswer";

/// A phone: it does what it is told, when it is told, and one thing by itself: it sends back what it hears.
#[derive(Debug)]
pub struct Desk {
    user: &'static str,
    password: String,
    sbc: SocketAddrV4,
    at: SocketAddr,
    socket: UdpSocket,
    /// What came and was not asked for yet.
    inbox: Vec<Sip>,
    /// All that ever came: what is said twice is heard once.
    heard: HashSet<String>,
    sequence: u32,
    _echo: Background,
}

impl Desk {
    /// At that address, for that account of the box.
    ///
    /// # Errors
    /// Somebody has one of its ports.
    pub fn open(
        host: &Namespace,
        at: SocketAddrV4,
        sbc: SocketAddrV4,
        user: &'static str,
        password: &str,
    ) -> Result<Desk> {
        let bind = |port| -> Result<UdpSocket> {
            let at = SocketAddrV4::new(*at.ip(), port);
            let socket = host.enter(|| UdpSocket::bind(at))?;
            let socket = socket.with_context(|| format!("cannot bind {at}"))?;
            socket.set_read_timeout(Some(LOOK))?;
            Ok(socket)
        };
        Ok(Desk {
            user,
            password: password.to_owned(),
            sbc,
            at: at.into(),
            socket: bind(at.port())?,
            inbox: Vec::new(),
            heard: HashSet::new(),
            sequence: 0,
            _echo: echo(bind(at.port() + MEDIA)?),
        })
    }

    /// Registers for an hour.
    ///
    /// # Errors
    /// It is not let in.
    pub fn register(&mut self) -> Result<()> {
        let (sbc, user) = (self.sbc, self.user);
        let to = format!("<sip:{user}@{}>", sbc.ip());
        self.prove(
            "REGISTER",
            &format!("sip:{}", sbc.ip()),
            &to,
            "Expires: 3600\r\n",
        )?;
        self.wait_for("200 to REGISTER", |sip| sip.answers("REGISTER", 200))
            .map(drop)
    }

    /// Asks to be told of the calls of another phone, and shows who asks. Whether it is let is for the other phone to say.
    ///
    /// # Errors
    /// The box asks for no password.
    pub fn watch(&mut self, user: &str) -> Result<()> {
        let uri = format!("sip:{user}@{}", self.sbc.ip());
        let headers = "Event: dialog\r\nAccept: application/dialog-info+xml\r\nExpires: 600\r\n";
        self.prove("SUBSCRIBE", &uri, &format!("<{uri}>"), headers)
    }

    /// Tells whoever sent `subscribe`: a call is in that state (RFC 4235 4.1.2), none where it is empty.
    ///
    /// # Errors
    /// The subscription has no Contact.
    pub fn tell(&mut self, subscribe: &Sip, call: Option<&Sip>, state: &str) -> Result<()> {
        let contact = subscribe.header("Contact").context("no Contact")?;
        let target = contact.trim_start_matches('<').split('>').next();
        let target = target.unwrap_or_default().to_owned();
        let header = |name| subscribe.header(name).unwrap_or_default();
        let [from, to, id] = ["To", "From", "Call-ID"].map(|name| header(name).to_owned());
        self.sequence += 1;
        let (sequence, entity) = (self.sequence, format!("sip:{}@{}", self.user, self.at));
        let dialog = call.map_or(String::new(), |invite| {
            let id = invite.header("Call-ID").unwrap_or_default();
            let tag = invite.header("From").and_then(|from| from.split(";tag=").nth(1));
            format!(
                "<dialog id=\"1\" call-id=\"{id}\" local-tag=\"callee\" remote-tag=\"{}\" direction=\"recipient\"><state>{state}</state></dialog>",
                tag.unwrap_or_default()
            )
        });
        let body = format!(
            "<?xml version=\"1.0\"?>\n<dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"{sequence}\" state=\"full\" \
             entity=\"{entity}\">{dialog}</dialog-info>\n"
        );
        let (at, user) = (self.at, self.user);
        let tag = if from.contains(";tag=") {
            ""
        } else {
            ";tag=callee"
        };
        self.send(&format!(
            "NOTIFY {target} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{user}{sequence};rport\r\nMax-Forwards: 70\r\n\
             From: {from}{tag}\r\nTo: {to}\r\nCall-ID: {id}\r\nCSeq: {sequence} NOTIFY\r\nContact: <sip:{user}@{at}>\r\n\
             Event: dialog\r\nSubscription-State: active;expires=600\r\nContent-Type: application/dialog-info+xml\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// Answers a request. `body` is there for a 200 to INVITE: see [`Desk::takes`].
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn reply(&self, request: &Sip, status: &str) -> Result<()> {
        // A subscription's 200 says for how long.
        let contact = format!("<sip:{}@{}>\r\nExpires: 600", self.user, self.at);
        self.send(&plain::answer(request.text(), status, &contact, ""))
    }

    /// Takes the call, and waits until that is known.
    ///
    /// # Errors
    /// No ACK comes.
    pub fn takes(&mut self, invite: &Sip) -> Result<()> {
        let media = SocketAddr::new(self.at.ip(), self.at.port() + MEDIA);
        let answer = plain::ok(invite.text(), self.at, &plain::sdp(media));
        self.send(&answer)?;
        self.wait_for("ACK", |sip| sip.is("ACK")).map(drop)
    }

    /// Waits for a call. If its Alert-Info asks for that it is taken at once, else it rings. Returns the INVITE, and whether it was taken.
    ///
    /// # Errors
    /// None comes.
    pub fn is_called(&mut self) -> Result<(Sip, bool)> {
        let invite = self.wait_for("INVITE", |sip| sip.is("INVITE"))?;
        let alert = invite.header("Alert-Info").unwrap_or_default();
        let by_itself = alert.contains(BY_ITSELF);
        match by_itself {
            true => self.takes(&invite)?,
            false => self.reply(&invite, "180 Ringing")?,
        }
        Ok((invite, by_itself))
    }

    /// Waits for the BYE of a call and answers it.
    ///
    /// # Errors
    /// None comes.
    pub fn is_hung_up(&mut self) -> Result<()> {
        let bye = self.wait_for("BYE", |sip| sip.is("BYE"))?;
        self.reply(&bye, "200 OK")
    }

    /// Waits for a message that `holds`, among all that have not been waited for; `what` is how the error calls it.
    ///
    /// # Errors
    /// None comes.
    pub fn wait_for(&mut self, what: &str, holds: impl Fn(&Sip) -> bool) -> Result<Sip> {
        let end = Instant::now() + PATIENCE;
        let mut bytes = [0; 8_192];
        loop {
            if let Some(at) = self.inbox.iter().position(&holds) {
                return Ok(self.inbox.remove(at));
            }
            ensure!(
                Instant::now() < end,
                "{} got no {what}, but {:#?}",
                self.user,
                self.inbox
            );
            if let Ok(length) = self.socket.recv(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..length]);
                if self.heard.insert(text.to_string()) {
                    self.inbox.push(Sip::new(text));
                }
            }
        }
    }

    /// Sends a request outside of calls, and again with the password that is asked for.
    fn prove(&mut self, method: &str, uri: &str, to: &str, headers: &str) -> Result<()> {
        let (at, user, sbc) = (self.at, self.user, self.sbc);
        let mut proof = String::new();
        for turn in 0..2 {
            self.sequence += 1;
            let sequence = self.sequence;
            self.send(&format!(
                "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{user}{sequence};rport\r\nMax-Forwards: 70\r\n\
                 From: <sip:{user}@{}>;tag={user}\r\nTo: {to}\r\nCall-ID: {method}-{at}\r\nCSeq: {sequence} {method}\r\n\
                 Contact: <sip:{user}@{at}>\r\n{headers}{proof}Content-Length: 0\r\n\r\n",
                sbc.ip()
            ))?;
            if turn == 1 {
                break;
            }
            let asked = self.wait_for("challenge", |sip| {
                sip.answers(method, 401) || sip.answers(method, 407)
            })?;
            let (name, challenge) = match asked.header("WWW-Authenticate") {
                Some(challenge) => ("Authorization", challenge),
                None => {
                    let challenge = asked.header("Proxy-Authenticate");
                    ("Proxy-Authorization", challenge.context("no challenge")?)
                }
            };
            let value = digest::answer(challenge, user, &self.password, method, uri, "cnonce")?;
            proof = format!("{name}: {value}\r\n");
        }
        Ok(())
    }

    fn send(&self, text: &str) -> Result<()> {
        self.socket.send_to(text.as_bytes(), self.sbc)?;
        Ok(())
    }
}

/// Sends back what comes, until it is dropped.
fn echo(socket: UdpSocket) -> Background {
    let mut bytes = [0; 2_048];
    Background::run(move || {
        if let Ok((length, from)) = socket.recv_from(&mut bytes) {
            // Who does not hear it says so.
            let _ = socket.send_to(&bytes[..length], from);
        }
    })
}
