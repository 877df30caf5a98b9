//! What this process may do.

use std::fs;

/// What the kernel path needs, by its bit in a capability set.
const NEEDED: [(u32, &str); 2] = [(12, "CAP_NET_ADMIN"), (39, "CAP_BPF")];
/// Lets the verifier show the program its pointers, and leave out what guards against speculation.
const PERFMON: u32 = 38;
/// Stands for CAP_BPF and CAP_PERFMON.
const SYS_ADMIN: u32 = 21;

/// The capabilities that are needed and not there; none where the kernel does not say what is there.
pub(super) fn missing() -> Vec<&'static str> {
    here().map_or_else(Vec::new, lacking)
}

/// Whether the verifier shows our programs their pointers; no, where the kernel does not say what we may.
pub(super) fn may_see_pointers() -> bool {
    here().is_some_and(sees_pointers)
}

fn here() -> Option<u64> {
    // Of this thread: what it loads is judged by these.
    effective(&fs::read_to_string("/proc/thread-self/status").unwrap_or_default())
}

fn sees_pointers(set: u64) -> bool {
    set & (1 << PERFMON | 1 << SYS_ADMIN) != 0
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
        assert_eq!(lacking(0), ["CAP_NET_ADMIN", "CAP_BPF"]);
        assert_eq!(lacking(1 << 12 | 1 << 39), [""; 0]);
        assert_eq!(lacking(1 << 12 | 1 << PERFMON), ["CAP_BPF"]);
        assert_eq!(lacking(1 << SYS_ADMIN), ["CAP_NET_ADMIN"]);
        assert_eq!(lacking(1 << SYS_ADMIN | 1 << 12), [""; 0]);
    }

    #[test]
    fn pointers_are_for_two_capabilities() {
        assert!(!sees_pointers(1 << 12 | 1 << 39));
        assert!(sees_pointers(1 << PERFMON));
        assert!(sees_pointers(1 << SYS_ADMIN));
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
