//! What the A leg and a B leg have in common: a hop, a dialog, what was said in SDP, an answer that waits for its ACK.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::context::{ALLOW, Context, local_address};
use super::credentials::Challenges;
use super::hiding::reasons;
use super::session::Session;
use crate::config::{Config, MediaTimeout, TrunkId};
use crate::dialog::Dialog;
use crate::engine::Party;
use crate::media::LegId;
use crate::routing::locate::Places;
use crate::sip::{Message, Transport};
use crate::transaction::{Hop, ServerId};

/// RFC 3261 17.1.1.1: the round trip that is reckoned with.
pub(super) const T1: Duration = Duration::from_millis(500);
/// The longest interval between retransmissions.
pub(super) const T2: Duration = Duration::from_secs(4);
/// When to give up.
pub(super) const T1_64: Duration = Duration::from_secs(32);

/// One side of a call.
pub(super) struct Side {
    /// As a label.
    pub(super) party: Party,
    /// The trunk, if it is one.
    pub(super) trunk: Option<TrunkId>,
    /// How long its media may stop.
    pub(super) media_timeout: MediaTimeout,
    /// Our end and theirs, as of the last request.
    pub(super) hop: Hop,
    /// Once there is one.
    pub(super) dialog: Option<Dialog>,
    /// The last session description that came from there.
    pub(super) received: Option<Bytes>,
    /// The last one that went there.
    pub(super) sent: Option<Bytes>,
    /// A 2xx of ours that has no ACK yet.
    pub(super) unacked: Option<Box<Unacked>>,
    /// To be hung up once that ACK is there (RFC 3261 15).
    pub(super) hang_up: Option<Box<Why>>,
    /// What it may send us, as it is told in Allow.
    pub(super) allow: Cow<'static, str>,
    /// Its session timer.
    pub(super) session: Session,
    /// BYE has come from there or gone there.
    pub(super) is_gone: bool,
    /// What it has asked, to know whom it talks to.
    pub(super) challenges: Challenges,
    /// The last re-INVITE that went there with a password, until its ACK, which wants the same.
    pub(super) proof: Option<Message>,
}

/// A 2xx to an INVITE, sent again until its ACK comes (RFC 3261 13.3.1.4).
pub(super) struct Unacked {
    pub(super) id: ServerId,
    pub(super) cseq: u32,
    pub(super) message: Message,
    pub(super) interval: Duration,
    pub(super) next: Instant,
    pub(super) until: Instant,
    /// The ACK brings the answer to an offer of this leg, which waits for its own ACK.
    pub(super) late: Option<LegId>,
}

impl Unacked {
    pub(super) fn new(now: Instant, id: ServerId, cseq: u32, message: Message) -> Box<Unacked> {
        Box::new(Unacked {
            id,
            cseq,
            message,
            interval: T1,
            next: now + T1,
            until: now + T1_64,
            late: None,
        })
    }
}

/// What goes along with a BYE or a CANCEL.
#[derive(Clone, Default)]
pub(super) struct Why {
    /// A request whose headers pass, and whose it is.
    pub(super) message: Option<(LegId, Message)>,
    /// The value of a Reason header of our own (RFC 3326).
    pub(super) reason: Option<String>,
}

impl Why {
    pub(super) fn cause(code: u16, text: &str) -> Why {
        Why {
            message: None,
            reason: Some(format!("SIP;cause={code};text=\"{text}\"")),
        }
    }

    pub(super) fn said_in(leg: LegId, message: Message) -> Why {
        Why {
            message: Some((leg, message)),
            reason: None,
        }
    }

    /// A Reason value: ours, else all that the request gives (RFC 3326 allows one for each protocol: SIP, Q.850).
    pub(super) fn reason(&self) -> Option<String> {
        self.reason
            .clone()
            .or_else(|| reasons(&self.message.as_ref()?.1))
    }
}

impl Side {
    pub(super) fn new(
        party: Party,
        trunk: Option<TrunkId>,
        media_timeout: MediaTimeout,
        hop: Hop,
    ) -> Side {
        Side {
            party,
            trunk,
            media_timeout,
            hop,
            dialog: None,
            received: None,
            sent: None,
            unacked: None,
            hang_up: None,
            allow: Cow::Borrowed(ALLOW),
            session: Session::new(),
            is_gone: false,
            challenges: Challenges::default(),
            proof: None,
        }
    }

    /// Where a request in the dialog goes. A phone: where it was last heard, which is where its NAT lets us in. A trunk:
    /// what the first Route or the Contact names, else its server.
    pub(super) fn next_hop(&self, cx: &Context<'_>, dialog: &Dialog) -> Hop {
        next_hop(cx.config, cx.places, self.trunk, self.hop, dialog)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.unacked.as_ref().map(|u| u.next.min(u.until))
    }
}

/// What the far end of a hop is shown as our address: our own, or `external` if he is outside. All that we write into SIP and SDP for
/// him has this one; what leaves, leaves from `hop.local`.
pub(crate) fn face(config: &Config, hop: &Hop) -> SocketAddr {
    let network = config.network(hop.network);
    SocketAddr::new(
        network.shows(hop.local.ip(), hop.remote.ip()),
        hop.local.port(),
    )
}

/// A Via value of ours (RFC 3581: with rport).
pub(crate) fn via(config: &Config, hop: &Hop, branch: &str) -> String {
    format!(
        "SIP/2.0/{} {};branch={branch};rport",
        hop.transport.via(),
        face(config, hop)
    )
}

/// A Contact value of ours.
pub(crate) fn contact(config: &Config, hop: &Hop) -> String {
    let face = face(config, hop);
    match hop.transport {
        Transport::Udp => format!("<sip:{face}>"),
        Transport::Tcp => format!("<sip:{face};transport=tcp>"),
    }
}

/// Where a request in a dialog goes: as [`Side::next_hop`].
pub(crate) fn next_hop(
    config: &Config,
    places: &Places,
    trunk: Option<TrunkId>,
    known: Hop,
    dialog: &Dialog,
) -> Hop {
    let Some(trunk) = trunk else {
        return known;
    };
    let named = || {
        let (host, port, transport) = dialog.host()?;
        let ip = places.host(&host, known.remote.ip())?;
        Some((SocketAddr::new(ip, port), transport))
    };
    // A server with a name stays the one that took the call.
    let usual = || config.trunk(trunk).server.fixed();
    let found = dialog.address().or_else(named).or_else(usual);
    let (remote, transport) = found.unwrap_or((known.remote, known.transport));
    if (remote, transport) == (known.remote, known.transport) {
        return known;
    }
    match local_address(config, known.network, transport, remote.ip()) {
        Some(local) => Hop {
            network: known.network,
            transport,
            local: if transport == known.transport && remote.is_ipv4() == known.local.is_ipv4() {
                known.local
            } else {
                local
            },
            remote,
            connection: None,
        },
        None => known,
    }
}
