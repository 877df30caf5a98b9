//! The process itself.

use std::time::SystemTime;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use super::family::Family;
use crate::io::host;

pub(super) fn families(started: SystemTime) -> Vec<Family> {
    let mut build = Family::gauge(
        "sbc_build_info",
        "Always 1: the version is in the label.",
        &["version"],
    );
    build.add([env!("CARGO_PKG_VERSION")], 1);
    let mut families = vec![build];
    // A clock that stood before 1970 then says nothing.
    if let Ok(since) = started.duration_since(SystemTime::UNIX_EPOCH) {
        let mut start = Family::gauge(
            "process_start_time_seconds",
            "When the process was started, in seconds since 1970.",
            &[],
        );
        start.set([], since.as_secs_f64());
        families.push(start);
    }
    if let Some(bytes) = host::resident_memory() {
        let mut memory = Family::gauge(
            "process_resident_memory_bytes",
            "Memory of the process that is in RAM.",
            &[],
        );
        memory.add([], bytes);
        families.push(memory);
    }
    if let Some(seconds) = cpu_seconds() {
        let mut cpu = Family::counter(
            "process_cpu_seconds_total",
            "CPU time that the process has used, in user space and in the kernel.",
            &[],
        );
        cpu.set([], seconds);
        families.push(cpu);
    }
    families
}

#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds of CPU time fit f64 for centuries"
)]
fn cpu_seconds() -> Option<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let microseconds =
        usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Some(microseconds as f64 / 1e6)
}
