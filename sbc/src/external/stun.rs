//! As much of STUN (RFC 8489) as tells an address: a Binding request, and what comes back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use thiserror::Error;

/// RFC 8489 5: in every message, and in no SIP.
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// Bytes before the attributes.
const HEADER: usize = 20;

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
/// Either class of answer has this bit, and no request or indication has (RFC 8489 5).
const ANSWER: u16 = 0x0100;

const ERROR_CODE: u16 = 0x0009;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
/// Attributes from here on may be left unread.
const OPTIONAL: u16 = 0x8000;
/// The last that RFC 8489 and those before it have given to attributes of Binding that have to be understood.
const LAST_KNOWN: u16 = 0x0021;

/// 96 bits that nobody can guess: an answer that has them is one to this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TransactionId(pub(super) [u8; 12]);

/// What a server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Where the request came from, as the server saw it.
    Mapped(SocketAddr),
    /// It does not tell: an error code, 300 to 699.
    Refused(u16),
}

/// Why a datagram is no answer to a Binding request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum StunError {
    /// Too short, without the cookie, of another length than it says.
    #[error("it is no STUN message")]
    NotStun,
    /// A request, an indication, or another method.
    #[error("it is no answer to a Binding request")]
    Kind,
    /// An attribute that does not fit.
    #[error("an attribute is cut off, or has no such value")]
    Attribute,
    /// An attribute that has to be understood (RFC 8489 6.3.3).
    #[error("it has the attribute {0:#06x}, which is unknown and not optional")]
    Unknown(u16),
    /// It tells nothing.
    #[error("it has no XOR-MAPPED-ADDRESS")]
    NoAddress,
}

/// Whether a datagram is an answer of STUN's, and no SIP: first two bits, cookie, length and class (RFC 8489 5, 6.3).
#[must_use]
pub fn is_answer(bytes: &[u8]) -> bool {
    kind(bytes).is_some_and(|kind| kind & ANSWER != 0)
}

/// A Binding request without attributes.
#[must_use]
pub(super) fn request(id: TransactionId) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    let kind = BINDING_REQUEST.to_be_bytes();
    let fields = kind.iter().chain(&[0, 0]).chain(&COOKIE).chain(&id.0);
    for (byte, field) in bytes.iter_mut().zip(fields) {
        *byte = *field;
    }
    bytes
}

/// Reads an answer to a Binding request.
///
/// # Errors
/// See [`StunError`].
pub(super) fn read(bytes: &[u8]) -> Result<(TransactionId, Answer), StunError> {
    let kind = kind(bytes).ok_or(StunError::NotStun)?;
    let (header, mut rest) = bytes
        .split_first_chunk::<HEADER>()
        .ok_or(StunError::NotStun)?;
    if kind != BINDING_SUCCESS && kind != BINDING_ERROR {
        return Err(StunError::Kind);
    }
    let id = header.last_chunk::<12>().copied().map(TransactionId);
    let id = id.ok_or(StunError::NotStun)?;
    let mut found = None;
    while let Some(([k0, k1, l0, l1], after)) = rest.split_first_chunk::<4>() {
        let kind_of = u16::from_be_bytes([*k0, *k1]);
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        let value = after.get(..length).ok_or(StunError::Attribute)?;
        rest = after
            .get(length.next_multiple_of(4)..)
            .ok_or(StunError::Attribute)?;
        match (kind, kind_of) {
            // Of two only the first counts (RFC 8489 14).
            _ if found.is_some() => {}
            (BINDING_SUCCESS, XOR_MAPPED_ADDRESS) => {
                found = Some(Answer::Mapped(mapped(value, id)?));
            }
            (BINDING_ERROR, ERROR_CODE) => found = Some(Answer::Refused(code(value)?)),
            _ if kind_of > LAST_KNOWN && kind_of < OPTIONAL => {
                return Err(StunError::Unknown(kind_of));
            }
            _ => {}
        }
    }
    if !rest.is_empty() {
        return Err(StunError::Attribute);
    }
    Ok((id, found.ok_or(StunError::NoAddress)?))
}

/// The type of a message that has the form of one.
fn kind(bytes: &[u8]) -> Option<u16> {
    let ([k0, k1, l0, l1, cookie @ ..], rest) = bytes.split_first_chunk::<8>()?;
    let length = usize::from(u16::from_be_bytes([*l0, *l1]));
    let fits = *k0 & 0xc0 == 0
        && *cookie == COOKIE
        && length.is_multiple_of(4)
        && rest.len() + 8 == HEADER + length;
    fits.then(|| u16::from_be_bytes([*k0, *k1]))
}

/// RFC 8489 14.2.
fn mapped(value: &[u8], id: TransactionId) -> Result<SocketAddr, StunError> {
    let ([_, family, p0, p1], address) =
        value.split_first_chunk::<4>().ok_or(StunError::Attribute)?;
    let [c0, c1, ..] = COOKIE;
    let port = u16::from_be_bytes([p0 ^ c0, p1 ^ c1]);
    let mask = COOKIE.iter().chain(&id.0);
    let ip = match (family, address.len()) {
        (1, 4) => {
            let mut octets = [0; 4];
            unmask(&mut octets, address, mask);
            IpAddr::V4(Ipv4Addr::from(octets))
        }
        (2, 16) => {
            let mut octets = [0; 16];
            unmask(&mut octets, address, mask);
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return Err(StunError::Attribute),
    };
    Ok(SocketAddr::new(ip, port))
}

fn unmask<'m>(into: &mut [u8], from: &[u8], mask: impl Iterator<Item = &'m u8>) {
    for ((into, from), mask) in into.iter_mut().zip(from).zip(mask) {
        *into = from ^ mask;
    }
}

