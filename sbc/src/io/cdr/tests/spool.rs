//! The spool against a list.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::frames::{Recent, Window};
use super::super::spool::{Cursor, Kind, Place, Refused, Spool, id_of, record_of};
use super::Directory;

#[derive(Clone, Debug)]
enum Step {
    Open(u8, usize),
    Done(u8, usize),
    /// The first or the second sink takes so many.
    Take(usize, usize),
    Sync,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = prop_oneof![0usize..2_000, 20_000usize..60_000];
    let step = prop_oneof![
        3 => (any::<u8>(), size.clone()).prop_map(|(id, size)| Step::Open(id, size)),
        6 => (any::<u8>(), size).prop_map(|(id, size)| Step::Done(id, size)),
        4 => (0usize..2, 0usize..20).prop_map(|(sink, count)| Step::Take(sink, count)),
        2 => Just(Step::Sync),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..150)
}

const NAMES: [&str; 2] = ["json", "webhook"];

fn restart(directory: &Directory) -> Spool {
    let mut spool = Spool::open(&directory.0, 1 << 20).unwrap();
    spool.keep(&NAMES);
    spool
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_taken_comes_out_once_and_in_order(steps in steps()) {
        let directory = Directory::new(&format!("spool-{:?}", std::thread::current().id()));
        let mut spool = restart(&directory);
        // All that was ever done, and how much of it each sink has had.
        let mut done: Vec<(String, Vec<u8>)> = Vec::new();
        let mut had = [0; 2];
        let mut open: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (count, step) in steps.into_iter().enumerate() {
            match step {
                Step::Open(id, size) => {
                    let (id, record) = (format!("{id:x}"), vec![b'o'; size]);
                    // A call that is over does not begin again.
                    if done.iter().any(|(over, _)| *over == id) {
                        continue;
                    }
                    match spool.append(Kind::Open, &id, &record) {
                        Ok(()) => drop(open.insert(id, record)),
                        Err(Refused::Full | Refused::Crowded) => {}
                        Err(error) => prop_assert!(false, "{}", error),
                    }
                }
                Step::Done(id, size) => {
                    // An id ends once.
                    let own = format!("{id:x}");
                    let id = match open.contains_key(&own) {
                        true => own,
                        false => format!("x{count}"),
                    };
                    let record = vec![b'd'; size];
                    match spool.append(Kind::Done, &id, &record) {
                        Ok(()) => {
                            open.remove(&id);
                            done.push((id, record));
                        }
                        Err(Refused::Full | Refused::Crowded) => {}
                        Err(error) => prop_assert!(false, "{}", error),
                    }
                }
                Step::Take(sink, count) => {
                    let mut next = spool.cursor(NAMES[sink]).next;
                    let mut left = count;
                    while left > 0 && let Some(frame) = spool.read(next).unwrap() {
                        next = frame.next;
                        if frame.kind == Kind::Done {
                            let (id, record) = &done[had[sink]];
                            prop_assert_eq!(id_of(&frame.content), id);
                            prop_assert_eq!(record_of(&frame.content), record);
                            had[sink] += 1;
                            left -= 1;
                        }
                    }
                    spool.advance(NAMES[sink], Cursor { next, file: None });
                }
                Step::Sync => {
                    spool.settle().unwrap();
                    spool.release().unwrap();
                    spool.sync().unwrap();
                }
                Step::Restart => {
                    spool.settle().unwrap();
                    spool.sync().unwrap();
                    drop(spool);
                    spool = restart(&directory);
                    // Ids that are used again are other calls.
                    let mut known = open.clone();
                    for _ in 0..known.len() {
                        let record = spool.next_orphan().unwrap().unwrap();
                        let id = known.iter().find(|(_, of)| **of == record);
                        let id = id.map(|(id, _)| id.clone()).unwrap();
                        known.remove(&id);
                    }
                    prop_assert!(spool.next_orphan().unwrap().is_none());
                }
            }
            let (used, size) = spool.usage();
            prop_assert!(used <= size);
        }
        for sink in 0..2 {
            let mut next = spool.cursor(NAMES[sink]).next;
            while let Some(frame) = spool.read(next).unwrap() {
                next = frame.next;
                if frame.kind == Kind::Done {
                    prop_assert_eq!(id_of(&frame.content), &done[had[sink]].0);
                    had[sink] += 1;
                }
            }
            prop_assert_eq!(had[sink], done.len());
        }
    }
}

