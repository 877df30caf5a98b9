//! `direct_media = true` of a phone: it may send its media to another phone that has it, past the box.

use std::net::IpAddr;

use toml::de::DeValue;

use super::error::Report;
use super::model::{Config, Network};
use super::reader::Section;

/// What the section says; `None` where it is wrong, which is reported.
pub(super) fn read(phone: &Section<'_, '_>, report: &mut Report) -> Option<bool> {
    let Some(value) = phone.optional("direct_media") else {
        return Some(false);
    };
    if let DeValue::Boolean(direct) = value.value {
        return Some(*direct);
    }
    let help = match value.value {
        DeValue::String(text) if matches!(text.as_ref(), "true" | "false") => Some(format!(
            "write `direct_media = {text}`, without quotation marks"
        )),
        _ => None,
    };
    report.add_with(value.at.clone(), value.mistyped("true or false"), help);
    None
}

impl Network {
    /// Whether a peer is local to it: anybody, where `local` says nothing.
    #[must_use]
    pub fn has_local(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.local.is_empty() || self.local.iter().any(|net| net.contains(&peer))
    }
}

/// What `check` says of it.
pub(super) fn told(config: &Config) -> Option<String> {
    let phones = config.phones.iter().filter(|phone| phone.direct_media);
    let names: Vec<_> = phones
        .map(|phone| format!("phone:{}", phone.name))
        .collect();
    match names.as_slice() {
        [] => None,
        [one] => Some(format!(
            "{one} has direct_media, but no other phone has: all media goes through the box."
        )),
        all => Some(format!(
            "Media between two of these on one network and without a NAT does not go through the box: {}.",
            all.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, NoSecrets, describe};

    fn parse(first: &str, second: &str) -> Result<Config, String> {
        let text = format!(
            "[network.a]\naddress = [\"192.0.2.1\"]\n\
             [phone.1]\npassword = \"x\"\n{first}\n[phone.2]\npassword = \"x\"\n{second}\n"
        );
        Config::parse(&text, "t.toml", &NoSecrets).map_err(|errors| errors.to_string())
    }

    #[test]
    fn it_is_read_and_told() {
        let on = "direct_media = true";
        let told = |first, second| describe(&parse(first, second).unwrap()).replace('\n', " ");
        assert!(!told("", "direct_media = false").contains("direct_media"));
        assert!(told(on, "").contains("phone:1 has direct_media, but no other phone has"));
        assert!(told(on, on).contains("phone:1, phone:2."));
        assert!(parse(on, "").unwrap().phones[0].direct_media);
        let wrong = parse("direct_media = \"true\"", "").unwrap_err();
        assert!(wrong.contains("without quotation marks"), "{wrong}");
    }

    #[test]
    fn who_is_local() {
        let mut config = parse("", "").unwrap();
        let [near, far] = ["192.168.1.7", "203.0.113.7"].map(|ip| ip.parse().unwrap());
        let network = &mut config.networks[0];
        assert!(network.has_local(near) && network.has_local(far));
        network.local = vec!["192.168.0.0/16".parse().unwrap()];
        assert!(network.has_local(near) && !network.has_local(far));
    }
}
