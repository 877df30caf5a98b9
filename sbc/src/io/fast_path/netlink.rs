//! The kernel's routes, neighbours and links, asked synchronously: each answer is there at once.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage,
    NeighbourState,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::constants::{NETLINK_GENERIC, NETLINK_ROUTE};
use netlink_sys::{Socket, SocketAddr};
use socket2::SockRef;

use super::link::Link;

/// Multicast groups whose events make next hops doubtful: links, neighbours, addresses and routes of both families.
pub(in crate::io) const WAYS: &[u32] = &[1, 3, 5, 7, 9, 11];
/// Those that tell of this host's interfaces and addresses.
pub(in crate::io) const ADDRESSES: &[u32] = &[1, 5, 9];
/// The kernel answers at once; more is a broken kernel.
const PATIENCE: Duration = Duration::from_secs(1);
const TYPICAL_ANSWER: usize = 8 * 1024;
/// What the kernel says of one route, neighbour or link is shorter: it never makes an answer longer than half of that.
const LONGEST_ANSWER: usize = 64 * 1024;

/// A socket for questions.
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
    /// Questions and answers, one after the other: a call that begins waits for neither an allocation nor a look at how long an answer is.
    question: Vec<u8>,
    answer: Vec<u8>,
}

/// Where packets to a destination go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Out.
    Out {
        /// By this interface.
        ifindex: u32,
        /// To the gateway, or to the destination itself.
        neighbour: IpAddr,
    },
    /// To this host itself.
    Here,
}

/// What the kernel knows about a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Neighbour {
    /// Its Ethernet address, if it answers.
    pub(super) mac: Option<[u8; 6]>,
    /// Entered by hand: the kernel never asks for it.
    pub(super) is_permanent: bool,
    /// Not confirmed for a while, and nobody asks: only a kernel that does not manage neighbours leaves one so that is kept.
    pub(super) is_stale: bool,
}

impl Netlink {
    pub(super) fn new() -> io::Result<Netlink> {
        Ok(Netlink {
            socket: open(NETLINK_ROUTE)?,
            sequence: 0,
            question: Vec::new(),
            answer: Vec::with_capacity(LONGEST_ANSWER),
        })
    }

    /// The way to a destination for what leaves from an address of ours; none if there is no way, or the address is not ours now.
    pub(super) fn route(
        &mut self,
        local: IpAddr,
        destination: IpAddr,
    ) -> io::Result<Option<Route>> {
        let mut question = RouteMessage::default();
        question.header.address_family = family(destination);
        question.header.destination_prefix_length = bits(destination);
        question.header.source_prefix_length = bits(local);
        question.attributes = vec![
            RouteAttribute::Destination(RouteAddress::from(destination)),
            RouteAttribute::Source(RouteAddress::from(local)),
        ];
        let answer = self.ask(RouteNetlinkMessage::GetRoute(question), 0);
        let Some(RouteNetlinkMessage::NewRoute(route)) = absent(answer)?.flatten() else {
            return Ok(None);
        };
        match route.header.kind {
            RouteType::Unicast => {}
            RouteType::Local => return Ok(Some(Route::Here)),
            _ => return Ok(None),
        }
        let mut ifindex = None;
        let mut neighbour = destination;
        for attribute in route.attributes {
            match attribute {
                RouteAttribute::Oif(index) => ifindex = Some(index),
                RouteAttribute::Gateway(RouteAddress::Inet(v4)) => neighbour = v4.into(),
                RouteAttribute::Gateway(RouteAddress::Inet6(v6)) => neighbour = v6.into(),
                RouteAttribute::Via(netlink_packet_route::route::RouteVia::Inet6(v6)) => {
                    neighbour = v6.into();
                }
                _ => {}
            }
        }
        Ok(ifindex.map(|ifindex| Route::Out { ifindex, neighbour }))
    }

