//! Further pools in great number, for whoever looks at a whole exchange: the accounts they start with.

mod kinds;

use std::collections::BTreeSet;

use solana_address::Address;

use super::whirlpools::Book;
use super::writer::Writer;
use super::{BONK, JUP, SOL, SPL, Token, USDC, temper, to_atoms};
use crate::chain::scenery::{Prop, Venue, amm_v4};
use crate::cpmm::state::{POOL_LEN, PoolState};
use crate::cpmm::{self, PROGRAM_ID};
use crate::error::LocalnetError;
use crate::market::rng::Rng;
use crate::whirlpool::state::{REWARDS, Reward, Whirlpool};
use crate::whirlpool::{self, CONFIG, pool_address, tick_array_address};

/// Decimals and supply of every generated token.
const DECIMALS: u8 = 6;
const SUPPLY: u64 = 1_000_000_000_000_000;
/// Nothing of the scenery depends on when the chain was made.
const OPENED: u64 = 1_700_000_000;
/// Of all pools, those that are curves: each has a coin of its own.
const CURVES: f64 = 0.08;
/// Tick spacings and their fees, parts of a million.
const TIERS: [(u16, u16); 3] = [(8, 500), (64, 3_000), (128, 10_000)];

/// Pairs of the chain's own tokens that get further pools.
const FAMILIAR: [[Address; 2]; 5] =
    [[SOL, USDC], [BONK, USDC], [JUP, USDC], [BONK, SOL], [JUP, SOL]];

