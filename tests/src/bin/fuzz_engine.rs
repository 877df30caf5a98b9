//! A fuzz target: the whole engine under sequences of messages, of time that passes and of what the shells report. It fails where the engine panics,
//! answers twice, ends a call without a BYE, shows one side's address to the other, has no bound, or where anything is left in the end.
//!
//! ```text
//! fuzz_engine FILE...              runs files, "-" for standard input
//! fuzz_engine --show FILE          runs a file and prints what is said
//! fuzz_engine --corpus DIRECTORY   writes cases to begin with
//! fuzz_engine --random CASES SEED  makes cases by itself, as many; writes the least of one that fails to a file
//! ```
//!
//! What a file means stands in `sbc_tests::fuzz`. Any fuzzer that starts a program on a file does, for example
//! `afl-fuzz -n -i corpus -o found -- target/release/fuzz_engine @@`. No instrumentation, no nightly and no privileges are needed.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::{env, fs};

use anyhow::{Context as _, Result, bail, ensure};
use sbc_tests::fuzz::{self, Run};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => bail!("name files, or --show FILE, or --corpus DIRECTORY, or --random CASES SEED"),
        ["--corpus", directory] => corpus(directory.as_ref()),
        ["--show", file] => fuzz::show(&read(file)?).map(drop),
        ["--random", cases, seed] => random(
            cases.parse().context("how many cases")?,
            seed.parse().context("a number as seed")?,
        ),
        ref files => files.iter().try_for_each(|file| {
            fuzz::run(&read(file)?).with_context(|| file.to_string())?;
            Ok(())
        }),
    }
}

fn read(file: &str) -> Result<Vec<u8>> {
    if file != "-" {
        return fs::read(file).context(file.to_owned());
    }
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn corpus(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)?;
    for (number, case) in fuzz::corpus().into_iter().enumerate() {
        fs::write(directory.join(format!("{number:03}")), case)?;
    }
    Ok(())
}

/// How many reasons to fail are told, each once.
const MAX_REASONS: usize = 12;

fn random(cases: u64, seed: u64) -> Result<()> {
    let mut total = Run::default();
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    for number in 0..cases {
        let case = fuzz::case(seed, number);
        let Some(why) = fuzz::failure(&case) else {
            total += fuzz::run(&case)?;
            continue;
        };
        // What is wrong stands at the end; numbers differ.
        let reason = why.rsplit(": ").next().unwrap_or_default();
        let reason: String = reason.chars().filter(|c| !c.is_ascii_digit()).collect();
        let times = reasons.entry(reason).or_default();
        *times += 1;
        if *times == 1 {
            let file = format!("fuzz_engine-{seed}-{number}");
            fs::write(&file, fuzz::minimal(&case))?;
            eprintln!("case {number}: {why}\nthe least that fails is in {file}\n");
        }
        if reasons.len() == MAX_REASONS {
            break;
        }
    }
    let Run {
        received,
        sent,
        answered,
        flows,
    } = total;
    println!(
        "{cases} cases: {received} messages in, {sent} out, {answered} calls taken, {flows} flow pairs"
    );
    ensure!(reasons.is_empty(), "{reasons:#?}");
    Ok(())
}
