//! Queues: what is sent is received, once at a time, in order where there is one, and not forgotten.

#[cfg(test)]
mod support;

use std::collections::{BTreeMap, HashMap};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dormouse_model::clock::Clock;
use dormouse_store::queue::{
    Counts, CreateQueueError, DeadLetter, Draft, Hidden, Message, Order, PurgeError, Queue,
    QueueKey, Queues, Removed, Rules, Wait, Wanted,
};
use dormouse_store::{ChangeError, Store};
use proptest::prelude::*;
use support::{home, scope, store};

const VISIBILITY_MS: u64 = 30_000;

fn key(name: &str) -> QueueKey {
    QueueKey { scope: home(), name: name.into() }
}

fn queue(name: &str, order: Order) -> Queue {
    let rules = Rules {
        delay_ms: 0,
        visibility_ms: VISIBILITY_MS,
        retention_ms: 345_600_000,
        order,
        dead_letter: None,
    };
    let (attributes, tags) = (BTreeMap::new(), BTreeMap::new());
    Queue { key: key(name), rules, attributes, tags, created_ms: 0, modified_ms: 0 }
}

fn draft(body: &str) -> Draft {
    Draft {
        message_id: format!("id-{body}"),
        body: body.into(),
        attributes: String::new(),
        group: None,
        deduplication: None,
        delay_ms: None,
    }
}

fn grouped(body: &str, group: &str) -> Draft {
    let deduplication = Some(body.to_owned());
    Draft { group: Some(group.into()), deduplication, ..draft(body) }
}

/// A queue's handle with a clock that is set by hand.
struct Bench {
    queues: Queues,
    now_ms: Arc<AtomicU64>,
}

#[cfg(test)]
impl Bench {
    fn new(store: &Store) -> Self {
        Self { queues: store.queues(), now_ms: Arc::new(AtomicU64::new(1_000_000)) }
    }

