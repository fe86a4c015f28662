//! Events as they come: who follows groups is told that some came, and reads them then.
//!
//! The writer tells, inside the job that adds events; who follows looks behind that job. Nothing is kept
//! of what was told: events are read where they are stored.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dormouse_model::limits;
use dormouse_model::names::Scope;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rows::{COLUMNS, StoredRow, TABLES};
use super::write::of;
use super::{GroupKey, Logs, StoredEvent};
use crate::StorageError;

/// Bytes of messages after which a page is full (ours, as for other pages). One event is always in it.
const PAGE_BYTES: usize = 1_048_576;
/// Events that are looked at for one page (ours). Past it the rest is looked at for the next.
const LOOKED_AT: usize = 100_000;

/// Of which streams of the groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TailStreams {
    /// All.
    All,
    /// These.
    Named(Vec<String>),
    /// Those whose names begin with one of these.
    Prefixed(Vec<String>),
}

impl TailStreams {
    fn contain(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.iter().any(|known| known == name),
            Self::Prefixed(prefixes) => prefixes.iter().any(|prefix| name.starts_with(prefix)),
        }
    }
}

/// Why nobody can follow.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TailError {
    /// There is no such group.
    #[error("no such log group")]
    NoGroup,
    /// Groups of this class cannot be followed.
    #[error("log group is of class {class}")]
    WrongClass {
        /// Its class.
        class: String,
    },
    /// So many follow already as may.
    #[error("too many sessions")]
    TooMany,
    /// They could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// An event that came, with its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// The name of its group.
    pub group: String,
    /// The event.
    pub event: StoredEvent,
}

/// What came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TailPage {
    /// In the order in which they came.
    pub events: Vec<Followed>,
    /// More came than are told; they are left out for good.
    pub sampled: bool,
}

/// Those who follow.
#[derive(Debug, Clone, Default)]
pub(crate) struct Followers {
    // Between the writer's thread and those who follow: a table is looked up and left, within this file.
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    groups: HashMap<GroupKey, Vec<Arc<AtomicBool>>>,
    sessions: usize,
}

impl Followers {
    /// Events of a group are being added.
    pub(super) fn came(&self, group: &GroupKey) {
        if let Some(followers) = self.lock().groups.get(group) {
            followers.iter().for_each(|news| news.store(true, Ordering::Release));
        }
    }

    fn follow(&self, groups: &[GroupKey]) -> Option<Place> {
        let mut table = self.lock();
        if table.sessions >= limits::LIVE_TAILS {
            return None;
        }
        table.sessions += 1;
        let news = Arc::new(AtomicBool::new(false));
        for group in groups {
            table.groups.entry(group.clone()).or_default().push(news.clone());
        }
        Some(Place { followers: self.clone(), groups: groups.to_vec(), news })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among those who follow, given up when it is dropped.
#[derive(Debug)]
struct Place {
    followers: Followers,
    groups: Vec<GroupKey>,
    news: Arc<AtomicBool>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.followers.lock();
        table.sessions -= 1;
        for group in &self.groups {
            if let Some(followers) = table.groups.get_mut(group) {
                followers.retain(|news| !Arc::ptr_eq(news, &self.news));
                if followers.is_empty() {
                    table.groups.remove(group);
                }
            }
        }
    }
}

/// Follows groups. Ends when it is dropped.
#[derive(Debug)]
pub struct Tail {
    logs: Logs,
    place: Place,
    groups: Arc<HashSet<GroupKey>>,
    streams: Arc<TailStreams>,
    /// All events up to this one have been looked at.
    last: i64,
}

impl Logs {
    /// Follows groups from now on.
    ///
    /// # Errors
    /// When a group is not there or cannot be followed, or too many follow.
    pub async fn tail(
        &self,
        groups: Vec<GroupKey>,
        streams: TailStreams,
    ) -> Result<Tail, TailError> {
        let place = self.followers.follow(&groups).ok_or(TailError::TooMany)?;
        let of: HashSet<GroupKey> = groups.iter().cloned().collect();
        let last = self
            .database
            .read(move |connection| {
                groups.iter().try_for_each(|group| check(connection, group))?;
                last(connection).map_err(TailError::from)
            })
            .await?;
        let (groups, streams) = (Arc::new(of), Arc::new(streams));
        Ok(Tail { logs: self.clone(), place, groups, streams, last })
    }
}

impl Tail {
    /// What came since the last time, at most [`limits::LIVE_TAIL_EVENTS`] whose messages are `wanted`.
    /// Without news nothing is read.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn page<W>(&mut self, wanted: &Arc<W>) -> Result<TailPage, StorageError>
    where
        W: Fn(&str) -> bool + Send + Sync + 'static,
    {
        if !self.place.news.swap(false, Ordering::AcqRel) {
            return Ok(TailPage::default());
        }
        // Behind the job that told of them, so that they are there to be read.
        self.logs.database.write(|_| Ok::<_, StorageError>(())).await?;
        let (groups, streams, last) = (self.groups.clone(), self.streams.clone(), self.last);
        let wanted = wanted.clone();
        let look = move |connection: &Connection| {
            let is_followed =
                |group: &GroupKey, stream: &str| groups.contains(group) && streams.contain(stream);
            look(connection, last, is_followed, |message| wanted(message))
        };
        let (page, last) = self.logs.database.read(look).await?;
        match last {
            Looked::ToTheEnd(last) => self.last = last,
            Looked::Until(last) => {
                self.last = last;
                self.place.news.store(true, Ordering::Release);
            }
        }
        Ok(page)
    }
}

/// How far events have been looked at.
enum Looked {
    ToTheEnd(i64),
    Until(i64),
}

fn check(connection: &Connection, group: &GroupKey) -> Result<(), TailError> {
    let sql = "SELECT class FROM log_groups WHERE account = ?1 AND region = ?2 AND name = ?3";
    let class: Option<String> = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row(of(group), |row| row.get(0)).optional())
        .map_err(StorageError::from)?;
    match class {
        None => Err(TailError::NoGroup),
        Some(class) if class != "STANDARD" => Err(TailError::WrongClass { class }),
        Some(_) => Ok(()),
    }
}

