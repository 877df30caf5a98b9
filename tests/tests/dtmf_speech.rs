//! No key in an hour of speech: espeak-ng reads, many voices, high and low, slow and fast, and the detector of in-band DTMF hears nothing. Between the sentences keys are
//! pressed, each of which it does hear.
//!
//! An hour, or as much as half a minute of processor time is enough for: then it says how much that was.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends with what should not be"
)]

use std::io::Write;
use std::process::{Command, Stdio};

use nix::sys::resource::{UsageWho, getrusage};
use sbc::codec::g711::{alaw, ulaw};
use sbc::codec::tone::{Detector, Dtmf, Generator, Heard};
use sbc_tests::e2e::{Need, skipped};

const HOUR: usize = 3_600 * RATE;
const RATE: usize = 8_000;
/// Of processor time, espeak-ng's too.
const SECONDS: i64 = 30;

const VOICES: [&str; 12] = [
    "en-us", "en-gb+f2", "en-us+m3", "de+f4", "fr", "es+m7", "it+f1", "pl", "en-gb+m1", "pt+f3",
    "nl", "en-us+f5",
];
const WORDS: &str = "the number you have dialled is not in service please hold the line while we connect your call one moment thank you \
    for calling good morning this is anna speaking how may i help you today zero one two three four five six seven eight nine \
    ten eleven hundred thousand our office hours are monday through friday from half past eight until five yes no maybe perhaps \
    hello goodbye lovely weather isn't it where did you leave the keys mother father water orange yellow blue moon room school \
    eighty aloe area idea oasis iowa ohio hawaii yaw woe wow may we allow an hour in our own aisle ooh aah mmm low roll lane nine \
    lions roam among an early morning lawn while willow and laurel lean along a lonely lane";

