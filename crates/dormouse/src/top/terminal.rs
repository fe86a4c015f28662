//! The terminal: taken for the time of the view, and given back however that ends.

use std::io;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEvent};
use tokio::sync::mpsc;

/// Keys that may wait to be taken; past it the reader waits, and the terminal keeps the rest.
const KEYS: usize = 64;

/// How often the reader of keys looks whether anybody still wants them.
const LOOK: Duration = Duration::from_millis(50);

/// A terminal in raw mode on its alternate screen, until dropped. A panic gives it back first, so
/// that its message can be read.
pub(super) struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    /// # Errors
    /// When there is no terminal.
    pub(super) fn take() -> io::Result<Self> {
        ratatui::try_init().map(|terminal| Self { terminal })
    }

    pub(super) fn terminal(&mut self) -> &mut DefaultTerminal {
        &mut self.terminal
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = ratatui::try_restore();
    }
}

/// What the terminal tells.
#[derive(Debug)]
pub(super) enum Told {
    Key(KeyEvent),
    /// Its size has changed, or something else after which it is drawn anew.
    Changed,
}

/// A channel of what the terminal tells, and what fills it: to be run on a thread that may wait. It
/// ends soon after the receiver is dropped, or when the terminal is gone.
pub(super) fn keys() -> (mpsc::Receiver<Told>, impl FnOnce() + Send + 'static) {
    let (sender, receiver) = mpsc::channel(KEYS);
    let read = move || {
        while !sender.is_closed() {
            let told = match event::poll(LOOK) {
                Ok(false) => continue,
                Ok(true) => event::read(),
                Err(error) => Err(error),
            };
            let told = match told {
                Ok(Event::Key(key)) => Told::Key(key),
                Ok(_) => Told::Changed,
                Err(_) => return,
            };
            if sender.blocking_send(told).is_err() {
                return;
            }
        }
    };
    (receiver, read)
}
