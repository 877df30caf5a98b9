//! A real phone without a screen: baresip, which plays a tone of its own and records what it hears.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use super::lab::{Namespace, Scratch};
use super::process::Process;
use super::tone::{Heard, analyse};

/// Signalling on one machine takes milliseconds; a busy machine takes longer.
const SIGNALLING: Duration = Duration::from_secs(20);

/// What a phone is.
#[derive(Clone, Debug)]
pub struct Phone {
    /// User part of its address, and its directory's name: unique in a test.
    pub user: &'static str,
    /// Its address and port for SIP. baresip takes the port above for TLS.
    pub address: SocketAddr,
    /// What it plays, in Hz.
    pub tone: u32,
    /// Whether it registers.
    pub account: Account,
}

/// Where a phone belongs.
#[derive(Clone, Debug)]
pub enum Account {
    /// Nowhere: it is a SIP server of its own, known by its address.
    Trunk,
    /// At a registrar, with digest.
    Registered {
        /// `host:port` of the registrar, and `;transport=tcp` if it is to be reached so.
        registrar: String,
        /// For digest.
        password: String,
    },
}

/// What a phone does where another one does otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// It takes a call by itself; else it rings until [`Baresip::accept`].
    pub answers: bool,
    /// As `audio_codecs` of baresip has them, apart by commas: which codecs it has, the best first.
    pub codecs: &'static str,
    /// It tells whoever asks whether it is there (RFC 3856), and asks that of those whom it names as SIP URIs.
    pub presence: Option<&'static [&'static str]>,
}

impl Default for Manner {
    fn default() -> Self {
        Manner {
            answers: true,
            codecs: "PCMU/8000/1",
            presence: None,
        }
    }
}

/// A running baresip; killed on drop.
#[derive(Debug)]
pub struct Baresip {
    process: Process,
    dir: PathBuf,
}

impl Baresip {
    /// Starts it and waits until it is ready, not until it is registered.
    ///
    /// # Errors
    /// It does not start; the error holds what it printed.
    pub fn start(namespace: &Namespace, scratch: &Scratch, phone: &Phone) -> Result<Baresip> {
        Baresip::start_with(namespace, scratch, phone, Manner::default())
    }

    /// The same for a phone of that manner.
    ///
    /// # Errors
    /// It does not start; the error holds what it printed.
    pub fn start_with(
        namespace: &Namespace,
        scratch: &Scratch,
        phone: &Phone,
        manner: Manner,
    ) -> Result<Baresip> {
        let dir = scratch.path().join(phone.user);
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let mut config = config(phone, &dir.to_string_lossy());
        if manner.presence.is_some() {
            config += "module_app contact.so\nmodule_app presence.so\n";
        }
        std::fs::write(dir.join("config"), config)?;
        std::fs::write(dir.join("accounts"), account(phone, manner))?;
        let watched = manner.presence.unwrap_or_default().iter();
        let contacts: String = watched
            .map(|uri| format!("\"watched\" <{uri}>;presence=p2p\n"))
            .collect();
        std::fs::write(dir.join("contacts"), contacts)?;
        let mut command = namespace.command("baresip");
        let family = if phone.address.is_ipv4() { "-4" } else { "-6" };
        command.arg(family).arg("-f").arg(&dir).current_dir(&dir);
        let mut process = Process::spawn(
            format!("baresip {} at {}", phone.user, phone.address),
            command,
        )?;
        process.wait_for("baresip is ready", SIGNALLING)?;
        Ok(Baresip { process, dir })
    }

    /// Waits until the registrar has said 200.
    ///
    /// # Errors
    /// It has not.
    pub fn wait_registered(&mut self) -> Result<()> {
        self.process.wait_for("200 OK", SIGNALLING).map(drop)
    }

    /// Waits until the registrar has refused it; returns what it printed then.
    ///
    /// # Errors
    /// It has not been refused.
    pub fn wait_not_registered(&mut self) -> Result<String> {
        self.process
            .wait_until("a refusal of REGISTER", SIGNALLING, |line| {
                // It tries a wrong password again and again at once, until it is told to wait.
                ["401 ", "403 ", "404 ", "503 "]
                    .iter()
                    .any(|code| line.contains(code))
            })
    }

    /// Calls `uri`.
    ///
    /// # Errors
    /// It takes no command any more.
    pub fn dial(&mut self, uri: &str) -> Result<()> {
        self.process.tell(&format!("/dial {uri}"))
    }

    /// Waits until a call is up.
    ///
    /// # Errors
    /// None came up; the error holds what was printed.
    pub fn wait_established(&mut self) -> Result<()> {
        self.process
            .wait_for("Call established", SIGNALLING)
            .map(drop)
    }

    /// Waits for a call, which rings.
    ///
    /// # Errors
    /// None comes.
    pub fn wait_ringing(&mut self) -> Result<()> {
        self.process
            .wait_for("Incoming call from", SIGNALLING)
            .map(drop)
    }

