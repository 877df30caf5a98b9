//! What a packet costs in user space, by hand: `cargo run --release -p sbc-bench --example relay`.

use sbc::io::media::Driver;

fn main() -> anyhow::Result<()> {
    println!("{:<32}{:>16}{:>16}", "", "CPU s/M packets", "packets/s");
    for burst in [1, 8, 64] {
        let run = sbc_bench::relay::plain_loop(200_000, burst)?;
        let name = format!("plain loop, burst {burst}");
        println!("{name:<32}{:>16.3}{:>16.0}", run.cpu_per_million, run.rate);
        for driver in [Driver::IoUring, Driver::Epoll] {
            for flows in [1, 500] {
                let run = sbc_bench::relay::worker(driver, 200_000, flows, burst)?;
                let name = format!("{}, {flows} flows, burst {burst}", driver.label());
                println!("{name:<32}{:>16.3}{:>16.0}", run.cpu_per_million, run.rate);
            }
        }
    }
    Ok(())
}
