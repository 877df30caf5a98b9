//! Who carries media from one side of the lab to the other: our two paths, rtpengine, the kernel's own forwarding.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use sbc::config::{Config, NetworkId};
use sbc::io::fast_path::{FastPath, Opened};
use sbc::io::media::{Driver, Gathering, Setup, Workers};
use sbc::media::{
    Fallback, FlowCommand, FlowKind, FlowPair, NetworkPath, PairId, Path, Side, XdpMode,
};
use sbc_tests::e2e::{self, CARRIER, EDGE_LEFT, EDGE_RIGHT, PHONE};

use crate::cpu_time::{self, Thread};
use crate::media_lab::{MEDIA_PORT, MediaLab, at};
use crate::rtpengine::Rtpengine;
use crate::transcode;

/// Our lowest media port, on both sides; a call has two, the even one is RTP's.
const FIRST_PORT: u16 = 20_000;
/// What the daemon starts at most.
const MAX_WORKERS: usize = 8;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// Nobody: the kernel routes.
    Forwarding,
    /// The XDP program.
    Kernel,
    /// Our media workers.
    User,
    /// rtpengine in user space.
    Rtpengine,
    /// Our media workers on that driver, from G.722 to PCMU and back.
    Transcoding(Driver, Gathering),
    /// rtpengine, the same.
    RtpengineTranscoding,
}

/// A contender at work; ends on drop.
pub struct AtWork<'a> {
    /// Where the phone sends each call's media, and where the carrier does.
    pub targets: [Vec<SocketAddr>; 2],
    /// Its threads in user space.
    pub threads: BTreeSet<Thread>,
    _keep: Box<dyn Guard + 'a>,
}

/// Whatever ends with its owner.
trait Guard {}

impl<T> Guard for T {}

impl Contender {
    /// As rows call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Contender::Forwarding => "plain kernel forwarding",
            Contender::Kernel => "the kernel path",
            Contender::User => "the user-space path",
            Contender::Rtpengine => "rtpengine in user space",
            Contender::Transcoding(Driver::IoUring, Gathering::For(_)) => "the box on io_uring",
            Contender::Transcoding(Driver::IoUring, Gathering::Off) => {
                "the box on io_uring, frame by frame"
            }
            Contender::Transcoding(Driver::Epoll, Gathering::For(_)) => "the box on epoll",
            Contender::Transcoding(Driver::Epoll, Gathering::Off) => {
                "the box on epoll, frame by frame"
            }
            Contender::RtpengineTranscoding => "rtpengine",
        }
    }

    /// Sets it to work in the lab on so many calls.
    ///
    /// # Errors
    /// It is not installed, or refuses.
    pub fn start(self, lab: &MediaLab, calls: u16) -> Result<AtWork<'_>> {
        match self {
            Contender::Forwarding => forwarding(lab, calls),
            Contender::Kernel => kernel(lab, calls),
            Contender::User => user(lab, calls, (None, &Setup::new(count())), |call| {
                pair(call, Path::User(Fallback::Off))
            }),
            Contender::Transcoding(driver, gathering) => {
                let setup = Setup {
                    gathering,
                    ..Setup::new(count())
                };
                transcoding(lab, calls, driver, &setup)
            }
            Contender::Rtpengine => rtpengine(lab, calls, Rtpengine::call),
            Contender::RtpengineTranscoding => rtpengine(lab, calls, Rtpengine::transcoded_call),
        }
    }
}

fn forwarding(lab: &MediaLab, calls: u16) -> Result<AtWork<'_>> {
    let calls = usize::from(calls);
    Ok(AtWork {
        targets: [
            vec![at(CARRIER, MEDIA_PORT); calls],
            vec![at(PHONE, MEDIA_PORT); calls],
        ],
        threads: BTreeSet::new(),
        _keep: Box::new(lab.route()?),
    })
}

fn kernel(lab: &MediaLab, calls: u16) -> Result<AtWork<'_>> {
    let before = cpu_time::own_threads("next-hops")?;
    let mut fast_path = open(lab)?;
    for call in 0..calls {
        fast_path
            .install(&Arc::new(pair(call, Path::Kernel)?))
            .map_err(|failure| anyhow!("a flow was refused: {failure:?}"))?;
    }
    let after = cpu_time::own_threads("next-hops")?;
    Ok(AtWork {
        targets: targets(calls)?,
        threads: after.difference(&before).cloned().collect(),
        _keep: Box::new(fast_path),
    })
}

