//! Voice codecs and what goes with them: samples in, samples out. L0: no clock, no I/O, no allocation; imports nothing of ours.
//!
//! Samples are mono, 16 bit, as loud as they will be heard (32,767 is full scale); 8,000 a second, or 16,000 where it says so.
//! Of two slices that do not fit together the shorter one counts.

pub mod comfort_noise;
pub mod conceal;
pub mod g711;
pub mod g722;
pub mod resample;
#[cfg(test)]
mod signals;
pub mod tone;
