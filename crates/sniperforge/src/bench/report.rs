//! All figures, where they were measured, and as a table.

use serde::Serialize;

use super::machine::Machine;
use super::row::{Row, Side, Verdict};
use super::turns::Rejected;
use crate::telemetry::{now_ms, rfc3339_utc};

/// All figures, and where they were measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) date: String,
    pub(crate) machine: Machine,
    /// Where what needs a chain was measured.
    pub(crate) chain: &'static str,
    pub(crate) seconds: f64,
    pub(crate) rows: Vec<Row>,
    /// Runs that did not count, since their floor was dirty.
    pub(crate) rejected: Vec<Rejected>,
}

impl Report {
    pub(super) fn new(chain: &'static str, seconds: f64) -> Self {
        Self {
            date: rfc3339_utc(now_ms()),
            machine: Machine::this(),
            chain,
            seconds,
            rows: Vec::new(),
            rejected: Vec::new(),
        }
    }

    /// Every limit holds, and none was tried in vain.
    pub(crate) fn holds(&self) -> bool {
        self.rows.iter().all(Row::ok)
    }

    /// How many rows came out so.
    pub(crate) fn count(&self, verdict: Verdict) -> usize {
        self.rows.iter().filter(|row| row.verdict() == verdict).count()
    }

    /// What came of it in a line.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{} held, {} missed, {} told, {} not judged, {} not measured; {} runs rejected",
            self.count(Verdict::Ok),
            self.count(Verdict::Missed),
            self.count(Verdict::Told),
            self.count(Verdict::NotJudged),
            self.count(Verdict::NotMeasured),
            self.rejected.len()
        )
    }

    pub(crate) fn table(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header(["metric", "value", "unit", "target", "floor", "of floor", "verdict"]);
        for row in &self.rows {
            table.add_row([
                row.metric.clone(),
                shown(row.value),
                row.unit.to_owned(),
                held(row),
                shown(row.floor),
                of_floor(row),
                row.verdict().text().to_owned(),
            ]);
        }
        let mut out =
            format!("{}\nwhat needs a chain: {}\n\n{table}\n\n", self.machine, self.chain);
        for (metric, more, why) in reasons(&self.rows) {
            match more {
                0 => out.push_str(&format!("{metric}: {why}\n")),
                more => out.push_str(&format!("{metric} and {more} more: {why}\n")),
            }
        }
        for Rejected { what, run, why } in &self.rejected {
            out.push_str(&format!("run {run} of {what} was rejected: {why}\n"));
        }
        out.push_str(&self.summary());
        out.push('\n');
        out
    }
}

/// Each reason once: the first row that it is of, and of how many more that follow.
fn reasons(rows: &[Row]) -> Vec<(&str, usize, &str)> {
    let mut told: Vec<(&str, usize, &str)> = Vec::new();
    for row in rows {
        let Some(why) = row.why.as_deref() else { continue };
        match told.last_mut() {
            Some((_, more, last)) if *last == why => *more += 1,
            _ => told.push((&row.metric, 0, why)),
        }
    }
    told
}

/// A figure with as many digits as tell something.
pub(super) fn shown(value: Option<f64>) -> String {
    let Some(value) = value else { return "-".to_owned() };
    match value.abs() {
        0.0 => "0".to_owned(),
        x if x >= 1_000.0 => format!("{value:.0}"),
        x if x >= 100.0 => format!("{value:.1}"),
        x if x >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// What must hold, and what is wished for where that is another.
pub(super) fn held(row: &Row) -> String {
    let side = match row.side {
        Side::AtMost => "<=",
        Side::AtLeast => ">=",
    };
    let number = |value: f64| {
        let text = shown(Some(value));
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        }
    };
    match (row.limit, row.target()) {
        (Some(limit), Some(target)) if limit.total_cmp(&target).is_ne() => {
            format!("{side} {}, wished {}", number(limit), number(target))
        }
        (Some(limit), _) => format!("{side} {}", number(limit)),
        (None, Some(target)) => format!("wished {}", number(target)),
        (None, None) => "-".to_owned(),
    }
}

/// How many times the floor, and how many it may be.
pub(super) fn of_floor(row: &Row) -> String {
    let ratio = row.ratio_to_floor().map(|ratio| format!("{ratio:.2} x"));
    match (ratio, row.floor_times) {
        (Some(ratio), Some(most)) => format!("{ratio} (<= {most})"),
        (Some(ratio), None) => ratio,
        (None, Some(most)) => format!("<= {most} x"),
        (None, None) => "-".to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One row of each verdict that every build knows.
    pub(in super::super) fn example() -> Report {
        let mut report = Report::new("a local chain of its own", 1.5);
        report.rows = vec![
            Row::told("rpc.hedged.p99", 3.0, "ms").at_most(Some(2.0)).in_any_build(),
            Row::told("quote.cpmm", 8.0, "ns").at_most(Some(10.0)).beside(4.0).in_any_build(),
            Row::told("ws.slots", 50.0, "slots"),
            Row::absent("db.at_size", "needs --full"),
            Row::absent("db.other", "needs --full"),
        ];
        let why = "the floor was dirty: it spread by 80 % (at most 15)".to_owned();
        report.rejected.push(Rejected { what: "quote", run: 1, why });
        report
    }

    #[test]
    fn a_report_has_the_form_that_scripts_rely_on() {
        let report = example();
        assert!(!report.holds());
        let json = serde_json::to_value(&report).unwrap();
        assert!(json["machine"]["cores"].as_u64().unwrap() > 0, "{json}");
        let row = json["rows"][0].as_object().unwrap();
        for name in [
            "group",
            "metric",
            "value",
            "unit",
            "target",
            "limit",
            "ratio_to_limit",
            "floor",
            "ratio_to_floor",
            "verdict",
            "ok",
            "why",
        ] {
            assert!(row.contains_key(name), "{name}: {json}");
        }
        assert_eq!((&row["group"], &row["verdict"]), (&"rpc".into(), &"missed".into()));
        assert_eq!(json["rejected"][0]["run"], 1);
    }

    #[test]
    fn the_table_tells_every_verdict_and_every_reason() {
        let table = example().table();
        for text in [
            "MISSED",
            "2.00 x",
            "not measured",
            "db.at_size and 1 more: needs --full",
            "run 1 of quote was rejected",
        ] {
            assert!(table.contains(text), "{text}: {table}");
        }
        assert!(
            table.contains("1 held, 1 missed, 1 told, 0 not judged, 2 not measured"),
            "{table}"
        );
    }

    #[test]
    fn figures_have_as_many_digits_as_tell_something() {
        let text = |value| shown(Some(value));
        assert_eq!(
            [text(123_456.7), text(123.45), text(1.234), text(0.01234)],
            ["123457", "123.5", "1.23", "0.0123"]
        );
        assert_eq!((text(0.0), shown(None)), ("0".to_owned(), "-".to_owned()));
        let row = Row::told("x", 1.0, "ms").wished(0.5).at_most(Some(1.0));
        assert_eq!(held(&row), "<= 1, wished 0.5");
        assert_eq!(held(&Row::told("x", 1.0, "1/s").at_least(200_000.0)), ">= 200000");
    }
}
