//! `dtmf = "rtp"` of a trunk or a phone: in which form it sends the keys that are pressed there, and gets those of the other side.

use super::error::{Report, nearest};
use super::model::Config;
use super::reader::{Section, alternatives};
use super::values::{self, Expected};

/// How the keys of a telephone travel on one side of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dtmf {
    /// As telephone-events beside the audio (RFC 4733); as tones in it where that side's SDP has none.
    #[default]
    Rtp,
    /// As SIP INFO in the dialog.
    Info,
    /// As tones in the audio.
    Inband,
}

impl Dtmf {
    /// All of them.
    pub const ALL: [Dtmf; 3] = [Dtmf::Rtp, Dtmf::Info, Dtmf::Inband];

    /// As the file has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Dtmf::Rtp => "rtp",
            Dtmf::Info => "info",
            Dtmf::Inband => "inband",
        }
    }

    /// What `check` says of it, after a name.
    fn told(self) -> &'static str {
        match self {
            Dtmf::Rtp => "as telephone-events (RFC 4733)",
            Dtmf::Info => "as SIP INFO; telephone-event is not offered",
            Dtmf::Inband => "as tones in the audio; telephone-event is not offered",
        }
    }
}

/// What the section says; `None` where it is wrong, which is reported.
pub(super) fn read(section: &Section<'_, '_>, report: &mut Report) -> Option<Dtmf> {
    if section.optional("dtmf").is_none() {
        return Some(Dtmf::default());
    }
    let text = section.text("dtmf", report)?;
    values::one(&text, report, parse)
}

fn parse(text: &str) -> Result<Dtmf, Expected> {
    let known = Dtmf::ALL.map(Dtmf::name);
    Dtmf::ALL
        .into_iter()
        .find(|dtmf| dtmf.name() == text)
        .ok_or_else(|| Expected {
            expected: alternatives(&known),
            help: match text {
                "rfc2833" | "rfc4733" | "rtpevent" => Some("write `rtp`".to_owned()),
                "in-band" | "audio" => Some("write `inband`".to_owned()),
                other => nearest(other, known).map(|near| format!("did you mean `{near}`?")),
            },
        })
}

/// What `check` says of those whose form is not the usual one.
pub(super) fn told(config: &Config) -> Vec<String> {
    let trunks = config.trunks.iter().filter(|trunk| !trunk.is_gone);
    let trunks = trunks.map(|trunk| (format!("trunk:{}", trunk.name), trunk.dtmf));
    let phones = config.phones.iter().filter(|phone| !phone.is_gone);
    let phones = phones.map(|phone| (format!("phone:{}", phone.name), phone.dtmf));
    let all: Vec<_> = trunks.chain(phones).collect();
    Dtmf::ALL
        .into_iter()
        .filter(|form| *form != Dtmf::default())
        .filter_map(|form| {
            let names: Vec<&str> = all
                .iter()
                .filter(|(_, of)| *of == form)
                .map(|(name, _)| name.as_str())
                .collect();
            (!names.is_empty()).then(|| {
                let verb = if names.len() == 1 { "has" } else { "have" };
                format!("{} {verb} keys {}.", names.join(", "), form.told())
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{NoSecrets, describe};

    fn parse(trunk: &str, phone: &str) -> Result<Config, String> {
        let text = format!(
            "[network.a]\naddress = [\"192.0.2.1\"]\n\
             [trunk.t]\nnetwork = \"a\"\nserver = \"sip:192.0.2.9\"\n{trunk}\n\
             [phone.1]\npassword = \"x\"\n{phone}\n"
        );
        Config::parse(&text, "t.toml", &NoSecrets).map_err(|errors| errors.to_string())
    }

    #[test]
    fn it_is_read_and_told() {
        for form in Dtmf::ALL {
            let config = parse(&format!("dtmf = \"{}\"", form.name()), "").unwrap();
            assert_eq!(
                (config.trunks[0].dtmf, config.phones[0].dtmf),
                (form, Dtmf::Rtp)
            );
            let told = describe(&config).replace("\n  ", " ");
            assert_eq!(
                told.contains("trunk:t has keys as"),
                form != Dtmf::Rtp,
                "{told}"
            );
        }
        let both = parse("dtmf = \"info\"", "dtmf = \"info\"").unwrap();
        assert_eq!(
            super::told(&both),
            ["trunk:t, phone:1 have keys as SIP INFO; telephone-event is not offered."]
        );
    }

    #[test]
    fn what_is_no_form_is_told_what_one_is() {
        let error = parse("dtmf = \"rfc2833\"", "").unwrap_err();
        assert!(
            error.contains("dtmf: found `rfc2833`, expected `rtp`, `info` or `inband`"),
            "{error}"
        );
        assert!(error.contains("write `rtp`"), "{error}");
        assert!(error.contains("dtmf = \"rfc2833\""), "it is shown: {error}");
        let error = parse("", "dtmf = \"inbend\"").unwrap_err();
        assert!(error.contains("did you mean `inband`?"), "{error}");
        let error = parse("", "dtmf = 4733").unwrap_err();
        assert!(error.contains("expected a string"), "{error}");
        let error = parse("dmtf = \"rtp\"", "").unwrap_err();
        assert!(error.contains("did you mean `dtmf`?"), "{error}");
    }
}
