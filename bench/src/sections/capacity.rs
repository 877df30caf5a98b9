//! Transcoded calls that talk all at once: how long their packets take, and how many of them one core carries.

use std::time::Duration;

use anyhow::Result;
use sbc::io::media::{Driver, Gathering, Setup};
use sbc_bench::capacity;
use sbc_bench::contender::Contender;
use sbc_bench::media_lab::MediaLab;
use sbc_bench::table::Row;
use sbc_bench::talk;
use sbc_bench::transcode;

use super::transcode::{CALLS, CONTENDERS, DELAY, GATHERS, PACKETS};
use super::{LEARN, again, part};

const SETTLE: Duration = Duration::from_millis(700);
const TALKING: Duration = Duration::from_secs(2);

fn lab() -> Result<MediaLab> {
    let lab = MediaLab::new()?;
    lab.count_kernel_work()?;
    Ok(lab)
}

/// Of a core.
type Share = fn(&capacity::Capacity) -> f64;

/// How many calls one core carries, and what limits it.
pub(super) fn capacities() -> Vec<Row> {
    let lab = lab();
    let mut rows = Vec::new();
    for (driver, gathering, name) in [
        (Driver::IoUring, GATHERS, "io_uring"),
        (Driver::IoUring, Gathering::Off, "io_uring, frame by frame"),
        (Driver::Epoll, GATHERS, "epoll"),
    ] {
        let setup = Setup {
            gathering,
            ..Setup::new(1)
        };
        let found = lab
            .as_ref()
            .map_err(again)
            .and_then(|lab| capacity::find(lab, driver, &setup));
        let limit = found.as_ref().map_or("", |found| &found.limit);
        let what = format!("one core on {name} carries, limited by {limit}");
        rows.push(part(&found, what, "calls", |found| f64::from(found.calls)));
        let of_a_core: [(&str, Share); 3] = [
            ("its core in user space", |found| found.user),
            ("its core in the kernel", |found| found.kernel),
            ("the other core, the generator and what comes in", |found| {
                found.others
            }),
        ];
        for (of, share) in of_a_core {
            let name = format!("one core on {name}, then of {of}");
            rows.push(part(&found, name, "%", |found| share(found) * 100.0));
        }
        let name = format!("one core on {name}, then p99");
        rows.push(part(&found, name, "ms", |found| found.p99 * 1e3));
    }
    rows
}

/// Within what time 99 of 100 packets come while so many calls talk.
pub(super) fn talking() -> Vec<Row> {
    let lab = lab();
    let mut rows = Vec::new();
    for (calls, _) in CALLS {
        for contender in CONTENDERS {
            let talk = lab.as_ref().map_err(again).and_then(|lab| {
                let mut ends = lab.ends()?.saying(transcode::speech());
                let at_work = contender.start(lab, calls)?;
                let rate = u32::from(calls) * PACKETS;
                let settle = match contender {
                    Contender::RtpengineTranscoding => LEARN,
                    _ => SETTLE,
                };
                ends.stream(&at_work.targets, rate, settle)?;
                talk::talk(&mut ends, &at_work.targets, rate, TALKING)
            });
            let name = format!("{calls} calls that talk, through {}, p99", contender.name());
            let row = part(&talk, name, "ms", |talk| talk.within(990) * 1e3);
            rows.push(match contender {
                Contender::Transcoding(_, Gathering::For(window)) => {
                    row.at_most(DELAY + window.as_secs_f64() * 1e3)
                }
                _ => row,
            });
        }
    }
    rows
}
