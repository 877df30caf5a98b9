//! Session descriptions: what an agent says of its media, and what it reads of the box's.

use std::net::{IpAddr, SocketAddr};

/// How a call is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// `a=sendonly`.
    SendOnly,
    /// `a=inactive`.
    Inactive,
    /// The address 0.0.0.0.
    Zero,
}

/// Where an agent has RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rtcp {
    /// On the next port.
    Next,
    /// On the port of RTP, if the other side agrees.
    Mux,
    /// On another port (RFC 3605).
    At(u16),
}

/// One m= line of an agent's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// `audio`, `video`, `image`.
    pub kind: String,
    /// `RTP/AVP` or `udptl`.
    pub proto: String,
    /// Its port.
    pub port: u16,
    /// It is not switched off.
    pub is_on: bool,
    /// Payload types, and the names of what they stand for.
    pub formats: Vec<(String, String)>,
    /// Where its RTCP is.
    pub rtcp: Rtcp,
    /// Further lines of it, each with its end.
    pub lines: String,
}

/// All that an agent says of its media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// Where it is.
    pub ip: IpAddr,
    /// How it holds.
    pub hold: Option<Hold>,
    /// Its streams.
    pub streams: Vec<Stream>,
    /// The number of the session in o=.
    pub session: String,
    /// Further lines of the session, each with its end.
    pub lines: String,
    /// c= stands in each stream and not before them.
    pub is_late_c: bool,
}

/// What an offer changes.
pub type Change = fn(&mut Media);

impl Media {
    pub(super) fn voice(ip: IpAddr, port: u16) -> Media {
        Media {
            ip,
            hold: None,
            streams: vec![Stream::voice(port)],
            session: "1".to_owned(),
            lines: String::new(),
            is_late_c: false,
        }
    }

    /// Whether its owner wants to send, and to receive.
    pub(super) fn goes(&self) -> [bool; 2] {
        match self.hold {
            None => [true, true],
            Some(Hold::Inactive) => [false, false],
            Some(_) => [true, false],
        }
    }

    /// As text; as an answer to `offer` if there is one.
    pub(super) fn write(&self, version: u64, offer: Option<&Described>) -> String {
        let ip = self.ip;
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        let at = match self.hold {
            Some(Hold::Zero) => "0.0.0.0".to_owned(),
            _ => ip.to_string(),
        };
        let c = format!("c=IN {family} {at}\r\n");
        let session = &self.session;
        let mut text = format!("v=0\r\no=- {session} {version} IN {family} {ip}\r\ns=-\r\n");
        if !self.is_late_c {
            text += &c;
        }
        text += &format!("{}t=0 0\r\n", self.lines);
        for (index, stream) in self.streams.iter().enumerate() {
            let offered = offer.and_then(|offer| offer.streams.get(index));
            let goes = offered.map_or([true; 2], |offered| offered.goes);
            let [sends, receives] = self.goes();
            let way = match (sends && goes[1], receives && goes[0]) {
                _ if self.hold == Some(Hold::Zero) || stream.proto == "udptl" => "",
                (true, true) => "",
                (true, false) => "a=sendonly\r\n",
                (false, true) => "a=recvonly\r\n",
                (false, false) => "a=inactive\r\n",
            };
            let refused = offered.is_some_and(|offered| offered.port == 0);
            let port = if stream.is_on && !refused {
                stream.port
            } else {
                0
            };
            text += &stream.write(port, way, self.is_late_c.then_some(&c), offered);
        }
        text
    }

    /// Fits itself to an offer: as many streams, and of each only what was offered.
    pub(super) fn fit(&mut self, offer: &Described, declines: Option<&str>) {
        for (index, offered) in offer.streams.iter().enumerate() {
            match self.streams.get(index) {
                Some(stream) if stream.kind == offered.kind => {
                    let is_known = |(_, name): &(String, String)| {
                        offered.formats.iter().any(|(_, offered)| offered == name)
                    };
                    if !self.streams[index].formats.iter().any(is_known) {
                        // What it did not know before it knows now.
                        self.streams[index].formats.clone_from(&offered.formats);
                    }
                }
                other => {
                    let port = other.or(self.streams.first()).map_or(4000, |s| s.port);
                    let port = if index == 0 {
                        port
                    } else {
                        port + 4 * index as u16
                    };
                    let mut stream = Stream::voice(port);
                    stream.kind.clone_from(&offered.kind);
                    stream.proto.clone_from(&offered.proto);
                    stream.formats.clone_from(&offered.formats);
                    if offered.kind == "image" {
                        stream.lines = Stream::fax(port).lines;
                    }
                    self.streams.truncate(index);
                    self.streams.push(stream);
                }
            }
        }
        self.streams.truncate(offer.streams.len());
        for stream in &mut self.streams {
            stream.is_on &= declines != Some(stream.kind.as_str());
        }
    }
}

impl Stream {
    /// G.711 of both kinds.
    #[must_use]
    pub fn voice(port: u16) -> Stream {
        Stream {
            kind: "audio".to_owned(),
            proto: "RTP/AVP".to_owned(),
            port,
            is_on: true,
            formats: formats(&[("0", "PCMU/8000"), ("8", "PCMA/8000")]),
            rtcp: Rtcp::Next,
            lines: String::new(),
        }
    }

