//! What a REGISTER asks for: contacts, how long, over which flow (RFC 5626), by which proxies (RFC 3327).

use crate::sip::{Message, Name, NameAddr, Uri};

/// The shortest time that a phone may register for (423 below it).
pub const EXPIRES_MIN: u32 = 60;
/// The longest; who asks for more gets this.
pub const EXPIRES_MAX: u32 = 3600;
/// Longer Contact URIs are refused.
const MAX_CONTACT: usize = 512;
/// Longer names of devices are none.
const MAX_INSTANCE: usize = 256;
/// Bytes of all Path fields together.
const MAX_PATH: usize = 1024;

/// Which device a contact is of: `+sip.instance`, and which of its flows: `reg-id` (RFC 5626 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// With its quotes, as it was given.
    pub instance: Box<str>,
    /// 1 to 2^31-1. Without it the device has one contact at a time.
    pub reg_id: Option<u32>,
}

/// One Contact of a REGISTER.
pub(super) struct Wish<'a> {
    pub(super) uri: &'a str,
    /// 0: to be removed.
    pub(super) seconds: u32,
    pub(super) device: Option<Device>,
}

/// Why a REGISTER does not get what it asks for.
pub(super) enum Refusal {
    Code(u16),
    TooBrief,
}

/// What holds for all contacts of a REGISTER.
pub(super) struct Asked<'a> {
    pub(super) contacts: Vec<&'a str>,
    /// Seconds where a contact says nothing.
    pub(super) default: u32,
    /// Where requests to its contacts go by, ready to be a Route.
    pub(super) path: Option<Box<str>>,
    /// The phone keeps its flow open itself, and wants to be called over it (RFC 5626).
    is_outbound: bool,
}

impl<'a> Asked<'a> {
    /// Reads a REGISTER that may have `most` contacts.
    pub(super) fn read(request: &'a Message, most: usize) -> Result<Asked<'a>, Refusal> {
        let contacts: Vec<&str> = request.values(Name::Contact).take(most + 1).collect();
        let (path, has_ob) = path(request)?;
        let is_direct = request.values(Name::Via).nth(1).is_none();
        let mut supported = request.values(Name::Supported);
        let is_meant = supported.any(|tag| tag.eq_ignore_ascii_case("outbound"))
            && contacts.iter().any(|contact| {
                NameAddr::parse(contact).is_ok_and(|one| {
                    one.param("reg-id").is_some() && one.param("+sip.instance").is_some()
                })
            });
        // Whoever is first on the way keeps the flow (RFC 5626 6).
        if is_meant && !is_direct && !has_ob {
            return Err(Refusal::Code(439));
        }
        Ok(Asked {
            default: request.header(Name::Expires).map_or(EXPIRES_MAX, seconds),
            contacts,
            path,
            is_outbound: is_meant,
        })
    }

    /// All contacts are to be removed.
    pub(super) fn removes_all(&self) -> Result<bool, Refusal> {
        if !self.contacts.iter().any(|contact| contact.trim() == "*") {
            return Ok(false);
        }
        match self.contacts.len() == 1 && self.default == 0 {
            true => Ok(true),
            false => Err(Refusal::Code(400)),
        }
    }

    /// What one Contact asks for.
    pub(super) fn wish(&self, contact: &'a str) -> Result<Wish<'a>, Refusal> {
        let address = NameAddr::parse(contact).map_err(|_| Refusal::Code(400))?;
        let uri = address.uri();
        let is_sip = Uri::parse(uri).is_ok_and(|parsed| {
            // A question mark wants brackets around the URI (RFC 3261 20.10): whose it is cannot be told otherwise.
            let is_clear = parsed.headers().is_none() || contact.contains('<');
            parsed.scheme().eq_ignore_ascii_case("sip") && is_clear
        });
        if !is_sip || uri.len() > MAX_CONTACT {
            return Err(Refusal::Code(400));
        }
        let asked = match address.param("expires") {
            Some(Some(text)) => seconds(text),
            _ => self.default,
        };
        let seconds = match asked {
            0 => 0,
            1..EXPIRES_MIN => return Err(Refusal::TooBrief),
            _ => asked.min(EXPIRES_MAX),
        };
        Ok(Wish {
            uri,
            seconds,
            device: device(&address, self.is_outbound),
        })
    }

    /// Whether the answer has to say that flows are kept (RFC 5626 6).
    pub(super) fn is_outbound(&self) -> bool {
        self.is_outbound
    }
}

fn device(address: &NameAddr<'_>, is_outbound: bool) -> Option<Device> {
    let instance = address.param("+sip.instance").flatten()?;
    let is_usable = instance.len() > 2
        && instance.len() <= MAX_INSTANCE
        && instance.starts_with('"')
        && instance.ends_with('"');
    if !is_usable {
        return None;
    }
    let number = address.param("reg-id").flatten().unwrap_or_default();
    let number = number.parse().ok().filter(|id| (1..1 << 31).contains(id));
    Some(Device {
        instance: instance.into(),
        reg_id: number.filter(|_| is_outbound),
    })
}

/// The Path fields as one, and whether the proxy next to the phone keeps its flow.
fn path(request: &Message) -> Result<(Option<Box<str>>, bool), Refusal> {
    let mut whole = String::new();
    let mut has_ob = false;
    for value in request.values(Name::Path) {
        let uri = NameAddr::parse(value).map(|address| address.uri());
        let uri = uri.ok().and_then(|uri| Uri::parse(uri).ok());
        let uri = uri.filter(Uri::is_sip).ok_or(Refusal::Code(400))?;
        // The last is the first that the REGISTER met.
        has_ob = uri.param("ob").is_some();
        if !whole.is_empty() {
            whole.push_str(", ");
        }
        whole.push_str(value);
        if whole.len() > MAX_PATH {
            return Err(Refusal::Code(400));
        }
    }
    Ok(((!whole.is_empty()).then(|| whole.into()), has_ob))
}

/// What cannot be read counts as the default (RFC 3261 10.2.1.1).
fn seconds(text: &str) -> u32 {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().unwrap_or(u32::MAX)
    } else {
        EXPIRES_MAX
    }
}
