//! A second real phone, of another family of SIP stacks: linphonec, which plays a tone from a file and takes commands by line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use super::lab::{Namespace, Scratch};
use super::process::Process;
use super::tone::{self, Heard, analyse};

/// Signalling on one machine takes milliseconds; a busy machine takes longer.
const SIGNALLING: Duration = Duration::from_secs(30);
/// What it plays is played once: longer than any test.
const SECONDS: u32 = 120;

/// What it says and hears is left as it is, in the codecs that the box has: by itself it leaves out G.722.
const AS_IT_IS: &str = "[sound]\nechocancellation=0\necholimiter=0\nagc=0\neq_active=0\nmic_eq_active=0\nnoisegate=0\n\
    mic_gain_db=0\nplayback_gain_db=0\n[net]\nadaptive_rate_control=0\n\
    [audio_codec_0]\nmime=PCMU\nrate=8000\nchannels=1\nenabled=1\n\
    [audio_codec_1]\nmime=PCMA\nrate=8000\nchannels=1\nenabled=1\n\
    [audio_codec_2]\nmime=G722\nrate=8000\nchannels=1\nenabled=1\n";

/// A running linphonec; killed on drop. It counts its calls from 1.
#[derive(Debug)]
pub struct Linphone {
    process: Process,
    recording: PathBuf,
}

impl Linphone {
    /// Starts it at that address (it takes all of the host's) and port for SIP, media on 7078, with `tone` (Hz) as its voice.
    ///
    /// # Errors
    /// It does not start; the error holds what it printed.
    pub fn start(
        namespace: &Namespace,
        scratch: &Scratch,
        at: SocketAddr,
        tone: u32,
    ) -> Result<Linphone> {
        let home = scratch.path().join(format!("linphone-{}", at.port()));
        // One that was there before would go on with its recording.
        let _ = std::fs::remove_dir_all(&home);
        // It keeps a database there, and does not make the directory.
        std::fs::create_dir_all(home.join(".local/share/linphone"))
            .with_context(|| format!("cannot make {}", home.display()))?;
        let voice = home.join("voice.wav");
        std::fs::write(&voice, tone::wav(tone, SECONDS))?;
        let port = at.port();
        let config = home.join("linphonerc");
        std::fs::write(
            &config,
            format!("[sip]\nsip_port={port}\n[rtp]\naudio_rtp_port=7078\n{AS_IT_IS}"),
        )?;
        let mut command = namespace.command("linphonec");
        command
            .arg("-c")
            .arg(&config)
            .env("HOME", &home)
            .current_dir(&home);
        let mut process = Process::spawn(format!("linphonec at {at}"), command)?;
        process.tell("soundcard use files")?;
        process.wait_for("Using wav files instead of soundcard", SIGNALLING)?;
        // When a call goes on after a hold it plays from the beginning.
        process.tell(&format!("play {}", voice.display()))?;
        let recording = home.join("heard.wav");
        process.tell(&format!("record {}", recording.display()))?;
        Ok(Linphone { process, recording })
    }

    /// Registers as `user`. It does not say when that is done: the registrar knows.
    ///
    /// # Errors
    /// It takes no command any more.
    pub fn register(&mut self, user: &str, registrar: &str, password: &str) -> Result<()> {
        let line = format!("register sip:{user}@{registrar} sip:{registrar} {password}");
        self.process.tell(&line)
    }

    /// Judges its recording of all that it has heard in its calls so far, one after the other.
    ///
    /// # Errors
    /// There is none.
    pub fn heard(&self) -> Result<Heard> {
        analyse(&self.recording)
    }

    /// Calls `uri`, and waits until voice can flow.
    ///
    /// # Errors
    /// It does not come to that.
    pub fn call(&mut self, uri: &str) -> Result<()> {
        self.process.tell(&format!("call {uri}"))?;
        self.said("Media streams established")
    }

    /// Waits for a call, takes it, and waits until voice can flow.
    ///
    /// # Errors
    /// None comes, or it does not come to that.
    pub fn answer(&mut self) -> Result<()> {
        self.wait_ringing()?;
        self.accept()
    }

    /// Waits for a call, which rings.
    ///
    /// # Errors
    /// None comes.
    pub fn wait_ringing(&mut self) -> Result<()> {
        self.said("Receiving new incoming call")
    }

    /// Takes the call that rings, and waits until voice can flow.
    ///
    /// # Errors
    /// It does not come to that.
    pub fn accept(&mut self) -> Result<()> {
        self.process.tell("answer")?;
        self.said("Media streams established")
    }

    /// Puts the call on hold, and waits until that is agreed.
    ///
    /// # Errors
    /// It is not.
    pub fn pause(&mut self) -> Result<()> {
        self.process.tell("pause")?;
        self.said("is now paused")
    }

    /// Takes the call back, and waits until that is agreed.
    ///
    /// # Errors
    /// It is not.
    pub fn resume(&mut self) -> Result<()> {
        self.process.tell("resume")?;
        self.said("Media streams established")
    }

    /// Transfers the call to `uri`, and waits until it has ended here.
    ///
    /// # Errors
    /// It goes on.
    pub fn transfer(&mut self, uri: &str) -> Result<()> {
        self.process.tell(&format!("transfer {uri}"))?;
        self.wait_ended()
    }

    /// Joins the far ends of two calls, and waits until both have ended here.
    ///
    /// # Errors
    /// One goes on.
    pub fn join(&mut self, first: u32, second: u32) -> Result<()> {
        self.process
            .tell(&format!("transfer {first} --to-call {second}"))?;
        self.wait_ended()?;
        self.wait_ended()
    }

    /// How many calls it has been told to be where it has transferred them. It hears of that before or after their end.
    #[must_use]
    pub fn transferred(&self) -> usize {
        let printed = self.process.printed();
        printed.matches("has been transfered").count()
    }

    /// Hangs up, and waits until the call has ended.
    ///
    /// # Errors
    /// It goes on.
    pub fn hang_up(&mut self) -> Result<()> {
        self.process.tell("terminate")?;
        self.wait_ended()
    }

    /// Waits until a call has ended without an error.
    ///
    /// # Errors
    /// It goes on.
    pub fn wait_ended(&mut self) -> Result<()> {
        self.said("ended (No error)")
    }

    /// Its process: output, signals.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    fn said(&mut self, what: &str) -> Result<()> {
        self.process.wait_for(what, SIGNALLING).map(drop)
    }
}
