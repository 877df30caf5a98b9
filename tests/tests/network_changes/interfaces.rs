//! Interfaces that go and come back, and several addresses and networks on one.

use std::time::{Duration, Instant};

use sbc::config::{Listener, NetworkId};
use sbc::media::{Fallback, NetworkPath};
use sbc::shed::{Action, Ban, By};
use sbc::sip::Transport;

use super::lab::{
    NATIVE, PHONE, address, build, call, ip, network, of, open, open_with, socket, until,
};
use super::load::Load;

#[test]
fn an_interface_that_is_deleted_and_made_again_is_taken_again() {
    let Some(lab) = build("deleted") else {
        return;
    };
    let mut fast_path = open(&lab);
    let phone = socket(&lab.phone, PHONE.1);
    let carrier = socket(&lab.carrier, "10.71.2.2:5000");
    let call = call(1, "10.71.2.2:5000");
    lab.edge
        .enter(|| fast_path.install(&call.clone().into()))
        .unwrap()
        .unwrap();
    let load = Load::begin(&phone, PHONE.0, &carrier);
    lab.edge.ip("link del right").unwrap();
    let gone = lab.edge.enter(|| fast_path.refresh(&[])).unwrap();
    let user = NetworkPath::User(Fallback::Interface);
    assert_eq!(gone.paths, [(NetworkId(1), user)]);
    assert_eq!(
        gone.notes,
        [
            "interface right is gone: its calls are silent until it is back",
            "network outside: none of its addresses is there"
        ]
    );
    // The call stays: what it cannot send is counted.
    let dropped = |fast_path: &sbc::io::fast_path::FastPath| {
        fast_path.stats().networks[&NetworkId(0)].dropped["no-next-hop"]
    };
    let before = dropped(&fast_path);
    until("drops are counted", || dropped(&fast_path) >= before + 100);
    // The same name, another index.
    lab.cable("right", &lab.carrier, "eth0").unwrap();
    address(&lab, "right", "10.71.2.1", "eth0", "10.71.2.2");
    let mark = load.sent();
    let back = lab.edge.enter(|| fast_path.refresh(&[])).unwrap();
    assert_eq!(back.paths, [(NetworkId(1), NATIVE)]);
    assert_eq!(back.notes, ["XDP program attached to right, native mode"]);
    load.goes_on();
    // And the other direction: the program is there again.
    let other = Load::begin(&carrier, "10.71.2.1:31000", &phone);
    other.end();
    let lost = load.end().lost_since(mark);
    eprintln!("an interface that is back: {lost} packets lost of 1,000 a second");
    assert!(lost <= 250, "{lost} packets lost");
    let again = lab.edge.enter(|| fast_path.refresh(&[])).unwrap();
    assert_eq!((again.paths.len(), again.notes.len()), (0, 0));
}

#[test]
fn an_interface_that_is_down_goes_on_when_it_is_up() {
    let Some(lab) = build("down") else {
        return;
    };
    let mut fast_path = open(&lab);
    let phone = socket(&lab.phone, PHONE.1);
    let carrier = socket(&lab.carrier, "10.71.2.2:5000");
    let call = call(1, "10.71.2.2:5000");
    lab.edge
        .enter(|| fast_path.install(&call.clone().into()))
        .unwrap()
        .unwrap();
    let load = Load::begin(&phone, PHONE.0, &carrier);
    lab.edge.ip("link set right down").unwrap();
    let down = lab.edge.enter(|| fast_path.refresh(&[])).unwrap();
    assert_eq!(down.notes, ["interface right is down"]);
    load.sends_on();
    lab.edge.ip("link set right up").unwrap();
    let mark = load.sent();
    let up = lab.edge.enter(|| fast_path.refresh(&[])).unwrap();
    assert_eq!(
        (up.paths.len(), up.notes),
        (0, vec!["interface right is up again".to_owned()])
    );
    load.goes_on();
    let lost = load.end().lost_since(mark);
    eprintln!("an interface that is up again: {lost} packets lost of 1,000 a second");
    assert!(lost <= 250, "{lost} packets lost");
}

