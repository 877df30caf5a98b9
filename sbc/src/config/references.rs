//! How one section names another: `trunk:NAME`, `phone:NAME`, `group:NAME`.

use std::collections::HashMap;

use super::error::{Fault, Report, nearest, shown};
use super::model::{From, GroupId, MemberTarget, NetworkId, PhoneId, Target, TrunkId};
use super::reader::{Named, Text, alternatives};
use super::route_values;
use super::template::Template;
use super::values::{self, Expected};

const FROM: [&str; 5] = [
    "trunk:NAME",
    "phone:NAME",
    "phone:*",
    "phones:NETWORK",
    "network:NAME",
];
const TARGETS: [&str; 5] = [
    "trunk:NAME",
    "phone:NAME",
    "phone:{number}",
    "group:NAME",
    "reject:CODE",
];
const MEMBERS: [&str; 2] = ["trunk:NAME", "phone:NAME"];

/// One entry of `from`.
pub(super) fn from(text: &Text<'_>, names: &Names<'_>, report: &mut Report) -> Option<From> {
    match text.text.split_once(':') {
        Some(("phone", "*")) => Some(From::AnyPhone),
        Some(("trunk", name)) => names.trunk(text, name, report).map(From::Trunk),
        Some((kind @ ("phones" | "network"), name)) if name != "*" => {
            let id = names
                .networks
                .find(text, name, report, |near| format!("{kind}:{near}"))
                .map(NetworkId)?;
            Some(match kind {
                "phones" => From::PhonesOn(id),
                _ => From::Network(id),
            })
        }
        Some(("phone", name)) if !name.starts_with('{') => {
            names.phone(text, name, report).map(From::Phone)
        }
        Some((_, name)) if name == "*" || name.starts_with('{') => {
            unknown(text, names, &FROM, Some("phone:*"), report)
        }
        _ => unknown(text, names, &FROM, None, report),
    }
}

/// One entry of `to`.
pub(super) fn target(text: &Text<'_>, names: &Names<'_>, report: &mut Report) -> Option<Target> {
    match text.text.split_once(':') {
        Some(("phone", template)) if template.contains(['{', '}']) => {
            let template = route_values::template(template).map_err(|fault| Expected {
                help: fault.help.map(|help| help.replace("`{", "`phone:{")),
                ..fault
            });
            values::one(text, report, |_| template).map(Target::DialledPhone)
        }
        Some((_, name)) if name.starts_with('{') => {
            let meant = Template::parse(name).is_ok();
            let meant = meant.then(|| format!("phone:{name}"));
            unknown(text, names, &TARGETS, meant.as_deref(), report)
        }
        Some(("trunk", name)) => names.trunk(text, name, report).map(Target::Trunk),
        Some(("phone", name)) => names.phone(text, name, report).map(Target::Phone),
        Some(("group", name)) => names
            .groups
            .find(text, name, report, |near| format!("group:{near}"))
            .map(|id| Target::Group(GroupId(id))),
        Some(("reject", code)) => {
            values::one(text, report, |_| route_values::failure_code(code)).map(Target::Reject)
        }
        _ => unknown(text, names, &TARGETS, None, report),
    }
}

/// One entry of `members`.
pub(super) fn member(
    text: &Text<'_>,
    names: &Names<'_>,
    report: &mut Report,
) -> Option<MemberTarget> {
    match text.text.split_once(':') {
        Some(("trunk", name)) => names.trunk(text, name, report).map(MemberTarget::Trunk),
        Some(("phone", name)) => names.phone(text, name, report).map(MemberTarget::Phone),
        _ => unknown(text, names, &MEMBERS, None, report),
    }
}

