//! Pools of exchanges whose programs are not on this chain.

use solana_address::Address;

use super::{DECIMALS, OPENED, Stage, mint_and_amount, pick, root, sqrt_price};
use crate::chain::genesis::writer::Writer;
use crate::chain::genesis::{SOL, SPL, Token, temper};
use crate::chain::scenery::{Prop, Venue, clmm, dlmm, pump};
use crate::error::LocalnetError;

impl Writer<'_> {
    /// Fee accounts that many pools share.
    pub(super) fn shared_fees(&mut self, stage: &Stage) -> Result<(), LocalnetError> {
        for (index, _) in (0_u16..).zip(clmm::SCHEDULES) {
            let (address, bump) = clmm::config_address(index);
            self.put(address, clmm::PROGRAM_ID, clmm::config(index, bump, &stage.owner))?;
        }
        for address in pump::FEE_CONFIGS {
            self.put(address, pump::FEE_ID, pump::fee_config(&stage.owner))?;
        }
        Ok(())
    }

    /// None where the pair has a pool of that schedule already, or its price is out of what a pool can have.
    pub(super) fn clmm_prop(
        &mut self,
        sides: [(Token, u64); 2],
        stage: &mut Stage,
    ) -> Result<Option<Prop>, LocalnetError> {
        let [(zero, amount_0), (one, amount_1)] = sides;
        let index = u16::try_from(stage.rng.below(3)).unwrap_or_default();
        let (config, _) = clmm::config_address(index);
        let (address, bump) = clmm::pool_address(&config, [&zero.mint, &one.mint]);
        let taken = !stage.addresses.insert(address);
        let Some(sqrt_price) = sqrt_price(amount_0, amount_1).filter(|_| !taken) else {
            return Ok(None);
        };
        let vaults = [(); 2].map(|()| Address::new_from_array(stage.rng.bytes()));
        let opening = clmm::Opening {
            address,
            bump,
            config: (config, index),
            creator: stage.owner,
            mints: [zero.mint, one.mint],
            vaults,
            observation: Address::new_from_array(stage.rng.bytes()),
            decimals: [zero.decimals, one.decimals],
            sqrt_price,
            open_time: OPENED,
        };
        let Some(opened) = opening.encode(amount_1) else { return Ok(None) };
        self.put(address, clmm::PROGRAM_ID, opened.state)?;
        for (at, data) in opened.arrays {
            self.put(at, clmm::PROGRAM_ID, data)?;
        }
        for ((vault, (token, _)), amount) in vaults.iter().zip(sides).zip(opened.amounts) {
            self.token_account(*vault, address, &token, amount)?;
        }
        let prop = Prop::new(Venue::Clmm, address, vaults, sides.map(mint_and_amount));
        Ok(Some(prop.within(opened.range)))
    }

    /// None where the price is out of what the bitmap of a pool reaches.
    pub(super) fn dlmm_prop(
        &mut self,
        sides: [(Token, u64); 2],
        stage: &mut Stage,
    ) -> Result<Option<Prop>, LocalnetError> {
        let [(x, amount_x), (y, amount_y)] = sides;
        let tier = pick(&mut stage.rng, &dlmm::TIERS).copied().unwrap_or((20, 10_000));
        let mut key = || Address::new_from_array(stage.rng.bytes());
        let (address, vaults, oracle) = (key(), [key(), key()], key());
        let Some(active) = dlmm_bin(amount_x, amount_y, tier.0) else { return Ok(None) };
        let opening = dlmm::Opening {
            address,
            mints: [x.mint, y.mint],
            vaults,
            oracle,
            creator: stage.owner,
            programs: [x, y].map(|token| u8::from(token.program != SPL)),
            tier,
            active,
            varies: stage.rng.chance(0.5),
            opened: OPENED,
        };
        let Some(opened) = opening.encode([amount_x, amount_y]) else { return Ok(None) };
        self.put(address, dlmm::PROGRAM_ID, opened.state)?;
        for (at, data) in opened.arrays {
            self.put(at, dlmm::PROGRAM_ID, data)?;
        }
        for ((vault, (token, _)), amount) in vaults.iter().zip(sides).zip(opened.amounts) {
            self.token_account(*vault, address, &token, amount)?;
        }
        let prop = Prop::new(Venue::Dlmm, address, vaults, sides.map(mint_and_amount));
        Ok(Some(prop.within(opened.range)))
    }

    /// A pool of a coin that left its curve, or of somebody's own. None where the pair has that one already.
    pub(super) fn pump_swap_prop(
        &mut self,
        sides: [(Token, u64); 2],
        stage: &mut Stage,
    ) -> Result<Option<Prop>, LocalnetError> {
        let [(base, amount_0), (quote, amount_1)] = sides;
        let of_coin = base.symbol.is_empty() && stage.rng.chance(0.7);
        let mut key = || Address::new_from_array(stage.rng.bytes());
        let (maker, lp_mint, coin_creator, vaults) = (key(), key(), key(), [key(), key()]);
        let length = pick(&mut stage.rng, &pump::POOL_LENS).copied().unwrap_or(301);
        // Some have more than their vault, some less.
        let on_top = (stage.rng.unit() - 0.5) * 0.02;
        let opening = pump::Opening {
            maker: (!of_coin).then_some(maker),
            mints: [base.mint, quote.mint],
            lp_mint,
            vaults,
            lp_supply: root(amount_0, amount_1),
            coin_creator,
            virtual_quote: part(amount_1, on_top),
            length,
        };
        let (address, ..) = opening.address();
        if !stage.addresses.insert(address) {
            return Ok(None);
        }
        self.put(address, pump::SWAP_ID, opening.encode())?;
        // Together with what counts on top, the vaults have the price that the sides say.
        let on_top = if length > 245 { opening.virtual_quote } else { 0 };
        let quote_held = u64::try_from(i128::from(amount_1) - on_top).unwrap_or(amount_1);
        let held = [(base, amount_0), (quote, quote_held)];
        for (vault, (token, amount)) in vaults.iter().zip(held) {
            self.token_account(*vault, address, &token, amount)?;
        }
        Ok(Some(Prop::new(Venue::PumpSwap, address, vaults, sides.map(mint_and_amount))))
    }

    /// A coin that is still on its curve, and traded nowhere else.
    pub(super) fn curve_prop(&mut self, stage: &mut Stage) -> Result<Prop, LocalnetError> {
        let mut key = || Address::new_from_array(stage.rng.bytes());
        let (mint, creator, holding) = (key(), key(), key());
        let coin = Token {
            mint,
            symbol: "",
            decimals: DECIMALS,
            program: SPL,
            price: 0.0,
            temper: temper(0.0, 0.0, 0.0, 0.0),
        };
        self.mint(&coin, None, pump::SUPPLY)?;
        let address = pump::curve_address(&mint);
        let length = pick(&mut stage.rng, &pump::CURVE_LENS).copied().unwrap_or(151);
        let (state, [tokens, lamports]) = pump::curve(stage.rng.below(900), &creator, length);
        let sides = pump::curve_reserves(&state).unwrap_or_default();
        let rent = self.svm.minimum_balance_for_rent_exemption(state.len());
        let all = rent.saturating_add(lamports);
        self.put_with(address, pump::CURVE_ID, state, all)?;
        self.token_account(holding, address, &coin, tokens)?;
        let sides = [(mint, sides[0]), (SOL, sides[1])];
        // It holds its lamports itself.
        Ok(Prop::new(Venue::PumpCurve, address, [holding, address], sides))
    }
}

/// The bin whose price is nearest to what the amounts say; none far from the middle.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a starting price, and a bin that is checked"
)]
fn dlmm_bin(amount_x: u64, amount_y: u64, step: u16) -> Option<i32> {
    let price = amount_y as f64 / amount_x.max(1) as f64;
    let bin = (price.ln() / (1.0 + f64::from(step) / 10_000.0).ln()).round();
    (bin.abs() < 30_000.0).then_some(bin as i32)
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a small part of an amount"
)]
fn part(amount: u64, of: f64) -> i128 {
    (amount as f64 * of) as i128
}
