//! The memory that the kernel receives into: one block of equal buffers, and the ring through which they are handed out.
//!
//! A buffer is the kernel's from [`Buffers::give_back`] until a completion names it; then it is ours, as a [`Held`], until it is
//! given back. A datagram leaves from the very buffer that it came in: its destination takes the place of its source. What is sent
//! without having come in has [`SPARE`] buffers more, which the kernel never receives into.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use super::super::backend::MAX_PAYLOAD;

/// How many; a power of two. More than a turn ever finds, and what comes in addition waits in the sockets.
pub(super) const COUNT: u16 = 2048;
/// How many more there are for what is sent of our own making.
pub(super) const SPARE: u16 = 1024;
/// `struct io_uring_recvmsg_out`.
const HEADER: usize = 16;
/// `struct sockaddr_in6`, the larger of the two.
pub(super) const NAME: usize = 28;
/// From one buffer to the next; whole cache lines.
const STRIDE: usize = (HEADER + NAME + MAX_PAYLOAD).next_multiple_of(64);

/// A buffer that is ours.
#[derive(Debug)]
pub(super) struct Held(u16);

impl Held {
    /// Its number: comes back with the completion of what it was sent with.
    pub(super) fn number(&self) -> u16 {
        self.0
    }
}

/// What was received.
#[derive(Debug)]
pub(super) struct Received<'a> {
    /// Where from; `None` for an address family that is neither IPv4 nor IPv6.
    pub(super) from: Option<SocketAddr>,
    /// The datagram, or what there was room for.
    pub(super) payload: &'a [u8],
    /// There was more.
    pub(super) cut: bool,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Buffers {
    entries: Pages,
    memory: Pages,
    tail: u16,
    free: u16,
    /// Buffers that are neither the kernel's nor anyone's, the last one first.
    spare: Vec<Held>,
}

impl Buffers {
    /// All but the spare ones the kernel's, once they are published and registered.
    pub(super) fn new() -> Buffers {
        let mut buffers = Buffers {
            entries: Pages::new(usize::from(COUNT) * size_of::<BufRingEntry>()),
            memory: Pages::new(usize::from(COUNT + SPARE) * STRIDE),
            tail: 0,
            free: 0,
            spare: Vec::with_capacity(SPARE.into()),
        };
        for number in 0..COUNT + SPARE {
            buffers.give_back(Held(number));
        }
        buffers.publish();
        buffers
    }

    /// Where the kernel finds the ring of buffers.
    pub(super) fn ring_address(&self) -> u64 {
        self.entries.0.as_ptr() as u64
    }

    /// How many are the kernel's, as far as completions have told.
    pub(super) fn free(&self) -> u16 {
        self.free
    }

    /// Takes a buffer that a completion of a receive has named. `None` for a number that no buffer has.
    ///
    /// # Safety
    /// The kernel must have handed this buffer over, and it must not have been taken since.
    pub(super) unsafe fn take_received(&mut self, number: u16) -> Option<Held> {
        (number < COUNT).then(|| {
            self.free = self.free.saturating_sub(1);
            Held(number)
        })
    }

    /// Takes a buffer back that a completion of a send has named.
    ///
    /// # Safety
    /// As for [`Buffers::take_received`]: what sent it must have completed, and its `Held` must be gone since.
    pub(super) unsafe fn take_sent(&mut self, number: u16) -> Option<Held> {
        (number < COUNT + SPARE).then_some(Held(number))
    }

    /// A buffer that nothing came in; `None` if all of these are under way.
    pub(super) fn take_spare(&mut self) -> Option<Held> {
        self.spare.pop()
    }

