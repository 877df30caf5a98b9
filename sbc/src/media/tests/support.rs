//! Two networks, a phone, two carriers, and what is said between them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::{Admin, Bind, Codec, Config, FastPath, Limits, Network, NetworkId, Sbc};
use crate::engine::FlowFailure;
use crate::media::{
    AfterFailure, CallMedia, End, FlowCommand, FlowKind, FlowPair, LegId, NetworkPath, PairId,
    Path, Ports, Refused, Side, XdpMode,
};

pub(in crate::media) const A: LegId = LegId(0);
pub(in crate::media) const B: LegId = LegId(1);
pub(in crate::media) const C: LegId = LegId(2);
pub(in crate::media) const OUTSIDE: NetworkId = NetworkId(0);
pub(in crate::media) const INSIDE: NetworkId = NetworkId(1);
pub(in crate::media) const KERNEL: NetworkPath = NetworkPath::Kernel {
    mode: XdpMode::Native,
};
/// PCMU, PCMA, comfort noise.
pub(in crate::media) const G711: u128 = 1 | 1 << 8 | 1 << 13;

pub(in crate::media) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(in crate::media) fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Two networks with 50 pairs each: 10.71.1.1 (and fd00::1) outside, 10.71.2.1 inside.
pub(in crate::media) fn config() -> Config {
    let network = |name: &str, addresses: &[&str], first: u16| Network {
        name: name.into(),
        bind: Bind::Interface(name.into()),
        addresses: addresses.iter().map(|a| ip(a)).collect(),
        sip: Vec::new(),
        local: Vec::new(),
        external: None,
        outside: Default::default(),
        media_ports: first..=first + 99,
        fast_path: FastPath::Auto,
        media_timeout: None,
        passing: Default::default(),
        limits: Limits::default(),
        digest: vec![Default::default()],
        dscp: Default::default(),
    };
    Config {
        sbc: Sbc {
            name: "sbc".into(),
            state_dir: "/nowhere".into(),
            admin: Admin::Tcp(at("127.0.0.1:8080")),
            admin_token: None,
            resolver: Vec::new(),
            media: Default::default(),
        },
        networks: vec![
            network("outside", &["10.71.1.1", "fd00::1"], 20_000),
            network("inside", &["10.71.2.1"], 30_000),
        ],
        trunks: Vec::new(),
        phones: Vec::new().into(),
        groups: Vec::new(),
        cdr: None,
        trace: Default::default(),
        flight_recorder: None,
        lookup: Default::default(),
        routes: Vec::new(),
    }
}

/// A phone outside, whose signalling comes from `signalling`.
pub(in crate::media) fn phone(signalling: &str) -> End {
    End {
        network: OUTSIDE,
        address: ip("10.71.1.1"),
        shown: ip("10.71.1.1"),
        signalling: ip(signalling),
        media_from: Vec::new(),
        rebinds: true,
        codecs: Codec::ALL.to_vec(),
        dtmf: Default::default(),
        dscp: 46,
        path: KERNEL,
        local: false,
        direct: Default::default(),
        transcoding: Default::default(),
    }
}

/// A carrier inside that prefers A-law and has no G.722.
pub(in crate::media) fn carrier(signalling: &str) -> End {
    End {
        network: INSIDE,
        address: ip("10.71.2.1"),
        shown: ip("10.71.2.1"),
        signalling: ip(signalling),
        media_from: Vec::new(),
        rebinds: false,
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        dtmf: Default::default(),
        dscp: 46,
        path: KERNEL,
        local: false,
        direct: Default::default(),
        transcoding: Default::default(),
    }
}

/// A body with one audio stream.
pub(in crate::media) fn body(address: &str, port: u16, formats: &str, more: &str) -> String {
    format!(
        "v=0\r\no=u 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio {port} RTP/AVP {formats}\r\n{more}"
    )
}

/// A call under test, with its ports.
pub(in crate::media) struct Call {
    pub(in crate::media) now: Instant,
    pub(in crate::media) ports: Ports,
    pub(in crate::media) media: CallMedia,
}

impl Call {
    pub(in crate::media) fn new() -> Self {
        Call {
            now: Instant::now(),
            ports: Ports::new(&config(), [7; 32]),
            media: CallMedia::new(),
        }
    }

    pub(in crate::media) fn offer(
        &mut self,
        (from, from_end): (LegId, &End),
        (to, to_end): (LegId, &End),
        sdp: &str,
    ) -> Result<String, Refused> {
        let (media, ports) = (&mut self.media, &mut self.ports);
        let body = media.offer(self.now, ports, from, from_end, to, to_end, sdp.as_bytes())?;
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }

    pub(in crate::media) fn answer(&mut self, from: LegId, sdp: &str) -> Result<String, Refused> {
        let body = self
            .media
            .answer(self.now, &mut self.ports, from, sdp.as_bytes())?;
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }

    pub(in crate::media) fn failed(&mut self, pair: PairId, failure: FlowFailure) -> AfterFailure {
        self.media.failed(&mut self.ports, pair, failure)
    }

    pub(in crate::media) fn commands(&mut self) -> Vec<FlowCommand> {
        std::iter::from_fn(|| self.media.poll_action()).collect()
    }

    pub(in crate::media) fn end(&mut self) {
        self.media.end(self.now, &mut self.ports);
    }

    /// Free ports outside and inside, after so many seconds.
    pub(in crate::media) fn free_after(&self, seconds: u64) -> [u64; 2] {
        let then = self.now + Duration::from_secs(seconds);
        [OUTSIDE, INSIDE].map(|network| self.ports.free_at(then, network))
    }
}

/// The port and the numbers of o= that a body of ours names.
pub(in crate::media) fn named(body: &str) -> (u16, String, u64) {
    let audio = body.lines().find(|l| l.starts_with("m=audio")).unwrap();
    let port = audio.split(' ').nth(1).unwrap().parse().unwrap();
    let mut origin = body
        .lines()
        .find(|l| l.starts_with("o=- "))
        .unwrap()
        .split(' ');
    let session = origin.nth(1).unwrap().to_owned();
    (port, session, origin.next().unwrap().parse().unwrap())
}

/// One side as the tests expect it; RTCP has no `types`.
pub(in crate::media) fn side(
    network: NetworkId,
    local: &str,
    named: &str,
    sources: &[&str],
    types: u128,
) -> Side {
    Side {
        named: (!named.is_empty()).then(|| at(named)),
        sources: sources.iter().map(|s| ip(s).into()).collect(),
        payload_types: types,
        timed: types & (1 | 1 << 8 | 1 << 9),
        clock_rate: if types == 0 { 0 } else { 8_000 },
        rebinds: network == OUTSIDE,
        ..Side::new(network, at(local))
    }
}

pub(in crate::media) fn pair(
    id: u64,
    kind: FlowKind,
    sides: [Side; 2],
    path: Path,
) -> Arc<FlowPair> {
    Arc::new(FlowPair {
        id: PairId(id),
        kind,
        sides,
        path,
        companion: None,
    })
}
