//! The messages of both RFCs, and what each wants done with it.

/// What the wire layer makes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It is one.
    Valid,
    /// It is none, under this label.
    Bad(&'static str),
}

/// What the box does with it, when it comes from a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Answered at once, finally.
    Answer(u16),
    /// A call: an INVITE to the other side.
    Call,
    /// Handed on to the other side.
    Passed,
    /// A REGISTER, which nobody may send without credentials: 401, and this with those of its user.
    Register(u16),
    /// Nothing at all, and it is counted under this label.
    Dropped(&'static str),
}

pub(crate) struct Vector {
    pub(crate) name: &'static str,
    pub(crate) section: &'static str,
    pub(crate) reading: Reading,
    pub(crate) outcome: Outcome,
    pub(crate) bytes: &'static [u8],
}

macro_rules! vectors {
    ($folder:literal: $($section:literal $name:literal $reading:expr, $outcome:expr;)*) => {
        &[$(Vector {
            name: $name,
            section: $section,
            reading: $reading,
            outcome: $outcome,
            bytes: include_bytes!(concat!("../../vectors/", $folder, "/", $name, ".dat")),
        },)*]
    };
}

use Outcome::{Answer, Call, Dropped, Passed, Register};
use Reading::{Bad, Valid};

pub(crate) const RFC_4475: &[Vector] = vectors! { "rfc4475":
    // To has a tag of no dialog of ours.
    "3.1.1.1" "wsinv" Valid, Answer(481);
    "3.1.1.2" "intmeth" Valid, Answer(501);
    "3.1.1.3" "esc01" Valid, Call;
    // Of no account that there is.
    "3.1.1.4" "escnull" Valid, Register(403);
    "3.1.1.5" "esc02" Valid, Answer(501);
    "3.1.1.6" "lwsdisp" Valid, Answer(200);
    "3.1.1.7" "longreq" Valid, Call;
    // The second message in the datagram is none. The account is another's.
    "3.1.1.8" "dblreq" Valid, Register(403);
    "3.1.1.9" "semiuri" Valid, Answer(200);
    "3.1.1.10" "transports" Valid, Answer(200);
    "3.1.1.11" "mpart01" Valid, Passed;
    // Answers to nothing of ours.
    "3.1.1.12" "unreason" Valid, Dropped("stray-response");
    "3.1.1.13" "noreason" Valid, Dropped("stray-response");
    "3.1.2.1" "badinv01" Bad("bad-via"), Answer(400);
    "3.1.2.2" "clerr" Bad("body-short"), Answer(400);
    "3.1.2.3" "ncl" Bad("bad-content-length"), Answer(400);
    "3.1.2.4" "scalar02" Bad("bad-cseq"), Answer(400);
    "3.1.2.5" "scalarlg" Bad("bad-cseq"), Dropped("bad-cseq");
    "3.1.2.6" "quotbal" Bad("bad-to"), Answer(400);
    "3.1.2.7" "ltgtruri" Bad("request-uri"), Answer(400);
    "3.1.2.8" "lwsruri" Bad("start-line"), Answer(400);
    "3.1.2.9" "lwsstart" Bad("start-line"), Answer(400);
    "3.1.2.10" "trws" Bad("start-line"), Answer(400);
    "3.1.2.11" "escruri" Bad("request-uri"), Answer(400);
    // Whoever has no use for Date may leave it alone.
    "3.1.2.12" "baddate" Valid, Call;
    "3.1.2.13" "regbadct" Valid, Register(400);
    "3.1.2.14" "badaspec" Bad("bad-to"), Answer(400);
    "3.1.2.15" "baddn" Bad("bad-from"), Answer(400);
    "3.1.2.16" "badvers" Bad("version"), Answer(505);
    "3.1.2.17" "mismatch01" Bad("cseq-method"), Answer(400);
    "3.1.2.18" "mismatch02" Bad("cseq-method"), Answer(400);
    "3.1.2.19" "bigcode" Bad("status-code"), Dropped("status-code");
    "3.2.1" "badbranch" Valid, Answer(200);
    "3.3.1" "insuf" Bad("missing-from"), Answer(400);
    "3.3.2" "unkscm" Valid, Answer(416);
    "3.3.3" "novelsc" Valid, Answer(416);
    "3.3.4" "unksm2" Valid, Register(400);
    "3.3.5" "bext01" Valid, Answer(420);
    "3.3.6" "invut" Valid, Answer(415);
    // Credentials of an unknown scheme are none. The account is another's.
    "3.3.7" "regaut01" Valid, Register(403);
    "3.3.8" "multi01" Bad("duplicate-cseq"), Answer(400);
    "3.3.9" "mcl01" Bad("duplicate-content-length"), Answer(400);
    "3.3.10" "bcast" Valid, Dropped("stray-response");
    // We are where it ends.
    "3.3.11" "zeromf" Valid, Answer(200);
    "3.3.12" "cparam01" Valid, Register(200);
    "3.3.13" "cparam02" Valid, Register(200);
    "3.3.14" "regescrt" Valid, Register(200);
    "3.3.15" "sdp01" Valid, Answer(406);
    "3.4.1" "inv2543" Valid, Call;
};

pub(crate) const RFC_5118: &[Vector] = vectors! { "rfc5118":
    "4.1" "ipv6-good" Valid, Register(200);
    "4.2" "ipv6-bad" Bad("request-uri"), Answer(400);
    // All of it is an address.
    "4.3" "port-ambiguous" Valid, Register(200);
    "4.4" "port-unambiguous" Valid, Register(200);
    // Of no dialog of ours.
    "4.5" "via-received-param-with-delim" Valid, Answer(481);
    "4.5" "via-received-param-no-delim" Valid, Answer(200);
    "4.6" "ipv6-in-sdp" Valid, Call;
    "4.7" "mult-ip-in-header" Valid, Answer(481);
    "4.8" "mult-ip-in-sdp" Valid, Call;
    "4.9" "ipv4-mapped-ipv6" Valid, Call;
    "4.10" "ipv6-bug-abnf-3-colons" Valid, Answer(200);
    "4.10" "ipv6-correct-abnf-2-colons" Valid, Answer(200);
};
