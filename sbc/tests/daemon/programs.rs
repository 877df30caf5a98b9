//! Programs that the tests start. From fork to exec a program has all sockets of whoever starts it, marked to be closed or not: a port that is let go of in that time is not
//! free yet. So no test starts one itself: another process does, which was there before the first socket and has none. It is this program, told to.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, PipeReader, Read as _, Write as _};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::{LazyLock, Mutex, mpsc};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::*;

/// Who starts programs, one for each line; ends when nobody can write one any more.
static STARTER: LazyLock<Mutex<ChildStdin>> = LazyLock::new(|| {
    let starter = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "programs::starter", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn();
    Mutex::new(starter.unwrap().stdin.unwrap())
});

/// Whoever opens a socket sees to it first that the starter is there.
pub(crate) fn starter_is_there() {
    LazyLock::force(&STARTER);
}

/// One that is to be started.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Program {
    path: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
}

impl Program {
    pub(crate) fn new(path: &str) -> Program {
        Program {
            path: path.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// The one that is tested.
    pub(crate) fn sbc() -> Program {
        Program::new(env!("CARGO_BIN_EXE_sbc"))
    }

    pub(crate) fn arg(self, argument: impl Into<OsString>) -> Program {
        self.args([argument])
    }

    pub(crate) fn args(
        mut self,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Program {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Program {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it without input; what it says is read here.
    pub(crate) fn piped(self) -> io::Result<Piped> {
        let (out, its_out) = io::pipe()?;
        let (err, its_err) = io::pipe()?;
        let ends = [PathBuf::from("/dev/null"), open(&its_out), open(&its_err)];
        let started = self.start(ends)?;
        Ok(Piped { started, out, err })
    }

    /// Starts it in that terminal.
    pub(crate) fn in_terminal(self, terminal: &impl AsRawFd) -> io::Result<Started> {
        self.start([(); 3].map(|()| open(terminal)))
    }

    /// What it has said when it has ended.
    pub(crate) async fn output(self) -> io::Result<Output> {
        let output = tokio::task::spawn_blocking(|| self.piped().map(Piped::output));
        output.await.unwrap()
    }

    fn start(self, ends: [PathBuf; 3]) -> io::Result<Started> {
        let (told, teller) = io::pipe()?;
        let order = Order {
            program: self,
            ends,
            teller: open(&teller),
        };
        let order = serde_json::to_string(&order)? + "\n";
        STARTER.lock().unwrap().write_all(order.as_bytes())?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let mut told = BufReader::new(told).lines().map_while(Result::ok);
            // Until the test is over.
            told.try_for_each(|line| sender.send(line))
        });
        let id = lines.recv_timeout(PATIENCE);
        // The starter has it open from now on.
        drop(teller);
        let id = serde_json::from_str::<Result<i32, String>>(&id.expect("nothing is started"))?;
        Ok(Started {
            id: Pid::from_raw(id.map_err(io::Error::other)?),
            told: lines,
            ended: None,
        })
    }
}

/// One that runs, but not for longer than its test.
pub(crate) struct Started {
    pub(crate) id: Pid,
    told: mpsc::Receiver<String>,
    ended: Option<ExitStatus>,
}

impl Started {
    /// How it has ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.within(Duration::ZERO)
    }

    fn within(&mut self, patience: Duration) -> Option<ExitStatus> {
        let told = || self.told.recv_timeout(patience).ok();
        let status = || told().map(|status| ExitStatus::from_raw(status.parse().unwrap()));
        self.ended = self.ended.or_else(status);
        self.ended
    }
}

impl Drop for Started {
    /// As a crash: nothing is said, nothing is written.
    fn drop(&mut self) {
        if self.ended().is_none() {
            let _ = kill(self.id, Signal::SIGKILL);
            self.within(PATIENCE);
        }
    }
}

/// One that runs, and what it says.
pub(crate) struct Piped {
    pub(crate) started: Started,
    pub(crate) out: PipeReader,
    pub(crate) err: PipeReader,
}

impl Piped {
    /// What it has said when it has ended.
    pub(crate) fn output(mut self) -> Output {
        let read = |mut pipe: PipeReader| {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).map(|_| bytes)
        };
        let err = std::thread::spawn(move || read(self.err));
        Output {
            stdout: read(self.out).unwrap(),
            stderr: err.join().unwrap().unwrap(),
            status: self.started.within(PATIENCE).expect("it does not end"),
        }
    }
}

/// What the starter is told: what the program's standard streams are, and where to say its id or why there is none, and then how it has ended.
#[derive(Serialize, Deserialize)]
struct Order {
    program: Program,
    ends: [PathBuf; 3],
    teller: PathBuf,
}

/// Where another process can open what is open here.
fn open(file: &impl AsRawFd) -> PathBuf {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into()
}

impl Order {
    fn carry_out(&self) -> io::Result<()> {
        let mut teller = File::options().write(true).open(&self.teller)?;
        let child = self.start();
        let id = child.as_ref().map(Child::id).map_err(ToString::to_string);
        writeln!(teller, "{}", serde_json::to_string(&id)?)?;
        if let Ok(mut child) = child {
            let status = child.wait()?;
            // The test may be over.
            let _ = writeln!(teller, "{}", status.into_raw());
        }
        Ok(())
    }

    fn start(&self) -> io::Result<Child> {
        let Program {
            path,
            arguments,
            environment,
        } = &self.program;
        let [input, out, err] = &self.ends;
        let written = |path| File::options().write(true).open(path);
        Command::new(path)
            .args(arguments)
            .envs(environment.iter().cloned())
            .stdin(File::open(input)?)
            .stdout(written(out)?)
            .stderr(written(err)?)
            .spawn()
    }
}

#[test]
#[ignore = "is what the tests start first of all"]
fn starter() {
    for order in io::stdin().lines() {
        let order: Order = serde_json::from_str(&order.unwrap()).unwrap();
        std::thread::spawn(move || order.carry_out().unwrap());
    }
}

#[tokio::test]
async fn a_program_is_started_by_one_who_has_no_socket_of_ours() {
    let socket = std::net::UdpSocket::bind((own_address(44), 0)).unwrap();
    let socket = std::fs::read_link(open(&socket)).unwrap();
    let program = Program::new("sh").args(["-c", "ls -l /proc/$PPID/fd; echo $FOUND >&2; exit 7"]);
    let output = program.env("FOUND", "it").output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let theirs = text(output.stdout);
    assert!(theirs.contains(" 0 -> pipe:"), "{theirs}");
    assert!(!theirs.contains(socket.to_str().unwrap()), "{theirs}");
    assert_eq!(
        (text(output.stderr).as_str(), output.status.code()),
        ("it\n", Some(7))
    );
    let none = Program::new("/no/such/program").output().await;
    let none = none.unwrap_err().to_string();
    assert!(none.starts_with("No such file"), "{none}");
}
