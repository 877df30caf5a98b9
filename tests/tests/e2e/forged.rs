//! Someone at the phone's own address who reads along: he can pass for a phone whose NAT has rebound, until the phone's next packet.

use std::io::Read as _;
use std::net::{SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use sbc_tests::e2e::{
    Account, Baresip, CARRIER, EDGE_LEFT, EDGE_RIGHT, Lab, Namespace, PHONE, Phone, skipped,
};
use socket2::{Domain, Protocol, Socket, Type};

use super::nat::{ended, start};
use super::street::sprayed_next;
use super::support::{ALICE, BOB, PHONES, Raise, Voice, assert_heard, latched_until, server};

const TALK: Duration = Duration::from_secs(8);
/// So much is not Alice's.
const MORE: Duration = Duration::from_secs(1);
/// One packet of his for so many of the phone's.
const EVERY: u64 = 25;
/// What the other phone may send between his packet and the phone's next, 20 ms later; the second is for a busy machine.
const LEAK: u64 = 2;

#[test]
fn the_phone_has_its_call_back_with_its_next_packet() -> Result<()> {
    if skipped("forged packets of a phone", &PHONES) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let _daemon = start(&lab)?;
    let bob = server("bob", CARRIER, BOB);
    let alice = Phone {
        user: "6001",
        address: (PHONE, 5060).into(),
        tone: ALICE,
        account: Account::Registered {
            registrar: EDGE_LEFT.to_string(),
            password: "secret".to_owned(),
        },
    };
    let mut bob = Baresip::start(&lab.carrier, &lab.scratch, &bob)?;
    let mut alice = Baresip::start(&lab.phone, &lab.scratch, &alice)?;
    alice.wait_registered()?;
    bob.dial(&format!("sip:6001@{EDGE_RIGHT}"))?;
    bob.wait_established()?;
    alice.wait_established()?;
    let named = latched_until(&lab, |latched| latched.is_some())?;

    let stop = AtomicBool::new(false);
    let forger = Forger::new(&lab.phone)?;
    let (forged, leaked) = std::thread::scope(|scope| -> Result<_> {
        let done = Raise(&stop);
        let forging = scope.spawn(|| forger.forge(&stop));
        // What leaks to the forger is taken on the phone's host too.
        Voice::to(&[&lab.phone, &lab.carrier])?.lasts(TALK + MORE)?;
        drop(done);
        forging.join().ok().context("the forger has panicked")?
    })?;
    assert_eq!(latched_until(&lab, |latched| latched == named)?, named);
    bob.hang_up()?;
    let heard = ended(&mut alice, &mut bob)?;
    println!(
        "{forged} forged, {leaked} packets to the forger; heard {} / {}",
        heard[0], heard[1]
    );
    // A packet that is taken, or put between two, is no gap that is heard as one.
    assert_heard(&heard, TALK.as_secs_f64() - 0.3);
    let packets = TALK.as_millis() as u64 / 20;
    assert!(forged >= packets / EVERY - 2, "{forged} forged");
    assert!(
        (1..=LEAK * forged).contains(&leaked),
        "{leaked} of {forged}"
    );
    Ok(())
}

/// Sees what the phone sends, and goes on in its name from another port.
struct Forger {
    seen: Socket,
    socket: UdpSocket,
}

const ETH_P_ALL: u16 = 3;

impl Forger {
    fn new(host: &Namespace) -> Result<Forger> {
        let protocol = Protocol::from(i32::from(ETH_P_ALL.to_be()));
        let (seen, socket) = host.enter(|| -> Result<_> {
            let seen = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))?;
            Ok((seen, UdpSocket::bind(SocketAddrV4::new(PHONE, 9_998))?))
        })??;
        seen.set_read_timeout(Some(Duration::from_millis(50)))?;
        Ok(Forger { seen, socket })
    }

    /// Until `stop`: how many packets he has sent, and how many came to him.
    fn forge(self, stop: &AtomicBool) -> Result<(u64, u64)> {
        let (mut bytes, mut phone, mut forged) = ([0; 2048], 0_u64, 0);
        while !stop.load(Ordering::Relaxed) {
            let Ok(length) = (&self.seen).read(&mut bytes) else {
                continue;
            };
            // IPv4 without options, UDP from the phone, RTP of 20 ms.
            let is_phones = bytes[12..16] == PHONE.octets() && bytes[9] == 17;
            let port = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
            if length != 28 + 172 || !is_phones || port(20) == 9_998 {
                continue;
            }
            phone += 1;
            if phone.is_multiple_of(EVERY) {
                let word = |at: usize| u32::from(port(at)) << 16 | u32::from(port(at + 2));
                let packet = sprayed_next([port(30).into(), word(32), word(36)]);
                self.socket
                    .send_to(&packet, SocketAddrV4::new(EDGE_LEFT, port(22)))?;
                forged += 1;
            }
        }
        self.socket.set_nonblocking(true)?;
        let mut leaked = 0;
        while self.socket.recv_from(&mut bytes).is_ok() {
            leaked += 1;
        }
        Ok((forged, leaked))
    }
}
