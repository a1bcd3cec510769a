//! Orders whose swap an aggregator may build: asked beside the trading thread, and taken only where it is better.
//!
//! # Where it fits
//! An answer takes a tenth of a second and more, and then a node is asked what it would do. An order that must be first,
//! or out, has no such time. So only those are asked about that were decided on closed candles and do not flee: the
//! entries and the ordinary exits of the candle strategies, above a size at which a few hundredths of a percent pay. Stops,
//! arbitrage and new coins never are. Whatever the answer, and if none comes in time, the order is what review made of
//! it: the same amount, the same least output, the same fees; and without a better answer it is built as always.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use sniper_core::ids::{Address, OrderId};
use sniper_core::order::{Order, Reason};
use sniper_core::risk::Mode;
use sniper_core::units::{Atoms, Bps, Timestamp, Usd};
use sniper_solana::jito::{Jito, JitoConfig, TIP_ACCOUNTS};
use sniper_solana::jupiter::{
    Ask, Checked, InspectError, Jupiter, JupiterConfig, Refused, Terms, check, inspect,
};
use sniper_solana::rpc::RpcConnectionPool;
use sniper_solana::tx::TransactionBuilder;
use sniper_solana::venue::BlockEngine;
use sniper_solana::{ServiceError, ServiceKey};
use sniper_wallet::{PassphraseSource, read_passphrase};
use tokio::sync::mpsc;

use super::trade::Background;
use crate::config;

/// What must be left of an order's time when the answer is due: it is still to be built.
const LEFT: Timestamp = Timestamp::from_millis(200);

/// Which orders are asked about, and what is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// How much more than our own way it must bring.
    pub(super) margin: Bps,
    /// The least that an order must be worth.
    pub(super) at_least: Usd,
    /// How long an order waits for an answer.
    pub(super) wait: Duration,
}

/// What came of asking about an order.
pub(super) struct Offered {
    pub(super) order: OrderId,
    /// None where ours is to be used.
    pub(super) swap: Option<Box<Checked>>,
}

/// An order that waits, and what could be done when it began to.
struct Waiting {
    order: Order,
    mode: Mode,
}

/// Asks, and keeps the orders that wait for an answer.
pub(super) struct Elsewhere {
    jupiter: Jupiter,
    rpc: RpcConnectionPool,
    choice: Choice,
    offers: mpsc::Sender<Offered>,
    waiting: Vec<Waiting>,
}

