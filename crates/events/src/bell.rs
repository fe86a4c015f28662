//! How the owner hears that there is something to do: a bell, and a slate beside it.
//!
//! What is rung twice before it is heard is heard once, so the slate has at most a line for each
//! function. The owner hears the end when the last bell is dropped.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dormouse_model::names::FunctionKey;
use dormouse_store::events::FunctionId;
use tokio::sync::mpsc;

/// Rings.
#[derive(Debug, Clone)]
pub(crate) struct Bell {
    slate: Slate,
    rope: mpsc::Sender<()>,
}

/// Hears.
#[derive(Debug)]
pub(crate) struct Ear {
    slate: Slate,
    rung: mpsc::Receiver<()>,
}

/// What there is to hear.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// Functions of which events were accepted.
    pub(crate) came: HashSet<FunctionId>,
    /// Functions of which more may run at once.
    pub(crate) loosened: HashSet<FunctionKey>,
}

// Between the writer's thread, who is told first, and the owner: written and left, in this file only.
type Slate = Arc<Mutex<News>>;

/// A bell, and who hears it.
pub(crate) fn hung() -> (Bell, Ear) {
    let slate = Slate::default();
    // One ring that was not heard yet is enough: who hears it reads the whole slate.
    let (rope, rung) = mpsc::channel(1);
    (Bell { slate: slate.clone(), rope }, Ear { slate, rung })
}

impl Bell {
    /// An event of a function was accepted.
    pub(crate) fn came(&self, function: FunctionId) {
        lock(&self.slate).came.insert(function);
        self.ring();
    }

    /// More of a function's events may run at once.
    pub(crate) fn loosened(&self, key: FunctionKey) {
        lock(&self.slate).loosened.insert(key);
        self.ring();
    }

    fn ring(&self) {
        // It rings already, or nobody is there: then the next process finds what was accepted.
        let _ = self.rope.try_send(());
    }
}

impl Ear {
    /// Waits for the bell; nothing once nobody can ring it any more. Cancel safe.
    pub(crate) async fn hear(&mut self) -> Option<News> {
        self.rung.recv().await?;
        Some(std::mem::take(&mut *lock(&self.slate)))
    }
}

fn lock(slate: &Slate) -> MutexGuard<'_, News> {
    slate.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_rung_often_is_heard_once_and_the_end_is_heard() {
        let (bell, mut ear) = hung();
        let function = crate::lanes::tests::function("f");
        for _ in 0..3 {
            bell.clone().came(function.clone());
        }
        bell.loosened(function.key.clone());
        let heard = ear.hear().await.unwrap();
        assert_eq!((heard.came.len(), heard.loosened.len()), (1, 1));
        bell.came(function);
        drop(bell);
        assert_eq!(ear.hear().await.unwrap().came.len(), 1);
        assert_eq!(ear.hear().await, None);
    }
}
