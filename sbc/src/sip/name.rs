//! Header field names.

use std::fmt;

macro_rules! names {
    ($($name:ident $spelled:literal $(compact $compact:literal)?,)*) => {
        /// A header field name that the box knows; [`Name::Other`] stands for all the rest, which pass as they came in.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Name {
            $(
                #[doc = concat!("`", $spelled, "`", $(", `", $compact, "`",)? ".")]
                $name,
            )*
            /// One that is not known by name.
            Other,
        }

        impl Name {
            /// The usual spelling; empty for [`Name::Other`].
            #[must_use]
            pub const fn spelling(self) -> &'static str {
                match self {
                    $(Name::$name => $spelled,)*
                    Name::Other => "",
                }
            }
        }

        const SPELLINGS: &[(&str, Name)] = &[
            $(($spelled, Name::$name), $(($compact, Name::$name),)?)*
        ];
    };
}

names! {
    Via "Via" compact "v",
    From "From" compact "f",
    To "To" compact "t",
    CallId "Call-ID" compact "i",
    CSeq "CSeq",
    Contact "Contact" compact "m",
    MaxForwards "Max-Forwards",
    Route "Route",
    RecordRoute "Record-Route",
    ContentType "Content-Type" compact "c",
    ContentLength "Content-Length" compact "l",
    ContentEncoding "Content-Encoding" compact "e",
    ContentDisposition "Content-Disposition",
    ContentLanguage "Content-Language",
    MimeVersion "MIME-Version",
    Accept "Accept",
    AcceptEncoding "Accept-Encoding",
    AcceptLanguage "Accept-Language",
    AcceptContact "Accept-Contact" compact "a",
    RejectContact "Reject-Contact" compact "j",
    RequestDisposition "Request-Disposition" compact "d",
    Authorization "Authorization",
    WwwAuthenticate "WWW-Authenticate",
    ProxyAuthenticate "Proxy-Authenticate",
    ProxyAuthorization "Proxy-Authorization",
    AuthenticationInfo "Authentication-Info",
    Expires "Expires",
    MinExpires "Min-Expires",
    SessionExpires "Session-Expires" compact "x",
    MinSe "Min-SE",
    Allow "Allow",
    AllowEvents "Allow-Events" compact "u",
    Event "Event" compact "o",
    SubscriptionState "Subscription-State",
    Supported "Supported" compact "k",
    Require "Require",
    ProxyRequire "Proxy-Require",
    Unsupported "Unsupported",
    UserAgent "User-Agent",
    Server "Server",
    Reason "Reason",
    RetryAfter "Retry-After",
    Warning "Warning",
    Subject "Subject" compact "s",
    Date "Date",
    Timestamp "Timestamp",
    Organization "Organization",
    Priority "Priority",
    Path "Path",
    ServiceRoute "Service-Route",
    ReferTo "Refer-To" compact "r",
    ReferredBy "Referred-By" compact "b",
    ReferSub "Refer-Sub",
    Replaces "Replaces",
    Join "Join",
    TargetDialog "Target-Dialog",
    InReplyTo "In-Reply-To",
    ReplyTo "Reply-To",
    RSeq "RSeq",
    RAck "RAck",
    SipEtag "SIP-ETag",
    SipIfMatch "SIP-If-Match",
    Identity "Identity" compact "y",
    Privacy "Privacy",
    PAssertedIdentity "P-Asserted-Identity",
    PPreferredIdentity "P-Preferred-Identity",
    PCalledPartyId "P-Called-Party-ID",
    PChargingVector "P-Charging-Vector",
    RemotePartyId "Remote-Party-ID",
    Diversion "Diversion",
    HistoryInfo "History-Info",
    AlertInfo "Alert-Info",
    CallInfo "Call-Info",
    ErrorInfo "Error-Info",
    AnswerMode "Answer-Mode",
    UserToUser "User-to-User",
    Geolocation "Geolocation",
    InfoPackage "Info-Package",
    RecvInfo "Recv-Info",
    MaxBreadth "Max-Breadth",
}

impl Name {
    /// The name that a field is spelled with: in any case, compact forms included (RFC 3261 7.3.3).
    #[must_use]
    pub fn parse(spelled: &str) -> Name {
        Name::parse_bytes(spelled.as_bytes())
    }

    #[inline]
    pub(super) fn parse_bytes(spelled: &[u8]) -> Name {
        let ends = Ends::of(spelled);
        let mut slot = ends.slot();
        // The table is less than half full: there is an empty slot.
        while let Some((known, name)) = TABLE
            .get(slot)
            .and_then(|&entry| KNOWN.get(usize::from(entry)))
        {
            if *known == ends {
                return if ends.length <= 16 {
                    *name
                } else {
                    name.if_spelled(spelled)
                };
            }
            slot = (slot + 1) % SLOTS;
        }
        Name::Other
    }

