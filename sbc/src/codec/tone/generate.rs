//! Two tones, as a telephone would send them.

use std::f64::consts::TAU;

use super::{DBM0, Dtmf, RATE};
use crate::codec::nearest;

/// They swell and fade within 3 ms, so that no click is heard.
const RAMP: u32 = 24;
/// The lower tone is softer, as telephones make it: lines carry it better. In dB.
const TWIST: f32 = 2.0;

/// Makes the tones of one key after the other; between them silence.
#[derive(Clone, Debug, Default)]
pub struct Generator {
    sounding: Option<Sounding>,
}

#[derive(Clone, Debug)]
struct Sounding {
    tones: [Tone; 2],
    made: u32,
    /// In samples, with both ramps; `u32::MAX` for no end yet.
    length: u32,
}

/// A pointer that goes round.
#[derive(Clone, Debug)]
struct Tone {
    at: (f64, f64),
    turn: (f64, f64),
}

impl Generator {
    /// Silent.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a key, until [`Generator::end`]. `volume` is that of its higher tone, so many dB below 0 dBm0 (as telephone-event says it, 0 to 63);
    /// the lower one has 2 dB less. What sounded before is cut off.
    pub fn begin(&mut self, key: Dtmf, volume: u8) {
        self.begin_for(key, volume, u32::MAX);
    }

    /// The same for so many samples.
    pub fn begin_for(&mut self, key: Dtmf, volume: u8, samples: u32) {
        let (low, high) = key.frequencies();
        let level = -f32::from(volume);
        self.sounding = Some(Sounding {
            tones: [Tone::new(low, level - TWIST), Tone::new(high, level)],
            made: 0,
            length: samples,
        });
    }

    /// Ends the key: it fades out within 3 ms, which are to be asked for.
    pub fn end(&mut self) {
        if let Some(sounding) = &mut self.sounding {
            let end = sounding.made.saturating_add(RAMP);
            sounding.length = sounding.length.min(end);
        }
    }

    /// Whether there is sound to come.
    #[must_use]
    pub fn is_sounding(&self) -> bool {
        self.sounding.is_some()
    }

    /// Fills `out`: with the tones, then with silence.
    pub fn make(&mut self, out: &mut [i16]) {
        for place in out {
            *place = match &mut self.sounding {
                Some(sounding) if sounding.made < sounding.length => sounding.next(),
                _ => {
                    self.sounding = None;
                    0
                }
            };
        }
        if self
            .sounding
            .as_ref()
            .is_some_and(|sounding| sounding.made >= sounding.length)
        {
            self.sounding = None;
        }
    }
}

impl Sounding {
    fn next(&mut self) -> i16 {
        let both: f64 = self.tones.iter_mut().map(Tone::next).sum();
        let left = self.length - self.made;
        self.made += 1;
        let near = self.made.min(left);
        let swell = if near <= RAMP {
            // Without a corner at either end.
            let part = f64::from(near) / f64::from(RAMP + 1);
            part * part * (3.0 - 2.0 * part)
        } else {
            1.0
        };
        // An endless one wants not to count over.
        if self.length == u32::MAX {
            self.made = self.made.min(u32::MAX / 2);
        }
        nearest((both * swell) as f32)
    }
}

impl Tone {
    fn new(hertz: f32, dbm0: f32) -> Tone {
        let amplitude = f64::from(DBM0) * 10.0_f64.powf(f64::from(dbm0) / 20.0);
        let (sin, cos) = (TAU * f64::from(hertz) / f64::from(RATE)).sin_cos();
        Tone {
            at: (amplitude, 0.0),
            turn: (cos, sin),
        }
    }

    fn next(&mut self) -> f64 {
        let ((re, im), (cos, sin)) = (self.at, self.turn);
        self.at = (re * cos - im * sin, re * sin + im * cos);
        im
    }
}
