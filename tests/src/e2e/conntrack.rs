//! What a router remembers of connections.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::lab::Namespace;

const SOON: Duration = Duration::from_secs(5);

impl Namespace {
    /// Empties its table of connections, as a restart would: `IPCTNL_MSG_CT_DELETE` without a filter.
    ///
    /// # Errors
    /// It has none.
    pub fn forget_connections(&self) -> Result<()> {
        self.enter(forget)?
    }
}

fn forget() -> Result<()> {
    const AF_NETLINK: i32 = 16;
    const NETFILTER: i32 = 12;
    let socket = Socket::new(
        Domain::from(AF_NETLINK),
        Type::RAW,
        Some(Protocol::from(NETFILTER)),
    )?;
    socket.set_read_timeout(Some(SOON))?;
    // nlmsghdr: length, type (conntrack, delete), flags (request, acknowledge), sequence, port; nfgenmsg: family, version, id.
    let mut message = Vec::new();
    message.extend(20_u32.to_ne_bytes());
    message.extend((1_u16 << 8 | 2).to_ne_bytes());
    message.extend((1_u16 | 4).to_ne_bytes());
    message.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    message.extend([2, 0, 0, 0]);
    socket.send(&message).context("netlink")?;
    let mut answer = [std::mem::MaybeUninit::uninit(); 1024];
    let (length, _): (usize, SockAddr) = socket.recv_from(&mut answer)?;
    ensure!(length >= 20, "{length} bytes from netlink");
    Ok(())
}
