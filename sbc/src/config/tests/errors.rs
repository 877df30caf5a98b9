//! What a person reads about a file that is wrong.

use super::*;

#[test]
fn a_misspelt_trunk() {
    let text = LAB.replace("to   = [\"trunk:b\"]", "to   = [\"trunk:b0\"]");
    assert_eq!(
        errors(&text),
        "sbc.toml:33:9: error: to: there is no trunk `b0`\n\
         33 | to   = [\"trunk:b0\"]\n   \
         |         ^^^^^^^^^^\n\
         help: did you mean `trunk:b`?"
    );
}

#[test]
fn a_misspelt_key() {
    assert_eq!(
        errors("[network.a]\n  adress = [\"10.0.0.1\"]\n"),
        "sbc.toml:2:3: error: unknown key `adress` in [network.a], expected `interface`, `address`, `local`, \
         `external`, `stun`, `sip`, `media_ports`, `fast_path`, `media_timeout`, `transfers`, `methods`, `headers`, `limits`, `dscp` or `digest`\n\
         2 |   adress = [\"10.0.0.1\"]\n  \
         |   ^^^^^^\n\
         help: did you mean `address`?"
    );
}

#[test]
fn several_at_once_in_the_order_of_the_file() {
    assert_eq!(
        errors(
            "[network.a]\nsip = [\"udp:5060\", \"tls:5061\"]\naddress = [\"10.0.0.1\"]\n[trunk.t]\nserver = \"sip:sip..example.com\"\n"
        ),
        "sbc.toml:2:20: error: sip: found `tls:5061`, expected `udp` or `tcp` as transport\n\
         2 | sip = [\"udp:5060\", \"tls:5061\"]\n  \
         |                    ^^^^^^^^^^\n\
         help: `tls` is not supported\n\
         \n\
         sbc.toml:4:8: error: [trunk.t] has no `network`, which is required\n\
         4 | [trunk.t]\n  \
         |        ^\n\
         help: such as `network = \"NAME\"`\n\
         \n\
         sbc.toml:5:10: error: server: found `sip:sip..example.com`, expected an IPv4 or IPv6 address or a host name after `sip:`\n\
         5 | server = \"sip:sip..example.com\"\n  \
         |          ^^^^^^^^^^^^^^^^^^^^^^\n\
         help: between two dots of a host name is at least one character"
    );
}

#[test]
fn not_toml() {
    assert_eq!(
        errors("[network.a]\naddress = [\"10.0.0.1\" \"10.0.0.2\"]\n"),
        "sbc.toml:2:23: error: missing comma between array elements, expected `,`\n\
         2 | address = [\"10.0.0.1\" \"10.0.0.2\"]\n  \
         |                       ^"
    );
    assert_eq!(
        first("[sbc]\nname = \"x\"\nname = \"y\"\n").0,
        "f:3:1: error: duplicate key"
    );
    assert_eq!(
        first("\t\u{e4} = 1\n").0,
        "f:1:2: error: invalid unquoted key, expected letters, numbers, `-`, `_`"
    );
}

