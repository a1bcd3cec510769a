//! What a maintainer runs: `cargo xtask ci` before a commit leaves the house.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Parser;

/// What a maintainer runs.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
enum Task {
    /// Everything that continuous integration checks, and documentation and licences besides.
    Ci,
    /// The house rules alone: imports, file length, links. Seconds.
    Tidy,
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Ci => ci(),
        Task::Tidy => tidy(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The cheapest check first: what fails in seconds should not wait for what takes minutes.
fn ci() -> anyhow::Result<()> {
    step("house rules", tidy)?;
    step("continuous integration", || run(Command::new(root().join(".ci/run"))))?;
    step("documentation", || {
        let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
        doc.env("RUSTDOCFLAGS", "-D warnings");
        run(doc)
    })?;
    step("licences and sources", || {
        let installed = Command::new("cargo")
            .args(["deny", "--version"])
            .output()
            .is_ok_and(|out| out.status.success());
        if installed {
            return run(cargo(&["deny", "check"]));
        }
        eprintln!(
            "skipped: cargo-deny is absent; install it with `cargo install cargo-deny --locked`"
        );
        Ok(())
    })
}

fn tidy() -> anyhow::Result<()> {
    let findings = xtask::tidy::check_workspace(root()).context("read the workspace")?;
    for finding in &findings {
        eprintln!("{finding}");
    }
    if findings.is_empty() {
        return Ok(());
    }
    bail!("{} house rules are broken", findings.len())
}

fn step(name: &str, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    eprintln!("== {name}");
    let start = Instant::now();
    work().with_context(|| name.to_owned())?;
    eprintln!("== {name}: fine after {} s", start.elapsed().as_secs());
    Ok(())
}

fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

fn run(mut command: Command) -> anyhow::Result<()> {
    let status =
        command.current_dir(root()).status().with_context(|| format!("start {command:?}"))?;
    if status.success() {
        return Ok(());
    }
    bail!("{command:?} ended with {status}")
}
