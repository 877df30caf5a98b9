//! A home on the internet: phones and the box on one switch behind a router that forwards SIP and media to the box, a carrier, and a phone
//! on the road behind a NAT of its own. Each is a network namespace.
//!
//! ```text
//! living  192.168.1.21 --+
//! kitchen 192.168.1.22 --+-- switch --- 192.168.1.1 router 203.0.113.8 ---+
//! server  192.168.1.2  --+                                               |
//!                                                                    internet --- carrier 198.51.100.9; STUN 198.51.100.1
//! mobile  192.168.5.2  --- 192.168.5.1 hotspot 192.0.2.77 ---------------+
//! ```
//! The internet forwards between its neighbours and knows nothing of 192.168.0.0/16.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;

use anyhow::{Context, Result};

use super::background::{Background, LOOK};
use super::kernel::BpfStats;
use super::lab::{Namespace, Scratch, Turn};

/// The hosts; gone on drop. One lab at a time on a machine.
#[derive(Debug)]
pub struct Home {
    /// A phone at home: `eth0`, [`LIVING`].
    pub living: Namespace,
    /// Another: `eth0`, [`KITCHEN`].
    pub kitchen: Namespace,
    /// The box: `eth0`, [`SERVER`], and nothing else.
    pub server: Namespace,
    /// `lan` and `wan`.
    pub router: Namespace,
    /// `home`, `trunk`, `road`.
    pub internet: Namespace,
    /// `eth0`, [`CARRIER`] and [`STUN`].
    pub carrier: Namespace,
    /// The NAT of the phone on the road: `wan`, [`HOTSPOT`], and `lan`.
    pub hotspot: Namespace,
    /// The phone on the road: `eth0`, [`MOBILE`].
    pub mobile: Namespace,
    /// For configs and recordings.
    pub scratch: Scratch,
    _switch: Namespace,
    _stats: BpfStats,
    _turn: Turn,
}

/// A phone at home.
pub const LIVING: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 21);
/// Another phone at home.
pub const KITCHEN: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 22);
/// The box.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);
/// The router, as those at home know it.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
/// The router, as all others know it at first.
pub const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 8);
/// The carrier's SIP server.
pub const TRUNK: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 9);
/// The STUN server, on the carrier's host.
pub const STUN: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The NAT of the phone on the road, as all others know it.
pub const HOTSPOT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);
/// The phone on the road.
pub const MOBILE: Ipv4Addr = Ipv4Addr::new(192, 168, 5, 2);

/// The media range that the router forwards.
pub const MEDIA: RangeInclusive<u16> = 20_000..=20_199;

const STUN_PORT: u16 = 3478;

impl Home {
    /// Waits for its turn and builds all of it.
    ///
    /// # Errors
    /// `ip`, `ethtool` or `nft` refused something.
    pub fn new() -> Result<Home> {
        let turn = Turn::share()?;
        let home = Home {
            living: Namespace::new("living")?,
            kitchen: Namespace::new("kitchen")?,
            server: Namespace::new("server")?,
            router: Namespace::new("router")?,
            internet: Namespace::new("internet")?,
            carrier: Namespace::new("carrier")?,
            hotspot: Namespace::new("hotspot")?,
            mobile: Namespace::new("mobile")?,
            scratch: Scratch::new()?,
            _switch: Namespace::new("switch")?,
            _stats: BpfStats::on()?,
            _turn: turn,
        };
        home.wire()?;
        Ok(home)
    }

    fn wire(&self) -> Result<()> {
        let switch = &self._switch;
        switch.ip("link add name bridge type bridge")?;
        switch.ip("link set bridge up")?;
        let at_home = [
            (&self.living, "eth0", LIVING),
            (&self.kitchen, "eth0", KITCHEN),
            (&self.server, "eth0", SERVER),
            (&self.router, "lan", ROUTER),
        ];
        for (number, (host, device, address)) in at_home.into_iter().enumerate() {
            let port = format!("port{number}");
            cable((host, device), (switch, &port))?;
            switch.ip(&format!("link set {port} master bridge"))?;
            host.ip(&format!("addr add {address}/24 dev {device}"))?;
            if address != ROUTER {
                host.ip(&format!("route add default via {ROUTER}"))?;
            }
        }
        // The internet's ends have the last address of each of its networks.
        let outside = [
            (&self.router, "wan", PUBLIC, "home"),
            (&self.carrier, "eth0", TRUNK, "trunk"),
            (&self.hotspot, "wan", HOTSPOT, "road"),
        ];
        for (host, device, address, port) in outside {
            cable((host, device), (&self.internet, port))?;
            let gateway = gateway(address);
            self.internet
                .ip(&format!("addr add {gateway}/24 dev {port}"))?;
            host.ip(&format!("addr add {address}/24 dev {device}"))?;
            host.ip(&format!("route add default via {gateway}"))?;
        }
        self.carrier.ip(&format!("addr add {STUN}/24 dev eth0"))?;
        cable((&self.mobile, "eth0"), (&self.hotspot, "lan"))?;
        let inner = Ipv4Addr::new(192, 168, 5, 1);
        self.hotspot.ip(&format!("addr add {inner}/24 dev lan"))?;
        self.mobile.ip(&format!("addr add {MOBILE}/24 dev eth0"))?;
        self.mobile.ip(&format!("route add default via {inner}"))?;
        for router in [&self.router, &self.internet, &self.hotspot] {
            router.set("net/ipv4/ip_forward", "1")?;
        }
        for nat in [&self.router, &self.hotspot] {
            nat.exec("nft add table ip nat")?;
            nat.exec("nft add chain ip nat out { type nat hook postrouting priority 100 ; }")?;
            nat.exec("nft add rule ip nat out oifname wan masquerade")?;
        }
        // SIP and media, whoever they come from, if they are for the address that it has.
        self.router
            .exec("nft add chain ip nat in { type nat hook prerouting priority -100 ; }")?;
        let (first, last) = (MEDIA.start(), MEDIA.end());
        for what in [
            "udp dport 5060".to_owned(),
            "tcp dport 5060".to_owned(),
            format!("udp dport {first}-{last}"),
        ] {
            self.router.exec(&format!(
                "nft add rule ip nat in iifname wan fib daddr type local {what} dnat to {SERVER}"
            ))?;
        }
        // An address of ours that somebody out there was told is answered for by nobody.
        self.internet
            .ip("route add blackhole 192.168.0.0/16")
            .map(drop)
    }

