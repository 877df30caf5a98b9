//! What a recording holds: which tone, how loud, for how long, and where it stops.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// Samples are judged in windows of this length.
const WINDOW_MS: usize = 10;
/// A tone that is absent for longer than this is a gap: two packets of 20 ms.
const GAP_MS: usize = 40;
/// Tones are looked for between these, in steps, in Hz.
const RANGE: (u32, u32) = (300, 3_000);
const STEP: u32 = 25;

/// A recording, judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// The strongest tone in Hz, to 25 Hz; 0 in silence.
    pub tone: u32,
    /// Its level against a full-scale sine, in dB.
    pub level: f64,
    /// From the first to the last window with the tone, in seconds.
    pub seconds: f64,
    /// Where it was absent in between for more than 40 ms: start and length in seconds.
    pub gaps: Vec<(f64, f64)>,
    /// Length of the recording in seconds.
    pub length: f64,
}

impl std::fmt::Display for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.tone == 0 {
            return write!(f, "silence, {:.1} s of it", self.length);
        }
        write!(
            f,
            "{} Hz at {:.0} dB for {:.1} s, {} gaps",
            self.tone,
            self.level,
            self.seconds,
            self.gaps.len()
        )
    }
}

/// Judges a WAV file: 16 bit PCM, the first channel of it.
///
/// # Errors
/// It cannot be read, or is no such file.
pub fn analyse(path: &Path) -> Result<Heard> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let wav = Wav::parse(&bytes).with_context(|| path.display().to_string())?;
    Ok(judge(&wav.samples, wav.rate))
}

/// A WAV file at 8 kHz with a tone (Hz) at -6 dB, so many seconds of it.
#[must_use]
pub(super) fn wav(tone: u32, seconds: u32) -> Vec<u8> {
    const RATE: u32 = 8_000;
    let samples = RATE * seconds;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + samples * 2).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend(RATE.to_le_bytes());
    bytes.extend((RATE * 2).to_le_bytes());
    bytes.extend([2, 0, 16, 0]);
    bytes.extend(b"data");
    bytes.extend((samples * 2).to_le_bytes());
    let turn = std::f64::consts::TAU * f64::from(tone) / f64::from(RATE);
    for n in 0..samples {
        let sample = (turn * f64::from(n)).sin() * 16_384.0;
        bytes.extend((sample as i16).to_le_bytes());
    }
    bytes
}

fn judge(samples: &[f64], rate: u32) -> Heard {
    let length = samples.len() as f64 / f64::from(rate);
    let window = rate as usize * WINDOW_MS / 1000;
    let Some(tone) = strongest(samples, rate) else {
        return Heard {
            tone: 0,
            level: f64::NEG_INFINITY,
            seconds: 0.0,
            gaps: Vec::new(),
            length,
        };
    };
    let present: Vec<bool> = samples
        .chunks_exact(window)
        .map(|chunk| has_tone(chunk, tone, rate))
        .collect();
    let first = present.iter().position(|&p| p).unwrap_or(0);
    let end = present.iter().rposition(|&p| p).map_or(first, |at| at + 1);
    let body = &samples[first * window..end * window];
    let time = |windows: usize| (windows * WINDOW_MS) as f64 / 1000.0;
    Heard {
        tone,
        level: 10.0 * (mean_square(body) * 2.0).max(1e-12).log10(),
        seconds: time(end - first),
        gaps: absences(&present[first..end])
            .filter(|&(_, windows)| windows * WINDOW_MS > GAP_MS)
            .map(|(at, windows)| (time(first + at), time(windows)))
            .collect(),
        length,
    }
}

/// Start and length of each run of windows without the tone.
fn absences(present: &[bool]) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    present
        .chunk_by(|a, b| a == b)
        .map(move |run| {
            let start = at;
            at += run.len();
            (start, run)
        })
        .filter(|(_, run)| run.first() == Some(&false))
        .map(|(start, run)| (start, run.len()))
}

/// The tone with the most energy, unless there is next to none.
fn strongest(samples: &[f64], rate: u32) -> Option<u32> {
    if mean_square(samples) < 1e-6 {
        return None;
    }
    let top = RANGE.1.min(rate / 2 - 1);
    (RANGE.0..=top)
        .step_by(STEP as usize)
        .map(|tone| {
            // In pieces of 100 ms, so that a slip of phase does not cancel what came before it.
            let energy: f64 = samples
                .chunks_exact(rate as usize / 10)
                .map(|chunk| goertzel(chunk, tone, rate))
                .sum();
            (tone, energy)
        })
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(tone, _)| tone)
}

/// A window has the tone if it is loud enough (-40 dB) and at least half of its energy is the tone's.
pub(super) fn has_tone(chunk: &[f64], tone: u32, rate: u32) -> bool {
    let power = mean_square(chunk);
    power > 5e-5 && goertzel(chunk, tone, rate) > 0.5 * power
}

/// Mean power of one frequency in a chunk: that of a pure sine is its mean square.
fn goertzel(chunk: &[f64], tone: u32, rate: u32) -> f64 {
    let omega = std::f64::consts::TAU * f64::from(tone) / f64::from(rate);
    let coefficient = 2.0 * omega.cos();
    let (s1, s2) = chunk.iter().fold((0.0, 0.0), |(s1, s2), &sample| {
        (sample + coefficient * s1 - s2, s1)
    });
    let n = chunk.len() as f64;
    2.0 * (s1 * s1 + s2 * s2 - coefficient * s1 * s2) / (n * n)
}

