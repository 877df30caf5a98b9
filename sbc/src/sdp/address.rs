//! Finding addresses in free text, so that none of one side's reaches the other.

/// Whether some text holds an IPv4 or IPv6 literal. In doubt it does: `1.2.3.4` may have been a version.
#[must_use]
pub fn holds_address(text: &[u8]) -> bool {
    holds_ipv4(text) || holds_ipv6(text)
}

/// Whether `text` names `host`, as a whole word and without regard to case.
pub(super) fn names_host(text: &[u8], host: &str) -> bool {
    let host = host.as_bytes();
    let is_word = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'-');
    !host.is_empty()
        && text.windows(host.len()).enumerate().any(|(start, window)| {
            window.eq_ignore_ascii_case(host)
                && !is_word(start.checked_sub(1).and_then(|before| text.get(before)))
                && !is_word(text.get(start + host.len()))
        })
}

fn holds_ipv4(text: &[u8]) -> bool {
    text.split(|b| !b.is_ascii_digit() && *b != b'.')
        .any(|run| {
            let mut octets = 0;
            run.split(|&b| b == b'.').any(|part| {
                octets = if is_octet(part) { octets + 1 } else { 0 };
                octets == 4
            })
        })
}

fn is_octet(part: &[u8]) -> bool {
    matches!(part.len(), 1..=3) && part.iter().fold(0, |n, b| n * 10 + u32::from(b - b'0')) <= 255
}

/// Either `::` beside a hexadecimal digit, or eight groups in a row.
fn holds_ipv6(text: &[u8]) -> bool {
    text.split(|b| !b.is_ascii_hexdigit() && *b != b':')
        .any(|run| {
            if run.len() > 2 && run.windows(2).any(|pair| pair == b"::") {
                return true;
            }
            let mut groups = 0;
            run.split(|&b| b == b':').any(|group| {
                groups = if matches!(group.len(), 1..=4) {
                    groups + 1
                } else {
                    0
                };
                groups == 8
            })
        })
}
