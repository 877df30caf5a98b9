//! Turns of a call that no phone takes on command, message by message: sipp on both sides. Each is made from the left and from the right.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use anyhow::{Context, Result};
use sbc_tests::e2e::{
    CARRIER, Daemon, EDGE_LEFT, EDGE_RIGHT, Ear, Lab, Namespace, PHONE, Scenario, skipped,
};

use super::support::{LOAD, start_on};

/// Where else calls may go on either side.
const THIRD: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 71, 1, 3), Ipv4Addr::new(10, 71, 2, 3)];
/// What callers play, in Hz, at 8,000 samples a second: a period of eight samples.
const TONE: u32 = 1_000;
const PERIOD: [u8; 8] = [0xff, 0x89, 0x80, 0x89, 0xff, 0x09, 0x00, 0x09];
/// Media ports of scenarios are so far from their ports for SIP.
const MEDIA: u16 = 6_060;

/// An exact call: what each side does and expects.
struct Call {
    name: &'static str,
    caller: &'static str,
    callee: &'static str,
}

macro_rules! call {
    ($name:literal) => {
        Call {
            name: $name,
            caller: include_str!(concat!("scenarios/", $name, "-caller.xml")),
            callee: include_str!(concat!("scenarios/", $name, "-callee.xml")),
        }
    };
}

#[test]
fn before_the_answer() -> Result<()> {
    if skipped("sipp: turns before the answer", &LOAD) {
        return Ok(());
    }
    let stage = Stage::new()?;
    let daemon = stage.start()?;
    for side in [Side::Left, Side::Right] {
        for call in [
            call!("prack"),
            call!("prack-alone"),
            call!("cancel"),
            call!("cancel-taken"),
            call!("busy"),
        ] {
            stage.play(&call, side)?;
        }
        // A 200 that names another place than the 183 did: voice goes there, and comes back.
        stage.play_with_voice(&call!("early"), side, 25)?;
        let target = include_str!("scenarios/redirect-target.xml");
        let other = SocketAddrV4::new(side.callee(), 5070);
        stage.play_with(&call!("redirect"), side, target, other)?;
    }
    nothing_left(&daemon)
}

#[test]
fn in_the_call() -> Result<()> {
    if skipped("sipp: turns in the call", &LOAD) {
        return Ok(());
    }
    let stage = Stage::new()?;
    let daemon = stage.start()?;
    for side in [Side::Left, Side::Right] {
        for call in [
            call!("update"),
            call!("late-offer"),
            call!("timer"),
            call!("info"),
            call!("challenge"),
        ] {
            stage.play(&call, side)?;
        }
        stage.play_with_voice(&call!("hold"), side, 60)?;
        let target = include_str!("scenarios/refer-target.xml");
        let third = SocketAddrV4::new(side.third(), 5060);
        stage.play_with(&call!("refer"), side, target, third)?;
    }
    nothing_left(&daemon)
}

/// Who calls.
#[derive(Clone, Copy, Debug)]
enum Side {
    Left,
    Right,
}

impl Side {
    fn caller(self) -> Ipv4Addr {
        match self {
            Side::Left => PHONE,
            Side::Right => CARRIER,
        }
    }

    fn callee(self) -> Ipv4Addr {
        match self {
            Side::Left => CARRIER,
            Side::Right => PHONE,
        }
    }

    /// Beside the callee.
    fn third(self) -> Ipv4Addr {
        match self {
            Side::Left => THIRD[1],
            Side::Right => THIRD[0],
        }
    }

    /// The box, as the caller and as the callee see it.
    fn edges(self) -> [Ipv4Addr; 2] {
        match self {
            Side::Left => [EDGE_LEFT, EDGE_RIGHT],
            Side::Right => [EDGE_RIGHT, EDGE_LEFT],
        }
    }
}

struct Stage {
    lab: Lab,
}

impl Stage {
    fn new() -> Result<Stage> {
        let lab = Lab::new()?;
        for (host, third) in [&lab.phone, &lab.carrier].into_iter().zip(THIRD) {
            host.live("eth0", third)?;
        }
        std::fs::write(lab.scratch.path().join("voice.ulaw"), PERIOD.repeat(4_000))?;
        Ok(Stage { lab })
    }

