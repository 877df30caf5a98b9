//! `trusted`, `style`, `from_user`, `domain`, `user_phone` of a trunk: what it is told of who calls, in which form, and whether it is believed.

use toml::de::DeValue;

use super::error::{Fault, Report, nearest, shown};
use super::model::{Config, Trunk};
use super::reader::{Section, Text, alternatives};
use super::values::{self, Expected};
use crate::sip::Uri;

/// Characters of a domain (RFC 1035 2.3.4).
const MAX_DOMAIN: usize = 253;

/// How a trunk is shown who calls. By default it is not trusted, and has the number in From, at our address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `trusted`: what it says of who calls is believed, and it is told what the caller wants hidden (RFC 3324, RFC 3325).
    pub trusted: bool,
    /// `style`.
    pub style: Style,
    /// `from_user`.
    pub from_user: FromUser,
    /// `domain`: the host of the Request-URI, To, From and whatever else names the caller; without it, the addresses.
    pub domain: Option<String>,
    /// `user_phone`: URIs of telephone numbers have `;user=phone` (RFC 3261 19.1.1).
    pub user_phone: bool,
}

/// `style`: the header beside From that tells who calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// `from`: none.
    #[default]
    From,
    /// `p-asserted-identity` (RFC 3325).
    Asserted,
    /// `p-preferred-identity` (RFC 3325).
    Preferred,
    /// `remote-party-id` (draft-ietf-sip-privacy).
    RemoteParty,
}

/// `from_user`: whose the user part of From is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FromUser {
    /// `caller`: his number.
    #[default]
    Caller,
    /// `account`: `username`, whoever calls.
    Account,
}

const STYLES: [(&str, Style); 4] = [
    ("from", Style::From),
    ("p-asserted-identity", Style::Asserted),
    ("p-preferred-identity", Style::Preferred),
    ("remote-party-id", Style::RemoteParty),
];

const FROM_USERS: [(&str, FromUser); 2] =
    [("caller", FromUser::Caller), ("account", FromUser::Account)];

/// What the section says; `None` where it is wrong, which is reported.
pub(super) fn read(trunk: &Section<'_, '_>, report: &mut Report) -> Option<Identity> {
    // All that is wrong is told at once.
    let trusted = flag(trunk, "trusted", report);
    let style = choice(trunk, "style", STYLES, report);
    let from_user = choice(trunk, "from_user", FROM_USERS, report);
    let domain = match trunk.text("domain", report) {
        Some(text) => values::one(&text, report, domain).map(Some),
        None if trunk.optional("domain").is_some() => None,
        None => Some(None),
    };
    let user_phone = flag(trunk, "user_phone", report);
    if let (Some(FromUser::Account), Some(value)) = (from_user, trunk.optional("from_user"))
        && trunk.optional("username").is_none()
        && !trunk.misspells(&["username"])
    {
        let fault = Fault::Value {
            key: value.key,
            found: "account".to_owned(),
            expected: "`caller`, as the trunk has no `username`".to_owned(),
        };
        let help = "such as `username = \"555555\"` and `password = { env = \"NAME\" }`";
        report.add_with(value.at, fault, Some(help.to_owned()));
        return None;
    }
    Some(Identity {
        trusted: trusted?,
        style: style?,
        from_user: from_user?,
        domain: domain?,
        user_phone: user_phone?,
    })
}

/// `true` or `false`; the latter where it is not said.
pub(super) fn flag(
    section: &Section<'_, '_>,
    key: &'static str,
    report: &mut Report,
) -> Option<bool> {
    let Some(value) = section.optional(key) else {
        return Some(false);
    };
    if let DeValue::Boolean(flag) = value.value {
        return Some(*flag);
    }
    let help = match value.value {
        DeValue::String(text) if matches!(text.as_ref(), "true" | "false") => {
            Some(format!("write `{key} = {text}`, without quotation marks"))
        }
        _ => None,
    };
    report.add_with(value.at.clone(), value.mistyped("true or false"), help);
    None
}

fn choice<T: Copy + Default, const N: usize>(
    trunk: &Section<'_, '_>,
    key: &'static str,
    all: [(&str, T); N],
    report: &mut Report,
) -> Option<T> {
    let Some(value) = trunk.optional(key) else {
        return Some(T::default());
    };
    let text: Text<'_> = value.text(report)?;
    values::one(&text, report, |text| {
        let found = all.iter().find(|(name, _)| *name == text);
        found.map(|(_, chosen)| *chosen).ok_or_else(|| {
            let names = all.map(|(name, _)| name);
            let near = nearest(text, names);
            Expected {
                expected: alternatives(&names),
                help: near.map(|near| format!("did you mean `{near}`?")),
            }
        })
    })
}

