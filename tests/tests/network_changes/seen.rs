//! When the last packet came, as the kernel's own clock says.

use std::time::{Duration, Instant};

use super::lab::{PHONE, build, call, open, socket, until};

/// Of the slowest clock that a kernel ticks by, twice.
const TICKS: Duration = Duration::from_millis(20);
/// What a machine that has other things to do, and a kernel that was slow to start, may add.
const LATE: Duration = Duration::from_secs(5);

#[test]
fn a_flow_says_how_long_it_has_been_silent() {
    let Some(lab) = build("silent") else {
        return;
    };
    let mut fast_path = open(&lab);
    let phone = socket(&lab.phone, PHONE.1);
    let carrier = socket(&lab.carrier, "10.71.2.2:5000");
    let call = call(1, "10.71.2.2:5000");
    let install = || fast_path.install(&call.clone().into());
    lab.edge.enter(install).unwrap().unwrap();
    // How long it has been, and when that was asked.
    let look = || {
        let before = Instant::now();
        let report = fast_path.report(call.id).unwrap();
        (report.sides[0].silent, before, Instant::now())
    };
    assert_eq!(look().0, None);
    let (mut rtp, mut bytes) = ([0; 172], [0; 2048]);
    rtp[0] = 0x80;
    let mut last = Instant::now();
    until("a packet", || {
        last = Instant::now();
        phone.send_to(&rtp, PHONE.0).unwrap();
        carrier.recv_from(&mut bytes).is_ok()
    });
    let (silent, before, after) = look();
    let silent = silent.unwrap();
    eprintln!("silent for {silent:?}, sent {:?} ago", last.elapsed());
    assert!(silent <= after - last + LATE, "{silent:?}");
    until("it is silent for longer", || {
        look().0.unwrap() >= silent + Duration::from_millis(300)
    });
    let (later, then, now) = look();
    let grown = later.unwrap() - silent;
    assert!(grown + TICKS >= then - after, "{grown:?}");
    assert!(grown <= now - before + TICKS, "{grown:?}");
    assert_eq!(fast_path.report(call.id).unwrap().sides[1].silent, None);
    // Another packet, and it was not.
    phone.send_to(&rtp, PHONE.0).unwrap();
    until("it has been heard again", || {
        look().0.unwrap() < later.unwrap()
    });
}
