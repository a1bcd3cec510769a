//! The engine as bytes, and back.

use std::borrow::Cow;

use super::{EngineConfig, MultiStrategyEngine};
use crate::market::Market;
use crate::snapshot::{LAYOUT, Reader, RestoreError, Unreadable, Writer};
use crate::strategy::Strategy;

impl MultiStrategyEngine {
    /// All that later answers depend on, besides the settings.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.put(&LAYOUT);
        self.market.save(&mut to);
        to.put(&self.routes);
        to.put(&self.ledger);
        to.put(&self.portfolio);
        to.put(&self.control);
        to.put(&self.orders);
        to.put(&self.watchman);
        to.put(&self.standing);
        to.put(&self.signals);
        to.put(&self.refusals);
        to.put(&self.last);
        to.put(&self.next_equity);
        to.put(&self.revalue);
        for seat in &self.seats {
            to.put(seat.strategy.name());
            seat.strategy.save(&mut to);
        }
        to.into_bytes()
    }

    /// The engine that [`Self::save`] wrote, under the same settings. Whether it is that one, [`Self::state_digest`]
    /// tells.
    ///
    /// # Errors
    ///
    /// The bytes are not from an engine of these settings, or not from this version.
    pub fn restore(config: EngineConfig, bytes: &[u8]) -> Result<Self, RestoreError> {
        let strategies = config.strategies.iter().map(|enrolled| enrolled.kind.build()).collect();
        Self::restore_with(config, strategies, bytes)
    }

    /// As [`Self::restore`], with strategies of the caller's own, as [`Self::with_strategies`] took them.
    ///
    /// # Errors
    ///
    /// As [`Self::restore`].
    pub fn restore_with(
        config: EngineConfig,
        strategies: Vec<Box<dyn Strategy>>,
        bytes: &[u8],
    ) -> Result<Self, RestoreError> {
        let mut from = Reader::new(bytes);
        let found = from.take()?;
        if found != LAYOUT {
            return Err(RestoreError::Layout { found });
        }
        let mut engine = Self::with_strategies(config, strategies)?;
        engine.market = Market::load(&mut from)?;
        engine.routes = from.take()?;
        engine.ledger = from.take()?;
        engine.portfolio = from.take()?;
        engine.control = from.take()?;
        engine.orders = from.take()?;
        engine.watchman = from.take()?;
        engine.standing = from.take()?;
        engine.signals.append(&mut from.take()?);
        engine.refusals.append(&mut from.take::<Vec<(Cow<'static, str>, u64)>>()?);
        engine.last = from.take()?;
        engine.next_equity = from.take()?;
        engine.revalue = from.take()?;
        for seat in &mut engine.seats {
            if from.take::<String>()? != seat.strategy.name() {
                return Err(Unreadable.into());
            }
            seat.strategy.load(&mut from)?;
        }
        if from.is_empty() { Ok(engine) } else { Err(Unreadable.into()) }
    }
}
