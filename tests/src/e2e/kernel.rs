//! What the kernel itself has counted: no word of the box is taken for it.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, Result};
use aya::sys::{Stats, enable_stats};

const BPF_STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// UDP counters of one namespace over both families, from `/proc/net/snmp` and `/proc/net/snmp6`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Udp {
    /// Datagrams that reached a socket.
    pub in_datagrams: u64,
    /// Datagrams to a port that nobody listens on.
    pub no_ports: u64,
    /// Datagrams that were sent.
    pub out_datagrams: u64,
}

impl Udp {
    /// Of the namespace of the calling thread.
    ///
    /// # Errors
    /// The file is not there or not as expected.
    pub fn here() -> Result<Udp> {
        let path = "/proc/thread-self/net/snmp";
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
        let v4 = Udp::parse(&text).with_context(|| format!("{path} has no counters of UDP"))?;
        // A kernel without IPv6 has no such file.
        let text = std::fs::read_to_string("/proc/thread-self/net/snmp6").unwrap_or_default();
        let v6 = Udp::parse6(&text).unwrap_or_default();
        Ok(Udp {
            in_datagrams: v4.in_datagrams + v6.in_datagrams,
            no_ports: v4.no_ports + v6.no_ports,
            out_datagrams: v4.out_datagrams + v6.out_datagrams,
        })
    }

    fn parse6(text: &str) -> Option<Udp> {
        let field = |name: &str| {
            let mut lines = text.lines().map(str::split_whitespace);
            let mut line = lines.find(|line| line.clone().next() == Some(name))?;
            line.nth(1)?.parse().ok()
        };
        Some(Udp {
            in_datagrams: field("Udp6InDatagrams")?,
            no_ports: field("Udp6NoPorts")?,
            out_datagrams: field("Udp6OutDatagrams")?,
        })
    }

    fn parse(text: &str) -> Option<Udp> {
        let mut rows = text
            .lines()
            .filter_map(|line| line.strip_prefix("Udp: "))
            .map(str::split_whitespace);
        let (names, values) = (rows.next()?, rows.next()?);
        let fields: BTreeMap<&str, u64> = names
            .zip(values)
            .filter_map(|(name, value)| Some((name, value.parse().ok()?)))
            .collect();
        Some(Udp {
            in_datagrams: *fields.get("InDatagrams")?,
            no_ports: *fields.get("NoPorts")?,
            out_datagrams: *fields.get("OutDatagrams")?,
        })
    }
}

/// How often the BPF programs that a process holds have run; 0 if it holds none.
///
/// Counts only while `kernel.bpf_stats_enabled` is 1, as it is in a [`super::Lab`].
///
/// # Errors
/// The process is gone.
pub fn bpf_run_count(pid: u32) -> Result<u64> {
    let dir = format!("/proc/{pid}/fdinfo");
    let mut programs = BTreeMap::new();
    for entry in std::fs::read_dir(&dir).with_context(|| format!("cannot read {dir}"))? {
        // A descriptor that is closed meanwhile is none of ours.
        let Ok(text) = std::fs::read_to_string(entry?.path()) else {
            continue;
        };
        if let Some((id, count)) = program_of(&text) {
            programs.insert(id, count);
        }
    }
    Ok(programs.values().sum())
}

/// Program id and run count, if a descriptor is a BPF program's.
fn program_of(fdinfo: &str) -> Option<(u64, u64)> {
    let field = |name: &str| {
        fdinfo
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
    };
    Some((field("prog_id:")?, field("run_cnt:")?))
}

/// Resident memory of a process, in bytes.
///
/// # Errors
/// The process is gone.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    text.lines()
        .find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .trim()
                .strip_suffix(" kB")?
                .parse::<u64>()
                .ok()
        })
        .map(|kib| kib * 1024)
        .with_context(|| format!("{path} has no VmRSS"))
}

/// Processor time of a process so far, user and system, to 10 ms.
///
/// # Errors
/// The process is gone.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    ticks(&text)
        .map(|ticks| Duration::from_millis(ticks * 10))
        .with_context(|| format!("{path} is not as proc(5) says"))
}

/// utime and stime, fields 14 and 15; the second field may hold anything, a closing bracket ends it.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Run counts of BPF programs are kept while this lives, whoever else wants them or not: it costs each run some 40 ns.
#[derive(Debug)]
pub struct BpfStats {
    _kept: OwnedFd,
}

impl BpfStats {
    /// They are.
    ///
    /// # Errors
    /// Not root.
    pub fn on() -> Result<BpfStats> {
        let kept = enable_stats(Stats::RunTime).context("cannot have BPF programs counted")?;
        Ok(BpfStats { _kept: kept })
    }
}

/// Nobody who died has left the system counting runs of BPF programs, while this lives.
#[derive(Debug)]
pub struct NoBpfStats {
    before: String,
}

impl NoBpfStats {
    /// Switches it off for the system.
    ///
    /// # Errors
    /// Not root.
    pub fn new() -> Result<NoBpfStats> {
        let before = std::fs::read_to_string(BPF_STATS).unwrap_or_default();
        if !before.is_empty() {
            std::fs::write(BPF_STATS, "0").with_context(|| format!("cannot write {BPF_STATS}"))?;
        }
        Ok(NoBpfStats { before })
    }
}

impl Drop for NoBpfStats {
    fn drop(&mut self) {
        if !self.before.is_empty() {
            let _ = std::fs::write(BPF_STATS, self.before.trim());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn udp_counters_are_read_by_name() {
        let text = "Tcp: A B\nTcp: 1 2\nUdp: InDatagrams NoPorts InErrors OutDatagrams\nUdp: 10 20 30 40\n\
                    UdpLite: InDatagrams\nUdpLite: 7\n";
        let expected = Udp {
            in_datagrams: 10,
            no_ports: 20,
            out_datagrams: 40,
        };
        assert_eq!(Udp::parse(text), Some(expected));
        assert_eq!(Udp::parse("Tcp: A\nTcp: 1\n"), None);
        let text = "Ip6InReceives\t99\nUdp6InDatagrams  \t10\nUdp6NoPorts 20\nUdp6InErrors 7\nUdp6OutDatagrams 40\n";
        assert_eq!(Udp::parse6(text), Some(expected));
        assert_eq!(Udp::parse6("Ip6InReceives 1\n"), None);
    }

    #[test]
    fn only_a_program_has_a_run_count() {
        let program = "pos:\t0\nprog_type:\t6\nprog_id:\t17\nrun_time_ns:\t99\nrun_cnt:\t1002\n";
        assert_eq!(program_of(program), Some((17, 1002)));
        assert_eq!(program_of("pos:\t0\nlink_type:\txdp\nprog_id:\t17\n"), None);
    }

    #[test]
    fn processor_time_survives_an_odd_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0";
        assert_eq!(ticks(stat), Some(300));
    }
}
