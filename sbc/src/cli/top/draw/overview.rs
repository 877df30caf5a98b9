//! How things are, and the calls.

use ratatui::text::{Line, Span};
use sbc::io::admin::types::{Amount, MediaTotals, Status, Trunk, WorkerStatus};

use super::calls;
use super::paint::{Theme, clip, pad};
use crate::cli::columns::bytes;
use crate::cli::top::rates::{Kind, PerSecond, Rates};
use crate::cli::top::state::State;

/// From this width on trunks are beside the figures.
const BESIDE: usize = 120;
/// What the figures have of it.
const FIGURES: usize = 66;
/// Drop reasons of a kind.
const REASONS: usize = 3;
/// What the table of trunks takes at least, with what it says of registrations.
const WITH_REGISTERED: usize = 48;
/// Lines for the calls, whatever else there is.
const CALLS: usize = 6;

/// All of it, in so many columns and lines.
pub(super) fn lines(
    state: &State,
    theme: Theme,
    (width, room): (usize, usize),
) -> Vec<Line<'static>> {
    let Some(answer) = &state.answer else {
        let why = state.silence().map_or("", |(why, _)| why);
        return vec![
            Line::default(),
            Line::from(format!(" {}", clip(why, width))),
        ];
    };
    let mut lines = Vec::new();
    if let Some((why, _)) = state.silence() {
        lines.push(Line::styled(
            format!(" ! {}", clip(why, width - 3.min(width))),
            theme.bad(),
        ));
    }
    let warnings = &answer.status.warnings;
    let most = (room / 10).max(1);
    for (index, warning) in warnings.iter().take(most).enumerate() {
        let hidden = warnings.len() - most.min(warnings.len());
        let more = match index + 1 == most && hidden > 0 {
            true => format!(" (and {hidden} more: sbc status)"),
            false => String::new(),
        };
        let text = clip(warning, width.saturating_sub(3 + more.chars().count()));
        lines.push(Line::styled(format!(" ! {text}{more}"), theme.warn()));
    }
    let left = room.saturating_sub(lines.len() + CALLS);
    let figures = figures(&answer.status, &state.rates, theme);
    match width >= BESIDE {
        true => {
            let rows = left.min(figures.len().max(answer.trunks.len() + 1));
            let trunks = trunks(&answer.trunks, theme, width - FIGURES - 2, rows);
            lines.extend(
                super::beside(clipped(figures, FIGURES), trunks, FIGURES, theme)
                    .into_iter()
                    .take(rows),
            );
        }
        false => {
            let rows = figures.len().min(left);
            lines.extend(figures.into_iter().take(rows));
            let rows = (left - rows)
                .min(answer.trunks.len() + 1)
                .min((room / 4).max(3));
            if rows > 1 {
                lines.extend(trunks(&answer.trunks, theme, width, rows));
            }
        }
    }
    let rest = room.saturating_sub(lines.len());
    lines.extend(calls::lines(&state.list, answer, theme, width, rest));
    lines
}

/// Lines that are not wider than that.
fn clipped(lines: Vec<Line<'static>>, width: usize) -> Vec<Line<'static>> {
    lines
        .into_iter()
        .map(|line| {
            let mut room = width;
            let spans = line.spans.into_iter().map(|span| {
                let text = clip(&span.content, room);
                room -= Span::raw(&*text).width().min(room);
                Span::styled(text, span.style)
            });
            Line::from(spans.collect::<Vec<_>>())
        })
        .collect()
}

fn title(text: &str, theme: Theme) -> Span<'static> {
    Span::styled(format!(" {text:<9}"), theme.title())
}

