//! Links that are pinned in a bpf file system, detached at once: aya removes the name, and the kernel lets go of the link some time after that.
#![expect(
    unsafe_code,
    reason = "the bpf(2) call itself: aya detaches nothing that is pinned"
)]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// BPF_OBJ_GET of `enum bpf_cmd`.
const OBJ_GET: libc::c_int = 7;
/// BPF_LINK_DETACH (Linux 5.9).
const LINK_DETACH: libc::c_int = 34;

/// The part of `union bpf_attr` that finds what is pinned.
#[repr(C)]
struct Place {
    path: u64,
    fd: u32,
    flags: u32,
}

const _: () = assert!(size_of::<Place>() == 16);

/// The part of `union bpf_attr` that names a link.
#[repr(C)]
struct Link {
    fd: u32,
}

/// Has the link that is pinned there let go of what it is attached to: when this returns, its program sees nothing more, and another one may have the
/// place. The link itself, and its name, are still there.
///
/// # Errors
/// Nothing is pinned there, or what we may not open, or what is no link. Before Linux 5.9 always.
pub fn detach(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let place = Place {
        path: path.as_ptr() as u64,
        fd: 0,
        flags: 0,
    };
    // SAFETY: `place` is laid out as the kernel has it, and of the size that is passed; the kernel reads a string that ends with 0 at `path`, which outlives
    // the call, and writes nothing.
    let found = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            OBJ_GET,
            core::ptr::from_ref(&place),
            size_of::<Place>(),
        )
    };
    let found = match i32::try_from(found) {
        Ok(fd @ 0..) => fd,
        _ => return Err(io::Error::last_os_error()),
    };
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
    let found = unsafe { OwnedFd::from_raw_fd(found) };
    let link = Link {
        fd: found.as_raw_fd().cast_unsigned(),
    };
    // SAFETY: `link` is laid out as the kernel has it, and of the size that is passed; the kernel reads it only.
    let done = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            LINK_DETACH,
            core::ptr::from_ref(&link),
            size_of::<Link>(),
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
