//! The system's own ports, which media must not share.

use std::ops::RangeInclusive;

use super::check::range;
use super::model::Config;

/// A network's media ports are among those that the system gives to anybody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "network `{network}`: media_ports {media} overlaps the system's own port range {ephemeral}, whose sockets would lose \
     their packets; end media_ports at {last} or below, or reserve it: sysctl -w net.ipv4.ip_local_reserved_ports={media}",
    media = range(media), ephemeral = range(ephemeral), last = ephemeral.start().saturating_sub(1)
)]
pub struct EphemeralOverlap {
    /// The network.
    pub network: String,
    /// Its media ports.
    pub media: RangeInclusive<u16>,
    /// What the system takes its ports from.
    pub ephemeral: RangeInclusive<u16>,
}

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
    for network in &config.networks {
        let media = &network.media_ports;
        let low = *media.start().max(ephemeral.start());
        let high = *media.end().min(ephemeral.end());
        let free = |port: u16| !reserved.iter().any(|range| range.contains(&port));
        if (low..=high).any(free) {
            return Err(EphemeralOverlap {
                network: network.name.clone(),
                media: media.clone(),
                ephemeral,
            });
        }
    }
    Ok(())
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

    #[test]
    fn the_system_s_ports_are_not_for_media() {
        let text = "[network.a]\naddress = \"127.0.0.1\"\nmedia_ports = \"20000-40000\"";
        let config = Config::parse(text, "test.toml", &NoSecrets).unwrap();
        assert_eq!(check_ephemeral(&config, 40000..=60999, &[]), Ok(()));
        let error = check_ephemeral(&config, 32768..=60999, &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "network `a`: media_ports 20000-39999 overlaps the system's own port range 32768-60999, whose sockets would \
             lose their packets; end media_ports at 32767 or below, or reserve it: sysctl -w \
             net.ipv4.ip_local_reserved_ports=20000-39999"
        );
        let reserved = port_ranges("8080,20000-39999\n").unwrap();
        assert_eq!(check_ephemeral(&config, 32768..=60999, &reserved), Ok(()));
        let reserved = port_ranges("20000-39998").unwrap();
        assert!(check_ephemeral(&config, 32768..=60999, &reserved).is_err());
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
