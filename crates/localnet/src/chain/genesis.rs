//! The first state of the chain: mints, pools, agents and the faucet.

use litesvm::LiteSVM;
use serde::Serialize;
use solana_account::Account;
use solana_address::{Address, address};
use solana_keypair::Keypair;
use solana_program_pack::Pack;
use solana_signer::Signer;
use spl_associated_token_account_interface::address::get_associated_token_address_with_program_id;
use spl_token_interface::state::{Account as TokenState, AccountState, Mint};

use crate::cpmm::state::{AmmConfig, POOL_LEN, PoolState, observation};
use crate::cpmm::{self, PROGRAM_ID, PoolAddresses};
use crate::error::LocalnetError;
use crate::market::fair::Temper;
use crate::market::rng::Rng;

/// Wrapped SOL.
pub(crate) const SOL: Address = address!("So11111111111111111111111111111111111111112");
/// The dollar that most pools are priced in.
pub(crate) const USDC: Address = address!("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v");
/// A volatile token of five decimals.
pub(crate) const BONK: Address = address!("DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263");
/// A volatile token of six decimals.
pub(crate) const JUP: Address = address!("JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN");
/// A second dollar, under Token-2022.
pub(crate) const PYUSD: Address = address!("2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo");

const LAMPORTS_PER_SOL: u64 = 1_000_000_000;
/// Liquidity tokens locked when a pool is created.
const LP_LOCKED: u64 = 100;

/// A token of the chain.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MintInfo {
    /// Its mint.
    pub address: String,
    /// Its short name.
    pub symbol: &'static str,
    /// Its decimals.
    pub decimals: u8,
    /// Its token program.
    pub program: String,
}

/// A pool of the chain.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolInfo {
    /// The pool account.
    pub address: String,
    /// Program that owns it.
    pub program: String,
    /// Mint of token 0.
    pub mint0: String,
    /// Mint of token 1.
    pub mint1: String,
    /// Token account of token 0.
    pub vault0: String,
    /// Token account of token 1.
    pub vault1: String,
    /// Fee schedule.
    pub config: String,
    /// Price observations.
    pub observation: String,
    /// Pool fee, parts of a million.
    pub trade_fee_rate: u64,
}

/// What the chain needs to know about a token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) mint: Address,
    pub(crate) symbol: &'static str,
    pub(crate) decimals: u8,
    pub(crate) program: Address,
    /// Dollars at the start.
    pub(crate) price: f64,
    pub(crate) temper: Temper,
}

const fn temper(volatility: f64, drift: f64, jumps: f64, jump: f64) -> Temper {
    Temper { volatility, drift, jumps, jump }
}

const SPL: Address = spl_token_interface::ID;

/// The tokens. The first one is SOL, the second the dollar of account.
pub(crate) const TOKENS: [Token; 5] = [
    Token {
        mint: SOL,
        symbol: "SOL",
        decimals: 9,
        program: SPL,
        price: 150.0,
        temper: temper(0.0011, 0.0012, 0.012, 0.010),
    },
    Token {
        mint: USDC,
        symbol: "USDC",
        decimals: 6,
        program: SPL,
        price: 1.0,
        temper: temper(0.0, 0.0, 0.0, 0.0),
    },
    Token {
        mint: BONK,
        symbol: "BONK",
        decimals: 5,
        program: SPL,
        price: 0.000_02,
        temper: temper(0.0020, 0.0020, 0.015, 0.015),
    },
    Token {
        mint: JUP,
        symbol: "JUP",
        decimals: 6,
        program: SPL,
        price: 0.9,
        temper: temper(0.0016, 0.0016, 0.012, 0.012),
    },
    Token {
        mint: PYUSD,
        symbol: "PYUSD",
        decimals: 6,
        program: spl_token_2022_interface::ID,
        price: 1.0,
        temper: temper(0.000_05, 0.000_02, 0.002, 0.002),
    },
];

/// Two tokens, a fee schedule and dollars of depth on each side.
struct PoolPlan {
    tokens: [Address; 2],
    config: u16,
    side_usd: f64,
}

/// Pool fees in parts of a million, by fee schedule number.
const FEE_RATES: [u64; 3] = [2_500, 500, 3_000];

const POOLS: [PoolPlan; 6] = [
    PoolPlan { tokens: [SOL, USDC], config: 0, side_usd: 750_000.0 },
    PoolPlan { tokens: [SOL, USDC], config: 1, side_usd: 300_000.0 },
    PoolPlan { tokens: [BONK, USDC], config: 0, side_usd: 250_000.0 },
    PoolPlan { tokens: [JUP, USDC], config: 0, side_usd: 300_000.0 },
    PoolPlan { tokens: [JUP, SOL], config: 2, side_usd: 200_000.0 },
    PoolPlan { tokens: [PYUSD, USDC], config: 1, side_usd: 400_000.0 },
];

/// A pool as the agents know it.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    pub(crate) addresses: PoolAddresses,
    pub(crate) config: Address,
    pub(crate) fee_rate: u64,
    /// Token 0 and token 1.
    pub(crate) tokens: [Token; 2],
}

