//! A market of many pools without an engine around it.

use sniper_core::amm::{AccountUpdate, PoolKind, PoolSpec, cpmm};
use sniper_core::event::{Event, MarketEvent};
use sniper_core::ids::{Address, MintId, PoolId};
use sniper_core::market::{Market, WRAPPED_SOL};
use sniper_core::units::{Atoms, Timestamp};

use super::{TOKEN, account, lacking, mint, slot};

/// Mint 1 is a dollar and mint 2 wrapped SOL, as in the opening.
pub struct Web {
    pub market: Market,
    pub slot: u64,
}

impl Web {
    pub fn new(mints: u16) -> Self {
        Self::with_rents(&vec![0; usize::from(mints)])
    }

    /// One mint for each rent: where it is not zero, we have no account and making it takes so many lamports.
    pub fn with_rents(rents: &[u64]) -> Self {
        let market = Market::new(Timestamp::ZERO, Timestamp::SECOND);
        let mut web = Self { market, slot: 1 };
        for (nth, rent) in (1_u16..).zip(rents) {
            let mut bytes = [3; 32];
            bytes[..2].copy_from_slice(&nth.to_le_bytes());
            let address = if nth == 2 { WRAPPED_SOL } else { Address::new_from_array(bytes) };
            web.apply(&lacking(mint(address, 6, "T", nth == 1), *rent));
        }
        web
    }

    pub fn apply(&mut self, event: &Event) {
        let Event::Market(event) = event else { return };
        self.market.apply(event, Timestamp::new(1_700_000_000_000_000), &mut vec![]);
    }

    /// A pool with its fee in millionths.
    pub fn add(&mut self, mints: [u16; 2], vaults: [u64; 2], fee: u64) -> PoolId {
        let id = u32::try_from(self.market.pools().len()).unwrap();
        let key = |part: u8| {
            let mut bytes = [part; 32];
            bytes[..4].copy_from_slice(&id.to_le_bytes());
            Address::new_from_array(bytes)
        };
        let keys = cpmm::Keys {
            config: key(1),
            observation: key(2),
            vaults: [key(3), key(4)],
            token_programs: [TOKEN; 2],
        };
        self.apply(&Event::Market(MarketEvent::Pool(Box::new(PoolSpec {
            address: key(0),
            mints: mints.map(MintId),
            kind: PoolKind::Cpmm(keys),
        }))));
        let config = cpmm::Config { trade_fee_rate: fee, ..cpmm::Config::default() };
        self.apply(&account(id, 1, AccountUpdate::CpmmConfig(config)));
        self.set(PoolId(id), vaults);
        PoolId(id)
    }

    /// All accounts of a pool at a new slot.
    pub fn set(&mut self, pool: PoolId, vaults: [u64; 2]) {
        self.slot += 1;
        for event in super::reserves(pool.0, self.slot, vaults) {
            self.apply(&event);
        }
    }

    /// One account alone: the pool is between two states.
    pub fn tear(&mut self, pool: PoolId, amount: u64) {
        self.slot += 1;
        let update = AccountUpdate::Vault { second: false, amount: Atoms::new(amount) };
        self.apply(&account(pool.0, self.slot, update));
    }

    /// The chain moves on, and torn pools settle.
    pub fn pass(&mut self) {
        self.slot += 3;
        self.apply(&slot(self.slot));
    }
}
