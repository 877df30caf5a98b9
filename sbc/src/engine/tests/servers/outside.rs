//! Outside of calls: the next server of a trunk is asked, too.

use super::*;

/// A MESSAGE or SUBSCRIBE of A's.
fn outside(method: &str) -> String {
    let to = "To: <sip:100@10.71.1.1>\r\nMax-Forwards: 70\r\nEvent: message-summary\r\n";
    request(method, "sip:100@10.71.1.1", to, "")
}

/// The one request of this method that goes to the right, and where to.
fn passed(bench: &mut Bench, method: Method) -> (String, Message) {
    let mut sent = out(bench);
    sent.retain(|(hop, message)| hop.network == RIGHT && message.method() == method);
    assert_eq!(sent.len(), 1, "{sent:?}");
    let (hop, message) = sent.remove(0);
    (hop.remote.to_string(), message)
}

#[test]
fn what_is_said_outside_of_calls_goes_on_at_the_next_server() {
    for (method, is) in [
        ("MESSAGE", Method::Message),
        ("SUBSCRIBE", Method::Subscribe),
    ] {
        for fails in ["503", "transport", "silence"] {
            let mut bench = carrier();
            bench.message(LEFT, A, &outside(method));
            let (to, first) = passed(&mut bench, is);
            assert_eq!(to, B);
            match fails {
                "503" => bench.message(RIGHT, B, &answer(&first, B, 503, "b", "")),
                "transport" => {
                    let (hop, bytes) = (hop(RIGHT, B), first.bytes().clone());
                    let input = Input::SendFailed { hop, bytes };
                    bench.engine.handle_input(bench.now, input);
                }
                _ => {
                    bench.pass(Duration::from_millis(3999));
                    out(&mut bench);
                    bench.pass(Duration::from_millis(1));
                }
            }
            let (to, second) = passed(&mut bench, is);
            assert_eq!(to, D, "{method}, {fails}");
            assert_eq!(second.uri(), first.uri());
            assert_ne!(second.call_id(), first.call_id());
            assert_eq!(second.from().uri(), first.from().uri());
            let ok = answer(&second, D, 200, "d", "");
            let ok = ok.replace("Contact:", "Expires: 60\r\nContact:");
            bench.message(RIGHT, D, &ok);
            assert_eq!(told(&out(&mut bench)), [200], "{method}, {fails}");
            // What the first one still says is nobody's.
            if fails == "silence" {
                bench.message(RIGHT, B, &answer(&first, B, 200, "b", ""));
                assert_eq!(out(&mut bench), []);
            }
            let rests = news(&mut bench);
            assert!(
                rests.iter().any(|news| matches!(news, News::Rests { .. })),
                "{rests:?}"
            );
            stop(bench);
        }
    }
}

#[test]
fn where_no_server_is_left_the_sender_is_told_so() {
    let mut bench = carrier();
    bench.message(LEFT, A, &outside("MESSAGE"));
    let (_, first) = passed(&mut bench, Method::Message);
    bench.message(RIGHT, B, &answer(&first, B, 503, "b", ""));
    let (_, second) = passed(&mut bench, Method::Message);
    bench.message(RIGHT, D, &answer(&second, D, 503, "d", ""));
    assert_eq!(told(&out(&mut bench)), [503]);
    // A refusal is one wherever it comes from.
    let mut bench = carrier();
    bench.message(LEFT, A, &outside("MESSAGE"));
    let (_, first) = passed(&mut bench, Method::Message);
    bench.message(RIGHT, B, &answer(&first, B, 404, "b", ""));
    assert_eq!(told(&out(&mut bench)), [404]);
    stop(bench);
}
