//! Who answers with several codecs may change from one to another, and is heard with each of them where the stream is transcoded.

use super::support::*;
use super::transcoding::{answer, ends, exchange, offer, spoken};
use crate::config::Codec::{self, G722, Pcma, Pcmu};
use crate::media::{PayloadTypes, Voice};

const ALL: [Codec; 3] = [Pcmu, Pcma, G722];

fn bits(numbers: &[u8]) -> u128 {
    numbers.iter().fold(0, |bits, number| bits | 1 << number)
}

#[test]
fn whatever_the_answer_lists_of_what_was_offered_is_let_in_and_understood() {
    let (a, b) = ends(&ALL);
    for (said, first, others, numbers) in [
        ("0 8", (Pcmu, 0), [Some((Pcma, 8)), None], &[0, 8, 13][..]),
        ("8", (Pcma, 8), [None; 2], &[8, 13]),
        // What both have stands behind what only he has: it is heard as well.
        (
            "0 9 8",
            (Pcmu, 0),
            [Some((G722, 9)), Some((Pcma, 8))],
            &[0, 8, 9, 13],
        ),
        // What he was not offered he cannot have agreed to.
        ("8 18 9", (Pcma, 8), [Some((G722, 9)), None], &[8, 9, 13]),
    ] {
        let mut call = Call::new();
        let [to_b, to_a] = exchange(
            &mut call,
            (&a, &b),
            &offer("9", ""),
            &answer(said, "a=rtpmap:18 G729/8000\r\n"),
        );
        assert_eq!(to_b[0], "m= RTP/AVP 9 0 8");
        // He is told of one, which is what he sends.
        assert_eq!(to_a[0], "m= RTP/AVP 9");
        let [offerer, answerer] = spoken(&call);
        assert_eq!(
            offerer,
            (Some(Voice::plain(G722, 9)), bits(&[9, 13])),
            "{said}"
        );
        let (codec, number) = first;
        let expected = Voice {
            others,
            ..Voice::plain(codec, number)
        };
        assert_eq!(answerer, (Some(expected), bits(numbers)), "{said}");
    }
}

#[test]
fn he_sends_with_the_numbers_of_the_offer_and_is_sent_those_of_the_answer() {
    let (a, b) = ends(&ALL);
    let mut call = Call::new();
    exchange(
        &mut call,
        (&a, &b),
        &offer("97", "a=rtpmap:97 G722/8000\r\n"),
        &answer(
            "100 101 102",
            "a=rtpmap:100 PCMA/8000\r\na=rtpmap:101 PCMU/8000\r\na=rtpmap:102 G722/8000\r\n",
        ),
    );
    let [_, (voice, numbers)] = spoken(&call);
    let expected = Voice {
        numbers: PayloadTypes {
            from_peer: 8,
            to_peer: 100,
        },
        others: [Some((G722, 97)), Some((Pcmu, 0))],
        ..Voice::plain(Pcma, 8)
    };
    assert_eq!((voice, numbers), (Some(expected), bits(&[97, 0, 8, 13])));
}

#[test]
fn where_the_first_is_shared_nothing_else_is_let_in() {
    let (a, b) = ends(&ALL);
    let mut call = Call::new();
    let [_, to_a] = exchange(&mut call, (&a, &b), &offer("9", ""), &answer("9 0 8", ""));
    assert_eq!(to_a[0], "m= RTP/AVP 9");
    assert_eq!(spoken(&call), [(None, bits(&[9, 13])); 2]);
}
