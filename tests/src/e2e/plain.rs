//! SIP as plain text, as much of it as a party of a call without surprises needs.

use std::net::SocketAddr;

use anyhow::{Context, Result};

/// An offer or an answer: PCMU there.
pub(super) fn sdp(media: SocketAddr) -> String {
    let (ip, port) = (media.ip(), media.port());
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    )
}

/// The end of a message.
pub(super) fn content(body: &str) -> String {
    let kind = match body {
        "" => "",
        _ => "Content-Type: application/sdp\r\n",
    };
    format!("{kind}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// The 200 to a request.
pub(super) fn ok(request: &str, contact: SocketAddr, body: &str) -> String {
    answer(request, "200 OK", &format!("<sip:{contact}>"), body)
}

/// The answer to a request, with that Contact; more headers may follow it.
pub(super) fn answer(request: &str, status: &str, contact: &str, body: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    let head = request.split("\r\n\r\n").next().unwrap_or_default();
    for line in head.lines().skip(1) {
        let name = line.split(':').next().unwrap_or_default();
        let tag = match name {
            "To" if !line.contains("tag=") => ";tag=callee",
            "Via" | "From" | "To" | "Call-ID" | "CSeq" => "",
            _ => continue,
        };
        text += &format!("{line}{tag}\r\n");
    }
    text + &format!("Contact: {contact}\r\n{}", content(body))
}

/// The value of a header, by its name as the box spells it.
pub(super) fn field<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// Where the box wants the media of an SDP.
pub(super) fn media_of(message: &str) -> Result<SocketAddr> {
    let line = |prefix: &str| message.lines().find_map(|line| line.strip_prefix(prefix));
    let ip = line("c=IN IP4 ").context("no c=")?.trim();
    let media = line("m=audio ").context("no m=")?;
    let port = media.split(' ').next().unwrap_or_default();
    format!("{ip}:{port}")
        .parse()
        .context("no address in an SDP")
}
