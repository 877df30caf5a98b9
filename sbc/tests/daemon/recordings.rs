//! `sbc record CALL --payload`, and the page behind it: in user space, where each packet is one of this process.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use nix::sys::signal::{Signal, kill};
use pcap_file::pcap::PcapReader;
use sbc::config::{FlightRecorder, Secret};
use sbc::io::admin::types::RecordingInfo;
use serde_json::json;

use super::agent::Request;
use super::api::act;
use super::calls::{CallUp, call, hear_the_first, hears, voice};
use super::programs::{Piped, Program};
use super::watched::cli;
use super::*;

/// With the flight recorder, which keeps payload for whoever asks or not.
fn recorder(payload: bool) -> FlightRecorder {
    FlightRecorder {
        calls: 1,
        directory: None,
        mos: None,
        loss: None,
        files: 1,
        payload,
    }
}

async fn recording() -> Sbc {
    Sbc::start_with(|config| config.flight_recorder = Some(recorder(true))).await
}

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let name = format!("sbc-recordings-{name}-{}", std::process::id());
        let scratch = Scratch(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&scratch.0).unwrap();
        scratch
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `sbc record` of the only call, with more arguments, once it records.
async fn record(sbc: &Sbc, name: &str, file: &Path, more: &[&str]) -> Piped {
    let program = Program::sbc()
        .args(["record", name, "--payload"])
        .arg(file)
        .args(["--admin", &sbc.running.admin().to_string()])
        .args(more);
    let record = program.piped().unwrap();
    recordings(sbc, 1.0).await;
    record
}

/// Waits until so many are made.
async fn recordings(sbc: &Sbc, count: f64) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while sbc.metrics().await.0["sbc_flight_recordings"] != count {
        assert!(tokio::time::Instant::now() < end, "not {count} recordings");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn output(record: Piped) -> Output {
    let output = tokio::task::spawn_blocking(|| record.output());
    tokio::time::timeout(PATIENCE, output)
        .await
        .expect("sbc record does not end")
        .unwrap()
}

/// Both talk, so many packets each.
async fn talk(up: &CallUp, packets: std::ops::Range<u8>) {
    for number in packets {
        for (from, to) in [(0, 1), (1, 0)] {
            let packet = voice(number, 1 + from as u8);
            let media = &up.media[from];
            media.send_to(&packet, up.towards[from]).await.unwrap();
            hears(&up.media[to], &packet, up.towards[to]).await;
        }
    }
}

async fn hang_up(up: &mut CallUp) {
    let bye = Request {
        method: "BYE",
        cseq: up.dialog.cseq + 1,
        ..up.dialog.clone()
    };
    let bye = up.caller.text(&bye);
    up.caller.send(bye.as_bytes()).await;
    up.caller.answer(200).await;
    let asked = up.callee.asked("BYE").await;
    up.callee.reply(&asked, 200, "callee", "").await;
}

/// Who sent what to whom.
type Seen = (SocketAddr, SocketAddr, Vec<u8>);

fn read(mut capture: &[u8]) -> Vec<Seen> {
    let mut reader = PcapReader::new(&mut capture).unwrap();
    let mut seen = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        assert_eq!(packet.orig_len() as usize, packet.data().len());
        let sliced = etherparse::SlicedPacket::from_ip(packet.data()).unwrap();
        let Some(etherparse::NetSlice::Ipv4(ip)) = &sliced.net else {
            panic!("no IPv4")
        };
        let (from, to) = (ip.header().source_addr(), ip.header().destination_addr());
        let Some(etherparse::TransportSlice::Udp(udp)) = &sliced.transport else {
            panic!("no UDP")
        };
        seen.push((
            (from, udp.source_port()).into(),
            (to, udp.destination_port()).into(),
            udp.payload().to_vec(),
        ));
    }
    seen
}

/// What went this way, in order.
fn way(seen: &[Seen], from: SocketAddr, to: SocketAddr) -> Vec<Vec<u8>> {
    let fits = seen.iter().filter(|seen| (seen.0, seen.1) == (from, to));
    fits.map(|seen| seen.2.clone()).collect()
}

