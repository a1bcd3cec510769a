//! What this machine and these endpoints can do, measured: groups of figures, each with its limit where there is one.
//!
//! # Design
//! What is compared runs in one and the same run, turn by turn, so that a busy moment strikes all alike. Load comes at
//! a steady rate whether answers come or not, and each time is counted from the moment that the request was to be sent:
//! a client that waits would hide how late the others are. A limit is held against the local chain alone, where the
//! faults are known; of endpoints out there figures are told and nobody is judged: `doctor` does that.

mod arms;
mod field;
mod machine;
mod rpc;
mod ws;

use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use field::Field;
use machine::Machine;

use crate::config::Node;

/// What can be measured. A further group is a file here, a line in [`run`] and a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Group {
    /// Reads: one endpoint, all of them, and all of them hedged.
    Rpc,
    /// Slots: by subscription and by asking again and again, at one endpoint and at all of them.
    Ws,
}

impl Group {
    const ALL: [Self; 2] = [Self::Rpc, Self::Ws];
}

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    metric: String,
    value: f64,
    unit: &'static str,
    /// What is wished for.
    target: Option<f64>,
    /// What must hold.
    limit: Option<f64>,
    /// Above one, the limit does not hold.
    ratio_to_limit: Option<f64>,
    ok: bool,
}

impl Row {
    /// A figure that nothing is held against.
    fn told(metric: impl Into<String>, value: f64, unit: &'static str) -> Self {
        let (target, limit, ratio_to_limit) = (None, None, None);
        Self { metric: metric.into(), value, unit, target, limit, ratio_to_limit, ok: true }
    }

    /// At most that much may it be; without a limit it is told.
    fn at_most(mut self, limit: Option<f64>) -> Self {
        self.limit = limit;
        self.ratio_to_limit = limit.map(|limit| self.value / limit);
        self.ok = self.ratio_to_limit.is_none_or(|ratio| ratio <= 1.0);
        self
    }

    fn wished(mut self, target: f64) -> Self {
        self.target = Some(target);
        self
    }
}

/// All figures, and where they were measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    rows: Vec<Row>,
}

impl Report {
    /// Every limit holds.
    pub(crate) fn holds(&self) -> bool {
        self.rows.iter().all(|row| row.ok)
    }

    pub(crate) fn table(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header(["metric", "value", "unit", "target", "limit", "of limit", ""]);
        let shown = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.3}"));
        for row in &self.rows {
            table.add_row([
                row.metric.clone(),
                shown(Some(row.value)),
                row.unit.to_owned(),
                shown(row.target),
                shown(row.limit),
                shown(row.ratio_to_limit),
                (if row.ok { "ok" } else { "FAIL" }).to_owned(),
            ]);
        }
        format!("{}\n\n{table}\n", self.machine)
    }
}

/// Measures the groups, one after the other, each for `span`: on the configured endpoints, or without any on a local
/// chain of its own.
///
/// # Errors
///
/// When the chain does not start or no endpoint can be reached.
pub(crate) fn run(groups: &[Group], span: Duration, node: Option<&Node>) -> anyhow::Result<Report> {
    let groups = if groups.is_empty() { &Group::ALL[..] } else { groups };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start the event loop")?;
    let mut rows = Vec::new();
    runtime.block_on(async {
        let field = match node {
            Some(node) => Field::configured(node),
            None => Field::local().await?,
        };
        for group in groups {
            rows.extend(match group {
                Group::Rpc => rpc::measure(&field, span).await.context("rpc")?,
                Group::Ws => ws::measure(&field, span).await.context("ws")?,
            });
        }
        anyhow::Ok(())
    })?;
    Ok(Report { machine: Machine::this(), rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_held_against_its_limit_and_against_nothing_else() {
        let row = Row::told("x", 3.0, "ms").wished(1.0);
        assert!(row.ok && row.ratio_to_limit.is_none());
        let row = row.at_most(Some(2.0));
        assert_eq!((row.ok, row.ratio_to_limit), (false, Some(1.5)));
        assert!(Row::told("x", 2.0, "ms").at_most(Some(2.0)).ok);
        assert!(Row::told("x", 2.0, "ms").at_most(None).ok);
    }

    #[test]
    fn a_report_has_the_form_that_scripts_rely_on() {
        let row = Row::told("rpc.hedged.p99", 3.0, "ms").at_most(Some(2.0));
        let report = Report { machine: Machine::this(), rows: vec![row] };
        assert!(!report.holds());
        let json = serde_json::to_value(&report).unwrap();
        assert!(json["machine"]["cores"].as_u64().unwrap() > 0, "{json}");
        let row = json["rows"][0].as_object().unwrap();
        for name in ["metric", "value", "unit", "target", "limit", "ratio_to_limit", "ok"] {
            assert!(row.contains_key(name), "{name}: {json}");
        }
        assert!(report.table().contains("FAIL"));
    }
}
