//! One exact call: sipp with a scenario, which fails at the first message that it does not expect.

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::lab::{Namespace, Scratch};
use super::process::Process;

const START: Duration = Duration::from_secs(20);
/// sipp gives up by itself before this.
const END: Duration = Duration::from_secs(50);
/// How long sipp waits for what does not come, in seconds.
const PATIENCE: &str = "40";

/// A scenario that is played; killed on drop.
#[derive(Debug)]
pub struct Scenario {
    name: String,
    process: Process,
    messages: PathBuf,
    errors: PathBuf,
}

impl Scenario {
    /// Who waits at `at` for one call; there already when this returns. It echoes what comes to its media port, that of `at` and 1,000 more.
    ///
    /// # Errors
    /// It does not start.
    pub fn callee(
        host: &Namespace,
        scratch: &Scratch,
        name: &str,
        xml: &str,
        at: SocketAddrV4,
    ) -> Result<Scenario> {
        let mut scenario = Scenario::spawn(host, scratch, name, xml, at, &["-rtp_echo"])?;
        let end = Instant::now() + START;
        while !host.enter(|| is_bound(at))?? {
            if scenario.process.has_ended() || Instant::now() > end {
                bail!("{name} does not listen:\n{}", scenario.process.printed());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(scenario)
    }

    /// Who makes one call from `at`, to the box at `to`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn caller(
        host: &Namespace,
        scratch: &Scratch,
        name: &str,
        xml: &str,
        [at, to]: [SocketAddrV4; 2],
    ) -> Result<Scenario> {
        Scenario::spawn(host, scratch, name, xml, at, &[&to.to_string()])
    }

    fn spawn(
        host: &Namespace,
        scratch: &Scratch,
        name: &str,
        xml: &str,
        at: SocketAddrV4,
        more: &[&str],
    ) -> Result<Scenario> {
        let file = scratch.write(&format!("{name}.xml"), xml)?;
        let messages = scratch.path().join(format!("{name}.messages"));
        let errors = scratch.path().join(format!("{name}.errors"));
        for old in [&messages, &errors] {
            // sipp appends.
            let _ = std::fs::remove_file(old);
        }
        let media = at.port() + 1_000;
        let mut command = host.command("sipp");
        command
            .args(more)
            .arg("-sf")
            .arg(file)
            .args(["-i", &at.ip().to_string(), "-p", &at.port().to_string()])
            .args(["-mi", &at.ip().to_string(), "-mp", &media.to_string()])
            .args(["-m", "1", "-nostdin", "-s", "15551234567"])
            .args(["-timeout", PATIENCE, "-timeout_error"])
            .args(["-trace_err", "-error_file"])
            .arg(&errors)
            .args(["-trace_msg", "-message_file"])
            .arg(&messages)
            .current_dir(scratch.path());
        let process = Process::spawn(format!("sipp {name} at {at}"), command)?;
        Ok(Scenario {
            name: name.to_owned(),
            process,
            messages,
            errors,
        })
    }

    /// Waits until all parts of a call have gone as their scenarios say.
    ///
    /// # Errors
    /// One has not; the error has what each sipp says, and the messages that it saw.
    pub fn finish(parts: impl IntoIterator<Item = Scenario>) -> Result<()> {
        let mut parts: Vec<Scenario> = parts.into_iter().collect();
        let failed = parts.iter_mut().find_map(|part| {
            let ended = part.process.wait_end(END);
            let well = ended.as_ref().is_ok_and(std::process::ExitStatus::success);
            let end = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
            (!well).then(|| format!("{}: {end}", part.name))
        });
        let Some(failed) = failed else {
            return Ok(());
        };
        let told: Vec<String> = parts.iter().map(Scenario::told).collect();
        bail!("{failed}\n{}", told.join("\n"))
    }

    fn told(&self) -> String {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let (errors, messages) = (read(&self.errors), read(&self.messages));
        format!("== {}\n{errors}\n{messages}", self.name)
    }
}

/// Whether somebody has that port of UDP in the namespace of this thread.
fn is_bound(at: SocketAddrV4) -> Result<bool> {
    let table = std::fs::read_to_string("/proc/thread-self/net/udp").context("/proc/net/udp")?;
    let address = u32::from_ne_bytes(at.ip().octets());
    let local = format!("{address:08X}:{:04X}", at.port());
    Ok(table
        .lines()
        .any(|line| line.split_whitespace().nth(1) == Some(&local)))
}
