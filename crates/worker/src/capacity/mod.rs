//! How many environments this machine holds at once, by their memory.
//!
//! The rules are in `ledger`. Who makes environments of a version is a [`Member`]: it asks for a [`Place`]
//! before each, and is poked when it is its turn or when an environment of its is to end. A place goes back
//! when it is dropped.

mod ledger;
mod machine;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use dormouse_model::environment::Micros;
use dormouse_model::limits;
use dormouse_model::names::FunctionKey;
use dormouse_sandbox::pressure::Pressure;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

use self::ledger::{BUSY, IdleSince, Ledger, MemberId, Said};

pub use self::ledger::PlaceId;
pub(crate) use self::machine::for_another;
pub use self::machine::{available_mb, for_functions_mb};

/// Tells how much memory the machine has left, in megabytes, if it can.
pub type Gauge = Arc<dyn Fn() -> Option<u64> + Send + Sync>;

/// The memory of this machine. Cheap to clone.
#[derive(Clone)]
pub struct Capacity(Arc<Shared>);

struct Shared {
    // A lock, because every owner of environments comes here: when it makes one, when one has ended, and when
    // one becomes idle while somebody waits. Held for a look through a list, never over an await.
    books: Mutex<Books>,
    /// Somebody waits: looked at on the warm path without the lock.
    is_short: AtomicBool,
    /// The kernel tells of memory pressure by itself.
    is_told: AtomicBool,
    gauge: Gauge,
    /// Tells of each time at which memory was short.
    shortage: watch::Sender<()>,
    /// Who watches the kernel's news ends when this is gone.
    _watched: oneshot::Sender<Infallible>,
}

struct Books {
    ledger: Ledger,
    bells: BTreeMap<MemberId, Arc<Bell>>,
}

/// How a member learns that it has something to do.
#[derive(Debug)]
struct Bell {
    has_rung: AtomicBool,
    rings: mpsc::Sender<()>,
}

/// What a machine has, what of it is used, and how many versions wait for some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// For all functions, in megabytes.
    pub total_mb: u64,
    /// Of that, what environments count for.
    pub used_mb: u64,
    /// Versions that wait for room.
    pub waiting: usize,
}

impl fmt::Debug for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Capacity").field(&self.look()).finish()
    }
}

impl Capacity {
    /// So many megabytes; `gauge` tells what the machine has left.
    #[must_use]
    pub fn new(total_mb: u64, gauge: Gauge) -> Self {
        Self::kept(total_mb, gauge, oneshot::channel().0)
    }

    fn kept(total_mb: u64, gauge: Gauge, watched: oneshot::Sender<Infallible>) -> Self {
        let books = Mutex::new(Books { ledger: Ledger::new(total_mb), bells: BTreeMap::new() });
        let (is_short, is_told) = (AtomicBool::new(false), AtomicBool::new(false));
        let shortage = watch::channel(()).0;
        Self(Arc::new(Shared { books, is_short, is_told, gauge, shortage, _watched: watched }))
    }

    /// The same, and idle environments end when the kernel tells of memory pressure.
    pub(crate) fn watched(total_mb: u64, gauge: Gauge, tasks: &mut JoinSet<()>) -> Self {
        let (watched, gone) = oneshot::channel();
        let capacity = Self::kept(total_mb, gauge, watched);
        let file = machine::pressure_file();
        match Pressure::open(&file) {
            Ok(pressure) => {
                capacity.0.is_told.store(true, Ordering::Release);
                let is_of_group = file != Path::new(machine::PRESSURE);
                let of = Arc::downgrade(&capacity.0);
                tasks.spawn(watch((pressure, is_of_group), of, gone));
            }
            Err(error) => {
                warn!(%error, "no news of memory pressure; looked for before each environment");
            }
        }
        capacity
    }

    /// A version whose environments may use so much each.
    #[must_use]
    pub fn join(&self, function: FunctionKey, mb: u32) -> Member {
        let (sender, rings) = mpsc::channel(1);
        let bell = Arc::new(Bell { has_rung: AtomicBool::new(false), rings: sender });
        let id = self.with(|books| {
            let id = books.ledger.join(function, mb);
            books.bells.insert(id, bell.clone());
            id
        });
        Member { id, mb, bell, rings, capacity: self.clone() }
    }

    /// What there is and what is used.
    #[must_use]
    pub fn look(&self) -> Use {
        let books = self.lock();
        let (total_mb, used_mb) = (books.ledger.total_mb(), books.ledger.used_mb());
        Use { total_mb, used_mb, waiting: books.ledger.waiting() }
    }

    /// Tells of each time at which memory is short: what can be done without is to go.
    pub(crate) fn shortage(&self) -> watch::Receiver<()> {
        self.0.shortage.subscribe()
    }

    fn relieve(&self, why: &str) {
        self.0.shortage.send_replace(());
        let evicted = self.with(|books| books.ledger.relieve());
        if evicted > 0 {
            info!(evicted, why, "idle environments end");
        }
    }

    /// Where the kernel says nothing by itself: is the machine short of memory?
    fn look_for_pressure(&self) {
        if !self.0.is_told.load(Ordering::Acquire)
            && self.has_left_below(limits::PROVISIONED_RESERVE_MB)
        {
            self.relieve("little memory is left");
        }
    }

