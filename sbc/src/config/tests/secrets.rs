//! Passwords: where they come from, and that nobody sees them.

use super::*;

#[test]
fn secrets_may_be_elsewhere() {
    let password = |value: &str| {
        let text = format!("{NETWORK}[phone.1]\npassword = {value}\n");
        Config::parse(&text, "f", &Vault)
            .map(|config| config.phones[0].password.reveal().to_owned())
            .map_err(|errors| errors.problems().last().unwrap().fault.to_string())
    };
    assert_eq!(password("\"plain\""), Ok("plain".to_owned()));
    assert_eq!(password("{ env = \"GOOD\" }"), Ok("from-env".to_owned()));
    assert_eq!(password("{ file = \"/good\" }"), Ok("from-file".to_owned()));
    for (value, error) in [
        ("\"\"", "password: the text is empty"),
        (
            "{ env = \"NONE\" }",
            "password: environment variable `NONE` does not exist",
        ),
        (
            "{ env = \"EMPTY\" }",
            "password: environment variable `EMPTY` is empty",
        ),
        (
            "{ file = \"/closed\" }",
            "password: file `/closed` cannot be read: permission denied",
        ),
        (
            "{ file = \"/lines\" }",
            "password: file `/lines` holds more than one line or a control character",
        ),
        (
            "1234",
            "password: found an integer, expected a string, `{ env = \"NAME\" }` or `{ file = \"PATH\" }`",
        ),
        (
            "{ environment = \"GOOD\" }",
            "unknown key `environment` in `password`, expected `env` or `file`",
        ),
    ] {
        assert_eq!(password(value), Err(error.to_owned()));
    }
}

#[test]
fn a_trunk_has_a_username_and_a_password_or_neither() {
    let credentials = |keys: &str| {
        let trunk = "[trunk.t]\nnetwork = \"a\"\nserver = \"sip:10.0.0.9\"\n";
        Config::parse(&format!("{NETWORK}{trunk}{keys}"), "f", &Vault)
            .map(|config| {
                let found = config.trunks[0].credentials.clone();
                found.map(|c| (c.username, c.password.reveal().to_owned()))
            })
            .map_err(|errors| errors.problems().last().unwrap().fault.to_string())
    };
    let found = |name: &str, password: &str| Ok(Some((name.to_owned(), password.to_owned())));
    assert_eq!(credentials(""), Ok(None));
    assert_eq!(
        credentials("username = \"555\"\npassword = { env = \"GOOD\" }\n"),
        found("555", "from-env")
    );
    for (keys, error) in [
        ("username = \"555\"\n", "no `password`"),
        ("password = \"x\"\n", "no `username`"),
        (
            "username = \"a\\\"b\"\npassword = \"x\"\n",
            "quotation marks",
        ),
        ("username = \"\"\npassword = \"x\"\n", "1 to 128 characters"),
    ] {
        let told = credentials(keys).unwrap_err();
        assert!(told.contains(error), "{told}");
    }
}

#[test]
fn a_secret_is_never_shown() {
    for phone in [
        "[phone.1]\npassword = s3cret\n",
        "[phone.1]\npassword = \"s3cret\n",
        "[phone.1]\npassword = \"ab\"s3cret\"\n",
        "[phone.1]\npassword =\n\"s3cret\"\n",
        "[phone.1]\npassword = \"\\q s3cret\"\n",
        "[phone.1]\npassword = \"s3cret\"\npassword = \"s3cret\"\n",
        "[phone.1]\npasswort = \"s3cret\"\n",
        "[phone.1]\npw = \"s3cret\"\n",
        "[phone.1]\n\"pass\".word = \"s3cret\"\n",
        "[phone]\n1 = \"s3cret\"\n",
        "[phone]\n1 = { password = \"s3cret\", nam = \"x\" }\n",
        "[phone]\n1 = { name = \"x, password = \"s3cret\" }\n",
        "[phone.1]\npassword = \"\"\"\na\n\\q s3cret\"\"\"\n",
        "[phone.1]\npassword = { value = \"s3cret\" }\n",
        "[phone.1]\npassword = [\"s3cret\"]\n",
        "[phone.1]\npassword = \"s3cret\\u0000\"\n",
        "[phone.1]\npassword = { file = \"/lines\" }\n",
        "[phone.1]\npassword = \"s3cret\" name = \"x\"\n",
        "[phone.1'password = \"s3cret\"\n",
        "[phone.1] # password = \"s3cret\"\n",
        "[phone.1]\nname = \"\"\"a\npassword = s3cret\n\"\"\"\npassword = 1\n",
    ] {
        let errors = Config::parse(&format!("{NETWORK}{phone}"), "f", &Vault).unwrap_err();
        assert!(!errors.to_string().contains("s3cret"), "{errors}");
        assert!(!format!("{errors:?}").contains("s3cret"), "{errors:?}");
    }
    let config = Config::parse(
        &format!("{NETWORK}[phone.1]\npassword = \"s3cret\"\n"),
        "f",
        &Vault,
    )
    .unwrap();
    assert!(!format!("{config:?}").contains("s3cret"));
    assert!(!describe(&config).contains("s3cret"));
}
