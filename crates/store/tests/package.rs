//! Packages as an attacker would make them, and as honest tools do: each is looked through and
//! unpacked, and the tree around the target is compared before and after.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Cursor, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use dormouse_model::limits;
use dormouse_store::package::{ExtractError, PackageError, Summary, extract, inspect};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use raw::{Archive, Raw};

/// Writes zip files byte by byte, wrong ones too.
mod raw {
    #[derive(Clone)]
    pub(super) struct Raw {
        pub(super) name: Vec<u8>,
        pub(super) mode: u32,
        pub(super) data: Vec<u8>,
        pub(super) method: u16,
        pub(super) flags: u16,
        pub(super) system: u8,
        pub(super) size: u32,
        pub(super) crc: u32,
        pub(super) extra: Vec<u8>,
        /// Points at this entry's local header instead of having one.
        pub(super) same_as: Option<usize>,
    }

    pub(super) fn entry(name: impl AsRef<[u8]>, mode: u32, data: impl AsRef<[u8]>) -> Raw {
        let data = data.as_ref().to_vec();
        Raw {
            name: name.as_ref().to_vec(),
            mode,
            method: 0,
            flags: 0,
            system: 3,
            size: u32::try_from(data.len()).unwrap(),
            crc: crc32(&data),
            extra: Vec::new(),
            same_as: None,
            data,
        }
    }

    #[derive(Default)]
    pub(super) struct Archive {
        pub(super) entries: Vec<Raw>,
        pub(super) before: Vec<u8>,
        pub(super) comment: Vec<u8>,
        pub(super) zip64: bool,
        /// What is said instead of the number of entries.
        pub(super) count: Option<u16>,
    }

    impl Archive {
        pub(super) fn of(entries: impl IntoIterator<Item = Raw>) -> Self {
            Self { entries: entries.into_iter().collect(), ..Self::default() }
        }

        pub(super) fn bytes(&self) -> Vec<u8> {
            let mut out = self.before.clone();
            let mut offsets = Vec::new();
            for entry in &self.entries {
                let here = u32::try_from(out.len() - self.before.len()).unwrap();
                offsets.push(entry.same_as.map_or(here, |index| offsets[index]));
                if entry.same_as.is_none() {
                    local(entry, &mut out);
                }
            }
            let start = out.len() - self.before.len();
            for (entry, offset) in self.entries.iter().zip(offsets) {
                central(entry, offset, &mut out);
            }
            let size = out.len() - self.before.len() - start;
            let (count, mut size, mut start) = (self.entries.len(), size as u64, start as u64);
            if self.zip64 {
                let at = out.len() - self.before.len();
                out.extend(b"PK\x06\x06");
                out.extend(44u64.to_le_bytes());
                out.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
                for n in [count as u64, count as u64, size, start] {
                    out.extend(n.to_le_bytes());
                }
                out.extend(b"PK\x06\x07\0\0\0\0");
                out.extend((at as u64).to_le_bytes());
                out.extend(1u32.to_le_bytes());
                (size, start) = (u32::MAX.into(), u32::MAX.into());
            }
            let count = u16::try_from(count).unwrap_or(u16::MAX);
            let count = self.count.unwrap_or(if self.zip64 { u16::MAX } else { count });
            out.extend(b"PK\x05\x06\0\0\0\0");
            out.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
            out.extend(u32::try_from(size).unwrap().to_le_bytes());
            out.extend(u32::try_from(start).unwrap().to_le_bytes());
            out.extend(u16::try_from(self.comment.len()).unwrap().to_le_bytes());
            out.extend(&self.comment);
            out
        }
    }

    fn local(entry: &Raw, out: &mut Vec<u8>) {
        let streamed = entry.flags & 8 != 0;
        let stored = u32::try_from(entry.data.len()).unwrap();
        let (crc, stored, size) = match streamed {
            true => (0, 0, 0),
            false => (entry.crc, stored, entry.size),
        };
        out.extend(b"PK\x03\x04\x14\0");
        common(entry, crc, stored, size, out);
        out.extend(0u16.to_le_bytes());
        out.extend(&entry.name);
        out.extend(&entry.data);
        if streamed {
            out.extend(b"PK\x07\x08");
            out.extend(entry.crc.to_le_bytes());
            out.extend(u32::try_from(entry.data.len()).unwrap().to_le_bytes());
            out.extend(entry.size.to_le_bytes());
        }
    }

