//! The least that a relay can do, and nothing at all: `ebpf/src/floor.rs`, loaded.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, bail};
use aya::maps::{HashMap, MapData};
use aya::programs::{TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};

use super::Ran;

static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../ebpf/sbc-floor.o"));

/// The loaded programs.
pub(super) struct Floor {
    ebpf: Ebpf,
    flows: HashMap<MapData, Key, Key>,
}

type Key = [u32; 3];

impl Floor {
    /// With room for twice as many flows, as a hash wants it.
    pub(super) fn load(flows: u32) -> Result<Floor> {
        let room = flows.max(32_768).next_power_of_two() * 2;
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("FLOOR", room)
            .load(OBJECT)?;
        for name in ["minimal", "counting", "empty"] {
            let program: &mut Xdp = ebpf
                .program_mut(name)
                .context("floor program")?
                .try_into()?;
            program.load()?;
        }
        let flows = HashMap::try_from(ebpf.take_map("FLOOR").context("floor map")?)?;
        Ok(Floor { ebpf, flows })
    }

    /// What goes from `source` to `destination` leaves as the other two say.
    pub(super) fn put(&mut self, packet: [SocketAddr; 2], leaves: [SocketAddr; 2]) -> Result<()> {
        Ok(self.flows.insert(key(packet)?, key(leaves)?, 0)?)
    }

    pub(super) fn run(&mut self, name: &str, frame: &[u8], repeat: u32) -> Result<Ran> {
        let program: &mut Xdp = self
            .ebpf
            .program_mut(name)
            .context("floor program")?
            .try_into()?;
        let mut out = vec![0; frame.len() + 64];
        let result = program.test_run(TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            repeat,
            ..TestRunOptions::default()
        })?;
        Ok(Ran::new(&result, out))
    }
}

/// As on the wire.
fn key([source, destination]: [SocketAddr; 2]) -> Result<Key> {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (source.ip(), destination.ip()) else {
        bail!("the floor programs know IPv4 only");
    };
    let [p, q] = [
        source.port().to_be_bytes(),
        destination.port().to_be_bytes(),
    ];
    Ok([from.octets(), to.octets(), [p[0], p[1], q[0], q[1]]].map(u32::from_ne_bytes))
}
