//! A far side that forks, and says so late.

use super::dialogs::in_dialog;
use super::*;
use crate::sip::Method;

#[test]
fn a_second_200_after_the_call_was_forgotten_is_acknowledged_and_hung_up() {
    let mut bench = bench();
    let (ok, b_invite, _) = set_up(&mut bench);
    bench.message(LEFT, A, &in_dialog("BYE", 2, &tag_of(&ok), ""));
    let sends = bench.actions().into_iter();
    let sends = sends.filter(|action| matches!(action, Action::Send { .. }));
    let (_, bye) = sends.map(sent).last().unwrap();
    bench.message(RIGHT, B, &answer(&bye, B, 200, "", ""));
    assert_eq!(bench.actions(), []);
    assert!(bench.engine.calls.is_empty());

    let routed = "Record-Route: <sip:10.71.2.9;lr>\r\nContact:";
    let late = answer(&b_invite, B, 200, "b2", &sdp("10.71.2.2", 5002));
    let late = late.replacen("Contact:", routed, 1);
    bench.message(RIGHT, B, &late);
    let mut all = bench.sent();
    assert_eq!(all.len(), 2);
    let (to, bye) = all.remove(1);
    assert_eq!(to, B.parse().unwrap());
    assert_eq!(first_line(&bye), "BYE sip:bob@10.71.2.2:5060 SIP/2.0");
    let ack = &all[0].1;
    assert_eq!(first_line(ack), "ACK sip:bob@10.71.2.2:5060 SIP/2.0");
    for message in [ack, &bye] {
        assert_eq!(message.header(Name::Route), Some("<sip:10.71.2.9;lr>"));
        assert_eq!(message.call_id(), b_invite.call_id());
        assert_eq!(message.from().tag(), b_invite.from().tag());
        assert_eq!(message.header(Name::From), b_invite.header(Name::From));
        assert_eq!(message.to().tag(), Some("b2"));
    }
    let number = b_invite.cseq().number;
    assert_eq!(ack.cseq().number, number);
    assert_eq!((bye.cseq().number, bye.method()), (number + 1, Method::Bye));
    // Its copy gets the ACK again, and no second BYE.
    bench.message(RIGHT, B, &late);
    let (_, again) = bench.one();
    assert_eq!(again.bytes(), ack.bytes());
    bench.message(RIGHT, B, &answer(&bye, B, 200, "", ""));
    assert_eq!(bench.actions(), []);
    // There are so many and no more.
    for tag in ["b3", "b4"] {
        bench.message(RIGHT, B, &answer(&b_invite, B, 200, tag, ""));
        assert_eq!(bench.sent().len(), 2);
    }
    bench.message(RIGHT, B, &answer(&b_invite, B, 200, "b5", ""));
    assert_eq!(bench.actions(), []);
    bench.pass(Duration::from_secs(70));
    bench.actions();
    // After 64*T1 it is a stray.
    bench.message(RIGHT, B, &late);
    assert_eq!(bench.actions(), []);
    bench.assert_empty();
}
