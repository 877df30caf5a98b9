//! Voice codecs and what goes with them: samples in, samples out. L0: no clock, no I/O, no allocation; imports nothing of ours.
//!
//! Samples are mono, 16 bit, as loud as they will be heard (32,767 is full scale); 8,000 a second, or 16,000 where it says so.
//! Of two slices that do not fit together the shorter one counts.

pub mod comfort_noise;
pub mod conceal;
pub mod g711;
pub mod g722;
#[cfg(test)]
mod signals;
pub mod tone;

/// The sample nearest to this; what is beyond full scale is cut, not wrapped. (`round` is a call into a library on most machines.)
fn nearest(sample: f32) -> i16 {
    ((sample + 32_768.5) as u16 ^ 0x8000) as i16
}
