//! What is a phone's alone: `max_contacts`, `remote`; and `digest` of its network.

use super::*;
use crate::sip::digest::Algorithm;

fn phone(keys: &str) -> String {
    format!("{NETWORK}[phone.6001]\npassword = \"x\"\n{keys}\n")
}

fn network(digest: &str) -> String {
    format!("{NETWORK}digest = {digest}\n")
}

#[test]
fn a_phone_has_four_contacts_and_is_local_unless_it_says_otherwise() {
    let read = |keys: &str| {
        let config = Config::parse(&phone(keys), "f", &Vault).unwrap();
        (config.phones[0].max_contacts, config.phones[0].remote)
    };
    assert_eq!(read(""), (4, false));
    assert_eq!(read("max_contacts = 1\nremote = true"), (1, true));
    assert_eq!(read("max_contacts = 0x10\nremote = false"), (16, false));
}

#[test]
fn what_a_phone_cannot_have() {
    for number in ["0", "17", "-1", "256"] {
        let (what, _) = first(&phone(&format!("max_contacts = {number}")));
        assert_eq!(
            what,
            format!(
                "f:5:16: error: max_contacts: found `{number}`, expected a whole number from 1 to 16"
            )
        );
    }
    let (what, _) = first(&phone("max_contacts = \"1\""));
    assert_eq!(
        what,
        "f:5:16: error: max_contacts: found a string, expected a whole number"
    );
    let (what, help) = first(&phone("remote = \"yes\""));
    assert_eq!(
        what,
        "f:5:10: error: remote: found a string, expected true or false"
    );
    assert_eq!(
        help.unwrap(),
        "`remote = true` lets the phone register from anywhere, false from the `local` prefixes of its network"
    );
    let (what, help) = first(&phone("max_contact = 1"));
    assert!(
        what.contains("unknown key `max_contact` in [phone.6001]"),
        "{what}"
    );
    assert_eq!(help.unwrap(), "did you mean `max_contacts`?");
}

#[test]
fn a_network_has_one_hash_function_or_two() {
    let read = |digest: &str| {
        let config = Config::parse(&network(digest), "f", &Vault);
        config.unwrap().networks[0].digest.clone()
    };
    let (md5, sha) = (Algorithm::Md5, Algorithm::Sha256);
    assert_eq!(read("\"MD5\""), [md5]);
    assert_eq!(read("[\"sha-256\", \"MD5\"]"), [sha, md5]);
    let usual = Config::parse(NETWORK, "f", &Vault).unwrap();
    assert_eq!(usual.networks[0].digest, [md5]);
    let (what, _) = first(&network("[\"SHA-512\"]"));
    assert_eq!(
        what,
        "f:3:11: error: digest: found `SHA-512`, expected `MD5` or `SHA-256`"
    );
    let (what, _) = first(&network("[\"MD5\", \"md5\"]"));
    assert_eq!(what, "f:3:18: error: digest: `md5` is there twice");
    let (what, _) = first(&network("[]"));
    assert!(what.contains("f:3:10: error: digest"), "{what}");
}

#[test]
fn what_is_unusual_of_phones_is_told() {
    let mut config = Config::parse(&phone(""), "f", &Vault).unwrap();
    let usual = describe(&config);
    for word in ["contact", "anywhere", "asked for their passwords"] {
        assert!(!usual.contains(word), "{usual}");
    }
    let text = phone("max_contacts = 1\nremote = true").replace(
        "[phone",
        "digest = [\"SHA-256\", \"MD5\"]\n[phone.6002]\npassword = \"x\"\n[phone",
    );
    config = Config::parse(&text, "f", &Vault).unwrap();
    config.networks[0].local = vec!["192.168.0.0/16".parse().unwrap()];
    let told = describe(&config);
    for line in [
        "  Phones on network:a register and call from 192.168.0.0/16, but phone:6001 from",
        "  phone:6001 has one contact at most; the oldest gives way.",
        "  Phones on network:a are asked for their passwords by SHA-256, then MD5.",
    ] {
        assert!(told.contains(line), "{told}");
    }
}

#[test]
fn phones_are_found_by_name_however_many_there_are() {
    let mut text = NETWORK.to_owned();
    for number in 10_000..30_000 {
        text += &format!("[phone.{number}]\npassword = \"x\"\n");
    }
    let config = Config::parse(&text, "f", &Vault).unwrap();
    assert_eq!(config.phone_named("10000"), Some(PhoneId(0)));
    assert_eq!(config.phone_named("29999"), Some(PhoneId(19_999)));
    assert_eq!(config.phone_named("30000"), None);
}
