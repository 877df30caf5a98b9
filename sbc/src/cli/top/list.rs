//! Which calls are shown, and in which order.

use std::cmp::Ordering;

use sbc::io::admin::types::Call;

use crate::cli::calls::{codecs, media, short, to};

/// What calls are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// In which they began.
    #[default]
    Call,
    From,
    To,
    State,
    /// How long they have lasted.
    Time,
    Media,
}

impl Sort {
    pub(super) fn next(self) -> Sort {
        match self {
            Sort::Call => Sort::From,
            Sort::From => Sort::To,
            Sort::To => Sort::State,
            Sort::State => Sort::Time,
            Sort::Time => Sort::Media,
            Sort::Media => Sort::Call,
        }
    }

    /// The column that it goes by.
    pub(super) fn title(self) -> &'static str {
        match self {
            Sort::Call => "CALL",
            Sort::From => "FROM",
            Sort::To => "TO",
            Sort::State => "STATE",
            Sort::Time => "TIME",
            Sort::Media => "MEDIA",
        }
    }

    fn compare(self, a: &Call, b: &Call) -> Ordering {
        let by = match self {
            Sort::Call => Ordering::Equal,
            Sort::From => a.from.cmp(&b.from),
            Sort::To => a.to.cmp(&b.to),
            Sort::State => a.state.cmp(&b.state),
            Sort::Time => lasted(a).cmp(&lasted(b)),
            Sort::Media => media(a).cmp(media(b)),
        };
        by.then_with(|| number(a).cmp(&number(b)))
    }
}

/// How long two have talked, or how long it has rung.
pub(super) fn lasted(call: &Call) -> u64 {
    call.talking_seconds.unwrap_or(call.seconds)
}

/// Ids are hexadecimal, and grow.
fn number(call: &Call) -> u64 {
    u64::from_str_radix(&call.id, 16).unwrap_or_default()
}

/// The calls that are shown, and the one that is chosen.
#[derive(Debug)]
pub(super) struct List {
    /// Every word has to be somewhere in what is shown of a call.
    pub(super) filter: String,
    pub(super) sort: Sort,
    pub(super) descending: bool,
    all: Vec<Call>,
    /// Indices, in order.
    shown: Vec<usize>,
    chosen: usize,
}

impl Default for List {
    /// The newest first.
    fn default() -> Self {
        List {
            filter: String::new(),
            sort: Sort::default(),
            descending: true,
            all: Vec::new(),
            shown: Vec::new(),
            chosen: 0,
        }
    }
}

impl List {
    /// Other calls; the one that was chosen stays so where it is still there.
    pub(super) fn set(&mut self, calls: Vec<Call>) {
        let chosen = self.chosen().map(|call| call.id.clone());
        self.all = calls;
        self.arrange(chosen.as_deref());
    }

    pub(super) fn set_filter(&mut self, filter: String) {
        let chosen = self.chosen().map(|call| call.id.clone());
        self.filter = filter;
        self.arrange(chosen.as_deref());
    }

    pub(super) fn set_sort(&mut self, sort: Sort, descending: bool) {
        let chosen = self.chosen().map(|call| call.id.clone());
        (self.sort, self.descending) = (sort, descending);
        self.arrange(chosen.as_deref());
    }

    /// How many there are, shown or not.
    pub(super) fn all(&self) -> usize {
        self.all.len()
    }

    pub(super) fn len(&self) -> usize {
        self.shown.len()
    }

    /// Which row is chosen.
    pub(super) fn row(&self) -> usize {
        self.chosen
    }

    pub(super) fn chosen(&self) -> Option<&Call> {
        self.all.get(*self.shown.get(self.chosen)?)
    }

    /// Those from a row on.
    pub(super) fn rows(&self, from: usize) -> impl Iterator<Item = &Call> {
        let shown = self.shown.iter().skip(from);
        shown.filter_map(|index| self.all.get(*index))
    }