impl Writer<'_> {
    /// Writes `count` pools of mixed kinds. The same seed writes the same accounts.
    pub(super) fn scenery(&mut self, count: usize, seed: u64) -> Result<Vec<Prop>, LocalnetError> {
        let mut stage = Stage {
            rng: Rng::new(seed.rotate_left(7)),
            authority: cpmm::authority(),
            configs: [0, 1, 2].map(|index| cpmm::config_address(index).0),
            addresses: BTreeSet::new(),
            owner: Address::default(),
        };
        stage.owner = Address::new_from_array(stage.rng.bytes());
        if count > 0 {
            self.shared_fees(&stage)?;
        }
        let mut generated: Vec<Token> = Vec::new();
        let mut pairs: Vec<[Token; 2]> = Vec::new();
        let mut props = Vec::with_capacity(count);
        for _ in 0..count {
            if stage.rng.chance(CURVES) {
                props.push(self.curve_prop(&mut stage)?);
                continue;
            }
            let tokens = self.pair(&mut stage.rng, &mut generated, &pairs)?;
            pairs.push(tokens);
            props.push(self.prop(tokens, &mut stage)?);
        }
        Ok(props)
    }

    /// A token of a pool and what it is traded for: often a new token, now and then the pair of another pool.
    fn pair(
        &mut self,
        rng: &mut Rng,
        generated: &mut Vec<Token>,
        pairs: &[[Token; 2]],
    ) -> Result<[Token; 2], LocalnetError> {
        let roll = rng.below(100);
        let quote = self.known(if rng.chance(0.6) { SOL } else { USDC });
        if roll < 10 {
            let [base, quote] = pick(rng, &FAMILIAR).copied().unwrap_or([SOL, USDC]);
            return Ok([self.known(base), self.known(quote)]);
        }
        if let (10..30, Some(pair)) = (roll, pick(rng, pairs)) {
            return Ok(*pair);
        }
        if let (30..40, Some(token)) = (roll, pick(rng, generated)) {
            return Ok([*token, quote]);
        }
        // All of a token is worth ten thousand to a hundred million dollars.
        let worth = 10f64.powf(rng.between(4.0, 8.0));
        let token = Token {
            mint: Address::new_from_array(rng.bytes()),
            symbol: "",
            decimals: DECIMALS,
            program: SPL,
            price: worth / 1e9,
            temper: temper(0.0, 0.0, 0.0, 0.0),
        };
        self.mint(&token, None, SUPPLY)?;
        generated.push(token);
        Ok([token, quote])
    }

    fn known(&self, mint: Address) -> Token {
        let [first, ..] = self.tokens;
        self.tokens.into_iter().find(|token| token.mint == mint).unwrap_or(first)
    }

    fn prop(&mut self, tokens: [Token; 2], stage: &mut Stage) -> Result<Prop, LocalnetError> {
        let [base, quote] = tokens;
        // A generated token has a twentieth of all there is in one pool at most.
        let most = if base.symbol.is_empty() { base.price * 5e7 } else { 1e6 };
        let side_usd = 10f64.powf(stage.rng.between(2.0, 6.0)).min(most);
        // Pools of a pair start a little apart.
        let apart = 1.0 + 0.0005 * stage.rng.normal();
        let mut sides = [
            (base, to_atoms(side_usd / base.price, base.decimals)),
            (quote, to_atoms(side_usd / quote.price * apart, quote.decimals)),
        ];
        let roll = stage.rng.below(100);
        let turned = stage.rng.chance(0.5);
        let mut ordered = sides;
        ordered.sort_by_key(|(token, _)| token.mint);
        // Neither of these orders its mints; a coin is the first of its pool.
        if turned {
            sides.reverse();
        }
        let prop = match roll {
            0..28 => Some(self.cpmm_prop(ordered, stage)?),
            28..48 => self.whirlpool_prop(ordered, stage)?,
            48..59 => self.clmm_prop(ordered, stage)?,
            59..70 => self.dlmm_prop(sides, stage)?,
            70..81 if turned => self.pump_swap_prop([sides[1], sides[0]], stage)?,
            70..81 => self.pump_swap_prop(sides, stage)?,
            _ => None,
        };
        prop.map_or_else(|| self.amm_v4_prop(sides, stage), Ok)
    }

    fn vaults(
        &mut self,
        sides: [(Token, u64); 2],
        owner: Address,
        rng: &mut Rng,
    ) -> Result<[Address; 2], LocalnetError> {
        let vaults = [(); 2].map(|()| Address::new_from_array(rng.bytes()));
        for (vault, (token, amount)) in vaults.iter().zip(sides) {
            self.token_account(*vault, owner, &token, amount)?;
        }
        Ok(vaults)
    }

    fn cpmm_prop(
        &mut self,
        sides: [(Token, u64); 2],
        stage: &mut Stage,
    ) -> Result<Prop, LocalnetError> {
        let (authority, auth_bump) = stage.authority;
        let vaults = self.vaults(sides, authority, &mut stage.rng)?;
        let [vault_0, vault_1] = vaults;
        let [(zero, amount_0), (one, amount_1)] = sides;
        let mut key = || Address::new_from_array(stage.rng.bytes());
        let (address, lp_mint, observation) = (key(), key(), key());
        let config = pick(&mut stage.rng, &stage.configs).copied().unwrap_or_default();
        let pool = PoolState {
            amm_config: config,
            creator: stage.owner,
            vault_0,
            vault_1,
            lp_mint,
            mint_0: zero.mint,
            mint_1: one.mint,
            program_0: zero.program,
            program_1: one.program,
            observation,
            auth_bump,
            status: 0,
            lp_decimals: 9,
            decimals_0: zero.decimals,
            decimals_1: one.decimals,
            lp_supply: root(amount_0, amount_1),
            protocol_fees_0: 0,
            protocol_fees_1: 0,
            fund_fees_0: 0,
            fund_fees_1: 0,
            open_time: OPENED,
            recent_epoch: 0,
            creator_fee_on: 0,
            enable_creator_fee: false,
            creator_fees_0: 0,
            creator_fees_1: 0,
        };
        let mut data = vec![0; POOL_LEN];
        if pool.write(&mut data).is_none() {
            return Err(LocalnetError::Genesis {
                address: address.to_string(),
                reason: "pool layout".into(),
            });
        }
        self.put(address, PROGRAM_ID, data)?;
        Ok(Prop::new(Venue::Cpmm, address, vaults, sides.map(mint_and_amount)))
    }

    fn amm_v4_prop(
        &mut self,
        sides: [(Token, u64); 2],
        stage: &mut Stage,
    ) -> Result<Prop, LocalnetError> {
        let vaults = self.vaults(sides, amm_v4::AUTHORITY, &mut stage.rng)?;
        let [(coin, amount_0), (pc, amount_1)] = sides;
        let mut key = || Address::new_from_array(stage.rng.bytes());
        let address = key();
        let pool = amm_v4::Opening {
            decimals: [coin.decimals, pc.decimals],
            vaults,
            mints: [coin.mint, pc.mint],
            others: [(); 5].map(|()| key()),
            owner: stage.owner,
            open_time: OPENED,
            lp_supply: root(amount_0, amount_1),
        };
        self.put(address, amm_v4::PROGRAM_ID, pool.encode())?;
        Ok(Prop::new(Venue::AmmV4, address, vaults, sides.map(mint_and_amount)))
    }

    /// None where the pair has a pool of that tick spacing already: its address is taken.
    fn whirlpool_prop(
        &mut self,
        sides: [(Token, u64); 2],
        stage: &mut Stage,
    ) -> Result<Option<Prop>, LocalnetError> {
        let [(a, amount_a), (b, amount_b)] = sides;
        let (spacing, fee_rate) = pick(&mut stage.rng, &TIERS).copied().unwrap_or((64, 3_000));
        let (address, bump) = pool_address(&CONFIG, [&a.mint, &b.mint], spacing);
        let taken = self.svm.get_account(&address).is_some() || !stage.addresses.insert(address);
        let Some(sqrt_price) = sqrt_price(amount_a, amount_b).filter(|_| !taken) else {
            return Ok(None);
        };
        let mut book = Book::new(address, spacing, sqrt_price);
        // A narrow position and a wide one, together as deep as the sides say or a few times deeper.
        let wide = 2_000 + i32::from(spacing) * 20;
        for (reach, share) in [(i32::from(spacing) * 10, 3), (wide, 1)] {
            if book.add(reach, amount_b / 4 * share).is_none() {
                return Ok(None);
            }
        }
        let held = [(a, book.amount_a), (b, book.amount_b)];
        let vaults = self.vaults(held, address, &mut stage.rng)?;
        let [vault_a, vault_b] = vaults;
        let pool = Whirlpool {
            config: CONFIG,
            bump,
            tick_spacing: spacing,
            fee_tier: spacing,
            fee_rate,
            protocol_fee_rate: 1_300,
            liquidity: book.liquidity,
            sqrt_price,
            tick: book.tick,
            protocol_fees_a: 0,
            protocol_fees_b: 0,
            mint_a: a.mint,
            vault_a,
            fee_growth_a: 0,
            mint_b: b.mint,
            vault_b,
            fee_growth_b: 0,
            rewards_updated: OPENED,
            rewards: [Reward::default(); REWARDS],
        };
        self.put(address, whirlpool::PROGRAM_ID, pool.encode())?;
        for array in &book.arrays {
            let at = tick_array_address(&address, array.start);
            self.put(at, whirlpool::PROGRAM_ID, array.encode_dynamic())?;
        }
        Ok(Some(Prop::new(Venue::Whirlpool, address, vaults, sides.map(mint_and_amount))))
    }
}

