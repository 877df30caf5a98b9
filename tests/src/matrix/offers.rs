//! Offers and answers while a call is up.

use super::Row;
use super::cell::{A, B, Cell, Who, check};
use crate::stage::{Change, Hold, Stream};

const SAME: Change = |_| {};
const PORT: Change = |media| media.streams[0].port += 4;
const ADDRESS: Change = |media| {
    if let std::net::IpAddr::V4(ip) = media.ip {
        let [a, b, c, _] = ip.octets();
        media.ip = [a, b, c, 77].into();
    }
};
const A_LAW: Change =
    |media| media.streams[0].formats = vec![("8".to_owned(), "PCMA/8000".to_owned())];
const WIDE: Change =
    |media| media.streams[0].formats = vec![("9".to_owned(), "G722/8000".to_owned())];
const VIDEO: Change = |media| match media.streams.get_mut(1) {
    Some(video) => video.is_on = true,
    None => {
        let port = media.streams[0].port + 16;
        media.streams.push(Stream::video(port));
    }
};
const NO_VIDEO: Change = |media| {
    if let Some(video) = media.streams.get_mut(1) {
        video.is_on = false;
    }
};
const FAX: Change = |media| media.streams = vec![Stream::fax(media.streams[0].port)];
const VOICE: Change = |media| media.streams = vec![Stream::voice(media.streams[0].port)];
const SEND_ONLY: Change = |media| media.hold = Some(Hold::SendOnly);
const INACTIVE: Change = |media| media.hold = Some(Hold::Inactive);
const ZERO: Change = |media| media.hold = Some(Hold::Zero);
const RESUME: Change = |media| media.hold = None;

/// One change after the other, each when the one before is through.
fn turns(cell: &mut Cell, method: &'static str, changes: &[Change]) -> Result<(), String> {
    cell.both_are(|manner| manner.updates = method == "UPDATE");
    let legs = cell.connect()?;
    for change in changes {
        let before = legs.map(|leg| cell.stage.dialog(leg).media.clone());
        cell.each(legs, |stage, (who, dialog)| {
            stage.act(who, |agent, now| agent.offer(now, dialog, method, *change));
        });
        cell.stage.settle()?;
        cell.stage.talk_as_held(legs[0], legs[1])?;
        for (leg, mut expected) in legs.into_iter().zip(before) {
            if !cell.does(leg.0) {
                continue;
            }
            change(&mut expected);
            let media = &cell.stage.dialog(leg).media;
            let got = (
                media.ip,
                media.hold,
                &media.streams[0].formats,
                media.streams[0].port,
            );
            let wanted = (
                expected.ip,
                expected.hold,
                &expected.streams[0].formats,
                expected.streams[0].port,
            );
            check(got == wanted, || {
                format!("{leg:?} was not taken: {got:?}, not {wanted:?}")
            })?;
        }
    }
    cell.finish(legs)
}

/// All at once, each as soon as the one before is through.
fn hurry(cell: &mut Cell, changes: &[Change]) -> Result<(), String> {
    let legs = cell.connect()?;
    cell.each(legs, |stage, (who, dialog)| {
        for change in changes {
            stage.act(who, |agent, now| {
                agent.offer(now, dialog, "INVITE", *change)
            });
        }
    });
    cell.finish(legs)
}

/// The other one refuses: everything stays as it was.
fn refused(cell: &mut Cell, method: &'static str, change: Change) -> Result<(), String> {
    cell.both_are(|manner| {
        manner.updates = method == "UPDATE";
        manner.refuses.insert(method, 488);
    });
    let legs = cell.connect()?;
    let before = legs.map(|leg| cell.stage.dialog(leg).media.clone());
    cell.each(legs, |stage, (who, dialog)| {
        stage.act(who, |agent, now| agent.offer(now, dialog, method, change));
    });
    cell.stage.settle()?;
    for (leg, before) in legs.into_iter().zip(before) {
        let said = cell.stage.agents[leg.0]
            .heard(&format!("488 {method}"))
            .len();
        check(!cell.does(leg.0) || said == 1, || {
            format!("{leg:?} was refused {said} times")
        })?;
        check(cell.stage.dialog(leg).media == before, || {
            format!("{leg:?} has changed")
        })?;
    }
    cell.finish(legs)
}

/// Without an offer of one's own.
fn late(cell: &mut Cell, change: Change, is_refused: bool) -> Result<(), String> {
    let legs = cell.connect()?;
    if is_refused {
        cell.both_are(|manner| {
            manner.refuses.insert("INVITE", 488);
        });
    }
    let ports = legs.map(|leg| cell.stage.dialog(leg).media.streams[0].port);
    cell.each(legs, |stage, (who, dialog)| {
        stage.act(who, |agent, now| agent.ask_for_offer(now, dialog, change));
    });
    cell.stage.settle()?;
    let mut media = cell.stage.dialog(legs[0]).media.clone();
    for (leg, port) in legs.into_iter().zip(ports) {
        media.streams[0].port = port;
        if cell.does(leg.0) {
            change(&mut media);
        }
        let found = cell.stage.dialog(leg).media.streams[0].port;
        check(found == media.streams[0].port, || {
            format!("{leg:?} is at {found}")
        })?;
    }
    cell.finish(legs)
}

