//! The keys of each section: the one list that the reader knows keys by and that the reference (`docs/config.md`, `sbc.toml(5)`)
//! is made of. A key that is not described here cannot be read.

mod cdr;
mod flight_recorder;
mod network;
mod phone;
mod reference;
mod routes;
mod sbc;
#[cfg(test)]
mod tests;
mod trace;
mod trunk;

pub use reference::reference;

pub(super) use cdr::CDR;
pub(super) use flight_recorder::FLIGHT_RECORDER;
pub(super) use network::{DSCP, LIMITS, NETWORK};
pub(super) use phone::PHONE;
pub(super) use routes::{GROUP, MEMBER, NUMBER, ROUTE, WHEN};
pub(super) use sbc::{ROOT, SBC, SECRET};
pub(super) use trace::TRACE;
pub(super) use trunk::TRUNK;

/// One key of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// As the file has it.
    pub name: &'static str,
    /// What holds where it is not there.
    pub usual: Usual,
    /// A value, as TOML.
    pub example: &'static str,
    /// Which values it takes: a phrase, in Markdown.
    pub takes: &'static str,
    /// What it does: sentences, in Markdown.
    pub about: &'static str,
    /// A reload refuses another value.
    pub wants_restart: bool,
}

/// What holds where a key is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usual {
    /// It has to be there.
    Required,
    /// The same as with this value, as TOML.
    Value(&'static str),
    /// What no value stands for: a phrase, in Markdown.
    Words(&'static str),
}

/// A table of the file.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// `[network.NAME]`, or what the table belongs to; in Markdown.
    pub heading: &'static str,
    /// What it is for, in Markdown.
    pub about: &'static str,
    /// In the order that they are told in.
    pub keys: &'static [Key],
}

/// All tables, in the order that they are told in.
pub const SECTIONS: &[Described] = &[
    Described {
        heading: "`[sbc]`",
        about: "The box itself. The whole section may be left out.",
        keys: SBC,
    },
    Described {
        heading: "`[network.NAME]`",
        about: "A side of the box: its addresses there, and what holds for everybody on it. At least one, 64 at most; most boxes have one or two.",
        keys: NETWORK,
    },
    Described {
        heading: "`limits` of a network",
        about: "`limits = { requests_per_second = 50, ban = \"10m\" }`: how much SIP a stranger may send, and how long bans last.",
        keys: LIMITS,
    },
    Described {
        heading: "`dscp` of a network",
        about: "`dscp = { sip = \"CS3\", media = \"EF\" }`: how what leaves is marked (RFC 2474): `CS0` to `CS7`, `AF11` to `AF43`, `EF`, `VA`, `LE`, or a number from 0 to 63.",
        keys: DSCP,
    },
    Described {
        heading: "`[trunk.NAME]`",
        about: "A SIP server at a known place: a carrier, or a PBX. It is recognised by its source address. 4,096 at most.",
        keys: TRUNK,
    },
    Described {
        heading: "`[phone.NAME]`",
        about: "A local account: `NAME` is the user name that its devices register with, and the number that reaches them by `phone:{number}`.",
        keys: PHONE,
    },
    Described {
        heading: "`[group.NAME]`",
        about: "Phones that ring together, or trunks that share a load. In `to` of a route it is `group:NAME`.",
        keys: GROUP,
    },
    Described {
        heading: "`members` of a group",
        about: "A member is a text, `\"phone:6001\"`, or a table, `{ target = \"trunk:b\", weight = 3 }`.",
        keys: MEMBER,
    },
    Described {
        heading: "`[[route]]`",
        about: "Who calls what number, and where that leads. Routes are read from the top: the first that is for the caller, the number and the time decides, \
                and none after it. `sbc explain` tells which one that is, and why.",
        keys: ROUTE,
    },
    Described {
        heading: "`number` of a route",
        about: "In place of patterns `number = { file = \"/etc/sbc/prefixes.csv\" }`: a table of prefixes ([its lines](routes.md#tables)).",
        keys: NUMBER,
    },
    Described {
        heading: "`when` of a route",
        about: "`when = { days = [\"mon-fri\"], hours = \"08:00-18:00\", zone = \"Europe/Zurich\" }`: at least one of `days` and `hours`. Lists are “or”.",
        keys: WHEN,
    },
    Described {
        heading: "`[cdr]`",
        about: "A record of each call attempt ([what is in it](records.md)). At least one of `json`, `csv` and `webhook`; without the section no records are made.",
        keys: CDR,
    },
    Described {
        heading: "`[trace]`",
        about: "What is kept of each call attempt for `sbc trace` ([what it shows](trace.md)). The whole section may be left out.",
        keys: TRACE,
    },
    Described {
        heading: "`[flight_recorder]`",
        about: "The last packets of each flow are kept for `sbc record` ([how](flight-recorder.md)). Without the section nothing of them is.",
        keys: FLIGHT_RECORDER,
    },
    Described {
        heading: "Secrets",
        about: "A password or a token is a text, `{ env = \"NAME\" }` or `{ file = \"PATH\" }`. What they hold stands in no log, answer or error. One line, 256 bytes at most.",
        keys: SECRET,
    },
];

/// Whether these are the keys of a table that is described.
pub(super) fn is_described(keys: &[Key]) -> bool {
    keys == ROOT || SECTIONS.iter().any(|section| section.keys == keys)
}

impl Key {
    const fn new(
        name: &'static str,
        usual: Usual,
        example: &'static str,
        takes: &'static str,
        about: &'static str,
    ) -> Key {
        Key {
            name,
            usual,
            example,
            takes,
            about,
            wants_restart: false,
        }
    }

    /// One that has to be there.
    const fn required(
        name: &'static str,
        example: &'static str,
        takes: &'static str,
        about: &'static str,
    ) -> Key {
        Key::new(name, Usual::Required, example, takes, about)
    }

    /// One that may be left out, which is the same as this value.
    const fn usual(
        name: &'static str,
        usual: &'static str,
        example: &'static str,
        takes: &'static str,
        about: &'static str,
    ) -> Key {
        Key::new(name, Usual::Value(usual), example, takes, about)
    }

    /// One that may be left out, which is no value.
    const fn optional(
        name: &'static str,
        without: &'static str,
        example: &'static str,
        takes: &'static str,
        about: &'static str,
    ) -> Key {
        Key::new(name, Usual::Words(without), example, takes, about)
    }

    /// A reload refuses another value.
    const fn wants_restart(self) -> Key {
        Key {
            wants_restart: true,
            ..self
        }
    }
}
