//! What this process may do.

use std::fs;

/// What the kernel path needs, by its bit in a capability set. CAP_PERFMON because the program walks packets at offsets that it has read,
/// which the verifier allows to nobody else.
const NEEDED: [(u32, &str); 3] = [(12, "CAP_NET_ADMIN"), (39, "CAP_BPF"), (38, "CAP_PERFMON")];
/// Stands for the latter two.
const SYS_ADMIN: u32 = 21;

/// The capabilities that are needed and not there; none where the kernel does not say what is there.
pub(super) fn missing() -> Vec<&'static str> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    effective(&status).map_or_else(Vec::new, lacking)
}

fn effective(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn lacking(set: u64) -> Vec<&'static str> {
    let has = |bit: u32| set >> bit & 1 == 1;
    NEEDED
        .into_iter()
        .filter(|&(bit, _)| !(has(bit) || bit > SYS_ADMIN && has(SYS_ADMIN)))
        .map(|(_, name)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let all = 1 << 12 | 1 << 38 | 1 << 39;
        assert_eq!(lacking(0), ["CAP_NET_ADMIN", "CAP_BPF", "CAP_PERFMON"]);
        assert_eq!(lacking(all), [""; 0]);
        assert_eq!(lacking(1 << 12 | 1 << 39), ["CAP_PERFMON"]);
        assert_eq!(lacking(1 << SYS_ADMIN), ["CAP_NET_ADMIN"]);
        assert_eq!(lacking(1 << SYS_ADMIN | 1 << 12), [""; 0]);
    }

    #[test]
    fn the_effective_set_is_read() {
        assert_eq!(
            effective("CapPrm:\t00\nCapEff:\t000001ffffffffff\n"),
            Some(0x1ff_ffff_ffff)
        );
        assert_eq!(effective(""), None);
    }
}