    fn has_left_below(&self, mb: u64) -> bool {
        (self.0.gauge)().is_some_and(|left_mb| left_mb < mb)
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        // Nothing in there panics halfway through a change.
        self.0.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the books and tells whoever has something to do then.
    fn with<T>(&self, what: impl FnOnce(&mut Books) -> T) -> T {
        let mut books = self.lock();
        let said = what(&mut books);
        for id in books.ledger.take_poked() {
            if let Some(bell) = books.bells.get(&id) {
                bell.has_rung.store(true, Ordering::Release);
                // One that has not been heard yet is enough.
                let _ = bell.rings.try_send(());
            }
        }
        self.0.is_short.store(books.ledger.waiting() > 0, Ordering::Release);
        said
    }

    fn is_short(&self) -> bool {
        self.0.is_short.load(Ordering::Acquire)
    }
}

/// Has idle environments end at each news of pressure, as long as somebody has the capacity.
async fn watch(
    (pressure, is_of_group): (Pressure, bool),
    capacity: Weak<Shared>,
    gone: oneshot::Receiver<Infallible>,
) {
    let mut gone = pin!(gone);
    loop {
        let is_armed = tokio::select! {
            _ = &mut gone => return,
            is_armed = pressure.rises() => is_armed,
        };
        let Some(capacity) = capacity.upgrade().map(Capacity) else { return };
        if !is_armed {
            warn!("no more news of memory pressure; looked for before each environment");
            return capacity.0.is_told.store(false, Ordering::Release);
        }
        if is_of_group || capacity.has_left_below(limits::PRESSURE_LEFT_MB) {
            capacity.relieve("the kernel tells of memory pressure");
        }
    }
}

/// What is said to a member that asks.
#[derive(Debug)]
pub enum Asked {
    /// Here it is.
    Granted(Place),
    /// There is none now; the member is told when to ask again.
    Wait,
    /// What is kept ready leaves none.
    Never,
}

/// One that makes environments of a version.
#[derive(Debug)]
pub struct Member {
    id: MemberId,
    mb: u32,
    bell: Arc<Bell>,
    rings: mpsc::Receiver<()>,
    capacity: Capacity,
}

impl Member {
    /// Room for one more, which somebody waits for.
    #[must_use]
    pub fn ask(&self, now: Micros) -> Asked {
        self.capacity.look_for_pressure();
        let said = self.capacity.with(|books| books.ledger.ask(self.id, now));
        self.asked(said)
    }

    /// Room for one that is to be kept ready. Without it, some is made if it can be; to be asked again later.
    #[must_use]
    pub fn ask_kept(&self) -> Option<Place> {
        let left = machine::check((self.capacity.0.gauge)(), self.mb);
        let said = match left {
            Ok(()) => self.capacity.with(|books| books.ledger.ask_kept(self.id)),
            Err(_) => Said::Wait,
        };
        if let Asked::Granted(place) = self.asked(said) {
            return Some(place);
        }
        let Use { total_mb, used_mb, .. } = self.capacity.look();
        let machine = left.err().map(|no_room| no_room.to_string());
        warn!(needed_mb = self.mb, used_mb, total_mb, machine, "no room to keep one more ready");
        None
    }

    fn asked(&self, said: Said) -> Asked {
        match said {
            Said::Granted(id, idle_since) => {
                Asked::Granted(Place { id, idle_since, capacity: self.capacity.clone() })
            }
            Said::Wait => Asked::Wait,
            Said::Never => Asked::Never,
        }
    }

    /// Nobody waits any more.
    pub fn withdraw(&self) {
        self.capacity.with(|books| books.ledger.withdraw(self.id));
    }

    /// Whether there is something to do since this was asked last.
    #[must_use]
    pub fn has_rung(&self) -> bool {
        self.bell.has_rung.load(Ordering::Relaxed)
            && self.bell.has_rung.swap(false, Ordering::AcqRel)
    }

    /// Waits until there may be something to do. Cancel safe.
    pub async fn rings(&mut self) {
        // The other end lives as long as this.
        let _ = self.rings.recv().await;
    }

    /// Whose environments are to end. Each ends, or is told of with [`Place::stays`].
    #[must_use]
    pub fn take_ending(&self) -> Vec<PlaceId> {
        self.capacity.with(|books| books.ledger.take_ending(self.id))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.capacity.with(|books| {
            books.ledger.leave(self.id);
            books.bells.remove(&self.id);
        });
    }
}

/// The memory of one environment, from before it is made until it is gone.
#[derive(Debug)]
pub struct Place {
    id: PlaceId,
    idle_since: IdleSince,
    capacity: Capacity,
}

impl Place {
    /// Which.
    #[must_use]
    pub fn id(&self) -> PlaceId {
        self.id
    }

    /// It has something to do. One store: this is the warm path.
    pub fn is_busy(&self) {
        self.idle_since.store(BUSY, Ordering::Release);
    }

    /// It has nothing to do from now on.
    pub fn is_idle(&self, now: Micros) {
        self.idle_since.store(now.max(BUSY + 1), Ordering::Release);
        if self.capacity.is_short() {
            self.capacity.with(|books| books.ledger.review());
        }
    }

    /// Whether it is to end for somebody who has less, although it has something to do.
    #[must_use]
    pub fn gives_way(&self, now: Micros) -> bool {
        self.capacity.is_short() && self.capacity.with(|books| books.ledger.gives_way(self.id, now))
    }

    /// It ends, and has nothing to do.
    pub fn leaves(&self) {
        self.capacity.with(|books| books.ledger.leaves(self.id));
    }

    /// It was to end and cannot: it has something to do again, or ends already.
    pub fn stays(&self) {
        self.capacity.with(|books| books.ledger.stays(self.id));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.capacity.with(|books| books.ledger.freed(self.id));
    }
}
