//! What installing flows costs, by hand: `cargo run --release -p sbc-bench --example install`.

use sbc_bench::install::{self, Phones};
use sbc_bench::media_lab::MediaLab;

fn main() -> anyhow::Result<()> {
    let lab = MediaLab::new()?;
    for phones in [Phones::Together, Phones::Apart] {
        let cost = install::measure(&lab, 10_000, phones)?;
        println!("{phones:?}: {cost:?}");
    }
    Ok(())
}
