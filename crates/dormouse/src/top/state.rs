//! What is looked at, and how each event changes it. Pure: nothing here asks, draws or waits.

use std::cmp::Reverse;
use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::lives::{Environment, Group};
use super::machine::Machine;
use super::rate::Rate;

/// How long an ended environment stays in the table, unless all are wanted.
const FRESH_MICROS: u64 = 30_000_000;

/// Rows that a page key moves.
const PAGE: usize = 10;

/// What happens.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A key.
    Key(KeyEvent),
    /// The server told of its environments, at a moment of a monotonic clock.
    Environments(Duration, Vec<Environment>),
    /// The server told of its machine, or does not.
    Machine(Option<Machine>),
    /// The server told of the one that is looked at.
    Environment(Box<Environment>),
    /// The one that is looked at is not kept any more.
    Gone,
    /// The server did not answer, in words.
    Lost(String),
}

/// What an event asks for beside a new picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing.
    None,
    /// To ask the server now.
    Ask,
    /// To end.
    Quit,
}

/// Everything that is shown.
#[derive(Debug)]
pub(super) struct State {
    pub(super) endpoint: String,
    pub(super) environments: Vec<Environment>,
    /// What there is for them, if the server tells.
    pub(super) machine: Option<Machine>,
    pub(super) contact: Contact,
    pub(super) rate: Rate,
    pub(super) screen: Screen,
    /// The row that is selected, by its environment; `None` is the first.
    pub(super) selected: Option<String>,
    pub(super) sort: Sort,
    /// Only functions whose name holds this.
    pub(super) filter: String,
    /// Whether keys are written into the filter.
    pub(super) typing: bool,
    pub(super) paused: bool,
    /// Whether all ended environments are shown, not only fresh ones.
    pub(super) all_ended: bool,
}

/// Whether the server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Contact {
    /// It has not been asked yet.
    Awaited,
    /// It does.
    Answers,
    /// It does not, in words; what is shown is what it said last.
    Lost(String),
}

/// What fills the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Screen {
    Table,
    Help,
    One(Box<One>),
}

/// One environment and what happened in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct One {
    pub(super) id: String,
    /// What is known of it, at first without what happened.
    pub(super) environment: Environment,
    /// Whether what happened has come.
    pub(super) is_told: bool,
    /// Whether the server does not keep it any more.
    pub(super) is_gone: bool,
    /// How many events below the last one shown.
    pub(super) back: usize,
}

/// The order of the table. Ended environments are always last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Activity,
    Function,
    Youngest,
    Invocations,
    Slowest,
    Memory,
}

impl Sort {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Activity => "activity",
            Self::Function => "function",
            Self::Youngest => "youngest",
            Self::Invocations => "invocations",
            Self::Slowest => "slowest",
            Self::Memory => "memory",
        }
    }

    /// The column that shows it.
    pub(super) fn column(self) -> &'static str {
        match self {
            Self::Activity => "PHASE",
            Self::Function => "FUNCTION",
            Self::Youngest => "AGE",
            Self::Invocations => "INV",
            Self::Slowest => "LAST",
            Self::Memory => "USED/MB",
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Activity => Self::Function,
            Self::Function => Self::Youngest,
            Self::Youngest => Self::Invocations,
            Self::Invocations => Self::Slowest,
            Self::Slowest => Self::Memory,
            Self::Memory => Self::Activity,
        }
    }

    fn apply(self, rows: &mut [&Environment]) {
        // The order for equals: each sort keeps that of the one before it.
        rows.sort_by_key(|it| (&it.function_name, &it.version, Reverse(it.age_micros), &it.id));
        match self {
            Self::Activity => rows.sort_by_key(|it| activity(it)),
            Self::Function => {}
            Self::Youngest => rows.sort_by_key(|it| it.age_micros),
            Self::Invocations => rows.sort_by_key(|it| Reverse(it.invocations)),
            Self::Slowest => rows.sort_by_key(|it| Reverse(it.last_duration_micros())),
            Self::Memory => rows.sort_by_key(|it| Reverse(it.memory_peak_bytes)),
        }
        rows.sort_by_key(|it| it.ended.as_ref().map(|ended| ended.ago_micros));
    }
}

/// Who does something comes first, then who did something last. In seconds, or rows would dance.
fn activity(environment: &Environment) -> (u8, u64) {
    let rank = match environment.group() {
        Group::Running => 0,
        Group::Init => 1,
        Group::Ending => 2,
        Group::Ready | Group::Frozen | Group::Cold | Group::Ended => 3,
    };
    (rank, environment.idle_micros().unwrap_or_default() / 1_000_000)
}

impl State {
    /// Nothing is known yet.
    pub(super) fn new(endpoint: String) -> Self {
        Self {
            endpoint,
            environments: Vec::new(),
            machine: None,
            contact: Contact::Awaited,
            rate: Rate::default(),
            screen: Screen::Table,
            selected: None,
            // Rows that stay where they are can be read.
            sort: Sort::Function,
            filter: String::new(),
            typing: false,
            paused: false,
            all_ended: false,
        }
    }