/// An address that comes in another's place: calls at the old one keep their ports guarded until they end.
#[test]
fn media_ranges_follow_addresses() {
    let Some(lab) = build("ranges") else {
        return;
    };
    let mut config = super::lab::config();
    config.networks[1].bind = sbc::config::Bind::Interface("right".to_owned());
    let mut fast_path = open_with(&lab, &config);
    let old = call(1, "10.71.2.2:5000");
    lab.edge
        .enter(|| fast_path.install(&old.clone().into()))
        .unwrap()
        .unwrap();
    lab.edge.ip("addr add 10.71.2.7/24 dev right").unwrap();
    lab.edge.ip("addr del 10.71.2.1/24 dev right").unwrap();
    // The kernel takes the others of a subnet away with its first.
    let _ = lab.edge.ip("addr add 10.71.2.7/24 dev right");
    let moved = [(NetworkId(1), vec![ip("10.71.2.7")])];
    let changes = lab.edge.enter(|| fast_path.refresh(&moved)).unwrap();
    assert_eq!((changes.paths.len(), changes.notes.len()), (0, 0));
    assert_eq!(fast_path.pairs_at(ip("10.71.2.1")), 1);
    let mut new = call(2, "10.71.2.2:5000");
    new.sides[0].local = "10.71.1.1:30002".parse().unwrap();
    new.sides[1].local = "10.71.2.7:31000".parse().unwrap();
    lab.edge
        .enter(|| fast_path.install(&new.clone().into()))
        .unwrap()
        .unwrap();
    let phone = socket(&lab.phone, PHONE.1);
    let carrier = socket(&lab.carrier, "10.71.2.2:5000");
    Load::begin(&phone, "10.71.1.1:30002", &carrier).end();
    assert!(fast_path.remove(old.id).is_some());
    assert_eq!(fast_path.pairs_at(ip("10.71.2.1")), 0);
    // And again, more often than there would be room for if nothing were given back.
    for last in 8..16 {
        let moved = [(
            NetworkId(1),
            vec![ip("10.71.2.7"), ip(&format!("10.71.2.{last}"))],
        )];
        let changes = lab.edge.enter(|| fast_path.refresh(&moved)).unwrap();
        assert_eq!((changes.paths.len(), changes.notes), (0, Vec::new()));
    }
}

/// Who is banned is heard at no address that a network has, and whose the others are is not the box's to say.
#[test]
fn what_is_shed_follows_addresses() {
    let Some(lab) = build("shed") else {
        return;
    };
    let mut config = super::lab::config();
    config.networks[1].bind = sbc::config::Bind::Interface("right".to_owned());
    config.networks[1].sip = vec![Listener {
        transport: Transport::Udp,
        port: 5060,
    }];
    let mut fast_path = open_with(&lab, &config);
    for last in [7, 8] {
        lab.edge
            .ip(&format!("addr add 10.71.2.{last}/24 dev right"))
            .unwrap();
    }
    fast_path.shed(&Action::Ban(Ban {
        network: NetworkId(1),
        prefix: "10.71.2.2/32".parse().unwrap(),
        until: Instant::now() + Duration::from_secs(3600),
        by: By::Operator,
        times: 1,
    }));
    let carrier = socket(&lab.carrier, "10.71.2.2:5060");
    let sockets = [1, 7, 8].map(|last| {
        let at = format!("10.71.2.{last}:5060");
        (socket(&lab.edge, &at), at)
    });
    let banned = |fast_path: &sbc::io::fast_path::FastPath| {
        fast_path.stats().networks[&NetworkId(1)].dropped["banned"]
    };
    // The address that the network has, whose SIP is dropped there; the stack has the rest.
    let look = |fast_path: &sbc::io::fast_path::FastPath, has: &str| {
        for (socket, at) in &sockets {
            let before = banned(fast_path);
            let mut bytes = [0; 16];
            let mut is_heard = false;
            until("it is shed, or heard", || {
                carrier.send_to(b"OPTIONS", at).unwrap();
                is_heard = socket.recv_from(&mut bytes).is_ok();
                is_heard || banned(fast_path) > before
            });
            assert_eq!(is_heard, at != has, "{at}, the network has {has}");
        }
    };
    look(&fast_path, "10.71.2.1:5060");
    for last in [7, 8, 1] {
        let address = format!("10.71.2.{last}");
        let moved = [(NetworkId(1), vec![ip(&address)])];
        let changes = lab.edge.enter(|| fast_path.refresh(&moved)).unwrap();
        assert_eq!((changes.paths.len(), changes.notes), (0, Vec::new()));
        look(&fast_path, &format!("{address}:5060"));
    }
}

#[test]
fn two_networks_on_one_interface_with_two_addresses_are_a_hairpin() {
    let Some(lab) = build("hairpin") else {
        return;
    };
    lab.edge.ip("addr add 10.71.2.3/24 dev right").unwrap();
    let config = of(vec![
        network("near", &["10.71.2.1"], (30000, 30999)),
        network("far", &["10.71.2.3"], (31000, 31999)),
    ]);
    let mut fast_path = open_with(&lab, &config);
    let mut call = call(1, "10.71.2.2:5000");
    call.sides[0] = super::lab::side(0, "10.71.2.1:30000", "10.71.2.2:4000");
    call.sides[1].local = "10.71.2.3:31000".parse().unwrap();
    lab.edge
        .enter(|| fast_path.install(&call.clone().into()))
        .unwrap()
        .unwrap();
    let one = socket(&lab.carrier, "10.71.2.2:4000");
    let other = socket(&lab.carrier, "10.71.2.2:5000");
    let load = Load::begin(&one, "10.71.2.1:30000", &other);
    let back = Load::begin(&other, "10.71.2.3:31000", &one);
    back.goes_on();
    assert_eq!((load.end().lost(), back.end().lost()), (0, 0));
}
