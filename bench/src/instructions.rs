//! Instructions that a piece of work takes, counted by valgrind: noise does not touch them.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::sip::Step;

/// Two runs that differ in their length only: what starts and ends a program cancels out.
const FEW: u32 = 100;
const MANY: u32 = 1_100;

/// Instructions of one turn of a step, the loop itself subtracted.
///
/// # Errors
/// valgrind is not installed or says nothing.
pub fn of(step: Step) -> Result<f64> {
    of_words(step.name(), Step::Nothing.name())
}

/// Instructions of one turn of the work that a word names, those of another one subtracted.
///
/// # Errors
/// valgrind is not installed or says nothing.
pub fn of_words(step: &str, nothing: &str) -> Result<f64> {
    Ok(per_turn(step)? - per_turn(nothing)?)
}

fn per_turn(step: &str) -> Result<f64> {
    let (few, many) = (collected(step, FEW)?, collected(step, MANY)?);
    Ok((many as f64 - few as f64) / f64::from(MANY - FEW))
}

/// This very program under callgrind, with the words by which it does the work and nothing else.
fn collected(step: &str, times: u32) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["--work", step, &times.to_string()])
        .output()
        .context("valgrind is not installed")?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("valgrind: {text}");
    }
    parse(&text).with_context(|| format!("valgrind counts nothing: {text}"))
}

/// `==1234== Collected : 123456`
fn parse(text: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found() {
        assert_eq!(
            parse("==7== Events : Ir\n==7== Collected : 123456\n"),
            Some(123_456)
        );
        assert_eq!(parse("==7== Events : Ir\n"), None);
    }
}
