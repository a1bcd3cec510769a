//! `db`: the schema of the tables, how their statements do, and what of them leaves for other programs.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;

use anyhow::Context;
use serde::Serialize;
use sniper_store::tables::{Action, Analysis, Applied, analyse, apply, migrate};

use super::Global;
use super::exit::{Exit, UsageError};
use super::output::report;
use crate::config::Config;
use crate::db::{self, What};

/// What is asked of the database.
#[derive(Debug, clap::Subcommand)]
pub enum DbCommand {
    /// Bring the schema up to date; the engine does the same at its start.
    Migrate(MigrateArgs),
    /// Run the program's own statements, time them, and say what would help.
    Optimize(OptimizeArgs),
    /// Write rows to a file.
    Export(ExportRowsArgs),
}

/// Which database.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct DbFlag {
    /// The database, such as data/paper/sniperforge.sqlite; by default the only one in the data folder.
    #[arg(long, value_name = "FILE")]
    pub(super) db: Option<PathBuf>,
}

impl DbFlag {
    pub(super) fn path(&self, config: &Config) -> anyhow::Result<PathBuf> {
        db::database(self.db.as_deref(), &config.data_dir)
    }
}

/// Arguments of `db migrate`.
#[derive(Debug, clap::Args)]
pub struct MigrateArgs {
    #[command(flatten)]
    db: DbFlag,
}

/// Arguments of `db optimize`.
#[derive(Debug, clap::Args)]
pub struct OptimizeArgs {
    #[command(flatten)]
    db: DbFlag,
    /// Write the report as a page that needs nothing else.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Carry out what helps: each is asked for at the terminal. Best while no engine runs: its rows wait five seconds for
    /// such work, then the tables go without them until the next start.
    #[arg(long)]
    apply: bool,
    /// With --apply: carry out all of it without asking.
    #[arg(long, requires = "apply")]
    yes: bool,
}

/// Arguments of `db export`.
#[derive(Debug, clap::Args)]
pub struct ExportRowsArgs {
    #[command(flatten)]
    db: DbFlag,
    /// What to write.
    #[arg(long, value_enum, default_value_t = What::Trades)]
    what: What,
    /// The file, which must not be there yet and ends in .csv or .jsonl.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Exported {
    file: PathBuf,
    rows: u64,
}

#[derive(Serialize)]
struct Optimized {
    #[serde(flatten)]
    found: Analysis,
    applied: Vec<Applied>,
}

pub(super) fn db(command: &DbCommand, config: &Config, global: &Global) -> anyhow::Result<Exit> {
    match command {
        DbCommand::Migrate(args) => {
            let done = migrate(args.db.path(config)?)?;
            report(global.json, &done, || {
                if done.from == done.to {
                    return format!("{}: schema {}, up to date", done.path.display(), done.to);
                }
                format!("{}: schema {} brought to {}", done.path.display(), done.from, done.to)
            })?;
            Ok(Exit::Done)
        }
        DbCommand::Optimize(args) => optimize(args, config, global),
        DbCommand::Export(args) => {
            let rows = db::export(&args.db.path(config)?, args.what, &args.out)?;
            let done = Exported { file: args.out.clone(), rows };
            report(global.json, &done, || format!("{rows} rows in {}", args.out.display()))?;
            Ok(Exit::Done)
        }
    }
}

fn optimize(args: &OptimizeArgs, config: &Config, global: &Global) -> anyhow::Result<Exit> {
    let path = args.db.path(config)?;
    if args.apply && !args.yes && !std::io::stdin().is_terminal() {
        return Err(UsageError("--apply asks at a terminal: add --yes where there is none").into());
    }
    let mut found = analyse(&path)?;
    let mut applied = Vec::new();
    if args.apply {
        let wanted = confirmed(found.actions(), args.yes)?;
        if !wanted.is_empty() {
            applied = apply(&path, &wanted)?;
            // What is reported is what holds now.
            found = analyse(&path)?;
        }
    }
    if let Some(out) = &args.html {
        db::html(&found, out)?;
    }
    let holds = found.holds();
    let done = Optimized { found, applied };
    report(global.json, &done, || {
        let mut out = db::text(&done.found);
        for one in &done.applied {
            out.push_str(&format!("done   {} ({} ms)\n", one.action, one.took_ms));
        }
        out
    })?;
    Ok(if holds { Exit::Done } else { Exit::CheckFailed })
}

/// Those that a person wants.
fn confirmed(actions: Vec<Action>, all: bool) -> anyhow::Result<Vec<Action>> {
    if all {
        return Ok(actions);
    }
    let mut wanted = Vec::new();
    for action in actions {
        eprint!("{action}? [y/N] ");
        std::io::stderr().flush().context("ask at the terminal")?;
        let mut typed = String::new();
        std::io::stdin().lock().read_line(&mut typed).context("read from the terminal")?;
        if matches!(typed.trim(), "y" | "Y" | "yes") {
            wanted.push(action);
        }
    }
    Ok(wanted)
}
