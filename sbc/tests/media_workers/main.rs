//! The media workers with real sockets on loopback, on io_uring and on epoll: no privileges, no other host.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, also in what its functions share"
)]

use std::net::{SocketAddr, UdpSocket};

use sbc::io::media::Driver;
use sbc::media::FlowPair;

use support::{Sbc, own_address, pair, peer, rtp};

mod garbage;
mod life;
mod load;
mod peers;
mod refused;
#[path = "../support/mod.rs"]
mod support;
mod transcoded;

/// A box with one worker and one pair, between two peers.
struct Talk {
    sbc: Sbc,
    pair: FlowPair,
    a: UdpSocket,
    b: UdpSocket,
}

impl Talk {
    fn start(driver: Driver, test: u8) -> Talk {
        let address = own_address(driver, test);
        let (a, b) = (peer(address), peer(address));
        let locals = [20_000, 20_002].map(|port| SocketAddr::new(address, port));
        let pair = pair(1, locals, [&a, &b]);
        let sbc = Sbc::start(driver, 1);
        sbc.install(&pair);
        sbc.settle();
        Talk { sbc, pair, a, b }
    }

    /// Where A sends to, and where B does.
    fn locals(&self) -> [SocketAddr; 2] {
        [self.pair.sides[0].local, self.pair.sides[1].local]
    }

    /// Sends a packet from `socket` to A's side.
    fn send_as_a(&self, socket: &UdpSocket, sequence: u16) {
        socket.send_to(&rtp(sequence), self.locals()[0]).unwrap();
    }
}