#[test]
fn it_is_as_large_as_the_config_says_once_it_is_empty() {
    let directory = Directory::new("size");
    let size = || {
        std::fs::metadata(directory.0.join("cdr.spool"))
            .unwrap()
            .len()
    };
    let mut spool = restart(&directory);
    assert_eq!(size(), (1 << 20) + 8192);
    spool.append(Kind::Done, "1", b"one").unwrap();
    spool.sync().unwrap();
    drop(spool);
    let mut spool = Spool::open(&directory.0, 2 << 20).unwrap();
    assert_eq!(size(), (1 << 20) + 8192);
    for name in NAMES {
        let frame = spool.read(spool.cursor(name).next).unwrap().unwrap();
        assert_eq!(record_of(&frame.content), b"one");
        let file = Some((7, 9));
        spool.advance(
            name,
            Cursor {
                next: frame.next,
                file,
            },
        );
    }
    spool.sync().unwrap();
    drop(spool);
    let mut spool = Spool::open(&directory.0, 2 << 20).unwrap();
    assert_eq!(size(), (2 << 20) + 8192);
    assert_eq!(spool.cursor("json").file, Some((7, 9)));
    spool.append(Kind::Done, "2", b"two").unwrap();
    let frame = spool.read(spool.cursor("json").next).unwrap().unwrap();
    assert_eq!(record_of(&frame.content), b"two");
}

#[test]
fn who_waits_alone_gives_up_the_oldest() {
    let directory = Directory::new("gives-up");
    let mut spool = restart(&directory);
    let mut count = 0;
    while spool
        .append(Kind::Done, &count.to_string(), &[b'x'; 1000])
        .is_ok()
    {
        count += 1;
    }
    // The file waits as well: nothing is given up.
    assert_eq!(spool.give_up("webhook").unwrap(), 0);
    let mut next = spool.cursor("json").next;
    while let Some(frame) = spool.read(next).unwrap() {
        next = frame.next;
    }
    spool.advance("json", Cursor { next, file: None });
    let lost = spool.give_up("webhook").unwrap();
    assert!(lost > 0 && lost < count / 4, "{lost} of {count}");
    let frame = spool.read(spool.cursor("webhook").next).unwrap().unwrap();
    assert_eq!(id_of(&frame.content), lost.to_string());
    spool.release().unwrap();
    assert!(
        spool.append(Kind::Done, "no", &[b'x'; 1000]).is_err(),
        "not before it is on the disk"
    );
    spool.sync().unwrap();
    spool.append(Kind::Done, "yes", &[b'x'; 1000]).unwrap();
}

#[test]
fn what_the_disk_does_not_take_waits_and_nothing_is_added_to_it() {
    let directory = Directory::new("stuck");
    let path = directory.0.join("frames");
    std::fs::write(&path, vec![0; 1 << 20]).unwrap();
    let size = 1 << 20;
    let places = [9000, 9000 + 17 + 5].map(|at| Place {
        at,
        number: 7 + u64::from(at > 9000),
    });
    let mut recent = Recent::default();
    recent.add(places[0], Kind::Done, &[b"1\n", b"one"]);
    // Who may only read it cannot write.
    let closed = std::fs::File::open(&path).unwrap();
    recent.flush(&closed).unwrap_err();
    assert!(recent.must_be_written());
    assert_eq!(recent.unwritten(), 1);
    let mut options = std::fs::OpenOptions::new();
    let file = options.read(true).write(true).open(&path).unwrap();
    let there = |place| Window::short().read(&file, size, place).unwrap().is_some();
    assert!(!there(places[0]));
    recent.flush(&file).unwrap();
    assert!(!recent.must_be_written() && recent.unwritten() == 0);
    recent.add(places[1], Kind::Open, &[b"2\n", b"two"]);
    assert!(there(places[0]) && !there(places[1]));
    // In memory both are there, whole.
    for (place, record) in places.into_iter().zip([b"one", b"two"]) {
        let frame = recent.read(size, place).unwrap();
        assert_eq!(record_of(&frame.content), record);
    }
    recent.flush(&file).unwrap();
    let mut window = Window::default();
    let frame = window.read(&file, size, places[0]).unwrap().unwrap();
    assert_eq!((frame.kind, frame.next), (Kind::Done, places[1]));
    let frame = window.read(&file, size, places[1]).unwrap().unwrap();
    assert_eq!(record_of(&frame.content), b"two");
}