    /// Takes the call that rings.
    ///
    /// # Errors
    /// It takes no command any more.
    pub fn accept(&mut self) -> Result<()> {
        self.process.tell("/accept")
    }

    /// Ends the call that is up, once it is a second old: before that, baresip ends it without a word.
    ///
    /// # Errors
    /// It takes no command any more.
    pub fn hang_up(&mut self) -> Result<()> {
        self.process
            .wait_until("a call that is a second old", SIGNALLING, |line| {
                line.contains("] audio=") && !line.contains("[0:00:00]")
            })?;
        self.process.tell("/hangup")
    }

    /// Puts the call on hold. Whether that is agreed is seen where its voice goes.
    ///
    /// # Errors
    /// It takes no command any more.
    pub fn hold(&mut self) -> Result<()> {
        self.process.tell("/hold")
    }

    /// Takes the call back.
    ///
    /// # Errors
    /// It takes no command any more.
    pub fn resume(&mut self) -> Result<()> {
        self.process.tell("/resume")
    }

    /// Presses a key: a telephone-event (RFC 4733).
    ///
    /// # Errors
    /// It takes no command any more.
    pub fn press(&mut self, key: char) -> Result<()> {
        self.process.tell(&format!("/sndcode {key}"))
    }

    /// Waits until it has been told of a key by INFO.
    ///
    /// # Errors
    /// It is not.
    pub fn wait_key(&mut self, key: char) -> Result<()> {
        let line = format!("received DTMF: '{key}'");
        self.process.wait_for(&line, SIGNALLING).map(drop)
    }

    /// Asks whom it talks with to call `uri` instead.
    ///
    /// # Errors
    /// It takes no command any more.
    pub fn transfer(&mut self, uri: &str) -> Result<()> {
        self.process.tell(&format!("/transfer {uri}"))
    }

    /// Tells those who watch it whether somebody is there.
    ///
    /// # Errors
    /// It takes no command any more.
    pub fn is_there(&mut self, is_there: bool) -> Result<()> {
        let state = if is_there { "online" } else { "offline" };
        self.process.tell(&format!("/presence_{state}"))
    }

    /// Waits until a call has ended, or could not be set up; returns the line that says why.
    ///
    /// # Errors
    /// It goes on.
    pub fn wait_ended(&mut self) -> Result<String> {
        self.process
            .wait_until("the end of a call", SIGNALLING, |line| {
                line.contains("terminated") || line.contains("session closed")
            })
    }

    /// Judges its recording of the last call that ended.
    ///
    /// # Errors
    /// There is no recording.
    pub fn heard(&self) -> Result<Heard> {
        let mut recordings: Vec<PathBuf> = std::fs::read_dir(&self.dir)?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                path.file_name()
                    .and_then(|name| name.to_str())
                    .is_some_and(|name| name.starts_with("dump-") && name.ends_with("-dec.wav"))
            })
            .collect();
        recordings.sort();
        let last = recordings.last().with_context(|| {
            format!(
                "no recording; the phone printed:\n{}",
                self.process.printed()
            )
        })?;
        analyse(last)
    }

    /// Its process: output, signals.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// `ausine` makes stereo at 48 kHz only; there is no player for files, `aubridge,nil` takes what is heard, and `sndfile`
/// writes it to `dump-*-dec.wav`. Without `net_interface` it does not see loopback, and there it wants an address.
fn config(phone: &Phone, dir: &str) -> String {
    let (at, ip, tone) = (phone.address, phone.address.ip(), phone.tone);
    format!(
        "sip_listen {at}\n\
         net_interface {ip}\n\
         call_max_calls 4\n\
         audio_player aubridge,nil\n\
         audio_source ausine,{tone}\n\
         audio_alert aubridge,nil\n\
         ausrc_srate 48000\n\
         ausrc_channels 2\n\
         auplay_srate 8000\n\
         auplay_channels 1\n\
         audio_buffer 20-160\n\
         rtp_ports 10000-10999\n\
         module_path {MODULES}\n\
         module stdio.so\n\
         module g711.so\n\
         module g722.so\n\
         module ausine.so\n\
         module aubridge.so\n\
         module sndfile.so\n\
         module_tmp uuid.so\n\
         module_tmp account.so\n\
         module_app menu.so\n\
         snd_path {dir}\n"
    )
}

const MODULES: &str = "/usr/lib/baresip/modules";

fn account(phone: &Phone, manner: Manner) -> String {
    let user = phone.user;
    let at = phone.address;
    let answers = if manner.answers { "auto" } else { "manual" };
    let common = format!("answermode={answers};audio_codecs={}", manner.codecs);
    match &phone.account {
        Account::Trunk => format!("<sip:{user}@{at}>;regint=0;{common}\n"),
        Account::Registered {
            registrar,
            password,
        } => format!(
            "<sip:{user}@{registrar}>;auth_user={user};auth_pass={password};regint=60;{common}\n"
        ),
    }
}
