//! Many rows of an array map in one system call: aya looks them up one by one.
#![expect(
    unsafe_code,
    reason = "the bpf(2) call itself: aya has none for batches"
)]

use core::borrow::Borrow;
use core::ops::Range;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::vec::Vec;

use aya::Pod;
use aya::maps::{Array, IterableMap as _, MapData, MapError};

/// BPF_MAP_LOOKUP_BATCH of `enum bpf_cmd` (Linux 5.6).
const LOOKUP_BATCH: libc::c_int = 24;

/// What a map without batches answers; no number of the C library.
const ENOTSUPP: libc::c_int = 524;

/// Rows of one system call: what the kernel copies with one hold of its own buffers, and what we reserve ahead.
pub const ROWS: usize = 4096;

/// Where one row in so many is wanted, it is cheaper to copy them all at once than to look each of them up: measured, a row of a batch
/// costs a quarter to a third of a system call.
const SPARSE: usize = 4;

/// The part of `union bpf_attr` that batches use.
#[repr(C)]
struct Attr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

const _: () = assert!(size_of::<Attr>() == 56);

/// What is in these rows, which ascend; `None` for one that cannot be read. A few system calls for thousands of rows.
#[must_use]
pub fn lookup_rows<T: Borrow<MapData>, V: Pod>(map: &Array<T, V>, rows: &[u32]) -> Vec<Option<V>> {
    let mut found = Vec::with_capacity(rows.len());
    let mut block = Vec::new();
    for rows in rows.chunk_by(|a, b| *a as usize / ROWS == *b as usize / ROWS) {
        block.clear();
        let mut first = 0;
        if let [lowest, .., highest] = rows
            && (highest.saturating_sub(*lowest) as usize) < rows.len() * SPARSE
        {
            first = *lowest;
            // What it does not give is looked up.
            let _ = lookup_batch(map, first..highest.saturating_add(1), &mut block);
        }
        found.extend(rows.iter().map(|row| {
            let at = row
                .checked_sub(first)
                .and_then(|at| usize::try_from(at).ok());
            let read = at.and_then(|at| block.get(at)).copied();
            read.or_else(|| map.get(row, 0).ok())
        }));
    }
    found
}

/// Appends these rows of the map to `values`, in order; what is beyond the last row is left out. Costs a system call for each
/// [`ROWS`]; where the kernel has no batches (before Linux 5.6) or may not be asked for them, one for each row.
///
/// # Errors
/// The kernel refuses the map. Rows that were read until then are in `values`.
pub fn lookup_batch<T: Borrow<MapData>, V: Pod>(
    map: &Array<T, V>,
    rows: Range<u32>,
    values: &mut Vec<V>,
) -> io::Result<()> {
    let mut next = rows.start;
    let end = rows.end.min(map.len());
    let fd = map.map().fd().as_fd();
    while next < end {
        let want = usize::try_from(end - next).map_or(ROWS, |left| left.min(ROWS));
        match chunk(fd, next, want, values) {
            // A map never has fewer rows than it was made with.
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => next += count,
            Err(error) if is_unknown(&error) => return one_by_one(map, next..end, values),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The same, a system call for each row.
///
/// # Errors
/// As of [`lookup_batch`].
pub fn one_by_one<T: Borrow<MapData>, V: Pod>(
    map: &Array<T, V>,
    rows: Range<u32>,
    values: &mut Vec<V>,
) -> io::Result<()> {
    for row in rows.start..rows.end.min(map.len()) {
        values.push(map.get(&row, 0).map_err(|error| match error {
            MapError::SyscallError(call) => call.io_error,
            other => io::Error::other(other),
        })?);
    }
    Ok(())
}

/// Up to `want` rows from `first` on, in one system call; how many there were.
fn chunk<V: Pod>(
    fd: BorrowedFd<'_>,
    first: u32,
    want: usize,
    values: &mut Vec<V>,
) -> io::Result<u32> {
    // The kernel goes on after this key; it begins with the first row where there is none.
    let after = first.checked_sub(1);
    let mut last = 0_u32;
    let mut keys = [0_u32; ROWS];
    let want = want.min(ROWS);
    values.reserve(want);
    let mut attr = Attr {
        in_batch: after
            .as_ref()
            .map_or(0, |key| core::ptr::from_ref(key) as u64),
        out_batch: core::ptr::from_mut(&mut last) as u64,
        keys: keys.as_mut_ptr() as u64,
        values: values.spare_capacity_mut().as_mut_ptr() as u64,
        count: u32::try_from(want).unwrap_or(0),
        map_fd: u32::try_from(fd.as_raw_fd()).unwrap_or(u32::MAX),
        elem_flags: 0,
        flags: 0,
    };
    // SAFETY: `attr` is laid out as the kernel has it, and of the size that is passed. The kernel reads one key at `in_batch`, writes
    // one at `out_batch`, and at most `count` keys and values at `keys` and `values`: there are `ROWS >= want` keys and room for `want`
    // values of the map's own value size, which aya has checked to be that of `V` before it made an `Array` of it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            LOOKUP_BATCH,
            core::ptr::from_mut(&mut attr),
            size_of::<Attr>(),
        )
    };
    if result != 0 {
        let error = io::Error::last_os_error();
        // The last row was among them: `count` holds.
        if error.raw_os_error() != Some(libc::ENOENT) {
            return Err(error);
        }
    }
    let count = attr.count.min(u32::try_from(want).unwrap_or(0));
    // SAFETY: the kernel has written `count <= want` values behind those that were there, and any bytes are a `V` (`Pod`).
    unsafe { values.set_len(values.len() + count as usize) };
    Ok(count)
}

/// The kernel does not know the command, or a filter between us and it does not let it pass.
fn is_unknown(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EINVAL | ENOTSUPP | libc::EOPNOTSUPP | libc::ENOSYS)
    )
}
