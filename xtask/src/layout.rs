//! Which code lies together in the release binary: what trading runs, apart from what it does not.
//!
//! The kernel maps a file's pages in windows of sixteen, so code that is scattered over the binary drags its neighbours
//! into memory. A run under `callgrind` tells which functions trading touches. Their names, without the hashes that every
//! compiler and every version of a crate changes, become a list, of which the build makes a linker script that lays them
//! side by side: first what an idle engine runs, then what it runs besides when it trades. Names that no longer exist do no
//! harm, and new ones only lie where they would have lain: the list may age, and is made anew from time to time.
//!
//! Names are of Rust's second mangling, which `.cargo/config.toml` asks for: it spells types out, so that a name says which
//! of the functions made of one generic is meant (<https://doc.rust-lang.org/rustc/symbol-mangling/v0.html>).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

/// The list, from the root of the workspace.
const LAYOUT: &str = "crates/sniperforge/engine.layout";
/// Of what begins alike, so much must be touched for the beginning to stand for all of it.
const DENSE: (usize, usize) = (19, 20);
/// Parts of names of what a real processor runs and callgrind's does not: it lacks instructions, and starts later.
const UNSEEN: [&str; 3] = ["4sha26sha2563x86", "9crc32fast11specialized", "__blst_cpuid"];
/// The page of the run that is watched.
const PORT: u16 = 18_097;

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The release binary to watch.
    pub binary: PathBuf,
    /// How long it trades.
    pub time: Duration,
    /// Only tell how much of the list still names something.
    pub check: bool,
}

/// Watches the binary trade and writes the list anew, or checks the one that is there.
///
/// # Errors
/// A tool that is absent, a run that failed, or in a check a list of which more than a tenth names nothing.
pub fn run(root: &Path, plan: &Plan) -> anyhow::Result<()> {
    let places = places(&plan.binary)?;
    let symbols = places.keys().cloned().collect();
    let layout = root.join(LAYOUT);
    if plan.check {
        return check(&layout, &symbols);
    }
    let waits = known(&watch(plan, Run::Idle)?, &places)?;
    let scans = known(&watch(plan, Run::Scan)?, &places)?;
    let trades = known(&watch(plan, Run::Trade)?, &places)?;
    for (run, seen) in [("idle", &waits), ("scan", &scans), ("trade", &trades)] {
        println!("{run}: {} functions", seen.len());
    }
    let both = waits.intersection(&scans).cloned().collect();
    let all = laid(symbols, &[both, waits, trades, scans]);
    std::fs::write(&layout, render(&all)).with_context(|| format!("write {}", layout.display()))?;
    println!("{} patterns: {}", all.len(), layout.display());
    Ok(())
}

/// Patterns of sets of functions, one set behind the other: a section lies where it is named first.
fn laid(mut symbols: BTreeSet<String>, sets: &[BTreeSet<String>]) -> Vec<String> {
    let mut all = Vec::new();
    for set in sets {
        all.extend(patterns(&symbols, set));
        symbols.retain(|symbol| !set.contains(symbol));
    }
    all
}

fn check(layout: &Path, symbols: &BTreeSet<String>) -> anyhow::Result<()> {
    let text =
        std::fs::read_to_string(layout).with_context(|| format!("read {}", layout.display()))?;
    let patterns: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let plain: BTreeSet<String> = symbols.iter().map(|symbol| plain(symbol)).collect();
    let names = |pattern: &&&str| {
        let from = plain.range((**pattern).to_owned()..).next();
        from.is_some_and(|symbol| symbol.starts_with(**pattern))
    };
    let alive = patterns.iter().filter(names).count();
    println!("{alive} of {} patterns name a function", patterns.len());
    ensure!(
        alive * 10 >= patterns.len() * 9,
        "{} has aged: build a release and make it anew with `cargo xtask layout`",
        layout.display()
    );
    Ok(())
}

