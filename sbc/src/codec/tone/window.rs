//! The window that keys are looked for in: what the eight tones look like there, in tune and a little out of it.

use std::sync::LazyLock;

use super::{COLUMNS, RATE, ROWS};

/// Samples between two looks,
pub(super) const HOP: usize = 40;
/// and in the window of one.
pub(super) const WINDOW: usize = 160;

/// A tone's amplitude and phase.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Phasor {
    pub(super) re: f32,
    pub(super) im: f32,
}

pub(super) static TABLES: LazyLock<Tables> = LazyLock::new(Tables::new);

/// What is the same for all streams: 21 KB.
pub(super) struct Tables {
    /// Cosines and sines of the eight tones for each sample of a hop,
    pub(super) hop: [([f32; 8], [f32; 8]); HOP],
    /// and of what a hop turns them by.
    pub(super) turn: ([f32; 8], [f32; 8]),
    pub(super) weights: [f32; WINDOW],
    /// Their sum.
    pub(super) weight: f32,
    pub(super) tones: [Table; 8],
    pub(super) octaves: [Table; 4],
}

/// A tone in a window, weighted.
pub(super) struct Table {
    pub(super) cos: [f32; WINDOW],
    pub(super) sin: [f32; WINDOW],
}

impl Tables {
    fn new() -> Tables {
        let step = |index: usize| std::f32::consts::TAU * hertz(index) / RATE;
        let each = |angle: &dyn Fn(usize) -> f32| {
            (
                std::array::from_fn(|index| angle(index).cos()),
                std::array::from_fn(|index| angle(index).sin()),
            )
        };
        let weights: [f32; WINDOW] = std::array::from_fn(|n| {
            let angle = std::f32::consts::TAU * (n as f32 + 0.5) / WINDOW as f32;
            0.5 - 0.5 * angle.cos()
        });
        let table = |step: f32| Table {
            cos: std::array::from_fn(|n| weights[n] * (step * n as f32).cos()),
            sin: std::array::from_fn(|n| weights[n] * (step * n as f32).sin()),
        };
        Tables {
            hop: std::array::from_fn(|n| each(&|index| step(index) * n as f32)),
            turn: each(&|index| step(index) * HOP as f32),
            weights,
            weight: weights.iter().sum(),
            tones: std::array::from_fn(|index| table(step(index))),
            octaves: std::array::from_fn(|index| table(2.0 * step(4 + index))),
        }
    }

    /// By how many Hz a tone is off, from how its phase moved within a hop; at most 100 either way.
    pub(super) fn off(&self, index: usize, before: Phasor, now: Phasor) -> f32 {
        let (cos, sin) = match (self.turn.0.get(index), self.turn.1.get(index)) {
            (Some(&cos), Some(&sin)) => (cos, sin),
            _ => return f32::MAX,
        };
        // What it would be now if it were in tune.
        let re = before.re * cos - before.im * sin;
        let im = before.im * cos + before.re * sin;
        let ahead = (now.im * re - now.re * im).atan2(now.re * re + now.im * im);
        ahead / std::f32::consts::TAU * RATE / HOP as f32
    }
}

impl Phasor {
    /// The power of a sine that gives this in a window.
    pub(super) fn power(self, tables: &Tables) -> f32 {
        2.0 * (self.re * self.re + self.im * self.im) / (tables.weight * tables.weight)
    }
}

/// Of the rows, then of the columns.
pub(super) fn hertz(index: usize) -> f32 {
    ROWS.iter()
        .chain(&COLUMNS)
        .nth(index)
        .copied()
        .unwrap_or(0.0)
}

/// How much of the power of a tone that is so many Hz off the window (Hann) lets through.
pub(super) fn response(off: f32) -> f32 {
    let x = off * WINDOW as f32 / RATE;
    let sinc = if x.abs() < 1e-3 {
        1.0
    } else {
        (std::f32::consts::PI * x).sin() / (std::f32::consts::PI * x)
    };
    // Not far off enough for the pole at 1.
    let amplitude = sinc / (1.0 - x * x).max(0.05);
    (amplitude * amplitude).max(0.05)
}
