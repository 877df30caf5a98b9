//! What is played where packets are missing: the last pitch periods again and again, softer and softer, as G.711 Appendix I describes it. Unlike there
//! nothing is held back: what came is played at once, so a loss begins without an overlap, bent to where the sound was.
//!
//! A frame that came costs a copy; all else is paid by those that did not.

use super::nearest;

/// Pitch periods that are looked for: 200 Hz down to 66 Hz.
const SHORTEST: usize = 40;
const LONGEST: usize = 120;
/// How much sound is compared to find it: 20 ms.
const COMPARED: usize = 160;
/// So many periods are repeated, after so much loss that fewer would buzz.
const PERIODS: usize = 3;
/// After 10 ms and after 20 ms there is one more.
const STAGE: usize = 80;
/// Three periods and a quarter of one to overlap with.
const HISTORY: usize = PERIODS * LONGEST + LONGEST / 4;
/// Full level for 10 ms, then a fifth less every 10 ms.
const LOUD: usize = 80;
const SILENT: usize = 480;
/// What is less like itself than this one period later has no pitch.
const VOICED: f32 = 0.5;
/// What comes after a loss fades in within a quarter period, and 4 ms more for each 10 ms lost, at most this.
const LONGEST_SEAM: usize = 80;

/// Hides the losses of one stream at 8 kHz. Frames may have any length, and another one each time.
#[derive(Clone, Debug)]
pub struct Concealer {
    /// What was played last.
    history: [i16; HISTORY],
    /// What was played last before the loss.
    source: [i16; HISTORY],
    /// Samples made up since the last good one.
    lost: usize,
    run: Run,
    /// Where the run before it would go on, until it has faded out.
    fading: Option<Fading>,
    /// One period in samples, and a quarter of it.
    pitch: usize,
    quarter: usize,
    /// How far the repetition begins from where the sound was.
    step: f32,
}

/// Where in the repetition we are.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    periods: usize,
    /// Below `periods` times the pitch.
    at: usize,
}

#[derive(Clone, Copy, Debug)]
struct Fading {
    run: Run,
    left: usize,
}

impl Run {
    fn advance(&mut self, pitch: usize) {
        self.at += 1;
        if self.at >= self.periods * pitch {
            self.at = 0;
        }
    }
}

impl Default for Concealer {
    fn default() -> Self {
        Self::new()
    }
}

impl Concealer {
    /// Nothing has been heard yet.
    #[must_use]
    pub fn new() -> Self {
        Concealer {
            history: [0; HISTORY],
            source: [0; HISTORY],
            lost: 0,
            run: Run::default(),
            fading: None,
            pitch: LONGEST,
            quarter: LONGEST / 4,
            step: 0.0,
        }
    }

    /// A frame came: it is remembered, and after a loss its beginning is changed so that no seam is heard.
    pub fn good(&mut self, samples: &mut [i16]) {
        if self.lost > 0 {
            let seam = (self.quarter + self.lost / STAGE * 32).min(LONGEST_SEAM);
            let seam = seam.min(samples.len());
            for (index, sample) in samples.iter_mut().take(seam).enumerate() {
                let weight = (index + 1) as f32 / (seam + 1) as f32;
                let made = self.next();
                *sample = nearest(made + (f32::from(*sample) - made) * weight);
            }
            self.lost = 0;
        }
        self.remember(samples);
    }

    /// A frame did not come: `out` is what to play instead. After 60 ms it is silence.
    pub fn lost(&mut self, out: &mut [i16]) {
        if self.lost == 0 && !out.is_empty() {
            self.begin();
        }
        for sample in out.iter_mut() {
            *sample = nearest(self.next());
        }
        self.remember(out);
    }

    /// Whether the last frame was a lost one.
    #[must_use]
    pub fn is_concealing(&self) -> bool {
        self.lost > 0
    }

    fn remember(&mut self, samples: &[i16]) {
        let kept = HISTORY.saturating_sub(samples.len());
        self.history.copy_within(HISTORY - kept.., 0);
        let new = samples
            .get(samples.len().saturating_sub(HISTORY)..)
            .unwrap_or_default();
        if let Some(end) = self.history.get_mut(kept..) {
            for (place, &sample) in end.iter_mut().zip(new) {
                *place = sample;
            }
        }
    }

