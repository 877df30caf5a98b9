//! Keeps the records of calls beside what the engine tells of them: each call attempt has one, and it says the same.
#![expect(
    clippy::panic,
    reason = "a bench for tests: what should not be ends the test"
)]

use std::collections::BTreeSet;

use sbc::engine::{CallRecord, Engine, Event, Recorded};

/// What was recorded.
#[derive(Debug, Default)]
pub struct Books {
    /// Of the attempts that are over, in order.
    pub done: Vec<CallRecord>,
    ids: BTreeSet<String>,
    open: BTreeSet<String>,
    /// Calls that are over, and how; of refused ones the code.
    told: Vec<(Option<String>, String)>,
}

impl Books {
    /// What the engine tells; once that is all, what it has recorded is compared with it.
    ///
    /// # Panics
    /// It is not the same.
    pub fn poll(&mut self, engine: &mut Engine) -> Option<Event> {
        let event = engine.poll_event();
        match &event {
            Some(event) => self.note(event),
            None => self.compare(engine),
        }
        event
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::CallEnded { call, outcome, .. } => {
                let call = Some(call.to_string());
                self.told.push((call, outcome.label().to_owned()));
            }
            Event::CallRefused { code, .. } => self.told.push((None, code.to_string())),
            _ => {}
        }
    }

    fn compare(&mut self, engine: &mut Engine) {
        while let Some(recorded) = engine.poll_record() {
            match recorded {
                Recorded::Open(record) => {
                    assert!(
                        !self.ids.contains(record.id.as_str()),
                        "after its end: {record:?}"
                    );
                    assert_eq!(record.outcome, "interrupted");
                    self.open.insert(record.id.into());
                }
                Recorded::Done(record) => self.take(record),
            }
        }
        assert!(self.told.is_empty(), "no record: {:?}", self.told);
    }

    fn take(&mut self, record: CallRecord) {
        assert!(self.ids.insert(record.id.to_string()), "twice: {record:?}");
        let is_of = |(call, how): &(Option<String>, String)| match call {
            Some(_) => call.as_deref() == record.call.as_deref() && *how == record.outcome,
            None => record.call.is_none() && *how == record.code.unwrap_or_default().to_string(),
        };
        let told = self.told.iter().position(is_of);
        let told = told.unwrap_or_else(|| panic!("{record:?} where there is {:?}", self.told));
        self.told.remove(told);
        assert_eq!(self.open.remove(record.id.as_str()), record.call.is_some());
        let times = [
            Some(record.begin),
            record.ring,
            record.answer,
            Some(record.end),
        ];
        assert!(times.iter().flatten().is_sorted(), "{record:?}");
        let is_up = record.answer.is_some();
        assert_eq!(record.code == Some(200), is_up, "{record:?}");
        assert!(is_up || record.duration_ms == 0, "{record:?}");
        assert!(["caller", "callee", "box"].contains(&record.ended_by.as_str()));
        self.done.push(record);
    }
}
