//! The work on one INVITE, in steps that contain each other: read it; look at what a B2BUA looks at; build leg B's.

use std::hint::black_box;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use sbc::sip::{Limits, Message, Name, NameAddr, Uri, Writer};

/// How far the work goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing but the loop.
    Nothing,
    /// Read the message: every header is indexed, the mandatory ones are checked.
    Parse,
    /// Then look at the headers.
    Read,
    /// Then build leg B's INVITE.
    Build,
}

impl Step {
    /// All of them, the least work first.
    pub const ALL: [Step; 4] = [Step::Nothing, Step::Parse, Step::Read, Step::Build];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Step::Nothing => "nothing",
            Step::Parse => "parse",
            Step::Read => "read",
            Step::Build => "build",
        }
    }
}

/// Does a step so many times.
///
/// # Errors
/// The message of this bench is refused: a mistake of ours.
pub fn work(step: Step, times: u32) -> Result<()> {
    let bytes = Bytes::from_static(INVITE.as_bytes());
    let limits = Limits::default();
    for _ in 0..times {
        let bytes = black_box(&bytes).clone();
        if step == Step::Nothing {
            continue;
        }
        let message = Message::parse(bytes, &limits)?;
        if step == Step::Parse {
            black_box(&message);
            continue;
        }
        let read = Read::of(&message).context("the message lacks a header")?;
        if step == Step::Read {
            black_box(&read);
            continue;
        }
        black_box(leg_b(&message, &read));
    }
    Ok(())
}

/// What decides about a call.
#[derive(Debug)]
#[expect(dead_code, reason = "black_box takes them all as read")]
struct Read<'a> {
    number: &'a str,
    caller: Option<&'a str>,
    from_tag: Option<&'a str>,
    to_tag: Option<&'a str>,
    call_id: &'a str,
    branch: Option<&'a str>,
    contact: &'a str,
    sequence: u32,
    hops: u8,
    content_type: &'a str,
    required: usize,
}

impl<'a> Read<'a> {
    fn of(message: &'a Message) -> Option<Read<'a>> {
        let contact = message.values(Name::Contact).next()?;
        Some(Read {
            number: Uri::parse(message.uri()?).ok()?.user()?,
            caller: Uri::parse(message.from().uri()).ok()?.user(),
            from_tag: message.from().tag(),
            to_tag: message.to().tag(),
            call_id: message.call_id(),
            branch: message.via().branch(),
            contact: NameAddr::parse(contact).ok()?.uri(),
            sequence: message.cseq().number,
            hops: message.max_forwards()?,
            content_type: message.header(Name::ContentType)?,
            required: message.values(Name::Require).count(),
        })
    }
}

fn leg_b(message: &Message, read: &Read<'_>) -> Bytes {
    let writer = Writer::request("INVITE", "sip:15551234567@10.71.2.2:5060")
        .header(
            Name::Via,
            "SIP/2.0/UDP 10.71.2.1:5060;branch=z9hG4bKb7Q2m9xVn3kPz8sT;rport",
        )
        .header(Name::MaxForwards, read.hops.saturating_sub(1))
        .header(
            Name::From,
            format_args!(
                "<sip:{}@10.71.2.1>;tag=4fK9sWq27x",
                read.caller.unwrap_or("anonymous")
            ),
        )
        .header(Name::To, format_args!("<sip:{}@10.71.2.2>", read.number))
        .header(Name::CallId, "qP3vN8rT5yWm2KzX")
        .header(Name::CSeq, "1 INVITE")
        .header(Name::Contact, "<sip:10.71.2.1:5060>");
    let passed = message
        .fields()
        .filter(|field| matches!(field.name, Name::Subject | Name::Date | Name::Other));
    passed
        .fold(writer, Writer::copy)
        .body(read.content_type, message.body())
}

/// The size of the message in bytes: about 1 KB.
#[must_use]
pub fn size() -> usize {
    INVITE.len()
}

/// Whether the three steps do what they say.
///
/// # Errors
/// They do not.
pub fn check() -> Result<()> {
    let message = Message::parse(Bytes::from_static(INVITE.as_bytes()), &Limits::default())?;
    let read = Read::of(&message).context("the message lacks a header")?;
    let built = Message::parse(leg_b(&message, &read), &Limits::default())?;
    ensure!(built.body() == message.body(), "the body has changed");
    Ok(())
}

const INVITE: &str = "INVITE sip:15551234567@10.71.1.1:5060;user=phone SIP/2.0\r\n\
Via: SIP/2.0/UDP 10.71.1.2:5060;branch=z9hG4bK-524287-1---f2c7a1d4e9b83506;rport\r\n\
Max-Forwards: 70\r\n\
Contact: <sip:alice@10.71.1.2:5060;transport=UDP>\r\n\
To: <sip:15551234567@10.71.1.1:5060;user=phone>\r\n\
From: \"Alice Liddell\" <sip:alice@10.71.1.1>;tag=8d3f1c5a\r\n\
Call-ID: Zq0vYJx2cKf1tQh8sW4mRg..@10.71.1.2\r\n\
CSeq: 102 INVITE\r\n\
Allow: INVITE, ACK, CANCEL, BYE, NOTIFY, REFER, MESSAGE, OPTIONS, INFO, SUBSCRIBE\r\n\
Supported: replaces, norefersub, extended-refer, timer, outbound, path\r\n\
User-Agent: Softphone 5.6.3 rv2.10.17\r\n\
Allow-Events: presence, kpml, talk\r\n\
Subject: a call\r\n\
X-Account: 4711\r\n\
Content-Type: application/sdp\r\n\
Content-Length: 315\r\n\
\r\n\
v=0\r\n\
o=alice 3845271094 3845271094 IN IP4 10.71.1.2\r\n\
s=Softphone\r\n\
c=IN IP4 10.71.1.2\r\n\
t=0 0\r\n\
m=audio 14578 RTP/AVP 9 0 8 101 18\r\n\
a=rtpmap:9 G722/8000\r\n\
a=rtpmap:0 PCMU/8000\r\n\
a=rtpmap:8 PCMA/8000\r\n\
a=rtpmap:101 telephone-event/8000\r\n\
a=fmtp:101 0-16\r\n\
a=rtpmap:18 G729/8000\r\n\
a=fmtp:18 annexb=no\r\n\
a=ptime:20\r\n\
a=sendrecv\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_is_done() {
        check().unwrap();
        assert!((1_000..1_300).contains(&size()), "{}", size());
        for step in Step::ALL {
            work(step, 2).unwrap();
        }
    }
}
