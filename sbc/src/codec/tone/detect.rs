//! Hears keys in audio, and nothing but keys.
//!
//! Every 5 ms the last 20 ms are looked at, twice. First coarsely, which costs next to nothing: are two of the eight tones a good part of the sound? If they are, exactly:
//! how much of the sound are they, by how much are they off (from how their phases moved since 5 ms before), how loud is each, and what of the column is heard an octave higher?
//! What passes five times in a row is a key. Speech has pairs of harmonics that come near, but never so pure, so steady and so well tuned for so long.

use super::window::{HOP, Phasor, TABLES, Table, WINDOW, hertz, response};
use super::{DBM0, Dtmf};

const HOPS: usize = WINDOW / HOP;
/// How many coarse looks are remembered, to find out where a key began: 80 ms.
const REMEMBERED: usize = 16;

/// Of the power of the sound, the two tones must be this much for an exact look. A column that is 1.5 % off loses more than half of its own in a coarse one.
const COARSE: f32 = 0.3;
/// In the first exact look, which cannot tell how far they are off, and in those after it.
const FIRST: f32 = 0.7;
const PURE: f32 = 0.85;
/// So many looks in a row make a key.
const LOOKS: u8 = 5;
/// Wide enough for what must be taken (1.5 %), too narrow for what must not (3.5 %).
const TUNED: f32 = 0.024;
/// Each tone at least at -32 dBm0.
const SOFTEST: f32 = DBM0 * DBM0 / 2.0 * 0.000_63;
/// The column may have 6 dB more than the row, or 10 dB less.
const TWIST: f32 = 4.0;
const REVERSE_TWIST: f32 = 10.0;
/// An octave above the column there must be 12 dB less.
const OCTAVE: f32 = 0.063;
/// From one look to the next a tone may change by 2 dB.
const STEADY: f32 = 1.58;
/// A key is over when its tones have fallen to less than this part of their amplitude,
const GONE: f32 = 0.4;
/// and in so many more looks have not come back. Gaps of less than 19 ms are bridged, those of 25 ms and more are not.
const PATIENCE: u8 = 3;

/// What was heard, with its place: samples counted from the detector's first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A key is being pressed: told some 35 to 45 ms after it began.
    Begin {
        /// Which.
        key: Dtmf,
        /// Where its tones began, to 5 ms.
        at: u64,
    },
    /// It is not any more: told some 30 ms after it ended.
    End {
        /// Which.
        key: Dtmf,
        /// Where its tones ended, to 5 ms.
        at: u64,
        /// How many samples it lasted.
        length: u32,
    },
}

/// Hears the keys in one stream at 8 kHz.
#[derive(Clone, Debug)]
pub struct Detector {
    /// Samples heard.
    position: u64,
    window: [f32; WINDOW],
    /// How many of the last hop have come.
    filled: usize,
    /// The hops of the window by themselves, the oldest first.
    parts: [Part; HOPS],
    /// Power of the eight tones in each coarse look, the newest last.
    powers: [[f32; 8]; REMEMBERED],
    candidate: Option<Candidate>,
    pressed: Option<Pressed>,
}

/// What one hop has of each tone, and its energy.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    re: [f32; 8],
    im: [f32; 8],
    energy: f32,
}

/// Two tones that may become a key.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    row: usize,
    column: usize,
    /// Of the last look.
    tones: [Phasor; 2],
    powers: [f32; 2],
    /// Looks that it has passed.
    looks: u8,
}

#[derive(Clone, Copy, Debug)]
struct Pressed {
    key: Dtmf,
    row: usize,
    column: usize,
    began: u64,
    /// The most that both had together.
    power: f32,
    /// Looks without it, and where it was last.
    missed: u8,
    last: u64,
}

impl Default for Detector {
    fn default() -> Self {
        Self::new()
    }
}

impl Detector {
    /// Nothing has been heard.
    #[must_use]
    pub fn new() -> Self {
        Detector {
            position: 0,
            window: [0.0; WINDOW],
            filled: 0,
            parts: [Part::default(); HOPS],
            powers: [[0.0; 8]; REMEMBERED],
            candidate: None,
            pressed: None,
        }
    }

