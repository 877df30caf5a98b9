//! Calls in which somebody hears nothing, one for each cause: the box says why while the call is up, in the log when it is over, and in the metrics.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sbc::io::admin::types::{Call, CallDetail};
use sbc_tests::e2e::{
    CARRIER, Daemon, EDGE_LEFT, EDGE_RIGHT, FastPath, Lab, Mouth, Need, PHONE, RunAs, Talker,
    lab_config, skipped,
};

use super::support::start;

const NEEDS: [Need; 2] = [Need::Namespaces, Need::Program("ethtool")];
const PATIENCE: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_millis(200);
/// Where the two say that they are.
const CALLER: SocketAddrV4 = SocketAddrV4::new(PHONE, 4000);
const CALLEE: SocketAddrV4 = SocketAddrV4::new(CARRIER, 4000);
/// Beside the carrier.
const ELSEWHERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 71, 2, 9), 4000);
/// Beside the phone, where nobody is.
const NOBODY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 71, 1, 99), 4000);
/// At the far end of nowhere.
const PRIVATE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 168, 77, 5), 4000);
const SSRC: u32 = 7;

#[test]
fn the_cause_of_each_is_named_in_the_kernel() -> Result<()> {
    broken(FastPath::Native)
}

#[test]
fn the_cause_of_each_is_named_in_user_space() -> Result<()> {
    broken(FastPath::Off)
}

/// No raw socket may be had then: the kernel path's program tells of it.
#[test]
fn a_closed_port_is_known_of_with_what_the_service_may() -> Result<()> {
    let needs = [&NEEDS[..], &[Need::Program("setpriv")]].concat();
    if skipped("a closed port without CAP_NET_RAW", &needs) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let config = lab_config(FastPath::Native, &lab.scratch.path().join("state"));
    let file = lab.scratch.write("lab.toml", &config)?;
    let run_as = RunAs::User(&["net_admin", "bpf", "perfmon"]);
    let arguments = ["run".as_ref(), "--config".as_ref(), file.as_os_str()];
    let mut stage = Stage {
        daemon: Daemon::start(&lab.edge, &lab.scratch, run_as, arguments)?,
        a: Talker::open(&lab.phone, PHONE, EDGE_LEFT)?,
        b: Talker::open(&lab.carrier, CARRIER, EDGE_RIGHT)?,
        lab: &lab,
        fast_path: FastPath::Native,
        counted: 0,
    };
    stage.good()?;
    stage.closed()
}

fn broken(fast_path: FastPath) -> Result<()> {
    let name = format!("calls without audio, fast_path = {}", fast_path.word());
    if skipped(&name, &NEEDS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    lab.carrier
        .ip(&format!("addr add {}/24 dev eth0", ELSEWHERE.ip()))?;
    let mut stage = Stage {
        daemon: start(&lab, fast_path)?,
        a: Talker::open(&lab.phone, PHONE, EDGE_LEFT)?,
        b: Talker::open(&lab.carrier, CARRIER, EDGE_RIGHT)?,
        lab: &lab,
        fast_path,
        counted: 0,
    };
    stage.good()?;
    stage.held_and_resumed()?;

    let both = |stage: &Stage<'_>| [stage.a.sdp(CALLER, ""), stage.b.sdp(CALLEE, "")];
    // The callee's packets come from elsewhere.
    let sdp = both(&stage);
    stage.call(
        "wrong source",
        sdp,
        &[("caller", "wrong-source", "10.71.2.9:4000 and were dropped")],
        |stage, to| {
            Ok(vec![
                stage.caller_says(to)?,
                Mouth::is_shut(&stage.lab.carrier, CALLEE)?,
                Mouth::says(&stage.lab.carrier, ELSEWHERE, to[1], voice)?,
            ])
        },
    )?;
    let sdp = both(&stage);
    stage.call(
        "nothing arrived",
        sdp,
        &[(
            "caller",
            "nothing-arrived",
            "no packet at all came from trunk:b",
        )],
        |stage, to| {
            Ok(vec![
                stage.caller_says(to)?,
                Mouth::is_shut(&stage.lab.carrier, CALLEE)?,
            ])
        },
    )?;
    let sdp = both(&stage);
    stage.call(
        "another codec",
        sdp,
        &[("caller", "codec-mismatch", "payload type 18 (G729)")],
        |stage, to| {
            let g729 = |number| Mouth::rtp(number, 18, SSRC, tone);
            Ok(vec![stage.caller_says(to)?, stage.callee_says(to, g729)?])
        },
    )?;
    let fixed = [
        stage.a.sdp(CALLER, ""),
        stage.b.sdp(CALLEE, "a=ssrc:11 cname:b\r\n"),
    ];
    stage.call(
        "another SSRC",
        fixed,
        &[("caller", "wrong-ssrc", "SSRC 7, but its SDP fixes 11")],
        |stage, to| Ok(vec![stage.caller_says(to)?, stage.callee_says(to, voice)?]),
    )?;
    let sdp = both(&stage);
    stage.call(
        "no RTP",
        sdp,
        &[("caller", "not-rtp", "neither RTP nor RTCP")],
        |stage, to| {
            let dtls = |_| [&[0x16, 0xfe, 0xfd][..], &[0; 80]].concat();
            Ok(vec![stage.caller_says(to)?, stage.callee_says(to, dtls)?])
        },
    )?;
    let sdp = both(&stage);
    stage.call(
        "silence",
        sdp,
        &[("caller", "silence", "digital silence or comfort noise")],
        |stage, to| {
            let silence = |number| Mouth::rtp(number, 0, SSRC, |_| 0xff);
            Ok(vec![
                stage.caller_says(to)?,
                stage.callee_says(to, silence)?,
            ])
        },
    )?;
    let hidden = [stage.a.sdp(PRIVATE, ""), stage.b.sdp(CALLEE, "")];
    let told = [
        (
            "caller",
            "sent-to-private-address",
            "192.168.77.5:4000, a private address",
        ),
        (
            "callee",
            "private-address",
            "192.168.77.5:4000, a private address",
        ),
    ];
    stage.call("a private address", hidden, &told, |stage, to| {
        Ok(vec![stage.callee_says(to, voice)?])
    })?;
    let gone = [stage.a.sdp(NOBODY, ""), stage.b.sdp(CALLEE, "")];
    let told = [
        ("caller", "send-failed", "10.71.1.99"),
        ("callee", "nothing-arrived", ""),
    ];
    stage.call("no neighbour", gone, &told, |stage, to| {
        Ok(vec![stage.callee_says(to, voice)?])
    })?;
    stage.closed()?;
    stage.held()?;
    stage.without_media()
}

struct Stage<'a> {
    daemon: Daemon<'a>,
    a: Talker,
    b: Talker,
    lab: &'a Lab,
    fast_path: FastPath,
    /// Findings so far, as the metrics have to count them.
    counted: u64,
}