#[test]
fn one_thing_wrong_in_each() {
    let trunk = "network = \"a\"\nserver = \"sip:10.0.0.2\"\n";
    let at = |lines: &str, rest: &str| format!("{NETWORK}{lines}{rest}");
    for (text, line, help) in [
        (
            String::new(),
            "f:1:1: error: the file has no network, expected at least one `[network.NAME]`",
            "such as `[network.lan]` with `interface = \"eth0\"` below it",
        ),
        (
            "[network.a]\n".to_owned(),
            "f:1:10: error: [network.a] has neither, expected exactly one of `interface` and `address`",
            "such as `interface = \"eth0\"` or `address = [\"192.168.1.2\"]`",
        ),
        (
            at("interface = \"eth0\"\n", ""),
            "f:1:10: error: [network.a] has both, expected exactly one of `interface` and `address`",
            "such as `interface = \"eth0\"` or `address = [\"192.168.1.2\"]`",
        ),
        (
            "[network.a]\naddress = \"0.0.0.0\"\n".to_owned(),
            "f:2:11: error: address: found `0.0.0.0`, expected an address of this host",
            "name each address, or use `interface = \"NAME\"` for all of one interface",
        ),
        (
            at("sip = []\n", ""),
            "f:3:7: error: sip: found an empty list, expected at least one listener such as `udp:5060`",
            "",
        ),
        (
            at("sip = [\"udp\"]\n", ""),
            "f:3:8: error: sip: found `udp`, expected `udp:PORT` or `tcp:PORT`",
            "such as `udp:5060`",
        ),
        (
            at("sip = [\"udp:0\"]\n", ""),
            "f:3:8: error: sip: found `udp:0`, expected a port from 1 to 65535 after the `:`",
            "",
        ),
        (
            at("sip = [\"udp:5060\", \"udp:5060\"]\n", ""),
            "f:3:20: error: sip: `udp:5060` is there twice",
            "",
        ),
        (
            at("fast_path = \"nativ\"\n", ""),
            "f:3:13: error: fast_path: found `nativ`, expected `auto`, `native`, `generic` or `off`",
            "did you mean `native`?",
        ),
        (
            at("sip = [\"udp:20001\"]\n", ""),
            "f:3:7: error: SIP of network `a` on udp:20001 is among the media ports 20000-29999 of network `a`",
            "in the media range only media comes through: move the port or the range",
        ),
        (
            at(
                "",
                "[network.b]\naddress = \"10.0.0.1\"\nmedia_ports = \"30000-30999\"\n",
            ),
            "f:3:10: error: networks `a` and `b` both listen on udp:5060 at 10.0.0.1",
            "give one of them another port in `sip`",
        ),
        (
            at(
                "",
                "[network.b]\naddress = \"10.0.0.1\"\nsip = \"udp:5070\"\n",
            ),
            "f:3:10: error: networks `a` and `b` share 10.0.0.1, and their media ports 20000-29999 and 20000-29999 overlap",
            "give each its own range in `media_ports`",
        ),
        (
            at(
                "",
                "[sbc]\nadmin = \"10.0.0.1:5060\"\nadmin_token = \"token-of-this-test\"\n",
            ),
            "f:4:9: error: admin 10.0.0.1:5060 is where network `a` listens for SIP",
            "give `admin` another port",
        ),
        (
            at("", "[sbc]\nadmin = \"127.0.0.1\"\n"),
            "f:4:9: error: admin: found `127.0.0.1`, expected an address and a port such as `127.0.0.1:9960`, or a Unix socket such as `unix:/run/sbc/admin.sock`",
            "did you mean `127.0.0.1:9960`?",
        ),
        (
            at("", &format!("[trunk.\"a b\"]\n{trunk}")),
            "f:3:8: error: trunk: found the name `a b`, expected 1 to 64 of A-Z a-z 0-9 _ . + -",
            "",
        ),
        (
            at(
                "",
                "[trunk.t]\nnetwork = \"lan\"\nserver = \"sip:10.0.0.2\"\n",
            ),
            "f:4:11: error: network: there is no network `lan`",
            "there is `a`",
        ),
        (
            at("", "[trunk.t]\nnetwork = \"a\"\nserver = \"10.0.0.2\"\n"),
            "f:5:10: error: server: found `10.0.0.2`, expected `sip:ADDRESS` or `sip:NAME`, perhaps with `:PORT` and `;transport=udp` or `;transport=tcp`",
            "write `sip:10.0.0.2`",
        ),
        (
            at(
                "",
                "[trunk.t]\nnetwork = \"a\"\nserver = \"sip:10.0.0.2;transport=tls\"\n",
            ),
            "f:5:10: error: server: found `sip:10.0.0.2;transport=tls`, expected `udp` or `tcp` as transport",
            "`tls` is not supported",
        ),
        (
            at(
                "",
                "[trunk.t]\nnetwork = \"a\"\nserver = \"sip:2001:db8::1\"\n",
            ),
            "f:5:10: error: server: found `sip:2001:db8::1`, expected an IPv6 address in brackets",
            "such as `sip:[2001:db8::1]:5060`",
        ),
        (
            at(
                "",
                "[trunk.t]\nnetwork = \"a\"\nserver = \"sip:[2001:db8::1]\"\n",
            ),
            "f:5:10: error: server: found an IPv6 address, but network `a` has no IPv6 address",
            "add an address of that family to the network",
        ),
        (
            at(
                "sip = \"udp:5060\"\n",
                "[trunk.t]\nnetwork = \"a\"\nserver = \"sip:10.0.0.2;transport=tcp\"\n",
            ),
            "f:6:10: error: server: its transport is tcp, but network `a` does not listen on tcp",
            "add a listener of that transport to `sip` of the network",
        ),
        (
            at(
                "",
                "[trunk.t]\nnetwork = \"a\"\nserver = \"sip:10.0.0.1\"\n",
            ),
            "f:5:10: error: server: 10.0.0.1:5060 is the box itself, in network `a`",
            "`server` is the other side's address",
        ),
        (
            at(
                "",
                &format!("[trunk.t]\n{trunk}accept_from = [\"10.0.0.5/24\"]\n"),
            ),
            "f:6:16: error: accept_from: found `10.0.0.5/24`, expected a prefix without host bits",
            "`10.0.0.0/24` for all of it, `10.0.0.5` for the one host",
        ),
        (
            at(
                "",
                &format!(
                    "[trunk.t]\n{trunk}media_from = [\"10.0.0.1\", \"fd00::/8\", \"10.0.1.0/24\", \"10.0.2.0/24\"]\n"
                ),
            ),
            "f:6:54: error: media_from: found `10.0.2.0/24`, expected at most 2 IPv4 prefixes",
            "join them into wider prefixes",
        ),
        (
            at(
                "",
                &format!("[trunk.t]\n{trunk}media_from = \"10.0.0.5/24\"\n"),
            ),
            "f:6:14: error: media_from: found `10.0.0.5/24`, expected a prefix without host bits",
            "`10.0.0.0/24` for all of it, `10.0.0.5` for the one host",
        ),
        (
            at(
                "",
                &format!("[trunk.t]\n{trunk}codecs = [\"PCMU\", \"G72\"]\n"),
            ),
            "f:6:19: error: codecs: found `G72`, expected `G722`, `PCMU` or `PCMA`",
            "did you mean `G722`?",
        ),
        (
            at("", &format!("[trunk.t]\n{trunk}transfers = \"yes\"\n")),
            "f:6:13: error: transfers: found `yes`, expected true, false, \"here\" or \"pass\"",
            "",
        ),
        (
            at("", &format!("[trunk.t]\n{trunk}rooms = true\n")),
            "f:6:1: error: unknown key `rooms` in [trunk.t], expected `network`, `server`, `accept_from`, `media_from`, `codecs`, `dtmf`, `media_timeout`, `max_duration`, `transfers`, `methods`, `headers`, `username`, `password`, `register`, `expires`, `probe`, `max_calls`, `max_calls_per_second`, `trusted`, `style`, `from_user`, `domain` or `user_phone`",
            "",
        ),
        (
            at("", "[trunk]\nserver = \"sip:10.0.0.2\"\n"),
            "f:4:1: error: trunk.server: found a string, expected a table",
            "the keys of a trunk stand below `[trunk.NAME]`",
        ),
        (
            at("", "[phones.6001]\npassword = \"x\"\n"),
            "f:3:2: error: unknown key `phones` in the file, expected `sbc`, `network`, `trunk`, `phone`, `group`, `route`, `cdr`, `trace` or `flight_recorder`",
            "did you mean `phone`?",
        ),
        (
            at("", "[phone.6001]\n"),
            "f:3:8: error: [phone.6001] has no `password`, which is required",
            "such as `password = { env = \"NAME\" }`",
        ),
        (
            at("", "[route]\nfrom = \"phone:*\"\n"),
            "f:3:1: error: route: found a table, expected a list of tables",
            "write `[[route]]`, once for each",
        ),
        (
            at("", "[[route]]\nto = \"phone:{number}\"\n"),
            "f:3:1: error: [[route]] number 1 has no `from`, which is required",
            "such as `from = [\"phone:*\"]`",
        ),
        (
            at(
                "",
                "[[route]]\nfrom = \"phone:*\"\nto = \"phone:{nmber}\"\n",
            ),
            "f:5:6: error: to: found `phone:{nmber}`, expected `{number}`, `{digits}`, `{from}`, or a group of a regular expression, `{1}` to `{9}`",
            "did you mean `phone:{number}`?",
        ),
        (
            at(
                "",
                "[[route]]\nfrom = \"phone:*\"\nto = \"phone:{number}\"\nnumber = 911\n",
            ),
            "f:6:10: error: number: found an integer, expected a list of strings",
            "write `number = \"911\"`",
        ),
        (
            at(
                "",
                "[[route]]\nfrom = \"phone:*\"\nto = \"phone:{number}\"\nnumber = [\"6XXX\", \"6.X\"]\n",
            ),
            "f:6:19: error: number: found `6.X`, expected `.` at the end only",
            "",
        ),
    ] {
        let help = Some(help)
            .filter(|help| !help.is_empty())
            .map(str::to_owned);
        assert_eq!(first(&text), (line.to_owned(), help), "{text}");
    }
}

