//! Reads a package: its directory into a layout, then each entry's bytes, counted.

use std::io::{self, Read, Seek, SeekFrom};

use zip::read::{ArchiveOffset, Config, ZipFile};
use zip::result::ZipError;
use zip::{CompressionMethod, DateTime, ExtraField, ZipArchive};

use crate::package::tree::{NodeId, Tree};
use crate::package::walk::{self, Entry, Kind, text};
use crate::package::{LinkRule, PackageError, directory, links};

/// Bytes read from the file at once. Small, since a package may have its entries in any order.
const WINDOW_BYTES: usize = 8 * 1024;
/// Bytes decompressed at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Bytes of a link's target (Linux `PATH_MAX` without its NUL).
const TARGET_BYTES: usize = 4_095;
/// The oldest time a zip file can have, for entries without a usable one.
const OLDEST: i64 = 315_532_800;

/// A file of a package.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    /// Which entry of the archive.
    pub(super) index: usize,
    /// Where it belongs.
    pub(super) node: NodeId,
    /// Whether anybody may execute it.
    pub(super) executable: bool,
}

/// What a package will be when unpacked: everything but the files' contents.
#[derive(Debug)]
pub(super) struct Layout {
    /// Entries in the archive.
    pub(super) entries: usize,
    /// The places, with the links' targets.
    pub(super) tree: Tree,
    /// The files, in the archive's order.
    pub(super) files: Vec<Item>,
}

/// The entries' bytes.
#[derive(Debug)]
pub(super) struct Contents<R> {
    archive: ZipArchive<Window<R>>,
    chunk: Vec<u8>,
    limit_bytes: u64,
    unzipped_bytes: u64,
}

/// Opens a package and checks all that can be known without reading its files.
pub(super) fn open<R: Read + Seek>(
    file: R,
    limit_bytes: u64,
) -> Result<(Contents<R>, Layout), PackageError> {
    let mut window = Window::new(file).map_err(PackageError::Unreadable)?;
    let directory = directory::find(&mut window)?;
    if directory.entries == 0 {
        return Err(PackageError::Empty);
    }
    let config = Config { archive_offset: ArchiveOffset::Known(directory.archive_offset) };
    let mut archive =
        ZipArchive::with_config(config, window).map_err(|error| zip_error(error, b""))?;
    if archive.has_duplicate_names() {
        let name = directory::duplicate(&mut archive.into_inner(), directory)?;
        return Err(PackageError::Duplicate { path: text(&name) });
    }
    if archive.central_directory_start() != directory.start || archive.len() != directory.entries {
        return Err(PackageError::NotAZip { reason: "it has two directories" });
    }
    if archive.has_overlapping_entries().map_err(|error| zip_error(error, b""))? {
        return Err(PackageError::Overlapping);
    }
    let mut contents =
        Contents { archive, chunk: vec![0; CHUNK_BYTES], limit_bytes, unzipped_bytes: 0 };
    let layout = contents.layout()?;
    Ok((contents, layout))
}

impl<R: Read + Seek> Contents<R> {
    /// Bytes that came out until now.
    pub(super) fn unzipped_bytes(&self) -> u64 {
        self.unzipped_bytes
    }

    fn layout(&mut self) -> Result<Layout, PackageError> {
        let mut layout =
            Layout { entries: self.archive.len(), tree: Tree::new(), files: Vec::new() };
        for index in 0..self.archive.len() {
            let (name, mode, mtime) = self.describe(index)?;
            let plan = walk::decide(&Entry { name: &name, mode })?;
            let node = layout.tree.insert(&plan, mtime)?;
            match plan.kind {
                Kind::File { executable } => layout.files.push(Item { index, node, executable }),
                Kind::Link => layout.tree.set_target(node, self.target(index, &name)?),
                Kind::Directory => self.copy(index, |_| {
                    Err(PackageError::Corrupt {
                        path: text(&name),
                        reason: "a directory has contents".to_owned(),
                    })
                })?,
            }
        }
        links::check(&layout.tree)?;
        Ok(layout)
    }

    /// An entry's name, mode and time; refuses what cannot be decompressed here.
    fn describe(&mut self, index: usize) -> Result<(Vec<u8>, u32, i64), PackageError> {
        let entry = self.archive.by_index_raw(index).map_err(|error| zip_error(error, b""))?;
        let name = entry.name().map_err(|error| zip_error(error, entry.name_raw()))?;
        if entry.encrypted() {
            return Err(PackageError::Encrypted { path: name.into() });
        }
        match entry.compression() {
            CompressionMethod::Stored | CompressionMethod::Deflated => {}
            other => {
                return Err(PackageError::Compression {
                    path: name.into(),
                    method: other.to_string(),
                });
            }
        }
        let mode = entry.external_attributes() >> 16;
        let mtime = mtime(&entry);
        Ok((name.into_owned().into_bytes(), mode, mtime))
    }

    fn target(&mut self, index: usize, name: &[u8]) -> Result<Vec<u8>, PackageError> {
        let mut target = Vec::new();
        self.copy(index, |bytes| {
            target.extend_from_slice(bytes);
            if target.len() > TARGET_BYTES {
                target.truncate(TARGET_BYTES);
                return Err(PackageError::UnsafeLink {
                    path: text(name),
                    target: text(&target),
                    rule: LinkRule::TooLong,
                });
            }
            Ok(())
        })?;
        Ok(target)
    }

