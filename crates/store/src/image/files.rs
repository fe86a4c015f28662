//! Where the files of an image lie: in a directory, or in an archive.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use dormouse_model::limits;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use super::tar::{Kind, Reader, TarError};

/// Files by name. Two kinds, which an image is read from alike.
pub trait Files: Send {
    /// Opens one.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when there is none, or what the system said.
    fn open(&self, name: &str) -> io::Result<Opened>;
}

/// A file that is open for reading.
pub struct Opened {
    /// Its bytes.
    pub bytes: Box<dyn Read + Send>,
    /// How many they are.
    pub size: u64,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({} bytes)", self.size)
    }
}

/// A file that is to be held in memory.
///
/// # Errors
/// As [`Files::open`], and when it is too large.
pub(super) fn whole(files: &dyn Files, name: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = limits::IMAGE_DOCUMENT_BYTES;
    files.open(name)?.bytes.take(limit + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(io::ErrorKind::FileTooLarge.into()),
        false => Ok(bytes),
    }
}

/// The files of a directory.
#[derive(Debug)]
pub struct Directory(OwnedFd);

impl Directory {
    /// Those below this one.
    #[must_use]
    pub fn new(place: OwnedFd) -> Self {
        Self(place)
    }
}

impl Files for Directory {
    fn open(&self, name: &str) -> io::Result<Opened> {
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        // Without waiting, should it be a FIFO.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(openat2(&self.0, name, flags, Mode::empty(), resolve)?);
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Opened { size: found.len(), bytes: Box::new(file) })
    }
}

/// The files of a tar archive that is not compressed.
#[derive(Debug)]
pub struct Archive {
    file: Arc<File>,
    /// Where each begins and how long it is.
    places: HashMap<String, (u64, u64)>,
}

impl Archive {
    /// Looks through an archive once.
    ///
    /// # Errors
    /// When it is none.
    pub fn new(file: File) -> Result<Self, TarError> {
        let mut places = HashMap::new();
        let mut links = Vec::new();
        let mut reader = Reader::new(io::BufReader::new(&file));
        while let Some(entry) = reader.next()? {
            let Ok(name) = String::from_utf8(entry.path) else {
                continue;
            };
            let name = name.trim_start_matches("./").to_owned();
            match entry.kind {
                Kind::File => {
                    places.insert(name, (reader.position(), entry.size));
                }
                // Layers that are the same are saved once.
                Kind::SymbolicLink | Kind::HardLink => links.push((name, entry.target)),
                Kind::Directory | Kind::Special => {}
            }
            if places.len() + links.len() > limits::ARCHIVE_FILES {
                return Err(TarError::TooManyEntries { limit: limits::ARCHIVE_FILES });
            }
        }
        for (name, target) in links {
            let place = String::from_utf8(target).ok().and_then(|target| {
                // Relative to the directory of a layer, or to the archive.
                let target = target.trim_start_matches("../").trim_start_matches("./");
                places.get(target).copied()
            });
            if let Some(place) = place {
                places.entry(name).or_insert(place);
            }
        }
        Ok(Self { file: Arc::new(file), places })
    }
}

impl Files for Archive {
    fn open(&self, name: &str) -> io::Result<Opened> {
        let (start, size) = *self.places.get(name).ok_or(io::ErrorKind::NotFound)?;
        let bytes = Box::new(Section { file: Arc::clone(&self.file), at: start, rest: size });
        Ok(Opened { bytes, size })
    }
}

/// A part of a file, with a position of its own.
struct Section {
    file: Arc<File>,
    at: u64,
    rest: u64,
}

impl Read for Section {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.rest).map_or(out.len(), |rest| rest.min(out.len()));
        let read = self.file.read_at(&mut out[..most], self.at)?;
        self.at += read as u64;
        self.rest -= read as u64;
        Ok(read)
    }
}
