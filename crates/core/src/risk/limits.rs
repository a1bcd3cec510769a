//! The numbers that bound everything.

use serde::{Deserialize, Serialize};

use crate::units::{Bps, Lamports, Timestamp, Usd};

/// The bounds of the whole desk. Those of one strategy stand with its budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Most that one order which adds risk may be worth. Exits are bounded by what is held instead: a position
    /// that has grown past the cap must still be sold whole.
    pub order_value_max: Usd,
    /// Most that may be held of one mint, over all strategies.
    pub position_value_max: Usd,
    /// Most that may be in positions altogether, orders in flight included.
    pub exposure_max: Usd,
    /// Lamports that no order may touch: they pay for exits.
    pub fee_reserve: Lamports,
    /// Greatest distance of a quote from the independent price, for what adds risk.
    pub collar: Bps,
    /// How far below the independent price a position may be sold for dollars. Wide: the price of a coin that falls lags
    /// behind its pool, and a sale that is refused then loses more than one that is made.
    pub exit_collar: Bps,
    /// Greatest age of the independent price.
    pub reference_age_max: Timestamp,
    /// Most that a minimum output may lie below its quote.
    pub slippage_max: Bps,
    /// Longest silence of the feed before nothing is approved.
    pub market_age_max: Timestamp,
    /// How long the same wish counts as a duplicate.
    pub duplicate_window: Timestamp,
    /// Most orders in any minute.
    pub orders_per_minute_max: u16,
    /// Most orders in flight.
    pub open_orders_max: u16,
    /// Loss since midnight UTC at which all trading halts.
    pub daily_loss_max: Usd,
    /// Fall from peak equity at which all trading halts.
    pub drawdown_max: Bps,
    /// Losses in a row after which entries pause; 0 switches it off.
    pub losses_in_row_max: u16,
    /// How long entries pause.
    pub cool_down: Timestamp,
    /// What an arbitrage must bring beyond all costs.
    pub arbitrage_margin: Usd,
    /// Compute units per swap.
    pub compute_units_per_leg: u32,
    /// The most that is bid for a compute unit, in millionths of a lamport: fees are reserved at this price.
    pub compute_unit_price: u64,
    /// How long an approved order may wait for its signature.
    pub order_ttl: Timestamp,
    /// What an order pays to whoever lands it besides the chain's own fees, and only if it does what it should.
    pub tip: Lamports,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            order_value_max: Usd::dollars(50),
            position_value_max: Usd::dollars(200),
            exposure_max: Usd::dollars(500),
            fee_reserve: Lamports::new(10_000_000),
            collar: Bps::capped(200),
            exit_collar: Bps::capped(5_000),
            reference_age_max: Timestamp::from_millis(30_000),
            slippage_max: Bps::capped(100),
            market_age_max: Timestamp::from_millis(3_000),
            duplicate_window: Timestamp::from_millis(1_000),
            orders_per_minute_max: 60,
            open_orders_max: 16,
            daily_loss_max: Usd::dollars(25),
            drawdown_max: Bps::capped(1_000),
            losses_in_row_max: 5,
            cool_down: Timestamp::from_millis(60_000),
            arbitrage_margin: Usd::new(10_000),
            compute_units_per_leg: 120_000,
            compute_unit_price: 10_000,
            order_ttl: Timestamp::from_millis(2_000),
            tip: Lamports::ZERO,
        }
    }
}