    /// H.264 and VP8.
    #[must_use]
    pub fn video(port: u16) -> Stream {
        Stream {
            kind: "video".to_owned(),
            formats: formats(&[("96", "H264/90000"), ("97", "VP8/90000")]),
            ..Stream::voice(port)
        }
    }

    /// T.38.
    #[must_use]
    pub fn fax(port: u16) -> Stream {
        Stream {
            kind: "image".to_owned(),
            proto: "udptl".to_owned(),
            formats: formats(&[("t38", "t38")]),
            lines: "a=T38FaxVersion:0\r\na=T38FaxUdpEC:t38UDPRedundancy\r\n".to_owned(),
            ..Stream::voice(port)
        }
    }

    fn write(&self, port: u16, way: &str, c: Option<&String>, offered: Option<&Said>) -> String {
        let mut formats = self.formats.clone();
        let lines = &self.lines;
        if let Some(offered) = offered {
            let is_known = |(fmt, name): &(String, String)| {
                offered
                    .formats
                    .iter()
                    .any(|(f, n)| n == name && (f == fmt || fmt.parse::<u8>().is_ok()))
            };
            formats.retain(is_known);
        }
        let list: Vec<_> = formats.iter().map(|(fmt, _)| fmt.as_str()).collect();
        let mut text = format!(
            "m={} {port} {} {}\r\n",
            self.kind,
            self.proto,
            list.join(" ")
        );
        text += c.map_or("", |c| c);
        if port == 0 {
            return text;
        }
        for (fmt, name) in formats.iter().filter(|(fmt, _)| fmt.parse::<u8>().is_ok()) {
            if fmt.parse::<u8>().is_ok_and(|n| n >= 96) || lines.contains("a=ptime") {
                text += &format!("a=rtpmap:{fmt} {name}\r\n");
            }
            if name.starts_with("telephone-event") {
                text += &format!("a=fmtp:{fmt} 0-16\r\n");
            }
        }
        text += lines;
        let may_mux = offered.is_none_or(|offered| offered.mux);
        match self.rtcp {
            Rtcp::Mux if may_mux => text += "a=rtcp-mux\r\n",
            Rtcp::At(port) => text += &format!("a=rtcp:{port}\r\n"),
            _ => {}
        }
        text + way
    }
}

/// A list of formats.
pub(super) fn formats(list: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = list
        .iter()
        .map(|(fmt, name)| ((*fmt).to_owned(), (*name).to_owned()));
    owned.collect()
}

/// What the box says of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) kind: String,
    pub(super) proto: String,
    pub(super) ip: IpAddr,
    pub(super) port: u16,
    pub(super) formats: Vec<(String, String)>,
    pub(super) mux: bool,
    pub(super) rtcp: Option<u16>,
    /// Its writer sends, and its writer receives.
    pub(super) goes: [bool; 2],
}

/// What the box says of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) version: u64,
    pub(super) streams: Vec<Said>,
}

impl Described {
    pub(super) fn read(body: &str) -> Described {
        let mut version = 0;
        let mut ip: Option<IpAddr> = None;
        let mut streams: Vec<Said> = Vec::new();
        for line in body.lines() {
            let (kind, value) = line.split_once('=').expect("a line of SDP");
            let words: Vec<&str> = value.split(' ').collect();
            match (kind, streams.last_mut()) {
                ("o", _) => version = words[2].parse().expect("a version"),
                ("c", None) => ip = words[2].parse().ok(),
                ("c", Some(stream)) => stream.ip = words[2].parse().expect("an address"),
                ("m", _) => streams.push(Said {
                    kind: words[0].to_owned(),
                    proto: words[2].to_owned(),
                    ip: ip.unwrap_or(IpAddr::from([0, 0, 0, 0])),
                    port: words[1].parse().expect("a port"),
                    formats: words[3..].iter().map(|fmt| named(fmt)).collect(),
                    mux: false,
                    rtcp: None,
                    goes: [true; 2],
                }),
                ("a", Some(stream)) => stream.read(value),
                _ => {}
            }
        }
        Described { version, streams }
    }
}

impl Said {
    fn read(&mut self, attribute: &str) {
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        match name {
            "rtcp-mux" => self.mux = true,
            "rtcp" => {
                let port = value.split(' ').next().and_then(|word| word.parse().ok());
                self.rtcp = Some(port.expect("a port"));
            }
            "sendonly" => self.goes = [true, false],
            "recvonly" => self.goes = [false, true],
            "inactive" => self.goes = [false, false],
            "rtpmap" => {
                let (fmt, encoding) = value.split_once(' ').expect("an encoding");
                let formats = self.formats.iter_mut();
                for (_, name) in formats.filter(|(f, _)| f == fmt) {
                    encoding.clone_into(name);
                }
            }
            _ => {}
        }
    }

    pub(super) fn place(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port)
    }
}

/// What a payload type stands for without an rtpmap.
fn named(fmt: &str) -> (String, String) {
    let name = match fmt {
        "0" => "PCMU/8000",
        "8" => "PCMA/8000",
        "9" => "G722/8000",
        "18" => "G729/8000",
        "13" => "CN/8000",
        other => other,
    };
    (fmt.to_owned(), name.to_owned())
}
