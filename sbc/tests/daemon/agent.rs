//! A SIP user agent of plain text, over UDP or TCP.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sbc::sip::stream::{Frame, Framer};
use sbc::sip::{Limits, Message, Name, digest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::PATIENCE;

static NEXT: AtomicU32 = AtomicU32::new(1);

/// Text that no other request has.
pub(crate) fn unique() -> String {
    format!("u{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) struct Agent {
    wire: Wire,
    /// What the box says again as it has not read our answer yet is passed over; not so what it says again as we do.
    heard: HashSet<Bytes>,
    sent: HashSet<Bytes>,
    pub(crate) local: SocketAddr,
    pub(crate) sbc: SocketAddr,
}

enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream, Framer),
}

/// A request in the making.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) uri: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
    pub(crate) more: String,
    pub(crate) body: String,
}

impl Agent {
    pub(crate) async fn udp(address: IpAddr, sbc: SocketAddr) -> Agent {
        let socket = UdpSocket::bind((address, 5060)).await.unwrap();
        let local = socket.local_addr().unwrap();
        Agent::at(Wire::Udp(socket), local, sbc)
    }

    pub(crate) async fn tcp(address: IpAddr, sbc: SocketAddr) -> Agent {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((address, 0).into()).unwrap();
        let stream = socket.connect(sbc).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let local = stream.local_addr().unwrap();
        Agent::at(
            Wire::Tcp(stream, Framer::new(Limits::default())),
            local,
            sbc,
        )
    }

    fn at(wire: Wire, local: SocketAddr, sbc: SocketAddr) -> Agent {
        Agent {
            wire,
            heard: HashSet::new(),
            sent: HashSet::new(),
            local,
            sbc,
        }
    }

    pub(crate) fn request(&self, method: &'static str, user: &str) -> Request {
        let sbc = self.sbc.ip();
        Request {
            method,
            uri: if user.is_empty() {
                format!("sip:{sbc}")
            } else {
                format!("sip:{user}@{sbc}")
            },
            from: format!("<sip:agent@{sbc}>;tag={}", unique()),
            to: if user.is_empty() {
                format!("<sip:{sbc}>")
            } else {
                format!("<sip:{user}@{sbc}>")
            },
            call_id: unique(),
            cseq: 1,
            more: String::new(),
            body: String::new(),
        }
    }