    fn central(entry: &Raw, offset: u32, out: &mut Vec<u8>) {
        out.extend(b"PK\x01\x02\x1e");
        out.push(entry.system);
        out.extend(20u16.to_le_bytes());
        let stored = u32::try_from(entry.data.len()).unwrap();
        common(entry, entry.crc, stored, entry.size, out);
        out.extend(u16::try_from(entry.extra.len()).unwrap().to_le_bytes());
        out.extend([0; 6]);
        out.extend((entry.mode << 16).to_le_bytes());
        out.extend(offset.to_le_bytes());
        out.extend(&entry.name);
        out.extend(&entry.extra);
    }

    fn common(entry: &Raw, crc: u32, stored: u32, size: u32, out: &mut Vec<u8>) {
        out.extend(entry.flags.to_le_bytes());
        out.extend(entry.method.to_le_bytes());
        // 2024-05-06 07:08:10.
        out.extend([0x05, 0x39, 0xa6, 0x58]);
        out.extend(crc.to_le_bytes());
        out.extend(stored.to_le_bytes());
        out.extend(size.to_le_bytes());
        out.extend(u16::try_from(entry.name.len()).unwrap().to_le_bytes());
    }

    pub(super) fn crc32(data: &[u8]) -> u32 {
        !data.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
        })
    }
}

fn file(name: impl AsRef<[u8]>) -> Raw {
    raw::entry(name, 0o100_644, b"hello")
}

fn link(name: &str, target: impl AsRef<[u8]>) -> Raw {
    raw::entry(name, 0o120_777, target)
}

fn zip(entries: impl IntoIterator<Item = Raw>) -> Vec<u8> {
    Archive::of(entries).bytes()
}

/// Everything below a directory, so that any change shows.
fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let what = match meta.file_type() {
                t if t.is_dir() => "dir".to_owned(),
                t if t.is_symlink() => format!("-> {}", fs::read_link(&path).unwrap().display()),
                _ => format!("{:?}", fs::read(&path).unwrap()),
            };
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let (mode, links) = (meta.permissions().mode(), meta.nlink());
            found.insert(name, format!("{mode:o} {links} {} {what}", meta.mtime()));
            if meta.is_dir() {
                open.push(path);
            }
        }
    }
    found
}

/// Unpacks a package with things around that must not change; gives what is in the target.
fn unpack(package: &[u8]) -> (Result<Summary, ExtractError>, BTreeMap<String, String>) {
    let around = tempfile::tempdir().unwrap();
    fs::write(around.path().join("secret"), "do not touch").unwrap();
    fs::write(around.path().join("etc"), "nor this").unwrap();
    fs::create_dir(around.path().join("outside")).unwrap();
    let target = tempfile::tempdir_in(around.path()).unwrap();
    let outside = |name: &str| !Path::new(name).starts_with(target.path().file_name().unwrap());
    let keep = |mut all: BTreeMap<String, String>| {
        all.retain(|name, _| outside(name));
        all
    };
    let before = keep(tree(around.path()));
    let handle = File::open(target.path()).unwrap();
    let result = extract(Cursor::new(package), handle.as_fd(), limits::UNZIPPED_BYTES);
    assert_eq!(before, keep(tree(around.path())), "outside changed");
    (result, tree(target.path()))
}

fn refused(package: &[u8], expected: &str) {
    let inspected = inspect(Cursor::new(package)).expect_err(expected);
    let got = format!("{inspected}");
    assert!(got.contains(expected), "got {got:?}, wanted {expected:?}");
    assert!(!inspected.is_platform());
    match unpack(package).0 {
        Err(ExtractError::Package(error)) => assert_eq!(error.to_string(), got),
        other => panic!("unpacked: {other:?}"),
    }
}

fn accepted(package: &[u8]) -> BTreeMap<String, String> {
    let inspected = inspect(Cursor::new(package)).unwrap();
    let (extracted, found) = unpack(package);
    assert_eq!(inspected, extracted.unwrap());
    found
}

fn names(found: &BTreeMap<String, String>) -> Vec<&str> {
    found.keys().map(String::as_str).collect()
}

#[test]
fn names_that_lead_outside_are_refused() {
    for name in [
        "../outside/x",
        "..",
        "a/../../secret",
        "/etc/passwd",
        "//etc",
        "a//b",
        "..\\secret",
        "a\\..\\..\\secret",
        "C:\\x",
        "C:/x",
        "a\0b",
        "",
        ".",
    ] {
        refused(&zip([file("ok"), file(name)]), "path ");
    }
    refused(&zip([file([b'a'; 256])]), "too long");
    refused(&zip([file(b"a/".repeat(2_000))]), "too long");
}