    /// The provider gives the router another address, and it forgets all connections.
    ///
    /// # Errors
    /// `ip` refused it.
    pub fn readdress(&self, from: Ipv4Addr, to: Ipv4Addr) -> Result<()> {
        // With the last address of a network goes the way through it.
        self.router.ip(&format!("addr del {from}/24 dev wan"))?;
        self.router.ip(&format!("addr add {to}/24 dev wan"))?;
        self.router
            .ip(&format!("route add default via {}", gateway(to)))?;
        self.router.forget_connections()
    }

    /// The NAT of the phone on the road forgets all connections, and gives their ports anew, out of these.
    ///
    /// # Errors
    /// `nft` refused it.
    pub fn rebind(&self, ports: RangeInclusive<u16>) -> Result<()> {
        let (first, last) = (ports.start(), ports.end());
        // At once: between the two nothing would be translated.
        self.hotspot.exec(&format!(
            "nft flush chain ip nat out ; add rule ip nat out oifname wan meta l4proto udp masquerade to :{first}-{last}"
        ))?;
        self.hotspot.forget_connections()
    }

    /// Answers Binding requests at [`STUN`], port 3478, until it is dropped.
    ///
    /// # Errors
    /// The port is not to be had.
    pub fn stun(&self) -> Result<StunServer> {
        let at = SocketAddr::from((STUN, STUN_PORT));
        let socket = self.carrier.enter(|| UdpSocket::bind(at))?;
        let socket = socket.with_context(|| format!("cannot bind {at}"))?;
        socket.set_read_timeout(Some(LOOK))?;
        let mut bytes = [0; 1500];
        let server = Background::run(move || {
            if let Ok((length, from)) = socket.recv_from(&mut bytes)
                && let Some(answer) = mapped(&bytes[..length], from)
            {
                // Who does not hear it asks again.
                let _ = socket.send_to(&answer, from);
            }
        });
        Ok(StunServer { _server: server })
    }
}

/// A STUN server; ends on drop.
#[derive(Debug)]
pub struct StunServer {
    _server: Background,
}

/// RFC 8489 14.2: where a Binding request came from, hidden from those who rewrite addresses.
fn mapped(request: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    let IpAddr::V4(ip) = from.ip() else {
        return None;
    };
    let name = request.get(4..20)?;
    if request.get(..2)? != [0, 1] {
        return None;
    }
    let mut answer = vec![1, 1, 0, 12];
    answer.extend(name);
    answer.extend([0, 0x20, 0, 8, 0, 1]);
    let place = from.port().to_be_bytes();
    let fields = place.iter().zip(name);
    answer.extend(fields.map(|(byte, mask)| byte ^ mask));
    answer.extend(ip.octets().iter().zip(name).map(|(byte, mask)| byte ^ mask));
    Some(answer)
}

fn gateway(address: Ipv4Addr) -> Ipv4Addr {
    let [a, b, c, _] = address.octets();
    Ipv4Addr::new(a, b, c, 254)
}

/// A cable between two new devices; both are up. Checksums are left to no device, and a veth takes what XDP redirects to its peer only
/// with NAPI, which GRO switches on.
fn cable((host, device): (&Namespace, &str), (other, port): (&Namespace, &str)) -> Result<()> {
    host.ip(&format!(
        "link add {device} type veth peer name {port} netns {}",
        other.name()
    ))?;
    for (host, device) in [(host, device), (other, port)] {
        host.exec(&format!("ethtool -K {device} tx off gro on"))?;
        host.ip(&format!("link set {device} up"))?;
    }
    Ok(())
}
