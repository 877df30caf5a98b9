//! Those who forward media, as far as the engine hears of them.

use sbc::engine::Input;
use sbc::media::FlowCommand;

use super::scene::Stage;

impl Stage {
    /// Media workers have time to transcode another stream, or have not.
    pub fn workers_have_time(&mut self, have_time: bool) {
        let input = Input::WorkersHaveTime(have_time);
        self.engine.handle_input(self.now, input);
    }

    /// They do as they are told, unless they refuse.
    pub(super) fn order(&mut self, command: &FlowCommand) {
        let refused = match command {
            FlowCommand::Install(pair) => (self.refuses)(pair).map(|failure| (pair.id, failure)),
            _ => None,
        };
        let answer = match refused {
            Some((pair, failure)) => Some(Input::FlowFailed { pair, failure }),
            None => self
                .relay
                .order(command)
                .map(|(pair, report)| match command {
                    FlowCommand::Read(_) => Input::FlowRead { pair, report },
                    _ => Input::FlowEnded { pair, report },
                }),
        };
        if let Some(input) = answer {
            self.engine.handle_input(self.now, input);
        }
    }
}
