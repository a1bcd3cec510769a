//! The result as a table for a terminal.

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::report::format::{dollars, factor, percent};
use super::summary::{BacktestReport, RunReport};

type Column = (&'static str, fn(&RunReport) -> String);

const COLUMNS: [Column; 13] = [
    ("strategy", |r| r.strategy.replace('_', " ")),
    ("return", |r| percent(r.metrics.total_return)),
    ("CAGR", |r| percent(r.metrics.cagr)),
    ("volatility", |r| percent(r.metrics.volatility)),
    ("Sharpe", |r| factor(r.metrics.sharpe)),
    ("Sortino", |r| factor(r.metrics.sortino)),
    ("Calmar", |r| factor(r.metrics.calmar)),
    ("max drawdown", |r| percent(r.metrics.max_drawdown)),
    ("trades", |r| r.metrics.trades.to_string()),
    ("win rate", |r| percent(r.metrics.win_rate)),
    ("profit factor", |r| factor(r.metrics.profit_factor)),
    ("exposure", |r| percent(r.metrics.exposure)),
    ("fees", |r| dollars(Some(r.metrics.fees_usd))),
];

/// The runs, one a line, and below them what they have in common.
pub(crate) fn render(report: &BacktestReport) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(COLUMNS.iter().enumerate().map(|(nth, (name, _))| aligned(nth, name)));
    for run in report.runs.iter().chain([&report.portfolio]) {
        table
            .add_row(COLUMNS.iter().enumerate().map(|(nth, (_, value))| aligned(nth, &value(run))));
    }
    let all = &report.portfolio;
    let mut lines = vec![
        format!(
            "{} {} from {} to {}, {} bars, {} {}",
            all.symbol,
            all.interval,
            all.from,
            all.to,
            report.bars,
            report.gaps,
            if report.gaps == 1 { "hole" } else { "holes" },
        ),
        table.to_string(),
        format!("buy and hold  {}", percent(all.metrics.buy_and_hold_return)),
    ];
    for run in report.runs.iter().chain([all]) {
        lines.push(format!(
            "{:<14} {} bars/s  effects {}",
            run.strategy,
            run.bars_per_second.map_or_else(|| "-".to_owned(), |n| format!("{n:>9.0}")),
            run.effects_hash.get(..16).unwrap_or(&run.effects_hash),
        ));
        lines.extend(run.notes.iter().map(|note| format!("{:<14} {note}", "")));
    }
    lines.join("\n")
}

fn aligned(nth: usize, text: &str) -> Cell {
    let side = if nth == 0 { CellAlignment::Left } else { CellAlignment::Right };
    Cell::new(text).set_alignment(side)
}