/// One with a re-INVITE, the other with an UPDATE at the same moment.
fn cross(cell: &mut Cell, methods: [&'static str; 2]) -> Result<(), String> {
    cell.both_are(|manner| manner.updates = true);
    let legs = cell.connect()?;
    let before = legs.map(|leg| cell.stage.dialog(leg).media.streams[0].port);
    for (leg, method) in legs.into_iter().zip(methods) {
        let (who, dialog) = leg;
        cell.stage
            .act(who, |agent, now| agent.offer(now, dialog, method, PORT));
    }
    cell.stage.settle()?;
    for (leg, before) in legs.into_iter().zip(before) {
        let port = cell.stage.dialog(leg).media.streams[0].port;
        check(port == before + 4, || {
            format!("the offer of {leg:?} was lost")
        })?;
    }
    cell.finish(legs)
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![
        Row::new("re-INVITE, nothing changes", |cell| {
            turns(cell, "INVITE", &[SAME, SAME])
        }),
        Row::new("UPDATE without an offer", |cell| {
            cell.both_are(|manner| manner.updates = true);
            let legs = cell.connect()?;
            cell.each(legs, |stage, (who, dialog)| {
                stage.act(who, |agent, now| agent.say(now, dialog, "UPDATE", "", ""));
            });
            cell.stage.settle()?;
            for who in cell.doers() {
                let said = cell.stage.agents[who].heard("200 UPDATE").len();
                check(said == 1, || format!("UPDATE was answered {said} times"))?;
            }
            cell.finish(legs)
        }),
    ];
    macro_rules! both {
        ($name:literal, $changes:expr) => {
            rows.push(Row::new(concat!("re-INVITE: ", $name), |cell| {
                turns(cell, "INVITE", &$changes)
            }));
            rows.push(Row::new(concat!("UPDATE: ", $name), |cell| {
                turns(cell, "UPDATE", &$changes)
            }));
        };
    }
    both!("another port", [PORT, PORT]);
    both!("another address", [ADDRESS]);
    both!("one codec of two", [A_LAW]);
    both!("a new codec", [WIDE]);
    both!(
        "video is added, switched off, switched on",
        [VIDEO, NO_VIDEO, VIDEO]
    );
    both!("hold with sendonly, resume", [SEND_ONLY, RESUME]);
    both!("hold with inactive, resume", [INACTIVE, RESUME]);
    both!("hold with 0.0.0.0, resume", [ZERO, RESUME]);
    both!(
        "hold, another port meanwhile, resume",
        [SEND_ONLY, PORT, RESUME]
    );
    rows.extend([
        Row::new("video is added, the other refuses it (port 0)", |cell| {
            cell.both_are(|manner| manner.declines = Some("video"));
            let legs = cell.connect()?;
            cell.each(legs, |stage, (who, dialog)| {
                stage.act(who, |agent, now| agent.offer(now, dialog, "INVITE", VIDEO));
            });
            cell.stage.settle()?;
            cell.off(legs, 1)?;
            cell.stage.talk(legs[0], legs[1])?;
            cell.each(legs, |stage, (who, dialog)| {
                stage.act(who, |agent, now| agent.offer(now, dialog, "INVITE", PORT));
            });
            cell.finish(legs)
        }),
        Row::new("voice becomes a fax (T.38) and voice again", |cell| {
            turns(cell, "INVITE", &[FAX, VOICE])
        }),
        Row::new("hold, resume and another port in one go", |cell| {
            hurry(cell, &[SEND_ONLY, RESUME, PORT])
        }),
        Row::new(
            "one holds, then the other; the first resumes first",
            |cell| {
                let legs = cell.connect()?;
                let first = if cell.who == Who::Called { B } else { A };
                let offers: [(usize, Change); 4] = [
                    (first, SEND_ONLY),
                    (1 - first, INACTIVE),
                    (first, RESUME),
                    (1 - first, RESUME),
                ];
                for (who, change) in offers {
                    let dialog = legs[who].1;
                    cell.stage
                        .act(who, |agent, now| agent.offer(now, dialog, "INVITE", change));
                    cell.stage.settle()?;
                    cell.stage.talk_as_held(legs[0], legs[1])?;
                }
                cell.finish(legs)
            },
        )
        .only(&[Who::Caller, Who::Called], "e"),
        Row::new("re-INVITE that the other refuses (488)", |cell| {
            refused(cell, "INVITE", A_LAW)
        }),
        Row::new("hold that the other refuses (488)", |cell| {
            refused(cell, "INVITE", SEND_ONLY)
        }),
        Row::new("UPDATE that the other refuses (488)", |cell| {
            refused(cell, "UPDATE", A_LAW)
        }),
        Row::new("re-INVITE without an offer", |cell| late(cell, SAME, false)),
        Row::new("re-INVITE without an offer: another port", |cell| {
            late(cell, PORT, false)
        }),
        Row::new(
            "re-INVITE without an offer, and the other makes none (488)",
            |cell| late(cell, PORT, true),
        ),
        Row::new("re-INVITE against re-INVITE (491)", |cell| {
            cross(cell, ["INVITE", "INVITE"])
        })
        .only(&[Who::Both], "c"),
        Row::new("re-INVITE against UPDATE", |cell| match cell.who {
            Who::Called => cross(cell, ["UPDATE", "INVITE"]),
            _ => cross(cell, ["INVITE", "UPDATE"]),
        })
        .only(&[Who::Caller, Who::Called], "e"),
        Row::new("UPDATE against UPDATE (491)", |cell| {
            cross(cell, ["UPDATE", "UPDATE"])
        })
        .only(&[Who::Both], "c"),
        Row::new("re-INVITE whose ACK is lost twice", |cell| {
            let legs = cell.connect()?;
            cell.doers_are(|manner| manner.loses_acks = 2);
            cell.each(legs, |stage, (who, dialog)| {
                stage.act(who, |agent, now| agent.offer(now, dialog, "INVITE", PORT));
            });
            cell.finish(legs)
        }),
    ]);
    rows
}