fn figures(status: &Status, rates: &Rates, theme: Theme) -> Vec<Line<'static>> {
    let calls = &status.calls;
    let mut lines = vec![Line::from(vec![
        title("CALLS", theme),
        Span::styled(format!("{} up", calls.up), theme.bold()),
        Span::raw(format!(
            ", {} ringing, {:.1}/s ({} in the last minute)",
            calls.ringing,
            calls.last_minute as f64 / 60.0,
            calls.last_minute
        )),
    ])];
    let trunks = &status.trunks;
    let state = |good: u64, all: u64, words: String| {
        Span::styled(
            words,
            if good < all {
                theme.bad()
            } else {
                theme.plain()
            },
        )
    };
    let mut spans = vec![title("TRUNKS", theme)];
    spans.push(match trunks.watched {
        0 => Span::raw(format!("{}, none is probed", trunks.all)),
        watched => state(
            trunks.up,
            watched,
            format!("{} of {watched} answer", trunks.up),
        ),
    });
    if trunks.registering > 0 {
        spans.push(Span::raw(", "));
        let words = format!(
            "registered with {} of {}",
            trunks.registered, trunks.registering
        );
        spans.push(state(trunks.registered, trunks.registering, words));
    }
    let many =
        |count: u64, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    spans.push(Span::raw(format!(
        "; {}, {}",
        many(status.registrations, "phone"),
        many(status.bans, "ban")
    )));
    lines.push(Line::from(spans));
    let flows = &status.flows;
    let ways: [(&str, u64, Of); 3] = [
        ("kernel", flows.kernel, |all| all.kernel),
        ("user", flows.user.saturating_sub(flows.transcoded), |all| {
            all.user
        }),
        ("transcoded", flows.transcoded, |all| all.transcoded),
    ];
    for (index, (way, count, of)) in ways.into_iter().enumerate() {
        lines.push(Line::from(vec![
            title(if index == 0 { "FLOWS" } else { "" }, theme),
            Span::raw(format!("{count:>6} {way:<11}")),
            rate(rates.media(of), theme),
        ]));
    }
    lines.push(quality(status, rates, theme));
    lines.extend(drops(rates, theme));
    lines.extend(workers(&status.workers, theme));
    lines
}

/// What of the totals a way is.
type Of = fn(&MediaTotals) -> Amount;

fn rate(rate: Option<PerSecond>, theme: Theme) -> Span<'static> {
    match rate {
        None => Span::styled("        …", theme.dim()),
        Some(PerSecond {
            packets,
            bytes: amount,
        }) if packets > 0.0 => Span::raw(format!(
            "{packets:>8.0} packets/s {:>8}/s",
            bytes(amount as u64)
        )),
        Some(_) => Span::styled("       0 packets/s", theme.dim()),
    }
}

fn quality(status: &Status, rates: &Rates, theme: Theme) -> Line<'static> {
    let mut spans = vec![title("QUALITY", theme)];
    let loss = rates.loss();
    spans.push(match loss {
        Some(loss) => {
            let style = match loss {
                ..0.5 => theme.good(),
                ..3.0 => theme.warn(),
                _ => theme.bad(),
            };
            Span::styled(format!("loss {loss:.2} %"), style)
        }
        None => Span::styled("loss -", theme.dim()),
    });
    let quality = &status.quality;
    spans.push(match quality.jitter_ms {
        Some(jitter) => Span::raw(format!("  jitter {jitter:.1} ms")),
        None => Span::styled("  jitter -", theme.dim()),
    });
    spans.push(match quality.mos {
        Some(mos) => {
            let style = match mos {
                4.0.. => theme.good(),
                3.6.. => theme.warn(),
                _ => theme.bad(),
            };
            Span::styled(format!("  MOS {mos:.2}"), style)
        }
        None => Span::styled("  MOS -", theme.dim()),
    });
    if quality.streams > 0 {
        spans.push(Span::styled(
            format!("  of {} streams", quality.streams),
            theme.dim(),
        ));
    }
    Line::from(spans)
}

fn drops(rates: &Rates, theme: Theme) -> Vec<Line<'static>> {
    let all = rates.dropped();
    let of = |wanted: Kind, name: &str, head: &str| {
        let mut these: Vec<String> = all
            .iter()
            .filter(|(kind, ..)| *kind == wanted)
            .map(|(_, reason, count)| format!("{reason} {count}"))
            .collect();
        if these.is_empty() {
            return None;
        }
        let more = these.len().saturating_sub(REASONS);
        these.truncate(REASONS);
        if more > 0 {
            these.push(format!("{more} other reasons"));
        }
        Some(Line::from(vec![
            title(head, theme),
            Span::styled(format!("{name}: {}", these.join(", ")), theme.warn()),
        ]))
    };
    let media = of(Kind::Media, "media", "DROPS");
    let sip = of(Kind::Sip, "SIP", if media.is_some() { "" } else { "DROPS" });
    let some: Vec<Line<'static>> = media.into_iter().chain(sip).collect();
    match some.is_empty() {
        true => vec![Line::from(vec![
            title("DROPS", theme),
            Span::styled("none in the last minute", theme.dim()),
        ])],
        false => some,
    }
}

