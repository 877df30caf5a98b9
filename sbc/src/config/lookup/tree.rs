//! Patterns as a tree that takes little memory: what a decision costs is waiting for it. A place in the tree is 64 bytes with the characters that
//! lead on from it as bits, and what few patterns have left stands in one list, not in the patterns of the routes.

use std::collections::{BTreeMap, HashMap};

use super::super::pattern::Part;

/// Patterns that are asked one by one, where they are all that is left.
const FEW: usize = 4;
/// A pattern's rest, position by position: one of these at its end, before that a character, or a set by its number.
const EXACT: u32 = 0;
const ONE_OR_MORE: u32 = 1;
const ANY: u32 = 2;
const CHARACTERS: u32 = 3;
const SETS: u32 = CHARACTERS + 128;

/// Characters, a bit each. Patterns have none but those of ASCII.
type Set = u128;

/// A pattern of a route, or what is left of it.
#[derive(Clone, Copy)]
pub(super) struct Branch<'r> {
    pub(super) route: u16,
    pub(super) parts: &'r [Part],
}

/// Patterns with their routes. Routes are named by their index.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    /// Where the sets of a node lead.
    sets: Vec<(Set, u32)>,
    /// The routes whose patterns end at a node, in ascending order.
    ends: Vec<u16>,
    few: Vec<Few>,
    codes: Vec<u32>,
    named: Vec<Set>,
}

/// A place in the tree: all of its patterns are alike up to here.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Node {
    /// The characters that lead on; their nodes stand one after the other, in this order, from `children` on.
    characters: Set,
    children: u32,
    /// The first and the last route of all patterns from here on.
    first: u16,
    last: u16,
    /// Those of patterns that end here: nothing may follow, something has to, anything may.
    exact: Span,
    one_or_more: Span,
    any: Span,
    sets: Span,
    /// All that goes on from here, if that is not much, by route.
    few: Span,
}

const _: () = assert!(size_of::<Node>() == 64);

/// A part of one of the lists.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    length: u32,
}

/// A pattern's route, and where the rest of it stands.
#[derive(Clone, Copy, Debug)]
struct Few {
    route: u16,
    codes: u32,
}

impl Span {
    fn of<T>(self, list: &[T]) -> &[T] {
        let start = self.start as usize;
        list.get(start..start + self.length as usize)
            .unwrap_or_default()
    }
}

/// What is looked for: the first route from `start` on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Best {
    pub(super) start: u16,
    pub(super) found: Option<u16>,
}

impl Best {
    /// Whether a route would be a better one than that which has been found.
    pub(super) fn wants(&self, id: u16) -> bool {
        id >= self.start && self.found.is_none_or(|found| id < found)
    }

    fn take_first(&mut self, ascending: &[u16]) {
        let id = match ascending {
            [] => return,
            [first, ..] if *first >= self.start => Some(first),
            _ => ascending.get(ascending.partition_point(|id| *id < self.start)),
        };
        if let Some(&id) = id.filter(|id| self.wants(**id)) {
            self.found = Some(id);
        }
    }
}

impl Tree {
    pub(super) fn new(branches: Vec<Branch<'_>>) -> Tree {
        let mut grower = Grower::default();
        if !branches.is_empty() {
            grower.tree.nodes.push(Node::of(&branches));
            grower.grow(0, branches, false);
        }
        let mut tree = grower.tree;
        tree.nodes.shrink_to_fit();
        tree.codes.shrink_to_fit();
        tree
    }

    /// Whether there is a better route for a number.
    pub(super) fn search(&self, number: &str, best: &mut Best) {
        self.node(0, number.as_bytes(), best);
    }

    fn node(&self, at: u32, rest: &[u8], best: &mut Best) {
        let Some(node) = self.nodes.get(at as usize) else {
            return;
        };
        if node.last < best.start || best.found.is_some_and(|found| found <= node.first) {
            return;
        }
        best.take_first(node.any.of(&self.ends));
        let Some((&byte, after)) = rest.split_first() else {
            best.take_first(node.exact.of(&self.ends));
            return self.few(node, rest, best);
        };
        best.take_first(node.one_or_more.of(&self.ends));
        self.few(node, rest, best);
        let bit = bit(byte);
        if node.characters & bit != 0 {
            let before = (node.characters & (bit - 1)).count_ones();
            self.node(node.children + before, after, best);
        }
        for (set, next) in node.sets.of(&self.sets) {
            if set & bit != 0 {
                self.node(*next, after, best);
            }
        }
    }

