//! Whether a new offer of one side's is one that the other need not hear of, as all that it changes is ours to see to: where media goes, and
//! which way.

use bytes::Bytes;

/// Which ways media of a section goes, as its writer sees it: sending, receiving.
type Ways = [bool; 2];

const DIRECTIONS: [(&[u8], Ways); 4] = [
    (b"a=sendrecv", [true, true]),
    (b"a=sendonly", [true, false]),
    (b"a=recvonly", [false, true]),
    (b"a=inactive", [false, false]),
];

/// Whether two session descriptions differ in addresses, ports and directions alone: whatever one was answered with answers the other.
pub(super) fn differs_in_place_only(one: &[u8], other: &[u8]) -> bool {
    let mut one = one.split(|&b| b == b'\n').filter_map(kept);
    let mut other = other.split(|&b| b == b'\n').filter_map(kept);
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if is_alike(one, other) => {}
            _ => return false,
        }
    }
}

/// Whether media is to go other ways than before.
pub(super) fn turns(one: &[u8], other: &[u8]) -> bool {
    ways(one) != ways(other)
}

/// What `said` answers to `offer`: nothing is sent that is not wanted there (RFC 3264 6.1).
pub(super) fn mirrored(offer: &[u8], said: &[u8]) -> Bytes {
    let offered = ways(offer);
    let own = ways(said);
    let mut out = Vec::with_capacity(said.len() + 32);
    let mut section = None;
    let close = |out: &mut Vec<u8>, section: Option<usize>| {
        let Some(number) = section else {
            return;
        };
        let [sends, receives] = offered.get(number).copied().unwrap_or([true; 2]);
        let [own_sends, own_receives] = own.get(number).copied().unwrap_or([true; 2]);
        let wanted = [own_sends && receives, own_receives && sends];
        let line = DIRECTIONS.iter().find(|(_, ways)| *ways == wanted);
        if let Some((line, _)) = line {
            if out.last() != Some(&b'\n') {
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(line);
            out.extend_from_slice(b"\r\n");
        }
    };
    for line in said.split_inclusive(|&b| b == b'\n') {
        if direction(line).is_some() {
            continue;
        }
        if line.starts_with(b"m=") {
            close(&mut out, section);
            section = Some(section.map_or(0, |number| number + 1));
        }
        out.extend_from_slice(line);
    }
    close(&mut out, section);
    out.into()
}

/// By section. The unspecified address is a hold, too (RFC 2543).
fn ways(sdp: &[u8]) -> Vec<Ways> {
    let mut all: [Ways; 2] = [[true; 2]; 2];
    let mut sections: Vec<[Ways; 2]> = Vec::new();
    for line in sdp.split(|&b| b == b'\n') {
        if line.starts_with(b"m=") {
            sections.push(all);
            continue;
        }
        let slot = sections.last_mut().unwrap_or(&mut all);
        if let Some(ways) = direction(line) {
            slot[0] = ways;
        } else if let Some(connection) = line.strip_prefix(b"c=") {
            let host = connection.trim_ascii_end().rsplit(|&b| b == b' ').next();
            let is_nowhere = matches!(host, Some(b"0.0.0.0" | b"::"));
            slot[1] = [true, !is_nowhere];
        }
    }
    let both = |[by_direction, by_address]: [Ways; 2]| {
        [
            by_direction[0] && by_address[0],
            by_direction[1] && by_address[1],
        ]
    };
    sections.into_iter().map(both).collect()
}

fn direction(line: &[u8]) -> Option<Ways> {
    let line = line.trim_ascii_end();
    let found = DIRECTIONS.iter().find(|(name, _)| *name == line);
    found.map(|(_, ways)| *ways)
}

/// A line that says something else than where media goes, and which way.
fn kept(line: &[u8]) -> Option<&[u8]> {
    const PLACES: [&[u8]; 4] = [b"o=", b"c=", b"a=rtcp:", b"a=ssrc:"];
    let line = line.trim_ascii_end();
    let is_place = PLACES.iter().any(|place| line.starts_with(place));
    (!line.is_empty() && !is_place && direction(line).is_none()).then_some(line)
}

/// The same, or two streams of the same kind and formats that are both on, or both off.
fn is_alike(one: &[u8], other: &[u8]) -> bool {
    let parts = |line: &[u8]| -> Option<(Vec<u8>, bool, Vec<u8>)> {
        let mut parts = line.strip_prefix(b"m=")?.splitn(3, |&b| b == b' ');
        let kind = parts.next()?.to_vec();
        let is_off = parts.next()? == b"0";
        Some((kind, is_off, parts.next()?.to_vec()))
    };
    one == other || parts(one).is_some_and(|one| Some(one) == parts(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sdp(address: &str, port: u16, formats: &str, more: &str) -> Vec<u8> {
        format!(
            "v=0\r\no=- 1 {port} IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio {port} RTP/AVP {formats}\r\n{more}"
        )
        .into_bytes()
    }

    #[test]
    fn another_place_or_direction_is_nothing_that_the_other_side_must_hear() {
        let known = sdp("10.0.0.1", 4000, "0 8", "a=ptime:20\r\n");
        for (other, expected) in [
            (sdp("10.0.0.2", 4010, "0 8", "a=ptime:20\r\n"), true),
            (
                sdp("10.0.0.1", 4000, "0 8", "a=ptime:20\r\na=sendonly\r\n"),
                true,
            ),
            (
                sdp("0.0.0.0", 4000, "0 8", "a=rtcp:4009\r\na=ptime:20\r\n"),
                true,
            ),
            (sdp("10.0.0.1", 4000, "8 0", "a=ptime:20\r\n"), false),
            (sdp("10.0.0.1", 0, "0 8", "a=ptime:20\r\n"), false),
            (sdp("10.0.0.1", 4000, "0 8", "a=ptime:30\r\n"), false),
            (
                sdp(
                    "10.0.0.1",
                    4000,
                    "0 8",
                    "a=ptime:20\r\nm=video 4002 RTP/AVP 96\r\n",
                ),
                false,
            ),
        ] {
            assert_eq!(differs_in_place_only(&known, &other), expected);
            assert_eq!(differs_in_place_only(&other, &known), expected);
        }
    }

    #[test]
    fn an_answer_sends_only_what_is_wanted() {
        for (offer, said, expected) in [
            ("", "", "a=sendrecv\r\n"),
            ("a=sendonly\r\n", "", "a=recvonly\r\n"),
            ("a=recvonly\r\n", "a=sendrecv\r\n", "a=sendonly\r\n"),
            ("a=sendonly\r\n", "a=sendonly\r\n", "a=inactive\r\n"),
            ("a=inactive\r\n", "", "a=inactive\r\n"),
        ] {
            let offer = sdp("10.0.0.1", 4000, "0", offer);
            let said = sdp("10.0.0.9", 6000, "0", said);
            let answer = mirrored(&offer, &said);
            assert_eq!(answer, sdp("10.0.0.9", 6000, "0", expected));
        }
        let held = sdp("0.0.0.0", 4000, "0", "");
        let said = sdp("10.0.0.9", 6000, "0", "");
        assert_eq!(
            mirrored(&held, &said),
            sdp("10.0.0.9", 6000, "0", "a=recvonly\r\n")
        );
        // Each stream by itself.
        let two = |first: &str, second: &str| {
            let video = format!("{first}m=video 4002 RTP/AVP 96\r\n{second}");
            sdp("10.0.0.1", 4000, "0", &video)
        };
        assert_eq!(
            mirrored(&two("a=sendonly\r\n", "a=recvonly\r\n"), &two("", "")),
            two("a=recvonly\r\n", "a=sendonly\r\n")
        );
        assert!(turns(&held, &said));
        assert!(!turns(&said, &sdp("10.0.0.2", 4, "8", "a=sendrecv\r\n")));
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_compared_and_mirrored(one: Vec<u8>, other: Vec<u8>) {
            prop_assert!(differs_in_place_only(&one, &one));
            prop_assert!(!turns(&one, &one));
            let once = mirrored(&one, &other);
            prop_assert_eq!(&mirrored(&one, &once), &once);
        }
    }
}