    fn now(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn pass(&self, ms: u64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }

    fn wait(&self, patience: Duration) -> Wait {
        let now_ms = Arc::clone(&self.now_ms);
        let clock = Clock::new(|| 0, move || now_ms.load(Ordering::SeqCst));
        Wait { patience, clock }
    }

    async fn send(&self, name: &str, drafts: Vec<Draft>) {
        self.queues.send(&key(name), drafts, self.now()).await.unwrap();
    }

    async fn receive(&self, name: &str, max: usize) -> Vec<Message> {
        let wanted = Wanted { max, visibility_ms: None };
        self.queues
            .receive(&key(name), wanted, &self.wait(Duration::ZERO), pending())
            .await
            .unwrap()
    }

    async fn bodies(&self, name: &str, max: usize) -> String {
        let bodies = self.receive(name, max).await.into_iter().map(|it| it.body);
        bodies.collect::<Vec<_>>().join(" ")
    }

    async fn remove(&self, name: &str, message: &Message) -> Removed {
        self.queues.remove(&key(name), vec![message.receipt], self.now()).await.unwrap()[0]
    }

    async fn counts(&self, name: &str) -> Counts {
        self.queues.counts(&key(name), self.now()).await.unwrap()
    }
}

#[tokio::test]
async fn a_message_is_hidden_while_it_is_received_and_comes_back_unless_removed() {
    let (_directory, store) = store();
    let bench = Bench::new(&store);
    bench.queues.create(queue("q", Order::Standard)).await.unwrap();
    bench.send("q", vec![draft("a"), draft("b")]).await;
    let first = bench.receive("q", 10).await;
    assert_eq!(first.len(), 2);
    assert_eq!(bench.receive("q", 10).await, []);
    assert_eq!(bench.counts("q").await, Counts { visible: 0, in_flight: 2, delayed: 0 });
    assert_eq!(bench.remove("q", &first[0]).await, Removed::Gone);
    bench.pass(VISIBILITY_MS);
    let again = bench.receive("q", 10).await;
    assert_eq!((again.len(), again[0].body.as_str(), again[0].received), (1, "b", 2));
    // The receipt of who was too slow neither removes nor hides what another one has.
    assert_eq!(bench.remove("q", &first[1]).await, Removed::Superseded);
    let name = key("q");
    let hide = |receipt, ms| bench.queues.hide(&name, vec![(receipt, ms)], bench.now());
    assert_eq!(hide(first[1].receipt, 0).await.unwrap(), [Hidden::NotInFlight]);
    assert_eq!(hide(again[0].receipt, 0).await.unwrap(), [Hidden::Hidden]);
    assert_eq!(bench.bodies("q", 10).await, "b");
}

#[tokio::test]
async fn delays_retention_and_purges_take_messages_out_of_sight() {
    let (_directory, store) = store();
    let bench = Bench::new(&store);
    bench.queues.create(queue("q", Order::Standard)).await.unwrap();
    bench.send("q", vec![Draft { delay_ms: Some(500), ..draft("late") }, draft("now")]).await;
    assert_eq!(bench.counts("q").await, Counts { visible: 1, in_flight: 0, delayed: 1 });
    assert_eq!(bench.bodies("q", 10).await, "now");
    bench.pass(500);
    assert_eq!(bench.bodies("q", 10).await, "late");
    bench.pass(345_600_000);
    assert_eq!(bench.receive("q", 10).await, []);
    bench.send("q", vec![draft("purged")]).await;
    let held = bench.receive("q", 1).await;
    bench.queues.purge(&key("q"), bench.now()).await.unwrap();
    assert_eq!(bench.counts("q").await, Counts::default());
    assert_eq!(bench.remove("q", &held[0]).await, Removed::Gone);
    let again = bench.queues.purge(&key("q"), bench.now()).await;
    assert!(matches!(again, Err(PurgeError::InProgress)));
    bench.send("q", vec![draft("after")]).await;
    assert_eq!(bench.bodies("q", 10).await, "after");
}

#[tokio::test]
async fn a_queue_is_one_of_its_scope_and_rests_after_its_end() {
    let (_directory, store) = store();
    let bench = Bench::new(&store);
    let made = Queue { created_ms: bench.now(), ..queue("q", Order::Standard) };
    bench.queues.create(made.clone()).await.unwrap();
    let twice = bench.queues.create(made.clone()).await;
    assert!(matches!(twice, Err(CreateQueueError::Exists(found)) if *found == made));
    let elsewhere = QueueKey { scope: scope(3, "us-east-1"), name: "q".into() };
    assert_eq!(bench.queues.get(&elsewhere).await.unwrap(), None);
    bench.queues.delete(&key("q"), bench.now()).await.unwrap();
    let gone = bench.queues.send(&key("q"), vec![draft("x")], 1).await;
    assert!(matches!(gone, Err(ChangeError::Missing)));
    let again = bench.queues.create(made.clone()).await;
    assert!(matches!(again, Err(CreateQueueError::DeletedRecently)));
    bench.pass(60_000);
    bench.queues.create(Queue { created_ms: bench.now(), ..made }).await.unwrap();
    assert_eq!(bench.receive("q", 1).await, []);
    assert_eq!(bench.queues.list(&home(), "", None, 10).await.unwrap(), ["q"]);
}

#[tokio::test]
async fn a_group_keeps_its_order_and_doubles_are_dropped_for_five_minutes() {
    let (_directory, store) = store();
    let bench = Bench::new(&store);
    bench.queues.create(queue("q.fifo", Order::Fifo)).await.unwrap();
    let all = [("a1", "a"), ("b1", "b"), ("a2", "a"), ("a1", "a"), ("b2", "b")];
    let all = all.map(|(body, group)| grouped(body, group)).to_vec();
    let sent = bench.queues.send(&key("q.fifo"), all, bench.now()).await.unwrap();
    assert_eq!(sent[3], sent[0]);
    let first = bench.receive("q.fifo", 1).await;
    assert_eq!(first[0].body, "a1");
    assert_eq!(bench.bodies("q.fifo", 10).await, "b1 b2");
    assert_eq!(bench.remove("q.fifo", &first[0]).await, Removed::Gone);
    let second = bench.receive("q.fifo", 10).await;
    assert_eq!(second[0].body, "a2");
    bench.pass(VISIBILITY_MS);
    assert_eq!(bench.remove("q.fifo", &second[0]).await, Removed::Expired);
    assert_eq!(bench.bodies("q.fifo", 10).await, "b1 a2 b2");
    bench.pass(300_000);
    bench.send("q.fifo", vec![grouped("a1", "c")]).await;
    assert_eq!(bench.bodies("q.fifo", 10).await, "b1 a2 b2 a1");
    bench.queues.create(queue("g.fifo", Order::FifoByGroup)).await.unwrap();
    bench.send("g.fifo", vec![grouped("x", "a"), grouped("x", "b"), grouped("x", "a")]).await;
    assert_eq!(bench.bodies("g.fifo", 10).await, "x x");
}

#[tokio::test]
async fn what_is_received_too_often_goes_to_the_dead_letters_and_is_never_lost() {
    let (_directory, store) = store();
    let bench = Bench::new(&store);
    let mut source = queue("q", Order::Standard);
    source.rules.dead_letter = Some(DeadLetter { queue: "dead".into(), max_receives: 2 });
    bench.queues.create(source).await.unwrap();
    bench.send("q", vec![draft("x")]).await;
    for _ in 0..3 {
        // Without a queue to go to, it stays.
        assert_eq!(bench.bodies("q", 10).await, "x");
        bench.pass(VISIBILITY_MS);
    }
    bench.queues.create(queue("dead", Order::Standard)).await.unwrap();
    let sources = bench.queues.dead_letter_sources(&key("dead"), None, 10).await.unwrap();
    assert_eq!(sources, ["q"]);
    assert_eq!(bench.receive("q", 10).await, []);
    let dead = bench.receive("dead", 10).await;
    assert_eq!((dead[0].body.as_str(), dead[0].source.as_deref()), ("x", Some("q")));
}

#[tokio::test]
async fn who_waits_is_woken_by_a_message_and_asks_the_disk_no_more_than_that() {
    let (_directory, store) = store();
    let bench = Arc::new(Bench::new(&store));
    bench.queues.create(queue("q", Order::Standard)).await.unwrap();
    let waiting = |bench: Arc<Bench>| async move {
        let wanted = Wanted { max: 1, visibility_ms: None };
        bench
            .queues
            .receive(&key("q"), wanted, &bench.wait(Duration::from_secs(3_600)), pending())
            .await
    };
    let mut waiters = tokio::task::JoinSet::new();
    for _ in 0..3 {
        waiters.spawn(waiting(Arc::clone(&bench)));
    }
    tokio::task::yield_now().await;
    bench.send("q", vec![draft("a"), draft("b"), draft("c")]).await;
    let mut bodies = Vec::new();
    while let Some(received) = waiters.join_next().await {
        bodies.push(received.unwrap().unwrap()[0].body.clone());
    }
    bodies.sort();
    assert_eq!(bodies, ["a", "b", "c"]);
    waiters.spawn(waiting(Arc::clone(&bench)));
    tokio::task::yield_now().await;
    bench.queues.delete(&key("q"), bench.now()).await.unwrap();
    let received = waiters.join_next().await.unwrap().unwrap();
    assert!(matches!(received, Err(ChangeError::Missing)));
}

#[derive(Debug, Clone)]
enum Step {
    Send(u8),
    Receive(usize),
    Remove(usize),
    Hide(usize, u64),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0_u8..3).prop_map(Step::Send),
        3 => (1_usize..6).prop_map(Step::Receive),
        3 => (0_usize..8).prop_map(Step::Remove),
        1 => (0_usize..8, 0_u64..40_000).prop_map(|(which, ms)| Step::Hide(which, ms)),
        2 => (1_u64..40_000).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 1..40)
}

