//! Processor time of single threads, the kernel's own among them, to the nanosecond.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::{ClockId, clock_gettime};

/// A thread: its folder in `/proc`.
pub type Thread = String;

/// This process's threads of that name.
///
/// # Errors
/// `/proc` cannot be read.
pub fn own_threads(name: &str) -> Result<BTreeSet<Thread>> {
    let list = || named("/proc/self/task", |comm| comm == name);
    // The kernel leaves threads out where another one ends while it lists them: what it says twice is believed.
    let mut found = list()?;
    for _ in 0..100 {
        let again = list()?;
        if again == found {
            break;
        }
        found = again;
    }
    Ok(found)
}

/// All threads of a process.
///
/// # Errors
/// It is gone.
pub fn threads_of(pid: u32) -> Result<BTreeSet<Thread>> {
    named(&format!("/proc/{pid}/task"), |_| true)
}

/// Processes, kernel threads included, whose name begins so.
///
/// # Errors
/// `/proc` cannot be read.
pub fn processes(prefix: &str) -> Result<BTreeSet<Thread>> {
    named("/proc", |comm| comm.starts_with(prefix))
}

fn named(folder: &str, is_wanted: impl Fn(&str) -> bool) -> Result<BTreeSet<Thread>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {folder}"))? {
        let entry = entry?;
        let is_id = entry
            .file_name()
            .to_string_lossy()
            .starts_with(|c: char| c.is_ascii_digit());
        let path = entry.path().display().to_string();
        // A thread may end while we look.
        let comm = fs::read_to_string(format!("{path}/comm"));
        if is_id && comm.is_ok_and(|comm| is_wanted(comm.trim())) {
            found.insert(path);
        }
    }
    Ok(found)
}

/// Time on a processor so far: the first figure of its `schedstat`.
///
/// # Errors
/// The thread is gone, or the kernel keeps no such times.
pub fn of(thread: &str) -> Result<Duration> {
    let path = format!("{thread}/schedstat");
    let text = fs::read_to_string(&path)
        .with_context(|| format!("{path}: a kernel with CONFIG_SCHED_INFO is needed"))?;
    let first = text.split_whitespace().next().unwrap_or_default();
    let nanoseconds = first
        .parse()
        .with_context(|| format!("{path}: {text:?} does not begin with nanoseconds"))?;
    Ok(Duration::from_nanos(nanoseconds))
}

/// How often the clock's tick met it in user space, and how often in the kernel: what its time is shared by.
///
/// # Errors
/// The thread is gone.
pub fn split(thread: &str) -> Result<[u64; 2]> {
    let path = format!("{thread}/stat");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    // Its name may have anything in it.
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    let field = |nth| fields.split_whitespace().nth(nth)?.parse().ok();
    let split = field(11).zip(field(12));
    let (user, kernel) = split.with_context(|| format!("{path}: {text:?}"))?;
    Ok([user, kernel])
}

/// Of several together.
///
/// # Errors
/// As [`of`].
pub fn sum<'a>(threads: impl IntoIterator<Item = &'a Thread>) -> Result<Duration> {
    threads.into_iter().map(|thread| of(thread)).sum()
}

/// Of the calling thread.
///
/// # Errors
/// The kernel has no such clock.
pub fn mine() -> Result<Duration> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(Duration::from(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time_and_threads_are_found_by_name() {
        let thread = std::thread::Builder::new().name("at-work".to_owned());
        let worker = thread.spawn(|| {
            // Other tests' threads end meanwhile.
            let lists = std::iter::repeat_with(|| own_threads("at-work").unwrap());
            let found = lists.take(1000).find(|found| !found.is_empty()).unwrap();
            let (before, path) = (mine().unwrap(), found.first().unwrap().clone());
            let mut sum = 0_u64;
            while mine().unwrap() < before + Duration::from_millis(5) {
                sum = std::hint::black_box(sum.wrapping_add(1));
            }
            (found.len(), of(&path).unwrap())
        });
        let (count, time) = worker.unwrap().join().unwrap();
        assert_eq!(count, 1);
        // The scheduler's own figure may be a tick behind.
        assert!(time > Duration::ZERO);
        assert!(own_threads("nobody").unwrap().is_empty());
    }
}
