//! The fuzzer: one program, any target.
//!
//! `cargo xtask fuzz` builds it with coverage counters and runs it; by hand it takes `--target=NAME` and libFuzzer's
//! own flags and files, `--list` for the targets, `--seeds=FOLDER` to write every target's starting corpus and its
//! dictionary, with the reference vectors of `--vectors=FOLDER` if that exists. libFuzzer passes over flags of two
//! dashes, so both kinds go on one line.
#![no_main]

mod seeds;
mod targets;

use std::io::Write as _;
use std::path::Path;
use std::process::exit;
use std::sync::OnceLock;

use targets::TARGETS;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: prepare(),
    |data: &[u8]| {
        if let Some(target) = TARGET.get() {
            target(data);
        }
    }
);

/// Reads our own flags before libFuzzer reads its.
fn prepare() {
    let flag =
        |name: &str| std::env::args().find_map(|arg| Some(arg.strip_prefix(name)?.to_owned()));
    if flag("--list").is_some() {
        let names: String = TARGETS.iter().map(|(name, _)| format!("{name}\n")).collect();
        exit(i32::from(std::io::stdout().write_all(names.as_bytes()).is_err()));
    }
    if let Some(folder) = flag("--seeds=") {
        let vectors = flag("--vectors=");
        if let Err(error) = seeds::write(Path::new(&folder), vectors.as_deref().map(Path::new)) {
            eprintln!("seeds: {folder}: {error}");
            exit(1);
        }
        exit(0);
    }
    let wanted = flag("--target=").unwrap_or_default();
    let Some((_, target)) = TARGETS.iter().find(|(name, _)| *name == wanted) else {
        eprintln!("no target {wanted:?}; --list names them");
        exit(2);
    };
    TARGET.get_or_init(|| *target);
}
