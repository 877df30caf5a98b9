//! What the scheduler is told of the calling thread. It has nothing to do with io_uring, but no package that is at hand asks the system
//! for it, and what is unsafe is here.

use std::io;

/// Of the real-time priorities the lowest: before everyone who has none, behind everyone who was given more.
const LOWEST: libc::c_int = 1;

/// The calling thread has a processor whenever it wants one (`SCHED_FIFO`); threads that it starts do not.
///
/// # Errors
/// The system does not allow it.
pub(in super::super) fn be_real_time() -> io::Result<()> {
    // SAFETY: zeros are a sched_param; some systems have more in it than the priority.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = LOWEST;
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the parameters are there until the call returns, which only reads them; 0 is the calling thread.
    done(unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) })
}

/// The calling thread's niceness, -20 to 19: who has less has more of a processor.
///
/// # Errors
/// The system does not allow it.
pub(in super::super) fn set_niceness(niceness: i32) -> io::Result<()> {
    // SAFETY: numbers go in and out; on Linux 0 is the calling thread.
    done(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, niceness) })
}

/// The niceness of who gives way: a tenth of what others have of a processor that all of them want.
const NICE: libc::c_int = 10;
/// Nanoseconds, the longest that there is: whoever wakes up and wants less at a time comes first.
const LONG: u64 = 100_000_000;

/// The calling thread, and those that it starts from now on, leave the processor to whoever else of us wakes up, at once, and never take
/// it from anyone. Niceness alone would do up to Linux 6.5; its successor lets who runs finish a slice first, up to a whole tick (4 ms), but for one that
/// is longer than that of who wakes (since 6.12).
///
/// # Errors
/// The system does not allow it.
pub(in crate::io) fn give_way() -> io::Result<()> {
    // SAFETY: numbers go in and out; on Linux 0 is the calling thread.
    let niceness = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_BATCH as u32,
        sched_flags: 0,
        // Less than there is would need privileges.
        sched_nice: niceness.max(NICE),
        sched_priority: 0,
        sched_runtime: LONG,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the attributes are there until the call returns, which only reads as many bytes as they say; 0 is the calling thread, and no flags.
    match unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn done(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields of `/proc/thread-self/stat` from the third on.
    fn stat() -> Vec<String> {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        fields.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn anyone_may_be_nicer_and_the_system_says_so() {
        // A thread of its own: nobody else's is changed.
        let thread = std::thread::spawn(|| {
            set_niceness(19).unwrap();
            stat().swap_remove(16)
        });
        assert_eq!(thread.join().unwrap(), "19");
    }

    #[test]
    fn anyone_may_give_way_and_so_do_those_that_he_starts() {
        let seen = |thread: Vec<String>| (thread[16].clone(), thread[38].clone());
        let batch = (NICE.to_string(), libc::SCHED_BATCH.to_string());
        let thread = std::thread::spawn(move || {
            give_way().unwrap();
            let child = std::thread::spawn(stat).join().unwrap();
            [seen(stat()), seen(child)]
        });
        assert_eq!(thread.join().unwrap(), [batch.clone(), batch]);
        // Who has less already keeps it.
        let thread = std::thread::spawn(|| {
            set_niceness(15).unwrap();
            give_way().unwrap();
            stat().swap_remove(16)
        });
        assert_eq!(thread.join().unwrap(), "15");
    }
}
