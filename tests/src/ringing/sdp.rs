//! What an agent describes, and what it is told.

use std::net::SocketAddr;

use crate::heard::Heard;

pub(super) fn sdp(at: SocketAddr, version: u32) -> String {
    let ip = at.ip();
    format!(
        "v=0\r\no=- 1 {version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {} RTP/AVP 0 8\r\n",
        at.port()
    )
}

/// Where the body wants its media.
pub(super) fn place(heard: &Heard) -> Option<SocketAddr> {
    let line = |start: &str| {
        let found = heard.body.lines().find(|line| line.starts_with(start))?;
        Some(found[start.len()..].split(' ').next().unwrap().to_owned())
    };
    let (ip, port) = (line("c=IN IP4 ")?, line("m=audio ")?);
    Some(format!("{ip}:{port}").parse().expect("an address"))
}