/// All on one line, unless there are many.
fn workers(workers: &[WorkerStatus], theme: Theme) -> Vec<Line<'static>> {
    let each = workers.iter().enumerate().map(|(index, worker)| {
        let load = worker.load_percent;
        let style = match (worker.refuses, load) {
            (true, _) => theme.bad(),
            (false, 75..) => theme.warn(),
            _ => theme.plain(),
        };
        let core = worker.core.map(|core| format!(" core {core}"));
        let full = if worker.refuses { " FULL" } else { "" };
        let gap = if index % 4 == 0 { "" } else { "  " };
        let text = format!("{gap}{load} %{}{full}", core.unwrap_or_default());
        Span::styled(text, style)
    });
    let each: Vec<Span<'static>> = each.collect();
    let rows = each.chunks(4).enumerate().map(|(index, row)| {
        let mut spans = vec![title(if index == 0 { "WORKERS" } else { "" }, theme)];
        spans.extend(row.iter().cloned());
        Line::from(spans)
    });
    rows.collect()
}

/// The header and as many as fit, those that want looking at first.
fn trunks(all: &[Trunk], theme: Theme, width: usize, rows: usize) -> Vec<Line<'static>> {
    if all.is_empty() {
        return vec![Line::styled(" no trunks", theme.dim())];
    }
    let trouble = |trunk: &Trunk| {
        let silent = trunk.probe.as_ref().is_some_and(|probe| !probe.answers);
        silent
            || trunk
                .registration
                .as_ref()
                .is_some_and(|one| !one.registered)
    };
    let mut ordered: Vec<&Trunk> = all.iter().collect();
    ordered.sort_by_key(|trunk| (!trouble(trunk), std::cmp::Reverse(trunk.calls)));
    // Who registers nowhere, or has no room for it, is not told of that.
    let registers = all.iter().any(|trunk| trunk.registration.is_some());
    let registers = registers && width >= WITH_REGISTERED;
    let others = if registers {
        WITH_REGISTERED - 8
    } else {
        WITH_REGISTERED - 20
    };
    let name = width.saturating_sub(others).clamp(8, 24);
    let middle = if registers {
        format!(" {:<11}", "REGISTERED")
    } else {
        String::new()
    };
    let head = format!(
        " {} {:<7}{middle} {:>11} {:>5}",
        pad("TRUNK", name),
        "ANSWERS",
        "CALLS",
        "ASR"
    );
    let mut lines = vec![Line::styled(head, theme.title())];
    let fit = rows.saturating_sub(1);
    let cut = if ordered.len() > fit {
        fit.saturating_sub(1)
    } else {
        fit
    };
    for trunk in ordered.iter().take(cut) {
        let (answers, good) = match &trunk.probe {
            Some(probe) if probe.answers => ("yes", theme.good()),
            Some(_) => ("NO", theme.bad()),
            None => ("-", theme.dim()),
        };
        let (registered, style) = match &trunk.registration {
            Some(one) if one.registered => ("yes", theme.good()),
            Some(_) => ("NO", theme.bad()),
            None => ("-", theme.dim()),
        };
        let calls = match trunk.max_calls {
            Some(most) => format!("{}/{most}", trunk.calls),
            None => trunk.calls.to_string(),
        };
        let asr = match trunk.attempts {
            0 => "-".to_owned(),
            attempts => format!("{} %", 100 * trunk.answered / attempts),
        };
        lines.push(Line::from(vec![
            Span::raw(format!(" {} ", pad(&trunk.name, name))),
            Span::styled(format!("{answers:<7}"), good),
            Span::styled(
                if registers {
                    format!(" {registered:<11}")
                } else {
                    String::new()
                },
                style,
            ),
            Span::raw(format!(" {calls:>11} {asr:>5}")),
        ]));
    }
    if ordered.len() > cut {
        let more = ordered.len() - cut;
        lines.push(Line::styled(
            format!(" and {more} more: sbc trunks"),
            theme.dim(),
        ));
    }
    lines
}
