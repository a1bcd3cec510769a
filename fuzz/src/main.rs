//! The fuzzer: one program, any target.
//!
//! `cargo xtask fuzz` builds it with coverage counters and runs it; by hand it takes `--target=NAME` and libFuzzer's
//! own flags and files, `--list` for the targets, `--seeds=FOLDER` to write every target's starting corpus and its
//! dictionary, with the reference vectors of `--vectors=FOLDER` if that exists. libFuzzer passes over flags of two
//! dashes, so both kinds go on one line.
#![no_main]

mod seeds;
mod targets;
mod wire;

use std::io::Write as _;
use std::path::Path;
use std::process::exit;
use std::sync::OnceLock;

use targets::{TARGETS, Target};

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: prepare(),
    |data: &[u8]| {
        if let Some(target) = TARGET.get() {
            target(data);
        }
    }
);

/// Every target: of the core, and of what reads the wire.
fn all() -> impl Iterator<Item = &'static Target> {
    TARGETS.iter().chain(&wire::TARGETS)
}

/// Reads our own flags before libFuzzer reads its.
fn prepare() {
    let flag =
        |name: &str| std::env::args().find_map(|arg| Some(arg.strip_prefix(name)?.to_owned()));
    if flag("--list").is_some() {
        let names: String = all().map(|(name, _)| format!("{name}\n")).collect();
        exit(i32::from(std::io::stdout().write_all(names.as_bytes()).is_err()));
    }
    if let Some(folder) = flag("--seeds=") {
        let vectors = flag("--vectors=");
        let (folder, vectors) = (Path::new(&folder), vectors.as_deref().map(Path::new));
        if let Err(error) = seeds::write(folder, vectors, wire::seeds()) {
            eprintln!("seeds: {}: {error}", folder.display());
            exit(1);
        }
        exit(0);
    }
    let wanted = flag("--target=").unwrap_or_default();
    let Some((_, target)) = all().find(|(name, _)| *name == wanted) else {
        eprintln!("no target {wanted:?}; --list names them");
        exit(2);
    };
    TARGET.get_or_init(|| *target);
}
