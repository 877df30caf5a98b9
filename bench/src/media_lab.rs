//! The three hosts of the end-to-end tests, made ready to measure media: the same devices for whoever forwards.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sbc_tests::e2e::{CARRIER, Lab, Namespace, Need, PHONE};
use socket2::SockRef;

use crate::cpu_time::{self, Thread};
use crate::traffic::Ends;

/// Where phone and carrier have their media.
pub const MEDIA_PORT: u16 = 4000;
/// Of the sockets that measure: bursts must not be lost there.
const ROOM: usize = 8 << 20;
const BPF_STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";
/// Longer than a kernel thread takes to appear.
const PATIENCE: Duration = Duration::from_secs(2);

/// A [`Lab`] whose devices all receive by NAPI, without statistics that cost time.
#[derive(Debug)]
pub struct MediaLab {
    /// The hosts.
    pub lab: Lab,
}

impl MediaLab {
    /// Waits for its turn and builds it.
    ///
    /// # Errors
    /// What it needs is lacking.
    pub fn new() -> Result<MediaLab> {
        for need in [Need::Namespaces, Need::Program("ethtool")] {
            if let Some(reason) = need.lacking() {
                bail!("{reason}");
            }
        }
        MediaLab::of(Lab::new()?)
    }

    /// One more, in the same turn.
    ///
    /// # Errors
    /// It cannot be built.
    pub fn beside(&self) -> Result<MediaLab> {
        MediaLab::of(self.lab.beside()?)
    }

    fn of(lab: Lab) -> Result<MediaLab> {
        // The lab puts it back to what it was.
        let _ = std::fs::write(BPF_STATS, "0");
        for port in ["left", "right"] {
            lab.edge.exec(&format!("ethtool -K {port} gro on"))?;
        }
        Ok(MediaLab { lab })
    }

    /// The phone's socket and the carrier's.
    ///
    /// # Errors
    /// They cannot be opened.
    pub fn ends(&self) -> Result<Ends> {
        let ends = [(&self.lab.phone, PHONE), (&self.lab.carrier, CARRIER)];
        let mut sockets = Vec::new();
        for (namespace, ip) in ends {
            sockets.push(socket(namespace, SocketAddr::new(ip.into(), MEDIA_PORT))?);
        }
        let sockets = sockets.try_into();
        Ends::new(sockets.map_err(|_| anyhow::anyhow!("there are two ends"))?)
    }

    /// Moves what every device does when packets come in to a kernel thread of its own; gives those of the edge.
    ///
    /// # Errors
    /// The kernel has no threaded NAPI.
    pub fn count_kernel_work(&self) -> Result<BTreeSet<Thread>> {
        let before = cpu_time::processes("napi/")?;
        for (namespace, port) in [
            (&self.lab.edge, "left"),
            (&self.lab.edge, "right"),
            (&self.lab.phone, "eth0"),
            (&self.lab.carrier, "eth0"),
        ] {
            let line = format!("echo 1 > /sys/class/net/{port}/threaded");
            let output = namespace.command("sh").args(["-c", &line]).output()?;
            ensure!(
                output.status.success(),
                "{port} has no threaded NAPI: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let end = std::time::Instant::now() + PATIENCE;
        loop {
            let mut threads = cpu_time::processes("napi/left")?;
            threads.extend(cpu_time::processes("napi/right")?);
            let threads: BTreeSet<_> = threads.difference(&before).cloned().collect();
            // One for each receive queue.
            if threads.len() >= 2 {
                return Ok(threads);
            }
            ensure!(
                std::time::Instant::now() < end,
                "no napi/left and napi/right: kernel threads cannot be seen here"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Lets the edge route, without any relay, while the guard lives.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn route(&self) -> Result<Routing<'_>> {
        switch_routing(&self.lab.edge, "1")?;
        Ok(Routing(&self.lab.edge))
    }
}

/// The edge routes.
#[derive(Debug)]
pub struct Routing<'a>(&'a Namespace);

impl Drop for Routing<'_> {
    fn drop(&mut self) {
        // The namespace does not live much longer.
        let _ = switch_routing(self.0, "0");
    }
}

fn switch_routing(namespace: &Namespace, to: &str) -> Result<()> {
    let path = "/proc/sys/net/ipv4/ip_forward";
    namespace
        .enter(|| std::fs::write(path, to))?
        .with_context(|| format!("cannot write {path}"))
}

/// A socket in a namespace that holds all that comes between two looks at it.
///
/// # Errors
/// It cannot be opened.
pub fn socket(namespace: &Namespace, at: SocketAddr) -> Result<UdpSocket> {
    let socket = namespace
        .enter(|| UdpSocket::bind(at))?
        .with_context(|| format!("cannot bind {at}"))?;
    // Root may exceed the system's limit, which is about 200 KB.
    let raised =
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBufForce, &ROOM);
    raised.context("SO_RCVBUFFORCE")?;
    SockRef::from(&socket).set_send_buffer_size(ROOM)?;
    Ok(socket)
}

/// Ours or a peer's address with a port.
#[must_use]
pub fn at(ip: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(ip.into(), port)
}
