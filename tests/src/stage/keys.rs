//! Keys that media workers hear, and that they are to send.

use sbc::engine::Input;
use sbc::rtp::info::Pressed;

use super::scene::Stage;

impl Stage {
    /// Keys that were to be put into media since this was asked last: for whom (0 called), which.
    pub fn dialled(&mut self) -> Vec<(usize, u8)> {
        let keys = std::mem::take(&mut self.relay.keys).into_iter();
        keys.map(|(to, key)| (to, key.code)).collect()
    }

    /// A worker has heard a key in the media that goes to this one (0 called). `false`: no worker looks for keys.
    pub fn hears(&mut self, to: usize, code: u8) -> bool {
        let Some(pair) = self.relay.keyed() else {
            return false;
        };
        let milliseconds = 120;
        let key = Pressed { code, milliseconds };
        let input = Input::KeyPressed { pair, to, key };
        self.engine.handle_input(self.now, input);
        self.perform();
        true
    }
}