    /// A long name has a middle, too: no two that are known differ there alone.
    #[inline(never)]
    fn if_spelled(self, spelled: &[u8]) -> Name {
        if spelled.eq_ignore_ascii_case(self.spelling().as_bytes()) {
            self
        } else {
            Name::Other
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spelling())
    }
}

/// What a spelling is found by: its first and its last eight bytes in lower case. Up to 16 bytes that is all of it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ends {
    head: u64,
    tail: u64,
    length: usize,
}

impl Ends {
    #[inline]
    const fn of(text: &[u8]) -> Ends {
        let (head, tail) = match (text.first_chunk(), text.last_chunk()) {
            (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
            _ => match (text.first_chunk(), text.last_chunk()) {
                (Some(head), Some(tail)) => (
                    u32::from_le_bytes(*head) as u64,
                    u32::from_le_bytes(*tail) as u64,
                ),
                _ => match text {
                    [a, rest @ .., b] => (
                        *a as u64,
                        (*b as u64) << 8 | if rest.is_empty() { 0 } else { rest[0] as u64 },
                    ),
                    [a] => (*a as u64, 0),
                    [] => (0, 0),
                },
            },
        };
        Ends {
            head: lower(head),
            tail: lower(tail),
            length: text.len(),
        }
    }

    #[inline]
    const fn slot(&self) -> usize {
        let mixed = self.head ^ self.tail.rotate_left(20) ^ self.length as u64;
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55) as usize % SLOTS
    }
}

/// Eight letters in lower case. Other bytes change too, but none that may stand in a known name, and none becomes one.
const fn lower(bytes: u64) -> u64 {
    bytes | (bytes & 0x4040_4040_4040_4040) >> 1
}

const SLOTS: usize = 512;
const EMPTY: u8 = u8::MAX;

/// [`SPELLINGS`] as they are compared.
static KNOWN: [(Ends, Name); SPELLINGS.len()] = known();

/// Open addressing: indices into [`KNOWN`].
static TABLE: [u8; SLOTS] = table();

const fn known() -> [(Ends, Name); SPELLINGS.len()] {
    let mut known = [(Ends::of(b""), Name::Other); SPELLINGS.len()];
    let mut index = 0;
    while index < SPELLINGS.len() {
        known[index] = (Ends::of(SPELLINGS[index].0.as_bytes()), SPELLINGS[index].1);
        index += 1;
    }
    known
}

const fn table() -> [u8; SLOTS] {
    assert!(
        SPELLINGS.len() < SLOTS / 2 && SPELLINGS.len() < EMPTY as usize,
        "the table of names is too small"
    );
    let mut table = [EMPTY; SLOTS];
    let mut index = 0;
    while index < SPELLINGS.len() {
        let mut slot = Ends::of(SPELLINGS[index].0.as_bytes()).slot();
        while table[slot] != EMPTY {
            slot = (slot + 1) % SLOTS;
        }
        table[slot] = index as u8;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_found_in_any_case() {
        for (spelled, name) in SPELLINGS {
            assert_eq!(Name::parse(spelled), *name);
            assert_eq!(Name::parse(&spelled.to_uppercase()), *name);
            assert_eq!(Name::parse(&spelled.to_lowercase()), *name);
        }
        for unknown in ["", "z", "Vial", "Call_ID", "X-Foo", "Fr\u{f6}m", "To "] {
            assert_eq!(Name::parse(unknown), Name::Other);
        }
    }

    #[test]
    fn one_other_byte_is_another_name() {
        for (spelled, name) in SPELLINGS {
            for at in 0..spelled.len() {
                for byte in 0..=u8::MAX {
                    let mut bytes = spelled.as_bytes().to_vec();
                    bytes[at] = byte;
                    if !bytes.eq_ignore_ascii_case(spelled.as_bytes()) {
                        assert_ne!((Name::parse_bytes(&bytes), bytes.len() > 1), (*name, true));
                    }
                }
            }
        }
    }

    #[test]
    fn no_probe_is_long() {
        let longest = SPELLINGS
            .iter()
            .map(|(spelled, _)| {
                let home = Ends::of(spelled.as_bytes()).slot();
                let mut steps = 0;
                while SPELLINGS[usize::from(TABLE[(home + steps) % SLOTS])].0 != *spelled {
                    steps += 1;
                }
                steps
            })
            .max();
        assert!(longest < Some(6), "{longest:?}");
    }
}
