//! What a killed predecessor left: files that have their name and never got a record.
//!
//! A file of this run may wait for its record and is never looked at.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tokio::sync::watch;

use crate::StorageError;
use crate::objects::files::{FileName, Files};
use crate::objects::{Objects, blocking};

impl Objects {
    /// Removes the files of former runs that nothing refers to, beside everything else.
    pub async fn remove_orphans(self, stop: watch::Receiver<bool>) {
        match self.orphans(&stop).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "files that belong to no object are removed"),
            Err(error) => tracing::warn!(%error, "files that belong to no object stay"),
        }
    }

    async fn orphans(&self, stop: &watch::Receiver<bool>) -> std::io::Result<usize> {
        let files = self.files.clone();
        let shelves = blocking(move || shelves(&files)).await?;
        let mut removed = 0;
        for (run, shelf) in shelves {
            if *stop.borrow() {
                break;
            }
            let (files, listed) = (self.files.clone(), shelf.clone());
            let names = blocking(move || files.on_shelf(&listed)).await?;
            let orphans = self.unrecorded(names).await.map_err(std::io::Error::other)?;
            removed += orphans.len();
            let files = self.files.clone();
            blocking(move || {
                for name in &orphans {
                    files.remove(name)?;
                }
                files.remove_empty(&shelf);
                files.remove_empty(Path::new(&run));
                Ok(())
            })
            .await?;
        }
        Ok(removed)
    }

    async fn unrecorded(&self, names: Vec<FileName>) -> Result<Vec<FileName>, StorageError> {
        self.database
            .read(move |connection| {
                let mut orphans = Vec::new();
                for name in names {
                    if !is_recorded(connection, &name)? {
                        orphans.push(name);
                    }
                }
                Ok(orphans)
            })
            .await
    }
}

fn shelves(files: &Files) -> std::io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for run in files.former_runs()? {
        for shelf in files.shelves(&run)? {
            found.push((run.clone(), shelf));
        }
    }
    Ok(found)
}

fn is_recorded(connection: &Connection, name: &FileName) -> Result<bool, StorageError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM objects WHERE file = ?1)
               OR EXISTS (SELECT 1 FROM object_parts WHERE file = ?1)
               OR EXISTS (SELECT 1 FROM object_garbage WHERE file = ?1)";
    Ok(connection.prepare_cached(sql)?.query_row([&name.0], |row| row.get(0))?)
}
