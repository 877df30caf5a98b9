//! The framer.

use bytes::Bytes;
use proptest::{collection, prop_assert_eq, proptest};

use super::super::Limits;
use super::super::stream::{Frame, FrameError, Framer};
use super::INVITE;

const SECOND: &str = "SIP/2.0 200 OK\r\nl : \r\n 3\r\n\r\nabc";

/// All frames of a stream that comes in these pieces.
fn frames<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<FrameError>) {
    let mut framer = Framer::default();
    let mut all = Vec::new();
    for piece in pieces {
        framer.push(piece);
        loop {
            match framer.next() {
                Ok(Some(frame)) => all.push(frame),
                Ok(None) => break,
                Err(error) => {
                    framer.push(b"more");
                    assert_eq!(framer.next(), Err(error), "broken for good");
                    assert_eq!(framer.buffered(), 0);
                    return (all, Some(error));
                }
            }
        }
    }
    (all, None)
}

fn message(text: &str) -> Frame {
    Frame::Message(Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn messages_and_keep_alives() {
    let text = format!("\r\n\r\n{INVITE}{SECOND}\r\n{INVITE}\r\n\r\n\r\n{SECOND}\r\n");
    let expected = vec![
        Frame::Ping,
        message(INVITE),
        message(SECOND),
        Frame::Pong,
        message(INVITE),
        Frame::Ping,
        Frame::Pong,
        message(SECOND),
    ];
    assert_eq!(frames([text.as_bytes()]), (expected.clone(), None));
    let dribble = frames(text.as_bytes().chunks(1));
    assert_eq!(dribble, (expected, None));
}

#[test]
fn nothing_is_held_between_messages() {
    let mut framer = Framer::default();
    framer.push(INVITE.as_bytes());
    assert!(matches!(framer.next(), Ok(Some(Frame::Message(_)))));
    assert_eq!(framer.next(), Ok(None));
    assert_eq!(framer.buffered(), 0);
    framer.push(b"INVI");
    assert_eq!(framer.buffered(), 4);
}

#[test]
fn streams_that_cannot_be_read_on() {
    for (text, error) in [
        ("GET / HTTP/1.1\r\n", FrameError::Garbage),
        ("\u{16}\u{3}\u{1}", FrameError::Garbage),
        ("INVITE\t", FrameError::Garbage),
        (" INVITE", FrameError::Garbage),
        ("HTTP/1.1", FrameError::Garbage),
        ("INVITE sip:x\r\n", FrameError::Garbage),
        ("\r\r", FrameError::Garbage),
        (
            "A sip:x SIP/2.0\r\nVia: x\r\n\r\n",
            FrameError::NoContentLength,
        ),
        (
            "A sip:x SIP/2.0\r\nContent-Length: x\r\n\r\n",
            FrameError::ContentLength,
        ),
        (
            "A sip:x SIP/2.0\r\nContent-Length:\r\n\r\n",
            FrameError::ContentLength,
        ),
        (
            "A sip:x SIP/2.0\r\nContent-Length: -1\r\n\r\n",
            FrameError::ContentLength,
        ),
        (
            "A sip:x SIP/2.0\r\nContent-Length: 1\r\n 2\r\n\r\n",
            FrameError::ContentLength,
        ),
        (
            "A sip:x SIP/2.0\r\nl: 1\r\nContent-Length: 1\r\n",
            FrameError::ContentLength,
        ),
        ("A sip:x SIP/2.0\r\nl: 60001\r\n\r\n", FrameError::TooLarge),
        (
            "A sip:x SIP/2.0\r\nl: 99999999999999999999999\r\n\r\n",
            FrameError::TooLarge,
        ),
    ] {
        assert_eq!(frames([text.as_bytes()]), (vec![], Some(error)), "{text:?}");
        assert_eq!(
            frames(text.as_bytes().chunks(1)),
            (vec![], Some(error)),
            "{text:?}"
        );
    }
    let labels = [
        (FrameError::Garbage, "garbage"),
        (FrameError::TooLarge, "too-large"),
        (FrameError::NoContentLength, "no-content-length"),
        (FrameError::ContentLength, "bad-content-length"),
    ];
    assert!(labels.iter().all(|(error, label)| error.label() == *label));
}

#[test]
fn what_comes_before_an_error_comes_out() {
    let text = format!("{INVITE}garbage\r\n");
    assert_eq!(
        frames([text.as_bytes()]),
        (vec![message(INVITE)], Some(FrameError::Garbage))
    );
}

#[test]
fn header_sections_without_end_are_bounded() {
    let line = format!("X: {}\r\n", "x".repeat(1_000));
    let endless = format!("A sip:x SIP/2.0\r\n{}", line.repeat(70));
    assert_eq!(frames([endless.as_bytes()]).1, Some(FrameError::TooLarge));
    assert_eq!(
        frames(endless.as_bytes().chunks(997)).1,
        Some(FrameError::TooLarge)
    );
    for endless in [
        format!("A sip:x SIP/2.0\r\nX: {}", "x".repeat(9_000)),
        format!("A{}", "A".repeat(9_000)),
    ] {
        assert_eq!(
            frames(endless.as_bytes().chunks(7)).1,
            Some(FrameError::TooLarge)
        );
    }
}

#[test]
fn a_length_may_stand_on_a_line_of_its_own_and_other_lines_that_go_on_are_not_it() {
    for head in [
        "A sip:x SIP/2.0\r\nl:\r\n \r\n\t3\r\n",
        "A sip:x SIP/2.0\r\nl: 3\r\nSubject: one\r\n two\r\n",
        "A sip:x SIP/2.0\r\nSubject: one\r\n 7\r\nl: 3\r\n",
    ] {
        let text = format!("{head}\r\nabc");
        let (all, error) = frames([text.as_bytes()]);
        assert_eq!((all, error), (vec![message(&text)], None), "{head}");
    }
}

#[test]
fn a_body_as_large_as_it_may_be() {
    let limits = Limits {
        body: 10,
        ..Limits::default()
    };
    for (length, fits) in [(10, true), (11, false)] {
        let mut framer = Framer::new(limits);
        framer.push(format!("A sip:x SIP/2.0\nl:{length}\n\n01234567890").as_bytes());
        assert_eq!(matches!(framer.next(), Ok(Some(_))), fits);
    }
}

proptest! {
    /// However a stream is cut, the same comes out.
    #[test]
    fn cuts_do_not_show(
        parts in collection::vec(0..7_usize, 0..8),
        cuts in collection::vec(1..400_usize, 1..30),
    ) {
        const PARTS: [&str; 7] = [INVITE, SECOND, "\r\n", "\r\n\r\n", "\n", "A b SIP/2.0\nl:1\n\n", "\r"];
        let text: String = parts.into_iter().filter_map(|p| PARTS.get(p).copied()).collect();
        let mut rest = text.as_bytes();
        let mut cuts = cuts.into_iter().cycle();
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let (piece, next) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
            pieces.push(piece);
            rest = next;
        }
        prop_assert_eq!(frames(pieces), frames([text.as_bytes()]));
    }

    #[test]
    fn no_bytes_break_it(bytes in collection::vec(proptest::num::u8::ANY, 0..300), cut in 1..20_usize) {
        prop_assert_eq!(frames(bytes.chunks(cut)), frames([bytes.as_slice()]));
    }
}
