//! Where packets were lost on their way through the lab: at which device, or for want of room in which host's sockets.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use sbc_tests::e2e::Namespace;

use crate::media_lab::MediaLab;

/// What has been dropped so far, by place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drops(BTreeMap<String, u64>);

impl Drops {
    /// By now.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn so_far(lab: &MediaLab) -> Result<Drops> {
        let hosts = [
            ("phone", &lab.lab.phone),
            ("edge", &lab.lab.edge),
            ("carrier", &lab.lab.carrier),
        ];
        let mut drops = Drops::default();
        for (host, namespace) in hosts {
            drops.read(host, namespace)?;
        }
        Ok(drops)
    }

    /// What was dropped since, in words.
    #[must_use]
    pub fn since(&self, before: &Drops) -> String {
        let grown = self.0.iter().filter_map(|(place, count)| {
            let before = before.0.get(place).copied().unwrap_or(0);
            let dropped = count.saturating_sub(before);
            (dropped > 0).then(|| format!("{dropped} {place}"))
        });
        let grown: Vec<_> = grown.collect();
        match grown.is_empty() {
            true => "nowhere that the kernel counts".to_owned(),
            false => grown.join(", "),
        }
    }

    fn read(&mut self, host: &str, namespace: &Namespace) -> Result<()> {
        let (devices, udp) = namespace.enter(|| {
            let read = |file| std::fs::read_to_string(format!("/proc/thread-self/net/{file}"));
            Ok::<_, std::io::Error>((read("dev")?, read("snmp")?))
        })??;
        for (device, received, sent) in devices.lines().filter_map(device) {
            self.0
                .insert(format!("received by {host}'s {device}"), received);
            self.0.insert(format!("sent by {host}'s {device}"), sent);
        }
        let full = full_sockets(&udp).context("/proc/net/snmp has no RcvbufErrors of Udp")?;
        self.0.insert(format!("at {host}'s full sockets"), full);
        Ok(())
    }
}

/// Its name, and what it has dropped of what it received and of what it was to send.
fn device(line: &str) -> Option<(&str, u64, u64)> {
    let (name, figures) = line.split_once(':')?;
    let figures: Vec<u64> = figures
        .split_whitespace()
        .map_while(|figure| figure.parse().ok())
        .collect();
    Some((name.trim(), *figures.get(3)?, *figures.get(11)?))
}

fn full_sockets(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let place = lines
        .next()?
        .split_whitespace()
        .position(|title| title == "RcvbufErrors")?;
    lines.next()?.split_whitespace().nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_counts_is_read() {
        let line = "  left: 100 2 0 7 0 0 0 0 200 4 0 9 0 0 0 0";
        assert_eq!(device(line), Some(("left", 7, 9)));
        assert_eq!(device("Inter-|   Receive  |  Transmit"), None);
        let snmp = "Tcp: A B\nTcp: 1 2\nUdp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors\nUdp: 5 6 7 8 9 10\n";
        assert_eq!(full_sockets(snmp), Some(9));
    }

    #[test]
    fn only_what_has_grown_is_told() {
        let of = |pairs: &[(&str, u64)]| {
            Drops(
                pairs
                    .iter()
                    .map(|(place, n)| ((*place).to_owned(), *n))
                    .collect(),
            )
        };
        let before = of(&[("here", 3), ("there", 4)]);
        assert_eq!(of(&[("here", 3), ("there", 9)]).since(&before), "5 there");
        assert_eq!(before.since(&before), "nowhere that the kernel counts");
    }
}