/// What ran of the binary's functions. Those that are alike to the last byte are one, which a profile calls by any of their
/// names and the linker by another.
fn known(
    seen: &BTreeSet<String>,
    places: &BTreeMap<String, u64>,
) -> anyhow::Result<BTreeSet<String>> {
    let ran: BTreeSet<u64> = seen.iter().filter_map(|name| places.get(name)).copied().collect();
    ensure!(!ran.is_empty(), "of {} functions seen to run the binary has none", seen.len());
    let runs =
        |name: &str, place| ran.contains(place) || UNSEEN.iter().any(|part| name.contains(part));
    let all = places.iter().filter(|(name, place)| runs(name, place));
    Ok(all.map(|(name, _)| name.clone()).collect())
}

/// All functions of a binary, and where they are.
fn places(binary: &Path) -> anyhow::Result<BTreeMap<String, u64>> {
    let out = Command::new("nm").arg(binary).output().context("run nm, of Debian's binutils")?;
    ensure!(
        out.status.success(),
        "nm reads no symbols of {}: build it first with `cargo build --release`",
        binary.display()
    );
    let text = String::from_utf8_lossy(&out.stdout);
    let function = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (place, kind, name) = (fields.next()?, fields.next()?, fields.next()?);
        let place = u64::from_str_radix(place, 16).ok()?;
        matches!(kind, "t" | "T" | "w" | "W").then(|| (name.to_owned(), place))
    };
    Ok(text.lines().filter_map(function).collect())
}

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    /// An engine where nobody trades and nobody looks at the page: what runs then, an idle one keeps in memory.
    Idle,
    /// An engine where others trade, coins are launched, the page is looked at.
    Trade,
    /// A scanner of a thousand pools.
    Scan,
}