    /// What the kernel knows about a neighbour; none if nothing.
    pub(super) fn neighbour(&mut self, ifindex: u32, ip: IpAddr) -> io::Result<Option<Neighbour>> {
        let question = RouteNetlinkMessage::GetNeighbour(neighbour(ifindex, ip));
        let answer = self.ask(question, 0);
        let Some(RouteNetlinkMessage::NewNeighbour(found)) = absent(answer)?.flatten() else {
            return Ok(None);
        };
        let state = u16::from(found.header.state);
        let mac = found
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                NeighbourAttribute::LinkLayerAddress(bytes) => bytes.as_slice().try_into().ok(),
                _ => None,
            });
        // Those in which the kernel itself would send to it: all but none, incomplete and failed.
        let is_valid = state & !(0x01 | 0x20) != 0;
        Ok(Some(Neighbour {
            mac: mac.filter(|_| is_valid),
            is_permanent: found.header.state == NeighbourState::Permanent,
            is_stale: found.header.state == NeighbourState::Stale,
        }))
    }

    /// Makes the kernel find a neighbour and keep it found, or leave it to its ways again. XDP traffic does neither.
    pub(super) fn keep(&mut self, ifindex: u32, ip: IpAddr, keep: bool) -> io::Result<()> {
        let mut entry = neighbour(ifindex, ip);
        entry.header.flags = NeighbourFlags::Use;
        if keep {
            let managed = NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed);
            entry.attributes.push(managed);
        }
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        let plain = {
            let mut plain = entry.clone();
            plain.attributes.truncate(1);
            plain
        };
        match self.ask(RouteNetlinkMessage::NewNeighbour(entry), flags) {
            // Before Linux 5.16 there are no managed neighbours: looked for once, and again by every refresh.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => self
                .ask(RouteNetlinkMessage::NewNeighbour(plain), flags)
                .map(|_| ()),
            other => other.map(|_| ()),
        }
    }

    /// Forgets a neighbour: who needs it asks for it at once, and not when the last question has not been answered for a second.
    pub(super) fn forget(&mut self, ifindex: u32, ip: IpAddr) -> io::Result<()> {
        let entry = RouteNetlinkMessage::DelNeighbour(neighbour(ifindex, ip));
        self.ask(entry, NLM_F_ACK).map(|_| ())
    }

    /// An interface; none if it is gone.
    pub(super) fn link(&mut self, ifindex: u32) -> io::Result<Option<Link>> {
        let mut question = LinkMessage::default();
        question.header.index = ifindex;
        let answer = self.ask(RouteNetlinkMessage::GetLink(question), 0);
        let Some(RouteNetlinkMessage::NewLink(found)) = absent(answer)?.flatten() else {
            return Ok(None);
        };
        Ok(Some(Link::of(found)))
    }

    /// Asks, and gives the answer that is no acknowledgement.
    fn ask(
        &mut self,
        question: RouteNetlinkMessage,
        flags: u16,
    ) -> io::Result<Option<RouteNetlinkMessage>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(question));
        message.finalize();
        self.question.clear();
        self.question.resize(message.buffer_len(), 0);
        message.serialize(&mut self.question);
        self.socket
            .send_to(&self.question, &SocketAddr::new(0, 0), 0)?;
        loop {
            self.answer.clear();
            let length = self.socket.recv(&mut self.answer, libc::MSG_TRUNC)?;
            if length > self.answer.len() {
                return Err(io::Error::other(format!(
                    "an answer of the kernel's of {length} bytes; {LONGEST_ANSWER} are the most"
                )));
            }
            let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&self.answer)
                .map_err(io::Error::other)?;
            // What is left of a question that was given up.
            if answer.header.sequence_number != self.sequence {
                continue;
            }
            return match answer.payload {
                NetlinkPayload::InnerMessage(message) => Ok(Some(message)),
                NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
                _ => Ok(None),
            };
        }
    }
}

/// A socket that hears of every change.
pub(in crate::io) struct Events(Socket);

impl Events {
    /// Of these multicast groups.
    pub(in crate::io) fn of(groups: &[u32]) -> io::Result<Events> {
        let socket = open(NETLINK_ROUTE)?;
        for &group in groups {
            socket.add_membership(group)?;
        }
        Ok(Events(socket))
    }

    /// Waits for changes for so long, and forgets what they were but for their kind.
    pub(super) fn wait(&mut self, patience: Duration) -> Heard {
        // A wait that is longer than it should be: the heartbeat goes stale, and the program asks the kernel.
        let _ = SockRef::from(&self.0).set_read_timeout(Some(patience));
        let mut heard = self.hear(0);
        if heard != Heard::Nothing {
            loop {
                match self.hear(libc::MSG_DONTWAIT) {
                    Heard::Nothing => break,
                    Heard::Ways => {}
                    Heard::Links => heard = Heard::Links,
                }
            }
        }
        heard
    }

