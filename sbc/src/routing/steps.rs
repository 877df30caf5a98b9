//! What is tried, in order, where a route leads.

use std::time::Duration;

use smallvec::SmallVec;

use super::{CallerId, Destination, Step, Turns};
use crate::config::{
    CallerTemplate, Config, Group, GroupId, Leads, Member, MemberTarget, Route, Strategy, Target,
    Template, Values,
};

/// Bytes of a display name.
const MAX_DISPLAY: usize = 128;

/// The steps of a route: first those that the number's prefix has of its own.
pub(super) fn steps(
    config: &Config,
    route: &Route,
    leads: Option<&Leads>,
    values: &Values<'_>,
    turns: Option<&mut Turns>,
) -> SmallVec<[Step; 2]> {
    let mut maker = Maker {
        config,
        ring_for: route.ring_for,
        turns,
        asked: SmallVec::new(),
        steps: SmallVec::new(),
    };
    let own = leads.map_or(&[][..], |leads| leads.to.as_slice());
    for target in own.iter().chain(&route.to) {
        match target {
            Target::Trunk(trunk) => maker.one(Destination::Trunk(*trunk), None),
            Target::Phone(phone) => maker.one(Destination::Phone(*phone), None),
            Target::DialledPhone(template) => {
                if let Some(phone) = config.phone_named(&template.expand(values)) {
                    maker.one(Destination::Phone(phone), None);
                }
            }
            Target::Group(id) => maker.group(*id),
            Target::Reject(code) => {
                maker.steps.push(Step::Reject(*code));
                break;
            }
        }
    }
    maker.steps
}

struct Maker<'a> {
    config: &'a Config,
    ring_for: Option<Duration>,
    turns: Option<&'a mut Turns>,
    asked: SmallVec<[Destination; 8]>,
    steps: SmallVec<[Step; 2]>,
}

impl Maker<'_> {
    /// Asks somebody, unless he has been asked.
    fn one(&mut self, destination: Destination, ring_for: Option<Duration>) {
        if !self.asked.contains(&destination) {
            self.asked.push(destination);
            self.steps.push(Step::Ring {
                who: SmallVec::from_slice(&[destination]),
                ring_for: ring_for.or(self.ring_for),
            });
        }
    }

    fn group(&mut self, id: GroupId) {
        let group: &Group = self.config.group(id);
        let members = group
            .members
            .iter()
            .map(|member| destination(member.target));
        match group.strategy {
            Strategy::All => {
                let mut who: SmallVec<[Destination; 4]> = SmallVec::new();
                for member in members {
                    if !self.asked.contains(&member) {
                        self.asked.push(member);
                        who.push(member);
                    }
                }
                if !who.is_empty() {
                    self.steps.push(Step::Ring {
                        who,
                        ring_for: group.ring_for.or(self.ring_for),
                    });
                }
            }
            Strategy::InOrder => {
                for member in members {
                    self.one(member, group.ring_for);
                }
            }
            Strategy::RoundRobin => {
                let count = group.members.len();
                let turns = self.turns.as_deref_mut();
                let begin = turns.map_or(0, |turns| turns.next(id, count));
                for member in members.clone().cycle().skip(begin).take(count) {
                    self.one(member, group.ring_for);
                }
            }
            Strategy::Weighted => {
                let drawn = match self.turns.as_deref_mut() {
                    Some(turns) => turns.draw(&group.members),
                    None => {
                        // Nobody draws: the heaviest first.
                        let mut members: SmallVec<[Member; 8]> =
                            SmallVec::from_slice(&group.members);
                        members.sort_by_key(|member| std::cmp::Reverse(member.weight));
                        members
                    }
                };
                for member in drawn {
                    self.one(destination(member.target), group.ring_for);
                }
            }
        }
    }
}

pub(super) fn destination(member: MemberTarget) -> Destination {
    match member {
        MemberTarget::Trunk(trunk) => Destination::Trunk(trunk),
        MemberTarget::Phone(phone) => Destination::Phone(phone),
    }
}

/// What a `dial` comes to, as a user part; none where nothing is left of the number.
pub(super) fn dialled(template: &Template, values: &Values<'_>) -> Option<String> {
    let number = template.expand(values);
    (!number.is_empty()).then(|| escaped(&number))
}

/// Who calls, as a route shows him; none where no number is left.
pub(super) fn caller_id(template: &CallerTemplate, values: &Values<'_>) -> Option<CallerId> {
    let number = template.number.expand(values);
    if number.is_empty() {
        return None;
    }
    let display = template.display.as_ref().map(|display| {
        let text = display.expand(values);
        // What would end a quoted string, or the line.
        let harmless = text
            .chars()
            .filter(|c| !c.is_control() && !matches!(c, '"' | '\\'));
        harmless.take(MAX_DISPLAY).collect::<String>()
    });
    Some(CallerId {
        display: display.filter(|display| !display.is_empty()),
        number: escaped(&number),
    })
}

/// A text as the user part of a SIP URI (RFC 3261 25.1): whatever else it holds cannot end it.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let hex = |nibble: u8| char::from(b"0123456789ABCDEF"[usize::from(nibble & 15)]);
            out.extend(['%', hex(byte >> 4), hex(byte)]);
        }
    }
    out
}
