//! DNS that is slow, fails, lies, and changes its mind.

use super::*;

const NAME: &str = "carrier.example";

fn one() -> Stage {
    let mut stage = Stage::server("sip:carrier.example:5060")
        .a(NAME, &["10.0.0.9"])
        .settle();
    stage.told();
    stage.asked.clear();
    stage
}

fn found(places: &[&str]) -> News {
    News::Found {
        trunk: TRUNK,
        places: places.iter().map(|text| place(text)).collect(),
        left_out: None,
    }
}

#[test]
fn answers_are_asked_for_again_ahead_of_their_end() {
    let mut stage = one();
    stage.pass(seconds(47));
    assert_eq!(stage.asked, [""; 0]);
    stage.pass(seconds(1));
    assert_eq!(
        stage.asked,
        ["A of carrier.example", "AAAA of carrier.example"]
    );
    assert_eq!(stage.told(), []);
}

#[test]
fn ttls_have_bounds() {
    for (ttl, again) in [(0, 4), (5, 4), (100, 80), (3600, 2880), (1_000_000, 2880)] {
        let records = Records::Addresses(vec!["10.0.0.9".parse().unwrap()]);
        let answer = Answer::Found {
            records,
            ttl: seconds(ttl),
        };
        let mut stage = Stage::server("sip:carrier.example:5060").has(NAME, Kind::A, answer);
        stage.otherwise = Answer::Nothing {
            ttl: seconds(1_000_000),
        };
        let mut stage = stage.settle();
        stage.asked.clear();
        stage.pass(seconds(again) - Duration::from_millis(1));
        assert_eq!(stage.asked, [""; 0], "{ttl}");
        stage.pass(Duration::from_millis(1));
        assert_eq!(stage.asked[0], "A of carrier.example", "{ttl}");
    }
}

#[test]
fn a_change_moves_calls_and_the_old_source_stays_for_an_hour() {
    let mut stage = one();
    stage
        .zone
        .insert((NAME, Kind::A), addresses_of(&["10.0.0.10"]));
    stage.pass(seconds(60));
    assert_eq!(stage.way(), ["udp:10.0.0.10:5060"]);
    assert_eq!(stage.told(), [found(&["udp:10.0.0.10:5060"])]);
    assert_eq!(Vec::from_iter(&stage.sources), ["10.0.0.10", "10.0.0.9"]);
    stage.pass(seconds(3500));
    assert_eq!(stage.sources.len(), 2);
    stage.pass(seconds(100));
    assert_eq!(Vec::from_iter(&stage.sources), ["10.0.0.10"]);
    // One that comes back in time is no news.
    for address in ["10.0.0.11", "10.0.0.10"].repeat(40) {
        stage.zone.insert((NAME, Kind::A), addresses_of(&[address]));
        stage.pass(seconds(48));
    }
    assert_eq!(Vec::from_iter(&stage.sources), ["10.0.0.10", "10.0.0.11"]);
}

#[test]
fn the_order_of_what_dns_says_is_no_change() {
    let mut stage = Stage::server("sip:carrier.example:5060")
        .a(NAME, &["10.0.0.9", "10.0.0.8"])
        .settle();
    stage.told();
    stage.zone.insert(
        (NAME, Kind::A),
        addresses_of(&["10.0.0.8", "10.0.0.9", "10.0.0.8"]),
    );
    stage.pass(seconds(60));
    assert_eq!(stage.told(), []);
}

#[test]
fn what_was_found_outlives_a_dns_that_fails_for_a_day_and_that_is_told_once() {
    let mut stage = one();
    stage.zone.clear();
    stage.otherwise = Answer::Failed(Trouble::Timeout);
    stage.pass(seconds(3600));
    let why = "A of carrier.example: no name server answers in time".to_owned();
    assert_eq!(
        stage.told(),
        [News::Lost {
            trunk: TRUNK,
            why,
            kept: 1
        }]
    );
    assert_eq!(stage.way(), ["udp:10.0.0.9:5060"]);
    assert_eq!(Vec::from_iter(&stage.sources), ["10.0.0.9"]);
    stage.pass(seconds(22 * 3600));
    assert_eq!((stage.told(), stage.way().len()), (vec![], 1));
    let asked = stage.asked.len();
    stage.pass(seconds(7200));
    assert_eq!(
        (stage.told(), stage.way().len()),
        (vec![News::Forgotten { trunk: TRUNK }], 0)
    );
    // Both questions once a minute.
    assert_eq!(stage.asked.len() - asked, 240);
    stage
        .zone
        .insert((NAME, Kind::A), addresses_of(&["10.0.0.9"]));
    stage.otherwise = Answer::Nothing { ttl: TTL };
    stage.pass(seconds(61));
    let back = News::Back { trunk: TRUNK };
    assert_eq!(stage.told(), [found(&["udp:10.0.0.9:5060"]), back]);
    assert_eq!(stage.way(), ["udp:10.0.0.9:5060"]);
}

