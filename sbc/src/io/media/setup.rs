//! How many workers there are, where, what they are given before others, and whether they gather.
//!
//! A real-time worker that is at its limit takes all of its core: whoever else is there waits, the kernel's own threads among them. So it is
//! only had for cores that were named, and never for all that there are.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::ring::scheduling;
use super::window::WINDOW;
use crate::config::{MediaPriority, MediaWorkers};
use crate::io::flight::Recorder;

/// Ten times the share of others, and more, who want the same processor; these still have theirs.
const HIGH: i32 = -10;

/// What workers are started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// How many; one at least.
    pub count: usize,
    /// One on each of these instead; it does not leave it.
    pub cores: Vec<u16>,
    /// What they are given before others.
    pub priority: MediaPriority,
    /// Whether frames of G.722 are done together.
    pub gathering: Gathering,
    /// Where the last packets of each flow are kept.
    pub recorder: Option<Recorder>,
}

/// Whether a worker does frames of G.722 together, of several calls at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gathering {
    /// Each as it comes.
    Off,
    /// Those that have come, and it waits so long for more where there are many; [`super::MAX_WINDOW`] at most.
    For(Duration),
}

/// Why workers cannot be where the config wants them.
#[derive(Debug, thiserror::Error)]
pub enum Misplaced {
    /// There is no such core for us.
    #[error("media_cores: core {core} is none that this process may use; these are {there}")]
    NoSuchCore {
        /// As the config has it.
        core: u16,
        /// `0-3, 6`.
        there: String,
    },
    /// All of them, at real-time priority.
    #[error(
        "media_cores: real-time workers on all cores that this process may use ({there}) would leave none to signalling; \
         leave one out, or say media_priority = \"high\""
    )]
    NoneLeft {
        /// `0-3, 6`.
        there: String,
    },
    /// The system does not say which cores there are.
    #[error(
        "media_cores: cannot ask which processor cores there are: {0}; say media_cores = \"auto\""
    )]
    Unknown(io::Error),
}

/// How a worker works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seated {
    /// It does not leave this one.
    pub core: Option<u16>,
    /// What it was given.
    pub priority: MediaPriority,
    /// The error with which the system refused more.
    pub refused: Option<nix::errno::Errno>,
}

impl Setup {
    /// So many, as they usually work, with no priority.
    #[must_use]
    pub fn new(count: usize) -> Setup {
        Setup {
            count,
            cores: Vec::new(),
            priority: MediaPriority::Normal,
            gathering: Gathering::For(WINDOW),
            recorder: None,
        }
    }

    /// As the config says; so many where it does not.
    #[must_use]
    pub fn of(config: &MediaWorkers, count: usize) -> Setup {
        Setup {
            count: match config.cores.len() {
                0 => count,
                cores => cores,
            },
            cores: config.cores.clone(),
            priority: config.priority,
            gathering: Gathering::For(config.gather),
            recorder: None,
        }
    }

    /// Seats the calling thread as the worker of that number.
    ///
    /// # Errors
    /// The core is not there any more. That a priority is refused is none: [`Seated`] says so.
    pub(super) fn seat(&self, number: usize) -> io::Result<Seated> {
        let core = self.cores.get(number).copied();
        if let Some(core) = core {
            let mut set = CpuSet::new();
            set.set(core.into())?;
            sched_setaffinity(Pid::from_raw(0), &set)?;
        }
        let asked = match self.priority {
            MediaPriority::Normal => Ok(()),
            MediaPriority::High => scheduling::set_niceness(HIGH),
            MediaPriority::RealTime => scheduling::be_real_time(),
        };
        let errno = |error: io::Error| {
            error
                .raw_os_error()
                .map_or(nix::errno::Errno::UnknownErrno, nix::errno::Errno::from_raw)
        };
        let refused = asked.err().map(errno);
        let priority = match refused {
            None => self.priority,
            Some(_) => MediaPriority::Normal,
        };
        Ok(Seated {
            core,
            priority,
            refused,
        })
    }
}

