//! Bodies: session descriptions as they are and as they should not be, and others.

use std::net::SocketAddr;

/// A body and its type; none for 0. `number` tells one description of its writer from the next.
pub(super) fn body(kind: u8, from: SocketAddr, number: u32) -> Option<(&'static str, String)> {
    const SDP: &str = "application/sdp";
    let ip = from.ip();
    let port = 4000 + 10 * (number % 20);
    let with = |connection: &str, media: &str| {
        let text = format!(
            "v=0\r\no=- 7 {number} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {connection}\r\nt=0 0\r\n{media}"
        );
        Some((SDP, text))
    };
    let here = ip.to_string();
    let audio = format!(
        "m=audio {port} RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
    );
    match kind % 20 {
        0 => None,
        // The most of what there is.
        1..=5 => with(&here, &audio),
        6 => with(&here, &format!("{audio}a=sendonly\r\n")),
        7 => with(&here, &format!("{audio}a=inactive\r\n")),
        8 => with(&here, &format!("{audio}a=recvonly\r\n")),
        9 => with("0.0.0.0", &audio),
        10 => with(&here, "m=audio 0 RTP/AVP 0\r\n"),
        11 => with(
            &here,
            &format!(
                "{audio}m=video {} RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n",
                port + 2
            ),
        ),
        12 => with(&here, &format!("m=image {port} udptl t38\r\n")),
        13 => with(
            &here,
            &format!("{audio}a=rtcp-mux\r\na=ssrc:{number} cname:x\r\n"),
        ),
        14 => with(
            &here,
            &format!("{audio}a=rtcp:{} IN IP4 {ip}\r\n", port + 5),
        ),
        15 => with(
            &here,
            &format!("{audio}m=audio {} RTP/AVP 8\r\na=sendrecv\r\n", port + 4),
        ),
        16 => with(
            &here,
            &format!("m=audio {port} RTP/AVP 9 18\r\na=rtpmap:9 G722/8000\r\n"),
        ),
        17 => with(
            &here,
            &format!("m=audio {port} RTP/SAVP 0\r\na=crypto:1 x\r\n"),
        ),
        18 => Some((SDP, format!("v=0\r\nnothing of {ip}"))),
        _ => Some((
            "multipart/mixed;boundary=x",
            format!(
                "--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n{audio}\r\n--x--\r\n"
            ),
        )),
    }
}
