//! The one thread that writes to a database, and its group commit.
//!
//! ```text
//! job, job, job ... -> BEGIN -> (SAVEPOINT job RELEASE | ROLLBACK TO)* -> COMMIT (fsync) -> answers
//! ```
//!
//! All jobs that wait when the last commit ends share the next one. Must never answer a job before
//! its commit, nor commit again after a commit that may have been lost.

use std::io;
use std::sync::Arc;
use std::thread;

use dormouse_model::limits;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::database::error::StorageError;
use crate::lock::DirectoryLock;

/// Tells a caller what came of its job, given what came of the commit.
type Answer = Box<dyn FnOnce(Result<(), StorageError>) + Send>;
/// Runs inside a savepoint, or learns why it cannot.
type Job = Box<dyn FnOnce(Result<&Connection, StorageError>) -> Ran + Send>;

struct Ran {
    /// Whether what the job changed stays.
    keep: bool,
    answer: Answer,
}

/// Owns the thread. Dropped without [`Writer::close`], the thread still finishes what it accepted.
#[derive(Debug)]
pub(super) struct Writer {
    // The only lasting sender: the queue ends with it, whoever still has a handle.
    jobs: mpsc::Sender<Job>,
    ended: oneshot::Receiver<()>,
    thread: thread::JoinHandle<()>,
}

/// Sends jobs.
#[derive(Debug, Clone)]
pub(super) struct WriteHandle {
    jobs: mpsc::WeakSender<Job>,
}

impl Writer {
    /// Starts the thread, which keeps the directory's lock until it ends.
    pub(super) fn start(
        connection: Connection,
        sweep: fn(&Connection) -> Result<bool, StorageError>,
        lock: Arc<DirectoryLock>,
    ) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(limits::GROUP_COMMIT);
        let (end, ended) = oneshot::channel();
        let mut task = Task { connection, queue, sweep, state: State::Accepting };
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
            task.run();
            drop(task);
            drop(lock);
            // Nobody waits for the end of a writer that was dropped.
            let _ = end.send(());
        })?;
        Ok(Self { jobs, ended, thread })
    }

    pub(super) fn handle(&self) -> WriteHandle {
        WriteHandle { jobs: self.jobs.downgrade() }
    }

    /// Finishes what was accepted, then joins the thread.
    pub(super) async fn close(self) {
        drop(self.jobs);
        let ended = self.ended.await.is_ok();
        let joined = self.thread.join().is_ok();
        if !(ended && joined) {
            tracing::error!("store writer panicked");
        }
    }
}

impl WriteHandle {
    pub(super) async fn write<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let outcome = connection.map_err(E::from).and_then(work);
            let keep = outcome.is_ok();
            let answer = Box::new(move |committed: Result<(), StorageError>| {
                // A caller that went away needs no answer.
                let _ = reply.send(committed.map_err(E::from).and(outcome));
            });
            Ran { keep, answer }
        });
        let jobs = self.jobs.upgrade().ok_or(StorageError::Closed)?;
        jobs.send(job).await.map_err(|_| StorageError::Closed)?;
        drop(jobs);
        answer.await.map_err(|_| StorageError::Closed)?
    }
}

enum State {
    Accepting,
    /// A commit was left in doubt: what may be on disk is found out when it is next opened.
    Stopped,
}

struct Task {
    connection: Connection,
    queue: mpsc::Receiver<Job>,
    sweep: fn(&Connection) -> Result<bool, StorageError>,
    state: State,
}

impl Task {
    fn run(&mut self) {
        let mut jobs = Vec::with_capacity(limits::GROUP_COMMIT);
        let mut sweeping = true;
        while self.gather(&mut jobs, sweeping) {
            match self.state {
                State::Accepting if !jobs.is_empty() => self.write(&mut jobs),
                State::Accepting => {}
                State::Stopped => refuse(&mut jobs),
            }
            sweeping = self.sweep();
        }
        self.checkpoint();
    }

    /// Takes all jobs that wait, or, unless there is other work, waits for one. False at the end.
    fn gather(&mut self, jobs: &mut Vec<Job>, sweeping: bool) -> bool {
        if sweeping && self.queue.is_empty() && !self.queue.is_closed() {
            return true;
        }
        self.queue.blocking_recv_many(jobs, limits::GROUP_COMMIT) > 0
    }

