//! Who is where in the lab, over either family.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The phone's address.
pub const PHONE: Ipv4Addr = Ipv4Addr::new(10, 71, 1, 2);
/// The box towards the phone.
pub const EDGE_LEFT: Ipv4Addr = Ipv4Addr::new(10, 71, 1, 1);
/// The box towards the carrier.
pub const EDGE_RIGHT: Ipv4Addr = Ipv4Addr::new(10, 71, 2, 1);
/// The carrier's address.
pub const CARRIER: Ipv4Addr = Ipv4Addr::new(10, 71, 2, 2);

/// What a test speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The phone's address.
    #[must_use]
    pub fn phone(self) -> IpAddr {
        self.of(PHONE)
    }

    /// The box towards the phone.
    #[must_use]
    pub fn edge_left(self) -> IpAddr {
        self.of(EDGE_LEFT)
    }

    /// The box towards the carrier.
    #[must_use]
    pub fn edge_right(self) -> IpAddr {
        self.of(EDGE_RIGHT)
    }

    /// The carrier's address.
    #[must_use]
    pub fn carrier(self) -> IpAddr {
        self.of(CARRIER)
    }

    /// The address of either family that stands for this one: `10.71.1.66` is `fd71:1::42`.
    #[must_use]
    pub fn of(self, v4: Ipv4Addr) -> IpAddr {
        let [_, _, side, host] = v4.octets();
        match self {
            Family::V4 => v4.into(),
            Family::V6 => Ipv6Addr::new(0xfd71, side.into(), 0, 0, 0, 0, 0, host.into()).into(),
        }
    }
}

/// An address as a SIP URI has it.
#[must_use]
pub fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_an_address_of_either_family() {
        assert_eq!(Family::V4.phone().to_string(), "10.71.1.2");
        assert_eq!(Family::V6.phone().to_string(), "fd71:1::2");
        assert_eq!(Family::V6.carrier().to_string(), "fd71:2::2");
        assert_eq!(host(Family::V6.edge_left()), "[fd71:1::1]");
    }
}
