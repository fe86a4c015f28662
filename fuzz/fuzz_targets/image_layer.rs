//! Any bytes as a layer of an image, or as a recipe for one whose check sums are right (a changed byte
//! rarely leaves them so): unpacking it must not panic, must write nothing outside the target, and must leave there
//! only files, directories, links, and the devices without a number by which a layer removes things.
//!
//! In `fuzz/`: `cargo +nightly fuzz run image_layer corpus/image_layer seeds/image_layer -- -max_len=4096`
//! (as root, who alone may make those devices).

#![no_main]

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use dormouse_model::image::LayerForm;
use dormouse_store::image::unpack;
use libfuzzer_sys::fuzz_target;

/// Bytes that are written at most: a fuzzer should not spend its time on disk.
const LIMIT_BYTES: u64 = 1024 * 1024;
const BLOCK: usize = 512;

/// Holds `secret` and, during a run, `target`.
static AROUND: LazyLock<PathBuf> = LazyLock::new(|| {
    // The fuzzer ends by exiting: whoever started it removes the directory.
    let path = tempfile::tempdir().expect("a temporary directory").keep();
    fs::write(path.join("secret"), "do not touch").expect("a file in it");
    fs::canonicalize(path).expect("it exists")
});

fuzz_target!(|input: &[u8]| {
    match input {
        [b'R', recipe @ ..] => check(&cook(recipe), LayerForm::Tar),
        [b'Z', layer @ ..] => check(layer, LayerForm::Gzip),
        layer => check(layer, LayerForm::Tar),
    }
});

fn check(layer: &[u8], form: LayerForm) {
    let target = AROUND.join("target");
    fs::create_dir(&target).expect("no target is left of the last run");
    let handle = File::open(&target).expect("the target can be opened");
    if let Ok(unpacked) = unpack(layer, form, handle.as_fd(), LIMIT_BYTES) {
        assert!(unpacked.bytes <= LIMIT_BYTES);
    }
    check_inside(&target);
    fs::remove_dir_all(&target).expect("the target can be removed");
    let names: Vec<_> = fs::read_dir(&*AROUND)
        .expect("the directory can be listed")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["secret"]);
    let secret = fs::read(AROUND.join("secret")).expect("the file is there");
    assert_eq!(secret, b"do not touch");
}

fn check_inside(directory: &Path) {
    for entry in fs::read_dir(directory).expect("a directory can be listed") {
        let path = entry.expect("an entry").path();
        let meta = fs::symlink_metadata(&path).expect("an entry can be looked at");
        let kind = meta.file_type();
        if kind.is_dir() {
            check_inside(&path);
        } else if kind.is_char_device() {
            assert_eq!(meta.rdev(), 0);
        } else {
            assert!(kind.is_file() || kind.is_symlink());
        }
        assert!(kind.is_symlink() || meta.permissions().mode() & 0o7000 == 0);
    }
}

/// Makes a layer of entries `kind, name length, name, target length, target`, all from few choices.
fn cook(recipe: &[u8]) -> Vec<u8> {
    const KINDS: &[u8] = b"0125xLK346g7";
    let mut layer = Vec::new();
    let mut rest = recipe.iter().copied();
    while let (Some(kind), Some(length)) = (rest.next(), rest.next()) {
        let name: Vec<u8> = rest.by_ref().take((length % 24).into()).map(letter).collect();
        let length = rest.next().unwrap_or_default() % 24;
        let target: Vec<u8> = rest.by_ref().take(length.into()).map(letter).collect();
        let kind = KINDS[usize::from(kind) % KINDS.len()];
        let contents = if b"0xLK".contains(&kind) { target.as_slice() } else { b"" };
        layer.extend(header(&name, kind, &target, contents.len()));
        layer.extend(contents);
        layer.resize(layer.len().next_multiple_of(BLOCK), 0);
    }
    layer
}

fn letter(byte: u8) -> u8 {
    const LETTERS: &[u8] = b"ab/.wh.opq= 1279\n\0\\";
    LETTERS[usize::from(byte) % LETTERS.len()]
}

fn header(name: &[u8], kind: u8, target: &[u8], size: usize) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    header[..name.len()].copy_from_slice(name);
    header[100..108].copy_from_slice(b"0006755\0");
    header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    header[156] = kind;
    header[157..157 + target.len()].copy_from_slice(target);
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}