#[tokio::test]
async fn every_byte_that_is_said_is_in_the_recording_until_the_call_ends() {
    let scratch = Scratch::new("whole");
    let sbc = recording().await;
    let mut up = call(&sbc).await;
    hear_the_first(&up).await;
    talk(&up, 1..10).await;
    let file = scratch.0.join("call.pcap");
    // Somebody else could read what was there before.
    std::fs::write(&file, "before").unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let record = record(&sbc, &up.dialog.call_id, &file, &[]).await;
    talk(&up, 10..110).await;
    hang_up(&mut up).await;
    let output = output(record).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(
        said.ends_with("call.pcap: 200 packets came, with what was said in them\n"),
        "{said}"
    );
    // It is for nobody else to read.
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let seen = read(&std::fs::read(&file).unwrap());
    assert_eq!(seen.len(), 400);
    for (from, to) in [(0, 1), (1, 0)] {
        let expected: Vec<_> = (10..110).map(|n| voice(n, 1 + from as u8)).collect();
        let at = |side: usize| up.media[side].local_addr().unwrap();
        assert_eq!(way(&seen, at(from), up.towards[from]), expected);
        assert_eq!(way(&seen, up.towards[to], at(to)), expected);
    }
    recordings(&sbc, 0.0).await;
    sbc.stop().await;
}

#[tokio::test]
async fn ctrl_c_ends_a_recording_and_nothing_is_missing() {
    let sbc = recording().await;
    let up = call(&sbc).await;
    hear_the_first(&up).await;
    // An ordinary pipe.
    let record = record(&sbc, "1", Path::new("-"), &[]).await;
    talk(&up, 1..21).await;
    kill(record.started.id, Signal::SIGINT).unwrap();
    let output = output(record).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(
        said.ends_with("standard output: 40 packets came, with what was said in them\n"),
        "{said}"
    );
    assert_eq!(read(&output.stdout).len(), 80);
    recordings(&sbc, 0.0).await;
    // The call goes on, and no one listens.
    talk(&up, 21..30).await;
    sbc.stop().await;
}

#[tokio::test]
async fn who_listens_in_is_listed_and_can_be_ended() {
    let scratch = Scratch::new("listed");
    let sbc = recording().await;
    let nobody = "Nobody records what is said in a call now.\n";
    assert_eq!(
        cli(&sbc, "record", &[]).await,
        (nobody.into(), String::new(), 0)
    );
    assert_eq!(cli(&sbc, "record", &["--json"]).await.0, "[]\n");
    let up = call(&sbc).await;
    hear_the_first(&up).await;
    let record = record(&sbc, "1", &scratch.0.join("call.pcap"), &[]).await;
    talk(&up, 1..11).await;
    let end = tokio::time::Instant::now() + PATIENCE;
    // What a worker has handed over is counted by the writer, somewhat later.
    let one = loop {
        let (out, err, code) = cli(&sbc, "record", &["--json"]).await;
        assert_eq!((err.as_str(), code), ("", 0));
        let all: Vec<RecordingInfo> = serde_json::from_str(&out).unwrap();
        let [one] = all.as_slice() else {
            panic!("{all:?}")
        };
        if one.packets == 20 {
            break one.clone();
        }
        assert!(tokio::time::Instant::now() < end, "{one:?}");
    };
    assert_eq!((one.recording, one.lost, one.is_ending), (1, 0, false));
    assert_eq!(one.call, "0000000000000001");
    assert!(one.by.starts_with("127.0.0.1:"), "{one:?}");
    let (table, ..) = cli(&sbc, "record", &[]).await;
    assert!(table.lines().nth(1).unwrap().contains(&one.by), "{table}");

    let ended = cli(&sbc, "record", &["--end", "1"]).await;
    assert_eq!(ended, ("Recording 1 ends.\n".into(), String::new(), 0));
    let said = String::from_utf8(output(record).await.stderr).unwrap();
    assert!(said.contains(": 20 packets came"), "{said}");
    recordings(&sbc, 0.0).await;
    let (out, err, code) = cli(&sbc, "record", &["--end", "1"]).await;
    let gone = "sbc: there is no recording 1, or it is ending already\n";
    assert_eq!((out.as_str(), err.as_str(), code), ("", gone, 1));
    drop(up);
    sbc.stop().await;

    // Where nothing can be recorded that is what is said.
    let sbc = Sbc::start().await;
    let (_, err, code) = cli(&sbc, "record", &[]).await;
    assert!(code == 1 && err.contains("`payload = true`"), "{err}");
    sbc.stop().await;
}

