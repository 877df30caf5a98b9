//! Ports of media ranges that are held open until a call has them, so that none is promised that someone else on this host has.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};

use tracing::{debug, warn};

use crate::engine::Input;
use crate::media::{PortCommand, Reserve};

/// The sockets: two a pair. Each is its own peer, so that the system refuses what comes from anyone else, as it does where there is no socket.
#[derive(Debug, Default)]
pub(super) struct Held {
    sockets: BTreeMap<Reserve, [UdpSocket; 2]>,
    /// Told once: each port is tried again from time to time.
    has_warned: bool,
}

impl Held {
    /// Carries a command out. What comes back is for the engine.
    pub(super) fn perform(&mut self, command: PortCommand) -> Option<Input> {
        match command {
            PortCommand::Hold(reserve) => {
                let is_taken = self.hold(reserve);
                Some(Input::PortsFound { reserve, is_taken })
            }
            PortCommand::Release(reserve) => {
                self.sockets.remove(&reserve);
                None
            }
        }
    }

    /// Whether someone else has one of the two.
    fn hold(&mut self, reserve: Reserve) -> bool {
        if self.sockets.contains_key(&reserve) {
            return false;
        }
        match open(reserve.rtp) {
            Ok(sockets) => {
                self.sockets.insert(reserve, sockets);
                false
            }
            Err((at, error)) if error.kind() == io::ErrorKind::AddrInUse => {
                if std::mem::replace(&mut self.has_warned, true) {
                    debug!(%at, "a media port is someone else's");
                } else {
                    warn!(%at, "a media port is someone else's: calls get others (`ss -uanp` shows who has it; further ones are told at debug level)");
                }
                true
            }
            // No address, no more files: whoever gets them will see.
            Err((at, error)) => {
                debug!(%at, %error, "a media port cannot be held ahead");
                false
            }
        }
    }
}

fn open(rtp: SocketAddr) -> Result<[UdpSocket; 2], (SocketAddr, io::Error)> {
    let mut rtcp = rtp;
    rtcp.set_port(rtp.port() | 1);
    let bind = |at| {
        UdpSocket::bind(at)
            .and_then(|socket| socket.connect(at).map(|()| socket))
            .map_err(|error| (at, error))
    };
    Ok([bind(rtp)?, bind(rtcp)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NetworkId;

    /// Two ports next to each other that nobody has, at an address that no other test uses.
    fn reserve() -> Reserve {
        loop {
            let any = UdpSocket::bind("127.71.9.1:0").unwrap();
            let mut rtp = any.local_addr().unwrap();
            drop(any);
            rtp.set_port(rtp.port() & !1);
            if open(rtp).is_ok() {
                let network = NetworkId(0);
                return Reserve { network, rtp };
            }
        }
    }

    #[test]
    fn a_port_is_held_until_it_is_released() {
        let (reserve, mut held) = (reserve(), Held::default());
        let mut hold = |command| match held.perform(command)? {
            Input::PortsFound { is_taken, .. } => Some(is_taken),
            other => panic!("{other:?}"),
        };
        assert_eq!(hold(PortCommand::Hold(reserve)), Some(false));
        assert_eq!(hold(PortCommand::Hold(reserve)), Some(false));
        assert!(open(reserve.rtp).is_err());
        assert_eq!(hold(PortCommand::Release(reserve)), None);
        let mut rtcp = reserve.rtp;
        rtcp.set_port(rtcp.port() + 1);
        // One of the two is enough.
        for theirs in [reserve.rtp, rtcp] {
            let other = UdpSocket::bind(theirs).unwrap();
            assert_eq!(hold(PortCommand::Hold(reserve)), Some(true), "{theirs}");
            drop(other);
        }
        assert_eq!(hold(PortCommand::Hold(reserve)), Some(false));
    }

    #[test]
    fn whoever_sends_there_is_refused() {
        let (reserve, mut held) = (reserve(), Held::default());
        held.perform(PortCommand::Hold(reserve));
        let stranger = UdpSocket::bind("127.71.9.2:0").unwrap();
        stranger.connect(reserve.rtp).unwrap();
        stranger.send(b"?").unwrap();
        let refused = stranger.recv(&mut [0; 8]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn an_address_that_is_not_ours_is_taken_by_nobody() {
        let mut held = Held::default();
        let reserve = Reserve {
            network: NetworkId(0),
            rtp: "192.0.2.77:20000".parse().unwrap(),
        };
        let found = held.perform(PortCommand::Hold(reserve));
        assert!(matches!(
            found,
            Some(Input::PortsFound {
                is_taken: false,
                ..
            })
        ));
    }
}