/// What must hold of any sequence of steps.
struct Ledger {
    bench: Bench,
    ordered: bool,
    /// Messages that were sent and not removed, with their groups, in the order they were sent.
    owed: Vec<(String, String)>,
    /// Messages that are hidden: their receipts and until when.
    hidden: HashMap<String, u64>,
    held: Vec<Message>,
    count: u32,
}

#[cfg(test)]
impl Ledger {
    async fn step(&mut self, step: Step) {
        match step {
            Step::Send(group) => {
                self.count += 1;
                let (body, group) = (self.count.to_string(), group.to_string());
                self.bench.send("q", vec![grouped(&body, &group)]).await;
                self.owed.push((body, group));
            }
            Step::Receive(max) => {
                let received = self.bench.receive("q", max).await;
                assert!(received.len() <= max);
                self.check(&received);
                self.held.extend(received);
            }
            Step::Remove(which) if which < self.held.len() => {
                let message = self.held.remove(which);
                let removed = self.bench.remove("q", &message).await;
                if removed == Removed::Gone {
                    self.owed.retain(|(body, _)| *body != message.body);
                    self.hidden.remove(&message.body);
                }
            }
            Step::Hide(which, for_ms) if which < self.held.len() => {
                let (message, now) = (&self.held[which], self.bench.now());
                let asked = vec![(message.receipt, for_ms)];
                let hidden = self.bench.queues.hide(&key("q"), asked, now).await.unwrap();
                if hidden == [Hidden::Hidden] {
                    self.hidden.insert(message.body.clone(), now + for_ms);
                }
            }
            Step::Remove(_) | Step::Hide(..) => {}
            Step::Pass(ms) => self.bench.pass(ms),
        }
    }

