//! What a caller says and hears in an UPDATE.

use std::time::{Duration, Instant};

use super::super::sdp::place;
use super::Caller;
use crate::heard::Heard;

impl Caller {
    pub(super) fn on_update(&mut self, heard: &Heard) {
        if let Some(answer) = self.answers.get(heard.branch()) {
            return self.out.push(answer.clone());
        }
        let is_open = self.open.iter().any(|open| open.method == "UPDATE");
        let answer = match self.dialogs.get_mut(heard.tag("from")) {
            _ if is_open => heard.answer_as(491, "", "", ""),
            Some(dialog) if self.ended.is_none() => {
                dialog.place = place(heard).or(dialog.place);
                let contact = format!("Contact: <sip:al@{}>\r\n", self.address);
                heard.answer_as(200, "", &contact, &self.sdp())
            }
            _ => heard.answer_as(481, "", "", ""),
        };
        let branch = heard.branch().to_owned();
        self.answers.insert(branch, answer.clone());
        self.out.push(answer);
    }

    pub(super) fn on_updated(&mut self, now: Instant, heard: &Heard) {
        let code = heard.status();
        self.update_codes.push(code);
        let tag = heard.tag("to").to_owned();
        if code >= 300 {
            self.port -= 10;
            let again = matches!(code, 491 | 500).then(|| (now + Duration::from_secs(3), tag));
            self.updates = again;
        } else {
            let dialog = self.dialogs.get_mut(&tag).expect("a dialog");
            dialog.place = place(heard);
        }
    }
}
