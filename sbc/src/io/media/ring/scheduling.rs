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

fn done(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anyone_may_be_nicer_and_the_system_says_so() {
        // A thread of its own: nobody else's is changed.
        let thread = std::thread::spawn(|| {
            set_niceness(19).unwrap();
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            let (_, fields) = stat.rsplit_once(')').unwrap();
            fields.split_whitespace().nth(16).unwrap().to_owned()
        });
        assert_eq!(thread.join().unwrap(), "19");
    }
}
