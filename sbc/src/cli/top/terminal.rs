//! The terminal: ours while we show something, and afterwards as it was, however we end.

use std::io::{self, IsTerminal as _};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use tokio::sync::mpsc::Sender;

use super::draw::{self, Theme};
use super::state::{Input, State};

/// Whether somebody sits there.
pub(super) fn is_there() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// A screen of ours, without echo and line editing. Dropping it, or a panic, gives the terminal back.
pub(super) struct Screen(DefaultTerminal);

impl Screen {
    pub(super) fn open() -> io::Result<Screen> {
        ratatui::try_init().map(Screen)
    }

    pub(super) fn show(&mut self, state: &State, theme: Theme) -> io::Result<()> {
        self.0.draw(|frame| {
            let area = frame.area();
            draw::draw(state, theme, area, frame.buffer_mut());
        })?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Whoever has hung up his terminal needs it no more.
        let _ = self.0.show_cursor();
        let _ = ratatui::try_restore();
    }
}

/// Reads keys until the terminal is gone.
pub(super) fn read(told: &Sender<Input>) {
    while let Ok(event) = event::read() {
        let input = match event {
            Event::Key(key) => Input::Key(key),
            // Another size wants another picture.
            _ => Input::Tick,
        };
        if told.blocking_send(input).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use nix::pty::openpty;
    use nix::sys::termios::tcgetattr;

    use super::*;

    #[test]
    fn a_panic_gives_the_terminal_back() {
        let pty = openpty(None, None).unwrap();
        let mut output = File::from(pty.master);
        let before = tcgetattr(&output).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "cli::top::terminal::tests::panics",
                "--ignored",
                "--nocapture",
            ])
            .env("TERM", "xterm-256color")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        drop(pty.slave);
        let mut text = Vec::new();
        // Reading fails when the last who has the terminal is gone.
        let _ = output.read_to_end(&mut text);
        child.wait().unwrap();
        let text = String::from_utf8_lossy(&text).into_owned();
        let at = |what: &str| {
            text.find(what)
                .unwrap_or_else(|| panic!("no {what:?}: {text:?}"))
        };
        // What it says of the panic is on the screen that stays.
        assert!(at("\u{1b}[?1049h") < at("\u{1b}[?1049l"), "{text:?}");
        assert!(at("\u{1b}[?1049l") < at("a mistake of ours"), "{text:?}");
        assert!(tcgetattr(&output).unwrap() == before);
    }

    #[test]
    #[ignore = "is what the test above starts, in a terminal"]
    fn panics() {
        let shown = std::thread::spawn(|| {
            let _screen = Screen::open().unwrap();
            panic!("a mistake of ours");
        });
        assert!(shown.join().is_err());
    }
}
