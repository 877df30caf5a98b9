//! Which routes match a caller and a number, in the order of the file, without looking at all of them.
//!
//! For each entry of `from` there is a tree over the patterns of its routes, position by position: characters that stand for
//! themselves are looked up, sets are tried, and where few patterns are left they are asked themselves. A subtree in which nothing
//! stands before what has been found is not entered. Regular expressions and tables of prefixes come last, and only those that
//! stand before.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use super::model::{Config, From, Route, RouteId, Target};
use super::pattern::{Kind, Part, within};

/// Patterns that are asked one by one, where they are all that is left.
const FEW: usize = 4;

/// The routes of a config by who they are for.
#[derive(Clone, Debug, Default)]
pub struct Lookup(HashMap<From, Numbers>);

/// The routes of one kind of caller by number. Routes are named by their index.
#[derive(Clone, Debug, Default)]
struct Numbers {
    nodes: Vec<Node>,
    /// With the pattern's place in `number`.
    expressions: Vec<(u16, u32)>,
    tables: Vec<u16>,
}

/// A place in the tree: all of its patterns are alike up to here.
#[derive(Clone, Debug)]
struct Node {
    /// The first and the last route of all patterns from here on.
    first: u16,
    last: u16,
    /// Patterns that end here, by how; each in ascending order.
    exact: Vec<u16>,
    one_or_more: Vec<u16>,
    any: Vec<u16>,
    /// In ascending order.
    characters: Vec<(char, u32)>,
    sets: Vec<(Vec<RangeInclusive<char>>, u32)>,
    /// All that goes on from here, if that is not much; in ascending order.
    few: Vec<(u16, u32)>,
}

impl Lookup {
    /// Of these routes, which are named by their places.
    #[must_use]
    pub fn new(routes: &[Route]) -> Lookup {
        let mut by_caller: HashMap<From, Vec<u16>> = HashMap::new();
        for (id, route) in (0..).zip(routes) {
            for from in &route.from {
                let of_caller = by_caller.entry(*from).or_default();
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
        callers.iter().any(|from| self.0.contains_key(from))
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
            start,
            best: None,
        };
        let numbers = callers.iter().filter_map(|from| self.0.get(from));
        // Trees before whatever takes longer.
        for numbers in numbers.clone() {
            if let Some(root) = numbers.nodes.first() {
                search.node(numbers, root, number);
            }
        }
        for numbers in numbers {
            search.others(numbers);
        }
        search.best
    }
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
    start: u16,
    best: Option<u16>,
}

impl Search<'_> {
    /// Whether a route would be a better one than that which has been found.
    fn wants(&self, id: u16) -> bool {
        id >= self.start && self.best.is_none_or(|best| id < best)
    }

    fn take_first(&mut self, ascending: &[u16]) {
        let from = ascending.partition_point(|id| *id < self.start);
        if let Some(&id) = ascending.get(from).filter(|id| self.wants(**id)) {
            self.best = Some(id);
        }
    }

    fn node(&mut self, numbers: &Numbers, node: &Node, rest: &str) {
        if node.last < self.start || self.best.is_some_and(|best| best <= node.first) {
            return;
        }
        self.take_first(&node.any);
        let mut characters = rest.chars();
        let Some(c) = characters.next() else {
            self.take_first(&node.exact);
            return self.few(node);
        };
        self.take_first(&node.one_or_more);
        self.few(node);
        let rest = characters.as_str();
        if let Ok(at) = node
            .characters
            .binary_search_by_key(&c, |(known, _)| *known)
            && let Some(next) = node.characters.get(at)
        {
            self.next(numbers, next.1, rest);
        }
        for (set, next) in &node.sets {
            if within(set, c) {
                self.next(numbers, *next, rest);
            }
        }
    }

    fn next(&mut self, numbers: &Numbers, node: u32, rest: &str) {
        if let Some(node) = numbers.nodes.get(node as usize) {
            self.node(numbers, node, rest);
        }
    }

    fn few(&mut self, node: &Node) {
        let found = node
            .few
            .iter()
            .filter(|(id, _)| *id >= self.start)
            .take_while(|(id, _)| self.wants(*id))
            .find(|(id, pattern)| self.matches(*id, *pattern));
        if let Some(&(id, _)) = found {
            self.best = Some(id);
        }
    }

