//! The list of calls.

use ratatui::text::{Line, Span};
use sbc::io::admin::types::Call;

use super::paint::{Theme, chosen, clip, first_row, pad, pad_left};
use crate::cli::calls::{codecs, dialled, media, short, to};
use crate::cli::columns::clock;
use crate::cli::top::list::{List, lasted};
use crate::cli::top::state::Answer;

/// A column of the list of calls.
struct Column {
    title: &'static str,
    width: usize,
    /// It has of what is left.
    grows: bool,
    text: fn(&Call) -> String,
}

/// In the order in which they are shown.
const COLUMNS: [Column; 9] = [
    Column {
        title: "CALL",
        width: 6,
        grows: false,
        text: |call| short(&call.id).to_owned(),
    },
    Column {
        title: "FROM",
        width: 14,
        grows: true,
        text: |call| call.from.clone(),
    },
    Column {
        title: "TO",
        width: 14,
        grows: true,
        text: to,
    },
    Column {
        title: "DIALLED",
        width: 13,
        grows: true,
        text: dialled,
    },
    Column {
        title: "STATE",
        width: 7,
        grows: false,
        text: |call| call.state.clone(),
    },
    Column {
        title: "TIME",
        width: 8,
        grows: false,
        text: |call| clock(lasted(call)),
    },
    Column {
        title: "CODECS",
        width: 14,
        grows: false,
        text: codecs,
    },
    Column {
        title: "MEDIA",
        width: 10,
        grows: false,
        text: |call| media(call).to_owned(),
    },
    Column {
        title: "ROUTE",
        width: 12,
        grows: true,
        text: |call| call.route.clone().unwrap_or_default(),
    },
];

/// What is left out first where there is no room.
const SPARE: [usize; 6] = [8, 6, 3, 7, 2, 0];

/// Columns that fit, and their widths.
fn fit(width: usize) -> Vec<(&'static Column, usize)> {
    let mut shown: Vec<usize> = (0..COLUMNS.len()).collect();
    let wide = |shown: &[usize]| {
        let widths = shown.iter().filter_map(|index| COLUMNS.get(*index));
        widths.map(|column| column.width + 1).sum::<usize>() + 1
    };
    for spare in SPARE {
        if wide(&shown) > width {
            shown.retain(|index| *index != spare);
        }
    }
    let left = width.saturating_sub(wide(&shown));
    let columns: Vec<&Column> = shown
        .iter()
        .filter_map(|index| COLUMNS.get(*index))
        .collect();
    let growing = columns.iter().filter(|column| column.grows).count().max(1);
    columns
        .into_iter()
        .map(|column| {
            let more = if column.grows {
                (left / growing).min(20)
            } else {
                0
            };
            (column, column.width + more)
        })
        .collect()
}

/// A rule with how many there are, titles, and as many as fit, with the one that is chosen.
pub(super) fn lines(
    list: &List,
    answer: &Answer,
    theme: Theme,
    width: usize,
    room: usize,
) -> Vec<Line<'static>> {
    if room == 0 {
        return Vec::new();
    }
    let columns = fit(width);
    let mut head = String::from(" ");
    for (column, width) in &columns {
        let mark = match (column.title == list.sort.title(), list.descending) {
            (true, true) => "v",
            (true, false) => "^",
            (false, _) => "",
        };
        let title = format!("{}{mark}", column.title);
        head += &match column.title {
            "TIME" => pad_left(&title, *width),
            _ => pad(&title, *width),
        };
        head.push(' ');
    }
    let mut lines = vec![count(list, answer, theme, width)];
    lines.push(Line::styled(head, theme.title()));
    let rows = room.saturating_sub(lines.len()).max(1);
    let first = first_row(list.row(), rows, list.len());
    for (index, call) in (first..).zip(list.rows(first).take(rows)) {
        let is_chosen = index == list.row();
        let mut spans = vec![Span::raw(if is_chosen { ">" } else { " " })];
        for (column, width) in &columns {
            let text = (column.text)(call);
            let style = match (column.title, call.state.as_str(), text.as_str()) {
                ("STATE", "ringing" | "held", _) => theme.warn(),
                ("STATE", "up", _) => theme.good(),
                ("STATE", ..) => theme.dim(),
                ("MEDIA", _, "kernel" | "direct") => theme.good(),
                ("MEDIA", _, "none") => theme.dim(),
                _ => theme.plain(),
            };
            let text = match column.title {
                "TIME" => pad_left(&text, *width),
                _ => pad(&text, *width),
            };
            spans.push(Span::styled(text + " ", style));
        }
        lines.push(match is_chosen {
            true => chosen(&Line::from(spans), width, theme),
            false => Line::from(spans),
        });
    }
    lines
}

/// A rule with how many there are.
fn count(list: &List, answer: &Answer, theme: Theme, width: usize) -> Line<'static> {
    let is_filtered = !list.filter.trim().is_empty();
    let mut text = match (list.all(), is_filtered) {
        (0, _) if answer.status.calls.up + answer.status.calls.ringing == 0 => {
            "no calls".to_owned()
        }
        (all, true) => format!("{} of {all} calls, with `{}`", list.len(), list.filter),
        (1, false) => "1 call".to_owned(),
        (all, false) => format!("{all} calls"),
    };
    if list.len() > 0 {
        text += &format!(", number {} chosen", list.row() + 1);
    }
    let text = clip(&format!("── {text} "), width);
    let rule = "─".repeat(width.saturating_sub(Span::raw(&*text).width()));
    Line::styled(text + &rule, theme.dim())
}
