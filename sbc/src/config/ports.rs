//! The system's own ports, which media must not share.

use std::ops::RangeInclusive;

use super::check::range;
use super::model::Config;

/// A network's media ports are among those that the system gives to anybody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "network `{network}`: media_ports {media} overlaps the system's own port range {ephemeral} (net.ipv4.ip_local_port_range), \
     whose sockets would lose their packets{now}; {change}have the system keep its hands off them: \
     sysctl -w net.ipv4.ip_local_reserved_ports={reserve} (a line in /etc/sysctl.d/ for the next boot)",
    media = range(media), ephemeral = range(ephemeral), now = self.now(), change = self.change()
)]
pub struct EphemeralOverlap {
    /// The network.
    pub network: String,
    /// Its media ports.
    pub media: RangeInclusive<u16>,
    /// What the system takes its ports from.
    pub ephemeral: RangeInclusive<u16>,
    /// What it leaves alone, as it writes it; empty if nothing.
    pub reserved: String,
    /// What it should leave alone: that, and all media ports that need it.
    pub reserve: String,
}

impl EphemeralOverlap {
    fn now(&self) -> String {
        match self.reserved.as_str() {
            "" => String::new(),
            reserved => {
                format!(": net.ipv4.ip_local_reserved_ports is {reserved} and does not hold all")
            }
        }
    }

    /// Ports as many as there are now if they fit below the system's, else those that do.
    fn change(&self) -> String {
        let (start, end) = (*self.media.start(), *self.media.end());
        // An odd port is the last of a pair.
        let last = self.ephemeral.start().saturating_sub(1);
        let last = if last.is_multiple_of(2) {
            last.saturating_sub(1)
        } else {
            last
        };
        let first = match start < last {
            true => start,
            false => last.saturating_sub(end - start) & !1,
        };
        if first >= UNPRIVILEGED && first < last {
            let fits = range(&(first..=last));
            let network = &self.network;
            return format!("set media_ports = \"{fits}\" in [network.{network}], or ");
        }
        // Nothing is left below the system's: they may begin where they usually do.
        match end < USUAL {
            true => format!(
                "have the system take its ports from above: sysctl -w net.ipv4.ip_local_port_range=\"{USUAL} 60999\", or "
            ),
            false => String::new(),
        }
    }
}

/// Where the system's port range begins unless somebody has changed that.
const USUAL: u16 = 32768;

/// Ports below are for services of the system.
const UNPRIVILEGED: u16 = 1024;

/// Checks that no media port is one that the system may give to another socket: `ephemeral` is
/// `net.ipv4.ip_local_port_range`, `reserved` is `net.ipv4.ip_local_reserved_ports` ([`port_ranges`] reads both).
///
/// # Errors
/// The first network that overlaps, and what to change.
pub fn check_ephemeral(
    config: &Config,
    ephemeral: RangeInclusive<u16>,
    reserved: &[RangeInclusive<u16>],
) -> Result<(), EphemeralOverlap> {
    let is_given_away = |media: &RangeInclusive<u16>| {
        let low = *media.start().max(ephemeral.start());
        let high = *media.end().min(ephemeral.end());
        let is_free = |port: u16| !reserved.iter().any(|range| range.contains(&port));
        (low..=high).any(is_free)
    };
    let all = config.networks.iter();
    let mut given_away = all.filter(|network| is_given_away(&network.media_ports));
    let Some(first) = given_away.next() else {
        return Ok(());
    };
    // Setting it replaces what is there: all in one.
    let mut reserve = reserved.to_vec();
    reserve.push(first.media_ports.clone());
    reserve.extend(given_away.map(|network| network.media_ports.clone()));
    Err(EphemeralOverlap {
        network: first.name.clone(),
        media: first.media_ports.clone(),
        ephemeral,
        reserved: written(reserved.to_vec()),
        reserve: written(reserve),
    })
}

