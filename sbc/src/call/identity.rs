//! Who calls, and what each who is called is told of it (RFC 3323, RFC 3325, draft-ietf-sip-privacy): a phone is who its digest says; a trunk is believed in From, and
//! where it is trusted in P-Asserted-Identity and Remote-Party-ID; the route may say otherwise. Who hides his number is nobody to all but trusted trunks, unless it is an
//! emergency.

use std::fmt::Write as _;
use std::net::SocketAddr;

use smallvec::SmallVec;

use super::hiding::Hidden;
use crate::config::{Config, FromUser, Peer, PhoneId, Style, Trunk};
use crate::routing::CallerId;
use crate::sip::{Message, Name, NameAddr, Uri, Writer};

/// RFC 3323 4.1.1.3.
const ANONYMOUS: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
/// Its host.
const NOWHERE: &str = "anonymous.invalid";
/// Who is not known, though nothing was said of hiding him.
const UNKNOWN: &str = "anonymous";

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The user part of his URI, escaped as there; `None`: nobody says.
    number: Option<String>,
    /// Without quotes.
    display: Option<String>,
    /// He wants to be nobody.
    hides: bool,
    /// It is proven, or said by who is trusted: not just a From.
    is_sure: bool,
    /// The route says so.
    is_given: bool,
}

/// What one who is called is told.
pub(crate) struct Told {
    /// From, without a tag.
    pub(crate) from: String,
    /// Further headers.
    pub(crate) lines: SmallVec<[(Name, String); 1]>,
    /// He is not told who calls, or is to keep it to himself.
    hides: bool,
    /// What the caller says of himself in other headers is not for him.
    pub(crate) withholds: Withholds,
}

/// Which headers that name the caller do not pass, whatever the config names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Withholds {
    /// The config alone decides.
    #[default]
    Nothing,
    /// Those that the box writes itself.
    Own,
    /// All.
    All,
}

impl Caller {
    /// Who sent a request that is no part of a dialog: this phone, or a trunk, or nobody that is known.
    pub(crate) fn of(config: &Config, from: Peer, request: &Message) -> Caller {
        Caller::beside(config, from, request, &Hidden::of(request))
    }

    /// As [`Caller::of`], where it is known what must not show.
    pub(super) fn beside(
        config: &Config,
        from: Peer,
        request: &Message,
        hidden: &Hidden<'_>,
    ) -> Caller {
        let said = Said::of(request.from().uri(), request.from().display(), hidden);
        let is_nowhere = Uri::parse(request.from().uri())
            .is_ok_and(|uri| uri.host().eq_ignore_ascii_case(NOWHERE));
        let wants = asks_for_privacy(request);
        if let Some(phone) = from.phone.map(|id| config.phone(id)) {
            // A phone is who its digest says, whatever its From does; one that hides has no name there.
            let named = said.display.filter(|_| !is_nowhere);
            return Caller {
                number: Some(phone.name.clone()),
                display: phone.display_name.clone().or(named),
                hides: wants || is_nowhere,
                is_sure: true,
                is_given: false,
            };
        }
        let is_trusted = from
            .trunk
            .is_some_and(|id| config.trunk(id).identity.trusted);
        let asserted = [Name::PAssertedIdentity, Name::RemotePartyId]
            .into_iter()
            .filter(|_| is_trusted)
            .find_map(|name| {
                let mut values = request.values(name);
                let found = values.find_map(|value| NameAddr::parse(value).ok())?;
                let said = Said::of(found.uri(), found.display(), hidden);
                // RPID says by itself that it is to be hidden.
                let hides = found
                    .param("privacy")
                    .flatten()
                    .is_some_and(|privacy| !privacy.eq_ignore_ascii_case("off"));
                said.number.is_some().then_some((said, hides))
            });
        let is_sure = asserted.is_some();
        let (said, hides) = asserted.unwrap_or((said, false));
        Caller {
            number: said.number,
            display: said.display,
            hides: wants || hides || is_nowhere,
            is_sure,
            is_given: false,
        }
    }

    /// Someone who was called.
    pub(super) fn called(config: &Config, phone: Option<PhoneId>, number: &str) -> Caller {
        let user = phone.map_or(number, |id| config.phone(id).name.as_str());
        Caller {
            number: Some(user.to_owned()),
            display: None,
            hides: false,
            is_sure: true,
            is_given: false,
        }
    }

    /// As the route has him, if it says anything.
    pub(crate) fn given(self, caller_id: Option<&CallerId>) -> Caller {
        match caller_id {
            Some(given) => Caller {
                number: Some(escaped(&given.number)),
                display: given.display.clone(),
                hides: self.hides,
                is_sure: true,
                is_given: true,
            },
            None => self,
        }
    }

    /// What this trunk is told, or a phone, that sees us at `home`.
    pub(crate) fn told(&self, trunk: Option<&Trunk>, home: SocketAddr, is_emergency: bool) -> Told {
        match trunk {
            Some(trunk) => self.told_trunk(trunk, home, is_emergency),
            None => Told {
                from: match self.hides {
                    true => ANONYMOUS.to_owned(),
                    false => self.named(self.user(), &home.to_string(), ""),
                },
                lines: SmallVec::new(),
                hides: self.hides,
                withholds: if self.hides {
                    Withholds::All
                } else {
                    Withholds::Own
                },
            },
        }
    }

