//! `transfers`, `methods`, `headers`: what a party may say to the other one of its call, beside what the box itself serves.
//!
//! A section decides for its own side, whichever way a message goes: what is to pass from one leg to the other has to be let
//! through by both.

use toml::de::DeValue;

use super::error::{Fault, Report, shown};
use super::model::{Config, NetworkId, PhoneId, TrunkId};
use super::reader::{Section, Text};
use super::values::{self, Expected};
use crate::sip::{Method, Name};

/// The methods that pass where the file is silent.
pub const METHODS: [&str; 4] = ["INFO", "MESSAGE", "SUBSCRIBE", "NOTIFY"];

/// Names that a list of methods or headers may have.
const MAX_NAMES: usize = 32;
/// Bytes of one of them.
const MAX_NAME: usize = 64;

/// What becomes of a REFER of a party, and of its INVITE with Replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfers {
    /// `false`: refused.
    No,
    /// `true` or `"here"`: the box transfers the call, to where the party's own routes lead.
    Here,
    /// `"pass"`: the other party of the call gets the REFER, and calls the target itself, by its own routes.
    Pass,
}

/// What a section says; what it leaves out its network says, or the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passing {
    /// `transfers`.
    pub transfers: Option<Transfers>,
    /// `methods`.
    pub methods: Option<Vec<String>>,
    /// `headers`.
    pub headers: Option<Headers>,
}

/// `headers = ["*", "P-Asserted-Identity"]`: which pass beside those that always do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    /// `*`: all that the box does not know, unless they tell an address.
    pub unknown: bool,
    named: Vec<(Name, String)>,
}

impl Headers {
    /// None beside those that always pass.
    pub const NONE: Headers = Headers {
        unknown: false,
        named: Vec::new(),
    };

    /// Whether the list names this one, however it is spelled.
    #[must_use]
    pub fn names(&self, name: Name, spelled: &str) -> bool {
        self.named.iter().any(|(known, text)| match name {
            Name::Other => text.eq_ignore_ascii_case(spelled),
            name => *known == name,
        })
    }
}

/// Who somebody is, as far as the config knows him.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The trunk, if he is one.
    pub trunk: Option<TrunkId>,
    /// The account, if he is a phone.
    pub phone: Option<PhoneId>,
    /// Where he is.
    pub network: NetworkId,
}

/// What holds for a party.
#[derive(Clone, Copy, Debug)]
pub struct Passes<'c> {
    /// What becomes of its REFER.
    pub transfers: Transfers,
    /// `None`: [`METHODS`].
    pub methods: Option<&'c [String]>,
    /// `None`: all that the box does not know.
    pub headers: Option<&'c Headers>,
}

impl Passes<'_> {
    /// Whether a request of this method may come from there or go there inside a call. Methods are case-sensitive.
    #[must_use]
    pub fn takes(&self, method: &str) -> bool {
        match self.methods {
            Some(methods) => methods.iter().any(|known| known == method),
            None => METHODS.contains(&method),
        }
    }
}

impl Config {
    /// What holds for a party: what its own section says, else that of its network, else the default.
    #[must_use]
    pub fn passes(&self, peer: Peer) -> Passes<'_> {
        let (own, usual) = match (peer.trunk, peer.phone) {
            // What a trunk asks for others pay.
            (Some(trunk), _) => (Some(&self.trunk(trunk).passing), Transfers::No),
            (None, Some(phone)) => (Some(&self.phone(phone).passing), Transfers::Here),
            (None, None) => (None, Transfers::Here),
        };
        let network = &self.network(peer.network).passing;
        let methods = own.and_then(|own| own.methods.as_deref());
        let headers = own.and_then(|own| own.headers.as_ref());
        Passes {
            transfers: own
                .and_then(|own| own.transfers)
                .or(network.transfers)
                .unwrap_or(usual),
            methods: methods.or(network.methods.as_deref()),
            headers: headers.or(network.headers.as_ref()),
        }
    }

    /// The same for a trunk.
    #[must_use]
    pub fn trunk_passes(&self, id: TrunkId) -> Passes<'_> {
        self.passes(Peer {
            trunk: Some(id),
            phone: None,
            network: self.trunk(id).network,
        })
    }
}

