//! Which code lies together in the release binary: what trading runs, apart from what it does not.
//!
//! The kernel maps a file's pages in windows of sixteen, so code that is scattered over the binary drags its neighbours
//! into memory. A run under `callgrind` tells which functions trading touches; their names, without the hashes that every
//! compiler and every version of a crate changes, become a linker script that lays them side by side. Names that no longer
//! exist do no harm, and new ones only lie where they would have lain: the list may age, and is made anew from time to time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

/// The script, from the root of the workspace.
const SCRIPT: &str = "crates/sniperforge/engine.ld";
/// Of what begins alike, so much must be touched for the beginning to stand for all of it.
const DENSE: (usize, usize) = (6, 10);
/// The page of the run that is watched.
const PORT: u16 = 18_097;

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The release binary to watch.
    pub binary: PathBuf,
    /// How long it trades.
    pub time: Duration,
    /// Only tell how much of the script still names something.
    pub check: bool,
}

/// Watches the binary trade and writes the script anew, or checks the one that is there.
///
/// # Errors
/// A tool that is absent, a run that failed, or in a check a script of which more than a tenth names nothing.
pub fn run(root: &Path, plan: &Plan) -> anyhow::Result<()> {
    let symbols = symbols(&plan.binary)?;
    let script = root.join(SCRIPT);
    if plan.check {
        return check(&script, &symbols);
    }
    let touched = watch(plan)?;
    let touched: BTreeSet<String> = touched.intersection(&symbols).cloned().collect();
    ensure!(!touched.is_empty(), "no function of {} was seen to run", plan.binary.display());
    let patterns = patterns(&symbols, &touched);
    std::fs::write(&script, render(&patterns))
        .with_context(|| format!("write {}", script.display()))?;
    println!("{} functions run, {} patterns: {}", touched.len(), patterns.len(), script.display());
    Ok(())
}

fn check(script: &Path, symbols: &BTreeSet<String>) -> anyhow::Result<()> {
    let text =
        std::fs::read_to_string(script).with_context(|| format!("read {}", script.display()))?;
    let patterns: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("*(.text.")?.strip_suffix("*)"))
        .collect();
    let names = |pattern: &&&str| {
        let from = symbols.range((**pattern).to_owned()..).next();
        from.is_some_and(|symbol| symbol.starts_with(**pattern))
    };
    let alive = patterns.iter().filter(names).count();
    println!("{alive} of {} patterns name a function", patterns.len());
    ensure!(
        alive * 10 >= patterns.len() * 9,
        "{} has aged: build a release and make it anew with `cargo xtask layout`",
        script.display()
    );
    Ok(())
}

/// Names of all functions of a binary.
fn symbols(binary: &Path) -> anyhow::Result<BTreeSet<String>> {
    let out = Command::new("nm").arg(binary).output().context("run nm, of Debian's binutils")?;
    ensure!(
        out.status.success(),
        "nm reads no symbols of {}: build it first with `cargo build --release`",
        binary.display()
    );
    let text = String::from_utf8_lossy(&out.stdout);
    let function = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (_, kind, name) = (fields.next()?, fields.next()?, fields.next()?);
        matches!(kind, "t" | "T" | "w" | "W").then(|| name.to_owned())
    };
    Ok(text.lines().filter_map(function).collect())
}

