//! The layer under a virtual clock: what comes out of each input, to the millisecond, and that nothing is left over.

mod client;
mod network;
mod server;

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Action, ClientId, Hop, Input, Layer, Limits, ServerId};
use crate::config::NetworkId;
use crate::sip::{Limits as SipLimits, Message, Transport};
use crate::transaction::ConnectionId;

/// A layer, a clock and one hop.
struct Bench {
    layer: Layer,
    start: Instant,
    now: Instant,
    hop: Hop,
}

impl Bench {
    fn new(transport: Transport) -> Bench {
        Bench::with_limits(transport, Limits::default())
    }

    fn with_limits(transport: Transport, limits: Limits) -> Bench {
        let start = Instant::now();
        Bench {
            layer: Layer::new(limits),
            start,
            now: start,
            hop: Hop {
                network: NetworkId(0),
                transport,
                local: "192.0.2.1:5060".parse().unwrap(),
                remote: "192.0.2.2:5060".parse().unwrap(),
                connection: transport.is_reliable().then_some(ConnectionId(7)),
            },
        }
    }

    /// A message comes in.
    fn comes(&mut self, message: &Message) -> Vec<Action> {
        let (hop, message) = (self.hop, message.clone());
        self.layer
            .handle_input(self.now, Input::Message { hop, message });
        self.actions()
    }

    /// A request of ours goes out.
    fn request(&mut self, message: &Message) -> (ClientId, Vec<Action>) {
        let id = self
            .layer
            .request(self.now, self.hop, message.clone())
            .unwrap();
        (id, self.actions())
    }

    fn respond(&mut self, id: ServerId, message: &Message) -> Vec<Action> {
        self.layer.respond(self.now, id, message.clone());
        self.actions()
    }

    fn fails(&mut self, bytes: &Bytes) -> Vec<Action> {
        let (hop, bytes) = (self.hop, bytes.clone());
        self.layer
            .handle_input(self.now, Input::SendFailed { hop, bytes });
        self.actions()
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.layer.poll_action()).collect()
    }

    /// Goes to a time after the start, in milliseconds: every timer on the way fires at its time. What came out, and when.
    fn until(&mut self, millis: u64) -> Vec<(u64, Action)> {
        let end = self.start + Duration::from_millis(millis);
        let mut all = Vec::new();
        while let Some(at) = self.layer.poll_timeout().filter(|&at| at <= end) {
            assert!(at >= self.now, "a timer in the past");
            self.now = at;
            self.layer.handle_timeout(at);
            let time = u64::try_from((at - self.start).as_millis()).unwrap();
            all.extend(self.actions().into_iter().map(|action| (time, action)));
        }
        self.now = end;
        all
    }

    fn send(&self, message: &Message) -> Action {
        Action::Send {
            hop: self.hop,
            bytes: message.bytes().clone(),
        }
    }

    fn request_action(&self, id: ServerId, message: &Message) -> Action {
        Action::Request {
            id,
            hop: self.hop,
            message: message.clone(),
        }
    }

    fn response(&self, id: ClientId, message: &Message) -> Action {
        Action::Response {
            id,
            hop: self.hop,
            message: message.clone(),
        }
    }

    fn assert_empty(&mut self) {
        assert_eq!(self.actions(), []);
        assert_eq!(self.layer.len(), 0);
        assert!(self.layer.is_empty());
        assert_eq!(self.layer.poll_timeout(), None);
        assert!(self.layer.holds_nothing());
    }
}

fn parse(text: &str) -> Message {
    let text = text.replace('\n', "\r\n");
    Message::parse(Bytes::from(text), &SipLimits::default()).unwrap()
}

/// A request as either side makes it.
fn request(method: &str, branch: &str) -> Message {
    parse(&format!(
        "{method} sip:bob@192.0.2.2 SIP/2.0\n\
         Via: SIP/2.0/UDP 192.0.2.9;rport;branch={branch}\n\
         Max-Forwards: 70\n\
         Route: <sip:192.0.2.2;lr>\n\
         From: \"A\" <sip:alice@192.0.2.1>;tag=a\n\
         To: <sip:bob@192.0.2.2>\n\
         Call-ID: c1\n\
         CSeq: 4 {method}\n\
         Content-Length: 0\n\n"
    ))
}

fn response(code: u16, method: &str, branch: &str) -> Message {
    parse(&format!(
        "SIP/2.0 {code} Whatever\n\
         Via: SIP/2.0/UDP 192.0.2.9;rport=5060;branch={branch};received=192.0.2.2\n\
         From: \"A\" <sip:alice@192.0.2.1>;tag=a\n\
         To: <sip:bob@192.0.2.2>;tag=b\n\
         Call-ID: c1\n\
         CSeq: 4 {method}\n\
         Content-Length: 0\n\n"
    ))
}

fn sent(actions: &[Action]) -> Vec<Message> {
    let parse = |bytes: &Bytes| Message::parse(bytes.clone(), &SipLimits::default()).unwrap();
    let bytes = actions.iter().filter_map(|action| match action {
        Action::Send { bytes, .. } => Some(bytes),
        _ => None,
    });
    bytes.map(parse).collect()
}

/// The id of the only new request.
fn new_request(actions: &[Action]) -> ServerId {
    match actions {
        [Action::Request { id, .. }] => *id,
        other => panic!("not one new request: {other:?}"),
    }
}