/// RFC 8489 14.8: hundreds and the rest.
fn code(value: &[u8]) -> Result<u16, StunError> {
    match value {
        [_, _, hundreds @ 3..=6, rest @ 0..=99, ..] => {
            Ok(u16::from(*hundreds) * 100 + u16::from(*rest))
        }
        _ => Err(StunError::Attribute),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a server says of `address`.
    pub(in super::super) fn success(id: TransactionId, address: SocketAddr) -> Vec<u8> {
        let ip: Vec<u8> = match address.ip() {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let family = if address.is_ipv4() { 1 } else { 2 };
        let mut value = vec![0, family];
        value.extend((address.port() ^ 0x2112).to_be_bytes());
        let mask = COOKIE.iter().chain(&id.0);
        value.extend(ip.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
        message(BINDING_SUCCESS, id, &[(XOR_MAPPED_ADDRESS, &value)])
    }

    fn message(kind: u16, id: TransactionId, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (kind, value) in attributes {
            body.extend(kind.to_be_bytes());
            body.extend((value.len() as u16).to_be_bytes());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut bytes = kind.to_be_bytes().to_vec();
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend(COOKIE);
        bytes.extend(id.0);
        bytes.extend(body);
        bytes
    }

    const ID: TransactionId = TransactionId([
        0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
    ]);

    #[test]
    fn a_request_has_twenty_bytes_and_is_no_answer() {
        let bytes = request(ID);
        assert_eq!(bytes[..8], [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
        assert_eq!(bytes[8..], ID.0);
        assert!(!is_answer(&bytes));
        assert_eq!(read(&bytes), Err(StunError::Kind));
    }

    #[test]
    fn the_address_of_the_test_vectors() {
        // RFC 5769 2.2 and 2.3, without what is optional there: 192.0.2.1:32853 and [2001:db8:1234:5678:11:2233:4455:6677]:32853.
        let v4 = [0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        let v6 = [
            0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25,
            0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
        ];
        let cases: [(&[u8], &str); 2] = [
            (&v4, "192.0.2.1:32853"),
            (&v6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
        ];
        for (value, address) in cases {
            let software = (0x8022, b"test vector".as_slice());
            let bytes = message(
                BINDING_SUCCESS,
                ID,
                &[software, (XOR_MAPPED_ADDRESS, value)],
            );
            let answer = Answer::Mapped(address.parse().unwrap());
            assert_eq!(read(&bytes), Ok((ID, answer)));
            assert!(is_answer(&bytes));
        }
    }

    #[test]
    fn what_is_no_answer() {
        let good = success(ID, "192.0.2.1:5060".parse().unwrap());
        for length in 0..good.len() {
            assert!(!is_answer(&good[..length]), "{length}");
            assert!(read(&good[..length]).is_err(), "{length}");
        }
        let mut sip = b"INVITE sip:1@192.0.2.1 SIP/2.0\r\n\r\n".to_vec();
        assert!(!is_answer(&sip));
        sip.truncate(20);
        assert_eq!(read(&sip), Err(StunError::NotStun));
        assert_eq!(
            read(&message(BINDING_SUCCESS, ID, &[])),
            Err(StunError::NoAddress)
        );
        let unknown = message(BINDING_SUCCESS, ID, &[(0x7fff, &[1, 2, 3])]);
        assert_eq!(read(&unknown), Err(StunError::Unknown(0x7fff)));
        let short = message(BINDING_SUCCESS, ID, &[(XOR_MAPPED_ADDRESS, &[0, 1, 2])]);
        assert_eq!(read(&short), Err(StunError::Attribute));
        let error = message(BINDING_ERROR, ID, &[(ERROR_CODE, b"\0\0\x04\x01No")]);
        assert_eq!(read(&error), Ok((ID, Answer::Refused(401))));
        let error = message(BINDING_ERROR, ID, &[(ERROR_CODE, b"\0\0\x09\x01")]);
        assert_eq!(read(&error), Err(StunError::Attribute));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            kind in any::<u16>(), body in prop::collection::vec(any::<u8>(), 0..64), cut in 0usize..100,
        ) {
            let mut bytes = message(kind, ID, &[]);
            let length = (body.len() as u16).to_be_bytes();
            bytes[2..4].copy_from_slice(&length);
            bytes.extend(&body);
            bytes.truncate(cut.max(bytes.len().saturating_sub(cut)));
            let _ = (is_answer(&bytes), read(&bytes));
        }

        #[test]
        fn every_address_comes_out_as_it_went_in(ip in any::<IpAddr>(), port in any::<u16>(), id in any::<[u8; 12]>()) {
            let (id, address) = (TransactionId(id), SocketAddr::new(ip, port));
            prop_assert_eq!(read(&success(id, address)), Ok((id, Answer::Mapped(address))));
        }
    }
}
