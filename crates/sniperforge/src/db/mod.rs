//! The tables as a person looks at them: what they say, whether their statements find it fast, and what of it leaves for
//! other programs. All SQL is in the store.

mod export;
mod line;
mod pages;
mod report;

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};

pub(crate) use export::{What, export};
pub(crate) use line::{
    Columns, DayLine, LogEntry, OrderLine, PositionLine, Shown, StrategyLine, TokenLine, TradeLine,
    table,
};
pub(crate) use pages::{Asked, NoAnswer, Pages, Question};
pub(crate) use report::{html, text};

/// The database of a data folder, in that of a mode.
pub(crate) const FILE: &str = "sniperforge.sqlite";

/// The database that is meant: the one named, else the only one that the data folder has.
///
/// # Errors
///
/// When there are two or none.
pub(crate) fn database(named: Option<&Path>, data: &Path) -> anyhow::Result<PathBuf> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    let [paper, live] = ["paper", "live"].map(|mode| data.join(mode).join(FILE));
    match (paper.exists(), live.exists()) {
        (true, true) => bail!(
            "there are two databases: name {} or {} with --db",
            paper.display(),
            live.display()
        ),
        (false, true) => Ok(live),
        (is_there, false) => {
            ensure!(
                is_there,
                "there is no database in {}: it is made when the engine first runs; name another with --db",
                data.display()
            );
            Ok(paper)
        }
    }
}

/// Writes a file whole or not at all, for its owner alone.
fn write_whole(
    out: &Path,
    write: impl FnOnce(&mut dyn std::io::Write) -> anyhow::Result<u64>,
) -> anyhow::Result<u64> {
    use anyhow::Context as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    let mut draft = out.as_os_str().to_owned();
    draft.push(".part");
    let draft = Path::new(&draft);
    let written = (|| -> anyhow::Result<u64> {
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(draft)?;
        let mut buffered = std::io::BufWriter::new(file);
        let lines = write(&mut buffered)?;
        buffered.into_inner().context("write what is left")?.sync_all()?;
        std::fs::rename(draft, out)?;
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
        std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(lines)
    })();
    if written.is_err() {
        std::fs::remove_file(draft).ok();
    }
    written.with_context(|| format!("write {}", out.display()))
}