fn mean_square(samples: &[f64]) -> f64 {
    if samples.is_empty() {
        return 0.0;
    }
    samples.iter().map(|s| s * s).sum::<f64>() / samples.len() as f64
}

struct Wav {
    rate: u32,
    samples: Vec<f64>,
}

impl Wav {
    fn parse(bytes: &[u8]) -> Result<Wav> {
        if bytes.get(..4) != Some(b"RIFF") || bytes.get(8..12) != Some(b"WAVE") {
            bail!("not a WAV file");
        }
        let mut rest = &bytes[12..];
        let mut format = None;
        while let Some((head, body)) = rest.split_at_checked(8) {
            let size = le(&head[4..8]) as usize;
            // A writer that was killed has not filled in the size: the rest of the file is the data.
            let whole = size == 0 || size > body.len();
            let chunk = if whole { body } else { &body[..size] };
            match &head[..4] {
                b"fmt " if chunk.len() >= 16 => {
                    format = Some((le(&chunk[2..4]), le(&chunk[4..8]), le(&chunk[14..16])));
                }
                b"data" => {
                    let Some((channels, rate, 16)) = format else {
                        bail!("not 16 bit PCM: {format:?}");
                    };
                    let samples = chunk
                        .chunks_exact(2 * channels.max(1) as usize)
                        .map(|frame| f64::from(i16::from_le_bytes([frame[0], frame[1]])) / 32768.0)
                        .collect();
                    return Ok(Wav { rate, samples });
                }
                _ => {}
            }
            rest = body.get(size + size % 2..).unwrap_or_default();
        }
        bail!("a WAV file without data")
    }
}

/// A little-endian number of up to 4 bytes.
fn le(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, &byte| value << 8 | u32::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 8_000;

    fn sine(tone: u32, seconds: f64, amplitude: f64) -> Vec<f64> {
        let n = (seconds * f64::from(RATE)) as usize;
        (0..n)
            .map(|i| {
                let turns = f64::from(tone) * i as f64 / f64::from(RATE);
                amplitude * (std::f64::consts::TAU * turns).sin()
            })
            .collect()
    }

    #[test]
    fn a_steady_tone_has_no_gap() {
        let heard = judge(&sine(425, 2.0, 0.5), RATE);
        assert_eq!((heard.tone, heard.gaps.len()), (425, 0));
        assert!((heard.seconds - 2.0).abs() < 0.02, "{heard:?}");
        assert!((heard.level + 6.0).abs() < 0.2, "{heard:?}");
    }

    #[test]
    fn silence_in_between_is_a_gap() {
        let mut samples = sine(775, 1.0, 0.5);
        samples.extend(vec![0.0; 800]);
        samples.extend(sine(775, 1.0, 0.5));
        let heard = judge(&samples, RATE);
        assert_eq!(heard.gaps, [(1.0, 0.1)]);
    }

    #[test]
    fn one_lost_packet_is_no_gap_but_three_are() {
        for (lost_ms, gaps) in [(20, 0), (60, 1)] {
            let mut samples = sine(775, 1.0, 0.5);
            samples.extend(vec![0.0; lost_ms * 8]);
            samples.extend(sine(775, 1.0, 0.5));
            assert_eq!(judge(&samples, RATE).gaps.len(), gaps, "{lost_ms} ms");
        }
    }

    #[test]
    fn another_tone_in_between_is_a_gap_too() {
        let mut samples = sine(425, 1.0, 0.5);
        samples.extend(sine(1500, 0.2, 0.5));
        samples.extend(sine(425, 1.0, 0.5));
        let heard = judge(&samples, RATE);
        assert_eq!((heard.tone, heard.gaps.len()), (425, 1));
    }

    #[test]
    fn silence_is_no_tone() {
        assert_eq!(judge(&vec![0.0; 8_000], RATE).tone, 0);
        assert_eq!(judge(&[], RATE).tone, 0);
    }

    fn wav(data_size: u32, samples: &[i16]) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
        bytes.extend(RATE.to_le_bytes());
        bytes.extend((RATE * 2).to_le_bytes());
        bytes.extend([2, 0, 16, 0]);
        bytes.extend(b"data");
        bytes.extend(data_size.to_le_bytes());
        bytes.extend(samples.iter().flat_map(|s| s.to_le_bytes()));
        bytes
    }

    #[test]
    fn what_is_written_is_heard() {
        let parsed = Wav::parse(&super::wav(1_200, 2)).unwrap();
        let heard = judge(&parsed.samples, parsed.rate);
        assert_eq!((heard.tone, heard.gaps.len()), (1_200, 0));
        assert_eq!(heard.length, 2.0);
    }

    #[test]
    fn a_file_is_read_even_if_its_writer_was_killed() {
        for size in [4, 0] {
            let parsed = Wav::parse(&wav(size, &[16384, -16384])).unwrap();
            assert_eq!((parsed.rate, parsed.samples), (RATE, vec![0.5, -0.5]));
        }
        assert!(Wav::parse(b"RIFF").is_err());
    }
}
