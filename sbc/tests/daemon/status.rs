//! `/api/status` and `sbc status`.

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use sbc::config::MediaPriority;
use sbc::io::admin::types::Status;

use super::bans::told;
use super::*;

#[tokio::test]
async fn each_media_worker_is_shown_with_its_core_and_what_it_was_given() {
    let set = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let core = (0..CpuSet::count()).find(|core| set.is_set(*core).unwrap());
    let core = u16::try_from(core.unwrap()).unwrap();
    let sbc = Sbc::start_with(|config| {
        config.sbc.media.cores = vec![core];
        config.sbc.media.priority = MediaPriority::Normal;
    })
    .await;
    let (out, err, code) = told(&sbc, &["status", "--json"]).await;
    assert_eq!((err.as_str(), code), ("", 0));
    let page: Status = serde_json::from_str(&out).unwrap();
    let [worker] = page.workers.as_slice() else {
        panic!("{out}")
    };
    assert_eq!(worker.core, Some(core));
    assert_eq!(
        (worker.priority.as_str(), &worker.no_higher),
        ("normal", &None)
    );
    assert_eq!((worker.transcoded, worker.refuses), (0, false));
    let (out, err, code) = told(&sbc, &["status"]).await;
    assert_eq!((err.as_str(), code), ("", 0));
    let on = format!("% of core {core} ({}, priority normal)", worker.driver);
    let line = out.lines().find(|line| line.contains(&on));
    assert!(
        line.is_some_and(|line| line.ends_with("0 transcoded")),
        "{out}"
    );
    sbc.stop().await;
}
