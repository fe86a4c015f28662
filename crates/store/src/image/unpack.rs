//! Writes a layer's archive below one directory, as overlay wants to find it: what a layer removes
//! from those below is a device without a number, and a directory that hides what is below it is
//! marked so.
//!
//! Names and links are a stranger's. Every open goes through openat2, which refuses to leave the
//! target and to follow any link; every other call takes one name in a directory opened that way.
//! Links are written down as they are: they lead somewhere in the sandbox only.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};

use dormouse_model::image::LayerForm;
use dormouse_model::limits;
use flate2::read::MultiGzDecoder;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps, XattrFlags, fchmod,
    fsetxattr, futimens, linkat, makedev, mkdirat, mknodat, openat2, statat, symlinkat, unlinkat,
    utimensat,
};
use rustix::io::Errno;

use super::tar::{Entry, Kind, Reader, TarError};

/// Bytes of one name in a path (Linux `NAME_MAX`).
const NAME_BYTES: usize = 255;
/// Bytes of a link's target (Linux `PATH_MAX` without its NUL).
const TARGET_BYTES: usize = 4_095;
/// Bytes written at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// What begins the name of something that a layer removes.
const WHITEOUT: &[u8] = b".wh.";
/// Stands for everything that layers below have in its directory.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// What begins the names of an older file system's own records.
const RECORDS: &[u8] = b".wh..wh.";
/// Its contents are the sandbox's own devices, whatever the image has there.
const DEVICES: &[u8] = b"dev";

/// What a layer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpacked {
    /// Bytes of the archive, not compressed.
    pub bytes: u64,
}

