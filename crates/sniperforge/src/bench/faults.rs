//! How much of the time there is fresh data and a healthy endpoint, while one endpoint after another is bad: the scenario of
//! `cargo xtask chaos`.

use super::Scale;
use super::row::Row;

/// Of the time.
const AVAILABILITY: f64 = 0.999;

pub(super) fn measure(scale: Scale) -> anyhow::Result<Vec<Row>> {
    let told = crate::chaos::availability(scale.full)?;
    let row = Row::told("faults.availability", told.figure, "share").at_least(AVAILABILITY);
    Ok(vec![row.note(told.detail)])
}
