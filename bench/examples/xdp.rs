//! Prints what the XDP program costs: `cargo run --release -p sbc-bench --example xdp`.

use sbc_bench::xdp;

fn main() -> anyhow::Result<()> {
    let cost = xdp::measure(200_000, 20)?;
    println!("{cost:#?}");
    println!("to minimal {:.2}", cost.ratio(cost.hit, cost.minimal));
    println!("drop {:.2}", cost.ratio(cost.no_flow, cost.miss));
    println!("wrong {:.2}", cost.ratio(cost.wrong_source, cost.miss));
    let chain = xdp::chain(100_000, 5, 3)?;
    println!("{chain:?} {:.2}", chain.ratio());
    println!("{:?}", xdp::verified_instructions()?);
    Ok(())
}