    /// Up or down by so many rows.
    pub(super) fn step(&mut self, by: isize) {
        let last = self.shown.len().saturating_sub(1);
        self.chosen = self.chosen.saturating_add_signed(by).min(last);
    }

    fn arrange(&mut self, chosen: Option<&str>) {
        let words: Vec<String> = self
            .filter
            .split_whitespace()
            .map(str::to_lowercase)
            .collect();
        let mut shown: Vec<usize> = (0..self.all.len())
            .filter(|index| {
                let call = self.all.get(*index);
                call.is_some_and(|call| matches(call, &words))
            })
            .collect();
        let (sort, descending) = (self.sort, self.descending);
        shown.sort_by(|a, b| {
            let order = match (self.all.get(*a), self.all.get(*b)) {
                (Some(a), Some(b)) => sort.compare(a, b),
                _ => Ordering::Equal,
            };
            if descending { order.reverse() } else { order }
        });
        self.shown = shown;
        let found = chosen.and_then(|id| {
            let mut shown = self.shown.iter();
            shown.position(|index| self.all.get(*index).is_some_and(|call| call.id == id))
        });
        match found {
            Some(row) => self.chosen = row,
            None => self.step(0),
        }
    }
}

fn matches(call: &Call, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let text = [
        short(&call.id),
        &call.sip_call_id,
        &call.from,
        &call.to.join(" "),
        &to(call),
        &call.number,
        &call.state,
        &codecs(call),
        media(call),
        call.route.as_deref().unwrap_or_default(),
    ]
    .join("\n")
    .to_lowercase();
    words.iter().all(|word| text.contains(word.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::tests::call;

    fn ids(list: &List) -> Vec<&str> {
        list.rows(0).map(|call| short(&call.id)).collect()
    }

    fn chosen(list: &List) -> &str {
        short(&list.chosen().unwrap().id)
    }

    fn list() -> List {
        let mut list = List::default();
        list.set(vec![
            call("1", "phone:anna", "trunk:b", 10),
            call("2", "trunk:a", "phone:anna", 700),
            call("10", "trunk:c", "phone:bert", 3),
        ]);
        list
    }

    #[test]
    fn the_newest_comes_first_and_any_column_can() {
        let mut list = list();
        assert_eq!(ids(&list), ["10", "2", "1"]);
        list.set_sort(Sort::Time, true);
        assert_eq!(ids(&list), ["2", "1", "10"]);
        list.set_sort(Sort::From, false);
        assert_eq!(ids(&list), ["1", "2", "10"]);
        let mut sort = Sort::Call;
        for _ in 0..6 {
            sort = sort.next();
        }
        assert_eq!(sort, Sort::Call);
    }

    #[test]
    fn every_word_of_a_filter_has_to_be_there() {
        let mut list = list();
        list.set_filter("ANNA".to_owned());
        assert_eq!(ids(&list), ["2", "1"]);
        list.set_filter("anna trunk:a".to_owned());
        assert_eq!(ids(&list), ["2"]);
        list.set_filter("anna nobody".to_owned());
        assert_eq!((ids(&list).len(), list.all()), (0, 3));
        assert!(list.chosen().is_none());
    }

    #[test]
    fn who_is_chosen_stays_so() {
        let mut list = list();
        list.step(1);
        assert_eq!(chosen(&list), "2");
        list.set_sort(Sort::From, true);
        assert_eq!(chosen(&list), "2");
        let newer = call("11", "trunk:a", "phone:z", 0);
        list.set(vec![call("2", "trunk:a", "phone:anna", 701), newer]);
        assert_eq!(chosen(&list), "2");
        // It is over: the one that has taken its row.
        list.set(vec![call("11", "trunk:a", "phone:z", 0)]);
        assert_eq!(chosen(&list), "11");
        list.set(Vec::new());
        assert!(list.chosen().is_none());
        list.step(-5);
        list.step(5);
    }
}