/// Keys and places of the first state.
pub(crate) struct Genesis {
    pub(crate) faucet: Keypair,
    pub(crate) mint_authority: Keypair,
    pub(crate) agents: Vec<Keypair>,
    pub(crate) pools: Vec<Pool>,
}

/// How many traders there are.
const AGENTS: usize = 12;

impl Genesis {
    /// Writes the first state into the runtime.
    ///
    /// `sol_price` is SOL's first price in dollars, when a tape says it.
    pub(crate) fn write(
        svm: &mut LiteSVM,
        seed: u64,
        now: u64,
        sol_price: Option<f64>,
    ) -> Result<Self, LocalnetError> {
        let mut rng = Rng::new(seed);
        let mut key = || Keypair::new_from_array(rng.bytes());
        let (faucet, mint_authority) = (key(), key());
        let agents: Vec<Keypair> = (0..AGENTS).map(|_| key()).collect();
        let creator = key();
        let mut tokens = TOKENS;
        if let Some(price) = sol_price {
            tokens[0].price = price;
        }
        let mut writer = Writer { svm, tokens, supply: [0; TOKENS.len()] };
        for funded in [&faucet, &mint_authority, &creator].into_iter().chain(&agents) {
            writer.system(funded.pubkey(), 10_000_000 * LAMPORTS_PER_SOL)?;
        }
        for (index, fee_rate) in (0u16..).zip(FEE_RATES) {
            writer.config(index, fee_rate, creator.pubkey())?;
        }
        let mut pools = Vec::new();
        for plan in &POOLS {
            pools.push(writer.pool(plan, creator.pubkey(), now)?);
        }
        for agent in &agents {
            for token in &tokens {
                let atoms = to_atoms(2_000_000.0 / token.price, token.decimals);
                writer.holding(agent.pubkey(), token, atoms)?;
            }
        }
        writer.mints(mint_authority.pubkey())?;
        Ok(Self { faucet, mint_authority, agents, pools })
    }

    /// The tokens, as told to clients.
    pub(crate) fn mint_infos() -> Vec<MintInfo> {
        TOKENS
            .iter()
            .map(|token| MintInfo {
                address: token.mint.to_string(),
                symbol: token.symbol,
                decimals: token.decimals,
                program: token.program.to_string(),
            })
            .collect()
    }

    /// The pools, as told to clients.
    pub(crate) fn pool_infos(&self) -> Vec<PoolInfo> {
        self.pools
            .iter()
            .map(|pool| {
                let [zero, one] = &pool.tokens;
                PoolInfo {
                    address: pool.addresses.pool.to_string(),
                    program: PROGRAM_ID.to_string(),
                    mint0: zero.mint.to_string(),
                    mint1: one.mint.to_string(),
                    vault0: pool.addresses.vault_0.to_string(),
                    vault1: pool.addresses.vault_1.to_string(),
                    config: pool.config.to_string(),
                    observation: pool.addresses.observation.to_string(),
                    trade_fee_rate: pool.fee_rate,
                }
            })
            .collect()
    }
}

/// The token of a mint.
pub(crate) fn token(mint: &Address) -> Option<&'static Token> {
    TOKENS.iter().find(|token| token.mint == *mint)
}

/// The token account a wallet uses for a token.
pub(crate) fn holding_address(owner: &Address, token: &Token) -> Address {
    get_associated_token_address_with_program_id(owner, &token.mint, &token.program)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a starting amount, positive and far below 2^63"
)]
fn to_atoms(amount: f64, decimals: u8) -> u64 {
    (amount * 10f64.powi(decimals.into())) as u64
}

struct Writer<'a> {
    svm: &'a mut LiteSVM,
    tokens: [Token; TOKENS.len()],
    supply: [u64; TOKENS.len()],
}

impl Writer<'_> {
    fn put(
        &mut self,
        address: Address,
        owner: Address,
        data: Vec<u8>,
    ) -> Result<(), LocalnetError> {
        let rent = self.svm.minimum_balance_for_rent_exemption(data.len());
        self.put_with(address, owner, data, rent)
    }

    fn put_with(
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

    fn system(&mut self, address: Address, lamports: u64) -> Result<(), LocalnetError> {
        self.put_with(address, solana_sdk_ids::system_program::ID, Vec::new(), lamports)
    }

    fn config(&mut self, index: u16, fee: u64, owner: Address) -> Result<(), LocalnetError> {
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
    fn token_account(
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

    fn holding(&mut self, owner: Address, token: &Token, atoms: u64) -> Result<(), LocalnetError> {
        self.token_account(holding_address(&owner, token), owner, token, atoms)
    }

    fn pool(&mut self, plan: &PoolPlan, creator: Address, now: u64) -> Result<Pool, LocalnetError> {
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

    fn mint(
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
    fn mints(&mut self, authority: Address) -> Result<(), LocalnetError> {
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