/// Why a layer is not unpacked. Paths are shown as text, with what is not text replaced.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It is no archive.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// It is larger than may be.
    #[error("it is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// An entry that no image may have.
    #[error("entry {path:?} {rule}")]
    Entry {
        /// Which.
        path: String,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// It cannot be written.
    #[error("entry {path:?} cannot be written")]
    Write {
        /// Which.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

impl UnpackError {
    /// Whether the machine is at fault and not the image.
    #[must_use]
    pub fn is_platform(&self) -> bool {
        matches!(self, Self::Write { .. })
    }
}

/// Unpacks a layer into an empty directory.
///
/// # Errors
/// The first entry that may not be, or what the disk refused; some of it is written then.
pub fn unpack(
    from: impl Read,
    form: LayerForm,
    target: BorrowedFd<'_>,
    limit_bytes: u64,
) -> Result<Unpacked, UnpackError> {
    match form {
        LayerForm::Tar => write(from, target, limit_bytes),
        LayerForm::Gzip => write(MultiGzDecoder::new(from), target, limit_bytes),
    }
}

fn write(
    from: impl Read,
    target: BorrowedFd<'_>,
    limit_bytes: u64,
) -> Result<Unpacked, UnpackError> {
    // One byte more tells that there is more.
    let mut reader = Reader::new(from.take(limit_bytes.saturating_add(1)));
    let mut writer = Writer { target, last: None, removed: Vec::new() };
    let too_large = |position| position > limit_bytes;
    loop {
        let entry = match reader.next() {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            Err(_) if too_large(reader.position() + 512) => {
                return Err(UnpackError::TooLarge { limit_bytes });
            }
            Err(error) => return Err(error.into()),
        };
        if entry.size > limit_bytes.saturating_sub(reader.position()) {
            return Err(UnpackError::TooLarge { limit_bytes });
        }
        writer.entry(&entry, &mut reader)?;
    }
    writer.remove()?;
    Ok(Unpacked { bytes: reader.position() })
}

struct Writer<'a> {
    target: BorrowedFd<'a>,
    /// The directory used last: most entries follow others in the same one.
    last: Option<(Vec<u8>, OwnedFd)>,
    /// What layers below lose, marked when everything is written: what the layer itself has wins.
    removed: Vec<Vec<u8>>,
}

impl Writer<'_> {
    fn entry(&mut self, entry: &Entry, reader: &mut Reader<impl Read>) -> Result<(), UnpackError> {
        let path = plain(&entry.path)?;
        let Some((parent, name)) = split(&path) else {
            // The root itself.
            return match entry.kind {
                Kind::Directory => Ok(()),
                _ => Err(refused(&entry.path, "stands for the root and is no directory")),
            };
        };
        if path.starts_with(DEVICES) && path.get(DEVICES.len()) == Some(&b'/') {
            return Ok(());
        }
        if name.starts_with(WHITEOUT) {
            if name == OPAQUE || !name.starts_with(RECORDS) {
                self.removed.push(path);
            }
            return Ok(());
        }
        match entry.kind {
            Kind::Directory => self.directory(parent, name, entry),
            Kind::File => self.file(parent, name, entry, reader),
            Kind::SymbolicLink => self.link(parent, name, entry),
            Kind::HardLink => self.hard_link(parent, name, entry),
            Kind::Special => Err(refused(&entry.path, "is a device or a FIFO")),
        }
    }

    fn directory(&mut self, parent: &[u8], name: &[u8], entry: &Entry) -> Result<(), UnpackError> {
        let directory = self.below(parent, name, &entry.path)?;
        let mode = Mode::from_raw_mode(entry.mode & 0o777 | 0o700);
        fchmod(&directory, mode).map_err(|errno| failed(&entry.path, errno))
    }

    fn file(
        &mut self,
        parent: &[u8],
        name: &[u8],
        entry: &Entry,
        reader: &mut Reader<impl Read>,
    ) -> Result<(), UnpackError> {
        let parent = self.open(parent, &entry.path)?;
        make_way(parent, name, &entry.path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let write = |errno| failed(&entry.path, errno);
        let file = openat2(parent, name, flags, Mode::RUSR | Mode::WUSR, beneath());
        let mut file = File::from(file.map_err(write)?);
        let mut chunk = vec![0; CHUNK_BYTES];
        while let read @ 1.. = reader.contents(&mut chunk)? {
            file.write_all(&chunk[..read])
                .map_err(|source| UnpackError::Write { path: text(&entry.path), source })?;
        }
        // Without the bits that make it run as somebody else.
        fchmod(&file, Mode::from_raw_mode(entry.mode & 0o777)).map_err(write)?;
        futimens(&file, &times(entry)).map_err(write)
    }

    fn link(&mut self, parent: &[u8], name: &[u8], entry: &Entry) -> Result<(), UnpackError> {
        let target = entry.target.as_slice();
        if target.is_empty() || target.contains(&0) || target.len() > TARGET_BYTES {
            return Err(refused(&entry.path, "is a link to what is no path"));
        }
        let parent = self.open(parent, &entry.path)?;
        make_way(parent, name, &entry.path)?;
        let write = |errno| failed(&entry.path, errno);
        symlinkat(target, parent, name).map_err(write)?;
        utimensat(parent, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW).map_err(write)
    }

    fn hard_link(&mut self, parent: &[u8], name: &[u8], entry: &Entry) -> Result<(), UnpackError> {
        let target = plain(&entry.target)?;
        let missing = || refused(&entry.path, "is another name for nothing in its layer");
        let (from, file) = split(&target).ok_or_else(missing)?;
        let from = open_directory(self.target, from).map_err(|_| missing())?;
        let found = statat(&from, file, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| missing())?;
        let kind = FileType::from_raw_mode(found.st_mode);
        if !matches!(kind, FileType::RegularFile | FileType::Symlink) {
            return Err(missing());
        }
        if target == plain(&entry.path)? {
            return Ok(());
        }
        let parent = self.open(parent, &entry.path)?;
        make_way(parent, name, &entry.path)?;
        linkat(&from, file, parent, name, AtFlags::empty())
            .map_err(|errno| failed(&entry.path, errno))
    }

    /// Marks what layers below lose.
    fn remove(&mut self) -> Result<(), UnpackError> {
        for path in std::mem::take(&mut self.removed) {
            let Some((parent, name)) = split(&path) else { continue };
            let write = |errno| failed(&path, errno);
            let directory = self.open(parent, &path)?;
            if name == OPAQUE {
                opaque(directory).map_err(write)?;
                continue;
            }
            let name = &name[WHITEOUT.len()..];
            if matches!(name, b"" | b"." | b"..") {
                return Err(refused(&path, "removes what is no name"));
            }
            match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => {
                    let (kind, mode) = (FileType::CharacterDevice, Mode::empty());
                    mknodat(directory, name, kind, mode, makedev(0, 0)).map_err(write)?;
                }
                Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::Directory => {
                    let anew = open_directory(directory, name).map_err(write)?;
                    opaque(&anew).map_err(write)?;
                }
                // What the layer has in its place hides it too.
                Ok(_) => {}
                Err(errno) => return Err(write(errno)),
            }
        }
        Ok(())
    }

    /// A directory of the layer, made if no entry has named it yet, with those above it.
    fn open(&mut self, path: &[u8], of: &[u8]) -> Result<&OwnedFd, UnpackError> {
        let is_last = self.last.as_ref().is_some_and(|(last, _)| last == path);
        if !is_last {
            let opened = match open_directory(self.target, path) {
                Ok(opened) => opened,
                Err(Errno::NOENT) => self.make(path, of)?,
                Err(errno) => return Err(in_the_way(of, errno)),
            };
            self.last = Some((path.to_vec(), opened));
        }
        match &self.last {
            Some((_, directory)) => Ok(directory),
            None => unreachable!("it was opened above"),
        }
    }

    fn make(&mut self, path: &[u8], of: &[u8]) -> Result<OwnedFd, UnpackError> {
        let mut at = open_directory(self.target, b"").map_err(|errno| failed(of, errno))?;
        for name in path.split(|byte| *byte == b'/') {
            at = below(&at, name, of)?;
        }
        Ok(at)
    }

    fn below(&mut self, parent: &[u8], name: &[u8], of: &[u8]) -> Result<OwnedFd, UnpackError> {
        below(self.open(parent, of)?, name, of)
    }
}

