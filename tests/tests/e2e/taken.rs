//! Media ports that another program has.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::Result;
use sbc_tests::e2e::{Daemon, EDGE_LEFT, EDGE_RIGHT, FastPath, Lab, RunAs, lab_config, skipped};

use super::support::{Call, PHONES, assert_heard, talk};

const TALK: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(10);
/// Of 12 pairs all but one are someone else's.
const RANGE: std::ops::RangeInclusive<u16> = 20_000..=20_023;
const LEFT_OVER: u16 = 20_014;

#[test]
fn a_call_has_the_one_pair_that_nobody_else_has_in_user_space() -> Result<()> {
    taken(FastPath::Off)
}

#[test]
fn a_call_has_the_one_pair_that_nobody_else_has_in_the_kernel() -> Result<()> {
    taken(FastPath::Native)
}

fn taken(fast_path: FastPath) -> Result<()> {
    let name = format!("ports that are taken, fast_path = {}", fast_path.word());
    if skipped(&name, &PHONES) {
        return Ok(());
    }
    let lab = Lab::new()?;
    // RTP's port of some, RTCP's of others.
    let theirs = RANGE.filter(|port| port % 2 == 0 && *port != LEFT_OVER);
    let theirs = theirs.map(|port| port + port / 2 % 2);
    let theirs: Vec<SocketAddr> = theirs
        .flat_map(|port| [EDGE_LEFT, EDGE_RIGHT].map(|ip| (ip, port).into()))
        .collect();
    let bind =
        || -> std::io::Result<Vec<UdpSocket>> { theirs.iter().map(UdpSocket::bind).collect() };
    let theirs = lab.edge.enter(bind)??;
    let config = lab_config(fast_path, &lab.scratch.path().join("state"));
    let config = config.replace("20000-29999", "20000-20023");
    let file = lab.scratch.write("lab.toml", &config)?;
    let mut daemon = Daemon::start(
        &lab.edge,
        &lab.scratch,
        RunAs::Root,
        ["run".as_ref(), "--config".as_ref(), file.as_os_str()],
    )?;
    let said = daemon
        .process()
        .wait_for("a media port is someone else's", PATIENCE)?;
    assert!(said.contains("calls get others"), "{said}");
    let free = |daemon: &Daemon<'_>| -> Result<f64> {
        Ok(daemon.scrape()?.sum("sbc_media_ports_free", &[]))
    };
    assert_eq!(free(&daemon)?, 4.0);

    let call = Call::begin(&lab)?;
    talk(&lab, TALK)?;
    assert_eq!(free(&daemon)?, 0.0);
    let heard = call.end()?;
    assert_heard(&heard, TALK.as_secs_f64() - 0.3);
    let outcome = [("outcome", "answered")];
    assert_eq!(daemon.scrape()?.sum("sbc_calls_total", &outcome), 1.0);
    // Once, however many there are.
    let printed = daemon.process().printed();
    let told = printed.matches("a media port is someone else's").count();
    assert_eq!(told, 1, "{printed}");
    drop(theirs);
    Ok(())
}
