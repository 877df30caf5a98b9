//! When a stream has become so bad that someone should look at it.

use std::fmt;

use crate::config::FlightRecorder;
use crate::media::{FlowCount, FlowKind, FlowPair, FlowReport, Speech, mos};

/// Packets that a stream has before anything is said of it: two seconds.
pub const LEAST: u64 = 100;

/// What is bad about what came from one side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bad {
    /// So much of it was lost, in percent.
    Loss(f64),
    /// It sounds like this (ITU-T G.107), 1 to 4.5.
    Mos(f64),
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bad::Loss(percent) => write!(f, "{percent:.1} % lost"),
            Bad::Mos(score) => write!(f, "a MOS of {score:.2}"),
        }
    }
}

/// What is bad about what a pair has carried, and the side that it came from: 0 or 1. Of RTP only.
#[must_use]
pub fn look(
    thresholds: &FlightRecorder,
    pair: &FlowPair,
    report: &FlowReport,
) -> Option<(usize, Bad)> {
    if pair.kind != FlowKind::Rtp {
        return None;
    }
    let mut sides = report.sides.iter().enumerate();
    sides.find_map(|(side, count)| Some((side, of(thresholds, count)?)))
}

fn of(thresholds: &FlightRecorder, count: &FlowCount) -> Option<Bad> {
    let speech = Speech {
        packets: count.packets,
        lost: count.quality.lost,
        jitter: count.quality.jitter,
        ..Speech::default()
    };
    let sent = speech.packets + speech.lost;
    if sent < LEAST {
        return None;
    }
    let loss = 100.0 * speech.lost as f64 / sent as f64;
    if thresholds.loss.is_some_and(|most| loss >= most.percent()) {
        return Some(Bad::Loss(loss));
    }
    let score = mos(&speech)?;
    let is_low = thresholds.mos.is_some_and(|least| score < least.score());
    is_low.then_some(Bad::Mos(score))
}