/// Lets the binary run on a local chain under callgrind. Gives the functions that ran.
fn watch(plan: &Plan, run: Run) -> anyhow::Result<BTreeSet<String>> {
    let folder = std::env::temp_dir().join(format!("sniperforge-layout-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let profile = folder.join("callgrind.out");
    let mut chain = Running(
        Command::new(&plan.binary)
            .args(["localnet", "--json"])
            .args(match run {
                Run::Idle => vec!["--no-agents"],
                Run::Trade => vec!["--launch-every=5s"],
                Run::Scan => vec!["--pools=1000"],
            })
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {} localnet", plan.binary.display()))?,
    );
    let url = address(&mut chain.0)?;
    let port = PORT.to_string();
    let data = folder.join("data").display().to_string();
    let traded = Command::new("valgrind")
        .args(["--tool=callgrind", "--demangle=no"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(&plan.binary)
        .args(match run {
            Run::Idle | Run::Trade => vec!["demo", "--attach", &url, "--data", &data],
            Run::Scan => vec!["scan", "--url", &url],
        })
        .args(match run {
            Run::Idle => vec!["--headless"],
            Run::Trade => vec!["--launches", "--port", &port],
            Run::Scan => vec![],
        })
        .args(["--for", &format!("{}s", plan.time.as_secs())])
        .stdout(Stdio::null())
        .spawn()
        .context("run valgrind, of Debian's package of that name")?;
    let mut traded = Running(traded);
    let mut looked = false;
    let status = loop {
        if let Some(status) = traded.0.try_wait().context("wait for the run")? {
            break status;
        }
        looked |= run == Run::Trade && look().is_ok();
        if run != Run::Scan {
            operate(&plan.binary, &data)?;
        }
        std::thread::sleep(Duration::from_secs(1));
    };
    // A slow run may differ from what it would have done, but what it ran is what is asked.
    println!("the run ended with {status}");
    ensure!(looked || run != Run::Trade, "the page of the run was not seen");
    let text = std::fs::read_to_string(&profile).context("read what callgrind saw")?;
    std::fs::remove_dir_all(&folder).ok();
    // One that died early ran little of what trades: a list of that would be worse than the one that is there.
    ensure!(status.code().is_some(), "the run was ended by a signal: the list is left as it was");
    Ok(functions(&text))
}

/// The RPC address that a local chain announces.
fn address(chain: &mut Child) -> anyhow::Result<String> {
    let out = chain.stdout.take().context("read what the local chain says")?;
    for line in BufReader::new(out).lines() {
        let line = line.context("read what the local chain says")?;
        if let Some(at) = line.find("http://") {
            let rest = line.get(at..).unwrap_or_default();
            let end = rest.find('"').unwrap_or(rest.len());
            return Ok(rest.get(..end).unwrap_or_default().to_owned());
        }
    }
    bail!("the local chain ended without saying where it is")
}

/// Asks the instance what an operator asks; one that does not trade yet has no answer.
fn operate(binary: &Path, data: &str) -> anyhow::Result<()> {
    let mut asks = Command::new(binary);
    asks.args(["orders", "list", "--at", data]).stdout(Stdio::null()).stderr(Stdio::null());
    asks.status().map(drop).with_context(|| format!("start {}", binary.display()))
}

/// Looks at the page as a browser and a scraper would.
fn look() -> std::io::Result<()> {
    for path in ["/", "/metrics", "/events"] {
        let mut page = TcpStream::connect(("127.0.0.1", PORT))?;
        page.set_read_timeout(Some(Duration::from_millis(700)))?;
        write!(page, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\n\r\n")?;
        let mut bytes = [0; 4_096];
        // Reads what has come within the time; the stream of events never ends by itself.
        while page.read(&mut bytes).is_ok_and(|read| read > 0) {}
    }
    Ok(())
}

/// The names in a profile: `fn=(7) NAME`, where a name is written once.
fn functions(profile: &str) -> BTreeSet<String> {
    let named = profile.lines().filter_map(|line| {
        let rest = line.strip_prefix("cfn=(").or_else(|| line.strip_prefix("fn=("))?;
        let (_, name) = rest.split_once(") ")?;
        // Recursion is told apart by a number behind the name.
        Some(name.split_once('\'').map_or(name, |(name, _)| name).to_owned())
    });
    named.collect()
}

/// A name without what changes from build to build: each crate's hash becomes as many `?`, which stand for any character
/// in a linker script, and a number behind a dot, which tells namesakes apart, goes.
fn plain(name: &str) -> String {
    let name = name.split_once('.').map_or(name, |(name, _)| name);
    if !name.starts_with("_R") {
        return name.to_owned();
    }
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once("Cs") {
        out.push_str(before);
        out.push_str("Cs");
        rest = after;
        // Letters of an identifier may look like the beginning of a hash, but hardly ever like a whole one.
        let hash = after.bytes().take_while(u8::is_ascii_alphanumeric).count();
        if (9..=11).contains(&hash) && after.as_bytes().get(hash) == Some(&b'_') {
            out.extend(std::iter::repeat_n('?', hash));
            rest = after.get(hash..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    out
}

/// The shortest beginnings of names that stand for functions of which most are touched. All that are touched are among
/// them.
fn patterns(symbols: &BTreeSet<String>, touched: &BTreeSet<String>) -> Vec<String> {
    let touched: BTreeSet<String> = touched.iter().map(|name| plain(name)).collect();
    let symbols: BTreeSet<String> = symbols.iter().map(|name| plain(name)).collect();
    let names: Vec<(&str, bool)> =
        symbols.iter().map(|name| (name.as_str(), touched.contains(name))).collect();
    let mut found = Vec::new();
    collect(&names, 0, &mut found);
    found
}

/// Finds the patterns of sorted names whose first `depth` bytes are the same.
fn collect(names: &[(&str, bool)], depth: usize, found: &mut Vec<String>) {
    let (part, whole) = DENSE;
    let Some((first, _)) = names.first() else { return };
    let hit = names.iter().filter(|(_, touched)| *touched).count();
    if hit == 0 {
        return;
    }
    // A beginning that no name has to itself says nothing: one byte at least.
    if depth > 0 && hit * whole >= names.len() * part {
        found.push(first.get(..depth).unwrap_or(first).to_owned());
        return;
    }
    let next = |name: &str| name.as_bytes().get(depth).copied();
    for alike in names.chunk_by(|(one, _), (other, _)| next(one) == next(other)) {
        match alike {
            // A name that others begin with: it comes with them, for a pattern is a beginning.
            [(name, touched)] if name.len() == depth => {
                if *touched {
                    found.push((*name).to_owned());
                }
            }
            _ => collect(alike, depth + 1, found),
        }
    }
}

fn render(patterns: &[String]) -> String {
    let mut out = String::from(
        "# Beginnings of names of the functions that trading runs, in the order they are to lie in.\n\
         # Made by `cargo xtask layout` from a run; names that no longer exist do no harm. Why:\n\
         # docs/adr/0010-code-that-trades-lies-together.md\n",
    );
    for pattern in patterns {
        out.push_str(pattern);
        out.push('\n');
    }
    out
}

/// A child that does not outlive us.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_name_loses_what_changes_from_build_to_build() {
        let name = "_RNvNtCsgEmfK2I1SDS_4core5slice4last.llvm.123";
        assert_eq!(plain(name), "_RNvNtCs???????????_4core5slice4last");
        assert_eq!(plain("_RNvCs4X4t9plMPHF_9addr2line3Csv"), "_RNvCs???????????_9addr2line3Csv");
        assert_eq!(plain("sqlite3_Csabcdefghijk_.cold"), "sqlite3_Csabcdefghijk_");
    }

    #[test]
    fn every_function_that_ran_is_named_and_the_others_mostly_not() {
        let symbols = set(&[
            "_RNvCsaaaaaaaaaaa_1a1f",
            "_RNvCsaaaaaaaaaaa_1a1g",
            "_RNvCsbbbbbbbbbbb_1b1f",
            "_RNvCsbbbbbbbbbbb_1b1g",
            "_RNvCsbbbbbbbbbbb_1b1g5",
            "_RNvCsccccccccccc_1c1f",
            "c_function",
            "c_other",
        ]);
        let touched = set(&[
            "_RNvCsaaaaaaaaaaa_1a1f",
            "_RNvCsaaaaaaaaaaa_1a1g",
            "_RNvCsbbbbbbbbbbb_1b1g",
            "c_other",
        ]);
        let hashed = "_RNvCs???????????_1";
        let wanted = [format!("{hashed}a"), format!("{hashed}b1g"), "c_o".to_owned()];
        assert_eq!(patterns(&symbols, &touched), wanted);
    }

    #[test]
    fn functions_that_the_linker_made_one_run_together() {
        let places = [("a", 1), ("b", 1), ("c", 2), ("__blst_cpuid", 3)];
        let places = places.map(|(name, place)| (name.to_owned(), place)).into();
        let found = known(&set(&["a", "d"]), &places).unwrap();
        assert_eq!(found, set(&["__blst_cpuid", "a", "b"]));
    }

    #[test]
    fn what_two_runs_share_lies_first() {
        let (one, two) = (set(&["a", "b"]), set(&["b", "c"]));
        let both = set(&["b"]);
        let found = laid(set(&["a", "b", "c", "d"]), &[both, one, two]);
        assert_eq!(found, ["b", "a", "c"]);
    }

    #[test]
    fn a_profile_names_each_function_once() {
        let profile = "fl=(1) a.rs\nfn=(1) _ZN1a\n1 2\ncfn=(2) b'2\ncalls=1 1\nfn=(1)\nfn=(2)\n";
        assert_eq!(functions(profile), set(&["_ZN1a", "b"]));
    }
}
