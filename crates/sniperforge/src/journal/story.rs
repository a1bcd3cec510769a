//! The story of one order: why it was wished for, what it reserved, what was signed and sent, and how it ended.
//!
//! Only events and signed bytes are in the journal; what the engine made of them comes from a replay.

use std::fmt;
use std::path::Path;

use anyhow::bail;
use serde::Serialize;
use sniper_core::engine::MultiStrategyEngine;
use sniper_core::event::{Effect, Event, OrderEvent, Stamped};
use sniper_core::ids::OrderId;
use sniper_core::order::{Order, Outcome};
use sniper_core::units::Atoms;
use sniper_store::journal::{Record, Segments};

use super::{WIDTH, amount, label, time};
use crate::live::replay::begin;
use crate::telemetry::safe_text;

/// One order, step by step.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Story {
    order: String,
    steps: Vec<Step>,
    /// It is still under way, as far as the journal goes.
    open: bool,
}

/// What happened to it.
#[derive(Clone, Debug, Serialize)]
struct Step {
    /// The record that tells of it, or that it follows from.
    record: u64,
    at: String,
    step: &'static str,
    what: String,
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "order {}", self.order)?;
        for Step { record, at, step, what } in &self.steps {
            writeln!(f, "{record:>9}  {at}  {step:<11} {what}")?;
        }
        if self.open {
            writeln!(f, "it is still under way")?;
        }
        Ok(())
    }
}

/// Replays from the snapshot before the order up to its end.
///
/// # Errors
///
/// When the journal cannot be read or is damaged, or has no such order.
pub(crate) fn story(path: &Path, id: OrderId) -> anyhow::Result<Story> {
    let segments = Segments::open(path)?;
    let mut before = Vec::new();
    for number in segments.snapshots()? {
        let first = segments.records_from(number)?.next().transpose()?;
        before.push(matches!(
            first.map(|entry| entry.record),
            Some(Record::Opening { seq, .. }) if seq < id.cause
        ));
    }
    let (mut replay, reader) = begin(&segments, |nth| before.get(nth) == Some(&true), None)?;
    let mut teller = Teller { id, at: String::new(), record: 0, steps: Vec::new() };
    for entry in reader {
        let entry = entry?;
        teller.record = entry.number;
        match &entry.record {
            Record::Event(stamped) => {
                let stamped = stamped.clone();
                replay.take(entry.record, None)?;
                let Some(engine) = replay.engine() else { continue };
                teller.event(&stamped, replay.effects(), engine);
            }
            Record::Wire { order, signature, last_valid, bytes } if *order == id => {
                let name = bs58::encode(signature.0).into_string();
                teller.tell(
                    "signed",
                    format!(
                        "as {name}, {} bytes, can land up to height {last_valid}; sent once this was on the disk",
                        bytes.len()
                    ),
                );
                replay.take(entry.record, None)?;
            }
            _ => replay.take(entry.record, None)?,
        }
        if teller.is_over() {
            break;
        }
    }
    if !teller.steps.iter().any(|step| step.step == "approved") {
        bail!("the journal {} has no order {id} in what is left of it", path.display());
    }
    let open = !teller.is_over();
    Ok(Story { order: id.to_string(), steps: teller.steps, open })
}

struct Teller {
    id: OrderId,
    at: String,
    record: u64,
    steps: Vec<Step>,
}

impl Teller {
    fn tell(&mut self, step: &'static str, what: String) {
        self.steps.push(Step { record: self.record, at: self.at.clone(), step, what });
    }

    fn is_over(&self) -> bool {
        self.steps.iter().any(|step| step.step == "ended")
    }

    fn event(&mut self, stamped: &Stamped, effects: &[Effect], engine: &MultiStrategyEngine) {
        self.at = time(stamped.at);
        if stamped.seq == self.id.cause {
            self.tell("caused by", safe_text(&format!("{:?}", stamped.event), WIDTH));
        }
        if let Event::Order(event) = &stamped.event
            && event.order() == self.id
            && !matches!(event, OrderEvent::Signed { .. })
        {
            self.tell("told", safe_text(&format!("{event:?}"), WIDTH));
        }
        for effect in effects {
            match effect {
                Effect::Submit(order) if order.id() == self.id => {
                    self.tell("intent", intent(order, engine));
                    self.tell("approved", reserved(order, engine));
                }
                Effect::Trade(trade) if trade.order == self.id => {
                    self.tell("profit", format!("{} millionths of a dollar", trade.profit.get()));
                }
                Effect::Closed(closed) if closed.order.id() == self.id => {
                    self.tell("ended", outcome(&closed.outcome, engine));
                }
                _ => {}
            }
        }
    }
}

fn intent(order: &Order, engine: &MultiStrategyEngine) -> String {
    let pools: Vec<String> = order
        .legs()
        .iter()
        .filter_map(|leg| engine.market().pool(leg.hop.pool))
        .map(|pool| format!("{} ({})", pool.spec.address, pool.live.kind().name()))
        .collect();
    format!(
        "{} wants to give {} for at least {}, {} expected, through {}: {:?}",
        engine.strategy_name(order.strategy()),
        amount(engine, order.mint_in(), order.amount_in()),
        amount(engine, order.mint_out(), order.min_out()),
        order.expected_out(),
        pools.join(", "),
        order.reason()
    )
}

fn reserved(order: &Order, engine: &MultiStrategyEngine) -> String {
    format!(
        "reserved {}, {} lamports for fees and {} for rent; void from {} on",
        amount(engine, order.mint_in(), order.amount_in()),
        order.fee_cap(),
        order.rent_cap(),
        time(order.expires())
    )
}

fn outcome(outcome: &Outcome, engine: &MultiStrategyEngine) -> String {
    match outcome {
        Outcome::Filled { slot, deltas, fee, rent } => {
            let moved = deltas.iter().map(|(mint, delta)| {
                let sign = if *delta < 0 { "-" } else { "+" };
                format!("{sign}{} of {}", Atoms::new(delta.unsigned_abs()), label(engine, *mint))
            });
            let moved: Vec<String> = moved.collect();
            format!("filled in slot {slot}: {}; fee {fee}, rent {rent} lamports", moved.join(", "))
        }
        Outcome::Reverted { slot, fee, code } => {
            format!(
                "reverted in slot {slot} with code {code:?}: nothing moved but the fee, {fee} lamports"
            )
        }
        Outcome::Expired => "expired: it can no longer land, and did not".to_owned(),
        Outcome::Rejected(reason) => format!("never sent: {reason:?}"),
    }
}
