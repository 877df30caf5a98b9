//! Rows of a real array map, read in batches.
//!
//! Needs root and BPF; says so where it has to skip.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use aya::maps::{Array, MapData, MapError};
use sbc_ebpf::batch::{ROWS, lookup_batch, lookup_rows, one_by_one};
use sbc_tests::e2e::skip;

/// No power of two, and wider than a register.
type Row = [u64; 3];

const LENGTH: u32 = 2 * ROWS as u32 + 77;

fn row(index: u32) -> Row {
    [u64::from(index), u64::from(index) << 32, !0]
}

/// Every row says which one it is. None where there is no BPF to be had.
fn map(test: &str) -> Option<Array<MapData, Row>> {
    let mut map = match Array::<MapData, Row>::create(LENGTH, 0) {
        Ok(map) => map,
        Err(MapError::CreateError { io_error, .. }) if io_error.raw_os_error() == Some(1) => {
            skip(test, &format!("it needs root (CAP_BPF): {io_error}"));
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    for index in 0..LENGTH {
        map.set(index, row(index), 0).unwrap();
    }
    Some(map)
}

#[test]
fn a_batch_has_the_rows_of_its_range_in_order() {
    let Some(map) = map("rows in batches") else {
        return;
    };
    let rows = ROWS as u32;
    for range in [
        0..LENGTH,
        0..1,
        0..rows,
        0..rows + 1,
        1..2,
        5..rows + 5,
        rows - 1..2 * rows + 1,
        LENGTH - 1..LENGTH,
        LENGTH - 3..u32::MAX,
        0..u32::MAX,
        7..7,
        LENGTH..LENGTH + 9,
        u32::MAX - 1..u32::MAX,
    ] {
        let expected: Vec<Row> = range.clone().take_while(|&i| i < LENGTH).map(row).collect();
        let mut batch = Vec::new();
        lookup_batch(&map, range.clone(), &mut batch).unwrap();
        assert!(batch == expected, "{range:?}: {} rows", batch.len());
        let mut single = Vec::new();
        one_by_one(&map, range.clone(), &mut single).unwrap();
        assert!(single == expected, "{range:?} one by one");
    }
}

#[test]
fn a_batch_goes_behind_what_is_there() {
    let Some(map) = map("rows behind others") else {
        return;
    };
    let mut values = vec![[9; 3]];
    lookup_batch(&map, 3..5, &mut values).unwrap();
    lookup_batch(&map, 0..1, &mut values).unwrap();
    assert_eq!(values, [[9; 3], row(3), row(4), row(0)]);
}

#[test]
fn rows_here_and_there_are_each_its_own() {
    let Some(map) = map("rows here and there") else {
        return;
    };
    let rows = ROWS as u32;
    let every = |step: usize, from: u32, to: u32| (from..to).step_by(step);
    let few = every(500, 0, LENGTH);
    let many = every(3, 1, rows);
    // A dense block, one with a few, and the last one with what lies beyond it.
    let mixed = many
        .clone()
        .chain([rows, rows + 9])
        .chain(2 * rows..LENGTH + 200);
    let all: [Vec<u32>; 5] = [
        Vec::new(),
        few.collect(),
        many.collect(),
        mixed.collect(),
        vec![0, LENGTH - 1, LENGTH, u32::MAX],
    ];
    for wanted in all {
        let expected: Vec<Option<Row>> = wanted
            .iter()
            .map(|&index| (index < LENGTH).then(|| row(index)))
            .collect();
        assert!(
            lookup_rows(&map, &wanted) == expected,
            "{} rows",
            wanted.len()
        );
    }
}