fn domain(text: &str) -> Result<String, Expected> {
    let uri = format!("sip:x@{text}");
    let is_host = Uri::parse(&uri).is_ok_and(|uri| uri.host() == text && uri.user() == Some("x"));
    if is_host && text.len() <= MAX_DOMAIN {
        return Ok(text.to_owned());
    }
    let help = match Uri::parse(text) {
        Ok(uri) if uri.is_sip() => Some(format!("write `domain = \"{}\"`", shown(uri.host()))),
        _ => None,
    };
    Err(Expected {
        expected: "a host name such as `sip.carrier.example`".to_owned(),
        help,
    })
}

/// What `check` says of it, where it differs from the default.
pub(super) fn told(config: &Config) -> Vec<String> {
    let mut told = Vec::new();
    for trunk in &config.trunks {
        tell(trunk, &mut told);
    }
    told
}

fn tell(trunk: &Trunk, told: &mut Vec<String>) {
    let (name, identity) = (&trunk.name, &trunk.identity);
    if identity.trusted {
        told.push(format!(
            "What trunk:{name} says of who calls is believed, and it is told who hides his number."
        ));
    }
    let user = match (identity.from_user, &trunk.credentials) {
        (FromUser::Account, Some(credentials)) => credentials.username.as_str(),
        _ => "the caller's number",
    };
    let beside = match identity.style {
        Style::From => "",
        Style::Asserted => ", and the number in P-Asserted-Identity",
        Style::Preferred => ", and the number in P-Preferred-Identity",
        Style::RemoteParty => ", and the number in Remote-Party-ID",
    };
    if identity.style != Style::From || identity.from_user != FromUser::Caller {
        told.push(format!("trunk:{name} gets {user} in From{beside}."));
    }
    let phone = match identity.user_phone {
        true => ", numbers with user=phone",
        false => "",
    };
    match &identity.domain {
        Some(domain) => told.push(format!(
            "URIs to trunk:{name}, called and calling, are at {domain}{phone}."
        )),
        None if identity.user_phone => {
            told.push(format!("In URIs to trunk:{name} numbers have user=phone."));
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, FromUser, Identity, NoSecrets, Style, describe};

    fn parse(lines: &str) -> Result<Config, String> {
        let text = format!(
            "[network.a]\naddress = [\"192.0.2.1\"]\n\
             [trunk.t]\nnetwork = \"a\"\nserver = \"sip:192.0.2.9\"\n{lines}"
        );
        Config::parse(&text, "t.toml", &NoSecrets).map_err(|errors| errors.to_string())
    }

    #[test]
    fn nothing_said_is_a_number_in_from_for_somebody_not_trusted() {
        let config = parse("").unwrap();
        assert_eq!(config.trunks[0].identity, Identity::default());
        assert!(!describe(&config).contains("From"));
    }

    #[test]
    fn each_key_is_read_and_told() {
        let lines = "trusted = true\nstyle = \"p-asserted-identity\"\nfrom_user = \"account\"\n\
                     domain = \"sip.carrier.example\"\nuser_phone = true\n\
                     username = \"555\"\npassword = \"x\"";
        let config = parse(lines).unwrap();
        let expected = Identity {
            trusted: true,
            style: Style::Asserted,
            from_user: FromUser::Account,
            domain: Some("sip.carrier.example".to_owned()),
            user_phone: true,
        };
        assert_eq!(config.trunks[0].identity, expected);
        let told = describe(&config).replace("\n  ", " ");
        for sentence in [
            "What trunk:t says of who calls is believed, and it is told who hides his number.",
            "trunk:t gets 555 in From, and the number in P-Asserted-Identity.",
            "URIs to trunk:t, called and calling, are at sip.carrier.example, numbers with user=phone.",
        ] {
            assert!(told.contains(sentence), "{sentence}\n{told}");
        }
        for (name, style) in super::STYLES {
            let config = parse(&format!("style = \"{name}\"")).unwrap();
            assert_eq!(config.trunks[0].identity.style, style);
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_what_would_be_right() {
        for (lines, error, help) in [
            (
                "style = \"p-asserted-identiy\"",
                "expected `from`, `p-asserted-identity`, `p-preferred-identity` or `remote-party-id`",
                "did you mean `p-asserted-identity`?",
            ),
            (
                "from_user = \"acount\"",
                "expected `caller` or `account`",
                "did you mean `account`?",
            ),
            (
                "from_user = \"account\"",
                "expected `caller`, as the trunk has no `username`",
                "such as `username",
            ),
            (
                "trusted = \"true\"",
                "found a string, expected true or false",
                "write `trusted = true`, without quotation marks",
            ),
            (
                "domain = \"sip:carrier.example\"",
                "expected a host name such as `sip.carrier.example`",
                "write `domain = \"carrier.example\"`",
            ),
            ("domain = \"a b\"", "expected a host name", "error"),
            (
                "domain = \"carrier.example;x\"",
                "expected a host name",
                "error",
            ),
            (
                "user_fone = true",
                "unknown key `user_fone`",
                "did you mean `user_phone`?",
            ),
        ] {
            let told = parse(lines).unwrap_err();
            assert!(
                told.contains(error) && told.contains(help),
                "{lines}\n{told}"
            );
        }
    }
}
