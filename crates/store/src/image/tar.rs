//! Reads a tar archive from a stranger, entry by entry: ustar, GNU's long names and the extended
//! headers of pax. Nothing is believed but what the check sum covers; names are not judged here.

use std::io::{self, Read};

use dormouse_model::limits;

/// Bytes of a header and of the steps in which contents are padded.
const BLOCK: usize = 512;
const BLOCK_BYTES: u64 = 512;
/// Bytes of an extended header or a long name (ours): many times the longest path.
const EXTENDED_BYTES: u64 = 1 << 20;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file with contents.
    File,
    /// A directory.
    Directory,
    /// Another name for an entry before it.
    HardLink,
    /// A symbolic link.
    SymbolicLink,
    /// A device or a FIFO.
    Special,
}

/// One entry; its contents follow it in the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The name as it stands there.
    pub(super) path: Vec<u8>,
    /// What it is.
    pub(super) kind: Kind,
    /// Where a link leads.
    pub(super) target: Vec<u8>,
    /// Permissions, with whatever other bits there are.
    pub(super) mode: u32,
    /// Seconds since 1970.
    pub(super) mtime: i64,
    /// Bytes of contents.
    pub(super) size: u64,
}

/// Why an archive is not read further.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// It is no archive that every reader would understand the same way.
    #[error("not a tar archive: {0}")]
    Malformed(&'static str),
    /// It has more entries than may be.
    #[error("it has more than {limit} entries")]
    TooManyEntries {
        /// The limit.
        limit: usize,
    },
    /// It cannot be read, or does not decompress.
    #[error("it cannot be read")]
    Read(#[from] io::Error),
}

/// Entries of an archive, in their order.
#[derive(Debug)]
pub(super) struct Reader<R> {
    from: R,
    /// Bytes of the current entry that were not asked for, and of its padding.
    rest: u64,
    padding: u64,
    entries: usize,
    /// Bytes read so far.
    position: u64,
}

/// What extended headers say of the entry behind them.
#[derive(Debug, Default)]
struct Extended {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
    mtime: Option<i64>,
}

impl<R: Read> Reader<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, rest: 0, padding: 0, entries: 0, position: 0 }
    }

    /// Where the contents of the current entry go on.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next entry; what is left of the one before is passed over.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, TarError> {
        let mut extended = Extended::default();
        loop {
            self.pass_over()?;
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            self.entries += 1;
            if self.entries > limits::IMAGE_ENTRIES {
                return Err(TarError::TooManyEntries { limit: limits::IMAGE_ENTRIES });
            }
            let size = number(&header[124..136])?;
            match header[156] {
                b'x' => extended.read(&self.whole(size)?)?,
                b'L' => extended.path = Some(text(&self.whole(size)?)),
                b'K' => extended.target = Some(text(&self.whole(size)?)),
                // Of the whole archive: comments, as a rule.
                b'g' => self.begin(size),
                kind => return self.entry(&header, kind, extended).map(Some),
            }
        }
    }

    /// Reads contents of the current entry; nothing at their end.
    pub(super) fn contents(&mut self, out: &mut [u8]) -> Result<usize, TarError> {
        let most = usize::try_from(self.rest).map_or(out.len(), |rest| rest.min(out.len()));
        if most == 0 {
            return Ok(0);
        }
        let read = self.from.read(&mut out[..most])?;
        if read == 0 {
            return Err(TarError::Malformed("it ends within an entry"));
        }
        self.rest -= read as u64;
        self.position += read as u64;
        Ok(read)
    }

    fn entry(
        &mut self,
        header: &[u8; BLOCK],
        kind: u8,
        extended: Extended,
    ) -> Result<Entry, TarError> {
        let path = extended.path.unwrap_or_else(|| name(header));
        let kind = match kind {
            // The oldest archives tell directories by their last character.
            0 if path.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::SymbolicLink,
            b'3' | b'4' | b'6' => Kind::Special,
            b'5' => Kind::Directory,
            b'S' => return Err(TarError::Malformed("it has a sparse file")),
            _ => return Err(TarError::Malformed("it has an entry of an unknown type")),
        };
        let size = match (kind, extended.size) {
            (Kind::File, Some(size)) => size,
            (Kind::File, None) => number(&header[124..136])?,
            // Nothing follows these, whatever their header says.
            _ => 0,
        };
        self.begin(size);
        Ok(Entry {
            path,
            kind,
            target: extended.target.unwrap_or_else(|| text(&header[157..257])),
            mode: u32::try_from(number(&header[100..108])? & 0o7777).unwrap_or_default(),
            // A time before 1970 is nothing that anybody needs.
            mtime: extended.mtime.unwrap_or_else(|| number(&header[136..148]).map_or(0, seconds)),
            size,
        })
    }

    fn begin(&mut self, size: u64) {
        self.rest = size;
        self.padding = (BLOCK_BYTES - size % BLOCK_BYTES) % BLOCK_BYTES;
    }

    fn whole(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        if size > EXTENDED_BYTES {
            return Err(TarError::Malformed("an extended header is too long"));
        }
        self.begin(size);
        let mut bytes = Vec::new();
        let mut chunk = [0; BLOCK];
        while let read @ 1.. = self.contents(&mut chunk)? {
            bytes.extend_from_slice(&chunk[..read]);
        }
        Ok(bytes)
    }

    fn pass_over(&mut self) -> Result<(), TarError> {
        let mut chunk = [0; 8 * BLOCK];
        self.rest = self
            .rest
            .checked_add(self.padding)
            .ok_or(TarError::Malformed("an entry is larger than everything"))?;
        self.padding = 0;
        while self.contents(&mut chunk)? > 0 {}
        Ok(())
    }

    /// The next header; none at the end.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.from.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(TarError::Malformed("it ends within a header")),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.position += BLOCK_BYTES;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        let blank: u64 = block[148..156].iter().map(|byte| u64::from(*byte)).sum();
        if number(&block[148..156])? != sum - blank + 8 * u64::from(b' ') {
            return Err(TarError::Malformed("a check sum is wrong"));
        }
        Ok(Some(block))
    }
}