    fn told_trunk(&self, trunk: &Trunk, home: SocketAddr, is_emergency: bool) -> Told {
        let identity = &trunk.identity;
        let host = host_of(trunk, home);
        let hides = self.hides && !is_emergency;
        let account = match identity.from_user {
            FromUser::Account => trunk.credentials.as_ref(),
            FromUser::Caller => None,
        };
        let account = account.map(|credentials| escaped(&credentials.username));
        let named = |user: &str| self.named(user, &host, phone_parameter(trunk, user));
        let from = match (hides, &account) {
            // It is our name that this trunk knows, not his.
            (true, Some(account)) => format!("\"Anonymous\" <sip:{account}@{host}>"),
            (true, None) => ANONYMOUS.to_owned(),
            (false, Some(account)) => named(account),
            (false, None) => named(self.user()),
        };
        let mut lines = SmallVec::new();
        if let Some(number) = self
            .number
            .as_deref()
            .filter(|_| !hides || identity.trusted)
        {
            let style = match identity.style {
                // Between those who trust each other it is asserted (RFC 3325), the more so if From hides it.
                Style::From if identity.trusted && (hides || self.is_sure) => Style::Asserted,
                style => style,
            };
            let value = named(number);
            lines.extend(match style {
                Style::From => None,
                Style::Asserted => Some((Name::PAssertedIdentity, value)),
                Style::Preferred => Some((Name::PPreferredIdentity, value)),
                Style::RemoteParty => {
                    let privacy = if hides { "full" } else { "off" };
                    let screen = if self.is_sure { "yes" } else { "no" };
                    let value = format!("{value};party=calling;screen={screen};privacy={privacy}");
                    Some((Name::RemotePartyId, value))
                }
            });
        }
        let withholds = match (
            hides && !identity.trusted,
            lines.is_empty() && !self.is_given,
        ) {
            (true, _) => Withholds::All,
            (false, false) => Withholds::Own,
            (false, true) => Withholds::Nothing,
        };
        Told {
            from,
            lines,
            hides,
            withholds,
        }
    }

    fn user(&self) -> &str {
        self.number.as_deref().unwrap_or(UNKNOWN)
    }

    fn named(&self, user: &str, host: &str, parameter: &str) -> String {
        let uri = format!("<sip:{user}@{host}{parameter}>");
        match &self.display {
            Some(display) => format!("{} {uri}", quoted(display)),
            None => uri,
        }
    }
}

impl Told {
    /// Writes what there is beside From. `request` is what he said: its own Privacy passes by itself.
    pub(crate) fn write(&self, request: &Message, writer: Writer) -> Writer {
        match request.header(Name::Privacy) {
            Some(_) => self.write_lines(writer),
            None => self.write_all(writer),
        }
    }

    /// As [`Told::write`], where nothing passes by itself.
    pub(crate) fn write_all(&self, writer: Writer) -> Writer {
        let writer = self.write_lines(writer);
        match self.hides {
            true => writer.header(Name::Privacy, "id"),
            false => writer,
        }
    }

    fn write_lines(&self, writer: Writer) -> Writer {
        let lines = self.lines.iter();
        lines.fold(writer, |writer, (name, value)| writer.header(*name, value))
    }
}

/// What a header says of somebody, as far as it may show.
struct Said {
    number: Option<String>,
    display: Option<String>,
}

impl Said {
    fn of(uri: &str, display: Option<std::borrow::Cow<'_, str>>, hidden: &Hidden<'_>) -> Said {
        let user = Uri::parse(uri).ok().and_then(|uri| uri.user());
        Said {
            number: user.filter(|user| hidden.allows(user)).map(str::to_owned),
            display: display
                .map(|display| display.into_owned())
                .filter(|display| hidden.allows(display)),
        }
    }
}

/// Request-URI and To of a trunk that is asked for a number.
pub(super) fn called(trunk: &Trunk, number: &str, server: &str, parameter: &str) -> [String; 2] {
    let host = trunk.identity.domain.as_deref().unwrap_or(server);
    let phone = phone_parameter(trunk, number);
    let to = format!("sip:{number}@{host}{phone}");
    [format!("{to}{parameter}"), to]
}

fn host_of(trunk: &Trunk, address: SocketAddr) -> String {
    let domain = trunk.identity.domain.clone();
    domain.unwrap_or_else(|| address.to_string())
}

/// RFC 3261 19.1.1: the user part is a telephone number.
fn phone_parameter(trunk: &Trunk, user: &str) -> &'static str {
    let digits = user.strip_prefix('+').unwrap_or(user);
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    match trunk.identity.user_phone && is_number {
        true => ";user=phone",
        false => "",
    }
}

/// Privacy of the kinds that are about who calls (RFC 3323 4.2, RFC 3325 9.3); `session` is about media, `none` about nothing.
fn asks_for_privacy(request: &Message) -> bool {
    request.values(Name::Privacy).any(|value| {
        let mut kinds = value.split(';').map(str::trim);
        kinds.any(|kind| {
            ["id", "user", "header"]
                .iter()
                .any(|k| k.eq_ignore_ascii_case(kind))
        })
    })
}

fn quoted(display: &str) -> String {
    let mut text = String::with_capacity(display.len() + 2);
    text.push('"');
    for char in display.chars().filter(|char| !char.is_control()) {
        if matches!(char, '"' | '\\') {
            text.push('\\');
        }
        text.push(char);
    }
    text.push('"');
    text
}

/// A user part with this number (RFC 3261 25.1): what cannot stand there is escaped.
pub(crate) fn escaped(number: &str) -> String {
    let mut text = String::with_capacity(number.len());
    for byte in number.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()+$&=,/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests;