    /// What is in a buffer of which the kernel has written `length` bytes. `None` if that is no message.
    pub(super) fn received(&self, held: &Held, length: usize) -> Option<Received<'_>> {
        // SAFETY: the buffer lies within `memory`, is initialised (zeroed at first), and is ours while it is held: the
        // kernel does not write to it, and nothing of ours does while `self` is borrowed.
        let bytes =
            unsafe { std::slice::from_raw_parts(self.start(held).as_ptr(), length.min(STRIDE)) };
        let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
        let (name, payload) = rest.split_first_chunk::<NAME>()?;
        let [name_length, _, payload_length, flags] = [0, 4, 8, 12].map(|at| {
            header[at..]
                .first_chunk()
                .map_or(0, |word| u32::from_ne_bytes(*word))
        });
        Some(Received {
            from: socket_address(name.get(..name_length as usize)?),
            payload: payload.get(..payload_length as usize).unwrap_or(payload),
            cut: flags & libc::MSG_TRUNC as u32 != 0 || payload.len() > MAX_PAYLOAD,
        })
    }

    /// Writes a destination into a held buffer, where its source was. Returns where it is, and its length.
    pub(super) fn write_destination(
        &mut self,
        held: &Held,
        to: SocketAddr,
    ) -> (*const libc::sockaddr, libc::socklen_t) {
        let (name, length) = name_of(to);
        // SAFETY: HEADER + NAME is less than STRIDE, so this is within the held buffer, which is ours alone; `self` is
        // borrowed mutably, so that no slice of it is alive.
        unsafe {
            let place = self.start(held).as_ptr().add(HEADER);
            std::ptr::copy_nonoverlapping(name.as_ptr(), place, name.len());
            (place.cast::<libc::sockaddr>(), length)
        }
    }

    /// Writes a payload into a held buffer, as much of it as there is room for; gives its length.
    pub(super) fn write_payload(&mut self, held: &Held, payload: &[u8]) -> u32 {
        let length = payload.len().min(MAX_PAYLOAD);
        // SAFETY: HEADER + NAME + MAX_PAYLOAD is at most STRIDE, so this is within the held buffer, which is ours alone; `payload` is
        // no slice of it, as `self` is borrowed mutably.
        unsafe {
            let place = self.start(held).as_ptr().add(HEADER + NAME);
            std::ptr::copy_nonoverlapping(payload.as_ptr(), place, length);
        }
        length as u32
    }

    /// Where the payload of a held buffer begins.
    pub(super) fn payload(&self, held: &Held) -> *const u8 {
        // SAFETY: HEADER + NAME is less than STRIDE: within the buffer.
        unsafe { self.start(held).as_ptr().add(HEADER + NAME) }
    }

    /// A buffer is the kernel's again, from the next [`Buffers::publish`] on, or a spare one.
    pub(super) fn give_back(&mut self, held: Held) {
        if held.0 >= COUNT {
            return self.spare.push(held);
        }
        let address = self.start(&held).as_ptr() as u64;
        let place = usize::from(self.tail & (COUNT - 1));
        // SAFETY: `place` is below COUNT and the block of entries is that long and aligned to a page; the kernel reads entries
        // only below the published tail, and this one is not: there are never more than COUNT buffers in the ring.
        let entry = unsafe { &mut *self.entries.0.as_ptr().cast::<BufRingEntry>().add(place) };
        entry.set_addr(address);
        entry.set_len(STRIDE as u32);
        entry.set_bid(held.0);
        self.tail = self.tail.wrapping_add(1);
        self.free += 1;
    }

    /// Shows the kernel what was given back.
    pub(super) fn publish(&mut self) {
        // SAFETY: the pointer is to the first entry of a block that was zeroed and is aligned to a page; the tail in it is an
        // aligned u16 that the kernel only reads, and that we write by this atomic store only.
        let tail = unsafe {
            let first = self.entries.0.as_ptr().cast::<BufRingEntry>();
            AtomicU16::from_ptr(BufRingEntry::tail(first).cast_mut())
        };
        tail.store(self.tail, Ordering::Release);
    }

    fn start(&self, held: &Held) -> NonNull<u8> {
        // SAFETY: a `Held` is only made with a number below COUNT + SPARE, and `memory` is that many times STRIDE bytes.
        unsafe { self.memory.0.add(usize::from(held.0) * STRIDE) }
    }
}

/// The address in a `sockaddr_in` or `sockaddr_in6`.
fn socket_address(name: &[u8]) -> Option<SocketAddr> {
    let family = libc::c_int::from(u16::from_ne_bytes(*name.first_chunk()?));
    let port = u16::from_be_bytes(*name.get(2..)?.first_chunk()?);
    match family {
        libc::AF_INET => {
            let octets: [u8; 4] = *name.get(4..)?.first_chunk()?;
            Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(octets)), port))
        }
        libc::AF_INET6 => {
            let octets: [u8; 16] = *name.get(8..)?.first_chunk()?;
            let scope = u32::from_ne_bytes(*name.get(24..)?.first_chunk()?);
            let address = SocketAddrV6::new(Ipv6Addr::from(octets), port, 0, scope);
            Some(SocketAddr::V6(address))
        }
        _ => None,
    }
}

