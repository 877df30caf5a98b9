//! Comfort noise (RFC 3389): the noise that is heard while nobody speaks, told in a few octets and made again at the other end.
//!
//! A description is a level and, if its maker wants, the reflection coefficients of an all-pole filter that gives the noise its colour.

use super::nearest;

/// The most coefficients that are made or taken.
pub const MOST: usize = 10;
/// As many as we make: more are not heard.
const MADE: usize = 6;
/// The longest description that [`Estimator::sid`] writes, in octets.
pub const DESCRIPTION: usize = 1 + MADE;

/// The root mean square of a square wave as loud as G.711 goes: 0 dBov.
const OVERLOAD: f32 = 32_124.0;
/// Reflection coefficients are told in steps of 258 / 32,768; 127 is none.
const STEP: f32 = 258.0 / 32_768.0;
const NONE: f32 = 127.0;
/// The past is forgotten with 100 ms.
const FORGET: f32 = 800.0;
/// Changes come every 5 ms, each a tenth of what is left of them: half of it is done after 33 ms.
const BLOCK: u8 = 40;
const PACE: f32 = 0.1;

/// Hears background noise, and describes it.
#[derive(Clone, Debug, Default)]
pub struct Estimator {
    /// Mean products of samples with those so many earlier.
    products: [f32; MADE + 1],
    heard: bool,
}

impl Estimator {
    /// Nothing has been heard yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Hears some more, any number of samples: of the last 100 ms or so the description will be.
    pub fn hear(&mut self, samples: &[i16]) {
        if samples.is_empty() {
            return;
        }
        let length = samples.len() as f32;
        let new = if self.heard {
            1.0 - (-length / FORGET).exp()
        } else {
            1.0
        };
        self.heard = true;
        for (lag, product) in self.products.iter_mut().enumerate() {
            let later = samples.get(lag..).unwrap_or_default();
            let sum: i64 = later
                .iter()
                .zip(samples)
                .map(|(&a, &b)| i64::from(i32::from(a) * i32::from(b)))
                .sum();
            *product += (sum as f32 / length - *product) * new;
        }
    }

    /// Writes the description into `out`, at most [`DESCRIPTION`] octets and as many coefficients as there is room for; returns its length.
    pub fn sid(&self, out: &mut [u8]) -> usize {
        let Some((level, coefficients)) = out.split_first_mut() else {
            return 0;
        };
        let power = self.products.first().copied().unwrap_or(0.0);
        let below = -10.0 * (power / (OVERLOAD * OVERLOAD)).log10();
        // Of silence the logarithm is infinite: 127.
        *level = below.round().clamp(0.0, 127.0) as u8;
        let made = reflections(&self.products);
        let mut length = 1;
        for (octet, k) in coefficients.iter_mut().zip(made) {
            *octet = (k / STEP + NONE).round().clamp(1.0, 254.0) as u8;
            length += 1;
        }
        length
    }
}

/// Levinson's and Durbin's recursion: the coefficients of the filter that takes the colour away, as a lattice.
fn reflections(products: &[f32; MADE + 1]) -> [f32; MADE] {
    let mut made = [0.0; MADE];
    let mut filter = [0.0_f32; MADE + 1];
    filter[0] = 1.0;
    // A little white noise: where there is nothing at all, nothing is to be told.
    let mut left = products[0] * 1.000_1 + 1.0;
    for (order, place) in made.iter_mut().enumerate() {
        let sum: f32 = filter
            .iter()
            .zip(products.iter().take(order + 2).rev())
            .take(order + 1)
            .map(|(a, r)| a * r)
            .sum();
        let k = (-sum / left).clamp(-0.98, 0.98);
        let before = filter;
        for (a, b) in filter
            .iter_mut()
            .zip(before.iter().take(order + 2).rev())
            .take(order + 2)
        {
            *a += k * b;
        }
        left *= 1.0 - k * k;
        *place = k;
    }
    made
}

/// Makes noise as it was described. The same seed makes the same noise.
#[derive(Clone, Debug)]
pub struct Generator {
    random: u64,
    wanted: Colour,
    now: Colour,
    /// Of the sound that goes into the filter, so that as much comes out as is wanted.
    gain: f32,
    lattice: [f32; MOST],
    /// The most coefficients that there ever were: the stages that are gone through.
    stages: usize,
    /// Samples until the next step towards what is wanted.
    left: u8,
    described: bool,
}

#[derive(Clone, Copy, Debug)]
struct Colour {
    /// Root mean square.
    level: f32,
    reflections: [f32; MOST],
}

const SILENCE: Colour = Colour {
    level: 0.0,
    reflections: [0.0; MOST],
};

impl Generator {
    /// Silent until noise is described.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Generator {
            // Zero would stay zero.
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            wanted: SILENCE,
            now: SILENCE,
            gain: 0.0,
            lattice: [0.0; MOST],
            stages: 0,
            left: 0,
            described: false,
        }
    }

    /// Takes the payload of RFC 3389. The first description holds at once, others come over little by little. An empty one is none, and coefficients
    /// after the tenth are not heard.
    pub fn describe(&mut self, description: &[u8]) {
        let Some((&level, coefficients)) = description.split_first() else {
            return;
        };
        let mut wanted = Colour {
            level: OVERLOAD * 10.0_f32.powf(-f32::from(level & 0x7f) / 20.0),
            reflections: [0.0; MOST],
        };
        for (k, &octet) in wanted.reflections.iter_mut().zip(coefficients) {
            // 255 is not used, and would not be stable.
            *k = STEP * (f32::from(octet.min(254)) - NONE);
        }
        // 0 would be as bad: beyond -1.
        for k in &mut wanted.reflections {
            *k = k.clamp(-0.993, 0.993);
        }
        self.stages = self.stages.max(coefficients.len().min(MOST));
        self.wanted = wanted;
        if !self.described {
            self.described = true;
            self.now = wanted;
            self.left = 0;
        }
    }

    /// Fills `out`, of any length.
    pub fn make(&mut self, out: &mut [i16]) {
        for place in out {
            if self.left == 0 {
                self.approach();
                self.left = BLOCK;
            }
            self.left -= 1;
            let mut forward = self.white() * self.gain;
            // From the last stage to the first; each keeps what it had backwards.
            let mut above: Option<&mut f32> = None;
            let stages = self.lattice.iter_mut().zip(&self.now.reflections);
            for (backward, k) in stages.take(self.stages).rev() {
                forward -= k * *backward;
                let kept = *backward + k * forward;
                if let Some(above) = above {
                    *above = kept;
                }
                above = Some(backward);
            }
            if let Some(first) = above {
                *first = forward;
            }
            *place = nearest(forward);
        }
    }

    fn approach(&mut self) {
        self.now.level += (self.wanted.level - self.now.level) * PACE;
        let mut gain = self.now.level * self.now.level;
        for (k, wanted) in self.now.reflections.iter_mut().zip(self.wanted.reflections) {
            *k += (wanted - *k) * PACE;
            gain *= 1.0 - *k * *k;
        }
        self.gain = gain.sqrt();
    }

    /// Evenly distributed, root mean square 1.
    fn white(&mut self) -> f32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let random = (self.random >> 40) as f32 / (1 << 23) as f32 - 1.0;
        random * 1.732_050_8
    }
}

#[cfg(test)]
mod tests;