/// Lets the binary trade on a local chain under callgrind, with its page looked at. Gives the functions that ran.
fn watch(plan: &Plan) -> anyhow::Result<BTreeSet<String>> {
    let folder = std::env::temp_dir().join(format!("sniperforge-layout-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let profile = folder.join("callgrind.out");
    let mut chain = Running(
        Command::new(&plan.binary)
            .args(["localnet", "--launch-every=5s", "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {} localnet", plan.binary.display()))?,
    );
    let url = address(&mut chain.0)?;
    let traded = Command::new("valgrind")
        .args(["--tool=callgrind", "--demangle=no"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(&plan.binary)
        .args(["demo", "--attach", &url, "--launches", "--for"])
        .arg(format!("{}s", plan.time.as_secs()))
        .args(["--port", &PORT.to_string()])
        .stdout(Stdio::null())
        .spawn()
        .context("run valgrind, of Debian's package of that name")?;
    let mut traded = Running(traded);
    let mut looked = false;
    let status = loop {
        if let Some(status) = traded.0.try_wait().context("wait for the run")? {
            break status;
        }
        looked |= look().is_ok();
        std::thread::sleep(Duration::from_secs(1));
    };
    // A slow run may differ from what it would have done, but what it ran is what is asked.
    println!("the run ended with {status}; its page was {}seen", if looked { "" } else { "not " });
    let text = std::fs::read_to_string(&profile).context("read what callgrind saw")?;
    std::fs::remove_dir_all(&folder).ok();
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

/// A name in parts, without its hash.
fn parts(name: &str) -> Vec<&str> {
    let Some(path) = name.strip_prefix("_ZN").and_then(|rest| rest.rsplit_once("17h")) else {
        return vec![name];
    };
    let mut all = vec!["_ZN"];
    let mut rest = path.0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let length: usize = rest.get(..digits).and_then(|d| d.parse().ok()).unwrap_or(rest.len());
        let Some((part, after)) = rest.split_at_checked(digits.saturating_add(length)) else {
            all.push(rest);
            break;
        };
        all.push(part);
        rest = after;
    }
    all.push("17h");
    all
}

#[derive(Default)]
struct Node<'a> {
    all: usize,
    touched: usize,
    below: BTreeMap<&'a str, Node<'a>>,
}

/// The shortest beginnings of names that stand for functions of which most are touched. All that are touched are among
/// them.
fn patterns(symbols: &BTreeSet<String>, touched: &BTreeSet<String>) -> Vec<String> {
    let mut root = Node::default();
    for symbol in symbols {
        let hit = usize::from(touched.contains(symbol));
        let mut node = &mut root;
        for part in parts(symbol) {
            node = node.below.entry(part).or_default();
            node.all += 1;
            node.touched += hit;
        }
    }
    let mut found = Vec::new();
    for (part, node) in &root.below {
        collect(node, (*part).to_owned(), &mut found);
    }
    found
}

fn collect(node: &Node<'_>, beginning: String, found: &mut Vec<String>) {
    let (part, whole) = DENSE;
    if node.touched == 0 {
        return;
    }
    if node.below.is_empty() || node.touched * whole >= node.all * part {
        found.push(beginning);
        return;
    }
    for (next, below) in &node.below {
        collect(below, format!("{beginning}{next}"), found);
    }
}

fn render(patterns: &[String]) -> String {
    let mut out = String::from(
        "/* What trading runs lies together, so that it takes few pages: see docs/adr/0010-code-that-trades-lies-together.md.\n   \
         Made by `cargo xtask layout` from a run; names that no longer exist do no harm. */\n\
         SECTIONS\n{\n  .text.engine :\n  {\n",
    );
    for pattern in patterns {
        out.push_str(&format!("    *(.text.{pattern}*)\n"));
    }
    out.push_str("  }\n}\nINSERT BEFORE .text;\n");
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
    fn a_name_loses_its_hash_and_keeps_its_path() {
        let name = "_ZN5tokio7runtime4task17h875b052ef572bcdfE";
        assert_eq!(parts(name), ["_ZN", "5tokio", "7runtime", "4task", "17h"]);
        assert_eq!(parts("sqlite3_close"), ["sqlite3_close"]);
        assert_eq!(parts("_ZN3abc"), ["_ZN3abc"]);
        assert_eq!(parts("_ZN99short17h0E"), ["_ZN", "99short", "17h"]);
    }

    #[test]
    fn every_function_that_ran_is_named_and_the_others_mostly_not() {
        let symbols = set(&[
            "_ZN1a1f17h0000000000000001E",
            "_ZN1a1g17h0000000000000002E",
            "_ZN1b1f17h0000000000000003E",
            "_ZN1b1g17h0000000000000004E",
            "_ZN1c1f17h0000000000000005E",
            "_ZN1c1g17h0000000000000006E",
            "c_function",
            "c_other",
        ]);
        let touched = set(&[
            "_ZN1a1f17h0000000000000001E",
            "_ZN1a1g17h0000000000000002E",
            "_ZN1b1g17h0000000000000004E",
            "c_other",
        ]);
        assert_eq!(patterns(&symbols, &touched), ["_ZN1a", "_ZN1b1g", "c_other"]);
    }

    #[test]
    fn a_profile_names_each_function_once() {
        let profile = "fl=(1) a.rs\nfn=(1) _ZN1a\n1 2\ncfn=(2) b'2\ncalls=1 1\nfn=(1)\nfn=(2)\n";
        assert_eq!(functions(profile), set(&["_ZN1a", "b"]));
    }
}
