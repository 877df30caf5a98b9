//! Who looks at a daemon with many calls.

use sbc_bench::agent::Calls;
use sbc_bench::media_lab::MediaLab;
use sbc_bench::scrape;
use sbc_bench::table::Row;

use super::part;

const HELD: Calls = Calls {
    count: 10_000,
    rate: 500,
};
const PAGES: [&str; 4] = ["/metrics", "/api/status", "/api/calls", "/api/flows"];
/// From the connection to the last byte, in milliseconds.
const GOAL: f64 = 50.0;
/// What an INVITE waits longer for its 200 while somebody looks, in milliseconds.
const HELD_UP: f64 = 2.0;

pub(super) fn looks() -> Vec<Row> {
    let pages = MediaLab::new().and_then(|lab| scrape::measure(&lab, HELD, &PAGES));
    let mut rows = Vec::new();
    for (place, path) in PAGES.iter().enumerate() {
        let row = |what: &str, unit, of: fn(&scrape::Page) -> f64| {
            part(&pages, format!("{path}, {what}"), unit, |pages| {
                pages.get(place).map_or(0.0, of)
            })
        };
        let ms = |seconds: f64| seconds * 1e3;
        rows.extend([
            row("p50", "ms", |page| page.within(50).as_secs_f64() * 1e3),
            row("p99", "ms", |page| page.within(99).as_secs_f64() * 1e3),
            row("at most", "ms", |page| page.within(100).as_secs_f64() * 1e3).at_most(GOAL),
            row("its size", "kB", |page| page.bytes as f64 / 1e3),
        ]);
        for (who, of) in [
            (
                "nobody looks",
                (|page| &page.quiet) as fn(&scrape::Page) -> &scrape::Traffic,
            ),
            ("somebody looks ten times a second", |page| &page.watched),
        ] {
            for (what, figure) in [
                (
                    "INVITE to 200, p50",
                    (|traffic| traffic.setup(50)) as fn(&scrape::Traffic) -> f64,
                ),
                ("INVITE to 200, p99", |traffic| traffic.setup(99)),
                ("a packet through user space, p50", |traffic| {
                    traffic.packet(50)
                }),
                ("a packet through user space, p99", |traffic| {
                    traffic.packet(99)
                }),
            ] {
                let name = format!("{path}, {who}: {what}");
                rows.push(part(&pages, name, "ms", |pages| {
                    ms(pages.get(place).map_or(0.0, |page| figure(of(page))))
                }));
            }
        }
        rows.push(
            row(
                "INVITE to 200, p99: longer while somebody looks",
                "ms",
                |page| (page.watched.setup(99) - page.quiet.setup(99)).max(0.0) * 1e3,
            )
            .at_most(HELD_UP),
        );
        rows.push(
            row("packets lost while somebody looks", "", |page| {
                page.watched.lost as f64
            })
            .at_most(0.0),
        );
    }
    rows
}
