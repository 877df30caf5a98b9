//! `[phone.NAME]`: what is a phone's alone, the list of all of them, and what is said of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Deref;

use toml::de::DeValue;

use super::error::{Fault, Report, shown};
use super::model::{Config, MOST_CONTACTS, Network, NetworkId, Phone, PhoneId, USUAL_CONTACTS};
use super::reader::Section;
use super::values::{self, Expected};
use crate::sip::digest::Algorithm;

/// All accounts, in file order, found by name without reading them all.
#[derive(Clone, Debug, Default)]
pub struct Phones {
    all: Vec<Phone>,
    /// Each request of a phone asks; there may be tens of thousands.
    by_name: HashMap<Box<str>, PhoneId>,
    has_remote: bool,
}

impl Phones {
    /// All of them.
    #[must_use]
    pub fn into_all(self) -> Vec<Phone> {
        self.all
    }

    /// The account of this name; of several, the first.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<PhoneId> {
        self.by_name.get(name).copied()
    }
}

impl From<Vec<Phone>> for Phones {
    fn from(all: Vec<Phone>) -> Self {
        let ids = (0..=u16::MAX).map(PhoneId);
        let mut by_name = HashMap::with_capacity(all.len());
        for (id, phone) in ids.zip(&all).filter(|(_, phone)| !phone.is_gone) {
            by_name.entry(phone.name.as_str().into()).or_insert(id);
        }
        let has_remote = all.iter().any(|phone| phone.remote && !phone.is_gone);
        Phones {
            all,
            by_name,
            has_remote,
        }
    }
}

impl Deref for Phones {
    type Target = [Phone];

    fn deref(&self) -> &[Phone] {
        &self.all
    }
}

impl<'a> IntoIterator for &'a Phones {
    type Item = &'a Phone;
    type IntoIter = std::slice::Iter<'a, Phone>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.iter()
    }
}

impl Config {
    /// Whether a phone may register and call from there: anywhere if it is `remote` or the network has no `local` prefixes; this host always.
    #[must_use]
    pub fn may_be_at(&self, phone: PhoneId, network: NetworkId, source: IpAddr) -> bool {
        let phone = self.phones.get(phone.index());
        phone.is_some_and(|phone| phone.remote) || self.is_local(network, source)
    }

    /// Whether any phone may register and call from there.
    #[must_use]
    pub fn has_phones_at(&self, network: NetworkId, source: IpAddr) -> bool {
        self.phones.has_remote || !self.phones.is_empty() && self.is_local(network, source)
    }

    fn is_local(&self, network: NetworkId, source: IpAddr) -> bool {
        let source = source.to_canonical();
        let is_local = |network: &Network| {
            network.local.is_empty()
                || source.is_loopback()
                || network.local.iter().any(|prefix| prefix.contains(&source))
        };
        self.networks.get(network.index()).is_some_and(is_local)
    }
}

/// `max_contacts`; none where it is wrong, which is reported.
pub(super) fn max_contacts(section: &Section<'_, '_>, report: &mut Report) -> Option<u8> {
    let Some(value) = section.optional("max_contacts") else {
        return Some(USUAL_CONTACTS);
    };
    let DeValue::Integer(number) = value.value else {
        report.add(value.at.clone(), value.mistyped("a whole number"));
        return None;
    };
    match u8::from_str_radix(number.as_str(), number.radix()) {
        Ok(number @ 1..=MOST_CONTACTS) => Some(number),
        _ => {
            let fault = Fault::Value {
                key: value.key,
                found: shown(number.as_str()),
                expected: format!("a whole number from 1 to {MOST_CONTACTS}"),
            };
            report.add(value.at.clone(), fault);
            None
        }
    }
}

/// `remote`; none where it is wrong, which is reported.
pub(super) fn remote(section: &Section<'_, '_>, report: &mut Report) -> Option<bool> {
    let Some(value) = section.optional("remote") else {
        return Some(false);
    };
    let DeValue::Boolean(remote) = value.value else {
        let help = "`remote = true` lets the phone register from anywhere, false from the `local` prefixes of its network";
        report.add_with(
            value.at.clone(),
            value.mistyped("true or false"),
            Some(help.to_owned()),
        );
        return None;
    };
    Some(*remote)
}

/// `digest` of a network; none where it is wrong, which is reported.
pub(super) fn digest(section: &Section<'_, '_>, report: &mut Report) -> Option<Vec<Algorithm>> {
    let Some(value) = section.optional("digest") else {
        return Some(vec![Algorithm::Md5]);
    };
    let texts = value.texts("hash function such as `MD5`", report)?;
    let mut found = Vec::new();
    for text in &texts {
        // Told one by one; the whole is told of as wrong once.
        let algorithm = values::one(text, report, |text| {
            Algorithm::named(text).ok_or_else(|| Expected {
                expected: "`MD5` or `SHA-256`".to_owned(),
                help: None,
            })
        })?;
        if found.contains(&algorithm) {
            // In another case; the same spelling has been told.
            let fault = Fault::Twice {
                key: text.key,
                found: text.text.to_owned(),
            };
            report.add(text.at.clone(), fault);
            return None;
        }
        found.push(algorithm);
    }
    (!found.is_empty()).then_some(found)
}

/// What `sbc check` says of phones beside their table: who may be where, how many contacts, and what passwords are hashed with.
pub(super) fn told(config: &Config) -> Vec<String> {
    let mut told = Vec::new();
    for network in config.networks.iter().filter(|n| !n.local.is_empty()) {
        let remote: Vec<&str> = config
            .phones
            .iter()
            .filter(|phone| phone.remote)
            .map(|phone| phone.name.as_str())
            .collect();
        let prefixes: Vec<String> = network.local.iter().map(ToString::to_string).collect();
        let others = match remote.as_slice() {
            [] => String::new(),
            [one] => format!(", but phone:{one} from anywhere"),
            many if many.len() <= 6 => {
                format!(", but the phones {} from anywhere", many.join(", "))
            }
            many => format!(", but {} phones from anywhere", many.len()),
        };
        told.push(format!(
            "  Phones on network:{} register and call from {}{others}.",
            network.name,
            prefixes.join(" or ")
        ));
    }
    for phone in config
        .phones
        .iter()
        .filter(|phone| phone.max_contacts != USUAL_CONTACTS)
    {
        let contacts = match phone.max_contacts {
            1 => "one contact".to_owned(),
            number => format!("{number} contacts"),
        };
        told.push(format!(
            "  phone:{} has {contacts} at most; the oldest gives way.",
            phone.name
        ));
    }
    for network in &config.networks {
        if network.digest != [Algorithm::Md5] {
            let names: Vec<&str> = network.digest.iter().map(|a| a.name()).collect();
            told.push(format!(
                "  Phones on network:{} are asked for their passwords by {}.",
                network.name,
                names.join(", then ")
            ));
        }
    }
    told
}
