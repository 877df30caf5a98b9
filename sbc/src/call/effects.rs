//! What a refusal inside a dialog is the end of (RFC 5057 5.1): of that request alone, of what it belongs to, or of the dialog with all that
//! goes on in it.

use crate::sip::Method;

/// What is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Over {
    /// The request, and nothing else.
    Transaction,
    /// The call, or the subscription, that it is part of.
    Usage,
    /// All that shares the dialog.
    Dialog,
}

/// The table of RFC 5057 5.1. What is not in it concerns the request alone.
fn over(code: u16) -> Over {
    match code {
        404 | 410 | 416 | 482..=485 | 502 | 604 => Over::Dialog,
        405 | 408 | 480 | 481 | 489 | 501 => Over::Usage,
        _ => Over::Transaction,
    }
}

/// Whether the call ends with a leg's refusal of a request of this method.
///
/// INVITE and UPDATE are the call's own. What only passes through a call is no part of it for a peer that does not know the method
/// (405, 489, 501), has nobody there to take it (480), or lets it time out (408): a lost key press is not worth a call.
pub(super) fn ends_call(method: Method, code: u16) -> bool {
    match (over(code), method) {
        // Many PBXs say of whom it names what the RFC says of whom it is sent to.
        (Over::Dialog, Method::Refer) if matches!(code, 404 | 416 | 484 | 485 | 604) => false,
        (Over::Dialog, _) => true,
        (Over::Transaction, _) => false,
        (Over::Usage, Method::Invite) => code != 489,
        // One that takes no UPDATE takes a re-INVITE.
        (Over::Usage, Method::Update) => matches!(code, 408 | 480 | 481),
        // A subscription may be gone without the call, and whoever was to be referred with it.
        (Over::Usage, Method::Subscribe | Method::Notify | Method::Refer) => false,
        (Over::Usage, _) => code == 481,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [u16; 34] = [
        301, 400, 401, 402, 403, 404, 405, 406, 407, 408, 410, 413, 415, 416, 420, 422, 423, 480,
        481, 482, 483, 484, 485, 486, 488, 489, 491, 500, 501, 502, 503, 600, 603, 604,
    ];

    fn ending(method: Method) -> Vec<u16> {
        ALL.into_iter()
            .filter(|code| ends_call(method, *code))
            .collect()
    }

    #[test]
    fn the_table_by_method() {
        let dialog = [404, 410, 416, 482, 483, 484, 485, 502, 604];
        let with = |more: &[u16]| {
            let mut codes = [&dialog[..], more].concat();
            codes.sort_unstable();
            codes
        };
        assert_eq!(ending(Method::Invite), with(&[405, 408, 480, 481, 501]));
        assert_eq!(ending(Method::Update), with(&[408, 480, 481]));
        assert_eq!(ending(Method::Info), with(&[481]));
        assert_eq!(ending(Method::Message), with(&[481]));
        assert_eq!(ending(Method::Other), with(&[481]));
        assert_eq!(ending(Method::Subscribe), dialog);
        assert_eq!(ending(Method::Notify), dialog);
        assert_eq!(ending(Method::Refer), [410, 482, 483, 502]);
    }
}