impl Extended {
    /// `length key=value\n`, over and over; the length counts itself.
    fn read(&mut self, mut records: &[u8]) -> Result<(), TarError> {
        let malformed = || TarError::Malformed("an extended header is malformed");
        while !records.is_empty() {
            let space = records.iter().position(|b| *b == b' ').ok_or_else(malformed)?;
            let length = decimal(&records[..space]).ok_or_else(malformed)?;
            let length = usize::try_from(length).map_err(|_| malformed())?;
            let record = records.get(space + 1..length).ok_or_else(malformed)?;
            let record = record.strip_suffix(b"\n").ok_or_else(malformed)?;
            let equals = record.iter().position(|b| *b == b'=').ok_or_else(malformed)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.target = Some(value.to_vec()),
                b"size" => self.size = Some(decimal(value).ok_or_else(malformed)?),
                b"mtime" => {
                    let whole = value.split(|b| *b == b'.').next().unwrap_or_default();
                    self.mtime = decimal(whole).map(seconds);
                }
                key if key.starts_with(b"GNU.sparse") => {
                    return Err(TarError::Malformed("it has a sparse file"));
                }
                _ => {}
            }
            records = &records[length..];
        }
        Ok(())
    }
}

/// A time that no clock shows is taken for the oldest.
fn seconds(number: u64) -> i64 {
    i64::try_from(number).ok().filter(|seconds| *seconds < 1 << 40).unwrap_or_default()
}

fn decimal(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?.parse().ok()
}

