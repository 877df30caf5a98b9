//! Which payload types a stream may have, by what both sides have said and what the box has ordered.

use sbc::media::Voice;

use super::media::{Said, Stream};

const CODECS: [&str; 3] = ["PCMU/8000", "PCMA/8000", "G722/8000"];

fn is_codec(name: &str) -> bool {
    CODECS.iter().any(|codec| codec.eq_ignore_ascii_case(name))
}

fn is_events(name: &str) -> bool {
    name.to_ascii_lowercase().starts_with("telephone-event/")
}

fn number(fmt: &str) -> Result<u8, String> {
    fmt.parse().map_err(|_| format!("payload type {fmt}"))
}

fn meaning<'s>(said: &'s Said, fmt: &str) -> Option<&'s str> {
    let mut formats = said.formats.iter();
    let (_, name) = formats.find(|(f, _)| f == fmt)?;
    Some(name)
}

/// What a side sends, as it is the first that it lists and the box has named: its number and its name.
fn first<'s>(listed: &Said, told: &'s Said) -> Option<&'s (String, String)> {
    let codecs = listed.formats.iter().filter(|(_, name)| is_codec(name));
    codecs.into_iter().find_map(|(_, name)| {
        let mut told = told.formats.iter();
        told.find(|(_, other)| other.eq_ignore_ascii_case(name))
    })
}

/// The payload types that pass between two who share a codec. The sender has agreed to `mine` and was told `told`; the receiver has agreed to `theirs`.
pub(super) fn shared(
    own: &Stream,
    [mine, theirs]: [&Said; 2],
    told: &Said,
) -> Result<Vec<u8>, String> {
    let mut numbers = Vec::new();
    let sends = first(mine, told);
    for (fmt, name) in &told.formats {
        let is_own = |(_, n): &(String, String)| n.eq_ignore_ascii_case(name);
        if !own.formats.iter().any(is_own) {
            continue;
        }
        match meaning(theirs, fmt) {
            Some(meant) if meant.eq_ignore_ascii_case(name) => numbers.push(number(fmt)?),
            // One that was added to the offer, and that who answers sends only if it comes first.
            None if is_codec(name) && sends.is_some_and(|(_, sent)| sent != name) => {}
            meant => {
                return Err(format!(
                    "payload type {fmt} is {name} here and {meant:?} there"
                ));
            }
        }
    }
    if numbers.is_empty() {
        return Err(format!(
            "no format in common: {:?}, {:?}",
            told.formats, own.formats
        ));
    }
    Ok(numbers)
}

/// The same where it is transcoded: of codecs what the sender begins with, and whatever else it has listed of what it was told, with the numbers that each
/// side was told.
pub(super) fn spoken(
    [voice, other]: &[Voice; 2],
    [mine, theirs]: [&Said; 2],
    told: &Said,
) -> Result<Vec<u8>, String> {
    let name = |voice: &Voice| format!("{}/8000", voice.codec.name());
    if voice.codec == other.codec && voice.keys == other.keys {
        return Err(format!("both speak {}", name(voice)));
    }
    let sent = first(mine, told).ok_or("the sender was told no codec of its own")?;
    let expected = (number(&sent.0)?, sent.1.to_ascii_uppercase());
    let heard = (voice.numbers.from_peer, name(voice));
    if heard != expected {
        return Err(format!("{expected:?} is sent, and {heard:?} is awaited"));
    }
    let leaves = other.numbers.to_peer.to_string();
    if meaning(theirs, &leaves).is_none_or(|meant| !meant.eq_ignore_ascii_case(&name(other))) {
        return Err(format!(
            "{} goes to whoever has {:?}",
            name(other),
            theirs.formats
        ));
    }
    let mut numbers = vec![voice.numbers.from_peer];
    for (fmt, name) in told.formats.iter().filter(|(_, name)| is_codec(name)) {
        let mut listed = mine.formats.iter();
        let number = number(fmt)?;
        if number != voice.numbers.from_peer
            && listed.any(|(_, mine)| mine.eq_ignore_ascii_case(name))
        {
            numbers.push(number);
        }
    }
    let told_events = told.formats.iter().find(|(_, name)| is_events(name));
    let has_events = mine.formats.iter().any(|(_, name)| is_events(name));
    match (voice.events, told_events.filter(|_| has_events)) {
        (Some(events), Some((fmt, _))) if fmt.parse() == Ok(events.from_peer) => {
            numbers.push(events.from_peer);
        }
        (None, None) => {}
        (events, told) => return Err(format!("events are {told:?}, and {events:?} are awaited")),
    }
    if let Some(events) = other.events
        && !meaning(theirs, &events.to_peer.to_string()).is_some_and(is_events)
    {
        return Err(format!(
            "events go as {} to {:?}",
            events.to_peer, theirs.formats
        ));
    }
    Ok(numbers)
}

/// Codecs that a side was told of and that do not pass.
pub(super) fn closed(told: &Said, open: &[u8]) -> Vec<u8> {
    let codecs = told.formats.iter().filter(|(_, name)| is_codec(name));
    let numbers = codecs.filter_map(|(fmt, _)| fmt.parse().ok());
    numbers.filter(|number| !open.contains(number)).collect()
}