    fn begin(&mut self) {
        self.source = self.history;
        let (pitch, likeness) = pitch(&self.source);
        self.pitch = pitch;
        self.quarter = pitch / 4;
        self.run = Run {
            // Noise that is repeated too soon is a tone.
            periods: if likeness < VOICED { PERIODS } else { 1 },
            at: 0,
        };
        self.fading = None;
        let last = HISTORY - 1;
        self.step = self.heard(last) - self.heard(last - self.run.periods * pitch);
    }

    /// One more sample that never was.
    fn next(&mut self) -> f32 {
        let lost = self.lost;
        self.lost = lost.saturating_add(1);
        if lost >= SILENT {
            return 0.0;
        }
        if (lost == STAGE || lost == 2 * STAGE) && self.run.periods < PERIODS {
            self.widen();
        }
        let mut sample = self.repeated(self.run);
        self.run.advance(self.pitch);
        if let Some(Fading { mut run, left }) = self.fading {
            let weight = left as f32 / (self.quarter + 1) as f32;
            sample += (self.repeated(run) - sample) * weight;
            run.advance(self.pitch);
            self.fading = (left > 1).then(|| Fading {
                run,
                left: left - 1,
            });
        }
        if lost < self.quarter {
            sample += self.step * (self.quarter - lost) as f32 / (self.quarter + 1) as f32;
        }
        if lost > LOUD {
            sample *= (SILENT - lost) as f32 / (SILENT - LOUD) as f32;
        }
        sample
    }

    /// One period more is repeated from here on, in step with those before.
    fn widen(&mut self) {
        self.fading = Some(Fading {
            run: self.run,
            left: self.quarter,
        });
        self.run = Run {
            periods: self.run.periods + 1,
            at: self.run.at % self.pitch,
        };
    }

    /// The last periods, whose end becomes what was before their beginning.
    fn repeated(&self, run: Run) -> f32 {
        let length = run.periods * self.pitch;
        let place = HISTORY - length + run.at;
        let sample = self.heard(place);
        let left = length - run.at;
        if left > self.quarter {
            return sample;
        }
        let weight = (self.quarter - left + 1) as f32 / (self.quarter + 1) as f32;
        sample + (self.heard(place.saturating_sub(length)) - sample) * weight
    }

    fn heard(&self, place: usize) -> f32 {
        self.source.get(place).map_or(0.0, |&sample| sample.into())
    }
}

/// After how many samples sound is most like itself, and how much: -1 to 1.
fn pitch(source: &[i16; HISTORY]) -> (usize, f32) {
    let sound = source.map(f32::from);
    let template = sound.last_chunk::<COMPARED>().unwrap_or(&[0.0; COMPARED]);
    let own = product(template, template);
    let mut best = (LONGEST, 0.0);
    let mut energy = None;
    for lag in SHORTEST..=LONGEST {
        // One sample more in front, one less behind: it is added and taken away.
        let Some([first, .., last]) = sound
            .get(HISTORY - COMPARED - lag..)
            .and_then(|from| from.first_chunk::<{ COMPARED + 1 }>())
        else {
            continue;
        };
        let Some(earlier) = sound
            .get(HISTORY - COMPARED - lag..)
            .and_then(|from| from.first_chunk::<COMPARED>())
        else {
            continue;
        };
        let now = energy.map_or_else(
            || product(earlier, earlier),
            |before: f32| before + first * first - last * last,
        );
        energy = Some(now);
        // Of silence nothing is like anything.
        if now * own > 1.0 {
            let likeness = product(template, earlier) / (now * own).sqrt();
            if likeness > best.1 {
                best = (lag, likeness);
            }
        }
    }
    best
}

/// Eight sums at once: those the compiler can add side by side.
fn product(left: &[f32; COMPARED], right: &[f32; COMPARED]) -> f32 {
    let mut sums = [0.0; 8];
    for (left, right) in left.as_chunks::<8>().0.iter().zip(right.as_chunks::<8>().0) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum += left * right;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests;
