//! All IPv4 that arrives at a host, as it arrives.

use std::io::Read as _;

use anyhow::Result;
use socket2::{Domain, Protocol, Socket, Type};

use super::background::{Background, LOOK};
use super::lab::Namespace;

const ETH_P_IP: u16 = 0x0800;
/// Segments of TCP may come in one piece.
const LONGEST: usize = 65_535;

/// Gives each packet to `take`, from its IP header on, until it is dropped.
pub(super) fn tap(
    host: &Namespace,
    mut take: impl FnMut(&[u8]) + Send + 'static,
) -> Result<Background> {
    // Of one protocol: what leaves the host does not come here.
    let protocol = Protocol::from(i32::from(ETH_P_IP.to_be()));
    let socket = host.enter(|| Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol)))??;
    socket.set_read_timeout(Some(LOOK))?;
    let mut bytes = vec![0; LONGEST];
    Ok(Background::run(move || {
        if let Ok(length) = (&socket).read(&mut bytes) {
            take(bytes.get(..length).unwrap_or_default());
        }
    }))
}
