//! A fuzz target: parse, verdict and rewrite of frames in memory, on the sample calls. It panics where something is wrong.
//!
//! ```text
//! fuzz_frame FILE...            runs files, "-" for standard input
//! fuzz_frame --corpus DIRECTORY writes a file for each good frame, to begin with
//! fuzz_frame --random CASES SEED  changes good frames by itself, as often; needs no fuzzer
//! ```
//!
//! A file is frames, each behind its length in two bytes (big-endian); the last may be cut off. Any fuzzer that starts a program on a file does, for
//! example `afl-fuzz -n -i corpus -o found -- target/release/fuzz_frame @@`. No instrumentation and no nightly are needed, and no privileges: the loaded
//! program is held to the same functions by the test `kernel_verdict`.

use std::io::Read;
use std::path::Path;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use sbc_tests::frames::{DROP, Host, PASS, mutate, sample};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => bail!("name files of frames, or --corpus DIRECTORY, or --random CASES SEED"),
        ["--corpus", directory] => corpus(directory.as_ref()),
        ["--random", cases, seed] => {
            let cases = cases.parse().context("how many cases")?;
            random(cases, seed.parse().context("a number as seed")?)
        }
        ref files => files.iter().try_for_each(|file| {
            let host = sample();
            let bytes = if *file == "-" {
                let mut bytes = Vec::new();
                std::io::stdin().read_to_end(&mut bytes)?;
                bytes
            } else {
                fs::read(file).context(file.to_string())?
            };
            for frame in frames(&bytes) {
                judge(&host, frame)?;
            }
            Ok(())
        }),
    }
}

/// The frames of a file.
fn frames(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (frame, rest) = rest.split_at(length);
        frames.push(frame);
        bytes = rest;
    }
    frames
}

fn corpus(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)?;
    for (number, frame) in mutate::good().into_iter().enumerate() {
        let length = u16::try_from(frame.len())?.to_be_bytes();
        let file = directory.join(format!("{number:02}"));
        fs::write(file, [&length[..], &frame].concat())?;
    }
    Ok(())
}

fn random(cases: u64, seed: u64) -> Result<()> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let good = mutate::good();
    let mut host = sample();
    let mut actions = [0_u64; 5];
    for case in 0..cases {
        if case % 8 == 0 {
            host.renew();
        }
        let mut frame = good[random.next_u32() as usize % good.len()].clone();
        for _ in 0..random.next_u32() % 5 {
            mutate::change(&mut frame, random.next_u32().to_ne_bytes());
        }
        actions[judge(&host, &frame)? as usize] += 1;
    }
    let [_, dropped, passed, sent, redirected] = actions;
    println!(
        "{cases} frames: {passed} to the stack, {dropped} dropped, {sent} sent, {redirected} redirected"
    );
    Ok(())
}

/// What becomes of a frame: what does not leave is not touched, what leaves is whole.
fn judge(host: &Host, frame: &[u8]) -> Result<u32> {
    let (action, bytes, _) = host.run(frame);
    if action == PASS || action == DROP {
        ensure!(bytes == frame, "touched: {frame:02x?}");
    } else {
        mutate::is_sound(frame, &bytes).map_err(anyhow::Error::msg)?;
    }
    Ok(action)
}