    fn start(&self) -> Result<Daemon<'_>> {
        start_on(&self.lab, &config(&self.lab))
    }

    fn hosts(&self, side: Side) -> [&Namespace; 2] {
        match side {
            Side::Left => [&self.lab.phone, &self.lab.carrier],
            Side::Right => [&self.lab.carrier, &self.lab.phone],
        }
    }

    fn play(&self, call: &Call, side: Side) -> Result<()> {
        Scenario::finish(self.begin(call, side)?)
    }

    /// Somebody else on the callee's side has a part.
    fn play_with(&self, call: &Call, side: Side, xml: &str, at: SocketAddrV4) -> Result<()> {
        let [_, host] = self.hosts(side);
        let name = format!("{}-target", call.name);
        let target = Scenario::callee(host, &self.lab.scratch, &name, xml, at)?;
        Scenario::finish(self.begin(call, side)?.into_iter().chain([target]))
    }

    /// The caller plays his tone, the callee sends it back, and both hear it where they said that they would.
    fn play_with_voice(&self, call: &Call, side: Side, packets: usize) -> Result<()> {
        let ([caller, callee], [to_caller, to_callee]) = (self.hosts(side), side.edges());
        let (at_caller, at_callee) = (Ear::open(caller, to_caller)?, Ear::open(callee, to_callee)?);
        let scenarios = self.begin(call, side)?;
        // The callee hangs up some time after the last turn: more than has come before that.
        for ear in [&at_callee, &at_caller] {
            ear.hears_at(MEDIA, TONE, packets)
                .with_context(|| call.name)?;
        }
        Scenario::finish(scenarios)
    }

    fn begin(&self, call: &Call, side: Side) -> Result<[Scenario; 2]> {
        let ([caller, callee], [edge, _]) = (self.hosts(side), side.edges());
        let name = |part| format!("{}-{part}", call.name);
        let sip = |address| SocketAddrV4::new(address, 5060);
        let scratch = &self.lab.scratch;
        let answers = sip(side.callee());
        let callee = Scenario::callee(callee, scratch, &name("callee"), call.callee, answers)?;
        let way = [sip(side.caller()), sip(edge)];
        let caller = Scenario::caller(caller, scratch, &name("caller"), call.caller, way)?;
        // Whoever fails first has more to say.
        Ok([caller, callee])
    }
}

fn nothing_left(daemon: &Daemon<'_>) -> Result<()> {
    let soon = Duration::from_secs(60);
    daemon.scrape_until("nothing left", soon, |metrics| {
        metrics.sum("sbc_flows", &[]) == 0.0 && metrics.sum("sbc_calls", &[]) == 0.0
    })?;
    Ok(())
}

/// A trunk at each place, all of which know a password and may transfer; 777 is the third place on the other side.
fn config(lab: &Lab) -> String {
    let state_dir = lab.scratch.path().join("state");
    let mut text = format!(
        "[sbc]\nname = \"lab\"\nstate_dir = \"{}\"\nadmin = \"127.0.0.1:9960\"\n\n",
        state_dir.display()
    );
    for (network, edge) in [("left", EDGE_LEFT), ("right", EDGE_RIGHT)] {
        text += &format!(
            "[network.{network}]\naddress = [\"{edge}\"]\nsip = [\"udp:5060\"]\nmedia_ports = \"20000-29999\"\n\n"
        );
    }
    for (name, network, address) in [
        ("a", "left", PHONE),
        ("b", "right", CARRIER),
        ("c", "right", THIRD[1]),
        ("d", "left", THIRD[0]),
    ] {
        text += &format!(
            "[trunk.{name}]\nnetwork = \"{network}\"\nserver = \"sip:{address}:5060\"\ncodecs = [\"PCMU\"]\n\
             username = \"box\"\npassword = \"secret\"\ntransfers = true\n\n"
        );
    }
    for (name, from, number, to) in [
        ("a-to-c", "a", "number = \"777\"\n", "c"),
        ("b-to-d", "b", "number = \"777\"\n", "d"),
        ("a-to-b", "a", "", "b"),
        ("b-to-a", "b", "", "a"),
    ] {
        text += &format!(
            "[[route]]\nname = \"{name}\"\nfrom = [\"trunk:{from}\"]\n{number}to = [\"trunk:{to}\"]\n\n"
        );
    }
    text
}
