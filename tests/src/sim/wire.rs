//! Messages as rsip has them.

use rsip::headers::UntypedHeader as _;
use rsip::prelude::{HasHeaders, HeadersExt as _};
use rsip::{Header, Headers, Request, Response, SipMessage};

/// The header fields that make a request of ours.
pub(super) struct Line<'a> {
    pub(super) via: &'a str,
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) call_id: &'a str,
    pub(super) cseq: u32,
    pub(super) contact: Option<&'a str>,
}

pub(super) fn request(method: &str, uri: &str, line: &Line<'_>, body: Option<String>) -> Vec<u8> {
    let mut headers: Vec<Header> = vec![
        rsip::headers::Via::new(line.via).into(),
        rsip::headers::MaxForwards::new("70").into(),
        rsip::headers::From::new(line.from).into(),
        rsip::headers::To::new(line.to).into(),
        rsip::headers::CallId::new(line.call_id).into(),
        rsip::headers::CSeq::new(format!("{} {method}", line.cseq)).into(),
    ];
    headers.extend(line.contact.map(|c| rsip::headers::Contact::new(c).into()));
    let body = finish(&mut headers, body);
    let request = Request {
        method: method.parse().expect("a method of ours"),
        uri: uri.try_into().expect("a URI that the box gave"),
        version: rsip::Version::V2,
        headers: headers.into(),
        body,
    };
    SipMessage::from(request).to_string().into_bytes()
}

pub(super) fn response(
    request: &Request,
    code: u16,
    tag: &str,
    contact: &str,
    body: Option<String>,
) -> Vec<u8> {
    let mut headers: Vec<Header> = request
        .headers
        .iter()
        .filter(|header| {
            matches!(
                header,
                Header::Via(_) | Header::From(_) | Header::CallId(_) | Header::CSeq(_)
            )
        })
        .cloned()
        .collect();
    let to = value_of(request.to_header().map(|h| h.value()));
    let to = if to.contains(";tag=") {
        to
    } else {
        format!("{to};tag={tag}")
    };
    headers.push(rsip::headers::To::new(to).into());
    headers.push(rsip::headers::Contact::new(contact).into());
    let body = finish(&mut headers, body);
    let response = Response {
        status_code: code.into(),
        version: rsip::Version::V2,
        headers: headers.into(),
        body,
    };
    SipMessage::from(response).to_string().into_bytes()
}

fn finish(headers: &mut Vec<Header>, body: Option<String>) -> Vec<u8> {
    let body = body.unwrap_or_default().into_bytes();
    if !body.is_empty() {
        headers.push(rsip::headers::ContentType::new("application/sdp").into());
    }
    headers.push(rsip::headers::ContentLength::new(body.len().to_string()).into());
    body
}

/// What a received message says, as far as an agent cares.
pub(super) struct Heard {
    pub(super) message: SipMessage,
    pub(super) branch: String,
    pub(super) method: String,
    pub(super) cseq: u32,
    pub(super) call_id: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) to_tag: Option<String>,
    pub(super) contact: Option<String>,
}

pub(super) fn hear(bytes: &[u8]) -> Heard {
    let text = String::from_utf8_lossy(bytes);
    let message = SipMessage::try_from(bytes)
        .unwrap_or_else(|error| panic!("rsip cannot read what the box sent: {error}\n{text}"));
    let header = |name: &str| {
        plain(message.headers(), name).unwrap_or_else(|| panic!("no {name} in\n{text}"))
    };
    let via = header("Via");
    let cseq = header("CSeq");
    let (number, method) = cseq.split_once(' ').expect("a CSeq");
    let to = header("To");
    let contact = plain(message.headers(), "Contact").map(|contact| {
        let (_, rest) = contact.split_once('<').expect("a Contact in brackets");
        rest.split_once('>').expect("a closed bracket").0.to_owned()
    });
    Heard {
        branch: param(&via, "branch").unwrap_or_default(),
        method: method.to_owned(),
        cseq: number.parse().expect("a number"),
        call_id: header("Call-ID"),
        from: header("From"),
        to_tag: param(&to, "tag"),
        to,
        contact,
        message,
    }
}

/// The value of the first field of a name.
fn plain(headers: &Headers, name: &str) -> Option<String> {
    headers.iter().find_map(|header| {
        let line = header.to_string();
        let (found, value) = line.split_once(':')?;
        found
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    })
}

fn param(value: &str, name: &str) -> Option<String> {
    let rest = value.rsplit_once('>').map_or(value, |(_, rest)| rest);
    rest.split(';').skip(1).find_map(|param| {
        let (found, value) = param.split_once('=')?;
        (found == name).then(|| value.to_owned())
    })
}

fn value_of(value: Result<&str, rsip::Error>) -> String {
    value.expect("a header that was read before").to_owned()
}
