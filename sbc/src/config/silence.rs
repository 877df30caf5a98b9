//! `media_timeout`: how long the media of an answered call may stop before the call ends.

use std::time::Duration;

use super::duration::{duration, shown_duration};
use super::model::{Config, NetworkId, PhoneId, TrunkId};
use super::reader::Section;
use super::values::{self, Expected};
use crate::config::error::Report;

/// What becomes of an answered call when no packet comes from one leg any more, RTP, RTCP or other media, while nobody is on hold.
///
/// Who is silent about it gets what loses no call that someone still uses: a phone that falls silent has vanished, as phones send
/// RTP or RTCP also while they are muted; a carrier or a PBX may have nothing to send for as long as its far side listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaTimeout {
    /// Nothing.
    Off,
    /// It ends when this leg has been silent for so long, whatever comes from the other.
    Alone(Duration),
    /// It ends when both legs have been silent for so long; not if the other leg is [`MediaTimeout::Off`].
    Together(Duration),
}

impl MediaTimeout {
    /// Of a phone whose section and network say nothing.
    pub const PHONE: MediaTimeout = MediaTimeout::Alone(Duration::from_secs(60));
    /// Of a trunk whose section and network say nothing.
    pub const TRUNK: MediaTimeout = MediaTimeout::Together(Duration::from_secs(60));

    /// When it ends a call, as `sbc check` has it.
    pub(super) fn shown(self) -> String {
        match self {
            MediaTimeout::Off => "never".to_owned(),
            MediaTimeout::Alone(limit) => format!("after {}", shown_duration(limit)),
            MediaTimeout::Together(limit) => {
                format!(
                    "after {}, if the other leg is silent too",
                    shown_duration(limit)
                )
            }
        }
    }
}

impl Config {
    /// What holds for a trunk's leg: its own, else its network's, else [`MediaTimeout::TRUNK`].
    #[must_use]
    pub fn trunk_media_timeout(&self, id: TrunkId) -> MediaTimeout {
        let trunk = self.trunk(id);
        trunk
            .media_timeout
            .or(self.network(trunk.network).media_timeout)
            .unwrap_or(MediaTimeout::TRUNK)
    }

    /// What holds for the leg of a phone on this network: its own, else the network's, else [`MediaTimeout::PHONE`].
    #[must_use]
    pub fn phone_media_timeout(&self, id: PhoneId, network: NetworkId) -> MediaTimeout {
        self.phone(id)
            .media_timeout
            .or(self.network(network).media_timeout)
            .unwrap_or(MediaTimeout::PHONE)
    }
}

/// The key of a network, a trunk or a phone; the inner `None` if it is not there.
pub(super) fn read(section: &Section<'_, '_>, report: &mut Report) -> Option<Option<MediaTimeout>> {
    if section.optional("media_timeout").is_none() {
        return Some(None);
    }
    let text = section.text("media_timeout", report)?;
    values::one(&text, report, parse).map(Some)
}

fn parse(text: &str) -> Result<MediaTimeout, Expected> {
    if matches!(text, "off" | "0" | "0s") {
        return Ok(MediaTimeout::Off);
    }
    duration(text)
        .map(MediaTimeout::Alone)
        .map_err(|_| Expected {
            expected:
                "`off`, or a whole number with its unit, s, m, h or d, from 1s to 365d, such as `60s`"
                    .to_owned(),
            help: text
                .parse::<u32>()
                .ok()
                .map(|seconds| format!("write `{seconds}s`")),
        })
}

#[cfg(test)]
mod tests {
    use super::super::NoSecrets;
    use super::*;

    fn config(network: &str, trunk: &str, phone: &str) -> Result<Config, String> {
        let text = format!(
            "[network.a]\naddress = [\"10.0.0.1\"]\n{network}\n[network.b]\naddress = [\"10.0.0.2\"]\n\
             [trunk.t]\nnetwork = \"a\"\nserver = \"sip:10.0.0.9\"\n{trunk}\n\
             [phone.6001]\npassword = \"x\"\n{phone}\n"
        );
        Config::parse(&text, "f", &NoSecrets).map_err(|errors| errors.to_string())
    }

    /// Of the trunk, of the phone on its network, of the phone on the other network.
    fn limits(network: &str, trunk: &str, phone: &str) -> [MediaTimeout; 3] {
        let config = config(network, trunk, phone).unwrap_or_else(|error| panic!("{error}"));
        let phone = PhoneId(0);
        [
            config.trunk_media_timeout(TrunkId(0)),
            config.phone_media_timeout(phone, NetworkId(0)),
            config.phone_media_timeout(phone, NetworkId(1)),
        ]
    }

    #[test]
    fn the_nearest_section_that_says_something_decides() {
        let alone = |seconds| MediaTimeout::Alone(Duration::from_secs(seconds));
        let key = |value: &str| format!("media_timeout = \"{value}\"");
        let (usual, off) = (
            [MediaTimeout::TRUNK, MediaTimeout::PHONE],
            MediaTimeout::Off,
        );
        assert_eq!(limits("", "", ""), [usual[0], usual[1], usual[1]]);
        let network = key("2m");
        assert_eq!(limits(&network, "", ""), [alone(120), alone(120), usual[1]]);
        assert_eq!(
            limits(&network, &key("off"), ""),
            [off, alone(120), usual[1]]
        );
        assert_eq!(
            limits(&network, &key("5s"), &key("0")),
            [alone(5), off, off]
        );
        assert_eq!(
            limits("", "", &key("1h")),
            [usual[0], alone(3600), alone(3600)]
        );
        assert_eq!(limits("", &key("0s"), ""), [off, usual[1], usual[1]]);
    }

    #[test]
    fn what_is_no_duration_is_told_what_one_looks_like() {
        let error = config("", "media_timeout = \"60\"", "").unwrap_err();
        assert!(
            error.contains(
                "media_timeout: found `60`, expected `off`, or a whole number with its unit"
            ),
            "{error}"
        );
        assert!(error.contains("write `60s`"), "{error}");
        let error = config("", "media_timeout = 60", "").unwrap_err();
        assert!(error.contains("expected a string"), "{error}");
        let error = config("", "", "media_timeout = \"never\"").unwrap_err();
        assert!(error.contains("found `never`"), "{error}");
        let error = config("media_timout = \"60s\"", "", "").unwrap_err();
        assert!(error.contains("did you mean `media_timeout`?"), "{error}");
    }

    #[test]
    fn it_is_shown_in_few_words() {
        let shown = [MediaTimeout::Off, MediaTimeout::PHONE, MediaTimeout::TRUNK];
        assert_eq!(
            shown.map(MediaTimeout::shown),
            [
                "never",
                "after 1m",
                "after 1m, if the other leg is silent too"
            ]
        );
    }
}
