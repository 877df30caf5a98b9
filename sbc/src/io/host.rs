//! What this host is: its addresses, its port ranges, its memory, who holds a port. Read from the kernel, never changed,
//! but for the limit of open files.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::Path;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::config::{Config, FastPath, Network};
use crate::sip::Transport;

/// One address of an interface that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAddress {
    /// The interface's name.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// What the interface is.
    pub kind: Kind,
}

/// What an interface is, as far as it matters to SIP and media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Reaches this host alone.
    Loopback,
    /// Has Ethernet frames.
    Ethernet,
    /// A tunnel, a modem: bare packets.
    Other,
}

impl HostAddress {
    /// Whether peers elsewhere can use it: not loopback, not link-local (a SIP URI has no place for a zone).
    #[must_use]
    pub fn is_global(&self) -> bool {
        let link_local = match self.address {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        !(self.kind == Kind::Loopback || link_local || self.address.is_unspecified())
    }
}

/// The addresses of all interfaces that are up, in the kernel's order, none twice.
///
/// # Errors
/// The kernel refuses to list them.
pub fn addresses() -> io::Result<Vec<HostAddress>> {
    let mut found: Vec<HostAddress> = Vec::new();
    for entry in getifaddrs()? {
        let Some(address) = entry.address.as_ref().and_then(|storage| {
            let v4 = storage.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| storage.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        }) else {
            continue;
        };
        if !entry.flags.contains(InterfaceFlags::IFF_UP) {
            continue;
        }
        let loopback = entry.flags.contains(InterfaceFlags::IFF_LOOPBACK) || address.is_loopback();
        let one = HostAddress {
            kind: match loopback {
                true => Kind::Loopback,
                false => kind(&entry.interface_name),
            },
            interface: entry.interface_name,
            address,
        };
        if !found.contains(&one) {
            found.push(one);
        }
    }
    Ok(found)
}

/// By its hardware type (ARPHRD_ETHER is 1). A kernel that does not tell has Ethernet.
fn kind(interface: &str) -> Kind {
    let told = fs::read_to_string(Path::new("/sys/class/net").join(interface).join("type"));
    match told.as_deref().map(str::trim) {
        Ok("1") | Err(_) => Kind::Ethernet,
        Ok(_) => Kind::Other,
    }
}

/// From which ports the kernel takes one for a socket that names none, and which of them it leaves alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EphemeralPorts {
    /// `net.ipv4.ip_local_port_range`; holds for IPv6 too.
    pub range: RangeInclusive<u16>,
    /// `net.ipv4.ip_local_reserved_ports`.
    pub reserved: Vec<RangeInclusive<u16>>,
}

/// The settings that are off and that kernel flows need to follow routes while no daemon is there: the kernel answers the program's questions about
/// the way only where `lo` forwards. It says nothing of what the host forwards otherwise. Empty where no network wants the kernel to forward.
#[must_use]
pub fn lacking_forwarding(config: &Config) -> Vec<&'static str> {
    let wanted = |network: &&Network| network.fast_path != FastPath::Off;
    let addresses = config.networks.iter().filter(wanted);
    let addresses: Vec<IpAddr> = addresses.flat_map(|n| n.addresses.clone()).collect();
    let is_off = |family: &str| {
        let path = format!("/proc/sys/net/{family}/conf/lo/forwarding");
        fs::read_to_string(path).is_ok_and(|value| value.trim() == "0")
    };
    let mut lacking = Vec::new();
    if addresses.iter().any(IpAddr::is_ipv4) && is_off("ipv4") {
        lacking.push("net.ipv4.conf.lo.forwarding");
    }
    if addresses.iter().any(IpAddr::is_ipv6) && is_off("ipv6") {
        lacking.push("net.ipv6.conf.lo.forwarding");
    }
    lacking
}

/// What is to be said of [`lacking_forwarding`], if anything.
#[must_use]
pub fn forwarding_note(config: &Config) -> Option<String> {
    let lacking = lacking_forwarding(config);
    let settings: Vec<String> = lacking.iter().map(|name| format!("{name}=1")).collect();
    (!settings.is_empty()).then(|| {
        format!(
            "while the daemon is away, kernel flows keep to the last next hop that it knew: `sysctl -w {}` has them follow routes",
            settings.join(" ")
        )
    })
}

/// Reads the two settings; `None` where the kernel does not show them.
#[must_use]
pub fn ephemeral_ports() -> Option<EphemeralPorts> {
    let dir = Path::new("/proc/sys/net/ipv4");
    let range = fs::read_to_string(dir.join("ip_local_port_range")).ok()?;
    let reserved = fs::read_to_string(dir.join("ip_local_reserved_ports")).unwrap_or_default();
    parse_ephemeral(&range, &reserved)
}

