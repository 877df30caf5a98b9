//! What carries a message.

use std::fmt;

/// How a message travels (RFC 3261 18).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Datagrams: requests are retransmitted.
    Udp,
    /// A stream: framed by Content-Length, never retransmitted.
    Tcp,
}

impl Transport {
    /// Whether the transport itself delivers: no retransmission timers (RFC 3261 17).
    #[must_use]
    pub fn is_reliable(self) -> bool {
        match self {
            Transport::Udp => false,
            Transport::Tcp => true,
        }
    }

    /// As in a Via: `UDP`, `TCP`.
    #[must_use]
    pub fn via(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
        }
    }

    /// As in a URI's `transport` parameter, the config and metric labels: `udp`, `tcp`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_the_names_that_go_on_the_wire() {
        let names = [Transport::Udp, Transport::Tcp].map(|t| (t.via(), t.name(), t.is_reliable()));
        assert_eq!(names, [("UDP", "udp", false), ("TCP", "tcp", true)]);
    }
}