    /// Decompresses an entry chunk by chunk, to its end, where its check sum is compared.
    pub(super) fn copy<E: From<PackageError>>(
        &mut self,
        index: usize,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut entry = self.archive.by_index(index).map_err(|error| zip_error(error, b""))?;
        let mut bytes = 0;
        loop {
            let read =
                entry.read(&mut self.chunk).map_err(|error| read_error(error, entry.name_raw()))?;
            if read == 0 {
                break;
            }
            bytes += read as u64;
            self.unzipped_bytes += read as u64;
            if self.unzipped_bytes > self.limit_bytes {
                let limit_bytes = self.limit_bytes;
                return Err(PackageError::TooLarge { limit_bytes }.into());
            }
            each(&self.chunk[..read])?;
        }
        if bytes == entry.size() {
            Ok(())
        } else {
            Err(PackageError::Corrupt {
                path: text(entry.name_raw()),
                reason: "it is shorter than the directory says".to_owned(),
            }
            .into())
        }
    }
}

/// Seconds since 1970. The extra field has the exact time in UTC; the usual field has local time
/// in steps of two seconds and is taken for UTC, so that the same package is always the same.
fn mtime<R: Read>(entry: &ZipFile<'_, R>) -> i64 {
    let exact = entry.extra_data_fields().find_map(|field| match field {
        ExtraField::ExtendedTimestamp(times) => times.mod_time(),
        _ => None,
    });
    match exact {
        // The field is a signed number that the crate reads as an unsigned one.
        Some(seconds) => i64::from(seconds.cast_signed()),
        None => entry.last_modified().filter(DateTime::is_valid).map_or(OLDEST, seconds),
    }
}

fn seconds(time: DateTime) -> i64 {
    let year = i64::from(time.year());
    let month = i64::from(time.month());
    // Years that begin in March have their leap day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + i64::from(time.day()) - 1;
    // 719 468 days lie between the first of March of the year 0 and 1970.
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    let hours = days * 24 + i64::from(time.hour());
    (hours * 60 + i64::from(time.minute())) * 60 + i64::from(time.second())
}

fn zip_error(error: ZipError, name: &[u8]) -> PackageError {
    match error {
        ZipError::Io(error) => read_error(error, name),
        other => PackageError::Corrupt { path: text(name), reason: other.to_string() },
    }
}

/// Tells an error of the file from one of the package, which the zip crate reports alike.
fn read_error(error: io::Error, name: &[u8]) -> PackageError {
    let is_ours =
        error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<FileError>);
    if is_ours {
        PackageError::Unreadable(error)
    } else {
        PackageError::Corrupt { path: text(name), reason: error.to_string() }
    }
}

/// An error of the file, marked.
#[derive(Debug, thiserror::Error)]
#[error("reading the package file")]
struct FileError(#[source] io::Error);

fn mark(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), FileError(error))
}

/// A buffered file whose buffer survives seeking: the zip crate seeks before every few bytes.
#[derive(Debug)]
struct Window<R> {
    file: R,
    length: u64,
    position: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<R: Read + Seek> Window<R> {
    fn new(mut file: R) -> io::Result<Self> {
        Ok(Self {
            length: file.seek(SeekFrom::End(0)).map_err(mark)?,
            file,
            position: 0,
            start: 0,
            bytes: Vec::with_capacity(WINDOW_BYTES),
        })
    }

    fn buffered(&self) -> &[u8] {
        self.position
            .checked_sub(self.start)
            .and_then(|skip| usize::try_from(skip).ok())
            .and_then(|skip| self.bytes.get(skip..))
            .unwrap_or_default()
    }

    fn fill(&mut self) -> io::Result<()> {
        self.bytes.clear();
        self.start = self.position;
        self.file.seek(SeekFrom::Start(self.start)).map_err(mark)?;
        self.file.by_ref().take(WINDOW_BYTES as u64).read_to_end(&mut self.bytes).map_err(mark)?;
        Ok(())
    }
}

impl<R: Read + Seek> Read for Window<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.length || out.is_empty() {
            return Ok(0);
        }
        if self.buffered().is_empty() {
            self.fill()?;
        }
        let read = self.buffered().read(out)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl<R> Seek for Window<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_become_seconds() {
        for (expected, (year, month, day, hour, minute, second)) in [
            (OLDEST, (1980, 1, 1, 0, 0, 0)),
            (951_782_398, (2000, 2, 28, 23, 59, 58)),
            (951_868_800, (2000, 3, 1, 0, 0, 0)),
            (1_735_689_598, (2024, 12, 31, 23, 59, 58)),
            (1_795_219_200, (2026, 11, 21, 0, 0, 0)),
        ] {
            let time = DateTime::from_date_and_time(year, month, day, hour, minute, second);
            assert_eq!(seconds(time.unwrap()), expected, "{year}-{month}-{day}");
        }
    }

    #[test]
    fn a_window_reads_what_the_file_has_wherever_it_is_moved() {
        let bytes: Vec<u8> = (0..50_000u32).map(|i| (i % 251) as u8).collect();
        let mut window = Window::new(io::Cursor::new(&bytes)).unwrap();
        for at in [0usize, 8_190, 8_193, 3, 49_999, 20_000, 20_001, 49_990] {
            let mut out = [0; 10];
            window.seek(SeekFrom::Start(at as u64)).unwrap();
            let mut read = 0;
            while let n @ 1.. = window.read(&mut out[read..]).unwrap() {
                read += n;
            }
            let end = bytes.len().min(at + 10);
            assert_eq!(out[..read], bytes[at..end], "{at}");
        }
    }
}
