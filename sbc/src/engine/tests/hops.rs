//! Max-Forwards, loops and spirals (RFC 3261 16.3).

use super::*;

/// As it comes back from B's proxy, to another number perhaps: with B's Via on top, one hop less, and media that B relays.
fn bounced(ours: &Message, number: &str, times: u32) -> String {
    let hops = ours.max_forwards().unwrap();
    let mut text = format!(
        "INVITE sip:{number}@10.71.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {B};branch=z9hG4bKbounce{times}\r\n"
    );
    for field in ours.fields() {
        match field.name {
            Name::ContentLength => {}
            Name::MaxForwards => text += &format!("Max-Forwards: {}\r\n", hops - 1),
            _ => text += &format!("{}: {}\r\n", field.spelled, field.value),
        }
    }
    let body = sdp("10.71.2.2", 5000);
    text + &format!("Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Calls of B go to B again.
fn mirror() -> Bench {
    let text = format!("{CONFIG}\n[[route]]\nfrom = [\"trunk:b\"]\nto = [\"trunk:b\"]\n");
    bench_of(&text, Limits::default())
}

fn end(bench: &mut Bench) {
    bench.engine.handle_input(bench.now, Input::Stop);
    for _ in 0..4 {
        bench.pass(Duration::from_secs(60));
        bench.actions();
    }
    bench.assert_empty();
}

#[test]
fn each_hop_costs_one_and_none_is_left_at_zero() {
    for (said, sent) in [
        ("Max-Forwards: 70\r\n", 69),
        ("Max-Forwards: 255\r\n", 254),
        ("Max-Forwards: 1\r\n", 0),
        // RFC 3261 16.6, step 3.
        ("", 70),
    ] {
        let mut bench = bench();
        let text = invite("100").replace("Max-Forwards: 70\r\n", said);
        bench.message(LEFT, A, &text);
        assert_eq!(bench.one().1.max_forwards(), Some(sent), "{said}");
        end(&mut bench);
    }
    let mut bench = bench();
    let text = invite("100").replace("Max-Forwards: 70", "Max-Forwards: 0");
    bench.message(LEFT, A, &text);
    let (to, refused) = bench.one();
    assert_eq!((to, refused.code()), (A.parse().unwrap(), Some(483)));
    end(&mut bench);
}

#[test]
fn what_comes_round_again_is_a_loop() {
    let mut bench = mirror();
    bench.message(LEFT, A, &invite("100"));
    let (_, first) = bench.one();
    // From B it is another question than from A: B may be a proxy that knows who of ours is meant.
    bench.message(RIGHT, B, &bounced(&first, "100", 1));
    let (to, second) = bench.one();
    assert_eq!(to, B.parse().unwrap());
    assert_eq!(first_line(&second), "INVITE sip:100@10.71.2.2:5060 SIP/2.0");
    assert_eq!(second.max_forwards(), Some(67));
    bench.message(RIGHT, B, &bounced(&second, "100", 2));
    let (to, refused) = bench.one();
    assert_eq!((to, refused.code()), (B.parse().unwrap(), Some(482)));
    end(&mut bench);
}

#[test]
fn a_spiral_goes_on() {
    let mut bench = mirror();
    bench.message(LEFT, A, &invite("100"));
    let (_, mut ours) = bench.one();
    for times in 1..20 {
        let number = format!("10{times}");
        bench.message(RIGHT, B, &bounced(&ours, &number, times));
        let (_, next) = bench.one();
        let line = format!("INVITE sip:{number}@10.71.2.2:5060 SIP/2.0");
        assert_eq!(first_line(&next), line);
        ours = next;
    }
    assert_eq!(ours.max_forwards(), Some(69 - 2 * 19));
    end(&mut bench);
}

#[test]
fn a_ring_that_hides_who_was_there_ends_with_max_forwards() {
    let mut bench = mirror();
    let text = invite("100").replace("Max-Forwards: 70", "Max-Forwards: 8");
    bench.message(LEFT, A, &text);
    let (_, mut ours) = bench.one();
    let mut rounds = 0;
    let refused = loop {
        rounds += 1;
        let hops = ours.max_forwards().unwrap();
        // Another box like this one: a call of its own each time.
        let text = invite("100")
            .replace("Max-Forwards: 70", &format!("Max-Forwards: {}", hops - 1))
            .replace(
                "branch=z9hG4bKINVITE1",
                &format!("rport;branch=z9hG4bKring{rounds}"),
            )
            .replace("a-call", &format!("ring-{rounds}"))
            .replace("10.71.1.2", "10.71.2.2");
        bench.message(RIGHT, B, &text);
        let (_, next) = bench.one();
        if next.code().is_some() {
            break next;
        }
        ours = next;
    };
    assert_eq!((rounds, refused.code()), (4, Some(483)));
    end(&mut bench);
}
