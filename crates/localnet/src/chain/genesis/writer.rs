//! Writing mints, token accounts and the pools of the constant-product exchange.

use litesvm::LiteSVM;
use solana_account::Account;
use solana_address::Address;
use solana_program_pack::Pack;
use spl_token_interface::state::{Account as TokenState, AccountState, Mint};

use super::{
    FEE_RATES, Pool, PoolPlan, SOL, SPL, TOKENS, Token, holding_address, temper, to_atoms,
};
use crate::cpmm::state::{AmmConfig, POOL_LEN, PoolState, observation};
use crate::cpmm::{self, PROGRAM_ID, PoolAddresses};
use crate::error::LocalnetError;

/// Liquidity tokens locked when a pool is created.
const LP_LOCKED: u64 = 100;

/// Writes accounts into the runtime and counts the tokens they hold.
pub(super) struct Writer<'a> {
    pub(super) svm: &'a mut LiteSVM,
    pub(super) tokens: [Token; TOKENS.len()],
    pub(super) supply: [u64; TOKENS.len()],
}

impl Writer<'_> {
    pub(super) fn put(
        &mut self,
        address: Address,
        owner: Address,
        data: Vec<u8>,
    ) -> Result<(), LocalnetError> {
        let rent = self.svm.minimum_balance_for_rent_exemption(data.len());
        self.put_with(address, owner, data, rent)
    }

    pub(super) fn put_with(
        &mut self,
        address: Address,
        owner: Address,
        data: Vec<u8>,
        lamports: u64,
    ) -> Result<(), LocalnetError> {
        let account = Account { lamports, data, owner, executable: false, rent_epoch: u64::MAX };
        self.svm.set_account(address, account).map_err(|error| LocalnetError::Genesis {
            address: address.to_string(),
            reason: error.to_string(),
        })
    }

    pub(super) fn system(&mut self, address: Address, lamports: u64) -> Result<(), LocalnetError> {
        self.put_with(address, solana_sdk_ids::system_program::ID, Vec::new(), lamports)
    }

    pub(super) fn config(
        &mut self,
        index: u16,
        fee: u64,
        owner: Address,
    ) -> Result<(), LocalnetError> {
        let (address, bump) = cpmm::config_address(index);
        let config = AmmConfig {
            bump,
            disable_create_pool: false,
            index,
            trade_fee_rate: fee,
            protocol_fee_rate: 120_000,
            fund_fee_rate: 40_000,
            create_pool_fee: 150_000_000,
            protocol_owner: owner,
            fund_owner: owner,
            creator_fee_rate: 0,
            creator_fee_share_rate: 0,
        };
        self.put(address, PROGRAM_ID, config.encode())
    }

    /// A token account; wrapped SOL holds its amount in lamports too.
    pub(super) fn token_account(
        &mut self,
        address: Address,
        owner: Address,
        token: &Token,
        amount: u64,
    ) -> Result<(), LocalnetError> {
        let rent = self.svm.minimum_balance_for_rent_exemption(TokenState::LEN);
        let native = token.mint == SOL;
        let state = TokenState {
            mint: token.mint,
            owner,
            amount,
            state: AccountState::Initialized,
            is_native: if native { Some(rent).into() } else { None.into() },
            ..TokenState::default()
        };
        let mut data = vec![0; TokenState::LEN];
        state.pack_into_slice(&mut data);
        if let Some(supply) = TOKENS
            .iter()
            .zip(&mut self.supply)
            .find_map(|(t, s)| (t.mint == token.mint).then_some(s))
        {
            *supply = supply.saturating_add(amount);
        }
        let lamports = if native { rent.saturating_add(amount) } else { rent };
        self.put_with(address, token.program, data, lamports)
    }

    pub(super) fn holding(
        &mut self,
        owner: Address,
        token: &Token,
        atoms: u64,
    ) -> Result<(), LocalnetError> {
        self.token_account(holding_address(&owner, token), owner, token, atoms)
    }

    pub(super) fn pool(
        &mut self,
        plan: &PoolPlan,
        creator: Address,
        now: u64,
    ) -> Result<Pool, LocalnetError> {
        let known = self.tokens;
        let mut tokens =
            plan.tokens.map(|mint| *known.iter().find(|t| t.mint == mint).unwrap_or(&known[0]));
        tokens.sort_by_key(|token| token.mint);
        let [zero, one] = tokens;
        let (config, _) = cpmm::config_address(plan.config);
        let addresses = PoolAddresses::derive(&config, [&zero.mint, &one.mint]);
        let (authority, auth_bump) = cpmm::authority();
        let amount_0 = to_atoms(plan.side_usd / zero.price, zero.decimals);
        let amount_1 = to_atoms(plan.side_usd / one.price, one.decimals);
        self.token_account(addresses.vault_0, authority, &zero, amount_0)?;
        self.token_account(addresses.vault_1, authority, &one, amount_1)?;
        let lp_supply = u64::try_from((u128::from(amount_0) * u128::from(amount_1)).isqrt())
            .unwrap_or(u64::MAX);
        let lp = Token {
            mint: addresses.lp_mint,
            symbol: "LP",
            decimals: 9,
            program: SPL,
            price: 1.0,
            temper: temper(0.0, 0.0, 0.0, 0.0),
        };
        let minted = lp_supply.saturating_sub(LP_LOCKED);
        self.mint(&lp, Some(authority), minted)?;
        self.holding(creator, &lp, minted)?;
        let pool = PoolState {
            amm_config: config,
            creator,
            vault_0: addresses.vault_0,
            vault_1: addresses.vault_1,
            lp_mint: addresses.lp_mint,
            mint_0: zero.mint,
            mint_1: one.mint,
            program_0: zero.program,
            program_1: one.program,
            observation: addresses.observation,
            auth_bump,
            status: 0,
            lp_decimals: lp.decimals,
            decimals_0: zero.decimals,
            decimals_1: one.decimals,
            lp_supply,
            protocol_fees_0: 0,
            protocol_fees_1: 0,
            fund_fees_0: 0,
            fund_fees_1: 0,
            open_time: now.saturating_sub(3_600),
            recent_epoch: 0,
            creator_fee_on: 0,
            enable_creator_fee: false,
            creator_fees_0: 0,
            creator_fees_1: 0,
        };
        let mut data = vec![0; POOL_LEN];
        if pool.write(&mut data).is_none() {
            return Err(LocalnetError::Genesis {
                address: addresses.pool.to_string(),
                reason: "pool layout".into(),
            });
        }
        self.put(addresses.pool, PROGRAM_ID, data)?;
        self.put(addresses.observation, PROGRAM_ID, observation::new(&addresses.pool))?;
        let fee_rate = FEE_RATES.get(usize::from(plan.config)).copied().unwrap_or_default();
        Ok(Pool { addresses, config, fee_rate, tokens })
    }

    pub(super) fn mint(
        &mut self,
        token: &Token,
        authority: Option<Address>,
        supply: u64,
    ) -> Result<(), LocalnetError> {
        let state = Mint {
            mint_authority: authority.into(),
            supply,
            decimals: token.decimals,
            is_initialized: true,
            freeze_authority: None.into(),
        };
        let mut data = vec![0; Mint::LEN];
        state.pack_into_slice(&mut data);
        self.put(token.mint, token.program, data)
    }

    /// Writes the mints last, when their supply is known. Wrapped SOL has no authority and no supply.
    pub(super) fn mints(&mut self, authority: Address) -> Result<(), LocalnetError> {
        for (token, supply) in TOKENS.iter().zip(self.supply) {
            if token.mint == SOL {
                self.mint(token, None, 0)?;
            } else {
                self.mint(token, Some(authority), supply)?;
            }
        }
        Ok(())
    }
}