#[test]
fn when_dns_is_back_with_the_same_it_is_told() {
    let mut stage = one();
    let zone = std::mem::take(&mut stage.zone);
    stage.otherwise = Answer::Failed(Trouble::Refused);
    stage.pass(seconds(60));
    assert_eq!(stage.told().len(), 1);
    stage.zone = zone;
    stage.otherwise = Answer::Nothing { ttl: TTL };
    stage.pass(seconds(61));
    assert_eq!(stage.told(), [News::Back { trunk: TRUNK }]);
}

#[test]
fn a_name_that_is_gone_is_kept_for_a_day_too() {
    let mut stage = one();
    stage.zone.clear();
    stage.pass(seconds(3600));
    let why = "DNS knows no server of that name".to_owned();
    assert_eq!(
        stage.told(),
        [News::Lost {
            trunk: TRUNK,
            why,
            kept: 1
        }]
    );
    assert_eq!(stage.way().len(), 1);
    stage.pass(seconds(24 * 3600));
    assert_eq!(
        (stage.told(), stage.way().len()),
        (vec![News::Forgotten { trunk: TRUNK }], 0)
    );
}

#[test]
fn a_name_that_never_was_is_told_once_and_asked_for_again() {
    let mut stage = Stage::server("sip:carrier.example").settle();
    let why = "DNS knows no server of that name".to_owned();
    assert_eq!(
        stage.told(),
        [News::Lost {
            trunk: TRUNK,
            why,
            kept: 0
        }]
    );
    stage.pass(seconds(600));
    assert_eq!(stage.told(), []);
    stage
        .zone
        .insert((NAME, Kind::A), addresses_of(&["10.0.0.9"]));
    stage.pass(seconds(48));
    assert_eq!(stage.told(), [found(&["udp:10.0.0.9:5060"])]);
}

#[test]
fn without_an_answer_about_naptr_srv_is_asked_and_without_one_about_srv_nothing() {
    let srv = "_sip._udp.carrier.example";
    let stage = Stage::server("sip:carrier.example").has(
        NAME,
        Kind::Naptr,
        Answer::Failed(Trouble::Refused),
    );
    let stage = stage.srv(srv, &[(1, 0, 5070, "b.example")]);
    let mut stage = stage.a("b.example", &["10.0.0.9"]).settle();
    assert_eq!(stage.way(), ["udp:10.0.0.9:5070"]);
    // The web server of that name is not called.
    let stage =
        Stage::server("sip:carrier.example").has(srv, Kind::Srv, Answer::Failed(Trouble::Timeout));
    let mut stage = stage.a(NAME, &["10.0.0.80"]).settle();
    assert_eq!(stage.way(), [""; 0]);
    assert_eq!(
        stage
            .asked
            .iter()
            .filter(|asked| asked.starts_with("A of"))
            .count(),
        0
    );
}

/// Nothing is answered: the questions stay where they are.
fn silent(stage: &mut Stage) -> Vec<Question> {
    let mut asked = Vec::new();
    while let Some(action) = stage.places.poll_action() {
        match action {
            Action::Resolve(question) => asked.push(question),
            Action::News(news) => stage.news.push(news),
            Action::Source(..) | Action::NoSource(..) => {}
        }
    }
    asked
}