#[test]
fn no_key_in_an_hour_of_speech() {
    if skipped("no_key_in_an_hour_of_speech", &[Need::Program("espeak-ng")]) {
        return;
    }
    let mut chance = Chance(0x5eed);
    let telephone = Telephone::new();
    let (mut listened, mut muted, mut pressed) = (0, 0, 0);
    let mut wrong = Vec::new();
    for number in 0.. {
        if listened >= HOUR || spent() >= SECONDS {
            break;
        }
        let voice = VOICES[number % VOICES.len()];
        let (speed, pitch) = (120 + chance.below(120), chance.below(100));
        let text = sentences(&mut chance);
        let mut sound = telephone.carry(&speech(voice, speed, pitch, &text), number);
        let spoken = sound.len();
        let key = Dtmf::new((number % 16) as u8).unwrap();
        sound.extend(keypress(key));

        let mut detector = Detector::new();
        let mut heard = Vec::new();
        for frame in sound[..spoken].chunks(160) {
            detector.hear(frame, |what| heard.push(what));
            muted += usize::from(detector.mute_from().is_some());
        }
        if !heard.is_empty() {
            wrong.push((voice, speed, pitch, number, std::mem::take(&mut heard)));
        }
        detector.hear(&sound[spoken..], |what| heard.push(what));
        let begun = heard
            .iter()
            .filter(|what| matches!(what, Heard::Begin { .. }));
        assert_eq!(begun.count(), 1, "{key:?} after {number}: {heard:?}");
        assert!(
            matches!(heard[0], Heard::Begin { key: heard, .. } if heard == key),
            "{heard:?} instead of {key:?}"
        );
        listened += spoken;
        pressed += 1;
    }
    let minutes = listened as f64 / (60 * RATE) as f64;
    let part = 100.0 * (muted * 160) as f64 / listened as f64;
    println!(
        "{minutes:.1} minutes of speech in {} s of processor time: {} false keys, all of {pressed} true ones; {part:.3} % suspected",
        spent(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(part < 0.1, "so much of speech would be muted");
}

/// 200 ms of silence, a key of 50 ms, and silence.
fn keypress(key: Dtmf) -> Vec<i16> {
    let mut sound = vec![0; 2_400];
    let mut generator = Generator::new();
    generator.begin_for(key, 13, 400);
    generator.make(&mut sound[1_600..]);
    sound
}

/// Some forty words.
fn sentences(chance: &mut Chance) -> String {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut text = String::new();
    for _ in 0..6 {
        for _ in 0..3 + chance.below(8) {
            text.push_str(words[chance.below(words.len())]);
            text.push(' ');
        }
        text.push_str([". ", "? ", ", "][chance.below(3)]);
    }
    text
}

/// What espeak-ng says, at 22,050 Hz.
fn speech(voice: &str, speed: usize, pitch: usize, text: &str) -> Vec<i16> {
    let mut child = Command::new("espeak-ng")
        .args(["--stdin", "--stdout", "-v", voice])
        .args(["-s", &speed.to_string(), "-p", &pitch.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Short enough for any pipe.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let wav = output.stdout;
    let said = String::from_utf8_lossy(&output.stderr);
    // Its header is always the same, and does not know the length.
    assert!(
        wav.len() > 10_000 && wav.starts_with(b"RIFF") && wav[24..28] == 22_050_u32.to_le_bytes(),
        "espeak-ng -v {voice}: {said}"
    );
    wav[44..]
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

/// In seconds, ours and of the children that have ended.
fn spent() -> i64 {
    [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN]
        .map(|who| getrusage(who).expect("an own figure"))
        .map(|usage| usage.user_time().tv_sec() + usage.system_time().tv_sec())
        .iter()
        .sum()
}

/// What a line makes of sound: a band of 3.6 kHz at 8 kHz, coded.
struct Telephone {
    phases: Vec<Vec<f32>>,
}

impl Telephone {
    const TAPS: usize = 24;
    const PHASES: usize = 64;
    const STEP: f64 = 22_050.0 / 8_000.0;

    fn new() -> Telephone {
        let tap = |x: f64| {
            let sinc = |x: f64| {
                if x.abs() < 1e-9 {
                    1.0
                } else {
                    (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x)
                }
            };
            let band = 2.0 * 3_600.0 / 22_050.0;
            let half = Self::TAPS as f64 / 2.0;
            (band * sinc(band * x) * sinc(x / half).max(0.0)) as f32
        };
        let phases = (0..Self::PHASES)
            .map(|phase| {
                let late = phase as f64 / Self::PHASES as f64;
                let middle = Self::TAPS as f64 / 2.0 - 1.0;
                (0..Self::TAPS)
                    .map(|n| tap(n as f64 - middle - late))
                    .collect()
            })
            .collect();
        Telephone { phases }
    }

    /// Every second time the low end is cut off too, as handsets do: what is left is more like a key.
    fn carry(&self, sound: &[i16], number: usize) -> Vec<i16> {
        let length = (sound.len().saturating_sub(Self::TAPS + 1) as f64 / Self::STEP) as usize;
        let (mut low, mut lower) = (0.0, 0.0);
        (0..length)
            .map(|n| {
                let at = n as f64 * Self::STEP;
                let phase = (at.fract() * Self::PHASES as f64) as usize;
                let window = &sound[at as usize..at as usize + Self::TAPS];
                let taps = window.iter().zip(&self.phases[phase]);
                let mut sample: f32 = taps.map(|(&s, t)| f32::from(s) * t).sum();
                if number % 2 == 1 {
                    // Two poles at 300 Hz.
                    low += 0.21 * (sample - low);
                    sample -= low;
                    lower += 0.21 * (sample - lower);
                    sample -= lower;
                }
                let sample = sample as i16;
                match number % 3 {
                    0 => ulaw::decode(ulaw::encode(sample)),
                    1 => alaw::decode(alaw::encode(sample)),
                    _ => sample,
                }
            })
            .collect()
    }
}

/// xorshift: the same every time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % end
    }
}