/// What differs from the default, in sentences.
pub(super) fn told(config: &Config) -> Vec<String> {
    let mut told = Vec::new();
    for (id, trunk) in (0..).map(TrunkId).zip(&config.trunks) {
        let passes = config.trunk_passes(id);
        tell(&format!("trunk:{}", trunk.name), passes, true, &mut told);
    }
    let silent = config.phones.iter().any(|phone| {
        let Passing {
            transfers,
            methods,
            headers,
        } = &phone.passing;
        transfers.is_none() || methods.is_none() || headers.is_none()
    });
    for (network, section) in (0..).map(NetworkId).zip(&config.networks) {
        if silent {
            let peer = Peer {
                trunk: None,
                phone: None,
                network,
            };
            let who = format!("phones on {}", section.name);
            tell(&who, config.passes(peer), false, &mut told);
        }
    }
    for phone in &config.phones {
        let own = &phone.passing;
        let passes = Passes {
            transfers: own.transfers.unwrap_or(Transfers::Here),
            methods: own.methods.as_deref(),
            headers: own.headers.as_ref(),
        };
        tell(&format!("phone:{}", phone.name), passes, false, &mut told);
    }
    told
}

fn tell(who: &str, passes: Passes<'_>, is_trunk: bool, told: &mut Vec<String>) {
    match passes.transfers {
        Transfers::No if is_trunk => {}
        Transfers::No => told.push(format!("No transfer by {who}: REFER is refused.")),
        Transfers::Here if is_trunk => told.push(format!(
            "{who} may transfer its calls, to where its routes lead."
        )),
        Transfers::Here => {}
        Transfers::Pass => told.push(format!(
            "REFER of {who} goes on to the other party of its call, who calls the target by its own routes."
        )),
    }
    if let Some(methods) = passes.methods {
        told.push(match methods {
            [] => format!("Inside calls of {who} no requests pass, INFO neither."),
            methods => format!(
                "Inside calls of {who} requests of these methods pass: {}.",
                methods.join(", ")
            ),
        });
    }
    if let Some(headers) = passes.headers {
        let all = headers.unknown.then_some("all unknown ones");
        let named = headers.named.iter().map(|(_, spelled)| spelled.as_str());
        let listed: Vec<_> = all.into_iter().chain(named).collect();
        match listed.as_slice() {
            [] => told.push(format!(
                "From and to {who} no headers pass but the usual ones."
            )),
            ["all unknown ones"] => {}
            listed => told.push(format!(
                "From and to {who} these headers pass beside the usual ones: {}.",
                listed.join(", ")
            )),
        }
    }
}

/// The three keys of a network, a trunk or a phone.
pub(super) fn read(section: &Section<'_, '_>, report: &mut Report) -> Option<Passing> {
    let transfers = read_transfers(section, report);
    let methods = names(section, "methods", "method", report);
    let headers = names(section, "headers", "header", report);
    // All that is wrong is told at once.
    let methods = methods.map(|list| list.map(|texts| values::each(&texts, report, method)));
    let headers = headers.map(|list| list.map(|texts| read_headers(&texts, report)));
    Some(Passing {
        transfers: transfers?,
        methods: methods?,
        headers: headers?,
    })
}

fn read_transfers(section: &Section<'_, '_>, report: &mut Report) -> Option<Option<Transfers>> {
    let Some(value) = section.optional("transfers") else {
        return Some(None);
    };
    match value.value {
        DeValue::Boolean(true) => Some(Some(Transfers::Here)),
        DeValue::Boolean(false) => Some(Some(Transfers::No)),
        DeValue::String(_) => {
            let text = value.text(report)?;
            values::one(&text, report, transfers).map(Some)
        }
        _ => {
            report.add(
                value.at.clone(),
                value.mistyped("true, false, \"here\" or \"pass\""),
            );
            None
        }
    }
}

fn transfers(text: &str) -> Result<Transfers, Expected> {
    match text {
        "here" => Ok(Transfers::Here),
        "pass" => Ok(Transfers::Pass),
        "true" | "false" => refuse(
            "true, false, \"here\" or \"pass\"",
            format!("write `transfers = {text}`, without quotation marks"),
        ),
        _ => Err(Expected {
            expected: "true, false, \"here\" or \"pass\"".to_owned(),
            help: None,
        }),
    }
}

/// A list that may be empty; the inner `None` if it is not there.
fn names<'d>(
    section: &Section<'d, '_>,
    key: &'static str,
    of: &'static str,
    report: &mut Report,
) -> Option<Option<Vec<Text<'d>>>> {
    let Some(value) = section.optional(key) else {
        return Some(None);
    };
    if matches!(value.value, DeValue::Array(array) if array.is_empty()) {
        return Some(Some(Vec::new()));
    }
    let texts = value.texts(of, report)?;
    if texts.len() > MAX_NAMES {
        let fault = Fault::Value {
            key,
            found: format!("{} names", texts.len()),
            expected: format!("at most {MAX_NAMES}"),
        };
        report.add(value.at.clone(), fault);
    }
    Some(Some(texts))
}

