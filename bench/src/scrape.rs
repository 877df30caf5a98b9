//! What it takes to look at a daemon that holds many calls (metrics, status, the lists of calls and flows), and what its traffic has of that: calls that begin,
//! and media that goes through user space, both with somebody who looks and without, in turn.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sbc_tests::e2e::Namespace;

use crate::agent::{Agent, Calls};
use crate::between::{self, BY_USER_SPACE};
use crate::media_lab::MediaLab;
use crate::talk::{self, Talk};
use crate::traffic::Ends;

/// Where the lab's daemon is asked.
const ADMIN: ([u8; 4], u16) = ([127, 0, 0, 1], 9960);
/// Calls through user space whose media is timed, how many packets a second they have together, and new calls a second.
const TALKING: Calls = Calls {
    count: 50,
    rate: 100,
};
const PACKETS: u32 = 5_000;
const NEW: u32 = 100;
/// One turn, and how often one looks in it.
const TURN: Duration = Duration::from_secs(1);
const LOOKS: u32 = 10;
const TURNS: usize = 6;

/// What is looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Its path.
    pub path: &'static str,
    /// How long it took from the connection to the last byte, the least first.
    pub taken: Vec<Duration>,
    /// Bytes of the last one, headers and all.
    pub bytes: usize,
    /// What traffic had while nobody looked.
    pub quiet: Traffic,
    /// And while somebody did.
    pub watched: Traffic,
}

/// What became of traffic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traffic {
    /// From an INVITE to its 200, the least first.
    pub setups: Vec<Duration>,
    /// How long packets of RTP took, in seconds, the least first.
    pub packets: Vec<f64>,
    /// Packets of RTP that did not come.
    pub lost: u64,
}

impl Page {
    /// The time within which so many per cent came.
    #[must_use]
    pub fn within(&self, percent: usize) -> Duration {
        at(&self.taken, percent)
    }
}

impl Traffic {
    /// From an INVITE to its 200: so many per cent took no longer, in seconds.
    #[must_use]
    pub fn setup(&self, percent: usize) -> f64 {
        at(&self.setups, percent).as_secs_f64()
    }

    /// A packet of RTP, the same.
    #[must_use]
    pub fn packet(&self, percent: usize) -> f64 {
        at(&self.packets, percent)
    }

    fn add(&mut self, setups: Vec<Duration>, talk: Talk) {
        self.lost += talk.lost();
        self.setups.extend(setups);
        self.setups.sort_unstable();
        self.packets.extend(talk.taken);
        self.packets.sort_unstable_by(f64::total_cmp);
    }
}

/// Looks at each of these while so many calls are held.
///
/// # Errors
/// The daemon cannot be started, refuses a call or does not answer.
pub fn measure(lab: &MediaLab, held: Calls, paths: &[&'static str]) -> Result<Vec<Page>> {
    let at_work = between::beside_user_space(lab)?;
    let mut agent = Agent::new(lab, at_work.to)?;
    agent.hold(held)?;
    agent.dial(Some(BY_USER_SPACE));
    agent.hold(TALKING)?;
    let targets = agent.media()?;
    agent.dial(None);
    let mut ends = lab.ends()?;
    ends.stream(&targets, PACKETS, TURN)?;
    let daemon = at_work.daemon()?;
    let metrics = daemon.scrape()?;
    let up = metrics.sum("sbc_calls", &[]);
    let all = f64::from(held.count + TALKING.count);
    ensure!(up == all, "{up} of {all} calls are up");
    let there = metrics.sum("sbc_flows", &[("network", "plain"), ("path", "user")]);
    ensure!(there > 0.0, "no call goes through user space");
    let mut pages = Vec::new();
    for &path in paths {
        let mut page = Page {
            path,
            taken: Vec::new(),
            bytes: 0,
            quiet: Traffic::default(),
            watched: Traffic::default(),
        };
        for _ in 0..TURNS {
            for is_watched in [false, true] {
                let looking = || match is_watched {
                    true => look(&lab.lab.edge, path),
                    false => Ok((Vec::new(), 0)),
                };
                let ((taken, bytes), setups, talk) =
                    turn(&mut agent, &mut ends, &targets, looking)?;
                page.taken.extend(taken);
                page.bytes = page.bytes.max(bytes);
                let traffic = match is_watched {
                    true => &mut page.watched,
                    false => &mut page.quiet,
                };
                traffic.add(setups, talk);
            }
        }
        page.taken.sort_unstable();
        pages.push(page);
    }
    Ok(pages)
}

/// Traffic for one turn, and somebody who looks meanwhile.
fn turn<T: Send>(
    agent: &mut Agent,
    ends: &mut Ends,
    targets: &[Vec<SocketAddr>; 2],
    looking: impl FnOnce() -> Result<T> + Send,
) -> Result<(T, Vec<Duration>, Talk)> {
    std::thread::scope(|scope| {
        let looks = scope.spawn(looking);
        let media = scope.spawn(|| talk::talk(ends, targets, PACKETS, TURN));
        let setups = agent.call(Calls {
            count: NEW * TURN.as_secs() as u32,
            rate: NEW,
        });
        let failed = "a thread has failed";
        let talk = media.join().ok().context(failed)??;
        let seen = looks.join().ok().context(failed)??;
        Ok((seen, setups?, talk))
    })
}

fn look(edge: &Namespace, path: &str) -> Result<(Vec<Duration>, usize)> {
    edge.enter(|| {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        let began = Instant::now();
        for number in 0..LOOKS {
            let due = began + TURN * number / LOOKS;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let asked = Instant::now();
            bytes = fetch(path)?;
            taken.push(asked.elapsed());
        }
        Ok((taken, bytes))
    })?
}

/// HTTP/1.0, so that the answer ends with the connection. Comes back: its bytes.
fn fetch(path: &str) -> Result<usize> {
    let admin = SocketAddr::from(ADMIN);
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {admin}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let is_good = answer
        .split(|&byte| byte == b'\r')
        .next()
        .is_some_and(|first| first.ends_with(b" 200 OK"));
    ensure!(
        is_good,
        "{path}: {}",
        String::from_utf8_lossy(&answer[..answer.len().min(200)])
    );
    Ok(answer.len())
}

/// Of what is in order: so many per cent are no more than this.
fn at<T: Copy + Default>(ordered: &[T], percent: usize) -> T {
    let last = ordered.len().saturating_sub(1);
    let place = (ordered.len() * percent / 100).min(last);
    ordered.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_up_is_in_order() {
        assert_eq!(at(&[1, 2, 3, 4], 50), 3);
        assert_eq!(at(&[1, 2, 3, 4], 99), 4);
        assert_eq!(at(&[1, 2, 3, 4], 100), 4);
        assert_eq!(at::<u8>(&[], 99), 0);
    }

    #[test]
    fn traffic_of_several_turns_is_one() {
        let ms = Duration::from_millis;
        let mut traffic = Traffic::default();
        for (setup, packet) in [(7, 0.3), (5, 0.1)] {
            let talk = Talk {
                sent: 2,
                received: 1,
                taken: vec![packet],
                behind: 0.0,
            };
            traffic.add(vec![ms(setup)], talk);
        }
        assert_eq!(traffic.setups, [ms(5), ms(7)]);
        assert_eq!((traffic.packet(0), traffic.packet(100)), (0.1, 0.3));
        assert_eq!(traffic.lost, 2);
    }
}
