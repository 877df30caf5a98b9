//! Opening the sockets that the box listens on, with errors a person can act on.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

use super::host;
use crate::sip::Transport;

/// Bytes that the kernel may queue for us on a UDP socket: a second of a busy edge.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Connections that the kernel may complete before we take them.
const BACKLOG: i32 = 1024;

/// What a socket is for, as an error names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// SIP of a network.
    Sip {
        /// The network's name.
        network: String,
    },
    /// Metrics and health.
    Admin,
}

impl Purpose {
    fn subject(&self) -> String {
        match self {
            Purpose::Sip { network } => format!("network {network}"),
            Purpose::Admin => "admin address".to_owned(),
        }
    }

    fn other_port(&self, transport: Transport) -> String {
        match self {
            Purpose::Sip { network } => {
                format!("give [network.{network}] another port, as in sip = [\"{transport}:5070\"]")
            }
            Purpose::Admin => {
                "set another one in [sbc], as in admin = \"127.0.0.1:9961\"".to_owned()
            }
        }
    }

    fn other_address(&self) -> String {
        match self {
            Purpose::Sip { network } => format!("correct `address` in [network.{network}]"),
            Purpose::Admin => "correct `admin` in [sbc]".to_owned(),
        }
    }
}

/// Why the box cannot listen.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Someone else listens there.
    #[error(
        "{}: {transport} {address} is taken{}: stop what holds it, or {}",
        purpose.subject(), holder.as_ref().map(|h| format!(" by {h}")).unwrap_or_default(), purpose.other_port(*transport)
    )]
    Taken {
        /// Who needs it.
        purpose: Purpose,
        /// UDP or TCP.
        transport: Transport,
        /// The address.
        address: SocketAddr,
        /// The process, where `/proc` tells.
        holder: Option<String>,
    },
    /// No interface that is up has it.
    #[error(
        "{}: {} is no address of this host now: {}, or bring its interface up (`ip address` shows what there is)",
        purpose.subject(), address.ip(), purpose.other_address()
    )]
    NotOurs {
        /// Who needs it.
        purpose: Purpose,
        /// The address.
        address: SocketAddr,
    },
    /// A port below 1024, most likely.
    #[error(
        "{}: no permission to listen on {transport} {address}: ports below 1024 need root or CAP_NET_BIND_SERVICE; or {}",
        purpose.subject(), purpose.other_port(*transport)
    )]
    Forbidden {
        /// Who needs it.
        purpose: Purpose,
        /// UDP or TCP.
        transport: Transport,
        /// The address.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("{}: cannot listen on {transport} {address}: {source}", purpose.subject())]
    Other {
        /// Who needs it.
        purpose: Purpose,
        /// UDP or TCP.
        transport: Transport,
        /// The address.
        address: SocketAddr,
        /// What the kernel says.
        source: io::Error,
    },
}

impl ListenError {
    fn new(
        purpose: &Purpose,
        transport: Transport,
        address: SocketAddr,
        source: io::Error,
    ) -> Self {
        let purpose = purpose.clone();
        match source.kind() {
            io::ErrorKind::AddrInUse => ListenError::Taken {
                purpose,
                transport,
                address,
                holder: host::port_holder(transport, address),
            },
            io::ErrorKind::AddrNotAvailable => ListenError::NotOurs { purpose, address },
            io::ErrorKind::PermissionDenied => ListenError::Forbidden {
                purpose,
                transport,
                address,
            },
            _ => ListenError::Other {
                purpose,
                transport,
                address,
                source,
            },
        }
    }
}

/// A UDP socket at exactly this address, non-blocking, shared with nobody; what it sends has this DSCP.
///
/// # Errors
/// See [`ListenError`].
pub fn udp(purpose: &Purpose, address: SocketAddr, dscp: u8) -> Result<UdpSocket, ListenError> {
    let open = || {
        let socket = unbound(address, dscp, Type::DGRAM, Protocol::UDP)?;
        enlarge_receive_buffer(&socket);
        socket.bind(&address.into())?;
        Ok(socket.into())
    };
    open().map_err(|source| ListenError::new(purpose, Transport::Udp, address, source))
}

