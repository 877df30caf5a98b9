//! Colours, and text of a given width.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

/// How things look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli::top) enum Theme {
    Colour,
    /// NO_COLOR: bold, dim and reversed only.
    Plain,
}

impl Theme {
    /// As who sits there wants it (no-color.org).
    pub(in crate::cli::top) fn of_environment() -> Theme {
        match std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
            true => Theme::Plain,
            false => Theme::Colour,
        }
    }

    fn with(self, colour: Color, else_: Modifier) -> Style {
        match self {
            Theme::Colour => Style::new().fg(colour),
            Theme::Plain => Style::new().add_modifier(else_),
        }
    }

    pub(super) fn plain(self) -> Style {
        Style::new()
    }

    pub(super) fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn dim(self) -> Style {
        self.with(Color::DarkGray, Modifier::DIM)
    }

    pub(super) fn title(self) -> Style {
        self.with(Color::Cyan, Modifier::BOLD)
            .add_modifier(Modifier::BOLD)
    }

    pub(super) fn good(self) -> Style {
        self.with(Color::Green, Modifier::empty())
    }

    pub(super) fn warn(self) -> Style {
        self.with(Color::Yellow, Modifier::BOLD)
    }

    pub(super) fn bad(self) -> Style {
        self.with(Color::LightRed, Modifier::BOLD)
            .add_modifier(Modifier::BOLD)
    }

    /// The first and the last line.
    pub(super) fn bar(self, is_bad: bool) -> Style {
        match (self, is_bad) {
            (Theme::Colour, false) => Style::new().fg(Color::Black).bg(Color::Cyan),
            (Theme::Colour, true) => Style::new()
                .fg(Color::White)
                .bg(Color::Red)
                .add_modifier(Modifier::BOLD),
            (Theme::Plain, _) => Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    pub(super) fn question(self) -> Style {
        match self {
            Theme::Colour => Style::new()
                .fg(Color::Black)
                .bg(Color::Yellow)
                .add_modifier(Modifier::BOLD),
            Theme::Plain => Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD),
        }
    }

    pub(super) fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}

/// At most so wide; what is cut ends in `…`. What a peer wrote moves no cursor.
pub(super) fn clip(text: &str, width: usize) -> String {
    let text: String = text
        .chars()
        .map(|letter| if letter.is_control() { '?' } else { letter })
        .collect();
    if Span::raw(&*text).width() <= width {
        return text;
    }
    let mut out = String::new();
    for letter in text.chars() {
        out.push(letter);
        if Span::raw(&*out).width() >= width {
            out.pop();
            break;
        }
    }
    if width > 0 {
        out.push('…');
    }
    out
}

/// A line that is chosen, over the whole width and in no other colour.
pub(super) fn chosen(line: &Line<'_>, width: usize, theme: Theme) -> Line<'static> {
    Line::styled(pad(&line.to_string(), width), theme.chosen())
}

/// Which of `all` rows is shown first, where `rows` of them are and this one is to be among them: page by page, and the last page is full.
pub(super) fn first_row(chosen: usize, rows: usize, all: usize) -> usize {
    let rows = rows.max(1);
    (chosen / rows * rows).min(all.saturating_sub(rows))
}

/// Exactly so wide.
pub(super) fn pad(text: &str, width: usize) -> String {
    let mut text = clip(text, width);
    let missing = width.saturating_sub(Span::raw(&*text).width());
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

/// The same, at the right.
pub(super) fn pad_left(text: &str, width: usize) -> String {
    let text = clip(text, width);
    let missing = width.saturating_sub(Span::raw(&*text).width());
    " ".repeat(missing) + &text
}

/// In the middle.
pub(super) fn centre(text: &str, width: usize) -> String {
    let text = clip(text, width);
    let missing = width.saturating_sub(Span::raw(&*text).width());
    pad(&(" ".repeat(missing / 2) + &text), width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_full() {
        let first = |chosen| first_row(chosen, 10, 25);
        assert_eq!([0, 9, 10, 19, 20, 24].map(first), [0, 0, 10, 10, 15, 15]);
        assert_eq!((first_row(3, 10, 4), first_row(3, 0, 4)), (0, 3));
    }

    #[test]
    fn text_is_as_wide_as_it_is_told_to_be() {
        assert_eq!(clip("abcdef", 6), "abcdef");
        assert_eq!(clip("abcdef", 5), "abcd…");
        assert_eq!(clip("abc", 1), "…");
        assert_eq!(clip("abc", 0), "");
        assert_eq!(pad("é", 3), "é  ");
        assert_eq!(pad_left("12", 4), "  12");
        assert_eq!(centre("ab", 5), " ab  ");
        // Wide letters take two places, and a terminal's commands are none.
        for width in 0..8 {
            for text in [
                "日本語日本語",
                "a\u{1b}[31mb\tc\nd",
                "e\u{301}e\u{301}e\u{301}",
            ] {
                assert_eq!(
                    Span::raw(pad(text, width)).width(),
                    width,
                    "{text:?} {width}"
                );
                assert!(!pad(text, width).contains('\u{1b}'));
            }
        }
    }
}
