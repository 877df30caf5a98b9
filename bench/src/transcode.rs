//! Calls between a phone that speaks G.722 and a carrier that speaks PCMU: what both say, and the flow pair that has it transcoded.

use std::sync::Arc;

use anyhow::{Result, anyhow, ensure};
use sbc::codec::g711::ulaw;
use sbc::codec::g722::NarrowEncoder;
use sbc::config::Codec;
use sbc::engine::Input;
use sbc::io::media::{Driver, Workers};
use sbc::media::{Fallback, FlowCommand, FlowPair, PairId, Path, Voice};
use sbc_tests::e2e::resident_bytes;

use crate::contender;
use crate::traffic::Speech;

/// Samples of a frame.
const FRAME: usize = 160;
/// Frames before it begins anew: no codec has the same to do over and over.
const FRAMES: usize = 149;

/// What the phone says and what the carrier does.
#[must_use]
pub fn speech() -> [Speech; 2] {
    let mut encoder = NarrowEncoder::new();
    let (mut phone, mut carrier) = (Vec::new(), Vec::new());
    for samples in sounds() {
        let mut frame = [0; FRAME];
        encoder.encode(&samples, &mut frame);
        phone.push(frame);
        carrier.push(samples.map(ulaw::encode));
    }
    [(9, phone), (0, carrier)].map(|(payload_type, frames)| Speech {
        payload_type,
        frames,
    })
}

/// A voice of sorts: a pitch that moves, some harmonics, syllables and breath.
fn sounds() -> Vec<[i16; FRAME]> {
    let mut noise = 1_u32;
    let mut phase = 0.0_f64;
    let mut at = 0_u32;
    let mut sample = || {
        let time = f64::from(at) / 8000.0;
        at += 1;
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let breath = f64::from(noise >> 16) / 32_768.0 - 1.0;
        phase += std::f64::consts::TAU * (140.0 + 40.0 * (1.7 * time).sin()) / 8000.0;
        let voice: f64 = (1..12)
            .map(|n| (phase * f64::from(n)).sin() / f64::from(n))
            .sum();
        let syllable = (std::f64::consts::TAU * 3.1 * time).sin().max(0.0);
        (voice * syllable * 6_000.0 + breath * 300.0) as i16
    };
    let frames = std::iter::repeat_with(|| std::array::from_fn(|_| sample()));
    frames.take(FRAMES).collect()
}

/// One call's audio.
///
/// # Errors
/// There are more calls than ports.
pub fn pair(call: u16) -> Result<FlowPair> {
    let mut pair = contender::pair(call, Path::User(Fallback::Transcoded))?;
    let spoken = [(Codec::G722, 9), (Codec::Pcmu, 0)];
    for (side, (codec, number)) in pair.sides.iter_mut().zip(spoken) {
        (side.payload_types, side.timed) = (1 << number, 1 << number);
        side.voice = Some(Voice::plain(codec, number));
    }
    Ok(pair)
}

/// What a transcoded call more takes of memory, in bytes: of so many, those before whom there were as many.
///
/// # Errors
/// The workers refuse one of them.
pub fn memory(driver: Driver, calls: u16) -> Result<f64> {
    let (sender, reports) = std::sync::mpsc::channel();
    let report = Arc::new(move |input| {
        // The benchmark may have ended.
        let _ = sender.send(input);
    });
    let workers = Workers::start_on(driver, 1, 2, report)?;
    // An address of this process's own.
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = std::net::IpAddr::from([127, 16 + high % 200, low, 201]);
    let mut before = 0;
    for call in 0..2 * calls {
        if call == calls {
            before = settled(&workers, &reports)?;
        }
        let mut pair = pair(call)?;
        for (side, port) in pair.sides.iter_mut().zip([10_000, 20_000]) {
            side.local = std::net::SocketAddr::new(address, port + call);
        }
        let refused = |failure| anyhow!("a flow was refused: {failure:?}");
        workers
            .command(FlowCommand::Install(pair.into()))
            .map_err(refused)?;
        // No more than the workers' queue holds.
        if call % 1000 == 999 {
            settled(&workers, &reports)?;
        }
    }
    let after = settled(&workers, &reports)?;
    Ok((after - before) as f64 / f64::from(calls))
}

/// Resident memory in bytes, once all was done that was asked for.
fn settled(workers: &Workers, reports: &std::sync::mpsc::Receiver<Input>) -> Result<u64> {
    // Nobody has this pair: the answer says that all before it was done.
    let _ = workers.command(FlowCommand::Remove(PairId(u64::MAX)));
    let answer = reports.recv_timeout(std::time::Duration::from_secs(10))?;
    ensure!(
        matches!(answer, Input::FlowEnded { .. }),
        "a flow could not be installed: {answer:?}"
    );
    resident_bytes(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_say_the_same_at_a_voices_level() {
        let [phone, carrier] = speech();
        assert_eq!((phone.payload_type, carrier.payload_type), (9, 0));
        assert_eq!((phone.frames.len(), carrier.frames.len()), (FRAMES, FRAMES));
        let loudest = sounds()
            .as_flattened()
            .iter()
            .map(|s| s.unsigned_abs())
            .max();
        assert!((4_000..20_000).contains(&loudest.unwrap()), "{loudest:?}");
    }

    #[test]
    fn both_sides_are_transcoded() {
        let pair = pair(3).unwrap();
        assert!(pair.sides.iter().all(|side| side.voice.is_some()));
        assert_eq!(pair.sides.map(|side| side.payload_types), [1 << 9, 1]);
    }
}
