//! What an agent describes.

use std::net::SocketAddr;

pub(super) fn sdp(media: SocketAddr, version: u32, way: &str) -> String {
    let (ip, port) = (media.ip(), media.port());
    let way = match way {
        "" => String::new(),
        way => format!("a={way}\r\n"),
    };
    format!(
        "v=0\r\no=- 1 {version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 8\r\n{way}"
    )
}