#[test]
fn a_name_in_an_extra_field_is_held_to_the_same_rules() {
    let mut sly = file("innocent");
    let path = b"../secret";
    sly.extra = [0x75u8, 0x70].to_vec();
    sly.extra.extend(u16::try_from(5 + path.len()).unwrap().to_le_bytes());
    sly.extra.push(1);
    sly.extra.extend(raw::crc32(b"innocent").to_le_bytes());
    sly.extra.extend(path);
    refused(&zip([sly]), "path \"../secret\"");
}

#[test]
fn links_that_lead_outside_are_refused() {
    for target in [
        "/etc/passwd",
        "..",
        "../secret",
        "a/../../secret",
        "d/../..",
        "missing/../..",
        "./../x",
        "",
        "a\0b",
    ] {
        let package = zip([raw::entry("d/", 0o040_755, b""), link("l", target)]);
        refused(&package, "link ");
    }
    refused(&zip([link("l", [b'a'; 5_000])]), "too long");
}

#[test]
fn links_that_lead_outside_through_others_are_refused() {
    // d/up is the package itself, so d/up/.. is outside although d/up/../.. looks deep enough.
    let package = zip([link("d/e/up", "../.."), link("d/e/out", "up/../x")]);
    refused(&package, "leaves the package");
    let package = zip([link("out", "d/e/up/../x"), link("d/e/up", "../..")]);
    refused(&package, "leaves the package");
    refused(&zip([link("a", "b"), link("b", "a")]), "too many links");
    refused(&zip([link("a", "a/a/a/a")]), "too many links");
    let chain = (0..60).map(|i| link(&format!("l{i}"), format!("l{}", i + 1)));
    refused(&zip(chain), "too many links");
}

#[test]
fn nothing_is_written_through_a_link() {
    refused(&zip([link("d", "."), file("d/x")]), "something else");
    refused(&zip([file("d/x"), link("d", "e")]), "something else");
    refused(&zip([link("x", "y"), file("x")]), "appears twice");
    refused(&zip([link("x", "y"), file("./x")]), "appears twice");
}

#[test]
fn links_inside_are_kept() {
    let found = accepted(&zip([
        link("lib/libx.so", "libx.so.1"),
        link("lib/libx.so.1", "../real/./libx.so.1.2"),
        file("real/libx.so.1.2"),
        link("current", "real"),
        link("dangling", "nowhere/at/all"),
        link("through", "current/libx.so.1.2"),
    ]));
    assert!(found["lib/libx.so"].ends_with("-> libx.so.1"));
    assert!(found["current"].ends_with("-> real"));
    assert!(found["dangling"].ends_with("-> nowhere/at/all"));
}

#[test]
fn what_is_no_file_is_refused() {
    for mode in [0o010_644, 0o020_666, 0o060_666, 0o140_755, 0o160_000] {
        for system in [0, 3, 19] {
            let mut odd = raw::entry("x", mode, b"");
            odd.system = system;
            refused(&zip([odd]), "forbidden type");
        }
    }
    for mode in [0o104_755, 0o102_755, 0o106_755] {
        refused(&zip([raw::entry("x", mode, b"")]), "setuid");
    }
    let full = raw::entry("d/", 0o040_755, b"contents");
    refused(&zip([full]), "a directory has contents");
}

#[test]
fn duplicates_and_contradictions_are_refused() {
    refused(&zip([file("b"), file("a"), file("a")]), "\"a\" appears twice");
    refused(&zip([file("a/b"), file("./a/b")]), "twice");
    refused(&zip([file("a"), file("a/b")]), "something else");
    refused(&zip([file("a/b"), file("a")]), "something else");
    refused(&zip([file("a"), raw::entry("a/", 0o040_755, b"")]), "something else");
}

#[test]
fn names_that_differ_in_case_are_two_files() {
    assert_eq!(names(&accepted(&zip([file("A"), file("a")]))), ["A", "a"]);
}

#[test]
fn what_cannot_be_decompressed_is_refused() {
    let mut locked = file("x");
    locked.flags = 1;
    refused(&zip([locked]), "encrypted");
    for method in [1, 9, 12, 14, 93, 95, 99, 4_711] {
        let mut odd = file("x");
        odd.method = method;
        refused(&zip([odd]), "compressed by");
    }
    let mut wrong = file("x");
    wrong.crc ^= 1;
    refused(&zip([wrong]), "checksum");
    let mut noise = file("x");
    noise.method = 8;
    refused(&zip([noise]), "corrupt");
}

