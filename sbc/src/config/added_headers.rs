//! `add_headers = { "Alert-Info" = "<http://localhost>;info=alert-autoanswer" }` of a route: what those who are called get beside what the caller says.

use toml::de::DeValue;

use super::error::{Fault, Report, shown};
use super::passing::{is_token, owner};
use super::reader::Section;
use crate::sip::Name;

/// Headers of a route.
const MAX_HEADERS: usize = 16;
/// Bytes of a value.
const MAX_VALUE: usize = 512;

/// A header that a route sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedHeader {
    /// A token (RFC 3261 25.1), as written.
    pub name: String,
    /// One line of printable text, not empty.
    pub value: String,
}

impl AddedHeader {
    /// Whether it is this one, however that is spelled.
    #[must_use]
    pub fn is(&self, name: Name, spelled: &str) -> bool {
        match name {
            Name::Other => self.name.eq_ignore_ascii_case(spelled),
            name => Name::parse(&self.name) == name,
        }
    }
}

/// Those of a route, in the order of the file.
pub(super) fn read(route: &Section<'_, '_>, report: &mut Report) -> Vec<AddedHeader> {
    const SUCH: &str =
        "such as `add_headers = { \"Alert-Info\" = \"<http://localhost>;info=alert-autoanswer\" }`";
    let Some(value) = route.optional("add_headers") else {
        return Vec::new();
    };
    let key = value.key;
    let DeValue::Table(table) = value.value else {
        report.add_with(
            value.at.clone(),
            value.mistyped("a table"),
            Some(SUCH.to_owned()),
        );
        return Vec::new();
    };
    if table.len() > MAX_HEADERS {
        let fault = Fault::Value {
            key,
            found: format!("{} headers", table.len()),
            expected: format!("at most {MAX_HEADERS}"),
        };
        report.add(value.at.clone(), fault);
        return Vec::new();
    }
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    let mut added: Vec<AddedHeader> = Vec::new();
    for (name, value) in entries {
        let spelled = name.get_ref().as_ref();
        let problem = |found: &str, expected: &str| Fault::Value {
            key,
            found: shown(found),
            expected: expected.to_owned(),
        };
        if !is_token(spelled) || spelled.contains('*') {
            let fault = problem(spelled, "the name of a header, such as `Alert-Info`");
            report.add(name.span(), fault);
            continue;
        }
        if let Some(why) = owner(spelled).or_else(|| of_identity(spelled)) {
            let fault = problem(spelled, "a header that the box does not write itself");
            report.add_with(name.span(), fault, Some(why.to_owned()));
            continue;
        }
        if added
            .iter()
            .any(|known| known.is(Name::parse(spelled), spelled))
        {
            let found = shown(spelled);
            report.add(name.span(), Fault::Twice { key, found });
            continue;
        }
        let DeValue::String(text) = value.get_ref() else {
            let fault = problem(spelled, "a string as its value");
            report.add_with(value.span(), fault, Some(SUCH.to_owned()));
            continue;
        };
        // A line end would begin another header.
        let is_line = !text.chars().any(char::is_control) && text.len() <= MAX_VALUE;
        if !is_line || text.trim() != text.as_ref() || text.is_empty() {
            let expected = format!(
                "one line of at most {MAX_VALUE} bytes, without spaces around it and without control characters"
            );
            report.add(value.span(), problem(text, &expected));
            continue;
        }
        added.push(AddedHeader {
            name: spelled.to_owned(),
            value: text.clone().into_owned(),
        });
    }
    added
}

/// Why a header that names the caller is none that a route sets.
fn of_identity(spelled: &str) -> Option<&'static str> {
    match Name::parse(spelled) {
        Name::PAssertedIdentity | Name::PPreferredIdentity | Name::RemotePartyId => {
            Some("`caller_id` of the route and `style` of the trunk say who calls")
        }
        Name::Privacy => Some("whether his number is hidden is the caller's to say"),
        Name::Diversion | Name::HistoryInfo | Name::Identity | Name::ReferredBy => {
            Some("it tells what has happened to the call, which no route knows")
        }
        _ => None,
    }
}

/// What `check` says of a route's, without its end.
pub(super) fn told(added: &[AddedHeader]) -> Option<String> {
    let names: Vec<_> = added.iter().map(|header| header.name.as_str()).collect();
    (!names.is_empty()).then(|| format!("with {} of the route", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, NoSecrets, describe};

    fn parse(value: &str) -> Result<Config, String> {
        let text = format!(
            "[network.a]\naddress = [\"192.0.2.1\"]\n[phone.1]\npassword = \"x\"\n\
             [[route]]\nname = \"intercom\"\nfrom = [\"phone:*\"]\nto = [\"phone:{{number}}\"]\nadd_headers = {value}"
        );
        Config::parse(&text, "t.toml", &NoSecrets).map_err(|errors| errors.to_string())
    }

    #[test]
    fn those_of_an_intercom_are_read_and_told() {
        let value = "{ \"Alert-Info\" = \"<http://localhost>;info=alert-autoanswer\", \"Call-Info\" = \"<sip:localhost>;answer-after=0\" }";
        let config = parse(value).unwrap();
        let added = &config.routes[0].add_headers;
        let pairs: Vec<_> = added
            .iter()
            .map(|h| (h.name.as_str(), h.value.as_str()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("Alert-Info", "<http://localhost>;info=alert-autoanswer"),
                ("Call-Info", "<sip:localhost>;answer-after=0"),
            ]
        );
        let told = describe(&config).replace("\n    ", " ");
        assert!(
            told.contains("with Alert-Info, Call-Info of the route"),
            "{told}"
        );
    }

    #[test]
    fn nothing_is_injected_and_nothing_of_the_boxs_own_is_set() {
        for (value, error) in [
            (
                "{ \"X-A\" = \"a\\r\\nVia: b\" }",
                "without control characters",
            ),
            ("{ \"X-A\" = \"a\\u0000\" }", "without control characters"),
            ("{ \"X-A\" = \"\" }", "one line"),
            ("{ \"X-A\" = \" a\" }", "without spaces around it"),
            ("{ \"X-A: y\" = \"a\" }", "the name of a header"),
            ("{ \"*\" = \"a\" }", "the name of a header"),
            ("{ \"\" = \"a\" }", "the name of a header"),
            ("{ \"via\" = \"a\" }", "does not write itself"),
            ("{ \"v\" = \"a\" }", "does not write itself"),
            ("{ \"Content-Length\" = \"1\" }", "does not write itself"),
            (
                "{ \"P-Asserted-Identity\" = \"<sip:a@b>\" }",
                "`style` of the trunk",
            ),
            ("{ \"Privacy\" = \"id\" }", "the caller's to say"),
            ("{ \"X-A\" = \"a\", \"x-a\" = \"b\" }", "twice"),
            ("{ \"X-A\" = 1 }", "a string as its value"),
            ("[\"X-A\"]", "expected a table"),
        ] {
            let told = parse(value).unwrap_err();
            assert!(told.contains(error), "{value}\n{told}");
        }
    }
}