fn mint_and_amount((token, amount): (Token, u64)) -> (Address, u64) {
    (token.mint, amount)
}

/// What all pools of the scenery have in common.
struct Stage {
    rng: Rng,
    authority: (Address, u8),
    configs: [Address; 3],
    addresses: BTreeSet<Address>,
    owner: Address,
}

fn pick<'a, T>(rng: &mut Rng, list: &'a [T]) -> Option<&'a T> {
    let count = u64::try_from(list.len()).unwrap_or(u64::MAX);
    list.get(usize::try_from(rng.below(count)).unwrap_or(usize::MAX))
}

/// Liquidity tokens of a constant-product pool at its start.
fn root(first: u64, second: u64) -> u64 {
    u64::try_from((u128::from(first) * u128::from(second)).isqrt()).unwrap_or(u64::MAX)
}

/// Root of the price of A in B, Q64.64; none where the price is out of what a pool can have.
fn sqrt_price(amount_a: u64, amount_b: u64) -> Option<u128> {
    use crate::whirlpool::tick_math::{sqrt_price_at, tick_at};
    let ratio = (u128::from(amount_b) << 64).checked_div(u128::from(amount_a))?;
    let root = ratio.isqrt() << 32;
    // Far from the ends, so that every position fits.
    let bounds = sqrt_price_at(-200_000)..sqrt_price_at(200_000);
    (bounds.contains(&root) && tick_at(root).abs() < 200_000).then_some(root)
}
