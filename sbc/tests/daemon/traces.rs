//! `sbc trace`, and the pages behind it.

use std::path::Path;

use pcap_file::pcap::PcapReader;
use sbc::io::admin::types::{Trace, TracePage};

use super::agent::Request;
use super::calls::{call, hear_the_first};
use super::programs::Program;
use super::watched::cli;
use super::*;

/// The trace of the only call, once it is over and its media has been counted.
async fn over(sbc: &Sbc, name: &str) -> Trace {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let (status, text) = sbc.api(&format!("/api/trace?name={name}")).await;
        assert_eq!(status, 200, "{text}");
        let trace: Trace = serde_json::from_str(&text).unwrap();
        let is_counted = trace
            .steps
            .iter()
            .any(|step| step.label == "from the callee");
        if trace.state == "ended" && is_counted {
            return trace;
        }
        assert!(tokio::time::Instant::now() < end, "{trace:#?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A page that is no text.
async fn capture(sbc: &Sbc, path: &str) -> Vec<u8> {
    let admin = sbc.admin();
    let mut stream = TcpStream::connect(admin).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    let head = all.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
    let body = all.split_off(head + 4);
    let head = String::from_utf8(all).unwrap();
    assert!(head.contains("application/vnd.tcpdump.pcap"), "{head}");
    body
}

#[tokio::test]
async fn a_call_that_is_over_has_its_ladder() {
    let sbc = Sbc::start().await;
    assert_eq!(cli(&sbc, "trace", &[]).await.0, "No traces of calls.\n");
    let mut up = call(&sbc).await;
    hear_the_first(&up).await;
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

    let trace = over(&sbc, &up.dialog.call_id).await;
    assert_eq!(
        (trace.id.as_str(), trace.from.as_str(), trace.to.as_deref()),
        ("1", "phone:6001", Some("phone:6002"))
    );
    assert_eq!(
        (trace.outcome.as_deref(), trace.failed, trace.omitted),
        (Some("answered"), false, 0)
    );
    let parties: Vec<_> = trace.parties.iter().map(|party| party.address).collect();
    assert_eq!(
        parties,
        [Some(up.caller.local), None, Some(up.callee.local)]
    );
    let step = |from, to, label: &str| {
        let mut steps = trace.steps.iter();
        let found = steps.find(|step| (step.from, step.to, &*step.label) == (from, to, label));
        found.unwrap_or_else(|| panic!("no {label} from {from} to {to} in {trace:#?}"))
    };
    assert_eq!(
        step(0, 1, "INVITE").note.split("; ").next(),
        Some("for 6002")
    );
    assert_eq!(
        step(1, 0, "401 Unauthorized").transport.as_deref(),
        Some("udp")
    );
    assert_eq!(step(1, 1, "route 1").note, "phone:6002");
    let offered = step(1, 2, "INVITE");
    let before = up.media[0].local_addr().unwrap();
    assert!(
        offered.note.contains(&format!("(was {before}; ")),
        "{offered:?}"
    );
    assert!(offered.sdp.as_deref().unwrap().starts_with("v=0\r\n"));
    assert!(step(1, 1, "media").note.contains("in user space: "));
    assert_eq!(
        step(1, 1, "audio").note,
        "PCMU on both sides: shared, no transcoding"
    );
    assert!(step(2, 1, "200 x").sdp.is_some());
    step(0, 1, "BYE");
    step(1, 2, "BYE");
    assert!(
        step(1, 1, "from the caller")
            .note
            .contains(" packets, 0 lost")
    );
    let text = serde_json::to_string(&trace).unwrap();
    assert!(
        !text.contains("response=") && text.contains("Authorization: ***"),
        "{text}"
    );

    // On the command line.
    let (list, err, code) = cli(&sbc, "trace", &[]).await;
    assert_eq!((err.as_str(), code), ("", 0));
    assert!(list.ends_with("\n1 trace.\n"), "{list}");
    assert!(list.contains("phone:6001  phone:6002  6002"), "{list}");
    let (failed, ..) = cli(&sbc, "trace", &["--failed"]).await;
    assert_eq!(failed, "No call that is kept has failed.\n");
    let (drawn, err, code) = cli(&sbc, "trace", &["1"]).await;
    assert_eq!((err.as_str(), code), ("", 0));
    assert!(
        drawn.starts_with("call 1: phone:6001 to phone:6002, dialled 6002\n"),
        "{drawn}"
    );
    assert!(drawn.contains("-- INVITE --"), "{drawn}");
    let (whole, ..) = cli(&sbc, "trace", &["1", "--messages"]).await;
    assert!(whole.contains("Authorization: ***"), "{whole}");
    let (sdp, ..) = cli(&sbc, "trace", &["1", "--sdp"]).await;
    assert!(
        sdp.contains("m=audio ") && !sdp.contains("Authorization"),
        "{sdp}"
    );
    let (_, err, code) = cli(&sbc, "trace", &["1b"]).await;
    assert!(
        err.starts_with("sbc: there is no trace of a call `1b`"),
        "{err}"
    );
    assert_eq!(code, 1);

    // For Wireshark.
    let file = capture(&sbc, "/api/trace.pcap?name=1").await;
    let path = std::env::temp_dir().join(format!("sbc-trace-{}.pcap", std::process::id()));
    let (out, err, code) = cli(&sbc, "trace", &["1", "--pcap", path.to_str().unwrap()]).await;
    assert_eq!((out.as_str(), err.as_str(), code), ("", "", 0));
    assert_eq!(std::fs::read(&path).unwrap(), file);
    let messages = trace.steps.iter().filter(|step| step.from != step.to);
    let mut reader = PcapReader::new(file.as_slice()).unwrap();
    let mut packets = Vec::new();
    while let Some(packet) = reader.next_packet() {
        packets.push(packet.unwrap().data().to_vec());
    }
    assert_eq!(packets.len(), messages.clone().count());
    for (packet, step) in packets.iter().zip(messages) {
        let text = String::from_utf8_lossy(packet.get(28..).unwrap());
        if let Some(message) = &step.message {
            assert_eq!(text, *message);
        }
    }
    if let Some(read) = tshark(&path).await {
        let lines: Vec<&str> = read.lines().collect();
        assert_eq!(lines.len(), packets.len(), "{read}");
        let first = format!("{}\tINVITE\t\t", up.caller.local.ip());
        assert_eq!(lines[0], first, "{read}");
    }
    std::fs::remove_file(&path).unwrap();
    let metrics = sbc.metrics().await;
    assert!(metrics.sum("sbc_trace_bytes", "") > 5_000.0);
    assert_eq!(metrics.sum("sbc_traces", "state=good"), 1.0);
    assert_eq!(metrics.sum("sbc_traces", "state=failed"), 0.0);
    assert_eq!(metrics.sum("sbc_trace_omitted_total", ""), 0.0);
    sbc.stop().await;
}

/// What Wireshark reads in a capture, where it is there.
async fn tshark(file: &Path) -> Option<String> {
    let fields = ["ip.src", "sip.Method", "sip.Status-Code", "_ws.malformed"];
    let program = Program::new("tshark")
        .arg("-r")
        .arg(file)
        .args(["-Y", "sip", "-T", "fields"])
        .args(fields.iter().flat_map(|field| ["-e", field]));
    let output = program.output().await.ok()?;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).ok()
}

#[tokio::test]
async fn one_that_is_refused_at_once_has_one_too() {
    let sbc = Sbc::start().await;
    let mut caller = super::agent::Agent::udp(sbc.peer(2), sbc.sip()).await;
    caller.register("6001", "one", 200).await;
    let mut invite = caller.request("INVITE", "9999");
    invite.from = format!("<sip:6001@{}>;tag=x", sbc.sip().ip());
    caller.ask_as("6001", "one", &mut invite).await;
    caller.answer(404).await;
    let (status, text) = sbc.api("/api/traces").await;
    assert_eq!(status, 200, "{text}");
    let page: TracePage = serde_json::from_str(&text).unwrap();
    let [one] = page.traces.as_slice() else {
        panic!("{page:?}")
    };
    assert_eq!((one.id.as_str(), one.failed), ("r1", true));
    assert_eq!(
        (one.from.as_str(), one.dialled.as_str()),
        ("phone:6001", "9999")
    );
    assert!(text.contains("\"next\":null"), "{text}");
    let (list, ..) = cli(&sbc, "trace", &["--failed"]).await;
    assert!(list.contains("\n!  r1 "), "{list}");
    let (drawn, err, code) = cli(&sbc, "trace", &["r1"]).await;
    assert_eq!((err.as_str(), code), ("", 0));
    assert!(drawn.contains("  outcome   rejected (failed): "), "{drawn}");
    assert!(drawn.contains("404 Not Found"), "{drawn}");
    sbc.stop().await;
}

#[tokio::test]
async fn where_none_are_kept_it_is_said() {
    let sbc = Sbc::start_with(|config| config.trace.memory = 0).await;
    let up = call(&sbc).await;
    let (status, text) = sbc.api("/api/traces").await;
    assert_eq!(
        (status, text.as_str()),
        (200, "{\"traces\":[],\"next\":null}\n")
    );
    let (_, err, code) = cli(&sbc, "trace", &[&up.dialog.call_id]).await;
    assert_eq!(code, 1);
    assert_eq!(
        err,
        "sbc: no traces are kept: `memory` in [trace] of the config is 0\n"
    );
    sbc.stop().await;
}
