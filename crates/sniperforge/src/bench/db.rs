//! Look-ups in the tables, each beside the same statement prepared and read with nothing else.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use sniper_store::tables::lookups::{Size, database, pairs};

use super::Scale;
use super::row::Row;
use super::turns::{Bounds, Rejected, Taken, Times, clean};

/// What limits are set for.
const FULL: Size = Size { trades: 1_000_000, logs: 10_000_000 };
/// What is made in a second or two.
const SMALL: Size = Size { trades: 5_000, logs: 20_000 };
const TRIES: [usize; 2] = [600, 4_000];
/// The 99th percentile of each look-up at most, in microseconds.
const LIMITS_US: [(&str, f64); 3] =
    [("position", 1_000.0), ("history_page", 5_000.0), ("log_page", 10_000.0)];
/// How many times as long as the floor a look-up may take.
const FLOOR_TIMES: f64 = 1.5;

pub(super) fn measure(scale: Scale, rejected: &mut Vec<Rejected>) -> anyhow::Result<Vec<Row>> {
    let scratch = tempfile::tempdir().context("make a temporary folder")?;
    let [few, many] = TRIES;
    let (folder, size, tries) =
        if scale.full { (kept()?, FULL, many) } else { (scratch.path().to_owned(), SMALL, few) };
    let path = database(&folder, size).context("make a database to look things up in")?;
    let mut rows = clean("db", Bounds::SYSTEM, rejected, || looked_up(&path, size, tries))?;
    if !scale.full {
        let why = format!(
            "looked up in {} trades and {} log lines; the limits are set for {} and {}, which --full makes in minutes and keeps",
            size.trades, size.logs, FULL.trades, FULL.logs
        );
        rows.push(Row::absent("db.at_full_size", why));
    }
    Ok(rows)
}

/// Where the large database stays for the next time: some gigabytes in the user's own cache.
fn kept() -> anyhow::Result<PathBuf> {
    let home = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let folder = home.context("find a folder to keep the large database in: set HOME")?;
    let folder = folder.join("sniperforge").join("bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    Ok(folder)
}

fn looked_up(path: &Path, size: Size, tries: usize) -> anyhow::Result<Taken> {
    let (mut rows, mut floors) = (Vec::new(), Vec::new());
    for pair in pairs(path, size, tries).context("look things up")? {
        let times = |all: &[Duration]| Times(all.iter().map(|t| t.as_secs_f64() * 1e9).collect());
        let (reader, floor) = (times(&pair.reader), times(&pair.floor));
        let limit = LIMITS_US.iter().find(|(name, _)| *name == pair.name).map(|(_, us)| *us);
        for percent in [50, 99] {
            let metric = format!("db.{}.p{percent}", pair.name);
            let row = Row::told(metric, reader.at(percent) / 1e3, "us");
            let row = row.beside(floor.at(percent) / 1e3).floor_times(FLOOR_TIMES);
            rows.push(if percent == 99 { row.at_most(limit) } else { row });
        }
        floors.push(floor);
    }
    // One look-up is not another: the witness is each floor by its own median, look-up after look-up.
    let relative = |times: Times| {
        let typical = times.p50();
        times.0.into_iter().map(move |ns| ns / typical)
    };
    let each: Vec<Vec<f64>> = floors.into_iter().map(|floor| relative(floor).collect()).collect();
    let floor = (0..tries).flat_map(|nth| each.iter().filter_map(move |of| of.get(nth).copied()));
    Ok(Taken { floor: floor.collect(), rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_look_up_has_its_rows_and_its_floor() {
        let folder = tempfile::tempdir().unwrap();
        let size = Size { trades: 300, logs: 2_000 };
        let path = database(folder.path(), size).unwrap();
        let Taken { floor, rows } = looked_up(&path, size, 20).unwrap();
        assert_eq!((floor.len(), rows.len()), (100, 10));
        assert!(rows.iter().all(|row| row.ratio_to_floor().is_some()), "{rows:?}");
        let position = rows.iter().find(|row| row.metric == "db.position.p99").unwrap();
        assert_eq!((position.limit, position.floor_times), (Some(1_000.0), Some(1.5)));
    }
}