#[test]
fn sizes_that_lie_are_refused() {
    for size in [0, 4, 6, 1_000_000, u32::MAX - 1] {
        let mut liar = file("x");
        liar.size = size;
        refused(&zip([liar]), "corrupt");
    }
}

#[test]
fn entries_that_share_bytes_are_refused() {
    let mut twin = file("twin");
    twin.same_as = Some(0);
    refused(&zip([file("x"), twin]), "overlap");
    let inner = zip([file("inner")]);
    let mut outer = raw::entry("outer", 0o100_644, &inner);
    outer.name = b"outer".to_vec();
    // The directory has a second entry for the local header inside the first one's bytes.
    let mut archive = Archive::of([outer, file("inner")]);
    archive.entries[1].same_as = Some(0);
    refused(&archive.bytes(), "overlap");
}

#[test]
fn a_file_that_is_no_zip_file_is_refused() {
    refused(b"", "not a zip");
    refused(b"hello", "not a zip");
    refused(b"PK\x05\x06", "not a zip");
    refused(&[0; 100_000], "not a zip");
    let good = zip([file("a"), file("b")]);
    for length in 0..good.len() {
        assert!(inspect(Cursor::new(&good[..length])).is_err(), "{length}");
    }
    refused(&[&good[..], b"garbage"].concat(), "does not end with the file");
    refused(&[&good[..], &good[..20]].concat(), "does not end with the file");
    for count in [0, 1, 3, 60_000] {
        let mut archive = Archive::of([file("a"), file("b")]);
        archive.count = Some(count);
        refused(&archive.bytes(), "its directory");
    }
    let mut second = Archive::of([file("a")]);
    second.comment = zip([file("b")]);
    second.comment.push(0);
    refused(&second.bytes(), "does not end with the file");
}

#[test]
fn an_empty_zip_file_is_named_as_such() {
    let error = inspect(Cursor::new(zip([]))).unwrap_err();
    assert!(error.is_empty() && !error.is_too_large());
    refused(&zip([]), "no entries");
}

#[test]
fn a_bad_byte_anywhere_never_panics_nor_escapes() {
    let good = zip([file("a/b"), link("a/l", "b"), raw::entry("x", 0o100_755, b"#!")]);
    for at in 0..good.len() {
        for bits in [1, 0x10, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= bits;
            let inspected = inspect(Cursor::new(&bad)).map_err(|error| error.to_string());
            let extracted = unpack(&bad).0.map_err(|error| error.to_string());
            assert_eq!(inspected, extracted, "byte {at}");
        }
    }
}

#[test]
fn too_many_entries_are_refused() {
    let many = Archive {
        zip64: true,
        ..Archive::of((0..1_000_000).map(|i| raw::entry(format!("{i}"), 0o100_644, b"")))
    };
    let error = inspect(Cursor::new(many.bytes())).unwrap_err();
    assert!(matches!(error, PackageError::TooManyEntries { limit: 200_000 }));
}

#[test]
fn directories_that_are_only_implied_count_as_entries() {
    let deep = (0..150).map(|i| file(format!("{i}/{}x", "d/".repeat(1_500))));
    let error = inspect(Cursor::new(zip(deep))).unwrap_err();
    assert!(matches!(error, PackageError::TooManyEntries { limit: 200_000 }));
}

#[test]
fn a_deep_path_is_unpacked() {
    let deep = format!("{}x", "d/".repeat(1_500));
    let package = zip([file(&deep), file(format!("{}y", "d/".repeat(1_499)))]);
    let target = tempfile::tempdir().unwrap();
    let handle = File::open(target.path()).unwrap();
    extract(Cursor::new(&package), handle.as_fd(), 10).unwrap();
    assert_eq!(fs::read(target.path().join(deep)).unwrap(), b"hello");
}

#[test]
fn a_bomb_is_refused() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let zeros = vec![0; 1 << 20];
    for i in 0..26 {
        writer.start_file(format!("{i}"), options).unwrap();
        (0..10).for_each(|_| writer.write_all(&zeros).unwrap());
    }
    let bomb = writer.finish().unwrap().into_inner();
    assert!(bomb.len() < 1_000_000);
    let error = inspect(Cursor::new(&bomb)).unwrap_err();
    assert!(error.is_too_large(), "{error}");
}