fn method(text: &str) -> Result<String, Expected> {
    if !is_token(text) {
        return refuse("the name of a method, such as `INFO`", None);
    }
    let upper = text.to_ascii_uppercase();
    let known = Method::parse(&upper);
    if known != Method::Other && upper != text {
        let help = format!("methods are case-sensitive: write `{upper}`");
        return refuse("the name of a method, such as `INFO`", help);
    }
    let help = match known {
        Method::Refer => "`transfers` says what becomes of REFER".to_owned(),
        Method::Info
        | Method::Message
        | Method::Subscribe
        | Method::Notify
        | Method::Publish
        | Method::Other => return Ok(text.to_owned()),
        _ => format!("the box itself answers {text}, and asks the other side if need be"),
    };
    refuse("a method that the box does not serve itself", help)
}

fn read_headers(texts: &[Text<'_>], report: &mut Report) -> Headers {
    let mut headers = Headers {
        unknown: false,
        named: Vec::new(),
    };
    for text in texts {
        if text.text == "*" {
            headers.unknown = true;
            continue;
        }
        let Some(spelled) = values::one(text, report, header) else {
            continue;
        };
        let name = Name::parse(&spelled);
        if headers.names(name, &spelled) {
            // In another case; the same spelling has been told.
            let found = shown(text.text);
            let key = text.key;
            report.add(text.at.clone(), Fault::Twice { key, found });
        }
        headers.named.push((name, spelled));
    }
    headers
}

fn header(text: &str) -> Result<String, Expected> {
    if !is_token(text) || text.contains('*') {
        return refuse(
            "the name of a header, such as `X-Account`, or `*` for all that are not known",
            None,
        );
    }
    match owner(text) {
        None => Ok(text.to_owned()),
        Some(why) => refuse(
            "a header that the box does not write itself",
            why.to_owned(),
        ),
    }
}

/// Why a header cannot be let through by name.
pub(super) fn owner(spelled: &str) -> Option<&'static str> {
    const LEG: &str = "it belongs to one leg: each side gets one of the box's own";
    const CONTENT: &str = "it passes with the body that it describes";
    const PROOF: &str = "passwords are asked for and given on each side alone";
    const ABILITY: &str = "it says what an agent can do: the box speaks for itself on each side";
    const TIMER: &str = "each side has a session timer of its own";
    const EVENT: &str = "it passes with the requests that it belongs to";
    const REFER: &str = "it passes with REFER: `transfers = \"pass\"`";
    match Name::parse(spelled) {
        Name::Via
        | Name::From
        | Name::To
        | Name::CallId
        | Name::CSeq
        | Name::Contact
        | Name::MaxForwards
        | Name::MaxBreadth
        | Name::Route
        | Name::RecordRoute
        | Name::Path
        | Name::ServiceRoute
        | Name::Timestamp
        | Name::RSeq
        | Name::RAck
        | Name::Replaces
        | Name::Join
        | Name::TargetDialog
        | Name::UserAgent
        | Name::Server => Some(LEG),
        Name::ContentType
        | Name::ContentLength
        | Name::ContentEncoding
        | Name::ContentDisposition
        | Name::ContentLanguage
        | Name::MimeVersion => Some(CONTENT),
        Name::Authorization
        | Name::WwwAuthenticate
        | Name::ProxyAuthenticate
        | Name::ProxyAuthorization
        | Name::AuthenticationInfo => Some(PROOF),
        Name::Allow
        | Name::Supported
        | Name::Require
        | Name::ProxyRequire
        | Name::Unsupported
        | Name::Accept
        | Name::AcceptEncoding
        | Name::RecvInfo => Some(ABILITY),
        Name::SessionExpires | Name::MinSe => Some(TIMER),
        Name::Event
        | Name::AllowEvents
        | Name::SubscriptionState
        | Name::Expires
        | Name::MinExpires
        | Name::SipEtag
        | Name::SipIfMatch
        | Name::InfoPackage => Some(EVENT),
        Name::ReferTo | Name::ReferSub => Some(REFER),
        Name::Other => {
            let hop = [
                "Feature-Caps",
                "Flow-Timer",
                "Security-Client",
                "Security-Server",
                "Security-Verify",
            ];
            let is_one = hop.iter().any(|hop| hop.eq_ignore_ascii_case(spelled));
            is_one.then_some(LEG)
        }
        _ => None,
    }
}

fn refuse<T>(expected: &str, help: impl Into<Option<String>>) -> Result<T, Expected> {
    Err(Expected {
        expected: expected.to_owned(),
        help: help.into(),
    })
}

/// A token (RFC 3261 25.1).
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_NAME
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(c))
}

#[cfg(test)]
mod tests;
