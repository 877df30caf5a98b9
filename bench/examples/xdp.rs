//! Prints what the XDP program costs.
fn main() -> anyhow::Result<()> {
    let cost = sbc_bench::xdp::measure(200_000, 60)?;
    println!(
        "{cost:?} {:.2} {:.2}",
        cost.to_minimal(),
        cost.to_counting()
    );
    Ok(())
}
