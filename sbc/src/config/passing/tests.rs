use super::super::{NoSecrets, describe};
use super::*;

fn config(network: &str, trunk: &str, phone: &str) -> Result<Config, String> {
    let text = format!(
        "[network.a]\naddress = [\"10.0.0.1\"]\n{network}\n\
         [trunk.t]\nnetwork = \"a\"\nserver = \"sip:10.0.0.9\"\n{trunk}\n\
         [phone.6001]\npassword = \"x\"\n{phone}\n"
    );
    Config::parse(&text, "f", &NoSecrets).map_err(|errors| errors.to_string())
}

fn good(network: &str, trunk: &str, phone: &str) -> Config {
    config(network, trunk, phone).unwrap_or_else(|error| panic!("{error}"))
}

fn phone_peer() -> Peer {
    Peer {
        trunk: None,
        phone: Some(PhoneId(0)),
        network: NetworkId(0),
    }
}

#[test]
fn the_nearest_section_that_says_something_decides() {
    let of = |network: &str, trunk: &str, phone: &str| {
        let config = good(network, trunk, phone);
        let (trunk, phone) = (config.trunk_passes(TrunkId(0)), config.passes(phone_peer()));
        let takes = [trunk, phone].map(|passes| passes.takes("INFO"));
        ([trunk.transfers, phone.transfers], takes)
    };
    let (no, here, pass) = (Transfers::No, Transfers::Here, Transfers::Pass);
    assert_eq!(of("", "", ""), ([no, here], [true, true]));
    assert_eq!(
        of("", "transfers = true", "transfers = false"),
        ([here, no], [true, true])
    );
    assert_eq!(
        of("transfers = \"pass\"", "transfers = \"here\"", ""),
        ([here, pass], [true, true])
    );
    assert_eq!(
        of("methods = []", "methods = [\"INFO\"]", ""),
        ([no, here], [true, false])
    );
}

#[test]
fn methods_and_headers_go_by_their_names() {
    let config = good(
        "",
        "methods = [\"INFO\", \"X-PING\"]\nheaders = [\"X-Account\", \"p-asserted-identity\"]",
        "headers = [\"*\"]",
    );
    let trunk = config.trunk_passes(TrunkId(0));
    let takes = ["INFO", "X-PING", "x-ping", "MESSAGE"].map(|method| trunk.takes(method));
    assert_eq!(takes, [true, true, false, false]);
    let headers = trunk.headers.unwrap();
    assert!(!headers.unknown);
    assert!(headers.names(Name::Other, "x-account"));
    assert!(headers.names(Name::PAssertedIdentity, "P-Asserted-Identity"));
    assert!(!headers.names(Name::Other, "X-Else") && !headers.names(Name::Diversion, "Diversion"));
    assert!(config.passes(phone_peer()).headers.unwrap().unknown);
}

#[test]
fn what_cannot_pass_is_told_with_the_reason() {
    for (key, said) in [
        (
            "methods = [\"info\"]",
            "methods are case-sensitive: write `INFO`",
        ),
        ("methods = [\"UPDATE\"]", "the box itself answers UPDATE"),
        (
            "methods = [\"REFER\"]",
            "`transfers` says what becomes of REFER",
        ),
        ("methods = [\"A B\"]", "expected the name of a method"),
        ("methods = [\"INFO\", \"INFO\"]", "`INFO` is there twice"),
        ("headers = [\"Via\"]", "it belongs to one leg"),
        ("headers = [\"v\"]", "it belongs to one leg"),
        ("headers = [\"Call-ID\"]", "it belongs to one leg"),
        (
            "headers = [\"Session-Expires\"]",
            "a session timer of its own",
        ),
        ("headers = [\"Authorization\"]", "on each side alone"),
        ("headers = [\"Refer-To\"]", "`transfers = \"pass\"`"),
        ("headers = [\"X-A\", \"x-a\"]", "`x-a` is there twice"),
        ("headers = [\"X-*\"]", "expected the name of a header"),
        ("headers = 5", "expected a list of strings"),
        (
            "transfers = \"true\"",
            "write `transfers = true`, without quotation marks",
        ),
        (
            "transfers = 1",
            "expected true, false, \"here\" or \"pass\"",
        ),
        ("method = [\"INFO\"]", "did you mean `methods`?"),
    ] {
        for (trunk, phone) in [(key, ""), ("", key)] {
            let error = config("", trunk, phone).unwrap_err();
            assert!(error.contains(said), "{key}: {error}");
        }
        let error = config(key, "", "").unwrap_err();
        assert!(error.contains(said), "{key}: {error}");
    }
    let many: Vec<_> = (0..33).map(|n| format!("\"X-{n}\"")).collect();
    let error = config("", &format!("headers = [{}]", many.join(", ")), "").unwrap_err();
    assert!(
        error.contains("found `33 names`, expected at most 32"),
        "{error}"
    );
    let all = "transfers = \"pas\"\nmethods = [\"BYE\"]\nheaders = [\"Via\"]\n";
    let error = config("", all, "").unwrap_err();
    assert_eq!(error.matches("error: ").count(), 3, "{error}");
}

#[test]
fn check_tells_what_differs_from_the_default() {
    let quiet = describe(&good("", "headers = [\"*\"]", ""));
    for word in ["REFER", "pass", "transfer"] {
        assert!(!quiet.contains(word), "{quiet}");
    }
    let told = describe(&good(
        "transfers = \"pass\"\nheaders = []",
        "transfers = true\nmethods = [\"INFO\", \"X-PING\"]\nheaders = [\"*\", \"Diversion\"]",
        "transfers = false\nmethods = []",
    ));
    let told = told.replace("\n  ", " ");
    for line in [
        "trunk:t may transfer its calls, to where its routes lead.\n",
        "Inside calls of trunk:t requests of these methods pass: INFO, X-PING.\n",
        "From and to trunk:t these headers pass beside the usual ones: all unknown ones, Diversion.\n",
        "REFER of phones on a goes on to the other party of its call, who calls the target by its own routes.\n",
        "From and to phones on a no headers pass but the usual ones.\n",
        "No transfer by phone:6001: REFER is refused.\n",
        "Inside calls of phone:6001 no requests pass, INFO neither.\n",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }
}