/// Who hears nothing, why, and what stands in the text.
type Told<'t> = (&'t str, &'t str, &'t str);

impl Stage<'_> {
    fn call(
        &mut self,
        name: &str,
        [mine, theirs]: [String; 2],
        told: &[Told<'_>],
        speak: impl FnOnce(&Self, [SocketAddr; 2]) -> Result<Vec<Mouth>>,
    ) -> Result<()> {
        let to = self.a.calls(&self.b, &mine, &theirs)?;
        let mouths = speak(self, to)?;
        self.found(name, told)?;
        self.end(name, told)?;
        drop(mouths);
        Ok(())
    }

    /// A call in which both hear.
    fn good(&mut self) -> Result<()> {
        let to = self
            .a
            .calls(&self.b, &self.a.sdp(CALLER, ""), &self.b.sdp(CALLEE, ""))?;
        let mouths = [self.caller_says(to)?, self.callee_says(to, voice)?];
        self.both_hear()?;
        let calls: Vec<Call> = serde_json::from_slice(&self.cli(&["calls", "--json"])?)?;
        let path = self.fast_path.label();
        ensure!(
            calls.iter().any(|call| call.path == path),
            "not in {path}: {calls:#?}"
        );
        self.end("a good call", &[])?;
        drop(mouths);
        Ok(())
    }

    /// One that was on hold in between.
    fn held_and_resumed(&mut self) -> Result<()> {
        let to = self
            .a
            .calls(&self.b, &self.a.sdp(CALLER, ""), &self.b.sdp(CALLEE, ""))?;
        let mouths = [self.caller_says(to)?, self.callee_says(to, voice)?];
        self.hold()?;
        // What the callee sends all the same is dropped meanwhile.
        self.found("on hold", &[("caller", "held", "a=sendonly")])?;
        let (mine, theirs) = (self.a.sdp(CALLER, ""), self.b.sdp(CALLEE, ""));
        self.a.offers(&self.b, &mine, &theirs)?;
        self.both_hear()?;
        self.end("a hold that was ended", &[])?;
        drop(mouths);
        Ok(())
    }

    /// One whose caller does not listen where his SDP says.
    fn closed(&mut self) -> Result<()> {
        let sdp = [self.a.sdp(CALLER, ""), self.b.sdp(CALLEE, "")];
        let told = [
            ("caller", "send-failed", "10.71.1.2 says"),
            ("callee", "nothing-arrived", ""),
        ];
        self.call("a closed port", sdp, &told, |stage, to| {
            Ok(vec![stage.callee_says(to, voice)?])
        })
    }

    /// One that stays on hold: the caller plays no music.
    fn held(&mut self) -> Result<()> {
        let to = self
            .a
            .calls(&self.b, &self.a.sdp(CALLER, ""), &self.b.sdp(CALLEE, ""))?;
        let caller = self.caller_says(to)?;
        let callee = self.callee_says(to, voice)?;
        self.hold()?;
        drop(caller);
        let told = [
            (
                "caller",
                "held",
                "it has put trunk:b on hold (its last SDP says a=sendonly)",
            ),
            ("callee", "held", "trunk:a has put it on hold"),
        ];
        self.found("a hold", &told)?;
        self.end("a hold", &told)?;
        drop(callee);
        Ok(())
    }

    fn hold(&mut self) -> Result<()> {
        let mine = self.a.sdp(CALLER, "a=sendonly\r\n");
        let theirs = self.b.sdp(CALLEE, "a=recvonly\r\n");
        self.a.offers(&self.b, &mine, &theirs).map(drop)
    }

    /// One whose stream is switched off by the answer.
    fn without_media(&mut self) -> Result<()> {
        let off = self.b.sdp(SocketAddrV4::new(CARRIER, 0), "");
        self.a.calls(&self.b, &self.a.sdp(CALLER, ""), &off)?;
        let told = [
            ("caller", "no-media", "no audio"),
            ("callee", "no-media", "no audio"),
        ];
        self.found("no media", &told)?;
        self.end("no media", &told)
    }

    fn caller_says(&self, to: [SocketAddr; 2]) -> Result<Mouth> {
        Mouth::says(&self.lab.phone, CALLER, to[0], voice)
    }

    fn callee_says(
        &self,
        to: [SocketAddr; 2],
        packet: impl Fn(u16) -> Vec<u8> + Send + 'static,
    ) -> Result<Mouth> {
        Mouth::says(&self.lab.carrier, CALLEE, to[1], packet)
    }

    /// Waits until `sbc calls CALL` says all that, and nothing else.
    fn found(&self, name: &str, told: &[Told<'_>]) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        let id = self.id()?;
        loop {
            let detail: CallDetail = serde_json::from_slice(&self.cli(&["calls", &id, "--json"])?)?;
            let verdict = &detail.verdict;
            let is_so = verdict.len() == told.len()
                && verdict
                    .iter()
                    .zip(told)
                    .all(|(found, (hears, cause, words))| {
                        found.hears == *hears && found.cause == *cause && found.text.contains(words)
                    });
            if is_so {
                for found in verdict {
                    println!("{name}: {}: {}", found.cause, found.text);
                }
                return Ok(());
            }
            ensure!(Instant::now() < end, "{name}: {verdict:#?}");
            std::thread::sleep(LOOK);
        }
    }

    /// Voice has come both ways for longer than a new call is waited for, and nothing is found.
    fn both_hear(&self) -> Result<()> {
        let id = self.id()?;
        let packets = |daemon: &Daemon<'_>, network: &str| -> Result<f64> {
            let labels = [("network", network), ("direction", "in")];
            Ok(daemon.scrape()?.sum("sbc_media_packets_total", &labels))
        };
        for network in ["left", "right"] {
            let before = packets(&self.daemon, network)?;
            let end = Instant::now() + PATIENCE;
            while packets(&self.daemon, network)? < before + 130.0 {
                ensure!(Instant::now() < end, "no voice from the {network}");
                std::thread::sleep(LOOK);
            }
        }
        let detail: CallDetail = serde_json::from_slice(&self.cli(&["calls", &id, "--json"])?)?;
        ensure!(detail.verdict.is_empty(), "{:#?}", detail.verdict);
        Ok(())
    }

    /// Hangs up; the log says the same then, and the metrics count it.
    fn end(&mut self, name: &str, told: &[Told<'_>]) -> Result<()> {
        self.a.hangs_up(&self.b)?;
        let ended = self.daemon.process().wait_for("call ended", PATIENCE)?;
        ensure!(
            ended.contains("verdict=") != told.is_empty(),
            "{name}: {ended}"
        );
        for (hears, cause, words) in told {
            let said = ended.contains(&format!("{hears} {cause}: ")) && ended.contains(words);
            ensure!(said, "{name}, {cause}: {ended}");
        }
        self.counted += told.len() as u64;
        let counted = self.counted as f64;
        let metrics = self.daemon.scrape()?;
        ensure!(
            metrics.sum("sbc_call_verdicts_total", &[]) == counted,
            "{name}: {ended}"
        );
        for (_, cause, _) in told {
            let count = metrics.sum("sbc_call_verdicts_total", &[("cause", cause)]);
            ensure!(count >= 1.0, "{name}: {cause} is not counted");
        }
        Ok(())
    }

    /// Of the only call.
    fn id(&self) -> Result<String> {
        let calls: Vec<Call> = serde_json::from_slice(&self.cli(&["calls", "--json"])?)?;
        let up = calls.into_iter().find(|call| call.state != "ending");
        Ok(up.context("no call is up")?.id)
    }

    fn cli(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        let file = self.lab.scratch.path().join("lab.toml");
        let file = file.to_str().context("not UTF-8")?;
        let output = Daemon::cli(&self.lab.edge, arguments.iter().chain(&["--config", file]))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{arguments:?}: {said}");
        Ok(output.stdout)
    }
}

/// 20 ms of something that is no silence.
fn voice(number: u16) -> Vec<u8> {
    Mouth::rtp(number, 0, SSRC, tone)
}

fn tone(octet: u16) -> u8 {
    0x80 | (octet % 16) as u8
}