    fn write(&mut self, jobs: &mut Vec<Job>) {
        let mut batch = Batch::begin(&self.connection);
        for job in jobs.drain(..) {
            batch.run(job);
        }
        if let Err(error) = batch.commit(commit) {
            tracing::error!(?error, "store commit failed");
            if error.leaves_doubt() {
                self.state = State::Stopped;
            }
        }
    }

    fn sweep(&mut self) -> bool {
        if matches!(self.state, State::Stopped) {
            return false;
        }
        (self.sweep)(&self.connection).unwrap_or_else(|error| {
            tracing::warn!(?error, "store sweep failed");
            false
        })
    }

    /// Copies the write-ahead log into the database, so that the next start has nothing to recover.
    fn checkpoint(&self) {
        if matches!(self.state, State::Stopped) {
            return;
        }
        let done = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = done {
            tracing::warn!(?error, "store checkpoint failed");
        }
    }
}

fn refuse(jobs: &mut Vec<Job>) {
    for job in jobs.drain(..) {
        (job(Err(StorageError::WritesStopped)).answer)(Err(StorageError::WritesStopped));
    }
}

fn commit(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("COMMIT")?.execute([]).map(drop)
}

/// One transaction with the answers it owes.
struct Batch<'c> {
    connection: &'c Connection,
    /// An error here is the whole batch's: no further job runs, and none is kept.
    sound: Result<(), StorageError>,
    answers: Vec<Answer>,
}

impl<'c> Batch<'c> {
    fn begin(connection: &'c Connection) -> Self {
        let mut batch = Self { connection, sound: Ok(()), answers: Vec::new() };
        batch.sound = batch.execute("BEGIN IMMEDIATE");
        batch
    }

    fn run(&mut self, job: Job) {
        if self.sound.is_ok() {
            self.sound = self.execute("SAVEPOINT job");
        }
        let ran = job(self.sound.clone().map(|()| self.connection));
        self.answers.push(ran.answer);
        if self.sound.is_ok() {
            self.sound = self.end_savepoint(ran.keep);
        }
    }

    fn end_savepoint(&self, keep: bool) -> Result<(), StorageError> {
        // A full disk or an I/O error may end the whole transaction under a job. What ran next
        // would then commit by itself, unsavepointed.
        if self.connection.is_autocommit() {
            return Err(StorageError::Aborted);
        }
        if !keep {
            self.execute("ROLLBACK TO job")?;
        }
        self.execute("RELEASE job")
    }

