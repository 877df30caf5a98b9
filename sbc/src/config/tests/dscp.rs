//! `dscp` of a network.

use super::*;

fn network(dscp: &str) -> String {
    format!("[network.a]\naddress = [\"10.0.0.1\"]\ndscp = {dscp}\n")
}

fn read(dscp: &str) -> (u8, u8) {
    let dscp = Config::parse(&network(dscp), "f", &Vault).unwrap().networks[0].dscp;
    (dscp.sip, dscp.media)
}

#[test]
fn marks_are_read_by_name_and_number() {
    assert_eq!(read("{ sip = \"CS5\", media = \"AF41\" }"), (40, 34));
    assert_eq!(read("{ media = 0x2d }"), (24, 45));
    assert_eq!(read("{ sip = 0 }"), (0, 46));
    assert_eq!(read("{}"), (24, 46));
}

#[test]
fn marks_that_are_none() {
    assert_eq!(
        errors(&network("{ sip = \"CS9\" }")),
        "sbc.toml:3:16: error: sip: found `CS9`, expected `CS0` to `CS7`, `AF11` to `AF43`, `EF`, `VA`, `LE`, or a number from 0 to 63\n\
         3 | dscp = { sip = \"CS9\" }\n  \
         |                ^^^^^"
    );
    let both = errors(&network("{ sip = 64, media = -1 }"));
    assert!(
        both.contains("3:16: error: sip: found `64`") && both.contains("error: media: found `-1`"),
        "{both}"
    );
    let (what, help) = first(&network("\"EF\""));
    assert_eq!(what, "f:3:8: error: dscp: found a string, expected a table");
    assert_eq!(
        help.unwrap(),
        "such as `dscp = { sip = \"CS3\", media = \"EF\" }`"
    );
    let (what, help) = first(&network("{ medai = \"EF\" }"));
    assert_eq!(
        what,
        "f:3:10: error: unknown key `medai` in `dscp`, expected `sip` or `media`"
    );
    assert_eq!(help.unwrap(), "did you mean `media`?");
}

#[test]
fn unusual_marks_are_told() {
    let told = |dscp: &str| describe(&Config::parse(&network(dscp), "f", &Vault).unwrap());
    assert!(!told("{ sip = \"CS3\", media = \"EF\" }").contains("DSCP"));
    let line = "\n  What leaves network:a has DSCP CS3 (SIP) and 45 (media).\n";
    assert!(told("{ media = 45 }").contains(line));
}