#[test]
fn an_answer_that_gets_lost_is_asked_for_again() {
    let mut stage = Stage::server("sip:carrier.example:5060");
    assert_eq!(silent(&mut stage).len(), 2);
    stage.now += seconds(60);
    stage.places.handle_timeout(stage.now, &stage.config);
    stage.places.handle_timeout(stage.now, &stage.config);
    assert_eq!(silent(&mut stage), []);
    assert_eq!(stage.told().len(), 1);
    stage.now += seconds(2);
    stage.places.handle_timeout(stage.now, &stage.config);
    assert_eq!(silent(&mut stage).len(), 2);
}

#[test]
fn one_server_whose_address_is_slow_does_not_keep_the_others_waiting() {
    let mut stage = Stage::server("sip:carrier.example;transport=udp");
    let answer = |stage: &mut Stage, question: &Question, answer: Answer| {
        let input = Input::Resolved {
            question: question.clone(),
            answer,
        };
        stage.places.handle_input(stage.now, &stage.config, input);
        silent(stage)
    };
    let asked = silent(&mut stage);
    assert_eq!(asked.len(), 1);
    let asked = answer(
        &mut stage,
        &asked[0],
        srv(&[(1, 0, 5060, "a.example"), (2, 0, 5060, "b.example")]),
    );
    assert_eq!(asked.len(), 4);
    assert_eq!(stage.way(), [""; 0]);
    let b = asked
        .iter()
        .find(|q| q.to_string() == "A of b.example")
        .unwrap();
    answer(&mut stage, b, addresses_of(&["10.0.0.11"]));
    assert_eq!(stage.way(), ["udp:10.0.0.11:5060"]);
    for (index, question) in asked.iter().filter(|question| *question != b).enumerate() {
        let found = match question.to_string().as_str() {
            "A of a.example" => addresses_of(&["10.0.0.10"]),
            _ => Answer::Nothing { ttl: TTL },
        };
        answer(&mut stage, question, found);
        assert_eq!(stage.way().len(), if index == 2 { 2 } else { 1 });
    }
    assert_eq!(stage.way(), ["udp:10.0.0.10:5060", "udp:10.0.0.11:5060"]);
}

#[test]
fn hundreds_of_trunks_ask_a_few_at_a_time() {
    let mut text = "[network.a]\naddress = [\"10.0.0.1\"]\n".to_owned();
    for number in 0..300 {
        text += &format!(
            "[trunk.t{number}]\nnetwork = \"a\"\nserver = \"sip:s{number}.example:5060\"\n"
        );
    }
    let mut stage = Stage::with(Config::parse(&text, "f", &NoSecrets).unwrap(), [0; 32]);
    let mut waiting = silent(&mut stage);
    assert_eq!(waiting.len(), 64);
    let mut all = 0;
    while let Some(question) = waiting.pop() {
        all += 1;
        let input = Input::Resolved {
            question,
            answer: addresses_of(&["10.0.0.9"]),
        };
        stage.places.handle_input(stage.now, &stage.config, input);
        waiting.extend(silent(&mut stage));
        assert!(waiting.len() <= 64);
    }
    assert_eq!(all, 300);
}

#[test]
fn a_reload_keeps_what_is_known_under_whatever_name_the_trunk_has() {
    let mut stage = one();
    let text = "[network.a]\naddress = [\"10.0.0.1\", \"2001:db8::1\"]\n[trunk.x]\nnetwork = \"a\"\nserver = \"sip:10.0.0.2\"\n\
                [trunk.y]\nnetwork = \"a\"\nserver = \"sip:carrier.example:5061\"\n";
    stage.config = Config::parse(text, "f", &NoSecrets).unwrap();
    stage.places.reload(stage.now, &stage.config);
    stage.sources.clear();
    stage.run();
    assert_eq!(stage.asked, [""; 0]);
    let way = stage.places.way(stage.now, &stage.config, TrunkId(1));
    let way: Vec<String> = way.map(|place| place.to_string()).collect();
    assert_eq!(way, ["udp:10.0.0.9:5061"]);
    assert_eq!(stage.way(), ["udp:10.0.0.2:5060"]);
    assert_eq!(Vec::from_iter(&stage.sources), ["10.0.0.9"]);
    // Nobody needs it any more.
    stage.config.trunks.truncate(1);
    stage.places.reload(stage.now, &stage.config);
    assert_eq!(stage.places.book.len(), (0, 0));
    assert_eq!(stage.places.poll_timeout(), None);
}