    /// Hears any number of samples and tells what was in them, in order.
    pub fn hear(&mut self, samples: &[i16], mut tell: impl FnMut(Heard)) {
        let mut rest = samples;
        while !rest.is_empty() {
            let wanted = rest.len().min(HOP - self.filled);
            let (now, later) = rest.split_at_checked(wanted).unwrap_or((rest, &[]));
            rest = later;
            let place = WINDOW - HOP + self.filled;
            for (place, &sample) in self.window.iter_mut().skip(place).zip(now) {
                *place = sample.into();
            }
            self.filled += wanted;
            self.position += wanted as u64;
            if self.filled == HOP {
                self.look(&mut tell);
                self.filled = 0;
                self.window.copy_within(HOP.., 0);
            }
        }
    }

    /// Samples heard so far.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// From which sample on the sound is that of a key, or may be; `None` when it is not. What is to be kept from the other side: what has already been
    /// sent of a key by the time that it is suspected is 15 to 20 ms of it, too short for a key there.
    #[must_use]
    pub fn mute_from(&self) -> Option<u64> {
        match (self.pressed, self.candidate) {
            (Some(pressed), _) => Some(pressed.began),
            (None, Some(candidate)) => {
                let heard = (WINDOW - HOP + HOP * usize::from(candidate.looks)) as u64;
                Some(self.position.saturating_sub(self.filled as u64 + heard))
            }
            (None, None) => None,
        }
    }

    fn look(&mut self, tell: &mut impl FnMut(Heard)) {
        let (powers, all) = self.coarse();
        self.powers.rotate_left(1);
        if let Some(newest) = self.powers.last_mut() {
            *newest = powers;
        }
        let (row, column) = (loudest(&powers, 0), loudest(&powers, 4));
        let both = power(&powers, row) + power(&powers, column);
        self.candidate = if all > SOFTEST && both > COARSE * all {
            self.exact(row, column - 4)
        } else {
            None
        };
        self.still(&powers, tell);
        let Some(Candidate { row, column, .. }) =
            self.candidate.filter(|candidate| candidate.looks >= LOOKS)
        else {
            return;
        };
        let Some(key) = Dtmf::at(row, column) else {
            return;
        };
        match self.pressed {
            Some(pressed) if pressed.key == key => return,
            // From one to the next without a pause.
            Some(_) => self.release(tell),
            None => {}
        }
        let began = self.began(row, column);
        self.pressed = Some(Pressed {
            key,
            row,
            column,
            began,
            power: both,
            missed: 0,
            last: self.position,
        });
        tell(Heard::Begin { key, at: began });
    }

    /// The power of each tone in the window, and of all the sound.
    fn coarse(&mut self) -> ([f32; 8], f32) {
        let tables = &*TABLES;
        let mut part = Part::default();
        let newest = self.window.get(WINDOW - HOP..).unwrap_or_default();
        for (&sample, (cos, sin)) in newest.iter().zip(&tables.hop) {
            let sums = part.re.iter_mut().zip(&mut part.im);
            for (((re, im), cos), sin) in sums.zip(cos).zip(sin) {
                *re += sample * cos;
                *im -= sample * sin;
            }
            part.energy += sample * sample;
        }
        self.parts.rotate_left(1);
        if let Some(last) = self.parts.last_mut() {
            *last = part;
        }
        // Horner: each hop is turned by as much as it is later.
        let mut sum = Part::default();
        for part in self.parts.iter().rev() {
            let sums = sum.re.iter_mut().zip(&mut sum.im);
            let turns = tables.turn.0.iter().zip(&tables.turn.1);
            let parts = part.re.iter().zip(&part.im);
            for (((re, im), (cos, sin)), (new_re, new_im)) in sums.zip(turns).zip(parts) {
                let (old_re, old_im) = (*re, *im);
                *re = new_re + old_re * cos + old_im * sin;
                *im = new_im + old_im * cos - old_re * sin;
            }
            sum.energy += part.energy;
        }
        let mut powers = [0.0; 8];
        for ((power, re), im) in powers.iter_mut().zip(sum.re).zip(sum.im) {
            *power = 2.0 * (re * re + im * im) / (WINDOW * WINDOW) as f32;
        }
        (powers, sum.energy / WINDOW as f32)
    }

