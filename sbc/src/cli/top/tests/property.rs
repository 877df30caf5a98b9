//! Nothing that is typed breaks it.

use proptest::prelude::*;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::*;
use crate::cli::top::state::{About, Answer, Input, Page, State};

fn key() -> impl Strategy<Value = KeyCode> {
    prop_oneof![
        4 => proptest::sample::select(vec![
            KeyCode::Up, KeyCode::Down, KeyCode::Left, KeyCode::Right, KeyCode::Home, KeyCode::End, KeyCode::PageUp,
            KeyCode::PageDown, KeyCode::Enter, KeyCode::Esc, KeyCode::Tab, KeyCode::Backspace, KeyCode::Delete,
        ]),
        4 => proptest::sample::select("jkgGqnbhyspr/? ".chars().collect::<Vec<char>>()).prop_map(KeyCode::Char),
        1 => any::<char>().prop_map(KeyCode::Char),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Key(KeyCode),
    Answer { calls: u8, has_call: bool },
    Silent,
    Tick,
    Draw(u16, u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => key().prop_map(Step::Key),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(calls, has_call)| Step::Answer { calls, has_call }),
        1 => Just(Step::Silent),
        1 => Just(Step::Tick),
        2 => (0_u16..220, 0_u16..70).prop_map(|(width, height)| Step::Draw(width, height)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn no_order_of_keys_and_answers_breaks_it(steps in prop::collection::vec(step(), 1..60)) {
        let mut state = State::new(now(1));
        for (second, step) in (1..).zip(steps) {
            match step {
                Step::Key(key) => {
                    let key = KeyEvent::new(key, KeyModifiers::NONE);
                    state.handle_input(now(second), Input::Key(key));
                }
                Step::Answer { calls, has_call } => {
                    let calls = (0..calls).map(|id| call(&format!("{id:x}"), "phone:日本語", "trunk:b", id.into()));
                    let id = state.opened.as_ref().map(|opened| opened.id.clone());
                    let answer = Answer {
                        calls: Some(calls.collect()),
                        call: id.filter(|_| has_call).map(|id| About { id, ..about() }),
                        ..answer(second)
                    };
                    state.handle_input(now(second), Input::Answer(Box::new(answer)));
                }
                Step::Silent => state.handle_input(now(second), Input::Silent("away".to_owned())),
                Step::Tick => state.handle_input(now(second), Input::Tick),
                Step::Draw(width, height) => {
                    picture(&state, (width, height), Theme::Colour);
                }
            }
            // No more is wanted than can be done.
            let wanted = std::iter::from_fn(|| state.poll_action()).count();
            prop_assert!(wanted <= 2, "{wanted}");
        }
        for size in [(1, 1), (20, 5), SMALL, LARGE] {
            picture(&state, size, Theme::Plain);
        }
        let is_message = state.opened.as_ref().is_some_and(|opened| opened.page == Page::Message);
        prop_assert!(!is_message || state.opened.as_ref().unwrap().ladder().is_some());
    }
}
