//! The daemon as a process on loopback addresses: no root, no namespace. A call between two trunks, of plain text and whole packets.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::config::FastPath;
use super::daemon::{READY, binary, get};
use super::lab::Scratch;
use super::metrics::Metrics;
use super::plain;
use super::process::Process;

/// Longer than anything takes that happens at all.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a packet is waited for that may have come too early to be forwarded.
const AGAIN: Duration = Duration::from_millis(50);

/// A running daemon between two trunks, `a` and `b`, and a route from `a` to `b`; killed on drop.
#[derive(Debug)]
pub struct Loopback {
    process: Process,
    address: IpAddr,
    trunks: [IpAddr; 2],
    _scratch: Scratch,
}

impl Loopback {
    /// Starts it, as the last words of the command line `launcher` (none: by itself), and waits until it is ready.
    ///
    /// # Errors
    /// It ended or was not ready in time; the error holds what it printed.
    pub fn start(launcher: &[&OsStr]) -> Result<Loopback> {
        Loopback::start_with(launcher, FastPath::Off, ["", ""])
    }

    /// The same with these lines more for each trunk; it may try the kernel path. On `lo` that is loaded, if that can be, and not used.
    ///
    /// # Errors
    /// As [`Loopback::start`].
    pub fn start_with(
        launcher: &[&OsStr],
        fast_path: FastPath,
        more: [&str; 2],
    ) -> Result<Loopback> {
        static STARTED: AtomicU8 = AtomicU8::new(0);
        let first = 3 * STARTED.fetch_add(1, Ordering::Relaxed) + 1;
        let [address, a, b] = [0, 1, 2].map(|number| own_address(first + number));
        let scratch = Scratch::new()?;
        let text = config(address, [a, b], fast_path, more, &scratch);
        let file = scratch.write("loopback.toml", &text)?;
        let line = [
            launcher,
            &[
                binary()?.as_os_str(),
                "run".as_ref(),
                "--config".as_ref(),
                file.as_os_str(),
            ],
        ]
        .concat();
        let (program, arguments) = line.split_first().context("no program")?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(scratch.path());
        let mut daemon = Loopback {
            process: Process::spawn("sbc", command)?,
            address,
            trunks: [a, b],
            _scratch: scratch,
        };
        let end = Instant::now() + READY;
        while !matches!(get(daemon.admin(), "/readyz"), Ok((200, _))) {
            if daemon.process.has_ended() || Instant::now() > end {
                bail!("the daemon is not ready:\n{}", daemon.process.printed());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(daemon)
    }

    /// One scrape of `/metrics`.
    ///
    /// # Errors
    /// It does not answer, or not with metrics.
    pub fn scrape(&self) -> Result<Metrics> {
        let (status, body) = get(self.admin(), "/metrics")?;
        ensure!(status == 200, "/metrics answers {status}: {body}");
        Metrics::parse(&body)
    }

    /// The process: its output, its signals.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Trunk `a` calls trunk `b`, which answers.
    ///
    /// # Errors
    /// The call does not come up.
    pub fn call(&self) -> Result<LoopbackCall> {
        let sbc = SocketAddr::new(self.address, 5060);
        let ends = self.trunks.map(|trunk| End::new(trunk, sbc));
        let [caller, callee] = ends;
        LoopbackCall::begin(caller?, callee?)
    }

    /// The box's address for SIP, and the addresses of the trunks.
    #[must_use]
    pub fn places(&self) -> (SocketAddr, [IpAddr; 2]) {
        (SocketAddr::new(self.address, 5060), self.trunks)
    }

    fn admin(&self) -> SocketAddr {
        SocketAddr::new(self.address, 9960)
    }
}

/// A call that is up.
#[derive(Debug)]
pub struct LoopbackCall {
    /// The caller and the callee.
    ends: [End; 2],
    /// Where each end sends its media.
    towards: [SocketAddr; 2],
    /// What the caller adds to its To since the answer.
    tag: String,
}

impl LoopbackCall {
    /// One end calls through the box, and the other one, where the box leads that, answers.
    ///
    /// # Errors
    /// The call does not come up.
    pub fn begin(caller: End, callee: End) -> Result<LoopbackCall> {
        caller.asks("INVITE", "", &caller.sdp()?)?;
        let asked = callee.hears("INVITE ")?;
        callee.answers(&asked, &callee.sdp()?)?;
        let answered = caller.hears("SIP/2.0 200 ")?;
        let to = plain::field(&answered, "To").context("a 200 without To")?;
        let (_, tag) = to.split_once('>').context("a To without a tag")?;
        caller.asks("ACK", tag, "")?;
        callee.hears("ACK ")?;
        Ok(LoopbackCall {
            towards: [plain::media_of(&answered)?, plain::media_of(&asked)?],
            tag: tag.to_owned(),
            ends: [caller, callee],
        })
    }

    /// So many packets of voice, at most 250, one by one in each direction: every one arrives as it was sent, from where the far end knows it.
    ///
    /// # Errors
    /// One does not.
    pub fn talks(&self, packets: u8) -> Result<()> {
        // The ports are opened while the answer is on its way.
        self.hears_the_first(0, 1)?;
        self.hears_the_first(1, 0)?;
        for sequence in 1..=packets {
            for (from, to) in [(0, 1), (1, 0)] {
                let packet = voice(sequence, from);
                self.ends[from].media.send_to(&packet, self.towards[from])?;
                // First packets that were sent again may still be there.
                let heard = loop {
                    let heard = self.receive(to)?.context("a packet was lost")?;
                    if heard.0 != voice(0, from) {
                        break heard;
                    }
                };
                ensure!(
                    heard == (packet, self.towards[to]),
                    "packet {sequence} arrived changed, or from elsewhere: {heard:?}"
                );
            }
        }
        Ok(())
    }

    /// The caller hangs up.
    ///
    /// # Errors
    /// The callee does not hear of it, or the caller not that it did.
    pub fn hangs_up(self) -> Result<()> {
        let [caller, callee] = &self.ends;
        caller.asks("BYE", &self.tag, "")?;
        callee.answers(&callee.hears("BYE ")?, "")?;
        caller.hears("SIP/2.0 200 ")?;
        Ok(())
    }

    fn hears_the_first(&self, from: usize, to: usize) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        self.ends[to].media.set_read_timeout(Some(AGAIN))?;
        while Instant::now() < end {
            self.ends[from]
                .media
                .send_to(&voice(0, from), self.towards[from])?;
            if self.receive(to)?.is_some() {
                self.ends[to].media.set_read_timeout(Some(PATIENCE))?;
                return Ok(());
            }
        }
        bail!("no voice from end {from}")
    }

    fn receive(&self, end: usize) -> Result<Option<(Vec<u8>, SocketAddr)>> {
        let mut bytes = vec![0; 2048];
        match self.ends[end].media.recv_from(&mut bytes) {
            Ok((length, from)) => {
                bytes.truncate(length);
                Ok(Some((bytes, from)))
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// One party of a call: a trunk to the box, of plain text and whole packets.
#[derive(Debug)]
pub struct End {
    sip: UdpSocket,
    media: UdpSocket,
    sbc: SocketAddr,
}

impl End {
    /// At port 5060 of an address of the calling thread's network; `sbc` is where the box listens on that side.
    ///
    /// # Errors
    /// The port is taken, or the address is none of this host's.
    pub fn new(address: IpAddr, sbc: SocketAddr) -> Result<End> {
        let sip = UdpSocket::bind((address, 5060))?;
        sip.set_read_timeout(Some(PATIENCE))?;
        let media = UdpSocket::bind((address, 0))?;
        media.set_read_timeout(Some(PATIENCE))?;
        Ok(End { sip, media, sbc })
    }

    fn sdp(&self) -> Result<String> {
        Ok(plain::sdp(self.media.local_addr()?))
    }

    /// Sends a request of its one dialog.
    fn asks(&self, method: &str, tag: &str, body: &str) -> Result<()> {
        let (sbc, from) = (self.sbc, self.sip.local_addr()?);
        let cseq = u8::from(method == "BYE") + 1;
        let text = format!(
            "{method} sip:15551234567@{sbc} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{method}\r\nMax-Forwards: 70\r\n\
             From: <sip:1@{from}>;tag=caller\r\nTo: <sip:15551234567@{sbc}>{tag}\r\nCall-ID: loopback\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:1@{from}>\r\n{}",
            plain::content(body)
        );
        self.sip.send_to(text.as_bytes(), sbc)?;
        Ok(())
    }

    /// The next message that begins like this, past others (100, 180, what is sent again).
    fn hears(&self, beginning: &str) -> Result<String> {
        let mut bytes = vec![0; 65_535];
        loop {
            let (length, from) = self
                .sip
                .recv_from(&mut bytes)
                .with_context(|| format!("waiting for {beginning:?}"))?;
            ensure!(from == self.sbc, "a message from {from}");
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if text.starts_with(beginning) {
                return Ok(text);
            }
            let refused = text.starts_with("SIP/2.0 ") && !text.starts_with("SIP/2.0 1");
            ensure!(!refused, "waiting for {beginning:?}: {text}");
        }
    }

    /// Sends the 200 to a request.
    fn answers(&self, request: &str, body: &str) -> Result<()> {
        let text = plain::ok(request, self.sip.local_addr()?, body);
        self.sip.send_to(text.as_bytes(), self.sbc)?;
        Ok(())
    }
}

/// 20 ms of PCMU.
fn voice(sequence: u8, from: usize) -> Vec<u8> {
    let ssrc = 1 + from as u8;
    let mut packet = vec![0x80, 0, 0, sequence, 0, 0, 0, sequence, 0, 0, 0, ssrc];
    packet.extend([0xd5; 160]);
    packet
}

/// A loopback address that only this process uses.
fn own_address(last: u8) -> IpAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 128 + high % 80, low, last).into()
}

fn config(
    address: IpAddr,
    [a, b]: [IpAddr; 2],
    fast_path: FastPath,
    more: [&str; 2],
    scratch: &Scratch,
) -> String {
    let [of_a, of_b] = more;
    let fast_path = fast_path.word();
    let state_dir = scratch.path().join("state");
    let state_dir = state_dir.display();
    format!(
        r#"[sbc]
name      = "loopback"
state_dir = "{state_dir}"
admin     = "{address}:9960"

[network.lo]
address     = ["{address}"]
sip         = ["udp:5060"]
media_ports = "20000-20099"
fast_path   = "{fast_path}"

[trunk.a]
network = "lo"
server  = "sip:{a}:5060"
{of_a}

[trunk.b]
network = "lo"
server  = "sip:{b}:5060"
{of_b}

[[route]]
name = "out"
from = ["trunk:a"]
to   = ["trunk:b"]
"#
    )
}
