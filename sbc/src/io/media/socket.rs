//! The sockets of flows: one for each local address and port.

use std::io;
use std::net::UdpSocket;

use crate::media;

use super::backend::Local;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

/// What a socket holds of packets that nobody has read yet, in bytes of kernel memory (the kernel doubles it for its own needs):
/// seconds of one voice stream, milliseconds of a burst.
const RECEIVE_BUFFER: usize = 256 * 1024;
/// Hops that a media packet may still make.
const TTL: u32 = media::TTL as u32;

/// Opens a socket, one that blocks.
///
/// # Errors
/// Those of the system: `AddrInUse` if someone else has the port, `AddrNotAvailable` if the address is not this host's.
pub(super) fn open(
    Local {
        address: local,
        dscp,
    }: Local,
) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
    if local.is_ipv4() {
        socket.set_ttl_v4(TTL)?;
    } else {
        socket.set_only_v6(true)?;
        socket.set_unicast_hops_v6(TTL)?;
    }
    set_dscp(&socket, local.is_ipv4(), dscp)?;
    // As much of it as `net.core.rmem_max` allows.
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(&SockAddr::from(local))?;
    Ok(socket.into())
}

/// Has an open socket send with this DSCP.
///
/// # Errors
/// Those of the system.
pub(super) fn mark(socket: &UdpSocket, dscp: u8) -> io::Result<()> {
    let is_ipv4 = socket.local_addr()?.is_ipv4();
    set_dscp(&SockRef::from(socket), is_ipv4, dscp)
}

fn set_dscp(socket: &Socket, is_ipv4: bool, dscp: u8) -> io::Result<()> {
    let class = u32::from(dscp) << 2;
    if is_ipv4 {
        socket.set_tos_v4(class)
    } else {
        socket.set_tclass_v6(class)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn a_socket_is_marked_and_bound_to_what_was_asked() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let local: SocketAddr = local.parse().unwrap();
            let socket = open(Local {
                address: local,
                dscp: 46,
            })
            .unwrap();
            assert_eq!(socket.local_addr().unwrap().ip(), local.ip());
            let class_and_hops = || {
                let socket = SockRef::from(&socket);
                if local.is_ipv4() {
                    (socket.tos_v4().unwrap(), socket.ttl_v4().unwrap())
                } else {
                    let hops = socket.unicast_hops_v6().unwrap();
                    (socket.tclass_v6().unwrap(), hops)
                }
            };
            assert_eq!(class_and_hops(), (46 << 2, 64));
            mark(&socket, 26).unwrap();
            assert_eq!(class_and_hops(), (26 << 2, 64));
        }
    }

    #[test]
    fn a_port_belongs_to_one() {
        let any = "127.0.0.1:0".parse().unwrap();
        let first = open(Local {
            address: any,
            dscp: 0,
        })
        .unwrap();
        let second = open(Local {
            address: first.local_addr().unwrap(),
            dscp: 0,
        });
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