/// Reports what is of no kind that may stand there; suggests the one that has its name, or a kind of nearly its spelling.
fn unknown<T>(
    text: &Text<'_>,
    names: &Names<'_>,
    expected: &[&str],
    meant: Option<&str>,
    report: &mut Report,
) -> Option<T> {
    let fault = Fault::Value {
        key: text.key,
        found: shown(text.text),
        expected: alternatives(expected),
    };
    let (kind, name) = match text.text.split_once(':') {
        Some((kind, name)) => (Some(kind), name),
        None => (None, text.text),
    };
    let known = [
        ("trunk", &names.trunks),
        ("phone", &names.phones),
        ("group", &names.groups),
        ("network", &names.networks),
    ];
    let may_be = |as_kind: &str| {
        let allowed = expected
            .iter()
            .any(|known| known.split(':').next() == Some(as_kind));
        allowed && kind.is_none_or(|kind| nearest(kind, [as_kind]).is_some())
    };
    let suggestion = match meant {
        Some(meant) => Some(meant.to_owned()),
        None => known
            .iter()
            .find(|(as_kind, index)| may_be(as_kind) && index.ids.contains_key(name))
            .map(|(as_kind, _)| format!("{as_kind}:{name}")),
    };
    let help = suggestion.map(|suggestion| format!("did you mean `{}`?", shown(&suggestion)));
    report.add_with(text.at.clone(), fault, help);
    None
}

/// What other sections may refer to, whether or not it could be read.
pub(super) struct Names<'d> {
    pub(super) networks: Index<'d>,
    trunks: Index<'d>,
    phones: Index<'d>,
    groups: Index<'d>,
}

impl<'d> Names<'d> {
    pub(super) fn new(
        networks: &[Named<'d, '_>],
        trunks: &[Named<'d, '_>],
        phones: &[Named<'d, '_>],
        groups: &[Named<'d, '_>],
    ) -> Self {
        Names {
            networks: Index::new("network", networks),
            trunks: Index::new("trunk", trunks),
            phones: Index::new("phone", phones),
            groups: Index::new("group", groups),
        }
    }
}

impl Names<'_> {
    fn trunk(&self, text: &Text<'_>, name: &str, report: &mut Report) -> Option<TrunkId> {
        self.trunks
            .find(text, name, report, |near| format!("trunk:{near}"))
            .map(TrunkId)
    }

    fn phone(&self, text: &Text<'_>, name: &str, report: &mut Report) -> Option<PhoneId> {
        self.phones
            .find(text, name, report, |near| format!("phone:{near}"))
            .map(PhoneId)
    }
}

/// Names of one kind of section.
pub(super) struct Index<'d> {
    kind: &'static str,
    ids: HashMap<&'d str, u16>,
}

impl<'d> Index<'d> {
    fn new(kind: &'static str, all: &[Named<'d, '_>]) -> Self {
        let ids = (0..).zip(all).map(|(id, named)| (named.name, id)).collect();
        Index { kind, ids }
    }

    /// The id of a name; a report with a suggestion, in the words that `write` makes, if there is none.
    pub(super) fn find(
        &self,
        text: &Text<'_>,
        name: &str,
        report: &mut Report,
        write: impl Fn(&str) -> String,
    ) -> Option<u16> {
        if let Some(id) = self.ids.get(name) {
            return Some(*id);
        }
        let mut known: Vec<_> = self.ids.iter().map(|(name, id)| (*id, *name)).collect();
        known.sort_unstable();
        let help = match nearest(name, known.iter().map(|(_, name)| *name)) {
            Some(near) => format!("did you mean `{}`?", write(near)),
            None if known.is_empty() => format!("the file has no `[{}.NAME]`", self.kind),
            None => {
                const SOME: usize = 8;
                let some: Vec<_> = known
                    .iter()
                    .take(SOME)
                    .map(|(_, name)| format!("`{}`", write(name)))
                    .collect();
                let rest = if known.len() > SOME { ", …" } else { "" };
                format!("there is {}{rest}", some.join(", "))
            }
        };
        let fault = Fault::NoSuch {
            key: text.key,
            kind: self.kind,
            name: shown(name),
        };
        report.add_with(text.at.clone(), fault, Some(help));
        None
    }
}
