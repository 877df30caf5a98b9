//! A program that a test started: ends with its guard, says what it printed, and is waited for by what it says.

use std::io::{BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a program that was told to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// Lines that are kept; what a program prints beyond that is not.
const LINES: usize = 20_000;

/// A running program, killed on drop: this one by its id, and no other.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    output: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
    /// Lines up to here have been waited for.
    seen: usize,
}

impl Process {
    /// Starts `command`; both its outputs are captured as lines.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn spawn(name: impl Into<String>, mut command: Command) -> Result<Process> {
        let name = name.into();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}: {command:?}"))?;
        let output = Arc::new(Output::default());
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(read_lines(stdout, Arc::clone(&output)));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(read_lines(stderr, Arc::clone(&output)));
        }
        let stdin = child.stdin.take();
        Ok(Process {
            name,
            child,
            stdin,
            output,
            readers,
            seen: 0,
        })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its input.
    ///
    /// # Errors
    /// It no longer reads.
    pub fn tell(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("its input is closed")?;
        writeln!(stdin, "{line}")
            .and_then(|()| stdin.flush())
            .with_context(|| format!("{} takes no input", self.name))
    }

    /// Waits for a line that contains `what`, after all lines that were waited for before.
    ///
    /// # Errors
    /// It did not come within that time, or the program ended without it; the error holds what was printed.
    pub fn wait_for(&mut self, what: &str, within: Duration) -> Result<String> {
        self.wait_until(what, within, |line| line.contains(what))
    }

    /// Waits for a line that `matches`; `what` is how the error calls it.
    ///
    /// # Errors
    /// As [`Process::wait_for`].
    pub fn wait_until(
        &mut self,
        what: &str,
        within: Duration,
        matches: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let end = Instant::now() + within;
        let mut lines = self.output.lock();
        loop {
            while self.seen < lines.text.len() {
                let line = &lines.text[self.seen];
                self.seen += 1;
                if matches(line) {
                    return Ok(line.clone());
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || lines.open == 0 {
                let why = if lines.open == 0 {
                    "ended without"
                } else {
                    "did not print"
                };
                let printed = lines.text.join("\n");
                bail!(
                    "{} {why} {what:?} within {within:?}; it printed:\n{printed}",
                    self.name
                );
            }
            let (guard, _) = self
                .output
                .changed
                .wait_timeout(lines, left)
                .unwrap_or_else(PoisonError::into_inner);
            lines = guard;
        }
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id()).context("a process id is an i32")?;
        kill(Pid::from_raw(id), signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It still runs after that time; the error holds what was printed.
    pub fn wait_end(&mut self, within: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait()? {
                for reader in self.readers.drain(..) {
                    // A reader does not panic; and if it did, what it read is still there.
                    let _ = reader.join();
                }
                return Ok(status);
            }
            if Instant::now() >= end {
                bail!(
                    "{} still runs after {within:?}; it printed:\n{}",
                    self.name,
                    self.printed()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Tells it to end (SIGTERM) and waits for that.
    ///
    /// # Errors
    /// It had to be killed.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        self.signal(Signal::SIGTERM)?;
        self.wait_end(GRACE)
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// All that it printed, both outputs in the order they came.
    #[must_use]
    pub fn printed(&self) -> String {
        self.output.lock().text.join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing can be done here about a process that is already gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug, Default)]
struct Output {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    text: Vec<String>,
    /// Outputs that may still bring lines.
    open: usize,
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, raw: &[u8]) {
        let line = plain(raw);
        if line.is_empty() {
            return;
        }
        let mut lines = self.lock();
        if lines.text.len() < LINES {
            lines.text.push(line);
        }
        self.changed.notify_all();
    }
}

/// Lines end with LF, or with CR as in a progress display.
fn read_lines(from: impl Read + Send + 'static, output: Arc<Output>) -> JoinHandle<()> {
    output.lock().open += 1;
    std::thread::spawn(move || {
        let mut line = Vec::new();
        for byte in BufReader::new(from).bytes() {
            match byte {
                Ok(b'\n' | b'\r') => {
                    output.push(&line);
                    line.clear();
                }
                Ok(byte) => line.push(byte),
                Err(_) => break,
            }
        }
        output.push(&line);
        output.lock().open -= 1;
        output.changed.notify_all();
    })
}

/// Text without terminal escapes and trailing blanks.
fn plain(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // CSI: up to a letter.
            for c in chars.by_ref() {
                if c.is_ascii_alphabetic() {
                    break;
                }
            }
        } else {
            plain.push(c);
        }
    }
    plain.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::spawn("sh", command).unwrap()
    }

    #[test]
    fn lines_are_waited_for_in_order() {
        let mut sh = shell("echo one; echo two >&2; read x; echo got $x");
        sh.wait_for("one", SOON).unwrap();
        sh.tell("three").unwrap();
        assert_eq!(sh.wait_for("got", SOON).unwrap(), "got three");
        assert!(sh.wait_end(SOON).unwrap().success());
    }

    #[test]
    fn an_end_without_the_line_is_an_error_with_the_output() {
        let mut sh = shell("echo last words");
        let error = sh.wait_for("never", SOON).unwrap_err().to_string();
        assert!(error.contains("ended without \"never\""), "{error}");
        assert!(error.contains("last words"), "{error}");
    }

    #[test]
    fn escapes_are_taken_out() {
        assert_eq!(plain(b"\x1b[31mred\x1b[;m  "), "red");
    }

    #[test]
    fn a_guard_that_goes_kills_its_process() {
        let mut sh = shell("echo up; exec sleep 1000");
        sh.wait_for("up", SOON).unwrap();
        let pid = sh.id();
        drop(sh);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
}
