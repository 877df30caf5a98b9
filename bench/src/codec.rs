//! G.722, ours and others': the processor time of a frame of 20 ms.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};
use sbc::codec::g722::lanes::{Decode, DecodeWide, Encode, EncodeWide, Lanes};
use sbc::codec::g722::{
    Decoder, Encoder, LowDecoder, LowEncoder, Mode, NarrowDecoder, NarrowEncoder,
};

/// Octets of a frame of 20 ms.
const FRAME: usize = 160;
/// Frames of a turn: ten seconds.
const FRAMES: usize = 500;
/// The best of so many turns counts: the others were disturbed.
const TURNS: usize = 9;
/// Of ffmpeg two runs are compared, of so many turns' length each: what starts and ends it cancels out.
const LENGTHS: [usize; 2] = [6, 66];

/// Microseconds that a frame takes.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// To encode.
    pub encode: f64,
    /// To decode.
    pub decode: f64,
}

impl Cost {
    /// Both.
    #[must_use]
    pub fn both(self) -> f64 {
        self.encode + self.decode
    }
}

/// The whole codec, 16,000 samples a second.
#[must_use]
pub fn wide() -> Cost {
    let samples = sound(2 * FRAME);
    let mut octets = vec![0; FRAME * FRAMES];
    let encode = best(FRAMES, || {
        let mut encoder = Encoder::new();
        for (samples, octets) in samples.chunks(2 * FRAME).zip(octets.chunks_mut(FRAME)) {
            encoder.encode(samples, octets);
        }
    });
    let mut heard = vec![0; samples.len()];
    let decode = best(FRAMES, || {
        let mut decoder = Decoder::new(Mode::Eight);
        for (octets, samples) in octets.chunks(FRAME).zip(heard.chunks_mut(2 * FRAME)) {
            decoder.decode(octets, samples);
        }
    });
    Cost { encode, decode }
}

/// 8,000 samples a second, one call.
#[must_use]
pub fn narrow() -> Cost {
    let samples = sound(FRAME);
    let mut octets = vec![0; FRAME * FRAMES];
    let encode = best(FRAMES, || {
        let mut encoder = NarrowEncoder::new();
        for (samples, octets) in samples.chunks(FRAME).zip(octets.chunks_mut(FRAME)) {
            encoder.encode(samples, octets);
        }
    });
    let mut heard = vec![0; samples.len()];
    let decode = best(FRAMES, || {
        let mut decoder = NarrowDecoder::new();
        for (octets, samples) in octets.chunks(FRAME).zip(heard.chunks_mut(FRAME)) {
            decoder.decode(octets, samples);
        }
    });
    Cost { encode, decode }
}

/// The low band alone.
#[must_use]
pub fn low() -> Cost {
    let samples = sound(FRAME);
    let mut octets = vec![0; FRAME * FRAMES];
    let encode = best(FRAMES, || {
        let mut encoder = LowEncoder::new();
        for (samples, octets) in samples.chunks(FRAME).zip(octets.chunks_mut(FRAME)) {
            encoder.encode(samples, octets);
        }
    });
    let mut heard = vec![0; samples.len()];
    let decode = best(FRAMES, || {
        let mut decoder = LowDecoder::new();
        for (octets, samples) in octets.chunks(FRAME).zip(heard.chunks_mut(FRAME)) {
            decoder.decode(octets, samples);
        }
    });
    Cost { encode, decode }
}