    fn others(&mut self, numbers: &Numbers) {
        let from = numbers.tables.partition_point(|id| *id < self.start);
        let tables = numbers.tables.get(from..).unwrap_or_default();
        let has = |id: &u16| {
            let prefixes = self.routes.get(usize::from(*id))?.prefixes.as_ref()?;
            prefixes.has(self.number).then_some(*id)
        };
        let tables = tables.iter().take_while(|id| self.wants(**id));
        if let Some(id) = tables.clone().find_map(has) {
            self.best = Some(id);
        }
        let from = numbers
            .expressions
            .partition_point(|(id, _)| *id < self.start);
        let expressions = numbers.expressions.get(from..).unwrap_or_default();
        let found = expressions
            .iter()
            .take_while(|(id, _)| self.wants(*id))
            .find(|(id, pattern)| self.matches(*id, *pattern));
        if let Some(&(id, _)) = found {
            self.best = Some(id);
        }
    }

    fn matches(&self, id: u16, pattern: u32) -> bool {
        let route = self.routes.get(usize::from(id));
        let pattern = route.and_then(|route| route.number.get(pattern as usize));
        pattern.is_some_and(|pattern| pattern.matches(self.number))
    }
}

/// A pattern on its way into the tree.
#[derive(Clone, Copy)]
struct Branch<'r> {
    route: u16,
    pattern: u32,
    parts: &'r [Part],
}

impl Numbers {
    fn new(routes: &[Route], ids: &[u16]) -> Numbers {
        let mut numbers = Numbers::default();
        let mut branches = Vec::new();
        for &id in ids {
            let Some(route) = routes.get(usize::from(id)) else {
                continue;
            };
            if route.prefixes.is_some() {
                numbers.tables.push(id);
                continue;
            }
            if route.number.is_empty() {
                branches.push(Branch {
                    route: id,
                    pattern: 0,
                    parts: &[Part::Any],
                });
            }
            for (pattern, number) in (0..).zip(&route.number) {
                match &number.kind {
                    Kind::Expression(_) => numbers.expressions.push((id, pattern)),
                    Kind::Parts(parts) => branches.push(Branch {
                        route: id,
                        pattern,
                        parts,
                    }),
                }
            }
        }
        if !branches.is_empty() {
            numbers.grow(branches, false);
        }
        numbers
    }

    /// Makes a node of these, which are alike up to here, and all below it.
    fn grow(&mut self, branches: Vec<Branch<'_>>, may_be_few: bool) -> u32 {
        let at = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let routes = branches.iter().map(|branch| branch.route);
        self.nodes.push(Node {
            first: routes.clone().min().unwrap_or(0),
            last: routes.max().unwrap_or(0),
            exact: Vec::new(),
            one_or_more: Vec::new(),
            any: Vec::new(),
            characters: Vec::new(),
            sets: Vec::new(),
            few: Vec::new(),
        });
        let mut node = Node::clone(&self.nodes[at as usize]);
        if may_be_few && branches.len() <= FEW {
            node.few = branches
                .iter()
                .map(|branch| (branch.route, branch.pattern))
                .collect();
            self.nodes[at as usize] = node;
            return at;
        }
        let mut characters: BTreeMap<char, Vec<Branch<'_>>> = BTreeMap::new();
        let mut sets: Vec<(&[RangeInclusive<char>], Vec<Branch<'_>>)> = Vec::new();
        let mut places: HashMap<&[RangeInclusive<char>], usize> = HashMap::new();
        for branch in branches {
            let Some((part, parts)) = branch.parts.split_first() else {
                node.exact.push(branch.route);
                continue;
            };
            let further = Branch { parts, ..branch };
            match part {
                Part::OneOrMore => node.one_or_more.push(branch.route),
                Part::Any => node.any.push(branch.route),
                Part::OneOf(ranges) => match ranges.as_slice() {
                    [one] if one.start() == one.end() => {
                        characters.entry(*one.start()).or_default().push(further);
                    }
                    set => {
                        let place = *places.entry(set).or_insert_with(|| {
                            sets.push((set, Vec::new()));
                            sets.len() - 1
                        });
                        sets[place].1.push(further);
                    }
                },
            }
        }
        for (c, branches) in characters {
            node.characters.push((c, self.grow(branches, true)));
        }
        for (set, branches) in sets {
            node.sets.push((set.to_vec(), self.grow(branches, true)));
        }
        self.nodes[at as usize] = node;
        at
    }
}