#[test]
fn route_names_are_unique() {
    let route = "[[route]]\nname = \"x\"\nfrom = \"phone:*\"\nto = \"phone:{number}\"\n";
    assert_eq!(
        first(&format!("{NETWORK}{route}{route}")),
        (
            "f:8:8: error: name: `x` is there twice".to_owned(),
            Some("[[route]] number 1 has this name".to_owned())
        )
    );
}

#[test]
fn at_most_twenty_are_told() {
    let text: String = (0..30).map(|n| format!("key{n} = 1\n")).collect();
    let errors = Config::parse(&text, "f", &Vault).unwrap_err();
    assert_eq!((errors.problems().len(), errors.omitted()), (20, 10));
    assert!(
        errors.to_string().ends_with("\n\n… and 10 more"),
        "{errors}"
    );
}

#[test]
fn bounds() {
    let many: String = (0..65)
        .map(|n| format!("[network.n{n}]\naddress = \"10.0.0.{n}\"\n"))
        .collect();
    assert_eq!(
        first(&many).0,
        "f:1:1: error: found 65 networks, expected at most 64"
    );
    let long = "#".repeat((8 << 20) + 1);
    assert_eq!(
        first(&long).0,
        "f:1:1: error: the file has 8388609 bytes, expected at most 8388608"
    );
    let deep = format!("a = {}", "[".repeat(10_000));
    assert!(first(&deep).0.starts_with("f:1:"));
}

