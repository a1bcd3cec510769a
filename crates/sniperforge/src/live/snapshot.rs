//! The market at one moment, read once: for commands that look and do not trade.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use sniper_core::amm::PoolSpec;
use sniper_core::event::MarketEvent;
use sniper_core::ids::{Address, PoolId};
use sniper_core::market::Market;
use sniper_core::units::{BlockHeight, Slot, Timestamp};
use sniper_solana::feed::Watch;
use sniper_solana::rpc::{Commitment, RpcConnectionPool};

use super::universe::{Found, Universe, discover};

/// Reads the wanted pools with all the accounts they are quoted from. An account that cannot be read leaves its pool
/// without a quote, and is logged.
pub(crate) async fn read(rpc: &RpcConnectionPool, wanted: &Universe) -> anyhow::Result<Market> {
    of(rpc, &discover(rpc, wanted).await?).await
}

/// The same of pools that were found.
pub(crate) async fn of(rpc: &RpcConnectionPool, pools: &[Found]) -> anyhow::Result<Market> {
    let mut market = Market::new(Timestamp::ZERO, Timestamp::ZERO);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("read the clock")?;
    let now = Timestamp::from_millis(i64::try_from(now.as_millis()).context("read the clock")?);
    let mut candles = Vec::new();
    let mut tell = |market: &mut Market, event: &MarketEvent| {
        market.apply(event, now, &mut candles);
    };
    let mut watches: Vec<Watch> = Vec::new();
    for found in pools {
        let mut mints = [sniper_core::ids::MintId::default(); 2];
        for (id, spec) in mints.iter_mut().zip(&found.mints) {
            if market.mint_by_address(&spec.address).is_none() {
                tell(&mut market, &MarketEvent::Mint(*spec));
            }
            *id = market.mint_by_address(&spec.address).context("more mints than can be held")?;
        }
        let spec = PoolSpec { address: found.address, mints, kind: found.kind.clone() };
        let id =
            PoolId(u32::try_from(market.pools().len()).context("more pools than can be held")?);
        tell(&mut market, &MarketEvent::Pool(Box::new(spec.clone())));
        watches.extend(found.watches(id, &spec));
    }
    let addresses: Vec<Address> = watches.iter().map(|watch| watch.address).collect();
    let read = rpc.multiple_accounts(&addresses, Commitment::Processed, None).await;
    let read = read.context("read the accounts of the pools")?;
    for (watch, account) in watches.iter().zip(&read.value) {
        match watch.read(read.slot, account.as_ref()) {
            Ok(Some(event)) => tell(&mut market, &event),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(account = %watch.address, %error, "its pool gives no quote");
            }
        }
    }
    // Accounts of one reading that differ in their slots really were changed apart.
    let slot = read.slot.saturating_add(Slot::new(2));
    tell(&mut market, &MarketEvent::Slot { slot, height: BlockHeight::ZERO });
    Ok(market)
}