#[test]
fn a_limit_is_the_last_size_that_is_let_through() {
    let target = tempfile::tempdir().unwrap();
    let handle = File::open(target.path()).unwrap();
    let package = zip([file("a"), file("b")]);
    match extract(Cursor::new(&package), handle.as_fd(), 9) {
        Err(ExtractError::Package(PackageError::TooLarge { limit_bytes: 9 })) => {}
        other => panic!("{other:?}"),
    }
    let target = tempfile::tempdir().unwrap();
    let handle = File::open(target.path()).unwrap();
    extract(Cursor::new(package), handle.as_fd(), 10).unwrap();
}

#[test]
fn what_is_already_in_the_target_is_not_overwritten() {
    let target = tempfile::tempdir().unwrap();
    let handle = File::open(target.path()).unwrap();
    let package = zip([file("a")]);
    extract(Cursor::new(&package), handle.as_fd(), 10).unwrap();
    let again = extract(Cursor::new(&package), handle.as_fd(), 10).unwrap_err();
    assert!(matches!(again, ExtractError::Write { .. }), "{again:?}");
    std::os::unix::fs::symlink("/tmp", target.path().join("d")).unwrap();
    let through = extract(Cursor::new(zip([file("d/x")])), handle.as_fd(), 10).unwrap_err();
    assert!(matches!(through, ExtractError::Write { .. }), "{through:?}");
}

#[test]
fn modes_are_made_readable_and_executables_stay_so() {
    let found = accepted(&zip([
        raw::entry("bootstrap", 0o100_700, b"#!"),
        raw::entry("written-by-python", 0o000_600, b""),
        raw::entry("no-mode", 0, b""),
        raw::entry("for-all", 0o100_777, b""),
        raw::entry("private/", 0o040_700, b""),
        raw::entry("shared/", 0o042_775, b""),
        raw::entry("implied/x", 0o100_444, b""),
    ]));
    let mode = |name: &str| found[name].split(' ').next().unwrap().to_owned();
    assert_eq!(mode("bootstrap"), "100755");
    assert_eq!(mode("written-by-python"), "100644");
    assert_eq!(mode("no-mode"), "100644");
    assert_eq!(mode("for-all"), "100755");
    assert_eq!(mode("private"), "40755");
    assert_eq!(mode("shared"), "40755");
    assert_eq!(mode("implied"), "40755");
    assert_eq!(mode("implied/x"), "100644");
}

#[test]
fn times_are_kept() {
    let mut exact = file("exact");
    exact.extra = [b"UT\x05\0\x01".as_slice(), &1_700_000_001u32.to_le_bytes()].concat();
    let found = accepted(&zip([
        exact,
        file("usual/x"),
        raw::entry("dir/", 0o040_755, b""),
        file("dir/y"),
        link("l", "dir"),
    ]));
    let time = |name: &str| found[name].split(' ').nth(2).unwrap().to_owned();
    assert_eq!(time("exact"), "1700000001");
    assert_eq!(time("usual/x"), "1714979290");
    assert_eq!(time("dir"), "1714979290");
    assert_eq!(time("l"), "1714979290");
    assert_eq!(time("usual"), "315532800");
}

#[test]
fn every_honest_form_is_read() {
    let good = [file("a"), file("d/b")];
    let plain = accepted(&zip(good.clone()));
    assert_eq!(names(&plain), ["a", "d", "d/b"]);
    let zip64 = Archive { zip64: true, ..Archive::of(good.clone()) };
    assert_eq!(accepted(&zip64.bytes()), plain);
    let comment = Archive { comment: vec![b'c'; 65_535], ..Archive::of(good.clone()) };
    assert_eq!(accepted(&comment.bytes()), plain);
    for zip64 in [false, true] {
        let before = b"#!/bin/sh\nexec something\n".repeat(1_000);
        let archive = Archive { before, zip64, ..Archive::of(good.clone()) };
        assert_eq!(accepted(&archive.bytes()), plain);
    }
    let mut streamed = good;
    streamed[0].flags = 8;
    assert_eq!(accepted(&zip(streamed)), plain);
    let inner = zip([file("x")]);
    let nested = raw::entry("inner.zip", 0o100_644, inner);
    assert_eq!(names(&accepted(&zip([nested]))), ["inner.zip"]);
    assert_eq!(names(&accepted(&zip([file(b"caf\x82")]))), ["café"]);
}

