//! How much later a packet arrives for having gone through the box, beside what the kernel's own forwarding adds.
//!
//! What is added is the time through two links less the time to a socket at the edge, which is one link.

use std::time::Duration;

use anyhow::Result;
use sbc_tests::e2e::EDGE_LEFT;

use crate::contender::Contender;
use crate::media_lab::{MEDIA_PORT, MediaLab, at, socket};
use crate::traffic::Latency;
use crate::transcode;

/// What is sent: one packet at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Calls, in turn.
    pub calls: u16,
    /// Packets of the phone that are timed.
    pub packets: u32,
    /// From one to the next.
    pub interval: Duration,
    /// Packets both ways before that, and for how long.
    pub settle: Duration,
}

/// Packets a second while contenders settle.
const SETTLING: u32 = 5_000;

/// Through one contender, from the phone to the carrier.
///
/// # Errors
/// It cannot be set to work, or loses packets.
pub fn through(lab: &MediaLab, contender: Contender, pace: Pace) -> Result<Latency> {
    let mut ends = match contender {
        Contender::Transcoding(..) | Contender::RtpengineTranscoding => {
            lab.ends()?.saying(transcode::speech())
        }
        _ => lab.ends()?,
    };
    let at_work = contender.start(lab, pace.calls)?;
    ends.stream(&at_work.targets, SETTLING, pace.settle)?;
    let carrier = ends.sockets[1].try_clone()?;
    ends.ping(&at_work.targets[0], &carrier, pace.packets, pace.interval)
}

/// To a socket at the edge: what every packet takes that arrives there.
///
/// # Errors
/// Packets are lost.
pub fn to_edge(lab: &MediaLab, pace: Pace) -> Result<Latency> {
    let mut ends = lab.ends()?;
    let edge = at(EDGE_LEFT, MEDIA_PORT);
    let to = socket(&lab.lab.edge, edge)?;
    to.set_nonblocking(true)?;
    ends.ping(&[edge], &to, pace.packets, pace.interval)
}