    fn few(&self, node: &Node, rest: &[u8], best: &mut Best) {
        let all = node.few.of(&self.few).iter();
        let mut all = all.filter(|few| few.route >= best.start);
        let found = all.find(|few| !best.wants(few.route) || self.fits(few.codes, rest));
        if let Some(few) = found.filter(|few| best.wants(few.route)) {
            best.found = Some(few.route);
        }
    }

    /// Whether all that is left of a number is what is left of a pattern.
    fn fits(&self, codes: u32, mut rest: &[u8]) -> bool {
        for &code in self.codes.get(codes as usize..).unwrap_or_default() {
            match code {
                EXACT => return rest.is_empty(),
                ONE_OR_MORE => return !rest.is_empty(),
                ANY => return true,
                _ => {}
            }
            let Some((&byte, after)) = rest.split_first() else {
                return false;
            };
            let fits = match code.checked_sub(SETS) {
                None => code - CHARACTERS == u32::from(byte),
                Some(set) => {
                    let set = self.named.get(set as usize);
                    set.is_some_and(|set| set & bit(byte) != 0)
                }
            };
            if !fits {
                return false;
            }
            rest = after;
        }
        false
    }
}

/// None for what is no character of ASCII.
fn bit(byte: u8) -> Set {
    match byte.is_ascii() {
        true => 1 << byte,
        false => 0,
    }
}

/// The characters of a part that is for one.
fn set_of(ranges: &[std::ops::RangeInclusive<char>]) -> Set {
    let all = ranges.iter().cloned().flatten();
    all.filter_map(|c| u8::try_from(c).ok())
        .fold(0, |set, byte| set | bit(byte))
}