/// The fast path of the lab's edge, in native mode on both sides.
///
/// # Errors
/// The kernel does not have it.
pub fn open(lab: &MediaLab) -> Result<FastPath> {
    let config = config(lab)?;
    let Opened {
        fast_path,
        paths,
        notes,
    } = lab.lab.edge.enter(|| FastPath::open(&config))?;
    let native = NetworkPath::Kernel {
        mode: XdpMode::Native,
    };
    ensure!(
        paths.iter().all(|(_, path)| *path == native),
        "no native mode: {}",
        notes.join("; ")
    );
    fast_path.context("no network has the kernel path")
}

fn config(lab: &MediaLab) -> Result<Config> {
    let text = e2e::lab_config(e2e::FastPath::Native, lab.lab.scratch.path());
    let parsed = Config::parse(&text, "lab.toml", &sbc::config::NoSecrets);
    parsed.map_err(|errors| anyhow!("the lab's config: {errors}"))
}

/// Our media workers on that driver, from G.722 to PCMU and back.
///
/// # Errors
/// They cannot be set to work.
pub fn transcoding<'a>(
    lab: &'a MediaLab,
    calls: u16,
    driver: Driver,
    setup: &Setup,
) -> Result<AtWork<'a>> {
    user(lab, calls, (Some(driver), setup), transcode::pair)
}

fn count() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get().min(MAX_WORKERS))
}

fn user<'a>(
    lab: &'a MediaLab,
    calls: u16,
    (driver, setup): (Option<Driver>, &Setup),
    pair: impl Fn(u16) -> Result<FlowPair>,
) -> Result<AtWork<'a>> {
    let others = workers_threads()?;
    let (sender, reports) = std::sync::mpsc::channel();
    let report = Arc::new(move |input| {
        // The benchmark may have ended.
        let _ = sender.send(input);
    });
    // Their sockets belong to where they were started.
    let start = || match driver {
        Some(driver) => Workers::start_as(driver, setup, 2, report),
        None => Workers::start(setup, 2, report),
    };
    let workers = lab.lab.edge.enter(start)??;
    for call in 0..calls {
        let pair = pair(call)?;
        workers
            .command(FlowCommand::Install(pair.into()))
            .map_err(|failure| anyhow!("a flow was refused: {failure:?}"))?;
    }
    let threads = workers_threads()?.difference(&others).cloned().collect();
    Ok(AtWork {
        targets: targets(calls)?,
        threads,
        _keep: Box::new((workers, reports)),
    })
}

fn workers_threads() -> Result<BTreeSet<Thread>> {
    let mut found = BTreeSet::new();
    for number in 0..MAX_WORKERS {
        found.append(&mut cpu_time::own_threads(&format!("media-{number}"))?);
    }
    Ok(found)
}

fn rtpengine(
    lab: &MediaLab,
    calls: u16,
    begin: fn(&mut Rtpengine, u16, [SocketAddr; 2]) -> Result<[SocketAddr; 2]>,
) -> Result<AtWork<'_>> {
    let mut rtpengine = Rtpengine::start(&lab.lab.edge)?;
    let mut targets = [Vec::new(), Vec::new()];
    for call in 0..calls {
        let peers = [at(PHONE, MEDIA_PORT), at(CARRIER, MEDIA_PORT)];
        let anchored = begin(&mut rtpengine, call, peers)?;
        for (targets, target) in targets.iter_mut().zip(anchored) {
            targets.push(target);
        }
    }
    Ok(AtWork {
        targets,
        threads: cpu_time::threads_of(rtpengine.id())?,
        _keep: Box::new(rtpengine),
    })
}

/// One call's RTP, with all that the box looks at in a call of PCMU.
///
/// # Errors
/// There are more calls than ports.
pub fn pair(call: u16, path: Path) -> Result<FlowPair> {
    let port = port(call)?;
    let side = |network: u16, ours, peer| Side {
        named: Some(at(peer, MEDIA_PORT)),
        payload_types: 1 | 1 << 13,
        timed: 1,
        clock_rate: 8000,
        ..Side::new(NetworkId(network), at(ours, port))
    };
    Ok(FlowPair {
        id: PairId(u64::from(call)),
        kind: FlowKind::Rtp,
        sides: [side(0, EDGE_LEFT, PHONE), side(1, EDGE_RIGHT, CARRIER)],
        path,
        companion: None,
    })
}

fn port(call: u16) -> Result<u16> {
    if call >= 5_000 {
        bail!("the lab's media range holds 5,000 calls");
    }
    Ok(FIRST_PORT + 2 * call)
}

fn targets(calls: u16) -> Result<[Vec<SocketAddr>; 2]> {
    let ports: Vec<u16> = (0..calls).map(port).collect::<Result<_>>()?;
    let on = |ip: std::net::Ipv4Addr| ports.iter().map(|&port| at(ip, port)).collect();
    Ok([on(EDGE_LEFT), on(EDGE_RIGHT)])
}