/// Why limits make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct LimitsError {
    /// The setting.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Limits {
    /// Base fee of a transaction with one signature.
    pub const SIGNATURE_FEE: Lamports = Lamports::new(5_000);

    /// How many orders in a row get compute unit limits of their own.
    ///
    /// Two orders alike, of two strategies say, on one blockhash would be the same bytes with the same signature:
    /// one transaction that both would take for theirs. A limit that differs by a unit tells them apart. A
    /// blockhash lives for about a minute, in which far fewer orders are approved.
    pub const SERIALS: u32 = 4_096;

    /// Compute units that making one token account takes at most, the search for its address included.
    pub const UNITS_PER_ACCOUNT: u32 = 60_000;

    /// Whether the numbers make sense together.
    ///
    /// # Errors
    ///
    /// The first setting that does not.
    pub fn check(&self) -> Result<(), LimitsError> {
        let positive = [
            ("order_value_max", self.order_value_max.get()),
            ("position_value_max", self.position_value_max.get()),
            ("exposure_max", self.exposure_max.get()),
            ("daily_loss_max", self.daily_loss_max.get()),
            ("reference_age_max", self.reference_age_max.get()),
            ("market_age_max", self.market_age_max.get()),
            ("order_ttl", self.order_ttl.get()),
        ];
        if let Some((field, _)) = positive.into_iter().find(|(_, value)| *value <= 0) {
            return Err(LimitsError { field, problem: "must be above zero" });
        }
        let none_negative = [
            ("duplicate_window", self.duplicate_window.get()),
            ("cool_down", self.cool_down.get()),
            ("arbitrage_margin", self.arbitrage_margin.get()),
        ];
        if let Some((field, _)) = none_negative.into_iter().find(|(_, value)| *value < 0) {
            return Err(LimitsError { field, problem: "must not be negative" });
        }
        if self.order_value_max > self.position_value_max {
            return Err(LimitsError {
                field: "order_value_max",
                problem: "is above position_value_max, so no full order could ever be held",
            });
        }
        if self.position_value_max > self.exposure_max {
            return Err(LimitsError {
                field: "position_value_max",
                problem: "is above exposure_max, so no full position could ever be held",
            });
        }
        for (field, value) in [
            ("drawdown_max", self.drawdown_max),
            ("collar", self.collar),
            ("exit_collar", self.exit_collar),
            ("slippage_max", self.slippage_max),
        ] {
            if value == Bps::ZERO || value.get() >= Bps::WHOLE {
                return Err(LimitsError { field, problem: "must lie between 1 and 9999" });
            }
        }
        if self.exit_collar < self.collar {
            return Err(LimitsError {
                field: "exit_collar",
                problem: "is below collar, so what may be bought could not be sold at the same price",
            });
        }
        if !(1_000..=405_300).contains(&self.compute_units_per_leg) {
            return Err(LimitsError {
                field: "compute_units_per_leg",
                problem: "must lie between 1000 and 405300, so that three swaps into new accounts fit one transaction",
            });
        }
        if u32::from(self.orders_per_minute_max) > Self::SERIALS / 4 {
            return Err(LimitsError {
                field: "orders_per_minute_max",
                problem: "must be at most 1024",
            });
        }
        if self.orders_per_minute_max == 0 || self.open_orders_max == 0 {
            return Err(LimitsError {
                field: "orders_per_minute_max, open_orders_max",
                problem: "must be above zero",
            });
        }
        if self.open_orders_max > 256 {
            return Err(LimitsError { field: "open_orders_max", problem: "must be at most 256" });
        }
        Ok(())
    }

    /// The most the chain may take for a transaction of that many swaps that makes that many token accounts, and the
    /// compute units of both: signature and priority fee, rounded up, for the largest limit that tells orders apart.
    /// What the accounts lock is not in it.
    ///
    /// `None` when the settings leave the range of lamports.
    #[must_use]
    pub fn fee_cap(&self, legs: usize, accounts: usize) -> Option<(Lamports, u32)> {
        let (legs, accounts) = (u32::try_from(legs).ok()?, u32::try_from(accounts).ok()?);
        let swaps = self.compute_units_per_leg.checked_mul(legs)?;
        let units = swaps.checked_add(Self::UNITS_PER_ACCOUNT.checked_mul(accounts)?)?;
        let priority = self.priority_fee(units.checked_add(Self::SERIALS)?)?;
        Some((Self::SIGNATURE_FEE.checked_add(priority)?, units))
    }

    /// The priority fee of making one token account, rounded up: no account adds more than this to a fee.
    ///
    /// `None` when the settings leave the range of lamports.
    #[must_use]
    pub fn account_fee(&self) -> Option<Lamports> {
        self.priority_fee(Self::UNITS_PER_ACCOUNT)
    }

    fn priority_fee(&self, units: u32) -> Option<Lamports> {
        let micro = u128::from(units).checked_mul(u128::from(self.compute_unit_price))?;
        u64::try_from(micro.div_ceil(1_000_000)).ok().map(Lamports::new)
    }
}
