//! Finds a zip file's central directory and bounds it, before anything else reads it.
//!
//! Readers differ in what they take a file for that has several end records, or a directory that
//! does not end where the end record begins. Here such a file is not a zip file, so the zip crate
//! cannot understand it differently, nor fall back to another record. Bytes before the archive
//! are allowed (self-extracting files have them), bytes after it are not.

use std::collections::HashSet;
use std::io::{self, Read, Seek, SeekFrom};

use dormouse_model::limits;

use crate::package::PackageError;

/// Bytes of the largest directory (ours): 335 for each of the most entries there may be.
const DIRECTORY_BYTES: u64 = 64 * 1024 * 1024;
/// Extra fields of one entry (ours). The zip crate keeps each as a value several times the size
/// of the smallest field, so without a limit small files would need much memory.
const EXTRA_FIELDS: usize = 8;

const END_SIGNATURE: &[u8; 4] = b"PK\x05\x06";
const END_BYTES: usize = 22;
const COMMENT_BYTES: usize = 65_535;
const LOCATOR_SIGNATURE: &[u8; 4] = b"PK\x06\x07";
const LOCATOR_BYTES: usize = 20;
const END64_SIGNATURE: &[u8; 4] = b"PK\x06\x06";
const END64_BYTES: usize = 56;
const HEADER_SIGNATURE: &[u8; 4] = b"PK\x01\x02";
const HEADER_BYTES: usize = 46;

/// Where the central directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Directory {
    /// Bytes before the archive.
    pub(super) archive_offset: u64,
    /// Where it starts in the file.
    pub(super) start: u64,
    /// Where it ends in the file.
    pub(super) end: u64,
    /// Entries it has.
    pub(super) entries: usize,
}

/// Finds the directory, counts its entries one by one and checks that they fill it exactly.
pub(super) fn find(file: &mut (impl Read + Seek)) -> Result<Directory, PackageError> {
    let length = file.seek(SeekFrom::End(0)).map_err(PackageError::Unreadable)?;
    let (end_at, end) = end_record(file, length)?;
    let directory = match end64_record(file, end_at, &end)? {
        Some(directory) => directory,
        None => from_end_record(end_at, &end)?,
    };
    scan(file, directory)?;
    Ok(directory)
}

/// The last end record of the file; its comment must end with the file.
fn end_record(
    file: &mut (impl Read + Seek),
    length: u64,
) -> Result<(u64, [u8; END_BYTES]), PackageError> {
    let tail_bytes = length.min((END_BYTES + COMMENT_BYTES) as u64);
    let tail_at = length - tail_bytes;
    let mut tail = Vec::new();
    seek(file, tail_at)?;
    file.take(tail_bytes).read_to_end(&mut tail).map_err(PackageError::Unreadable)?;
    let at = tail
        .windows(END_SIGNATURE.len())
        .rposition(|window| window == END_SIGNATURE)
        .ok_or(not_a_zip("it has no end record"))?;
    let record: [u8; END_BYTES] = tail
        .get(at..at + END_BYTES)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(not_a_zip("its end record is cut off"))?;
    if at + END_BYTES + usize::from(u16_at(&record, 20)) != tail.len() {
        return Err(not_a_zip("its end record does not end with the file"));
    }
    Ok((tail_at + at as u64, record))
}

fn from_end_record(end_at: u64, end: &[u8; END_BYTES]) -> Result<Directory, PackageError> {
    let entries = u16_at(end, 10);
    if u16_at(end, 4) != 0 || u16_at(end, 6) != 0 || u16_at(end, 8) != entries {
        return Err(not_a_zip("it is part of several"));
    }
    let start = end_at.checked_sub(u32_at(end, 12).into());
    let archive_offset = start.and_then(|start| start.checked_sub(u32_at(end, 16).into()));
    match (start, archive_offset) {
        (Some(start), Some(archive_offset)) => {
            Ok(Directory { archive_offset, start, end: end_at, entries: entries.into() })
        }
        _ => Err(not_a_zip("its directory begins outside of it")),
    }
}