    fn hear(&mut self, flags: libc::c_int) -> Heard {
        const NEW_LINK: u16 = 16;
        let mut buffer = Vec::with_capacity(TYPICAL_ANSWER);
        match self.0.recv(&mut buffer, flags) {
            Ok(_) => match buffer.get(4..6) {
                Some(&[low, high]) if u16::from_ne_bytes([low, high]) == NEW_LINK => Heard::Links,
                _ => Heard::Ways,
            },
            // So many that some were lost.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Heard::Links,
            Err(_) => Heard::Nothing,
        }
    }

    /// The socket, which does not block any more.
    pub(in crate::io) fn into_socket(self) -> io::Result<OwnedFd> {
        self.0.set_non_blocking(true)?;
        self.0.as_fd().try_clone_to_owned()
    }
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing.
    Nothing,
    /// Routes, neighbours or addresses.
    Ways,
    /// Links, and perhaps others.
    Links,
}

/// Asks drivers what they can do, of the namespace that it was opened in.
pub(super) struct Drivers {
    socket: Socket,
    family: u16,
}

impl Drivers {
    /// None where the kernel does not tell (before Linux 6.3).
    pub(super) fn open() -> Option<Drivers> {
        const CONTROL: u16 = 0x10;
        const GET_FAMILY: u8 = 3;
        const FAMILY_ID: u16 = 1;
        const FAMILY_NAME: u16 = 2;
        let socket = open(NETLINK_GENERIC).ok()?;
        let question = (FAMILY_NAME, &b"netdev\0"[..]);
        let family = generic(&socket, CONTROL, GET_FAMILY, question, FAMILY_ID)?;
        let family = u16::from_ne_bytes(family.try_into().ok()?);
        Some(Drivers { socket, family })
    }

    /// Whether frames that an XDP program redirects to the interface leave by it, as the driver says; none where the kernel does not tell.
    pub(super) fn take_redirects(&self, ifindex: u32) -> Option<bool> {
        const GET_DEVICE: u8 = 1;
        const DEVICE_IFINDEX: u16 = 1;
        const DEVICE_XDP_FEATURES: u16 = 3;
        const NDO_XMIT: u64 = 4;
        let question = (DEVICE_IFINDEX, &ifindex.to_ne_bytes()[..]);
        let features = generic(
            &self.socket,
            self.family,
            GET_DEVICE,
            question,
            DEVICE_XDP_FEATURES,
        )?;
        Some(u64::from_ne_bytes(features.try_into().ok()?) & NDO_XMIT != 0)
    }
}

/// One question to a generic netlink family with one attribute, and one attribute of its answer.
fn generic(
    socket: &Socket,
    family: u16,
    command: u8,
    (kind, value): (u16, &[u8]),
    wanted: u16,
) -> Option<Vec<u8>> {
    const HEADERS: usize = 16 + 4;
    let padded = value.len().next_multiple_of(4);
    let length = HEADERS + 4 + padded;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&u32::try_from(length).ok()?.to_ne_bytes());
    bytes.extend_from_slice(&family.to_ne_bytes());
    bytes.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&[command, 1, 0, 0]);
    bytes.extend_from_slice(&u16::try_from(4 + value.len()).ok()?.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(length, 0);
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0).ok()?;
    let (answer, _) = socket.recv_from_full().ok()?;
    let mut rest = answer.get(HEADERS..)?;
    while let [l0, l1, k0, k1, ..] = *rest {
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        if u16::from_ne_bytes([k0, k1]) & 0x3fff == wanted {
            return rest.get(4..length).map(<[u8]>::to_vec);
        }
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
    None
}

fn open(protocol: isize) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    SockRef::from(&socket).set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// "There is none" is an answer, not a failure.
fn absent<T>(answer: io::Result<T>) -> io::Result<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) => match error.raw_os_error() {
            Some(
                libc::ENOENT
                | libc::ESRCH
                | libc::ENODEV
                | libc::ENETUNREACH
                | libc::EHOSTUNREACH
                | libc::ENONET
                | libc::EINVAL
                | libc::EACCES,
            ) => Ok(None),
            _ => Err(error),
        },
    }
}

fn neighbour(ifindex: u32, ip: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(ip);
    message.header.ifindex = ifindex;
    message.attributes = vec![NeighbourAttribute::Destination(match ip {
        IpAddr::V4(v4) => NeighbourAddress::Inet(v4),
        IpAddr::V6(v6) => NeighbourAddress::Inet6(v6),
    })];
    message
}

fn family(ip: IpAddr) -> AddressFamily {
    match ip {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn bits(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}