    /// The bytes of a request, with a Via of ours.
    pub(crate) fn text(&self, request: &Request) -> String {
        let Request {
            method,
            uri,
            from,
            to,
            call_id,
            cseq,
            more,
            body,
        } = request;
        let (local, branch) = (self.local, unique());
        let transport = match self.wire {
            Wire::Udp(_) => "UDP",
            Wire::Tcp(..) => "TCP",
        };
        let user = from.split(['@', ':']).nth(1).unwrap_or("agent");
        let content = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let length = body.len();
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{transport} {local};branch=z9hG4bK{branch};rport\r\nFrom: {from}\r\n\
             To: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n\
             Contact: <sip:{user}@{local}>\r\n{more}{content}Content-Length: {length}\r\n\r\n{body}"
        )
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        if !self.sent.insert(Bytes::copy_from_slice(bytes)) {
            self.heard.clear();
        }
        match &mut self.wire {
            Wire::Udp(socket) => drop(socket.send_to(bytes, self.sbc).await.unwrap()),
            Wire::Tcp(stream, _) => stream.write_all(bytes).await.unwrap(),
        }
    }

    /// The next message of any kind.
    pub(crate) async fn receive(&mut self) -> Message {
        timeout(PATIENCE, self.next()).await.expect("nothing comes")
    }

    /// Nothing comes until the box has answered something else.
    pub(crate) async fn hears_nothing(&mut self) {
        let heard = timeout(Duration::from_millis(50), self.next()).await;
        assert!(heard.is_err(), "{heard:?}");
    }

    /// The answer with this code, past provisional ones.
    pub(crate) async fn answer(&mut self, code: u16) -> Message {
        loop {
            let message = self.receive().await;
            match message.code() {
                Some(heard) if heard == code => return message,
                Some(100..=199) => {}
                _ => panic!("waiting for {code}: {message:?}"),
            }
        }
    }

    /// A request of this method.
    pub(crate) async fn asked(&mut self, method: &str) -> Message {
        let message = self.receive().await;
        assert!(
            message.is_request() && message.method().name() == method,
            "waiting for {method}: {message:?}"
        );
        message
    }

    /// Answers a request with what it must repeat.
    pub(crate) async fn reply(&mut self, request: &Message, code: u16, tag: &str, body: &str) {
        let mut text = format!("SIP/2.0 {code} x\r\n");
        for field in request.fields() {
            match field.name {
                Name::To if request.to().tag().is_none() => {
                    text += &format!("To: {};tag={tag}\r\n", field.value)
                }
                Name::Via | Name::From | Name::To | Name::CallId | Name::CSeq => {
                    text += &format!("{}: {}\r\n", field.spelled, field.value);
                }
                _ => {}
            }
        }
        let content = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        text += &format!(
            "Contact: <sip:{}>\r\n{content}Content-Length: {}\r\n\r\n{body}",
            self.local,
            body.len()
        );
        self.send(text.as_bytes()).await;
    }

    /// Sends a request with credentials for the challenge that it gets first.
    pub(crate) async fn ask_as(&mut self, user: &str, password: &str, request: &mut Request) {
        let text = self.text(request);
        self.send(text.as_bytes()).await;
        let challenged = self.answer(401).await;
        if request.method == "INVITE" {
            let branch = text
                .split("branch=")
                .nth(1)
                .unwrap()
                .split(';')
                .next()
                .unwrap();
            let to = challenged.header(Name::To).unwrap();
            let ack = Request {
                method: "ACK",
                to: to.to_owned(),
                body: String::new(),
                ..request.clone()
            };
            let ack = self.text(&ack);
            let ours = ack
                .split("branch=")
                .nth(1)
                .unwrap()
                .split(';')
                .next()
                .unwrap();
            let ack = ack.replace(ours, branch);
            self.send(ack.as_bytes()).await;
        }
        let challenge = challenged.header(Name::WwwAuthenticate).unwrap();
        let credentials = digest::answer(
            challenge,
            user,
            password,
            request.method,
            &request.uri,
            "abcd",
        )
        .unwrap();
        request.cseq += 1;
        request.more += &format!("Authorization: {credentials}\r\n");
        let text = self.text(request);
        self.send(text.as_bytes()).await;
    }

    pub(crate) async fn register(&mut self, user: &str, password: &str, code: u16) -> Message {
        let mut request = self.request("REGISTER", "");
        let address = format!("<sip:{user}@{}>", self.sbc.ip());
        request.from = format!("{address};tag={}", unique());
        request.to = address;
        request.more = "Expires: 300\r\n".to_owned();
        self.ask_as(user, password, &mut request).await;
        self.answer(code).await
    }

    async fn next(&mut self) -> Message {
        loop {
            let bytes = self.read().await;
            if self.heard.insert(bytes.clone()) {
                return Message::parse(bytes, &Limits::default()).unwrap();
            }
        }
    }

    async fn read(&mut self) -> Bytes {
        match &mut self.wire {
            Wire::Udp(socket) => {
                let mut buffer = vec![0; 65_535];
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                assert_eq!(from, self.sbc, "not from where it was sent to");
                Bytes::copy_from_slice(&buffer[..length])
            }
            Wire::Tcp(stream, framer) => loop {
                if let Some(Frame::Message(bytes)) = framer.next().unwrap() {
                    break bytes;
                }
                let mut buffer = [0; 2000];
                let length = stream.read(&mut buffer).await.unwrap();
                assert_ne!(length, 0, "closed");
                framer.push(&buffer[..length]);
            },
        }
    }
}