fn parse_ephemeral(range: &str, reserved: &str) -> Option<EphemeralPorts> {
    let mut bounds = range.split_whitespace().map(str::parse::<u16>);
    let range = bounds.next()?.ok()?..=bounds.next()?.ok()?;
    let reserved = reserved
        .trim()
        .split(',')
        .filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
        })
        .collect();
    Some(EphemeralPorts { range, reserved })
}

/// The process that holds a port, as `name (pid 123)`, where `/proc` tells this user.
#[must_use]
pub fn port_holder(transport: Transport, address: SocketAddr) -> Option<String> {
    let tables: [&str; 2] = match transport {
        Transport::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        Transport::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
    };
    let inode = tables
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .find_map(|text| socket_inode(&text, address, transport))?;
    let wanted = format!("socket:[{inode}]");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let Ok(files) = fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let holds = files
            .flatten()
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|target| target.to_str() == Some(wanted.as_str()));
        if holds {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (pid {pid})", name.trim()));
        }
    }
    None
}

/// Finds the inode of the socket bound (TCP: listening) at an address, or at all of them, in the text of
/// `/proc/net/udp` and its kin.
fn socket_inode(table: &str, address: SocketAddr, transport: Transport) -> Option<u64> {
    const LISTEN: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_whitespace();
        let local = words.nth(1)?;
        let state = words.nth(1)?;
        let inode: u64 = words.nth(5)?.parse().ok()?;
        let (host, port) = local.rsplit_once(':')?;
        let host = table_address(host)?;
        let holds = u16::from_str_radix(port, 16).ok()? == address.port()
            && (host == address.ip() || host.is_unspecified())
            && (transport == Transport::Udp || state == LISTEN);
        (holds && inode != 0).then_some(inode)
    })
}

/// An address as the kernel's tables show it: words of 32 bits in the byte order of the host.
fn table_address(hex: &str) -> Option<IpAddr> {
    let word = |index: usize| {
        let digits = hex.get(index * 8..index * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    match hex.len() {
        8 => Some(IpAddr::from(word(0)?)),
        32 => {
            let mut octets = [0; 16];
            for (index, chunk) in octets.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(index)?);
            }
            Some(IpAddr::from(octets))
        }
        _ => None,
    }
}

/// Memory of this process that is in RAM, in bytes.
#[must_use]
pub fn resident_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Lifts the soft limit of open files to the hard one: a connection or a media port is a file. What is in force then.
///
/// # Errors
/// The kernel refuses.
pub fn raise_open_files() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

/// Bytes from the kernel's random source.
///
/// # Errors
/// There is none.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

/// A number that no other daemon has.
///
/// # Errors
/// There is no random source.
pub(super) fn unique() -> io::Result<u64> {
    random().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_an_address_of_this_host_and_not_global() {
        let all = addresses().unwrap();
        let lo = all
            .iter()
            .find(|a| a.address == IpAddr::from([127, 0, 0, 1]))
            .unwrap();
        assert_eq!((lo.kind, lo.is_global()), (Kind::Loopback, false));
    }

    #[test]
    fn ephemeral_settings_are_read() {
        let read = parse_ephemeral("32768\t60999\n", "5060,40000-40999\n").unwrap();
        assert_eq!(read.range, 32768..=60999);
        assert_eq!(read.reserved, [5060..=5060, 40000..=40999]);
        assert_eq!(parse_ephemeral("1024 65535", "\n").unwrap().reserved, []);
        assert_eq!(parse_ephemeral("", ""), None);
    }

    #[test]
    fn the_holder_of_a_port_is_named() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let holder = port_holder(Transport::Udp, socket.local_addr().unwrap()).unwrap();
        assert!(
            holder.ends_with(&format!("(pid {})", std::process::id())),
            "{holder}"
        );
    }

    #[test]
    fn a_connected_tcp_socket_does_not_hold_a_listening_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:13C4 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 77 1\n\
            1: 0100007F:13C4 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 78 1\n";
        let at = |address: &str| socket_inode(table, address.parse().unwrap(), Transport::Tcp);
        assert_eq!(at("127.0.0.1:5060"), Some(78));
        assert_eq!(at("127.0.0.1:5061"), None);
    }

    #[test]
    fn table_addresses_are_read() {
        if cfg!(target_endian = "little") {
            assert_eq!(
                table_address("0100007F"),
                Some(IpAddr::from([127, 0, 0, 1]))
            );
        }
        assert_eq!(table_address(&"0".repeat(32)), Some(IpAddr::from([0; 16])));
        assert_eq!(table_address("0100"), None);
        assert_eq!(table_address("é100007"), None);
    }

    #[test]
    fn memory_and_randomness_are_there() {
        assert!(resident_memory().unwrap() > 100_000);
        assert_ne!(random::<32>().unwrap(), random::<32>().unwrap());
    }
}