/// Why an order goes our own way.
#[derive(Debug, thiserror::Error)]
enum Declined {
    #[error("no answer within {0:?}")]
    Slow(Duration),
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error("the offer is refused: {0}")]
    Refused(#[from] Refused),
    #[error("the offer is refused")]
    Inspected(#[from] InspectError),
    #[error("it offers {theirs} atoms, ours gave {ours}")]
    NoBetter { theirs: Atoms, ours: Atoms },
    #[error("the order names a mint that has no token account")]
    NoTerms,
}

/// Prepares to ask, as the settings say.
pub(super) fn open(
    settings: &config::Jupiter,
    rpc: &RpcConnectionPool,
    offers: mpsc::Sender<Offered>,
) -> anyhow::Result<Elsewhere> {
    let key = settings.key_file.as_ref().map(|path| service_key("jupiter.key_file", path));
    let config = JupiterConfig::new(&settings.url, key.transpose()?, settings.requests_per_minute)?;
    let config::Jupiter { margin, at_least, wait, .. } = *settings;
    let choice = Choice { margin, at_least, wait };
    Ok(Elsewhere::new(Jupiter::new(config)?, rpc.clone(), choice, offers))
}

/// The block engines of the settings. Each is asked once where tips go: one that does not know the accounts that we pay
/// would not see our tips.
pub(super) fn engines(
    settings: &config::Jito,
    background: &mut Background,
) -> anyhow::Result<Vec<BlockEngine>> {
    let key = settings.key_file.as_ref().map(|path| service_key("jito.key_file", path));
    let key = key.transpose()?;
    let named = (1..).zip(&settings.endpoints);
    let engine = |(nth, url): (u32, &String)| {
        let jito = Jito::new(JitoConfig::new(&format!("jito-{nth}"), url, key.clone())?)?;
        background.spawn(compare_tips(jito.clone()));
        Ok(BlockEngine::new(jito, settings.handover))
    };
    named.map(engine).collect()
}

async fn compare_tips(jito: Jito) {
    match jito.tip_accounts().await {
        Ok(told) if TIP_ACCOUNTS.iter().all(|ours| told.contains(ours)) => {}
        Ok(_) => {
            let name = jito.name();
            tracing::error!(%name, "the block engine takes tips elsewhere: set jito.use = \"never\" until this program knows where");
        }
        Err(error) => tracing::warn!(%error, "block engine not asked where tips go"),
    }
}

/// A key out of a file that only its owner can read.
fn service_key(setting: &'static str, path: &Path) -> anyhow::Result<ServiceKey> {
    // What holds of a file with a passphrase holds of one with a key.
    let read = read_passphrase(&PassphraseSource::File(path.to_owned()));
    let text = read.with_context(|| format!("read {setting}"))?;
    ServiceKey::new(text.expose_secret())
        .map_err(|problem| anyhow::anyhow!("{setting}: {}: {problem}", path.display()))
}

impl Elsewhere {
    fn new(
        jupiter: Jupiter,
        rpc: RpcConnectionPool,
        choice: Choice,
        offers: mpsc::Sender<Offered>,
    ) -> Self {
        Self { jupiter, rpc, choice, offers, waiting: Vec::new() }
    }

    /// Asks about an order, if it is one to ask about; then it waits here.
    pub(super) fn ask(
        &mut self,
        order: &Order,
        builder: &TransactionBuilder,
        mode: Mode,
        now: Timestamp,
    ) -> bool {
        if !self.choice.wants(order, now) {
            return false;
        }
        self.waiting.push(Waiting { order: order.clone(), mode });
        let (jupiter, rpc, choice) = (self.jupiter.clone(), self.rpc.clone(), self.choice);
        let (order, builder, offers) = (order.clone(), builder.clone(), self.offers.clone());
        tokio::spawn(async move {
            let found = find(&jupiter, &rpc, &builder, &order, choice);
            let found = tokio::time::timeout(choice.wait, found).await;
            let found = found.unwrap_or(Err(Declined::Slow(choice.wait)));
            let id = order.id();
            let swap = match found {
                Ok(swap) => Some(Box::new(swap)),
                Err(declined) => {
                    tell(id, &declined);
                    None
                }
            };
            // Nobody listens any more when the run has ended.
            offers.send(Offered { order: id, swap }).await.ok();
        });
        true
    }

    /// The order of an answer, and the mode when it began to wait.
    pub(super) fn take(&mut self, order: OrderId) -> Option<(Order, Mode)> {
        let at = self.waiting.iter().position(|waiting| waiting.order.id() == order)?;
        let Waiting { order, mode } = self.waiting.swap_remove(at);
        Some((order, mode))
    }

    /// Whether a swap that brings so much is worth it beside what ours brings.
    pub(super) fn is_better(&self, theirs: Atoms, ours: Atoms) -> bool {
        self.choice.is_better(theirs, ours)
    }
}

impl Choice {
    /// Whether an order is one to ask about.
    fn wants(&self, order: &Order, now: Timestamp) -> bool {
        let wait = Timestamp::from_millis(i64::try_from(self.wait.as_millis()).unwrap_or(i64::MAX));
        let left = order.expires().saturating_sub(now);
        is_patient(order.reason())
            && order.mint_in() != order.mint_out()
            && order.value() >= self.at_least
            && left >= wait.saturating_add(LEFT)
    }

    fn is_better(&self, theirs: Atoms, ours: Atoms) -> bool {
        let whole = u128::from(Bps::WHOLE);
        let wanted = whole.saturating_add(self.margin.get().into());
        let theirs = u128::from(theirs.get()).saturating_mul(whole);
        theirs >= u128::from(ours.get()).saturating_mul(wanted)
    }
}

/// What was decided on a candle that has closed loses little in a second. What flees, or must be first, loses all.
const fn is_patient(reason: Reason) -> bool {
    match reason {
        Reason::TrendEntry
        | Reason::TrendExit
        | Reason::MomentumEntry
        | Reason::MomentumExit
        | Reason::ReversionEntry
        | Reason::ReversionExit => true,
        Reason::Arbitrage
        | Reason::Stop
        | Reason::TimeStop
        | Reason::Unwind
        | Reason::LaunchEntry
        | Reason::TakeProfit
        | Reason::Unsafe
        | Reason::Limit
        | Reason::Operator => false,
    }
}

/// How much less than the quote may come, so that the order's least is kept by whatever brings no less than was
/// expected; rounded down.
fn slippage(order: &Order) -> Bps {
    let expected = u128::from(order.expected_out().get());
    let room = expected.saturating_sub(order.min_out().get().into());
    let share = room.saturating_mul(Bps::WHOLE.into()).checked_div(expected).unwrap_or(0);
    Bps::capped(u16::try_from(share).unwrap_or(Bps::WHOLE))
}

/// Asks for a swap and judges it, from the bytes to what a node thinks it would do.
async fn find(
    jupiter: &Jupiter,
    rpc: &RpcConnectionPool,
    builder: &TransactionBuilder,
    order: &Order,
    choice: Choice,
) -> Result<Checked, Declined> {
    let ours: Vec<Address> = builder.mints().map(|(.., account)| account).collect();
    let terms = Terms::of(builder, order, &ours).ok_or(Declined::NoTerms)?;
    let ask = Ask {
        mint_in: terms.mint_in,
        mint_out: terms.mint_out,
        amount_in: terms.amount_in,
        slippage: slippage(order),
    };
    let offer = jupiter.build(&ask, terms.wallet, choice.wait).await?;
    let approved = check(&offer, &terms)?;
    let no_better = |theirs| Declined::NoBetter { theirs, ours: order.expected_out() };
    if !choice.is_better(approved.route.quoted_out, order.expected_out()) {
        return Err(no_better(approved.route.quoted_out));
    }
    let checked = inspect(rpc, builder, order, &terms, &approved, &offer.tables).await?;
    // A quote is a claim; what a node makes of it is nearer to what will be.
    if choice.is_better(checked.brings, order.expected_out()) {
        Ok(checked)
    } else {
        Err(no_better(checked.brings))
    }
}

/// An offer that breaks a rule is either a change of the service that a person should know of, or a theft.
fn tell(order: OrderId, declined: &Declined) {
    match declined {
        Declined::Refused(_) | Declined::Inspected(_) => {
            let source = std::error::Error::source(declined).map(ToString::to_string);
            tracing::warn!(%order, error = %declined, source, "swap of jupiter not used");
        }
        Declined::Slow(_)
        | Declined::Service(_)
        | Declined::NoBetter { .. }
        | Declined::NoTerms => {
            tracing::info!(%order, reason = %declined, "swap of jupiter not used");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const CHOICE: Choice =
        Choice { margin: Bps::ZERO, at_least: Usd::dollars(20), wait: Duration::from_millis(800) };

    fn order(reason: &str, value: Usd, expected: u64, least: u64, mint_out: u16) -> Order {
        serde_json::from_value(json!({
            "id": {"cause": 1, "nth": 0}, "strategy": 0,
            "legs": [{"arrays": [], "hop": {"pool": 0, "mint_in": 1, "mint_out": mint_out},
                "amount": {"ExactIn": {"amount_in": 5, "min_out": 1}}}],
            "opens": [], "unpriced": false, "amount_in": 5, "min_out": least,
            "expected_out": expected, "fee_cap": 10_000, "compute_unit_limit": 400_000,
            "compute_unit_price": 10_000, "value": value, "expires": 2_000_000, "at": 0,
            "reason": reason,
        }))
        .unwrap()
    }

    #[test]
    fn only_what_can_wait_and_is_worth_it_waits() {
        let of = |reason, dollars| order(reason, Usd::dollars(dollars), 100, 99, 2);
        let wants = |order: &Order, now| CHOICE.wants(order, Timestamp::from_millis(now));
        assert!(wants(&of("TrendEntry", 20), 0) && wants(&of("ReversionExit", 50), 900));
        assert!(!wants(&of("TrendEntry", 19), 0), "too small");
        assert!(!wants(&of("TrendEntry", 20), 1_001), "too late: it would have to be rejected");
        for hurried in ["Arbitrage", "Stop", "LaunchEntry", "TakeProfit", "Unsafe", "Unwind"] {
            assert!(!wants(&of(hurried, 50), 0), "{hurried}");
        }
        let round = order("TrendEntry", Usd::dollars(50), 100, 99, 1);
        assert!(!wants(&round, 0), "what comes back as it went");
    }

    proptest! {
        #[test]
        fn what_brings_what_was_expected_brings_the_least_at_the_slippage_asked_for(
            expected in 1_u64..1 << 60, share in 1_u64..=10_000,
        ) {
            let least = (u128::from(expected) * u128::from(share)).div_ceil(10_000);
            let order = order("TrendEntry", Usd::ZERO, expected, u64::try_from(least).unwrap(), 2);
            let kept = u128::from(Bps::WHOLE - slippage(&order).get());
            // As the aggregator's program reckons it.
            prop_assert!(u128::from(expected) * kept / 10_000 >= least);
        }

        #[test]
        fn better_is_better_by_the_margin(ours in 1_u64..1 << 60, margin in 0_u16..1_000, more in 0_u64..2_000) {
            let choice = Choice { margin: Bps::capped(margin), ..CHOICE };
            let theirs = ours.saturating_add(ours / 10_000 * more);
            let is_better = choice.is_better(Atoms::new(theirs), Atoms::new(ours));
            let gain = u128::from(theirs - ours) * 10_000;
            prop_assert_eq!(is_better, gain >= u128::from(ours) * u128::from(margin));
        }
    }
}
