//! `[phone.NAME]`.

use super::Key;

pub(in crate::config) const PHONE: &[Key] = &[
    Key::required(
        "password",
        "{ env = \"PHONE_6001\" }",
        "a secret",
        "What it registers and calls with.",
    ),
    Key::optional(
        "name",
        "the caller is a number alone",
        "\"Living Room\"",
        "a text",
        "The name that others see when it calls.",
    ),
    Key::usual(
        "max_contacts",
        "4",
        "1",
        "1 to 16",
        "Devices that are registered at a time, which all ring. The oldest gives way.",
    ),
    Key::usual(
        "remote",
        "false",
        "true",
        "`true` or `false`",
        "It may register and call from anywhere. Without it: from `local` of a network, or from anywhere on a network without `local`.",
    ),
    Key::usual(
        "codecs",
        "[\"G722\", \"PCMU\", \"PCMA\"]",
        "[\"G722\", \"PCMU\"]",
        "`G722`, `PCMU`, `PCMA`, the best first",
        "What it is offered and what is taken from it.",
    ),
    Key::usual(
        "dtmf",
        "\"rtp\"",
        "\"inband\"",
        "`\"rtp\"` (RFC 4733), `\"info\"` (SIP INFO) or `\"inband\"` (tones)",
        "In which form it sends [keys](calls.md#keys), and gets those of the other side.",
    ),
    Key::optional(
        "media_timeout",
        "what its network says",
        "\"off\"",
        "a duration from `1s` to `365d`, or `\"off\"`",
        "No packet from it for so long, and nobody on hold: [the call ends](calls.md#media-that-stops).",
    ),
    Key::optional(
        "transfers",
        "what its network says, else `true`",
        "false",
        "`false`, `true` (or `\"here\"`) or `\"pass\"`",
        "What becomes of its REFER.",
    ),
    Key::optional(
        "methods",
        "what its network says",
        "[]",
        "up to 32 names of methods, or none",
        "Which requests pass inside its calls.",
    ),
    Key::optional(
        "headers",
        "what its network says",
        "[]",
        "up to 32 names of headers, or none",
        "Which headers pass from it and to it, beside the usual ones.",
    ),
    Key::usual(
        "probe",
        "\"off\"",
        "\"30s\"",
        "`\"off\"`, or a duration from `5s` to `1h`",
        "Each of its contacts is asked by OPTIONS whether it is there, and is not called until it answers. Keeps the way through a NAT open, too; a mobile phone that sleeps does not answer.",
    ),
    Key::usual(
        "direct_media",
        "false",
        "true",
        "`true` or `false`",
        "Its media may go [past the box](calls.md#media-past-the-box), to another phone that has this.",
    ),
];