/// As the system writes ports: in order, without overlaps, a comma in between.
fn written(mut ranges: Vec<RangeInclusive<u16>>) -> String {
    ranges.sort_unstable_by_key(|range| *range.start());
    let mut merged: Vec<RangeInclusive<u16>> = Vec::new();
    for next in ranges {
        match merged.last_mut() {
            Some(last) if *next.start() <= last.end().saturating_add(1) => {
                *last = *last.start()..=*last.end().max(next.end());
            }
            _ => merged.push(next),
        }
    }
    let each = merged.iter().map(|one| match one.start() == one.end() {
        true => one.start().to_string(),
        false => range(one),
    });
    each.collect::<Vec<_>>().join(",")
}

/// Reads ports as the system writes them: `32768 60999` is one range, `8080,20000-29999` are two. `None` if it is neither.
#[must_use]
pub fn port_ranges(text: &str) -> Option<Vec<RangeInclusive<u16>>> {
    let text = text.trim();
    if let Some((low, high)) = text.split_once(char::is_whitespace) {
        return Some(vec![low.parse().ok()?..=high.trim().parse().ok()?]);
    }
    text.split(',')
        .filter(|item| !item.is_empty())
        .map(|item| {
            let (low, high) = item.split_once('-').unwrap_or((item, item));
            Some(low.parse().ok()?..=high.parse().ok()?)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::NoSecrets;
    use super::*;

    fn told(media_ports: &[&str], ephemeral: RangeInclusive<u16>, reserved: &str) -> String {
        let networks = ["a", "b"].into_iter().zip(media_ports).map(|(name, ports)| {
            format!("[network.{name}]\naddress = \"127.0.0.1\"\nsip = [\"udp:50{ports:.2}\"]\nmedia_ports = \"{ports}\"\n")
        });
        let text: String = networks.collect();
        let config = Config::parse(&text, "test.toml", &NoSecrets).unwrap();
        match check_ephemeral(&config, ephemeral, &port_ranges(reserved).unwrap()) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_system_s_ports_are_not_for_media() {
        assert_eq!(told(&["20000-40000"], 40000..=60999, ""), "");
        assert_eq!(
            told(&["20000-40000"], 32768..=60999, ""),
            "network `a`: media_ports 20000-39999 overlaps the system's own port range 32768-60999 \
             (net.ipv4.ip_local_port_range), whose sockets would lose their packets; set media_ports = \"20000-32767\" in \
             [network.a], or have the system keep its hands off them: sysctl -w \
             net.ipv4.ip_local_reserved_ports=20000-39999 (a line in /etc/sysctl.d/ for the next boot)"
        );
        assert_eq!(
            told(&["20000-40000"], 32768..=60999, "8080,20000-39999"),
            ""
        );
    }

    #[test]
    fn what_is_reserved_already_stays_so() {
        let told = told(
            &["20000-39999", "40000-49999"],
            32768..=60999,
            "8080,20000-39998",
        );
        for part in [
            "whose sockets would lose their packets: net.ipv4.ip_local_reserved_ports is 8080,20000-39998 and does not hold all;",
            "sysctl -w net.ipv4.ip_local_reserved_ports=8080,20000-49999 (",
        ] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn ports_that_do_fit_are_named() {
        let within = told(&["40000-49999"], 32768..=60999, "");
        assert!(
            within.contains("; set media_ports = \"22768-32767\" in [network.a], or"),
            "{within}"
        );
        let nowhere = told(&["20000-29999"], 1024..=65535, "");
        let remedy = "packets; have the system take its ports from above: sysctl -w net.ipv4.ip_local_port_range=\"32768 60999\", or have";
        assert!(nowhere.contains(remedy), "{nowhere}");
        let nowhere = told(&["40000-49999"], 1024..=65535, "");
        assert!(
            nowhere.contains("packets; have the system keep"),
            "{nowhere}"
        );
        let odd = told(&["20000-39999"], 32769..=60999, "");
        assert!(odd.contains("media_ports = \"20000-32767\""), "{odd}");
    }

    #[test]
    fn ranges_as_the_system_writes_them() {
        assert_eq!(port_ranges("32768\t60999\n"), Some(vec![32768..=60999]));
        assert_eq!(port_ranges("\n"), Some(vec![]));
        assert_eq!(port_ranges("1,3-5"), Some(vec![1..=1, 3..=5]));
        assert_eq!(port_ranges("1,x"), None);
        assert_eq!(port_ranges("70000"), None);
    }
}