#[tokio::test]
async fn a_recording_ends_after_its_time_and_with_whoever_reads_it() {
    let scratch = Scratch::new("ends");
    let sbc = recording().await;
    let up = call(&sbc).await;
    hear_the_first(&up).await;
    let short = scratch.0.join("short.pcap");
    let ended = output(record(&sbc, "1", &short, &["--seconds", "1"]).await).await;
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(read(&std::fs::read(&short).unwrap()), []);
    recordings(&sbc, 0.0).await;
    drop(record(&sbc, "1", &scratch.0.join("cut.pcap"), &[]).await);
    recordings(&sbc, 0.0).await;
    talk(&up, 1..10).await;
    sbc.stop().await;
}

#[tokio::test]
async fn so_many_are_recorded_at_once_and_who_is_can_be_ended() {
    let sbc = recording().await;
    let up = call(&sbc).await;
    hear_the_first(&up).await;
    let admin = sbc.admin();
    let body = json!({ "call": up.dialog.call_id }).to_string();
    let mut streams = Vec::new();
    for number in 1..=9 {
        let mut stream = TcpStream::connect(admin).await.unwrap();
        let request = format!(
            "POST /api/record.pcap HTTP/1.1\r\nHost: {admin}\r\nContent-Type: application/json\r\nTE: trailers\r\nConnection: close, TE\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = vec![0; 2_000];
        let length = stream.read(&mut head).await.unwrap();
        let head = String::from_utf8_lossy(&head[..length]).into_owned();
        if number == 9 {
            assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
            assert!(
                head.contains("8 recordings are being made already"),
                "{head}"
            );
        } else {
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            assert!(
                head.contains(&format!("sbc-recording: {number}\r\n")),
                "{head}"
            );
            streams.push(stream);
        }
    }
    let end = json!({ "recording": 3 }).to_string();
    let (status, answer) = act(&sbc, "delete", "/api/recording", &end).await;
    assert_eq!(status, 200, "{answer}");
    let mut rest = Vec::new();
    streams.remove(2).read_to_end(&mut rest).await.unwrap();
    let rest = String::from_utf8_lossy(&rest);
    assert!(
        rest.ends_with("0\r\nsbc-packets: 0\r\nsbc-lost: 0\r\n\r\n"),
        "{rest}"
    );
    recordings(&sbc, 7.0).await;
    drop(streams);
    recordings(&sbc, 0.0).await;
    drop(up);
    sbc.stop().await;
}

#[tokio::test]
async fn nobody_listens_in_unless_the_config_says_so() {
    let scratch = Scratch::new("refused");
    let file = scratch.0.join("call.pcap");
    let file = file.to_str().unwrap();
    let sbc = Sbc::start_with(|config| config.flight_recorder = Some(recorder(false))).await;
    let up = call(&sbc).await;
    let (out, err, code) = cli(&sbc, "record", &["1", "--payload", file]).await;
    assert_eq!((out.as_str(), code), ("", 1));
    assert!(
        err.starts_with("sbc: what is said in calls is not recorded here: write `payload = true` into [flight_recorder]"),
        "{err}"
    );
    assert!(!Path::new(file).exists());
    drop(up);
    sbc.stop().await;

    // And who may, has to say who he is.
    let sbc = Sbc::start_with(|config| {
        config.flight_recorder = Some(recorder(true));
        config.sbc.admin_token = Some(Secret::new("a-token-of-this-test".to_owned()));
    })
    .await;
    let up = call(&sbc).await;
    let (_, err, code) = cli(&sbc, "record", &["1", "--payload", file]).await;
    assert!(code == 1 && err.contains("admin_token"), "{err}");
    let body = json!({ "call": "1" }).to_string();
    let (status, answer) = act(&sbc, "post", "/api/record.pcap", &body).await;
    assert_eq!(status, 401, "{answer}");
    drop(up);
    sbc.stop().await;
}