/// A listening TCP socket at exactly this address, non-blocking. May follow a process that has just ended. What its connections send has this DSCP.
///
/// # Errors
/// See [`ListenError`].
pub fn tcp(purpose: &Purpose, address: SocketAddr, dscp: u8) -> Result<TcpListener, ListenError> {
    let open = || {
        let socket = unbound(address, dscp, Type::STREAM, Protocol::TCP)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    open().map_err(|source| ListenError::new(purpose, Transport::Tcp, address, source))
}

/// A TCP socket to connect with from `local`, at a port that the kernel chooses; non-blocking.
///
/// # Errors
/// The kernel's: no such address, no more files.
pub fn tcp_from(local: IpAddr, dscp: u8) -> io::Result<Socket> {
    let address = SocketAddr::new(local, 0);
    let socket = unbound(address, dscp, Type::STREAM, Protocol::TCP)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn unbound(address: SocketAddr, dscp: u8, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    let traffic_class = u32::from(dscp) << 2;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        socket.set_tclass_v6(traffic_class)?;
    } else {
        socket.set_tos_v4(traffic_class)?;
    }
    Ok(socket)
}

/// Beyond `net.core.rmem_max` with CAP_NET_ADMIN, else up to it; less is no reason not to start.
fn enlarge_receive_buffer(socket: &Socket) {
    if setsockopt(socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err()
        && let Err(error) = socket.set_recv_buffer_size(RECEIVE_BUFFER)
    {
        tracing::debug!(%error, "the UDP receive buffer stays as it is");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sip() -> Purpose {
        Purpose::Sip {
            network: "left".to_owned(),
        }
    }

    #[test]
    fn a_taken_port_names_address_holder_and_remedy() {
        for (transport, open) in [
            (
                Transport::Udp,
                (|a| udp(&sip(), a, 24).map(|s| s.local_addr().unwrap())) as fn(_) -> _,
            ),
            (Transport::Tcp, |a| {
                tcp(&sip(), a, 24).map(|s| s.local_addr().unwrap())
            }),
        ] {
            let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
            let holder_udp = UdpSocket::bind(free).unwrap();
            let holder_tcp = TcpListener::bind(free).unwrap();
            let address = match transport {
                Transport::Udp => holder_udp.local_addr().unwrap(),
                Transport::Tcp => holder_tcp.local_addr().unwrap(),
            };
            let error = open(address).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("network left: {transport} {address} is taken by ")),
                "{error}"
            );
            assert!(
                error.contains(&format!("(pid {})", std::process::id())),
                "{error}"
            );
            assert!(
                error.ends_with(&format!("another port, as in sip = [\"{transport}:5070\"]")),
                "{error}"
            );
        }
    }

    #[test]
    fn an_address_of_someone_else_is_said_to_be_so() {
        let error = udp(&sip(), "192.0.2.77:5060".parse().unwrap(), 24).unwrap_err();
        assert_eq!(
            error.to_string(),
            "network left: 192.0.2.77 is no address of this host now: correct `address` in [network.left], or bring \
             its interface up (`ip address` shows what there is)"
        );
    }

    #[test]
    fn signalling_is_marked() {
        let mark = |socket: socket2::SockRef<'_>| socket.tos_v4().unwrap() >> 2;
        let free = "127.0.0.1:0".parse().unwrap();
        let listener = tcp(&sip(), free, 26).unwrap();
        let caller = tcp_from(free.ip(), 40).unwrap();
        caller.set_nonblocking(false).unwrap();
        caller
            .connect(&listener.local_addr().unwrap().into())
            .unwrap();
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let called = udp(&sip(), free, 24).unwrap();
        assert_eq!(mark(socket2::SockRef::from(&called)), 24);
        assert_eq!(mark(socket2::SockRef::from(&accepted)), 26);
        assert_eq!(mark(socket2::SockRef::from(&caller)), 40);
    }
}
