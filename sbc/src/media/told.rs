//! What was chosen for a stream, in words.

use std::fmt;

use super::{Choice, Path, StreamSide, StreamView, StreamWay};
use crate::config::Codec;

impl StreamView {
    /// What became of it, and why, between these two.
    #[must_use]
    pub fn why(&self, parties: &[String; 2]) -> String {
        why(self, parties)
    }
}

/// Of a stream of which no more is to be said than the codec that both sides have, or that it is no audio, as [`StreamView::why`] has it.
#[must_use]
pub fn plainly(codec: Option<Codec>) -> impl fmt::Display {
    fmt::from_fn(move |f| match codec {
        Some(codec) => write!(f, "{} on both sides: shared, no transcoding", codec.name()),
        None => f.write_str("passed on as it is"),
    })
}

impl StreamWay {
    /// How it goes, and why.
    #[must_use]
    pub fn words(self) -> String {
        way(self)
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

fn why(view: &StreamView, parties: &[String; 2]) -> String {
    let [a, b] = &view.sides;
    let spoken = [a, b].map(|side| side.speaks.map_or("?", Codec::name));
    let changed = format!("{} <-> {}, transcoded", spoken[0], spoken[1]);
    match view.choice {
        Choice::Shared => plainly(a.speaks).to_string(),
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
        Choice::Passed => plainly(None).to_string(),
        Choice::Open => "nothing is answered yet".to_owned(),
        Choice::Off => "switched off (port 0)".to_owned(),
        Choice::Refused(why) => format!("refused: {why}"),
    }
}

/// `phone:anna listed only G722`.
fn lists(side: &StreamSide, party: &str) -> String {
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
fn other(side: &StreamSide, before: &StreamSide, party: &str) -> String {
    let mut wanted = usable(before).into_iter();
    match wanted.any(|codec| side.allowed.contains(&codec)) {
        true => lists(side, party),
        false => format!("{party} allows {}", names(&side.allowed)),
    }
}

fn usable(side: &StreamSide) -> Vec<Codec> {
    let named = side.listed.iter().filter_map(|name| {
        let mut all = Codec::ALL.into_iter();
        all.find(|codec| codec.name().eq_ignore_ascii_case(name))
    });
    named.filter(|codec| side.allowed.contains(codec)).collect()
}

fn shared(a: &StreamSide, b: &StreamSide) -> Vec<Codec> {
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

    fn side(listed: &[&str], allowed: &[Codec], speaks: Codec) -> StreamSide {
        StreamSide {
            listed: listed.iter().map(|&name| name.to_owned()).collect(),
            allowed: allowed.to_vec(),
            speaks: Some(speaks),
            has_events: true,
        }
    }

    fn said(sides: [StreamSide; 2], choice: Choice) -> String {
        let view = StreamView {
            kind: "audio".to_owned(),
            legs: [0, 1].map(crate::media::LegId),
            sides,
            choice,
            way: StreamWay::Here(Path::User(Fallback::Transcoded)),
            pairs: Vec::new(),
        };
        view.why(&["phone:anna".to_owned(), "trunk:carrier".to_owned()])
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
