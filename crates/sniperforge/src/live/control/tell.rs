//! Standing orders in a person's units.

use serde::Serialize;
use sniper_core::engine::MultiStrategyEngine;
use sniper_core::ids::MintId;
use sniper_core::standing::{Link, Setback, Side, Standing, State, Trigger};
use sniper_core::units::{Atoms, Price, Seq};

use super::number::{dollars, tokens};

/// One standing order.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    id: String,
    kind: &'static str,
    link: &'static str,
    owner: String,
    side: &'static str,
    mint: String,
    symbol: String,
    state: &'static str,
    /// What it waits for, in dollars for a token, or in time.
    trigger: String,
    /// All that it may give; none where that is what is held.
    amount: Option<String>,
    done: String,
    got: String,
    left: Option<String>,
    /// Sold otherwise.
    cut: String,
    mark: Option<String>,
    /// Parts or rungs that are carried out or under way.
    parts: u16,
    in_flight: Vec<String>,
    setback: Option<String>,
    placed_ms: i64,
    expires_ms: Option<i64>,
}

pub(super) fn all(engine: &MultiStrategyEngine) -> Vec<Told> {
    engine.standing().all().iter().map(|standing| told(engine, standing)).collect()
}

pub(super) fn of_ticket(engine: &MultiStrategyEngine, ticket: Seq) -> Vec<Told> {
    let all = engine.standing().all().iter();
    all.filter(|standing| standing.id().ticket == ticket).map(|s| told(engine, s)).collect()
}

fn told(engine: &MultiStrategyEngine, standing: &Standing) -> Told {
    let spec = standing.spec();
    let mint = |id: MintId| engine.market().mint(id).map(|known| known.spec);
    let decimals = |id| mint(id).map_or(0, |spec| spec.decimals);
    let (given, taken) = match spec.side {
        Side::Buy => (spec.dollars, spec.mint),
        Side::Sell => (spec.mint, spec.dollars),
    };
    let amount = |id: MintId, atoms: Atoms| tokens(atoms.get(), decimals(id));
    let priced = |price: Price| dollars(price, [decimals(spec.mint), decimals(spec.dollars)]);
    let base = mint(spec.mint);
    Told {
        id: standing.id().to_string(),
        kind: spec.name(),
        link: match standing.link() {
            Link::Alone => "alone",
            Link::Oco => "oco",
            Link::Bracket => "bracket",
        },
        owner: engine.strategy_name(standing.owner()).to_owned(),
        side: if spec.side == Side::Buy { "buy" } else { "sell" },
        mint: base.map_or_else(String::new, |spec| spec.address.to_string()),
        symbol: base.map_or_else(String::new, |spec| spec.symbol.to_string()),
        state: match standing.state() {
            State::Waiting => "waiting for its entry",
            State::Armed => "stands",
            State::Ended(end, _) => end.name(),
        },
        trigger: match &spec.trigger {
            Trigger::Now => "now".to_owned(),
            Trigger::Limit(price) => format!("at {} or better", priced(*price)),
            Trigger::Stop(price) if spec.side == Side::Buy => {
                format!("at {} or above", priced(*price))
            }
            Trigger::Stop(price) => format!("at {} or below", priced(*price)),
            Trigger::Trail(share) => format!("{} bps below the best", share.get()),
            Trigger::After(span) => format!("after {} ms", span.millis()),
            Trigger::Ladder(rungs) => {
                let rungs =
                    rungs.iter().map(|r| format!("{} bps at {}", r.share.get(), priced(r.price)));
                rungs.collect::<Vec<_>>().join(", ")
            }
        },
        amount: standing.whole().map(|whole| amount(given, whole)),
        done: amount(given, standing.done()),
        got: amount(taken, standing.got()),
        left: standing.left().map(|left| amount(given, left)),
        cut: amount(given, standing.cut()),
        mark: standing.mark().map(priced),
        parts: standing.step(),
        in_flight: engine.standing().in_flight(standing.id()).map(|id| id.to_string()).collect(),
        setback: standing.setback().map(|setback| match setback {
            Setback::Refused(refusal) => format!("refused: {refusal}"),
            Setback::Reverted => "landed and failed".to_owned(),
            Setback::Expired => "never landed".to_owned(),
            Setback::Rejected(reason) => format!("never sent: {reason:?}"),
        }),
        placed_ms: standing.placed().millis(),
        expires_ms: spec.expires.map(|at| at.millis()),
    }
}
