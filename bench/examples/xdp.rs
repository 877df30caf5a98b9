//! Prints what the XDP program costs: `cargo run --release -p sbc-bench --example xdp`.

use sbc_bench::xdp;

fn main() -> anyhow::Result<()> {
    let cost = xdp::measure(9)?;
    println!("{cost:#?}");
    println!("to minimal {:.2}", cost.hit.ratio());
    println!("drop {:.2}", cost.no_flow.ratio());
    println!("wrong {:.2}", cost.wrong_source.ratio());
    let chain = xdp::chain(100_000, 3)?;
    println!("{chain:?} {:.2}", chain.ratio());
    println!("{:?}", xdp::verified_instructions()?);
    Ok(())
}
