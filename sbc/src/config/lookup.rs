//! Which routes match a caller and a number, in the order of the file, without looking at all of them.
//!
//! For each entry of `from` there is a tree over the patterns of its routes, position by position: characters that stand for
//! themselves are looked up, sets are tried, and where few patterns are left they are asked themselves. A subtree in which nothing
//! stands before what has been found is not entered. Regular expressions and tables of prefixes come last, and only those that
//! stand before.

mod tree;

use std::collections::BTreeMap;

use smallvec::SmallVec;

use self::tree::{Best, Branch, Tree};
use super::model::{Config, From, Route, RouteId, Target};
use super::pattern::{Kind, Part};

/// The routes of a config by who they are for: in ascending order of that.
#[derive(Clone, Debug, Default)]
pub struct Lookup(Vec<(u32, Numbers)>);

/// The routes of one kind of caller by number. Routes are named by their index.
#[derive(Clone, Debug, Default)]
struct Numbers {
    tree: Tree,
    /// With the pattern's place in `number`.
    expressions: Vec<(u16, u32)>,
    tables: Vec<u16>,
}

impl Lookup {
    /// Of these routes, which are named by their places.
    #[must_use]
    pub fn new(routes: &[Route]) -> Lookup {
        let mut by_caller: BTreeMap<u32, Vec<u16>> = BTreeMap::new();
        for (id, route) in (0..).zip(routes) {
            for from in &route.from {
                let of_caller = by_caller.entry(key(*from)).or_default();
                if of_caller.last() != Some(&id) {
                    of_caller.push(id);
                }
            }
        }
        let numbers = by_caller
            .into_iter()
            .map(|(from, ids)| (from, Numbers::new(routes, &ids)));
        Lookup(numbers.collect())
    }

    /// How large it would become: patterns, each counted for each caller.
    pub(super) fn size(routes: &[Route]) -> usize {
        let of = |route: &Route| route.from.len() * route.number.len().max(1);
        routes.iter().map(of).sum()
    }

    /// Whether any route is for a caller who is one of these.
    pub(super) fn knows(&self, callers: &[From]) -> bool {
        callers.iter().any(|from| self.of(*from).is_some())
    }

    /// The first route from `start` on that is for a caller who is one of these, and for this number.
    pub(super) fn first(
        &self,
        routes: &[Route],
        callers: &[From],
        number: &str,
        start: u16,
    ) -> Option<u16> {
        let mut search = Search {
            routes,
            number,
            best: Best { start, found: None },
        };
        let numbers = callers.iter().filter_map(|from| self.of(*from));
        let numbers: SmallVec<[&Numbers; 4]> = numbers.collect();
        // Trees before whatever takes longer.
        for numbers in &numbers {
            numbers.tree.search(number, &mut search.best);
        }
        for numbers in &numbers {
            search.others(numbers);
        }
        search.best.found
    }

    fn of(&self, from: From) -> Option<&Numbers> {
        let at = self.0.binary_search_by_key(&key(from), |(key, _)| *key);
        Some(&self.0.get(at.ok()?)?.1)
    }
}

/// One number for one entry of `from`.
fn key(from: From) -> u32 {
    let (kind, id) = match from {
        From::Trunk(trunk) => (0, trunk.0),
        From::Phone(phone) => (1, phone.0),
        From::AnyPhone => (2, 0),
        From::PhonesOn(network) => (3, network.0),
        From::Network(network) => (4, network.0),
    };
    kind << 16 | u32::from(id)
}

impl Config {
    /// The first route from `start` on that is for a caller who is one of these, and for this number; whether it holds at this
    /// time is another question.
    #[must_use]
    pub fn next_route(
        &self,
        callers: &[From],
        number: &str,
        start: u16,
    ) -> Option<(RouteId, &Route)> {
        let id = self.lookup.first(&self.routes, callers, number, start)?;
        Some((RouteId(id), self.routes.get(usize::from(id))?))
    }

    /// Whether any route is for a caller who is one of these.
    #[must_use]
    pub fn is_for_some(&self, callers: &[From]) -> bool {
        self.lookup.knows(callers)
    }
}

impl Route {
    /// Whether any of its templates names a group of a regular expression.
    #[must_use]
    pub fn uses_groups(&self) -> bool {
        let of_target = |target: &Target| match target {
            Target::DialledPhone(template) => template.highest_group(),
            _ => 0,
        };
        self.dial
            .as_ref()
            .is_some_and(|dial| dial.highest_group() > 0)
            || self
                .caller_id
                .as_ref()
                .is_some_and(|caller| caller.highest_group() > 0)
            || self.to.iter().any(|target| of_target(target) > 0)
    }
}

struct Search<'a> {
    routes: &'a [Route],
    number: &'a str,
    best: Best,
}

impl Search<'_> {
    /// What is looked at one by one.
    fn others(&mut self, numbers: &Numbers) {
        let best = self.best;
        let from = numbers.tables.partition_point(|id| *id < best.start);
        let tables = numbers.tables.get(from..).unwrap_or_default();
        let has = |id: &u16| {
            let prefixes = self.routes.get(usize::from(*id))?.prefixes.as_ref()?;
            prefixes.has(self.number).then_some(*id)
        };
        let mut tables = tables.iter().take_while(|id| best.wants(**id));
        if let Some(id) = tables.find_map(has) {
            self.best.found = Some(id);
        }
        let best = self.best;
        let from = numbers
            .expressions
            .partition_point(|(id, _)| *id < best.start);
        let expressions = numbers.expressions.get(from..).unwrap_or_default();
        let found = expressions
            .iter()
            .take_while(|(id, _)| best.wants(*id))
            .find(|(id, pattern)| self.matches(*id, *pattern));
        if let Some(&(id, _)) = found {
            self.best.found = Some(id);
        }
    }

    fn matches(&self, id: u16, pattern: u32) -> bool {
        let route = self.routes.get(usize::from(id));
        let pattern = route.and_then(|route| route.number.get(pattern as usize));
        pattern.is_some_and(|pattern| pattern.matches(self.number))
    }
}

impl Numbers {
    fn new(routes: &[Route], ids: &[u16]) -> Numbers {
        let mut numbers = Numbers::default();
        let mut branches = Vec::new();
        for &route in ids {
            let Some(of_id) = routes.get(usize::from(route)) else {
                continue;
            };
            if of_id.prefixes.is_some() {
                numbers.tables.push(route);
                continue;
            }
            if of_id.number.is_empty() {
                let parts = &[Part::Any];
                branches.push(Branch { route, parts });
            }
            for (pattern, number) in (0..).zip(&of_id.number) {
                match &number.kind {
                    Kind::Expression(_) => numbers.expressions.push((route, pattern)),
                    Kind::Parts(parts) => branches.push(Branch { route, parts }),
                }
            }
        }
        numbers.tree = Tree::new(branches);
        numbers
    }
}
