//! Load: sipp with scenarios of our own, no media.

use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::lab::{Namespace, Scratch};
use super::process::Process;

const CALLER: &str = include_str!("sipp/caller.xml");
const CALLEE: &str = include_str!("sipp/callee.xml");
/// What the last call may take after the time in which all were begun.
const TAIL: Duration = Duration::from_secs(60);

/// How many calls, how fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Calls in all.
    pub calls: u32,
    /// Calls begun in a second.
    pub rate: u32,
}

impl Load {
    fn duration(self) -> Duration {
        Duration::from_secs_f64(f64::from(self.calls) / f64::from(self.rate))
    }
}

/// What sipp counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SippReport {
    /// Calls that went as the scenario says.
    pub successful: u64,
    /// Calls that did not.
    pub failed: u64,
    /// Retransmissions.
    pub retransmissions: u64,
    /// The first lines of what it did not expect.
    pub errors: String,
}

/// The far side: answers every call; killed on drop.
#[derive(Debug)]
pub struct Sipp {
    process: Process,
}

impl Sipp {
    /// A callee at `at`: 180, 200, and 200 to BYE.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn callee(namespace: &Namespace, scratch: &Scratch, at: SocketAddrV4) -> Result<Sipp> {
        Sipp::callee_after(namespace, scratch, at, Duration::ZERO)
    }

    /// The same, who lets it ring for so long.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn callee_after(
        namespace: &Namespace,
        scratch: &Scratch,
        at: SocketAddrV4,
        rings: Duration,
    ) -> Result<Sipp> {
        let scenario = CALLEE.replace("<!-- rings -->", &pause(rings));
        let scenario = scratch.write("callee.xml", &scenario)?;
        let mut command = namespace.command("sipp");
        command
            .arg("-sf")
            .arg(scenario)
            .args(["-i", &at.ip().to_string(), "-p", &at.port().to_string()])
            .args(["-nostdin", "-mp", "16000"])
            .current_dir(scratch.path());
        let process = Process::spawn(format!("sipp callee at {at}"), command)?;
        Ok(Sipp { process })
    }

    /// Makes calls from `from` to `to` and waits for the last.
    ///
    /// # Errors
    /// It does not end in time, or leaves no statistics. A call that fails is no error here.
    pub fn call(
        namespace: &Namespace,
        scratch: &Scratch,
        from: SocketAddrV4,
        to: SocketAddrV4,
        load: Load,
    ) -> Result<SippReport> {
        Sipp::call_for(namespace, scratch, from, to, load, [Duration::ZERO, TAIL])
    }

    /// The same, each call hung up after so long, and all to be over so long after the time in which they were begun.
    ///
    /// # Errors
    /// As [`Sipp::call`].
    pub fn call_for(
        namespace: &Namespace,
        scratch: &Scratch,
        from: SocketAddrV4,
        to: SocketAddrV4,
        load: Load,
        [talks, patience]: [Duration; 2],
    ) -> Result<SippReport> {
        let scenario = CALLER.replace("<!-- talks -->", &pause(talks));
        let scenario = scratch.write("caller.xml", &scenario)?;
        let (statistics, errors) = (fresh(scratch, "stat.csv"), fresh(scratch, "errors.log"));
        let mut command = namespace.command("sipp");
        command
            .arg(to.to_string())
            .arg("-sf")
            .arg(scenario)
            .args(["-i", &from.ip().to_string(), "-p", &from.port().to_string()])
            .args(["-m", &load.calls.to_string(), "-r", &load.rate.to_string()])
            .args([
                "-l",
                "100000",
                "-nostdin",
                "-mp",
                "16000",
                "-s",
                "15551234567",
            ])
            .args(["-trace_stat", "-fd", "1", "-stf"])
            .arg(&statistics)
            .args(["-trace_err", "-error_file"])
            .arg(&errors)
            .current_dir(scratch.path());
        let mut process = Process::spawn(format!("sipp caller at {from}"), command)?;
        process.wait_end(load.duration() + patience)?;
        let text = std::fs::read_to_string(&statistics)
            .with_context(|| format!("sipp left no statistics: {}", process.printed()))?;
        let mut report = parse(&text)?;
        report.errors = first_lines(&errors);
        Ok(report)
    }

    /// Its process: output, signals.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn pause(lasting: Duration) -> String {
    match lasting.as_millis() {
        0 => String::new(),
        milliseconds => format!("<pause milliseconds=\"{milliseconds}\"/>"),
    }
}

/// sipp appends: what an earlier run wrote must not be taken for this one's.
fn fresh(scratch: &Scratch, name: &str) -> PathBuf {
    let path = scratch.path().join(name);
    let _ = std::fs::remove_file(&path);
    path
}

fn first_lines(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().take(20).collect::<Vec<_>>().join("\n")
}

/// The last row of sipp's CSV.
fn parse(text: &str) -> Result<SippReport> {
    let mut rows = text.lines();
    let (Some(names), Some(values)) = (rows.next(), rows.next_back()) else {
        bail!("no row in sipp's statistics");
    };
    let value = |name: &str| {
        names
            .split(';')
            .zip(values.split(';'))
            .find(|(have, _)| *have == name)
            .and_then(|(_, value)| value.trim().parse().ok())
            .with_context(|| format!("sipp's statistics have no {name}"))
    };
    Ok(SippReport {
        successful: value("SuccessfulCall(C)")?,
        failed: value("FailedCall(C)")?,
        retransmissions: value("Retransmissions(C)")?,
        errors: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_takes_his_time_pauses() {
        for scenario in [
            CALLEE.replace("<!-- rings -->", &pause(Duration::from_millis(50))),
            CALLER.replace("<!-- talks -->", &pause(Duration::from_millis(50))),
        ] {
            assert_eq!(scenario.matches("<pause milliseconds=\"50\"/>").count(), 1);
        }
        assert_eq!(pause(Duration::ZERO), "");
    }

    #[test]
    fn the_last_row_counts() {
        let text = "StartTime;SuccessfulCall(P);SuccessfulCall(C);FailedCall(C);Retransmissions(C);\n\
                    a;1;10;0;0;\nb;5;15;2;3;\n";
        let expected = SippReport {
            successful: 15,
            failed: 2,
            retransmissions: 3,
            errors: String::new(),
        };
        assert_eq!(parse(text).unwrap(), expected);
        assert!(parse("StartTime;\n").is_err());
    }
}