    /// Ends the transaction and answers every job.
    fn commit(self, commit: fn(&Connection) -> rusqlite::Result<()>) -> Result<(), StorageError> {
        let committed =
            self.sound.clone().and_then(|()| commit(self.connection).map_err(StorageError::from));
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(?error, "store rollback failed");
        }
        for answer in self.answers {
            answer(committed.clone());
        }
        committed
    }

    fn execute(&self, sql: &str) -> Result<(), StorageError> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "PRAGMA foreign_keys = ON;
                 CREATE TABLE parents (id INTEGER PRIMARY KEY);
                 CREATE TABLE numbers (
                     number INTEGER PRIMARY KEY,
                     parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED,
                     text TEXT
                 );",
            )
            .unwrap();
        connection
    }

    fn numbers(connection: &Connection) -> Vec<i64> {
        let mut statement = connection.prepare("SELECT number FROM numbers").unwrap();
        let numbers = statement.query_map([], |row| row.get(0)).unwrap();
        numbers.collect::<Result<_, _>>().unwrap()
    }

    /// What a job was told: `kept`, or the error.
    type Told = oneshot::Receiver<String>;

    fn job(sql: &'static str) -> (Job, Told) {
        let (tell, told) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let outcome =
                connection.and_then(|connection| Ok(connection.execute_batch(sql).map(drop)?));
            Ran {
                keep: outcome.is_ok(),
                answer: Box::new(move |committed| {
                    let text = match committed.and(outcome) {
                        Ok(()) => "kept".to_owned(),
                        Err(error) => error.to_string(),
                    };
                    tell.send(text).unwrap();
                }),
            }
        });
        (job, told)
    }

    /// Runs the jobs as one batch and returns what they were told.
    fn check(
        connection: &Connection,
        jobs: &[&'static str],
        commit: fn(&Connection) -> rusqlite::Result<()>,
    ) -> String {
        let mut batch = Batch::begin(connection);
        let mut told = Vec::new();
        for sql in jobs {
            let (job, answer) = job(sql);
            batch.run(job);
            told.push(answer);
        }
        let _ = batch.commit(commit);
        assert!(connection.is_autocommit(), "a transaction was left open");
        let told: Vec<String> = told.into_iter().map(|t| t.blocking_recv().unwrap()).collect();
        told.join(" | ")
    }

    fn io_error(_: &Connection) -> rusqlite::Result<()> {
        let code = rusqlite::ffi::SQLITE_IOERR_FSYNC;
        Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None))
    }

    #[test]
    fn a_job_that_fails_takes_nothing_but_itself_along() {
        let connection = database();
        let told = check(
            &connection,
            &[
                "INSERT INTO numbers (number) VALUES (1)",
                "INSERT INTO numbers (number) VALUES (2), (1)",
                "INSERT INTO numbers (number) VALUES (3)",
            ],
            commit,
        );
        assert_eq!(told, "kept | database error | kept");
        assert_eq!(numbers(&connection), [1, 3]);
    }

    #[test]
    fn a_refused_commit_answers_every_job_with_an_error_and_the_next_one_works() {
        let connection = database();
        let told = check(
            &connection,
            &[
                "INSERT INTO numbers (number) VALUES (1)",
                "INSERT INTO numbers (number, parent) VALUES (2, 7)",
            ],
            commit,
        );
        assert_eq!(told, "database error | database error");
        assert_eq!(numbers(&connection), [0; 0]);
        let told = check(&connection, &["INSERT INTO numbers (number) VALUES (3)"], commit);
        assert_eq!((told.as_str(), numbers(&connection)), ("kept", vec![3]));
    }

    #[test]
    fn a_job_that_ends_the_transaction_is_answered_with_an_error_and_so_are_all() {
        let connection = database();
        let told = check(
            &connection,
            &[
                "INSERT INTO numbers (number) VALUES (1)",
                "INSERT OR ROLLBACK INTO numbers (number) VALUES (1)",
                "INSERT INTO numbers (number) VALUES (2)",
            ],
            commit,
        );
        let aborted = "database gave up the transaction";
        assert_eq!(told, [aborted; 3].join(" | "));
        assert_eq!(numbers(&connection), [0; 0]);
    }

    #[test]
    fn a_full_disk_is_told_apart_and_leaves_no_doubt() {
        let connection = database();
        connection.pragma_update(None, "max_page_count", 6).unwrap();
        let fill = "INSERT INTO numbers (text) VALUES (hex(zeroblob(100000)))";
        let told = check(&connection, &[fill], commit);
        assert!(["disk is full", "database gave up the transaction"].contains(&told.as_str()));
        assert!(!StorageError::DiskFull.leaves_doubt());
        let told = check(&connection, &["INSERT INTO numbers (number) VALUES (3)"], commit);
        assert_eq!(told, "kept");
    }

    #[test]
    fn after_a_commit_that_was_not_synced_no_write_is_accepted() {
        let connection = database();
        let told = check(&connection, &["INSERT INTO numbers (number) VALUES (1)"], io_error);
        assert_eq!(told, "database error");
        let error = StorageError::from(io_error(&connection).unwrap_err());
        assert!(error.leaves_doubt());
        let (sender, queue) = mpsc::channel(limits::GROUP_COMMIT);
        let (late, told) = job("INSERT INTO numbers (number) VALUES (2)");
        sender.blocking_send(late).map_err(|_| "queue is closed").unwrap();
        drop(sender);
        let mut task = Task { connection, queue, sweep: |_| Ok(true), state: State::Stopped };
        task.run();
        let told = told.blocking_recv().unwrap();
        assert_eq!(told, "store accepts no writes since a commit was not synced");
        assert_eq!(numbers(&task.connection), [0; 0]);
    }
}
