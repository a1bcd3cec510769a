//! Which strategies a tape is run through, and with what money.

use sniper_core::engine::Enrolled;
use sniper_core::portfolio::Allowance;
use sniper_core::strategy::{StrategyKind, arbitrage, mean_reversion, momentum, trend};
use sniper_core::units::Usd;

use super::error::BacktestError;

/// The strategies of `--strategy`, by name, with the parameters made for bars.
pub(crate) fn chosen(name: &str) -> Result<Vec<StrategyKind>, BacktestError> {
    let all = [
        StrategyKind::Trend(trend::Params::default()),
        StrategyKind::Momentum(momentum::Params::default()),
        StrategyKind::MeanReversion(mean_reversion::Params::default()),
        StrategyKind::Arbitrage(arbitrage::Params::default()),
    ];
    if name == "all" {
        return Ok(all.into());
    }
    let known = all.iter().map(name_of).collect();
    match all.into_iter().find(|kind| name_of(kind) == name) {
        Some(kind) => Ok(vec![kind]),
        None => Err(BacktestError::UnknownStrategy { name: name.to_owned(), known }),
    }
}

/// What a strategy calls itself.
pub(crate) fn name_of(kind: &StrategyKind) -> &'static str {
    kind.build().name()
}

/// Each with an equal part of the cash. None is stopped by losses before that part is gone: what a stop would
/// have spared is for the live limits to say, a study wants to see the whole fall.
pub(crate) fn enrol(kinds: &[StrategyKind], cash: Usd) -> Vec<Enrolled> {
    let parts = i64::try_from(kinds.len()).unwrap_or(1).max(1);
    let budget = Usd::new(cash.get() / parts);
    kinds
        .iter()
        .map(|kind| Enrolled {
            kind: kind.clone(),
            allowance: Allowance { budget, loss_limit: budget },
        })
        .collect()
}