/// 8,000 samples a second, so many calls together: what one of them takes.
#[must_use]
pub fn together(lanes: Lanes, calls: usize) -> Cost {
    let samples = sound(FRAME);
    let mut octets = vec![vec![0; FRAME]; calls];
    let mut encoders = vec![NarrowEncoder::new(); calls];
    let encode = best(FRAMES * calls, || {
        for at in 0..FRAMES {
            let frames = encoders.iter_mut().zip(&mut octets).enumerate();
            let mut frames: Vec<_> = frames
                .map(|(call, (encoder, octets))| Encode {
                    encoder,
                    // Each call is somewhere else.
                    samples: frame(&samples, at + 31 * call),
                    octets,
                })
                .collect();
            lanes.encode(&mut frames);
        }
    });
    let mut sent = vec![0; samples.len()];
    NarrowEncoder::new().encode(&samples, &mut sent);
    let mut heard = vec![vec![0; FRAME]; calls];
    let mut decoders = vec![NarrowDecoder::new(); calls];
    let decode = best(FRAMES * calls, || {
        for at in 0..FRAMES {
            let frames = decoders.iter_mut().zip(&mut heard).enumerate();
            let mut frames: Vec<_> = frames
                .map(|(call, (decoder, samples))| Decode {
                    decoder,
                    octets: frame(&sent, at + 31 * call),
                    samples,
                })
                .collect();
            lanes.decode(&mut frames);
        }
    });
    Cost { encode, decode }
}

/// The same with 16,000 samples a second.
#[must_use]
pub fn together_wide(lanes: Lanes, calls: usize) -> Cost {
    let samples = sound(2 * FRAME);
    let mut octets = vec![vec![0; FRAME]; calls];
    let mut encoders = vec![Encoder::new(); calls];
    let encode = best(FRAMES * calls, || {
        for at in 0..FRAMES {
            let frames = encoders.iter_mut().zip(&mut octets).enumerate();
            let mut frames: Vec<_> = frames
                .map(|(call, (encoder, octets))| {
                    let from = (at + 31 * call) % FRAMES * 2 * FRAME;
                    let samples = samples.get(from..from + 2 * FRAME).unwrap_or_default();
                    EncodeWide {
                        encoder,
                        samples,
                        octets,
                    }
                })
                .collect();
            lanes.encode_wide(&mut frames);
        }
    });
    let sent = encoded(&samples);
    let mut heard = vec![vec![0; 2 * FRAME]; calls];
    let mut decoders = vec![Decoder::new(Mode::Eight); calls];
    let decode = best(FRAMES * calls, || {
        for at in 0..FRAMES {
            let frames = decoders.iter_mut().zip(&mut heard).enumerate();
            let mut frames: Vec<_> = frames
                .map(|(call, (decoder, samples))| DecodeWide {
                    decoder,
                    octets: frame(&sent, at + 31 * call),
                    samples,
                })
                .collect();
            lanes.decode_wide(&mut frames);
        }
    });
    Cost { encode, decode }
}

fn frame<T>(of: &[T], at: usize) -> &[T] {
    let from = at % FRAMES * FRAME;
    of.get(from..from + FRAME).unwrap_or_default()
}

/// sipx-audio, a frame at a time as we are.
#[must_use]
pub fn sipx() -> Cost {
    let samples = sound(2 * FRAME);
    let encode = best(FRAMES, || {
        let mut encoder = sipx_audio::g722::Encoder::new();
        for samples in samples.chunks(2 * FRAME) {
            std::hint::black_box(encoder.encode(samples));
        }
    });
    let octets = encoded(&samples);
    let decode = best(FRAMES, || {
        let mut decoder = sipx_audio::g722::Decoder::new();
        for octets in octets.chunks(FRAME) {
            std::hint::black_box(decoder.decode(octets));
        }
    });
    Cost { encode, decode }
}

/// libspandsp, called from python3, all frames in one call.
///
/// # Errors
/// One of the two is not installed.
pub fn spandsp() -> Result<Cost> {
    let run = |what: &str, bytes: &[u8]| -> Result<f64> {
        let mut child = Command::new("python3")
            .args(["-c", SPANDSP, what])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("python3 is not installed")?;
        // It reads all before it says anything.
        let written = child.stdin.take().context("no pipe")?.write_all(bytes);
        let output = child.wait_with_output()?;
        ensure!(
            output.status.success() && written.is_ok(),
            "libspandsp2 is not installed"
        );
        let seconds: f64 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
        Ok(seconds * 1e6 / FRAMES as f64)
    };
    let samples = sound(2 * FRAME);
    Ok(Cost {
        encode: run("encode", &bytes(&samples))?,
        decode: run("decode", &encoded(&samples))?,
    })
}

