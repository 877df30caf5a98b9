//! What was chosen for a stream.

use super::calls::path;
use super::types::{Stream, StreamSide};
use crate::media::{self, Choice, StreamView};

/// A stream between these two.
pub(super) fn stream(view: StreamView, parties: &[String; 2]) -> Stream {
    let why = view.why(parties);
    let [first, second] = view.sides;
    let [one, other] = parties;
    Stream {
        kind: view.kind,
        choice: label(view.choice).to_owned(),
        why,
        path: path(view.way).0.to_owned(),
        path_why: view.way.words(),
        sides: [side(first, one), side(second, other)],
        pairs: view.pairs.into_iter().map(|pair| pair.0).collect(),
    }
}

fn label(choice: Choice) -> &'static str {
    match choice {
        Choice::Shared => "shared",
        Choice::NoneShared | Choice::Insisted { .. } => "transcoded",
        Choice::Passed => "passed",
        Choice::Open => "open",
        Choice::Off => "off",
        Choice::Refused(_) => "refused",
    }
}

fn side(side: media::StreamSide, party: &str) -> StreamSide {
    let keys = if side.has_events { "rtp" } else { "inband" };
    StreamSide {
        party: party.to_owned(),
        listed: side.listed,
        allowed: side
            .allowed
            .iter()
            .map(|codec| codec.name().to_owned())
            .collect(),
        speaks: side.speaks.map(|codec| codec.name().to_owned()),
        keys: keys.to_owned(),
    }
}