/// The end record for large archives, if the usual one says it cannot hold the numbers and there
/// is one right before it.
fn end64_record(
    file: &mut (impl Read + Seek),
    end_at: u64,
    end: &[u8; END_BYTES],
) -> Result<Option<Directory>, PackageError> {
    let full =
        u16_at(end, 10) == u16::MAX || u32_at(end, 12) == u32::MAX || u32_at(end, 16) == u32::MAX;
    let Some(end64_at) = end_at.checked_sub((LOCATOR_BYTES + END64_BYTES) as u64) else {
        return Ok(None);
    };
    if !full {
        return Ok(None);
    }
    let mut bytes = [0; LOCATOR_BYTES + END64_BYTES];
    seek(file, end64_at)?;
    read_exact(file, &mut bytes)?;
    let (record, locator) = bytes.split_at(END64_BYTES);
    if !locator.starts_with(LOCATOR_SIGNATURE) {
        return Ok(None);
    }
    let entries = u64_at(record, 32);
    let whole = record.starts_with(END64_SIGNATURE)
        && u64_at(record, 4) == END64_BYTES as u64 - 12
        && u32_at(record, 16) == 0
        && u32_at(record, 20) == 0
        && u64_at(record, 24) == entries
        && u32_at(locator, 4) == 0
        && u32_at(locator, 16) <= 1;
    let archive_offset = end64_at.checked_sub(u64_at(locator, 8));
    let start = archive_offset.and_then(|offset| offset.checked_add(u64_at(record, 48)));
    match (archive_offset, start) {
        (Some(archive_offset), Some(start))
            if whole && start.checked_add(u64_at(record, 40)) == Some(end64_at) =>
        {
            Ok(Some(Directory {
                archive_offset,
                start,
                end: end64_at,
                entries: usize::try_from(entries).unwrap_or(usize::MAX),
            }))
        }
        _ => Err(not_a_zip("its zip64 end record is wrong")),
    }
}

/// The first name that is there for the second time.
pub(super) fn duplicate(
    file: &mut (impl Read + Seek),
    directory: Directory,
) -> Result<Vec<u8>, PackageError> {
    let mut at = directory.start;
    let mut seen = HashSet::new();
    for _ in 0..directory.entries {
        let mut header = [0; HEADER_BYTES];
        seek(file, at)?;
        read_exact(file, &mut header)?;
        let mut name = vec![0; u16_at(&header, 28).into()];
        read_exact(file, &mut name)?;
        if let Some(name) = seen.replace(name) {
            return Ok(name);
        }
        at += header_bytes(&header);
    }
    // Only names that extra fields give can be the same without being found here.
    Ok(Vec::new())
}

fn scan(file: &mut (impl Read + Seek), directory: Directory) -> Result<(), PackageError> {
    let limit = limits::PACKAGE_ENTRIES;
    if directory.entries > limit || directory.end - directory.start > DIRECTORY_BYTES {
        return Err(PackageError::TooManyEntries { limit });
    }
    let mut at = directory.start;
    let mut extra = Vec::new();
    for _ in 0..directory.entries {
        let mut header = [0; HEADER_BYTES];
        seek(file, at)?;
        read_exact(file, &mut header)?;
        if !header.starts_with(HEADER_SIGNATURE) {
            return Err(not_a_zip("its directory has fewer entries than it says"));
        }
        let (name, fields) = (u16_at(&header, 28), u16_at(&header, 30));
        seek(file, at + HEADER_BYTES as u64 + u64::from(name))?;
        extra.resize(fields.into(), 0);
        read_exact(file, &mut extra)?;
        check_extra(&extra)?;
        at += header_bytes(&header);
        if at > directory.end {
            return Err(not_a_zip("its directory is longer than it says"));
        }
    }
    if at == directory.end {
        Ok(())
    } else {
        Err(not_a_zip("its directory has more entries than it says"))
    }
}

/// Bytes of an entry in the directory, with what follows its header.
fn header_bytes(header: &[u8; HEADER_BYTES]) -> u64 {
    let following = [28, 30, 32].map(|at| u64::from(u16_at(header, at)));
    HEADER_BYTES as u64 + following.iter().sum::<u64>()
}

fn check_extra(mut extra: &[u8]) -> Result<(), PackageError> {
    let mut fields = 0;
    while let [_, _, low, high, rest @ ..] = extra {
        fields += 1;
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        extra = rest.get(length..).unwrap_or_default();
    }
    if fields > EXTRA_FIELDS {
        return Err(not_a_zip("an entry of it has too many extra fields"));
    }
    Ok(())
}

fn not_a_zip(reason: &'static str) -> PackageError {
    PackageError::NotAZip { reason }
}

fn seek(file: &mut impl Seek, to: u64) -> Result<(), PackageError> {
    file.seek(SeekFrom::Start(to)).map(|_| ()).map_err(PackageError::Unreadable)
}

fn read_exact(file: &mut impl Read, bytes: &mut [u8]) -> Result<(), PackageError> {
    file.read_exact(bytes).map_err(|error| {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            not_a_zip("its directory is cut off")
        } else {
            PackageError::Unreadable(error)
        }
    })
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