impl Node {
    fn of(branches: &[Branch<'_>]) -> Node {
        let routes = branches.iter().map(|branch| branch.route);
        Node {
            characters: 0,
            children: 0,
            first: routes.clone().min().unwrap_or(0),
            last: routes.max().unwrap_or(0),
            exact: Span::default(),
            one_or_more: Span::default(),
            any: Span::default(),
            sets: Span::default(),
            few: Span::default(),
        }
    }
}

#[derive(Default)]
struct Grower {
    tree: Tree,
    /// The numbers of sets.
    numbers: HashMap<Set, u32>,
}

impl Grower {
    /// Makes the node of these, which are alike up to here, and all below it; its place is there already.
    fn grow(&mut self, at: usize, branches: Vec<Branch<'_>>, may_be_few: bool) {
        let mut node = Node::of(&branches);
        if may_be_few && branches.len() <= FEW {
            let few: Vec<Few> = branches.iter().map(|branch| self.rest(branch)).collect();
            node.few = add(&mut self.tree.few, few);
            self.tree.nodes[at] = node;
            return;
        }
        let [mut exact, mut one_or_more, mut any] = [const { Vec::new() }; 3];
        let mut characters: BTreeMap<u8, Vec<Branch<'_>>> = BTreeMap::new();
        let mut sets: Vec<(Set, Vec<Branch<'_>>)> = Vec::new();
        let mut places: HashMap<Set, usize> = HashMap::new();
        for branch in branches {
            let Some((part, parts)) = branch.parts.split_first() else {
                exact.push(branch.route);
                continue;
            };
            let further = Branch { parts, ..branch };
            match part {
                Part::OneOrMore => one_or_more.push(branch.route),
                Part::Any => any.push(branch.route),
                Part::OneOf(ranges) => {
                    let set = set_of(ranges);
                    if set.count_ones() == 1 {
                        let byte = set.trailing_zeros() as u8;
                        characters.entry(byte).or_default().push(further);
                        continue;
                    }
                    let place = *places.entry(set).or_insert_with(|| {
                        sets.push((set, Vec::new()));
                        sets.len() - 1
                    });
                    sets[place].1.push(further);
                }
            }
        }
        for (span, mut ends) in [
            (&mut node.exact, exact),
            (&mut node.one_or_more, one_or_more),
            (&mut node.any, any),
        ] {
            ends.dedup();
            *span = add(&mut self.tree.ends, ends);
        }
        node.characters = characters.keys().fold(0, |set, byte| set | bit(*byte));
        let first = self.tree.nodes.len();
        node.children = first as u32;
        let below: Vec<Vec<Branch<'_>>> = characters.into_values().collect();
        let by_set = (first + below.len()) as u32;
        let (kinds, further): (Vec<Set>, Vec<Vec<Branch<'_>>>) = sets.into_iter().unzip();
        node.sets = add(&mut self.tree.sets, kinds.into_iter().zip(by_set..));
        self.tree.nodes[at] = node;
        let below: Vec<Vec<Branch<'_>>> = below.into_iter().chain(further).collect();
        self.tree
            .nodes
            .extend(below.iter().map(|branches| Node::of(branches)));
        for (at, branches) in (first..).zip(below) {
            self.grow(at, branches, true);
        }
    }

    /// Writes down what is left of a pattern.
    fn rest(&mut self, branch: &Branch<'_>) -> Few {
        let codes = self.tree.codes.len() as u32;
        let mut end = EXACT;
        for part in branch.parts {
            let ranges = match part {
                Part::OneOf(ranges) => ranges,
                Part::OneOrMore => {
                    end = ONE_OR_MORE;
                    break;
                }
                Part::Any => {
                    end = ANY;
                    break;
                }
            };
            let set = set_of(ranges);
            let code = match set.count_ones() {
                1 => CHARACTERS + set.trailing_zeros(),
                _ => SETS + self.number(set),
            };
            self.tree.codes.push(code);
        }
        self.tree.codes.push(end);
        Few {
            route: branch.route,
            codes,
        }
    }

    fn number(&mut self, set: Set) -> u32 {
        let named = &mut self.tree.named;
        *self.numbers.entry(set).or_insert_with(|| {
            named.push(set);
            named.len() as u32 - 1
        })
    }
}

/// Adds these at the end of a list.
fn add<T>(list: &mut Vec<T>, more: impl IntoIterator<Item = T>) -> Span {
    let start = list.len();
    list.extend(more);
    Span {
        start: start as u32,
        length: (list.len() - start) as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::pattern::{Kind, Pattern};
    use super::*;

    fn found(patterns: &[&str], number: &str, start: u16) -> Option<u16> {
        let patterns: Vec<Pattern> = patterns
            .iter()
            .map(|p| Pattern::parse(p).unwrap())
            .collect();
        let parts = |pattern: &Pattern| match &pattern.kind {
            Kind::Parts(parts) => parts.clone(),
            Kind::Expression(_) => unreachable!(),
        };
        let parts: Vec<Vec<Part>> = patterns.iter().map(parts).collect();
        let branches = (0..).zip(&parts);
        let branches = branches.map(|(route, parts)| Branch { route, parts });
        let tree = Tree::new(branches.collect());
        let mut best = Best { start, found: None };
        tree.search(number, &mut best);
        best.found
    }

    #[test]
    fn the_first_that_fits_is_found_wherever_it_stands() {
        let patterns = [
            "110",
            "11X",
            "1.",
            "11!",
            "[2-4]1",
            "[2-4][12]",
            "2Z",
            "#*1",
            "X",
            "21",
            "22",
            "23",
            "24",
            "25",
            "1",
            "11",
            "9",
        ];
        for (number, start, expected) in [
            ("110", 0, Some(0)),
            ("119", 0, Some(1)),
            ("11", 0, Some(2)),
            ("11", 3, Some(3)),
            ("11", 4, Some(15)),
            ("1", 0, Some(8)),
            ("1", 9, Some(14)),
            ("1é", 0, Some(2)),
            ("é", 0, None),
            ("", 0, None),
            ("21", 0, Some(4)),
            ("22", 0, Some(5)),
            ("22", 6, Some(6)),
            ("22", 7, Some(10)),
            ("29", 0, Some(6)),
            ("20", 0, None),
            ("#*1", 0, Some(7)),
            ("#*12", 0, None),
            ("9", 9, Some(16)),
            ("211", 0, None),
        ] {
            assert_eq!(
                found(&patterns, number, start),
                expected,
                "{number} from {start}"
            );
        }
        assert_eq!(found(&[], "1", 0), None);
        assert_eq!(found(&["!"], "", 0), Some(0));
    }
}