    fn check(&mut self, received: &[Message]) {
        let now = self.bench.now();
        let in_flight = |body: &String| self.hidden.get(body).is_some_and(|until| *until > now);
        for message in received {
            assert!(self.owed.iter().any(|(body, _)| *body == message.body), "removed, yet here");
            assert!(!in_flight(&message.body), "{} is here twice at once", message.body);
        }
        if self.ordered {
            for group in ["0", "1", "2"] {
                let owed: Vec<_> =
                    self.owed.iter().filter(|owed| owed.1 == group).map(|owed| &owed.0).collect();
                let got: Vec<_> = received
                    .iter()
                    .filter(|it| it.group.as_deref() == Some(group))
                    .map(|it| &it.body)
                    .collect();
                assert_eq!(got, owed[..got.len()], "out of order");
                assert!(got.is_empty() || !owed.iter().any(|body| in_flight(body)), "overtaken");
            }
        }
        for message in received {
            self.hidden.insert(message.body.clone(), now + VISIBILITY_MS);
        }
    }

    /// All that is owed comes in the end.
    async fn settle(&mut self) {
        self.bench.pass(100_000);
        loop {
            let received = self.bench.receive("q", 10).await;
            self.check(&received);
            if received.is_empty() {
                break;
            }
            for message in &received {
                assert_eq!(self.bench.remove("q", message).await, Removed::Gone);
                self.owed.retain(|(body, _)| *body != message.body);
            }
        }
        assert_eq!(self.owed, [], "lost");
    }
}

#[cfg(test)]
fn run(order: Order, steps: Vec<Step>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (_directory, store) = store();
        let bench = Bench::new(&store);
        bench.queues.create(queue("q", order)).await.unwrap();
        let (ordered, owed, held) = (order != Order::Standard, Vec::new(), Vec::new());
        let mut ledger = Ledger { bench, ordered, owed, hidden: HashMap::new(), held, count: 0 };
        for step in steps {
            ledger.step(step).await;
        }
        ledger.settle().await;
        store.close().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn nothing_is_lost_nor_received_twice_at_once(steps in steps()) {
        run(Order::Standard, steps);
    }

    #[test]
    fn nothing_is_lost_and_groups_keep_their_order(steps in steps()) {
        run(Order::Fifo, steps);
    }
}
