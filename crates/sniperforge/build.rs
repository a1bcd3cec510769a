//! Takes the chart library out of the `plotly` crate and lays it gzipped beside the build.
//!
//! Reports must draw without a network, and a third party's script is not committed: the crate that carries it is
//! pinned in `Cargo.lock`, so the binary always embeds the same bytes. The crate also carries a renderer of
//! mathematical formulas, which no report uses; it is dropped.
//!
//! It also hands the linker the list of code that trading runs, to lie side by side in a release.

use std::io::Write;
use std::path::Path;

use flate2::{Compression, GzBuilder};

type Failure = Box<dyn std::error::Error>;

const OPEN: &str = "<script type=\"text/javascript\">";

fn main() -> Result<(), Failure> {
    println!("cargo::rerun-if-changed=build.rs");
    lay_out()?;
    let sources = plotly::Plot::offline_js_sources();
    let plotly =
        first_script(&sources).ok_or("the plotly crate has changed how it wraps its scripts")?;
    if !plotly.contains("plotly.js v") {
        return Err("the first script of the plotly crate is not plotly.js".into());
    }
    let out = std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    let file = std::fs::File::create(Path::new(&out).join("plotly.js.gz"))?;
    // No name and no time in the header: the same input gives the same binary.
    let mut gzip = GzBuilder::new().mtime(0).write(file, Compression::best());
    gzip.write_all(plotly.as_bytes())?;
    gzip.finish()?.sync_all()?;
    Ok(())
}

/// The body of the first script element; `None` when there are not exactly two of them as expected.
fn first_script(sources: &str) -> Option<&str> {
    let (before, rest) = sources.split_once(OPEN)?;
    let (first, second) = rest.split_once(OPEN)?;
    if !before.trim().is_empty() || second.contains(OPEN) {
        return None;
    }
    first.trim_end().strip_suffix("</script>")
}

/// Pages are mapped in windows: code that trades lies together, so that it takes few of them. A linker that takes no
/// scripts (gold, mold) needs `SNIPERFORGE_PLAIN_LAYOUT` to be set; the program is the same, and some megabytes larger in
/// memory.
fn lay_out() -> Result<(), Failure> {
    println!("cargo::rerun-if-changed=engine.layout");
    println!("cargo::rerun-if-env-changed=SNIPERFORGE_PLAIN_LAYOUT");
    let is = |name: &str, wanted: &str| std::env::var(name).is_ok_and(|value| value == wanted);
    let takes_scripts = is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && std::env::var_os("SNIPERFORGE_PLAIN_LAYOUT").is_none();
    if is("PROFILE", "release") && takes_scripts {
        let script = Path::new(&std::env::var("OUT_DIR")?).join("engine.ld");
        std::fs::write(&script, linker_script(&std::fs::read_to_string("engine.layout")?))?;
        println!("cargo::rustc-link-arg-bins=-T{}", script.display());
        if knows_packed_relocations() {
            println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
    }
    Ok(())
}

/// A section of its own before the rest of the code. Compilers give code that they take for cold sections of another name, and
/// constructors, which all run.
fn linker_script(layout: &str) -> String {
    let mut script =
        String::from("SECTIONS\n{\n  .text.engine :\n  {\n    *(.text.startup .text.startup.*)\n");
    for pattern in layout.lines().filter(|line| !line.starts_with('#')) {
        script.push_str(&format!("    *(.text.{pattern}* .text.unlikely.{pattern}*)\n"));
    }
    script.push_str("  }\n}\nINSERT BEFORE .text;\n");
    script
}

/// What the loader has to adjust is read at every start, and stays in memory: half a megabyte, or a few pages when packed,
/// which the C library can read from version 2.36 on.
fn knows_packed_relocations() -> bool {
    if std::env::var("HOST").ok() != std::env::var("TARGET").ok() {
        return false;
    }
    let told = std::process::Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let version = told.ok().and_then(|told| String::from_utf8(told.stdout).ok());
    let version = version.as_deref().and_then(|text| text.trim().strip_prefix("glibc "));
    let Some((major, minor)) = version.and_then(|text| text.split_once('.')) else { return false };
    match (major.parse::<u32>(), minor.split('.').next().map(str::parse::<u32>)) {
        (Ok(2), Some(Ok(minor))) => minor >= 36,
        (Ok(major), _) => major > 2,
        _ => false,
    }
}