/// A directory in another, made if it is not there.
fn below(parent: &OwnedFd, name: &[u8], of: &[u8]) -> Result<OwnedFd, UnpackError> {
    match mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
        Ok(()) => {
            let made = open_directory(parent, name).map_err(|errno| failed(of, errno))?;
            // The mode given before was cut by the umask.
            fchmod(&made, Mode::from_raw_mode(0o755)).map_err(|errno| failed(of, errno))?;
            Ok(made)
        }
        Err(Errno::EXIST) => open_directory(parent, name).map_err(|errno| in_the_way(of, errno)),
        Err(errno) => Err(failed(of, errno)),
    }
}

/// A later entry of the same name takes the place of one that is no directory.
fn make_way(parent: &OwnedFd, name: &[u8], of: &[u8]) -> Result<(), UnpackError> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR) => Err(refused(of, "is a directory and something else")),
        Err(errno) => Err(failed(of, errno)),
    }
}

/// Hides what layers below have in a directory.
fn opaque(directory: &OwnedFd) -> rustix::io::Result<()> {
    fsetxattr(directory, "trusted.overlay.opaque", b"y", XattrFlags::empty())
}

/// The names that lead to an entry from the root, by single slashes; nothing for the root itself.
fn plain(path: &[u8]) -> Result<Vec<u8>, UnpackError> {
    let names: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b".")).collect();
    for name in &names {
        if *name == b".." {
            return Err(refused(path, "leads upwards"));
        }
        if name.contains(&0) {
            return Err(refused(path, "has a NUL in it"));
        }
        if name.len() > NAME_BYTES {
            return Err(refused(path, "has too long a name in it"));
        }
    }
    let plain = names.join(&b'/');
    if plain.len() > limits::PACKAGE_PATH_BYTES {
        return Err(refused(path, "is too long"));
    }
    Ok(plain)
}

/// Directory and name.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => Some((&path[..slash], &path[slash + 1..])),
        None if path.is_empty() => None,
        None => Some((b"", path)),
    }
}

fn open_directory(from: impl std::os::fd::AsFd, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat2(from, path, flags, Mode::empty(), beneath())
}

fn beneath() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS
}

