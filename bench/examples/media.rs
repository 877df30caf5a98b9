//! What forwarding costs and how long it takes, by hand: `cargo run --release -p sbc-bench --example media [SECONDS]`.

use std::time::Duration;

use sbc_bench::contender::Contender;
use sbc_bench::latency::{self, Pace};
use sbc_bench::media_cpu::{self, Load};
use sbc_bench::media_lab::MediaLab;

const ALL: [Contender; 4] = [
    Contender::Forwarding,
    Contender::Kernel,
    Contender::User,
    Contender::Rtpengine,
];

fn main() -> anyhow::Result<()> {
    let seconds: u64 = std::env::args().nth(1).map_or(Ok(3), |word| word.parse())?;
    let lab = MediaLab::new()?;
    let pace = Pace {
        calls: 100,
        packets: u32::try_from(seconds * 5_000)?,
        interval: Duration::from_micros(200),
        settle: Duration::from_secs(4),
    };
    println!("to the edge: {:?}", latency::to_edge(&lab, pace)?);
    for contender in ALL {
        let latency = latency::through(&lab, contender, pace);
        println!("{}: {latency:?}", contender.name());
    }
    let receiving = lab.count_kernel_work()?;
    let load = Load {
        calls: 500,
        rate: 50_000,
        settle: Duration::from_secs(4),
        counted: Duration::from_secs(seconds),
    };
    for contender in ALL {
        let cost = media_cpu::measure(&lab, &receiving, contender, load);
        println!("{}: {cost:?}", contender.name());
    }
    Ok(())
}
