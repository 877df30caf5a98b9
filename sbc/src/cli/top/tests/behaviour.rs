//! What follows from keys, answers and time.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::*;
use crate::cli::top::state::{About, Action, Answer, Input, Prompt, Question, State};

#[test]
fn a_daemon_that_is_away_is_said_to_be_and_comes_back() {
    let mut state = running();
    state.handle_input(
        now(4),
        Input::Silent("no daemon answers at 127.0.0.1:9960".to_owned()),
    );
    state.handle_input(
        now(7),
        Input::Silent("no daemon answers at 127.0.0.1:9960".to_owned()),
    );
    golden("away-80x24", &state, SMALL);
    // It is asked again and again, once at a time.
    state.handle_input(now(8), Input::Tick);
    state.handle_input(now(9), Input::Tick);
    let asked = std::iter::from_fn(|| state.poll_action());
    assert_eq!(asked.count(), 1);
    state.handle_input(now(9), Input::Answer(Box::new(answer(9))));
    assert!(state.silence().is_none());
    let shown = picture(&state, SMALL, Theme::Colour);
    assert!(shown.contains("the daemon answers again"), "{shown}");
    // Before the first answer there is nothing but that.
    let mut state = State::new(now(1));
    state.handle_input(now(1), Input::Silent("no daemon answers".to_owned()));
    assert!(picture(&state, SMALL, Theme::Plain).contains("no daemon answers"));
}

#[test]
fn it_asks_when_it_is_due_and_not_while_it_is_paused() {
    let mut state = State::new(now(2));
    let question = Question {
        calls: true,
        call: None,
    };
    assert_eq!(state.poll_action(), Some(Action::Ask(question.clone())));
    state.handle_input(now(1), Input::Answer(Box::new(answer(1))));
    assert_eq!(state.poll_action(), None);
    state.handle_input(now(2), Input::Tick);
    assert_eq!(state.poll_action(), Some(Action::Ask(question)));
    state.handle_input(now(2), Input::Answer(Box::new(answer(2))));
    typed(&mut state, "p");
    state.handle_input(now(60), Input::Tick);
    assert_eq!(state.poll_action(), None);
    assert!(picture(&state, SMALL, Theme::Plain).contains("PAUSED"));
    typed(&mut state, "p");
    assert!(matches!(state.poll_action(), Some(Action::Ask(_))));
}

#[test]
fn of_very_many_calls_not_every_answer_has_all() {
    let mut state = running();
    let many = (0..3000).map(|id| call(&format!("{id:x}"), "trunk:a", "trunk:b", 9));
    let answer = Answer {
        calls: Some(many.collect()),
        ..answer(3)
    };
    state.handle_input(now(3), Input::Answer(Box::new(answer.clone())));
    let mut asked = Vec::new();
    for second in 4..24 {
        state.handle_input(now(second), Input::Tick);
        while let Some(Action::Ask(question)) = state.poll_action() {
            asked.push(question.calls);
        }
        let without = Answer {
            calls: None,
            ..answer.clone()
        };
        state.handle_input(now(second), Input::Answer(Box::new(without)));
    }
    let all = asked.iter().filter(|calls| **calls).count();
    assert_eq!((asked.len(), all), (20, 4));
}

#[test]
fn a_call_is_hung_up_after_a_question_only() {
    let mut state = running();
    typed(&mut state, "hx");
    assert!(matches!(state.prompt, Some(Prompt::HangUp { .. })));
    press(&mut state, &[KeyCode::Enter]);
    assert_eq!((state.poll_action(), &state.prompt), (None, &None));
    typed(&mut state, "hy");
    let id = format!("{:0>16}", "1d");
    assert_eq!(state.poll_action(), Some(Action::HangUp(id)));
    let done = Err("there is no call `1d`".to_owned());
    state.handle_input(now(2), Input::HungUp(done));
    assert!(picture(&state, SMALL, Theme::Colour).contains("there is no call `1d`"));
    // The one that is open, wherever the list is.
    let mut state = opened();
    typed(&mut state, "hy");
    let id = format!("{:0>16}", "1a");
    assert_eq!(state.poll_action(), Some(Action::HangUp(id)));
}

#[test]
fn a_daemon_without_traces_has_the_call_in_words() {
    let mut state = opened();
    press(&mut state, &[KeyCode::Esc, KeyCode::Enter]);
    let answer = Answer {
        call: Some(About {
            trace: Err("the API has no such page".to_owned()),
            ..about()
        }),
        ..answer(3)
    };
    state.handle_input(now(3), Input::Answer(Box::new(answer)));
    let shown = picture(&state, SMALL, Theme::Plain);
    assert!(
        shown.contains("no ladder: the API has no such page"),
        "{shown}"
    );
    press(&mut state, &[KeyCode::Tab]);
    let shown = picture(&state, SMALL, Theme::Plain);
    assert!(
        shown.contains("transcoded: trunk:carrier allows no G722"),
        "{shown}"
    );
}

#[test]
fn a_call_that_is_over_stays_until_it_is_closed() {
    let mut state = opened();
    let mut over = trace();
    over.state = "ended".to_owned();
    over.outcome = Some("answered".to_owned());
    over.reason = Some("phone:anna hung up".to_owned());
    let answer = Answer {
        call: Some(About {
            detail: Err("there is no call `1a`".to_owned()),
            trace: Ok(over),
            ..about()
        }),
        ..answer(4)
    };
    state.handle_input(now(4), Input::Answer(Box::new(answer)));
    assert!(picture(&state, SMALL, Theme::Plain).contains("answered"));
    press(&mut state, &[KeyCode::Tab]);
    let shown = picture(&state, SMALL, Theme::Plain);
    assert!(
        shown.contains("over: answered, after 87.0 s; phone:anna hung up"),
        "{shown}"
    );
    // There is nothing to hang up.
    typed(&mut state, "h");
    assert_eq!(state.prompt, None);
    press(&mut state, &[KeyCode::Esc]);
    assert!(state.opened.is_none());
}

#[test]
fn the_ladder_follows_what_comes_until_somebody_goes_up() {
    let mut state = opened();
    let last = trace().steps.len() - 1;
    assert_eq!(state.opened.as_ref().unwrap().step, last);
    press(&mut state, &[KeyCode::Up]);
    let mut longer = trace();
    longer.steps.extend(trace().steps.into_iter().take(3));
    let answer = Answer {
        call: Some(About {
            trace: Ok(longer),
            ..about()
        }),
        ..answer(4)
    };
    state.handle_input(now(4), Input::Answer(Box::new(answer.clone())));
    assert_eq!(state.opened.as_ref().unwrap().step, last - 1);
    press(&mut state, &[KeyCode::End]);
    state.handle_input(now(5), Input::Answer(Box::new(answer)));
    assert_eq!(state.opened.as_ref().unwrap().step, last + 3);
}

#[test]
fn whoever_quits_quits() {
    for (key, modifiers) in [
        (KeyCode::Char('q'), KeyModifiers::NONE),
        (KeyCode::Char('c'), KeyModifiers::CONTROL),
    ] {
        let mut state = running();
        state.handle_input(now(2), Input::Key(KeyEvent::new(key, modifiers)));
        assert_eq!(state.poll_action(), Some(Action::Quit));
    }
    // In a filter it is a letter.
    let mut state = running();
    typed(&mut state, "/q");
    assert_eq!(
        (state.poll_action(), state.list.filter.as_str()),
        (None, "q")
    );
    press(&mut state, &[KeyCode::Esc]);
    assert_eq!(state.list.filter, "");
}
