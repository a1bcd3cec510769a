//! Pools as rows of a table.

use std::fmt::Write as _;

use serde::Serialize;
use sniper_core::units::Price;

use super::mints::Mints;
use super::report::fresh_by;
use super::watch::{Shown, Watching};
use crate::telemetry::safe_text;

/// Longest text of a column.
const CELL_MAX: usize = 24;

/// A pool as it is shown.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pool: String,
    kind: &'static str,
    base: String,
    quote: String,
    /// None where the pool does not name it and it was not found: of some bonding curves.
    base_mint: Option<String>,
    quote_mint: String,
    /// Whole quote tokens for a whole base token, rounded; none where decimals are not known.
    price: Option<f64>,
    /// Atoms of quote, fee included, that move the price up by one percent; none where that is not known.
    depth_atoms: Option<u64>,
    /// The same in whole tokens, rounded.
    depth: Option<f64>,
    /// Average move of the price per update, in millionths.
    volatility_ppm: u32,
    /// Average change of the quote reserve per update, in atoms; above zero, the base is bought. None where it is not
    /// known.
    flow_atoms: Option<i64>,
    /// Slots since it was first known here.
    age_slots: u64,
    /// `buy` or `sell` where the pool is one side of a gap, with what is left after both fees.
    verdict: Option<&'static str>,
    edge_ppm: Option<u64>,
    /// The gap was still there when both pools were read again from one state.
    confirmed: bool,
}

pub(super) fn rows(of: &Watching, mints: &Mints, top: usize) -> Vec<Row> {
    of.top(top).iter().map(|shown| row(of, mints, shown)).collect()
}

fn row(of: &Watching, mints: &Mints, shown: &Shown) -> Row {
    let figures = &shown.figures;
    let base = mints.coin(shown);
    let decimals = [base, Some(figures.quote)].map(|mint| mints.decimals(&mint?));
    let own = |row| of.scanner.table().get(row).is_some_and(|pool| pool.address == shown.address);
    Row {
        pool: shown.address.to_string(),
        kind: shown.kind,
        base: base.map_or_else(|| "?".to_owned(), |base| mints.label(&base)),
        quote: mints.label(&figures.quote),
        base_mint: base.map(|base| base.to_string()),
        quote_mint: figures.quote.to_string(),
        price: figures.price.and_then(|price| whole_price(price, decimals)),
        depth_atoms: figures.depth.map(|depth| depth.get()),
        depth: figures.depth.and_then(|depth| whole(depth.get(), decimals[1]?)),
        volatility_ppm: figures.volatility,
        flow_atoms: figures.flow,
        age_slots: figures.age,
        verdict: figures.verdict.map(|verdict| if own(verdict.buy) { "buy" } else { "sell" }),
        edge_ppm: figures.verdict.map(|verdict| verdict.edge),
        confirmed: shown.confirmed,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a price to show")]
fn whole_price(price: Price, [base, quote]: [Option<u8>; 2]) -> Option<f64> {
    let atoms = price.raw() as f64 / 2_f64.powi(64);
    Some(atoms * 10_f64.powi(i32::from(base?) - i32::from(quote?)))
}

#[expect(clippy::cast_precision_loss, reason = "an amount to show")]
fn whole(atoms: u64, decimals: u8) -> Option<f64> {
    Some(atoms as f64 / 10_f64.powi(i32::from(decimals)))
}

/// The screen while it runs: from the top left corner on, each line to its end.
pub(super) fn screen(of: &Watching, mints: &Mints, top: usize) -> String {
    let mut out = String::from("\x1b[H");
    let scanned = of.scanner.report();
    let head = format!(
        "slot {}  {} pools  {} scans  pass {} us  {} confirmed  {} candidates  {}\n\n",
        of.slot,
        scanned.pools,
        of.scans,
        scanned.cycle_us.p50,
        of.opportunities,
        of.verdicts.len(),
        fresh_by(of.source),
    );
    for line in head.lines().chain(table(&rows(of, mints, top)).lines()) {
        // Writing into a string cannot fail.
        write!(out, "{line}\x1b[K\r\n").ok();
    }
    out.push_str("\x1b[J");
    out
}

/// Rows under their headings, aligned.
pub(super) fn table(rows: &[Row]) -> String {
    let heads = ["kind", "pool", "pair", "price", "depth 1 %", "moves", "flow", "age", "gap"];
    let mut lines = vec![heads.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let mut widths = [0_usize; 9];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for line in &lines {
        for (nth, (width, cell)) in widths.iter().zip(line).enumerate() {
            let gap = if nth == 0 { "" } else { "  " };
            // Names stand on the left, numbers on the right.
            if nth < 3 || nth == 8 {
                write!(out, "{gap}{cell:<width$}").ok();
            } else {
                write!(out, "{gap}{cell:>width$}").ok();
            }
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out
}

fn cells(row: &Row) -> [String; 9] {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), significant);
    let gap = match (row.verdict, row.edge_ppm) {
        (Some(side), Some(edge)) => {
            let sure = if row.confirmed { "" } else { " ?" };
            format!("{side} {}.{:02} %{sure}", edge / 10_000, edge / 100 % 100)
        }
        _ => String::new(),
    };
    let cells = [
        row.kind.to_owned(),
        row.pool.chars().take(8).collect(),
        format!("{}/{}", row.base, row.quote),
        number(row.price),
        number(row.depth),
        format!("{}.{:02} %", row.volatility_ppm / 10_000, row.volatility_ppm / 100 % 100),
        row.flow_atoms.map_or_else(|| "-".to_owned(), |flow| flow.to_string()),
        row.age_slots.to_string(),
        gap,
    ];
    cells.map(|cell| safe_text(&cell, CELL_MAX))
}

/// Six digits that count.
fn significant(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".to_owned();
    }
    #[expect(clippy::cast_possible_truncation, reason = "a logarithm of an f64 is below 400")]
    let digits = value.abs().log10().floor() as i32;
    if !(-6..9).contains(&digits) {
        return format!("{value:.3e}");
    }
    let places = usize::try_from(5 - digits).unwrap_or(0);
    format!("{value:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Row {
        Row {
            pool: "So11111111111111111111111111111111111111112".to_owned(),
            kind: "cpmm",
            base: "A".to_owned(),
            quote: "USDC".to_owned(),
            base_mint: None,
            quote_mint: String::new(),
            price: Some(151.25),
            depth_atoms: Some(5),
            depth: None,
            volatility_ppm: 12_345,
            flow_atoms: Some(-7),
            age_slots: 3,
            verdict: Some("buy"),
            edge_ppm: Some(1_234),
            confirmed: false,
        }
    }

    #[test]
    fn a_row_is_aligned_under_its_headings_and_says_what_is_not_sure() {
        let text = table(&[some()]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            lines[1],
            "cpmm  So111111  A/USDC  151.250          -  1.23 %    -7    3  buy 0.12 % ?"
        );
        assert_eq!(
            lines[0].find("price").map(|at| at + 5),
            lines[1].find("151.250").map(|at| at + 7)
        );
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let row = Row { base: "\x1b[2J\u{202e}evil".to_owned(), ..some() };
        assert!(table(&[row]).chars().all(|c| c == '\n' || (!c.is_control() && c != '\u{202e}')));
    }

    #[test]
    fn numbers_show_six_digits() {
        assert_eq!(significant(0.0), "0");
        assert_eq!(significant(151.25), "151.250");
        assert_eq!(significant(0.000_012_345_67), "0.0000123457");
        assert_eq!(significant(1e12), "1.000e12");
    }
}