/// Whether there are the cores that the config names.
///
/// # Errors
/// [`Misplaced`].
pub fn fits(config: &MediaWorkers) -> Result<(), Misplaced> {
    if config.cores.is_empty() {
        return Ok(());
    }
    place(config, &cores().map_err(Misplaced::Unknown)?)
}

fn place(config: &MediaWorkers, there: &BTreeSet<u16>) -> Result<(), Misplaced> {
    let shown = || shown(there);
    if let Some(&core) = config.cores.iter().find(|core| !there.contains(core)) {
        return Err(Misplaced::NoSuchCore {
            core,
            there: shown(),
        });
    }
    let is_real_time = config.priority == MediaPriority::RealTime;
    if is_real_time && there.iter().all(|core| config.cores.contains(core)) {
        return Err(Misplaced::NoneLeft { there: shown() });
    }
    Ok(())
}

/// Those that this process may use.
fn cores() -> io::Result<BTreeSet<u16>> {
    let set = sched_getaffinity(Pid::from_raw(0))?;
    let all = (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false));
    Ok(all.filter_map(|core| u16::try_from(core).ok()).collect())
}

/// `0-3, 6`.
fn shown(cores: &BTreeSet<u16>) -> String {
    let mut parts: Vec<(u16, u16)> = Vec::new();
    for &core in cores {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == core => *last = core,
            _ => parts.push((core, core)),
        }
    }
    let parts = parts.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(cores: &[u16], priority: MediaPriority) -> MediaWorkers {
        MediaWorkers {
            cores: cores.to_vec(),
            priority,
            ..MediaWorkers::default()
        }
    }

    #[test]
    fn cores_are_there_or_it_says_which_are() {
        let there = BTreeSet::from([0, 1, 2, 5]);
        let high = |cores: &[u16]| place(&wanted(cores, MediaPriority::High), &there);
        assert!(high(&[5, 0, 1, 2]).is_ok());
        assert_eq!(
            high(&[1, 4]).unwrap_err().to_string(),
            "media_cores: core 4 is none that this process may use; these are 0-2, 5"
        );
    }

    #[test]
    fn real_time_workers_leave_a_core_to_signalling() {
        let there = BTreeSet::from([0, 1]);
        let real_time = |cores: &[u16]| place(&wanted(cores, MediaPriority::RealTime), &there);
        assert!(real_time(&[1]).is_ok());
        let error = real_time(&[1, 0]).unwrap_err().to_string();
        assert!(
            error.contains("(0-1) would leave none to signalling"),
            "{error}"
        );
        let alone = place(&wanted(&[0], MediaPriority::RealTime), &BTreeSet::from([0]));
        assert!(matches!(alone, Err(Misplaced::NoneLeft { .. })));
    }

    #[test]
    fn a_worker_stays_on_its_core() {
        let core = *cores().unwrap().last().unwrap();
        let setup = Setup {
            cores: vec![core],
            ..Setup::new(1)
        };
        let seated = std::thread::spawn(move || (setup.seat(0).unwrap(), cores().unwrap()));
        let (seated, may_use) = seated.join().unwrap();
        let expected = Seated {
            core: Some(core),
            priority: MediaPriority::Normal,
            refused: None,
        };
        assert_eq!((seated, may_use), (expected, BTreeSet::from([core])));
    }

    #[test]
    fn a_core_that_is_not_there_is_an_error() {
        let none = (0..).find(|core| !cores().unwrap().contains(core)).unwrap();
        assert!(fits(&wanted(&[none], MediaPriority::High)).is_err());
        assert!(fits(&wanted(&[], MediaPriority::High)).is_ok());
    }

    #[test]
    fn what_is_refused_is_said_and_the_worker_works() {
        let setup = Setup {
            priority: MediaPriority::RealTime,
            ..Setup::new(1)
        };
        let seated = std::thread::spawn(move || setup.seat(0).unwrap())
            .join()
            .unwrap();
        // Which of them depends on who runs this.
        match seated.refused {
            None => assert_eq!(seated.priority, MediaPriority::RealTime),
            Some(error) => {
                assert_eq!(error, nix::errno::Errno::EPERM);
                assert_eq!(seated.priority, MediaPriority::Normal);
            }
        }
    }
}