/// The `sockaddr` of an address, and its length.
fn name_of(address: SocketAddr) -> ([u8; NAME], libc::socklen_t) {
    let mut name = [0; NAME];
    let (family, length) = match address {
        SocketAddr::V4(v4) => {
            name[4..8].copy_from_slice(&v4.ip().octets());
            (libc::AF_INET, 16)
        }
        SocketAddr::V6(v6) => {
            name[8..24].copy_from_slice(&v6.ip().octets());
            name[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
            (libc::AF_INET6, NAME as libc::socklen_t)
        }
    };
    name[..2].copy_from_slice(&(family as u16).to_ne_bytes());
    name[2..4].copy_from_slice(&address.port().to_be_bytes());
    (name, length)
}

/// Zeroed memory that begins at a page and never moves. Nobody has a reference to it but for the time of a function.
#[derive(Debug)]
pub(super) struct Pages(NonNull<u8>, Layout);

impl Pages {
    const ALIGNMENT: usize = 4096;

    /// At least so many bytes.
    pub(super) fn new(size: usize) -> Pages {
        let Ok(layout) = Layout::from_size_align(size.max(1), Self::ALIGNMENT) else {
            handle_alloc_error(Layout::new::<[u8; Self::ALIGNMENT]>())
        };
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        NonNull::new(start).map_or_else(|| handle_alloc_error(layout), |start| Pages(start, layout))
    }

    /// The first byte.
    pub(super) fn start(&self) -> NonNull<u8> {
        self.0
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this very layout, and freed once.
        unsafe { dealloc(self.0.as_ptr(), self.1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_same_after_a_sockaddr() {
        for text in [
            "127.0.0.1:40000",
            "[2001:db8::7]:5060",
            "[fe80::1%3]:1",
            "0.0.0.0:0",
        ] {
            let address: SocketAddr = text.parse().unwrap();
            let (name, length) = name_of(address);
            assert_eq!(socket_address(&name[..length as usize]), Some(address));
        }
    }

    #[test]
    fn what_is_no_sockaddr_has_no_address() {
        let (name, _) = name_of("[::1]:9".parse().unwrap());
        for length in 0..NAME {
            assert_eq!(socket_address(&name[..length]), None, "{length} bytes");
        }
        assert_eq!(socket_address(&[1; NAME]), None);
    }

    #[test]
    fn a_buffer_goes_out_and_comes_back() {
        let mut buffers = Buffers::new();
        assert_eq!(buffers.free(), COUNT);
        // SAFETY: no kernel has this ring; the buffer is taken once.
        let held = unsafe { buffers.take_received(7) }.unwrap();
        assert_eq!(buffers.free(), COUNT - 1);
        let to = "192.0.2.1:4000".parse().unwrap();
        let (place, length) = buffers.write_destination(&held, to);
        // SAFETY: `length` bytes were written there just now.
        let written = unsafe { std::slice::from_raw_parts(place.cast::<u8>(), length as usize) };
        assert_eq!(socket_address(written), Some(to));
        buffers.give_back(held);
        assert_eq!(buffers.free(), COUNT);
        // SAFETY: nothing is read or written for a number that no buffer has, or that the kernel never has.
        assert!(unsafe { buffers.take_received(COUNT) }.is_none());
    }

    #[test]
    fn spare_buffers_are_never_the_kernels() {
        let mut buffers = Buffers::new();
        let held: Vec<Held> = std::iter::from_fn(|| buffers.take_spare()).collect();
        assert_eq!((held.len(), buffers.free()), (usize::from(SPARE), COUNT));
        for held in &held {
            assert_eq!(buffers.write_payload(held, &[7; MAX_PAYLOAD + 1]), 2048);
            let place = buffers.payload(held);
            // SAFETY: as many bytes were written there just now.
            let written = unsafe { std::slice::from_raw_parts(place, MAX_PAYLOAD) };
            assert!(written.iter().all(|&byte| byte == 7));
        }
        let numbers: Vec<u16> = held.iter().map(Held::number).collect();
        assert!(
            numbers
                .iter()
                .all(|number| (COUNT..COUNT + SPARE).contains(number))
        );
        drop(held);
        for number in numbers {
            // SAFETY: no kernel has sent it, and its `Held` is gone.
            let held = unsafe { buffers.take_sent(number) }.unwrap();
            buffers.give_back(held);
        }
        assert_eq!(buffers.free(), COUNT);
        assert!(buffers.take_spare().is_some());
    }
}