fn times(entry: &Entry) -> Timestamps {
    let time = Timespec { tv_sec: entry.mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(&path[..path.len().min(200)]).into_owned()
}

fn refused(path: &[u8], rule: &'static str) -> UnpackError {
    UnpackError::Entry { path: text(path), rule }
}

fn failed(path: &[u8], errno: Errno) -> UnpackError {
    UnpackError::Write { path: text(path), source: errno.into() }
}

/// Something that is no directory stands where one is needed.
fn in_the_way(path: &[u8], errno: Errno) -> UnpackError {
    match errno {
        Errno::LOOP | Errno::NOTDIR => refused(path, "lies below what is no directory"),
        errno => failed(path, errno),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::os::fd::AsFd;
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
    use std::path::Path;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::super::tar::tests::entry;
    use super::*;

    const LIMIT: u64 = 1 << 20;

    fn unpacked(archive: &[u8]) -> (tempfile::TempDir, Result<Unpacked, UnpackError>) {
        let directory = tempfile::tempdir().unwrap();
        let target = File::open(directory.path()).unwrap();
        let result = unpack(archive, LayerForm::Tar, target.as_fd(), LIMIT);
        (directory, result)
    }

    /// What lies below a directory, a word for each.
    fn seen(directory: &Path) -> String {
        let mut words = Vec::new();
        let mut waiting = vec![directory.to_owned()];
        while let Some(at) = waiting.pop() {
            for found in fs::read_dir(&at).unwrap() {
                let path = found.unwrap().path();
                let meta = fs::symlink_metadata(&path).unwrap();
                let name = path.strip_prefix(directory).unwrap().display().to_string();
                let mode = meta.permissions().mode() & 0o7777;
                if meta.is_dir() {
                    waiting.push(path.clone());
                    let opaque =
                        rustix::fs::lgetxattr(&path, "trusted.overlay.opaque", &mut [0; 1]);
                    words.push(format!("{name}/{}", if opaque.is_ok() { "!" } else { "" }));
                } else if meta.file_type().is_symlink() {
                    words.push(format!("{name}->{}", fs::read_link(&path).unwrap().display()));
                } else if meta.file_type().is_char_device() {
                    assert_eq!(meta.rdev(), 0, "only what hides");
                    words.push(format!("{name}-gone"));
                } else {
                    let text = fs::read_to_string(&path).unwrap();
                    words.push(format!("{name}={text}:{mode:o}:{}", meta.nlink()));
                }
            }
        }
        words.sort();
        words.join(" ")
    }

    fn check(entries: &[Vec<u8>], expected: &str) {
        let (directory, result) = unpacked(&entries.concat());
        let shown = match result {
            Ok(_) => seen(directory.path()),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn entries_become_what_they_say() {
        check(
            &[
                entry(b"./", b'5', b"", b""),
                entry(b"/a/./b", b'0', b"", b"1"),
                entry(b"h", b'1', b"a/b", b""),
                entry(b"l", b'2', b"/etc/../../passwd", b""),
                entry(b"a/b\\c:d", b'0', b"", b"2"),
                entry(b"dev/null", b'3', b"", b""),
            ],
            "a/ a/b=1:755:2 a/b\\c:d=2:755:1 h=1:755:2 l->/etc/../../passwd",
        );
        // The last of a name counts.
        check(&[entry(b"a", b'2', b"/tmp", b""), entry(b"a", b'0', b"", b"2")], "a=2:755:1");
    }

    #[test]
    fn what_a_layer_removes_is_marked() {
        check(
            &[
                entry(b"a/.wh.gone", b'0', b"", b""),
                entry(b"a/.wh.kept", b'0', b"", b""),
                entry(b"a/kept", b'0', b"", b"k"),
                entry(b"a/.wh.anew", b'0', b"", b""),
                entry(b"a/anew/f", b'0', b"", b"f"),
                entry(b"only/.wh..wh..opq", b'0', b"", b""),
                entry(b".wh..wh.plnk", b'5', b"", b""),
            ],
            "a/ a/anew/! a/anew/f=f:755:1 a/gone-gone a/kept=k:755:1 only/!",
        );
    }

    #[test]
    fn what_leads_out_or_is_no_content_is_refused() {
        for (name, kind, target, rule) in [
            (&b"../a"[..], b'0', &b""[..], r#"entry "../a" leads upwards"#),
            (b"a/../../b", b'0', b"", r#"entry "a/../../b" leads upwards"#),
            (b"fifo", b'6', b"", r#"entry "fifo" is a device or a FIFO"#),
            (b"disk", b'4', b"", r#"entry "disk" is a device or a FIFO"#),
            (b"l", b'2', b"", r#"entry "l" is a link to what is no path"#),
            (b"h", b'1', b"../etc", r#"entry "../etc" leads upwards"#),
            (b"h", b'1', b"none", r#"entry "h" is another name for nothing in its layer"#),
            (b"", b'0', b"", r#"entry "" stands for the root and is no directory"#),
            (b".wh...", b'0', b"", r#"entry ".wh..." removes what is no name"#),
        ] {
            check(&[entry(name, kind, target, b"")], rule);
        }
        let link = || entry(b"l", b'2', b"/tmp", b"");
        let through = r#"entry "l/x" lies below what is no directory"#;
        check(&[link(), entry(b"l/x", b'0', b"", b"1")], through);
        check(&[link(), entry(b"l/x", b'5', b"", b"")], through);
        check(
            &[link(), entry(b"l", b'5', b"", b"")],
            r#"entry "l" lies below what is no directory"#,
        );
        check(
            &[entry(b"d", b'5', b"", b""), entry(b"d", b'0', b"", b"")],
            r#"entry "d" is a directory and something else"#,
        );
        check(
            &[entry(b"d", b'5', b"", b""), entry(b"h", b'1', b"d", b"")],
            r#"entry "h" is another name for nothing in its layer"#,
        );
    }

    #[test]
    fn more_than_the_limit_is_refused_however_it_is_packed() {
        let big = vec![0; usize::try_from(LIMIT).unwrap()];
        let archive = entry(b"zeros", b'0', b"", &big);
        let (_directory, result) = unpacked(&archive);
        assert!(matches!(result, Err(UnpackError::TooLarge { .. })), "{result:?}");
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&archive).unwrap();
        let packed = packed.finish().unwrap();
        assert!(packed.len() < 4_096);
        let directory = tempfile::tempdir().unwrap();
        let target = File::open(directory.path()).unwrap();
        let result = unpack(packed.as_slice(), LayerForm::Gzip, target.as_fd(), LIMIT);
        assert!(matches!(result, Err(UnpackError::TooLarge { .. })), "{result:?}");
        let many: Vec<u8> = (0..3_000).flat_map(|_| entry(b"d", b'5', b"", b"")).collect();
        let (_directory, result) = unpacked(&many);
        assert!(matches!(result, Err(UnpackError::TooLarge { .. })), "{result:?}");
        let (_directory, result) = unpacked(&entry(b"f", b'0', b"", b"fits"));
        assert_eq!(result.unwrap().bytes, 1_024);
    }

    fn name() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            Just("a"),
            Just("b"),
            Just(".."),
            Just("."),
            Just(""),
            Just("/"),
            Just("out"),
            Just(".wh.a"),
            Just(".wh..wh..opq"),
            Just(".wh..."),
            Just("dev"),
        ];
        proptest::collection::vec(part, 1..5).prop_map(|parts| parts.join("/").into_bytes())
    }

    proptest! {
        #[test]
        fn nothing_is_written_outside_the_target(
            entries in proptest::collection::vec(
                (name(), prop_oneof![Just(b'0'), Just(b'1'), Just(b'2'), Just(b'5')], name()),
                1..12,
            ),
        ) {
            let around = tempfile::tempdir().unwrap();
            let (inside, out) = (around.path().join("in"), around.path().join("out"));
            fs::create_dir(&inside).unwrap();
            fs::create_dir(&out).unwrap();
            fs::write(out.join("a"), "untouched").unwrap();
            let link = entry(b"out", b'2', out.to_str().unwrap().as_bytes(), b"");
            let rest = entries.iter().map(|(name, kind, target)| entry(name, *kind, target, b""));
            let archive: Vec<u8> = [link].into_iter().chain(rest).flatten().collect();
            let target = File::open(&inside).unwrap();
            let _ = unpack(archive.as_slice(), LayerForm::Tar, target.as_fd(), LIMIT);
            prop_assert_eq!(fs::read_dir(around.path()).unwrap().count(), 2);
            prop_assert_eq!(seen(&out), "a=untouched:644:1");
        }
    }
}