#[test]
fn stored_and_deflated_contents_come_out_the_same() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let data: Vec<u8> = (0..300_000u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let options = SimpleFileOptions::default().compression_method(method);
        writer.start_file(method.to_string(), options).unwrap();
        writer.write_all(&data).unwrap();
    }
    let package = writer.finish().unwrap().into_inner();
    let target = tempfile::tempdir().unwrap();
    let handle = File::open(target.path()).unwrap();
    let summary = extract(Cursor::new(&package), handle.as_fd(), limits::UNZIPPED_BYTES).unwrap();
    assert_eq!(summary, inspect(Cursor::new(&package)).unwrap());
    assert_eq!((summary.entries, summary.unzipped_bytes), (2, 2 * data.len() as u64));
    for name in ["Stored", "Deflated"] {
        assert_eq!(fs::read(target.path().join(name)).unwrap(), data);
    }
}

#[test]
fn a_disk_error_is_not_blamed_on_the_package() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("disk on fire"))
        }
    }
    impl std::io::Seek for Broken {
        fn seek(&mut self, _: std::io::SeekFrom) -> std::io::Result<u64> {
            Ok(1_000)
        }
    }
    assert!(inspect(Broken).unwrap_err().is_platform());
}

/// Not a test of anything but time: run it with `--release --ignored --nocapture`.
#[test]
#[ignore = "prints how long the largest packages take"]
#[expect(clippy::disallowed_methods, reason = "it measures")]
fn the_largest_packages_take() {
    let mut seed = 1u32;
    let mut word = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed >> 24
    };
    // Half random, half repeated: about as compressible as code.
    let text: Vec<u8> =
        (0..1 << 20).map(|i| if i % 64 < 32 { word().to_le_bytes()[0] } else { b'x' }).collect();
    for (files, bytes, method) in [
        (250, 1 << 20, CompressionMethod::Deflated),
        (250, 1 << 20, CompressionMethod::Stored),
        (25_000, 10_485, CompressionMethod::Deflated),
        (199_000, 1_000, CompressionMethod::Stored),
    ] {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(method);
        for i in 0..files {
            writer.start_file(format!("{}/{i}.py", i % 100), options).unwrap();
            writer.write_all(&text[..bytes]).unwrap();
        }
        let package = writer.finish().unwrap().into_inner();
        let start = std::time::Instant::now();
        inspect(Cursor::new(&package)).unwrap();
        let inspected = start.elapsed();
        let target = tempfile::tempdir().unwrap();
        let handle = File::open(target.path()).unwrap();
        let start = std::time::Instant::now();
        extract(Cursor::new(&package), handle.as_fd(), limits::UNZIPPED_BYTES).unwrap();
        println!(
            "{files} files of {bytes} bytes, {method}, {} MB zipped: inspect {inspected:?}, extract {:?}",
            package.len() >> 20,
            start.elapsed(),
        );
    }
}

/// As above, for packages made to be slow or to need much memory.
#[test]
#[ignore = "prints how long the worst packages take"]
#[expect(clippy::disallowed_methods, reason = "it measures")]
fn the_worst_packages_take() {
    let fields = [[0x99, 0x99, 0, 0]; 8].concat();
    let deep = "d/".repeat(1_500);
    let cases: [(&str, Vec<Raw>); 4] = [
        ("deep paths", (0..20_000).map(|i| file(format!("{deep}{i}"))).collect()),
        (
            "long links",
            (0..10_000)
                .map(|i| link(&format!("{i}"), format!("{}{}", "./".repeat(2_000), i + 1)))
                .collect(),
        ),
        (
            "links to one directory",
            (0..10_000)
                .map(|i| link(&format!("d/{i}"), format!("{}x", "../d/".repeat(800))))
                .collect(),
        ),
        (
            "extra fields",
            (0..190_000)
                .map(|i| Raw {
                    extra: fields.clone(),
                    ..raw::entry(format!("{i}"), 0o100_644, b"")
                })
                .collect(),
        ),
    ];
    for (what, entries) in cases {
        let package = Archive { zip64: true, ..Archive::of(entries) }.bytes();
        let start = std::time::Instant::now();
        let result = inspect(Cursor::new(&package)).map_err(|error| {
            let mut text = error.to_string();
            text.truncate(40);
            text
        });
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        println!(
            "{what}, {} MB zipped: {:?}, {peak}, {result:?}",
            package.len() >> 20,
            start.elapsed()
        );
    }
}