fn last(connection: &Connection) -> Result<i64, StorageError> {
    let sql = "SELECT COALESCE(MAX(id), 0) FROM log_events";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

fn look(
    connection: &Connection,
    after: i64,
    is_followed: impl Fn(&GroupKey, &str) -> bool,
    wanted: impl Fn(&str) -> bool,
) -> Result<(TailPage, Looked), StorageError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS}, g.account, g.region, g.name
         FROM {TABLES} JOIN log_groups g ON g.id = e.group_id
         WHERE e.id > ?1 ORDER BY e.id LIMIT ?2",
    ))?;
    let mut rows = statement.query(params![after, LOOKED_AT])?;
    let (mut page, mut bytes, mut at, mut seen) = (TailPage::default(), 0, after, 0);
    while let Some(row) = rows.next()? {
        (at, seen) = (row.get(0)?, seen + 1);
        let Some(group) = group(row)? else { continue };
        let row = StoredRow::of(row)?;
        if !is_followed(&group, row.stream()) {
            continue;
        }
        for event in row.events().into_iter().filter(|event| wanted(event.message)) {
            if page.events.len() >= limits::LIVE_TAIL_EVENTS || bytes >= PAGE_BYTES {
                page.sampled = true;
                return Ok((page, Looked::ToTheEnd(last(connection)?)));
            }
            bytes += event.message.len();
            page.events.push(Followed { group: group.name.clone(), event: event.stored() });
        }
    }
    let looked = if seen < LOOKED_AT { Looked::ToTheEnd(at) } else { Looked::Until(at) };
    Ok((page, looked))
}

/// Whose a row is; its columns follow those of the events.
fn group(row: &Row<'_>) -> Result<Option<GroupKey>, StorageError> {
    let text = |at| row.get::<_, String>(at);
    let (Ok(account), Ok(region)) = (text(6)?.parse(), text(7)?.parse()) else {
        return Ok(None);
    };
    Ok(Some(GroupKey { scope: Scope { account, region }, name: text(8)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> GroupKey {
        let scope = Scope {
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        };
        GroupKey { scope, name: name.into() }
    }

    #[test]
    fn who_follows_hears_of_its_groups_alone_and_nothing_is_kept_of_it() {
        let followers = Followers::default();
        let one = followers.follow(&[key("a"), key("b")]).unwrap();
        let two = followers.follow(&[key("b")]).unwrap();
        let heard = |place: &Place| place.news.swap(false, Ordering::AcqRel);
        followers.came(&key("a"));
        assert_eq!((heard(&one), heard(&two)), (true, false));
        followers.came(&key("b"));
        assert_eq!((heard(&one), heard(&two)), (true, true));
        drop(one);
        followers.came(&key("b"));
        assert!(heard(&two));
        drop(two);
        assert!(followers.lock().groups.is_empty());
    }

    #[test]
    fn past_the_limit_nobody_follows() {
        let followers = Followers::default();
        let all: Vec<_> = (0..limits::LIVE_TAILS).map(|_| followers.follow(&[key("a")])).collect();
        assert!(all.iter().all(Option::is_some));
        assert!(followers.follow(&[key("a")]).is_none());
        drop(all);
        assert!(followers.follow(&[key("a")]).is_some());
    }
}
