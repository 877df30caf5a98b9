//! Descriptions as people write them: whoever it is begins the call, or answers it, with such a one, and moves to another port later.

use std::net::{IpAddr, Ipv6Addr};

use super::Row;
use super::cell::{A, B, Cell, Who, check, refused};
use crate::stage::{Change, Leg, Rtcp, Stream};

fn format(fmt: &str, name: &str) -> (String, String) {
    (fmt.to_owned(), name.to_owned())
}

/// Their media is like that, everybody else's as well if `all`.
fn says(cell: &mut Cell, change: Change, all: bool) -> Result<(), String> {
    if all {
        cell.both_are(|manner| manner.media = Some(change));
    } else {
        cell.doers_are(|manner| manner.media = Some(change));
    }
    let legs = cell.connect()?;
    talk_and_move(cell, legs)?;
    cell.finish(legs)
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("rtcp-mux", |cell| {
            says(cell, |media| media.streams[0].rtcp = Rtcp::Mux, false)
        }),
        Row::new("a=rtcp: RTCP at another port", |cell| {
            says(cell, |media| media.streams[0].rtcp = Rtcp::At(7777), false)
        }),
        Row::new("telephone-event as 97", |cell| {
            let events: Change = |media| {
                media.streams[0]
                    .formats
                    .push(format("97", "telephone-event/8000"));
            };
            says(cell, events, true)
        }),
        Row::new("telephone-event as 101 here, as 96 there", |cell| {
            let events: Change = |media| {
                media.streams[0]
                    .formats
                    .push(format("101", "telephone-event/8000"));
            };
            let others: Change = |media| {
                media.streams[0]
                    .formats
                    .push(format("96", "telephone-event/8000"));
            };
            let does = [cell.does(A), cell.does(B)];
            cell.manner(A).media = Some(if does[0] { events } else { others });
            cell.manner(B).media = Some(if does[0] { others } else { events });
            let legs = cell.connect()?;
            talk_and_move(cell, legs)?;
            cell.finish(legs)
        })
        .only(&[Who::Caller, Who::Called], "e"),
        Row::new("G.711 and G.722 with rtpmap, ptime and fmtp", |cell| {
            let lines: Change = |media| {
                media.streams[0].formats.insert(0, format("9", "G722/8000"));
                media.streams[0].lines = "a=ptime:20\r\na=maxptime:150\r\n".to_owned();
            };
            says(cell, lines, false)
        }),
        Row::new("G.722 alone here, PCMU alone there", |cell| {
            let does = [cell.does(A), cell.does(B)];
            for (who, does) in [A, B].into_iter().zip(does) {
                cell.manner(who).media = Some(if does { WIDE } else { NARROW });
            }
            let legs = cell.connect()?;
            talk_and_move(cell, legs)?;
            cell.finish(legs)
        })
        .only(&[Who::Caller, Who::Called], "e"),
        Row::new("voice and video with dynamic payload types", |cell| {
            let video: Change = |media| {
                let port = media.streams[0].port;
                media.streams.push(Stream::video(port + 20));
            };
            says(cell, video, true)
        }),
        Row::new("video under other numbers than the other side's", |cell| {
            let video: Change = |media| {
                let port = media.streams[0].port;
                media.streams.push(Stream::video(port + 20));
            };
            let other: Change = |media| {
                let port = media.streams[0].port;
                let mut video = Stream::video(port + 20);
                video.formats = vec![format("112", "VP8/90000"), format("113", "H264/90000")];
                media.streams.push(video);
            };
            cell.manner(A).media = Some(video);
            cell.manner(B).media = Some(other);
            let legs = cell.connect()?;
            talk_and_move(cell, legs)?;
            cell.finish(legs)
        })
        .only(&[Who::Caller, Who::Called], "e"),
        Row::new("two streams of voice", |cell| {
            let twice: Change = |media| {
                let port = media.streams[0].port;
                media.streams.push(Stream::voice(port + 20));
            };
            says(cell, twice, true)
        }),
        Row::new("a stream that is off from the start (port 0)", |cell| {
            let off: Change = |media| {
                let port = media.streams[0].port;
                let mut video = Stream::video(port + 20);
                video.is_on = false;
                media.streams.push(video);
            };
            says(cell, off, true)
        }),
        Row::new(
            "voice and video, who is called refuses the video (port 0)",
            |cell| {
                cell.manner(A).media = Some(|media| {
                    let port = media.streams[0].port;
                    media.streams.push(Stream::video(port + 20));
                });
                cell.manner(B).declines = Some("video");
                let legs = cell.connect()?;
                cell.off(legs, 1)?;
                talk_and_move(cell, legs)?;
                cell.off(legs, 1)?;
                cell.finish(legs)
            },
        )
        .only(&[Who::Called], "b"),
        Row::new(
            "video and voice, who is called refuses the video (port 0)",
            |cell| {
                cell.manner(A).media = Some(|media| {
                    let port = media.streams[0].port;
                    media.streams.insert(0, Stream::video(port + 20));
                });
                cell.manner(B).declines = Some("video");
                let legs = cell.connect()?;
                cell.off(legs, 0)?;
                talk_and_move(cell, legs)?;
                cell.finish(legs)
            },
        )
        .only(&[Who::Called], "b"),
        Row::new("T.38 from the start", |cell| {
            says(
                cell,
                |media| media.streams = vec![Stream::fax(media.streams[0].port)],
                true,
            )
        }),
        Row::new("c= in the stream and not before", |cell| {
            says(cell, |media| media.is_late_c = true, false)
        }),
        Row::new(
            "a session number of 20 digits, bandwidth, information and odd lines",
            |cell| {
                let odd: Change = |media| {
                    media.session = "18446744073709551615".to_owned();
                    media.lines = "b=AS:84\r\nb=TIAS:64000\r\n".to_owned();
                    media.streams[0].lines = "a=silenceSupp:off - - - -\r\na=X-odd\r\n".to_owned();
                };
                says(cell, odd, false)
            },
        ),
        Row::new("IPv6 on one side, IPv4 on the other", |cell| {
            let (from, to, number) = match cell.who {
                Who::Caller => ("[fd00:71:1::2]:5060", B, "100"),
                _ => ("[fd00:71:2::2]:5060", A, "100"),
            };
            let six = cell.stage.add(from);
            let own = cell.call(six, number);
            let legs = cell.up(own, to)?;
            cell.finish_by(legs)
        })
        .only(&[Who::Caller, Who::Called], "e"),
        Row::new("IPv4, the other side has IPv6", |cell| {
            let six = match cell.who {
                Who::Caller => "[fd00:71:2::2]:5060",
                _ => "[fd00:71:1::2]:5060",
            };
            let six = cell.stage.add(six);
            let by = if cell.who == Who::Caller { A } else { B };
            let own = cell.call(by, "700");
            let legs = cell.up(own, six)?;
            cell.stage.talk(legs[0], legs[1])?;
            for (who, dialog) in legs {
                cell.stage.act(who, |agent, now| {
                    agent.offer(now, dialog, "INVITE", |media| media.streams[0].port += 4);
                });
            }
            cell.finish_by(legs)
        })
        .only(&[Who::Caller, Who::Called], "e"),
        Row::new(
            "IPv6 in the description, signalling over IPv4 (488)",
            |cell| {
                for who in cell.doers() {
                    cell.manner(who).media = Some(V6[who]);
                    refused(cell, who, "100", 488)?;
                }
                Ok(())
            },
        ),
        Row::new(
            "re-INVITE: media over IPv6, signalling stays (488)",
            families,
        ),
        Row::new("IPv6 on both sides", |cell| {
            let six = cell.stage.add("[fd00:71:1::2]:5060");
            let seven = cell.stage.add("[fd00:71:2::2]:5060");
            let own = cell.call(six, "700");
            let legs = cell.up(own, seven)?;
            cell.finish_by(legs)
        })
        .only(&[Who::Both], "c"),
    ]
}

