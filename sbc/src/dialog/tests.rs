//! Route sets, targets, order.

use bytes::Bytes;

use super::{Dialog, DialogError, MAX_ROUTES};
use crate::sip::{Message, Method, Name, Transport};

fn parse(text: &str) -> Message {
    Message::parse(Bytes::copy_from_slice(text.as_bytes()), &Default::default()).unwrap()
}

fn invite(extra: &str) -> Message {
    parse(&format!(
        "INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: \"A \\\"x\\\"\" <sip:a@h;p=1>;tag=at\r\n\
         To: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\n{extra}\r\n"
    ))
}

fn ok(extra: &str) -> Message {
    parse(&format!(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: \"A \\\"x\\\"\" <sip:a@h;p=1>;tag=at\r\n\
         To: <sip:b@h>;tag=bt\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\n{extra}\r\n"
    ))
}

fn written(dialog: &mut Dialog) -> Message {
    let bytes = dialog
        .request(Method::Bye, "SIP/2.0/UDP o;branch=z9hG4bK2")
        .finish();
    Message::parse(bytes, &Default::default()).unwrap()
}

#[test]
fn who_was_called_is_from_in_what_it_sends() {
    let invite = invite(
        "Contact: <sip:a@10.0.0.1:5070;transport=tcp>\r\nRecord-Route: <sip:p1;lr>, <sip:p2;lr>\r\n",
    );
    let mut dialog = Dialog::uas(&invite, "bt", 100).unwrap();
    let bye = written(&mut dialog);
    assert_eq!(bye.uri(), Some("sip:a@10.0.0.1:5070;transport=tcp"));
    assert_eq!(bye.header(Name::From), Some("<sip:b@h>;tag=bt"));
    assert_eq!(bye.header(Name::To), Some("<sip:a@h;p=1>;tag=at"));
    assert_eq!(bye.header(Name::CSeq), Some("101 BYE"));
    let routes: Vec<_> = bye.values(Name::Route).collect();
    assert_eq!(routes, ["<sip:p1;lr>", "<sip:p2;lr>"]);
    // p1 is a name: someone else has to look it up.
    assert_eq!(dialog.address(), None);
}

#[test]
fn who_called_keeps_its_from_byte_for_byte() {
    let answer = ok(
        "Contact: <sip:b@10.0.0.2>\r\nRecord-Route: <sip:10.0.0.9;lr>, <sip:10.0.0.8:5062;lr>\r\n",
    );
    let mut dialog = Dialog::uac(&invite(""), &answer).unwrap();
    let bye = written(&mut dialog);
    assert_eq!(
        bye.header(Name::From),
        Some("\"A \\\"x\\\"\" <sip:a@h;p=1>;tag=at")
    );
    assert_eq!(bye.header(Name::To), Some("<sip:b@h>;tag=bt"));
    assert_eq!(bye.header(Name::CSeq), Some("8 BYE"));
    let routes: Vec<_> = bye.values(Name::Route).collect();
    assert_eq!(routes, ["<sip:10.0.0.8:5062;lr>", "<sip:10.0.0.9;lr>"]);
    let address = "10.0.0.8:5062".parse().unwrap();
    assert_eq!(dialog.address(), Some((address, Transport::Udp)));
    let ack = dialog.ack("SIP/2.0/UDP o;branch=z9hG4bK3", 7).finish();
    let ack = Message::parse(ack, &Default::default()).unwrap();
    assert_eq!(ack.header(Name::CSeq), Some("7 ACK"));
}

#[test]
fn a_strict_router_gets_its_own_uri_and_the_target_last() {
    let invite = invite("Contact: <sip:a@10.0.0.1>\r\nRecord-Route: <sip:p1>, <sip:p2;lr>\r\n");
    let bye = written(&mut Dialog::uas(&invite, "bt", 1).unwrap());
    assert_eq!(bye.uri(), Some("sip:p1"));
    let routes: Vec<_> = bye.values(Name::Route).collect();
    assert_eq!(routes, ["<sip:p2;lr>", "<sip:a@10.0.0.1>"]);
}

#[test]
fn what_cannot_be_followed_makes_no_dialog() {
    let routes = "Record-Route: <sip:p;lr>\r\n".repeat(MAX_ROUTES + 1);
    assert_eq!(
        Dialog::uas(&invite(&routes), "t", 1),
        Err(DialogError::Routes)
    );
    assert_eq!(
        Dialog::uas(&invite("Contact: <tel:+1>\r\n"), "t", 1),
        Err(DialogError::Target)
    );
    // No Contact at all: From is the best guess.
    assert!(Dialog::uas(&invite(""), "t", 1).is_ok());
}

#[test]
fn order_is_kept_and_a_target_refresh_moves_the_target() {
    let mut dialog = Dialog::uas(&invite("Contact: <sip:a@10.0.0.1>\r\n"), "bt", 1).unwrap();
    let request = |method: &str, cseq: u32, contact: &str| {
        parse(&format!(
            "{method} sip:o SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK9\r\nFrom: <sip:a@h>;tag=at\r\n\
             To: <sip:b@h>;tag=bt\r\nCall-ID: c\r\nCSeq: {cseq} {method}\r\nContact: <{contact}>\r\n\r\n"
        ))
    };
    let lower = request("INVITE", 6, "sip:x@10.0.0.3");
    assert!(dialog.is_of(&lower));
    assert_eq!(
        dialog.accept(&lower),
        Err(DialogError::Order { found: 6, last: 7 })
    );
    // Not a target refresh.
    assert_eq!(dialog.accept(&request("INFO", 8, "sip:x@10.0.0.3")), Ok(()));
    assert_eq!(dialog.request_uri(), "sip:a@10.0.0.1");
    assert_eq!(
        dialog.accept(&request("UPDATE", 9, "sip:x@10.0.0.3")),
        Ok(())
    );
    assert_eq!(dialog.request_uri(), "sip:x@10.0.0.3");
}

#[test]
fn a_number_may_come_again_and_never_goes_back() {
    let mut dialog = Dialog::uas(&invite(""), "bt", 100).unwrap();
    let request = |number: u32| {
        parse(&format!(
            "INFO sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=at\r\nTo: <sip:b@h>;tag=bt\r\n\
             Call-ID: c\r\nCSeq: {number} INFO\r\n\r\n"
        ))
    };
    assert_eq!(dialog.accept(&request(9)), Ok(()));
    // A PRACK, say, that was sent once more with another branch is what it is: its transaction tells.
    assert_eq!(dialog.accept(&request(9)), Ok(()));
    let order = DialogError::Order { found: 8, last: 9 };
    assert_eq!(dialog.accept(&request(8)), Err(order));
    assert_eq!(dialog.accept(&request(10)), Ok(()));
}

#[test]
fn the_next_hop_has_the_transport_of_its_uri() {
    for (param, transport) in [
        ("", Transport::Udp),
        (";transport=udp", Transport::Udp),
        (";transport=TCP", Transport::Tcp),
    ] {
        let contact = format!("Contact: <sip:a@10.0.0.1:5070{param}>\r\n");
        let dialog = Dialog::uas(&invite(&contact), "bt", 100).unwrap();
        let address = "10.0.0.1:5070".parse().unwrap();
        assert_eq!(dialog.address(), Some((address, transport)), "{param}");
    }
}