/// Up to the first NUL.
fn text(field: &[u8]) -> Vec<u8> {
    field.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

/// The name, behind the prefix that ustar has for longer ones. GNU keeps other things there.
fn name(header: &[u8; BLOCK]) -> Vec<u8> {
    let name = text(&header[..100]);
    let prefix = text(&header[345..500]);
    if &header[257..263] != b"ustar\0" || prefix.is_empty() {
        return name;
    }
    [prefix, name].join(&b'/')
}

/// Octal digits, or a large number's bytes behind a marking bit.
fn number(field: &[u8]) -> Result<u64, TarError> {
    let malformed = || TarError::Malformed("a number is malformed");
    if field.first().is_some_and(|byte| byte & 0x80 != 0) {
        let (high, low) = field.split_at(field.len() - 8);
        // Larger numbers and negative ones are nothing that these fields are for.
        if high != [0x80, 0, 0, 0] {
            return Err(malformed());
        }
        let low: [u8; 8] = low.try_into().map_err(|_| malformed())?;
        return Ok(u64::from_be_bytes(low));
    }
    let digits = field.split(|byte| *byte == 0).next().unwrap_or_default();
    let digits = digits.trim_ascii();
    digits.iter().try_fold(0_u64, |number, digit| match digit {
        b'0'..=b'7' => number
            .checked_mul(8)
            .and_then(|number| number.checked_add(u64::from(digit - b'0')))
            .ok_or_else(malformed),
        _ => Err(malformed()),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A header as GNU tar writes it, with its contents.
    pub(crate) fn entry(name: &[u8], kind: u8, target: &[u8], contents: &[u8]) -> Vec<u8> {
        let mut header = [0; BLOCK];
        header[..name.len()].copy_from_slice(name);
        header[100..108].copy_from_slice(b"0000755\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", contents.len()).as_bytes());
        header[136..148].copy_from_slice(b"00000000007\0");
        header[156] = kind;
        header[157..157 + target.len()].copy_from_slice(target);
        header[257..265].copy_from_slice(b"ustar\x0000");
        seal(&mut header);
        let mut bytes = header.to_vec();
        bytes.extend_from_slice(contents);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    fn seal(header: &mut [u8; BLOCK]) {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }

    /// What a reader makes of an archive, a line for each entry.
    fn read(archive: &[u8]) -> String {
        let mut reader = Reader::new(archive);
        let mut lines = Vec::new();
        loop {
            match reader.next() {
                Ok(None) => return lines.join("; "),
                Err(error) => return format!("{}: {error}", lines.join("; ")),
                Ok(Some(entry)) => {
                    let path = String::from_utf8_lossy(&entry.path).into_owned();
                    let short = if path.len() > 99 { format!("{}…", path.len()) } else { path };
                    let target = String::from_utf8_lossy(&entry.target).into_owned();
                    let Entry { kind, size, mtime, .. } = entry;
                    lines.push(format!("{kind:?} {short} {target} {size} {mtime}"));
                }
            }
        }
    }

    #[test]
    fn entries_are_read_with_their_contents_and_padding() {
        let archive = [
            entry(b"d/", b'5', b"", b""),
            entry(b"d/f", b'0', b"", b"contents"),
            entry(b"l", b'2', b"d/f", b""),
            entry(b"h", b'1', b"d/f", b""),
            entry(b"old/", 0, b"", b""),
            entry(b"null", b'3', b"", b""),
            vec![0; 1_024],
            entry(b"behind the end", b'0', b"", b""),
        ]
        .concat();
        assert_eq!(
            read(&archive),
            "Directory d/  0 7; File d/f  8 7; SymbolicLink l d/f 0 7; HardLink h d/f 0 7; \
             Directory old/  0 7; Special null  0 7"
        );
        let mut reader = Reader::new(archive.as_slice());
        reader.next().unwrap();
        reader.next().unwrap();
        let mut out = [0; 16];
        assert_eq!(reader.contents(&mut out).unwrap(), 8);
        assert_eq!(&out[..8], b"contents");
        assert_eq!(reader.contents(&mut out).unwrap(), 0);
    }

    #[test]
    fn long_names_come_in_two_ways() {
        let long = vec![b'n'; 200];
        let record = |key: &str, value: &[u8]| {
            let length = key.len() + value.len() + 3;
            // The length counts its own digits.
            let length = length + (length + 3).to_string().len();
            [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
        };
        let gnu = [
            entry(b"././@LongLink", b'L', b"", &[long.as_slice(), b"\0"].concat()),
            entry(b"././@LongLink", b'K', b"", b"target\0"),
            entry(b"short", b'2', b"no", b""),
        ];
        assert_eq!(read(&gnu.concat()), "SymbolicLink 200… target 0 7");
        let records = [record("path", &long), record("linkpath", b"t"), record("mtime", b"9.5")];
        let pax = [entry(b"x", b'x', b"", &records.concat()), entry(b"short", b'1', b"no", b"")];
        assert_eq!(read(&pax.concat()), "HardLink 200… t 0 9");
        let sparse = entry(b"x", b'x', b"", &record("GNU.sparse.major", b"1"));
        assert!(read(&sparse).ends_with("it has a sparse file"));
        let global = [entry(b"g", b'g', b"", &record("path", b"no")), entry(b"f", b'0', b"", b"")];
        assert_eq!(read(&global.concat()), "File f  0 7");
    }

    #[test]
    fn what_is_no_archive_is_told() {
        let whole = entry(b"f", b'0', b"", b"contents");
        assert!(read(&whole[..100]).ends_with("it ends within a header"));
        assert!(read(&whole[..515]).ends_with("it ends within an entry"));
        let mut changed = whole.clone();
        changed[0] ^= 1;
        assert!(read(&changed).ends_with("a check sum is wrong"));
        assert!(read(&entry(b"f", b'Z', b"", b"")).ends_with("an unknown type"));
        assert!(read(b"PK\x03\x04").ends_with("it ends within a header"));
        let mut huge = [0; BLOCK];
        huge.copy_from_slice(&entry(b"f", b'0', b"", b""));
        huge[124..128].copy_from_slice(&[0x80, 0, 0, 0]);
        huge[128..136].fill(0xff);
        seal(&mut huge);
        assert!(read(&huge).ends_with("larger than everything"), "{}", read(&huge));
        let mut header = [0; BLOCK];
        header.copy_from_slice(&entry(b"f", b'x', b"", b""));
        header[124..136].copy_from_slice(b"77777777777\0");
        seal(&mut header);
        assert!(read(&header).ends_with("an extended header is too long"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_read_for_ever(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            read(&bytes);
        }

        #[test]
        fn no_header_panics(fields in proptest::collection::vec(any::<u8>(), BLOCK), rest in 0_usize..2_000) {
            let mut header = [0; BLOCK];
            header.copy_from_slice(&fields);
            seal(&mut header);
            let mut archive = header.to_vec();
            archive.resize(BLOCK + rest, b'7');
            read(&archive);
        }

        #[test]
        fn no_extended_header_panics(records in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Extended::default().read(&records);
        }
    }
}
