//! A call through the daemon, and its record.

use sbc::config::{Cdr, Rotate};
use sbc::engine::CallRecord;

use super::agent::Request;
use super::calls::{call, hear_the_first};
use super::*;

#[tokio::test]
async fn a_call_has_its_record_in_a_file() {
    let name = format!("sbc-daemon-records-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    let _ = std::fs::remove_dir_all(&directory);
    let (state, json) = (directory.join("state"), directory.join("calls.json"));
    let path = json.clone();
    let sbc = Sbc::start_with(|config| {
        config.sbc.state_dir = state;
        config.cdr = Some(Cdr {
            json: Some(path),
            csv: None,
            rotate: Rotate::default(),
            keep: None,
            webhook: None,
            spool: 1 << 20,
            mask: 0,
        });
    })
    .await;
    let mut up = call(&sbc).await;
    hear_the_first(&up).await;
    let bye = Request {
        method: "BYE",
        cseq: up.dialog.cseq + 1,
        ..up.dialog
    };
    let bye = up.caller.text(&bye);
    up.caller.send(bye.as_bytes()).await;
    up.caller.answer(200).await;
    let asked = up.callee.asked("BYE").await;
    up.callee.reply(&asked, 200, "callee", "").await;
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let metrics = sbc.metrics().await;
        if metrics.sum("sbc_cdr_written_total", "sink=json") == 1.0 {
            assert_eq!(metrics.sum("sbc_cdr_waiting", ""), 0.0);
            assert_eq!(metrics.sum("sbc_cdr_lost_total", ""), 0.0);
            break;
        }
        assert!(tokio::time::Instant::now() < end, "no record");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The engine was read for that page before the record was written, perhaps before the call was over.
    assert!(sbc.metrics().await.sum("sbc_call_mos_count", "") >= 1.0);
    sbc.stop().await;
    let text = std::fs::read_to_string(&json).unwrap();
    let record: CallRecord = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!(
        (record.from.as_str(), record.to.as_deref()),
        ("phone:6001", Some("phone:6002"))
    );
    assert_eq!(record.called, "6002");
    assert_eq!(record.outcome, "answered");
    assert_eq!(
        (record.code, record.ended_by.as_str()),
        (Some(200), "caller")
    );
    assert_eq!(record.caller_codec.as_deref(), Some("PCMU"));
    assert_eq!(record.media, "user");
    assert!(record.caller_packets > 0 && record.callee_packets > 0);
    // Of this century: the clock is the host's.
    assert!(record.begin.as_second() > 1_700_000_000 && record.pdd_ms.is_some());
    std::fs::remove_dir_all(&directory).unwrap();
}
