//! `docs/odd-frames.md` is the test: each of its rows is a frame of [`frames`], which both builds have to treat as the row says, before the flow
//! has its latch and afterwards.

mod frames;
mod make;

use std::collections::BTreeSet;

use sbc_ebpf::Drop;
use sbc_tests::frames::{DROP, Fate, PASS, TX, leaving, rtp, udp};

use super::both::Both;
use frames::frames;
use make::Odd;

const PAGE: &str = include_str!("../../../../docs/odd-frames.md");

/// A row of the page.
struct Row<'a> {
    frame: &'a str,
    happens: &'a str,
    leaves: &'a str,
}

fn rows() -> Vec<Row<'static>> {
    let lines = PAGE.lines().filter_map(|line| line.strip_prefix("| "));
    let cells = lines.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let rows = cells.filter(|cells| cells[0] != "Frame" && !cells[0].starts_with("--"));
    rows.map(|cells| match cells[..] {
        [frame, happens, leaves, why, _] if !why.is_empty() => Row {
            frame,
            happens,
            leaves,
        },
        _ => panic!("four cells: {cells:?}"),
    })
    .collect()
}

#[test]
fn every_odd_frame_has_a_row_and_every_row_a_frame() {
    let mut rows: Vec<&str> = rows().iter().map(|row| row.frame).collect();
    let mut frames: Vec<&str> = frames().iter().map(|(name, _)| *name).collect();
    rows.sort_unstable();
    frames.sort_unstable();
    assert_eq!(rows, frames);
    let once: BTreeSet<_> = frames.iter().collect();
    assert_eq!(once.len(), frames.len(), "each once");
}

#[test]
fn what_becomes_of_odd_frames_is_what_the_page_says() {
    let Some(mut both) = Both::load() else { return };
    let frames = frames();
    let mut wrong = Vec::new();
    for row in rows() {
        let odd = frames.iter().find(|(name, _)| *name == row.frame);
        let (_, odd) = odd.unwrap();
        let mut judge = |both: &mut Both, when: &str| match both.compare(&odd.frame) {
            Ok(fate) => {
                if let Err(how) = fits(both, &row, odd, &fate) {
                    wrong.push(format!("{}, {when}: {how}", row.frame));
                }
            }
            Err(how) => wrong.push(format!("{}, {when}: {how}", row.frame)),
        };
        both.renew();
        judge(&mut both, "first of all");
        judge(&mut both, "again");
        both.renew();
        for sequence in 0..2 {
            both.run(&udp(odd.way.from, odd.way.at, &rtp(sequence)));
            both.run(&udp(odd.way.to, odd.way.out, &rtp(sequence)));
        }
        judge(&mut both, "among others");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether the row says so.
fn fits(both: &Both, row: &Row<'_>, odd: &Odd, fate: &Fate) -> Result<(), String> {
    let came = &odd.frame;
    let expected = match row.happens {
        "stack" => (PASS, came.clone(), None),
        "sent" => (fate.0, sent(both, row, odd)?, None),
        drop => {
            let label = drop.strip_prefix("dropped: ").unwrap_or_default();
            let reason = Drop::ALL.into_iter().find(|r| r.label() == label);
            let reason = reason.ok_or(format!("{drop:?} is no outcome"))?;
            (DROP, came.clone(), Some(reason))
        }
    };
    let is_sent = row.happens == "sent";
    if is_sent == (row.leaves == "as it came") {
        return Err(format!("{:?} does not fit {:?}", row.leaves, row.happens));
    }
    if is_sent && fate.0 < TX || *fate != expected {
        return Err(format!("expected {expected:02x?}, found {fate:02x?}"));
    }
    Ok(())
}

/// The frame that leaves, if it is as the row says.
fn sent(both: &Both, row: &Row<'_>, odd: &Odd) -> Result<Vec<u8>, String> {
    let hop = &both.host.hops[odd.way.hop as usize];
    let mut frame = leaving(hop, 46, odd.way, &odd.payload);
    let udp_at = frame.len() - odd.payload.len() - 8;
    let sum = |frame: &[u8], at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    for said in row.leaves.split(", ") {
        match said.split_once(' ') {
            Some(("as", "any")) => {}
            Some(("without", "checksum")) => frame[udp_at + 6..udp_at + 8].fill(0),
            Some(("checksum", "as wrong")) => {
                let right = udp(odd.way.from, odd.way.at, &odd.payload);
                let at = right.len() - odd.payload.len() - 2;
                // RFC 1624: what it was off by, it is off by.
                let off = ones(u32::from(sum(&odd.frame, at)) + u32::from(!sum(&right, at)));
                let wrong = ones(u32::from(sum(&frame, udp_at + 6)) + u32::from(off));
                frame[udp_at + 6..udp_at + 8].copy_from_slice(&wrong.to_be_bytes());
            }
            Some((count, "bytes behind")) => {
                let count: usize = count.parse().map_err(|_| format!("{count:?} bytes"))?;
                frame.extend(&odd.frame[odd.frame.len() - count..]);
            }
            _ => return Err(format!("{said:?} says nothing")),
        }
    }
    Ok(frame)
}

fn ones(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum + (sum >> 16)) as u16
}
