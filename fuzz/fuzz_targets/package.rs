//! Any bytes as a package, or as a recipe for one that is right but for its names, modes and links
//! (a changed byte rarely leaves a check sum right, so those would hardly be reached): looking through it and unpacking it must agree, must not panic, must
//! write nothing outside the target, and must leave there only what was promised.
//!
//! In `fuzz/`: `cargo +nightly fuzz run package corpus/package seeds/package -- -max_len=4096`

#![no_main]

use std::fs::{self, File};
use std::io::Cursor;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use dormouse_store::package::{ExtractError, extract, inspect};
use libfuzzer_sys::fuzz_target;

/// Unzipped bytes that are written at most: a fuzzer should not spend its time on disk.
const LIMIT_BYTES: u64 = 1024 * 1024;

/// Holds `secret` and, during a run, `target`. In memory where the machine has such a place.
static AROUND: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let directory = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    // The fuzzer ends by exiting, so nothing would remove it: each run leaves one file behind,
    // and the directory is removed by whoever started the fuzzer.
    let path = directory.expect("a temporary directory").keep();
    fs::write(path.join("secret"), "do not touch").expect("a file in it");
    fs::canonicalize(path).expect("it exists")
});

fuzz_target!(|input: &[u8]| {
    match input {
        [b'R', recipe @ ..] => check(&cook(recipe)),
        package => check(package),
    }
});

fn check(package: &[u8]) {
    let inspected = inspect(Cursor::new(package));
    let target = AROUND.join("target");
    fs::create_dir(&target).expect("no target is left of the last run");
    let handle = File::open(&target).expect("the target can be opened");
    let extracted = extract(Cursor::new(package), handle.as_fd(), LIMIT_BYTES);
    match (&inspected, &extracted) {
        (Ok(one), Ok(two)) => assert_eq!(one, two),
        (Err(one), Err(ExtractError::Package(two))) => {
            assert!(one.to_string() == two.to_string() || two.is_too_large());
        }
        (Ok(_), Err(ExtractError::Package(two))) => assert!(two.is_too_large(), "{two}"),
        other => panic!("{other:?}"),
    }
    check_inside(&target);
    fs::remove_dir_all(&target).expect("the target can be removed");
    check_outside();
}

/// Only files, directories and links, with the modes they were promised.
fn check_inside(directory: &Path) {
    for entry in fs::read_dir(directory).expect("a directory can be listed") {
        let path = entry.expect("an entry").path();
        let meta = fs::symlink_metadata(&path).expect("an entry can be looked at");
        let mode = meta.permissions().mode();
        match meta.file_type() {
            t if t.is_dir() => {
                assert_eq!(mode, 0o040_755);
                check_inside(&path);
            }
            t if t.is_symlink() => check_link(&path),
            _ => assert!(matches!(mode, 0o100_644 | 0o100_755), "{mode:o}"),
        }
    }
}

/// Asks the system for every step of a link's way: as far as there is one, it must be inside.
fn check_link(path: &Path) {
    let target = fs::read_link(path).expect("a link can be read");
    assert!(target.is_relative());
    let mut at = path.parent().expect("a link is in a directory").to_path_buf();
    for name in target.iter() {
        at.push(name);
        let Ok(end) = fs::canonicalize(&at) else {
            return;
        };
        assert!(end.starts_with(AROUND.join("target")), "{path:?} -> {target:?}");
    }
}

fn check_outside() {
    let names: Vec<_> = fs::read_dir(&*AROUND)
        .expect("the directory can be listed")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["secret"]);
    let secret = fs::read(AROUND.join("secret")).expect("the file is there");
    assert_eq!(secret, b"do not touch");
}

/// Makes a package of entries `mode, name length, name, data length, data`, all from few choices.
fn cook(recipe: &[u8]) -> Vec<u8> {
    const MODES: [u32; 8] =
        [0, 0o100_644, 0o100_755, 0o040_755, 0o120_777, 0o120_777, 0o104_755, 0o020_666];
    let (mut package, mut directory, mut count) = (Vec::new(), Vec::new(), 0u16);
    let mut rest = recipe.iter().copied();
    while let (Some(mode), Some(name)) = (rest.next(), rest.next()) {
        let name: Vec<u8> = rest.by_ref().take((name % 12).into()).map(letter).collect();
        let length = rest.next().unwrap_or_default() % 16;
        let data: Vec<u8> = rest.by_ref().take(length.into()).map(letter).collect();
        let start = u32::try_from(package.len()).expect("recipes are short");
        let mut common = vec![0, 0, 0, 0, 0x05, 0x39, 0xa6, 0x58];
        common.extend(crc32(&data).to_le_bytes());
        for _ in ["zipped", "unzipped"] {
            common.extend([data.len() as u8, 0, 0, 0]);
        }
        common.extend([name.len() as u8, 0, 0, 0]);
        package.extend(b"PK\x03\x04\x14\0");
        package.extend([&common[..], &name, &data].concat());
        directory.extend(b"PK\x01\x02\x14\x03\x14\0");
        directory.extend([&common[..], &[0; 6]].concat());
        directory.extend((MODES[usize::from(mode) % MODES.len()] << 16).to_le_bytes());
        directory.extend(start.to_le_bytes());
        directory.extend(name);
        count += 1;
    }
    let start = u32::try_from(package.len()).expect("recipes are short");
    let size = u32::try_from(directory.len()).expect("recipes are short");
    package.extend(directory);
    package.extend(b"PK\x05\x06\0\0\0\0");
    package.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    package.extend([size.to_le_bytes(), start.to_le_bytes()].concat());
    package.extend([0, 0]);
    package
}

fn letter(byte: u8) -> u8 {
    b"abcdd//..../\\\0:\xff"[usize::from(byte) % 16]
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    })
}
