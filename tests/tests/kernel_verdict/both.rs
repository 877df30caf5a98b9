//! The program in the kernel beside its twin on the host.

use sbc::io::fast_path::{HopMap, Program};
use sbc_ebpf::abi::FlowConfig;
use sbc_ebpf::{Drop, FlowState};
use sbc_tests::e2e::skip;
use sbc_tests::frames::{Fate, Host, PORTS, Way, at, leaving, sample, udp};
use sbc_tests::frames::{REDIRECT, TX};

const ADDRESSES: u32 = 10;

/// Both, with the same tables. The host's are the ones to change; [`Both::publish`] brings them to the kernel.
pub(crate) struct Both {
    pub(crate) kernel: Program,
    pub(crate) hops: HopMap,
    pub(crate) host: Host,
}

impl Both {
    /// With the sample calls. None where there is no BPF to be had.
    pub(crate) fn load() -> Option<Both> {
        Both::recording(0)
    }

    /// The same, with so many rings of the flight recorder.
    pub(crate) fn recording(rings: u32) -> Option<Both> {
        let (kernel, hops) = match Program::load_recording(PORTS * ADDRESSES, rings) {
            Ok(loaded) => loaded,
            Err(failure) if failure.os_error() == Some(1) => {
                skip(
                    "the kernel's verdict",
                    &format!("it needs root (CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON): {failure}"),
                );
                return None;
            }
            Err(failure) => panic!("{failure}"),
        };
        let mut both = Both {
            kernel,
            hops,
            host: sample(),
        };
        both.publish();
        Some(both)
    }

    /// Brings the host's tables to the kernel.
    pub(crate) fn publish(&mut self) {
        self.hops.beat().unwrap();
        for (row, hop) in (0..).zip(&self.host.hops).skip(1) {
            self.hops.put(row, *hop).unwrap();
        }
        for local in &self.host.locals {
            self.kernel.put_local(*local).unwrap();
        }
        for (&place, config) in &self.host.flows {
            // Any row does that is no other flow's.
            self.kernel.write_flow(place, config).unwrap();
            self.kernel.point(place, place, config.state).unwrap();
        }
    }

    /// All flows learn anew.
    pub(crate) fn renew(&mut self) {
        self.host.renew();
        for (&place, config) in &self.host.flows {
            self.kernel.write_flow(place, config).unwrap();
        }
    }

    /// Changes the flow of a port of ours.
    pub(crate) fn change(&mut self, local: &str, how: impl FnOnce(&mut FlowConfig)) {
        let place = self.host.place(at(local));
        how(self.host.flows.get_mut(&place).unwrap());
        self.publish();
    }

    /// Gives both the frame, and what they agree on.
    #[track_caller]
    pub(crate) fn run(&mut self, frame: &[u8]) -> Fate {
        match self.compare(frame) {
            Ok(fate) => fate,
            Err(how) => panic!("{how}"),
        }
    }

    /// The same, or what they disagree about.
    pub(crate) fn compare(&mut self, frame: &[u8]) -> Result<Fate, String> {
        let reasons = |kernel: &Program| Drop::ALL.map(|r| kernel.drops(3, r).unwrap());
        let before = reasons(&self.kernel);
        let mut out = vec![0; frame.len() + 256];
        let result = self.kernel.run(frame, &mut out, 1).unwrap();
        out.truncate(result.data_size_out as usize);
        let after = reasons(&self.kernel);
        let counted = Drop::ALL
            .into_iter()
            .zip(before.into_iter().zip(after))
            .find(|(_, (before, after))| before != after)
            .map(|(reason, _)| reason);
        let kernel = (result.return_value, out, counted);
        let host = self.host.run(frame);
        if kernel != host {
            return Err(format!(
                "of {frame:02x?} the kernel makes {kernel:02x?}, the host {host:02x?}"
            ));
        }
        let rows: Vec<u32> = (0..self.host.states.len() as u32).step_by(2).collect();
        let states = self.kernel.pair_states(&rows).into_iter().flatten();
        let host_states = self.host.states.iter().map(|state| state.get());
        for (row, (kernel, host)) in states.flatten().zip(host_states).enumerate() {
            let (kernel, host) = (without_time(kernel), without_time(host));
            if kernel != host {
                return Err(format!(
                    "{frame:02x?} leaves state {row} as {kernel:02x?} in the kernel, as {host:02x?} on the host"
                ));
            }
        }
        Ok(host)
    }

    /// The payload goes this way, and what leaves is what etherparse makes of it, byte for byte.
    #[track_caller]
    pub(crate) fn goes(&mut self, way: &Way, payload: &[u8]) {
        self.goes_marked(way, 46, payload);
    }

    /// The same, with this DSCP.
    #[track_caller]
    pub(crate) fn goes_marked(&mut self, way: &Way, dscp: u8, payload: &[u8]) {
        let hop = self.host.hops[way.hop as usize];
        let action = if hop.ifindex == 1 { TX } else { REDIRECT };
        let fate = self.run(&udp(way.from, way.at, payload));
        let expected = (action, leaving(&hop, dscp, way, payload), None);
        assert_eq!(fate, expected, "{way:?}");
    }
}

/// The two have no common clock.
fn without_time(mut state: FlowState) -> FlowState {
    state.last_seen = 0;
    state.stream.jitter = 0;
    state.stream.transit = 0;
    state
}
