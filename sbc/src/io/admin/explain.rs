//! What was chosen for a stream, in words.

use super::calls::path;
use super::types::{Stream, StreamSide};
use crate::config::Codec;
use crate::media::{self, Choice, Path, StreamView, StreamWay};

/// A stream between these two.
pub(super) fn stream(view: StreamView, parties: &[String; 2]) -> Stream {
    let why = why(&view, parties);
    let [first, second] = view.sides;
    let [one, other] = parties;
    Stream {
        kind: view.kind,
        choice: label(view.choice).to_owned(),
        why,
        path: path(view.way).0.to_owned(),
        path_why: way(view.way),
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

fn way(way: StreamWay) -> String {
    match way {
        StreamWay::Here(Path::Kernel) => "in the kernel".to_owned(),
        StreamWay::Here(Path::User(reason)) => format!("in user space: {}", reason.words()),
        StreamWay::Direct => "past the box: the two send to each other (direct_media)".to_owned(),
        StreamWay::Nowhere => "none yet, or none any more".to_owned(),
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

fn why(view: &StreamView, parties: &[String; 2]) -> String {
    let [a, b] = &view.sides;
    let spoken = [a, b].map(|side| side.speaks.map_or("?", Codec::name));
    let changed = format!("{} <-> {}, transcoded", spoken[0], spoken[1]);
    match view.choice {
        Choice::Shared => format!("{} on both sides: shared, no transcoding", spoken[0]),
        Choice::NoneShared => {
            let (first, second) = (lists(a, &parties[0]), other(b, a, &parties[1]));
            format!("{changed}: {first}; {second}: none is shared")
        }
        Choice::Insisted { who } => {
            let (who, first, its) = match who {
                0 => (&parties[0], spoken[0], &parties[1]),
                _ => (&parties[1], spoken[1], &parties[0]),
            };
            format!(
                "{changed}: {who} answered {first} first, which {its} does not have, and sends that; {} would be shared",
                names(&shared(a, b))
            )
        }
        Choice::Passed => "passed on as it is".to_owned(),
        Choice::Open => "nothing is answered yet".to_owned(),
        Choice::Off => "switched off (port 0)".to_owned(),
        Choice::Refused(why) => format!("refused: {why}"),
    }
}

/// `phone:anna listed only G722`.
fn lists(side: &media::StreamSide, party: &str) -> String {
    let usable = usable(side);
    let is_all = usable.len() == side.listed.len();
    match (is_all, usable.is_empty()) {
        (true, _) => format!("{party} listed only {}", names(&usable)),
        (false, true) => format!(
            "{party} listed {}, of which `codecs` allows none",
            side.listed.join(", ")
        ),
        (false, false) => format!(
            "{party} listed {}, of which `codecs` allows {}",
            side.listed.join(", "),
            names(&usable)
        ),
    }
}

/// What the config allows there, if that rules out all that the other one has; else what was listed.
fn other(side: &media::StreamSide, before: &media::StreamSide, party: &str) -> String {
    let mut wanted = usable(before).into_iter();
    match wanted.any(|codec| side.allowed.contains(&codec)) {
        true => lists(side, party),
        false => format!("{party} allows {}", names(&side.allowed)),
    }
}

fn usable(side: &media::StreamSide) -> Vec<Codec> {
    let named = side.listed.iter().filter_map(|name| {
        let mut all = Codec::ALL.into_iter();
        all.find(|codec| codec.name().eq_ignore_ascii_case(name))
    });
    named.filter(|codec| side.allowed.contains(codec)).collect()
}

fn shared(a: &media::StreamSide, b: &media::StreamSide) -> Vec<Codec> {
    let others = usable(b);
    let mut both = usable(a);
    both.retain(|codec| others.contains(codec));
    both
}

fn names(codecs: &[Codec]) -> String {
    let names: Vec<&str> = codecs.iter().map(|codec| codec.name()).collect();
    match names.is_empty() {
        true => "nothing".to_owned(),
        false => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Fallback;

    fn side(listed: &[&str], allowed: &[Codec], speaks: Codec) -> media::StreamSide {
        media::StreamSide {
            listed: listed.iter().map(|&name| name.to_owned()).collect(),
            allowed: allowed.to_vec(),
            speaks: Some(speaks),
            has_events: true,
        }
    }

    fn said(sides: [media::StreamSide; 2], choice: Choice) -> String {
        let view = StreamView {
            kind: "audio".to_owned(),
            legs: [0, 1].map(media::LegId),
            sides,
            choice,
            way: StreamWay::Here(Path::User(Fallback::Transcoded)),
            pairs: Vec::new(),
        };
        stream(view, &["phone:anna".to_owned(), "trunk:carrier".to_owned()]).why
    }

    #[test]
    fn a_choice_is_told_with_its_reason() {
        use Codec::{G722, Pcma, Pcmu};
        let all = Codec::ALL;
        let pcma = || side(&["PCMA"], &all, Pcma);
        assert_eq!(
            said([pcma(), pcma()], Choice::Shared),
            "PCMA on both sides: shared, no transcoding"
        );
        let anna = || side(&["G722"], &all, G722);
        let carrier = side(&["PCMU"], &[Pcmu, Pcma], Pcmu);
        assert_eq!(
            said([anna(), carrier], Choice::NoneShared),
            "G722 <-> PCMU, transcoded: phone:anna listed only G722; trunk:carrier allows PCMU, PCMA: none is shared"
        );
        let listed = side(&["PCMU"], &all, Pcmu);
        assert_eq!(
            said([anna(), listed], Choice::NoneShared),
            "G722 <-> PCMU, transcoded: phone:anna listed only G722; trunk:carrier listed only PCMU: none is shared"
        );
        let cut = side(&["opus", "PCMU", "G722"], &[G722], G722);
        let carrier = side(&["PCMU"], &[Pcmu], Pcmu);
        assert_eq!(
            said([cut, carrier], Choice::NoneShared),
            "G722 <-> PCMU, transcoded: phone:anna listed opus, PCMU, G722, of which `codecs` allows G722; trunk:carrier allows PCMU: none is shared"
        );
        let both = [
            side(&["PCMU"], &all, Pcmu),
            side(&["G722", "PCMU"], &all, G722),
        ];
        assert_eq!(
            said(both, Choice::Insisted { who: 1 }),
            "PCMU <-> G722, transcoded: trunk:carrier answered G722 first, which phone:anna does not have, and sends that; PCMU would be shared"
        );
    }
}
