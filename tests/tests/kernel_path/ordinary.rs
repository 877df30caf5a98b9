//! The daemon as its service runs it: an ordinary user with CAP_NET_ADMIN and CAP_BPF, and nothing else.
//!
//! This test starts itself once more as that user; the two speak over standard input and output.

use sbc_tests::e2e::Process;

use super::*;

const USER: &str = "65534";
const SAYS_READY: &str = "the call is up";

#[test]
fn an_ordinary_user_with_two_capabilities_forwards() {
    let name = "an ordinary user forwards";
    if skipped(name, &[Need::Program("setpriv")]) {
        return;
    }
    let Some(lab) = build("an ordinary user") else {
        return;
    };
    // The build directory may be closed to that user.
    let copy = lab.scratch.path().join("edge");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let mut command = lab.edge.command_as_user(&["net_admin", "bpf"], &copy);
    command.args(["--ignored", "--nocapture", "--exact", "ordinary::the_edge"]);
    let mut edge = Process::spawn("edge", command).unwrap();
    edge.wait_for(SAYS_READY, PATIENCE).unwrap();
    let phone = socket(&lab.phone, "10.71.1.2:4000");
    let carrier = socket(&lab.carrier, "10.71.2.2:5000");
    reaches(&phone, "10.71.1.1:30000", &carrier, "10.71.2.1:31000");
    reaches(&carrier, "10.71.2.1:31000", &phone, "10.71.1.1:30000");
    streams(&phone, "10.71.1.1:30000", &carrier, 100);
    streams(&carrier, "10.71.2.1:31000", &phone, 100);
    edge.tell("enough").unwrap();
    let status = edge.wait_end(PATIENCE).unwrap();
    assert!(status.success(), "{}", edge.printed());
}

#[test]
#[ignore = "the other process of an_ordinary_user_with_two_capabilities_forwards"]
fn the_edge() {
    if nix::unistd::getuid().to_string() != USER {
        return;
    }
    let opened = FastPath::open(&config(Wanted::Auto));
    let mode = XdpMode::Native;
    let kernel = NetworkPath::Kernel { mode };
    assert_eq!(
        opened.paths,
        [(NetworkId(0), kernel), (NetworkId(1), kernel)],
        "{:?}",
        opened.notes
    );
    let mut fast_path = opened.fast_path.unwrap();
    let call = pair(
        1,
        ("10.71.1.1:30000", "10.71.1.2:4000"),
        ("10.71.2.1:31000", "10.71.2.2:5000"),
    );
    fast_path.install(&call.clone().into()).unwrap();
    println!("{SAYS_READY}");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let report = fast_path.remove(PairId(1)).unwrap();
    let packets = report.sides.map(|side| side.packets);
    assert!(packets.into_iter().all(|count| count > 100), "{packets:?}");
}