#[test]
fn a_long_line_is_cut_around_the_caret() {
    let list: Vec<_> = (0..100).map(|n| format!("\"10.1.0.{n}\"")).collect();
    let text = format!("[network.a]\naddress = [{}, \"x\"]\n", list.join(", "));
    let shown = errors(&text);
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(
        lines[0],
        "sbc.toml:2:1302: error: address: found `x`, expected an IPv4 or IPv6 address"
    );
    assert!(lines[1].starts_with("2 | …"), "{shown}");
    let caret = lines[2].chars().position(|c| c == '^').unwrap();
    assert_eq!(lines[1].chars().skip(caret).collect::<String>(), "\"x\"]");
    assert!(lines[1].chars().count() < 110);
}

#[test]
fn limits_that_are_none() {
    let network =
        |limits: &str| format!("[network.a]\naddress = [\"10.0.0.1\"]\nlimits = {limits}\n");
    assert_eq!(
        errors(&network("{ requests_per_second = 0 }")),
        "sbc.toml:3:34: error: requests_per_second: found `0`, expected a whole number from 1 to 100000\n\
         3 | limits = { requests_per_second = 0 }\n  \
         |                                  ^"
    );
    let said = |limits: &str| first(&network(limits));
    assert_eq!(
        said("{ requests_per_second = 100001 }").0,
        "f:3:34: error: requests_per_second: found `100001`, expected a whole number from 1 to 100000"
    );
    assert_eq!(
        said("{ requests_per_second = \"50\" }").0,
        "f:3:34: error: requests_per_second: found a string, expected a whole number"
    );
    assert_eq!(
        said("{ ban = \"10 minutes\" }").0,
        "f:3:18: error: ban: found `10 minutes`, expected a duration from `1s` to `365d`, such as `10m`"
    );
    let both = errors(&network("{ requests_per_second = 0, ban = \"x\" }"));
    assert!(
        both.contains("3:34: error: requests_per_second")
            && both.contains("3:43: error: ban: found `x`"),
        "{both}"
    );
    let (what, help) = said("{ bann = \"10m\" }");
    assert_eq!(
        what,
        "f:3:12: error: unknown key `bann` in `limits`, expected `requests_per_second` or `ban`"
    );
    assert_eq!(help.unwrap(), "did you mean `ban`?");
    let (what, help) = said("50");
    assert_eq!(
        what,
        "f:3:10: error: limits: found an integer, expected a table"
    );
    assert_eq!(
        help.unwrap(),
        "such as `limits = { requests_per_second = 50, ban = \"10m\" }`"
    );
}

#[test]
fn limits_are_read() {
    let text = "[network.a]\naddress = [\"10.0.0.1\"]\nlimits = { requests_per_second = 7, ban = \"2h\" }\n";
    let limits = Config::parse(text, "f", &Vault).unwrap().networks[0].limits;
    assert_eq!(
        (limits.requests_per_second, limits.ban.as_secs()),
        (7, 7200)
    );
    assert_eq!((limits.strangers(), limits.known()), (280, 1400));
    let text = text.replace("requests_per_second = 7, ", "");
    let limits = Config::parse(&text, "f", &Vault).unwrap().networks[0].limits;
    assert_eq!(limits.requests_per_second, 50);
}
