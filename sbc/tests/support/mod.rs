//! What the tests of the media workers share: a box on loopback addresses of its own, and peers that speak RTP.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "each test file uses a part of it, and nobody else does"
)]

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use sbc::config::NetworkId;
use sbc::engine::Input;
use sbc::io::media::{Driver, Workers, WorkersError};
use sbc::media::{
    Fallback, FlowCommand, FlowKind, FlowPair, FlowReport, NetworkMedia, PairId, Path, Side,
};

/// Longer than anything takes that happens at all.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A pair id that no test installs: removing it is answered at once, after all commands before it.
const BARRIER: PairId = PairId(u64::MAX);

/// A loopback address that only this process and this test, on this driver, use. `test` is below 100.
pub fn own_address(driver: Driver, test: u8) -> IpAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    let last = match driver {
        Driver::IoUring => test,
        Driver::Epoll => 100 + test,
    };
    Ipv4Addr::new(127, 16 + high % 200, low, last).into()
}

/// Whether this machine refuses a driver: then that has been said.
pub fn is_refused(driver: Driver, test: &str) -> bool {
    match Workers::start_on(driver, 1, 1, Arc::new(drop)) {
        Err(WorkersError::Refused(refusal)) => {
            let line = format!("skipped: {test} on {}: {refusal}\n", driver.label());
            // Past the capture of the test harness. A closed stderr cannot be told anything.
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
            true
        }
        _ => false,
    }
}

/// Makes each of these functions two tests, one for each driver.
#[macro_export]
macro_rules! on_both {
    ($($test:ident)+) => {
        mod io_uring {
            $(#[test]
            fn $test() {
                if !$crate::support::is_refused(sbc::io::media::Driver::IoUring, stringify!($test)) {
                    super::$test(sbc::io::media::Driver::IoUring);
                }
            })+
        }
        mod epoll {
            $(#[test]
            fn $test() {
                super::$test(sbc::io::media::Driver::Epoll);
            })+
        }
    };
}

/// Workers, and what they report.
pub struct Sbc {
    pub workers: Workers,
    pub reports: Receiver<Input>,
}

impl Sbc {
    /// With so many workers on this driver, for two networks.
    pub fn start(driver: Driver, workers: usize) -> Sbc {
        let (sender, reports) = channel();
        let report = Arc::new(move |input| sender.send(input).unwrap());
        Sbc {
            workers: Workers::start_on(driver, workers, 2, report).unwrap(),
            reports,
        }
    }

    pub fn install(&self, pair: &FlowPair) {
        self.command(FlowCommand::Install(pair.clone().into()));
    }

    pub fn update(&self, pair: &FlowPair) {
        self.command(FlowCommand::Update(pair.clone().into()));
    }

    pub fn command(&self, command: FlowCommand) {
        self.workers.command(command).unwrap();
    }

    /// Returns when the one worker has carried out everything that was commanded before.
    pub fn settle(&self) {
        assert_eq!(self.remove(BARRIER), FlowReport::default());
    }

    /// Removes a pair and waits for its report.
    pub fn remove(&self, pair: PairId) -> FlowReport {
        self.command(FlowCommand::Remove(pair));
        match self.report() {
            Input::FlowEnded {
                pair: ended,
                report,
            } if ended == pair => report,
            other => panic!("expected the end of {pair:?}, not {other:?}"),
        }
    }

    /// The next report.
    pub fn report(&self) -> Input {
        self.reports.recv_timeout(PATIENCE).unwrap()
    }

    /// What was counted for a network.
    pub fn network(&self, network: u16) -> NetworkMedia {
        self.workers.stats().networks[&NetworkId(network)].clone()
    }

    /// How many packets that came in at network 0 were dropped for this reason.
    pub fn dropped(&self, reason: &str) -> u64 {
        self.network(0).dropped.get(reason).copied().unwrap_or(0)
    }
}

/// A pair between a port of ours for each of two peers; payload types 0 and 101.
pub fn pair(id: u64, locals: [SocketAddr; 2], peers: [&UdpSocket; 2]) -> FlowPair {
    let side = |network: u16, local, peer: &UdpSocket| Side {
        named: Some(peer.local_addr().unwrap()),
        sources: [peer.local_addr().unwrap().ip().into()]
            .into_iter()
            .collect(),
        payload_types: 1 | 1 << 101,
        ..Side::new(NetworkId(network), local)
    };
    FlowPair {
        id: PairId(id),
        kind: FlowKind::Rtp,
        sides: [side(0, locals[0], peers[0]), side(1, locals[1], peers[1])],
        path: Path::User(Fallback::Off),
        companion: None,
    }
}

/// A peer at a free port of this address.
pub fn peer(address: IpAddr) -> UdpSocket {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// 172 bytes of RTP: 20 ms of PCMU.
pub fn rtp(sequence: u16) -> [u8; 172] {
    let mut packet = [0; 172];
    packet[0] = 0x80;
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet[8..12].copy_from_slice(&7u32.to_be_bytes());
    packet
}

/// The next datagram: what it says and where it comes from.
pub fn receive(peer: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut bytes = [0; 4096];
    let (length, from) = peer.recv_from(&mut bytes).unwrap();
    (bytes[..length].to_vec(), from)
}

/// Whether nothing has arrived. To be asked when whatever could have arrived must have.
pub fn is_silent(peer: &UdpSocket) -> bool {
    peer.set_nonblocking(true).unwrap();
    let outcome = peer.recv(&mut [0; 1]);
    peer.set_nonblocking(false).unwrap();
    outcome.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}