    /// Takes one event.
    pub(super) fn update(&mut self, event: Event) -> Wish {
        match event {
            Event::Key(key) if key.kind == KeyEventKind::Release => {}
            Event::Key(key) => return self.key(key),
            Event::Environments(at, environments) => {
                self.rate.look(at, &environments);
                self.environments = environments;
                self.contact = Contact::Answers;
            }
            Event::Machine(machine) => self.machine = machine,
            Event::Environment(environment) => self.told(*environment),
            Event::Gone => {
                if let Screen::One(one) = &mut self.screen {
                    one.is_gone = true;
                }
            }
            Event::Lost(reason) => self.contact = Contact::Lost(reason),
        }
        Wish::None
    }

    /// The environment whose events are wanted.
    pub(super) fn wanted(&self) -> Option<&str> {
        match &self.screen {
            Screen::One(one) if !one.is_gone => Some(&one.id),
            Screen::One(_) | Screen::Table | Screen::Help => None,
        }
    }

    /// The rows of the table, sorted.
    pub(super) fn rows(&self) -> Vec<&Environment> {
        let filter = self.filter.to_lowercase();
        let is_shown = |it: &&Environment| {
            let is_fresh = it.ended.as_ref().is_none_or(|ended| ended.ago_micros < FRESH_MICROS);
            (self.all_ended || is_fresh) && it.function_name.to_lowercase().contains(&filter)
        };
        let mut rows: Vec<&Environment> = self.environments.iter().filter(is_shown).collect();
        self.sort.apply(&mut rows);
        rows
    }

    /// Which row is selected.
    pub(super) fn row(&self, rows: &[&Environment]) -> usize {
        let is_selected = |it: &&Environment| Some(&it.id) == self.selected.as_ref();
        rows.iter().position(is_selected).unwrap_or(0)
    }

    fn told(&mut self, environment: Environment) {
        let Screen::One(one) = &mut self.screen else { return };
        // An answer about one that was looked at before comes too late.
        if one.id == environment.id {
            if one.back > 0 {
                // Who scrolled back reads on where they are.
                let more = environment.happened().saturating_sub(one.environment.happened());
                one.back = (one.back + more).min(environment.events.len());
            }
            one.environment = environment;
            one.is_told = true;
        }
    }

    fn key(&mut self, key: KeyEvent) -> Wish {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') { Wish::Quit } else { Wish::None };
        }
        if self.typing {
            self.typed(key.code);
            return Wish::None;
        }
        match (key.code, &mut self.screen) {
            (KeyCode::Char('q'), _) => return Wish::Quit,
            (KeyCode::Char('p' | ' '), _) => {
                self.paused = !self.paused;
                return if self.paused { Wish::None } else { Wish::Ask };
            }
            (KeyCode::Char('?' | 'h'), Screen::Table | Screen::One(_)) => {
                self.screen = Screen::Help
            }
            (_, Screen::Help) => self.screen = Screen::Table,
            (
                KeyCode::Esc | KeyCode::Enter | KeyCode::Backspace | KeyCode::Left,
                Screen::One(_),
            ) => {
                self.screen = Screen::Table;
            }
            (code, Screen::One(one)) => one.scroll(code),
            (KeyCode::Enter | KeyCode::Right, Screen::Table) => return self.open(),
            (code, Screen::Table) => self.table_key(code),
        }
        Wish::None
    }

    fn table_key(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('e') => self.all_ended = !self.all_ended,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Up | KeyCode::Char('k') => self.select(|row, _| row.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.select(|row, _| row + 1),
            KeyCode::PageUp => self.select(|row, _| row.saturating_sub(PAGE)),
            KeyCode::PageDown => self.select(|row, _| row + PAGE),
            KeyCode::Home | KeyCode::Char('g') => self.select(|_, _| 0),
            KeyCode::End | KeyCode::Char('G') => self.select(|_, last| last),
            _ => {}
        }
    }

    fn typed(&mut self, code: KeyCode) {
        match code {
            // No function's name is longer.
            KeyCode::Char(typed) if self.filter.len() < 64 => self.filter.push(typed),
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.filter.clear();
                self.typing = false;
            }
            _ => {}
        }
    }

    fn select(&mut self, to: impl Fn(usize, usize) -> usize) {
        let rows = self.rows();
        let Some(last) = rows.len().checked_sub(1) else { return };
        let row = to(self.row(&rows), last).min(last);
        self.selected = Some(rows[row].id.clone());
    }

    fn open(&mut self) -> Wish {
        let rows = self.rows();
        let Some(environment) = rows.get(self.row(&rows)).map(|it| (*it).clone()) else {
            return Wish::None;
        };
        let id = environment.id.clone();
        self.selected = Some(id.clone());
        self.screen =
            Screen::One(Box::new(One { id, environment, is_told: false, is_gone: false, back: 0 }));
        Wish::Ask
    }
}

impl One {
    fn scroll(&mut self, code: KeyCode) {
        let most = self.environment.events.len();
        let back = match code {
            KeyCode::Up | KeyCode::Char('k') => self.back + 1,
            KeyCode::Down | KeyCode::Char('j') => self.back.saturating_sub(1),
            KeyCode::PageUp => self.back + PAGE,
            KeyCode::PageDown => self.back.saturating_sub(PAGE),
            KeyCode::Home | KeyCode::Char('g') => most,
            KeyCode::End | KeyCode::Char('G') => 0,
            _ => self.back,
        };
        self.back = back.min(most);
    }
}