/// Those who take the turn go on at other ports.
fn talk_and_move(cell: &mut Cell, legs: [Leg; 2]) -> Result<(), String> {
    cell.each(legs, |stage, (who, dialog)| {
        stage.act(who, |agent, now| {
            agent.offer(now, dialog, "INVITE", |media| {
                for stream in &mut media.streams {
                    stream.port += 4;
                }
            });
        });
    });
    cell.stage.settle()
}

const WIDE: Change = |media| media.streams[0].formats = vec![format("9", "G722/8000")];
const NARROW: Change = |media| media.streams[0].formats = vec![format("0", "PCMU/8000")];

/// Where they are as far as their media goes.
const V6: [Change; 2] = [
    |media| media.ip = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x71, 1, 0, 0, 0, 0, 2)),
    |media| media.ip = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x71, 2, 0, 0, 0, 0, 2)),
];
/// Those who take the turn want their media where the box has no address for them: they are refused, and everything stays as it was.
fn families(cell: &mut Cell) -> Result<(), String> {
    let legs = cell.connect()?;
    for leg in legs
        .into_iter()
        .filter(|leg| cell.does(leg.0))
        .collect::<Vec<_>>()
    {
        let (who, dialog) = leg;
        cell.stage.act(who, |agent, now| {
            agent.offer(now, dialog, "INVITE", V6[who])
        });
        cell.stage.settle()?;
        let heard = cell.stage.agents[who].heard("488 INVITE").len();
        check(heard == 1, || format!("{leg:?} was refused {heard} times"))?;
        cell.stage.talk(legs[0], legs[1])?;
    }
    cell.finish(legs)
}