const SPANDSP: &str = r#"
import ctypes, sys, time
lib = ctypes.CDLL("libspandsp.so.2")
what = sys.argv[1]
data = sys.stdin.buffer.read()
init = getattr(lib, "g722_" + what + "_init")
init.restype = ctypes.c_void_p
work = getattr(lib, "g722_" + what)
out = ctypes.create_string_buffer(4 * len(data) + 16)
size = len(data) // 2 if what == "encode" else len(data)
times = []
for _ in range(9):
    state = ctypes.c_void_p(init(None, 64000, 0))
    began = time.thread_time()
    work(state, out, data, size)
    times.append(time.thread_time() - began)
print(min(times))
"#;

/// ffmpeg, less what it takes to pass samples on as they are.
///
/// # Errors
/// It is not installed.
pub fn ffmpeg() -> Result<Cost> {
    let samples = sound(2 * FRAME);
    let (pcm, g722) = (bytes(&samples), encoded(&samples));
    let raw = ["-f", "s16le", "-ar", "16000", "-ac", "1"];
    let plain = ffmpeg_run(&pcm, &raw, &["-f", "s16le"])?;
    let encode = ffmpeg_run(&pcm, &raw, &["-c:a", "g722", "-f", "g722"])? - plain;
    let decode = ffmpeg_run(&g722, &["-f", "g722"], &["-f", "s16le"])? - plain;
    Ok(Cost { encode, decode })
}

/// Microseconds a frame.
fn ffmpeg_run(bytes: &[u8], input: &[&str], output: &[&str]) -> Result<f64> {
    let file = std::env::temp_dir().join(format!("sbc-bench-codec-{}", std::process::id()));
    let run = |turns: usize| -> Result<f64> {
        fs::write(&file, bytes.repeat(turns))?;
        (0..3).try_fold(f64::MAX, |best, _| {
            Ok(best.min(ffmpeg_time(&file, input, output)?))
        })
    };
    let [few, many] = LENGTHS;
    let took = run(many).and_then(|many| Ok(many - run(few)?));
    // It is in nobody's way should it stay.
    let _ = fs::remove_file(&file);
    Ok(took? * 1e6 / (FRAMES * (many - few)) as f64)
}

fn ffmpeg_time(file: &Path, input: &[&str], output: &[&str]) -> Result<f64> {
    let before = children()?;
    let done = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-threads", "1"])
        .args(input)
        .arg("-i")
        .arg(file)
        .args(output)
        .args(["-y", "/dev/null"])
        .status()
        .context("ffmpeg is not installed")?;
    ensure!(done.success(), "ffmpeg: {done}");
    Ok(children()? - before)
}

/// Seconds of all children that have ended.
fn children() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(micros as f64 / 1e6)
}

/// Microseconds of one of so many, in the best turn.
fn best(frames: usize, mut turn: impl FnMut()) -> f64 {
    let turns = (0..TURNS).map(|_| {
        let began = thread_time();
        turn();
        (thread_time() - began) / frames as f64
    });
    turns.fold(f64::MAX, f64::min)
}

/// Microseconds of this thread.
fn thread_time() -> f64 {
    let now = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    now.map_or(f64::NAN, |now| now.num_nanoseconds() as f64 / 1e3)
}

/// Something like a voice: two tones and noise that swell.
fn sound(frame: usize) -> Vec<i16> {
    let rate = frame as f64 * 50.0;
    let mut state = 722_u64;
    let sample = |at: usize| {
        let time = at as f64 / rate;
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let noise = (state >> 40) as f64 / f64::from(1 << 23) - 1.0;
        let tones = (time * 1_130.0).sin() + 0.5 * (time * 5_900.0).sin();
        let swell = (time * 9.0).sin().abs();
        (6_000.0 * swell * (tones + 0.3 * noise)) as i16
    };
    (0..frame * FRAMES).map(sample).collect()
}

fn encoded(samples: &[i16]) -> Vec<u8> {
    let mut octets = vec![0; samples.len() / 2];
    Encoder::new().encode(samples, &mut octets);
    octets
}

fn bytes(samples: &[i16]) -> Vec<u8> {
    samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect()
}