    /// The candidate after an exact look at these two tones.
    fn exact(&self, row: usize, column: usize) -> Option<Candidate> {
        let tables = &*TABLES;
        let before = self
            .candidate
            .filter(|before| before.row == row && before.column == column);
        let mut all = 0.0;
        for (&sample, weight) in self.window.iter().zip(&tables.weights) {
            all += sample * sample * weight;
        }
        all /= tables.weight;
        let mut tones = [Phasor::default(); 2];
        let mut powers = [0.0; 2];
        for ((tone, power), index) in tones.iter_mut().zip(&mut powers).zip([row, 4 + column]) {
            *tone = self.phasor(tables.tones.get(index)?);
            *power = tone.power(tables);
            if let Some(before) = &before {
                let earlier = before.tones[usize::from(index >= 4)];
                let off = tables.off(index, earlier, *tone);
                if off.abs() > TUNED * hertz(index) {
                    return None;
                }
                *power /= response(off);
            }
            if *power < SOFTEST {
                return None;
            }
        }
        let purity = if before.is_some() { PURE } else { FIRST };
        if powers[0] + powers[1] < purity * all {
            return None;
        }
        if powers[1] > TWIST * powers[0] || powers[0] > REVERSE_TWIST * powers[1] {
            return None;
        }
        let octave = self.phasor(tables.octaves.get(column)?).power(tables);
        if octave > OCTAVE * powers[1] {
            return None;
        }
        let mut looks = 1;
        if let Some(before) = before {
            // The first look may have been at the beginning, and does not know how far they are off.
            let steady = |index: usize| {
                let ratio = powers[index] / before.powers[index];
                (1.0 / STEADY..STEADY).contains(&ratio)
            };
            if before.looks > 1 && !(steady(0) && steady(1)) {
                return None;
            }
            looks = before.looks.saturating_add(1);
        }
        Some(Candidate {
            row,
            column,
            tones,
            powers,
            looks,
        })
    }

    fn phasor(&self, table: &Table) -> Phasor {
        let mut phasor = Phasor::default();
        for ((&sample, cos), sin) in self.window.iter().zip(&table.cos).zip(&table.sin) {
            phasor.re += sample * cos;
            phasor.im -= sample * sin;
        }
        phasor
    }

    /// Whether the key that is pressed still is.
    fn still(&mut self, powers: &[f32; 8], tell: &mut impl FnMut(Heard)) {
        let Some(pressed) = &mut self.pressed else {
            return;
        };
        let (row, column) = (pressed.row, 4 + pressed.column);
        let both = power(powers, row) + power(powers, column);
        pressed.power = pressed.power.max(both);
        if self.candidate.is_some_and(|candidate| {
            (candidate.row, candidate.column) == (pressed.row, pressed.column)
        }) {
            // It may have become much softer all the same.
            pressed.power = both;
        }
        let amplitude = (both / pressed.power).sqrt();
        if amplitude >= GONE {
            pressed.missed = 0;
            // So much of the window is behind the end, if this is it.
            let after = ((1.0 - amplitude) * WINDOW as f32) as u64;
            pressed.last = self.position.saturating_sub(after);
            return;
        }
        pressed.missed += 1;
        if pressed.missed > PATIENCE {
            self.release(tell);
        }
    }

    fn release(&mut self, tell: &mut impl FnMut(Heard)) {
        if let Some(pressed) = self.pressed.take() {
            let length = pressed.last.saturating_sub(pressed.began);
            tell(Heard::End {
                key: pressed.key,
                at: pressed.last,
                length: u32::try_from(length).unwrap_or(u32::MAX),
            });
        }
    }

    /// Where two tones that are there now began: they had half of their amplitude in the window half of which they filled.
    fn began(&self, row: usize, column: usize) -> u64 {
        let both = |powers: &[f32; 8]| power(powers, row) + power(powers, 4 + column);
        let now = self.powers.last().map_or(0.0, both);
        let mut began = self.position;
        for (ago, powers) in self.powers.iter().rev().enumerate() {
            let amplitude = (both(powers) / now).sqrt().min(1.0);
            if amplitude < 0.5 {
                break;
            }
            let filled = (amplitude * WINDOW as f32) as u64;
            began = self.position.saturating_sub((ago * HOP) as u64 + filled);
        }
        began
    }
}

/// The place of the loudest of four tones.
fn loudest(powers: &[f32; 8], from: usize) -> usize {
    let four = powers.iter().enumerate().skip(from).take(4);
    four.fold((from, -1.0), |best, (index, &power)| {
        if power > best.1 { (index, power) } else { best }
    })
    .0
}

fn power(powers: &[f32; 8], index: usize) -> f32 {
    powers.get(index).copied().unwrap_or(0.0)
}
