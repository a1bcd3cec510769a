//! The first state of the chain: mints, pools, agents and the faucet.

mod scenery;
mod whirlpools;
mod writer;

use litesvm::LiteSVM;
use serde::Serialize;
use solana_address::{Address, address};
use solana_keypair::Keypair;
use solana_signer::Signer;
use spl_associated_token_account_interface::address::get_associated_token_address_with_program_id;

pub(crate) use whirlpools::Concentrated;
pub use whirlpools::WhirlpoolInfo;
use writer::Writer;

use crate::chain::scenery::Prop;
use crate::cpmm::create::FEE_RECEIVER;
use crate::cpmm::{PROGRAM_ID, PoolAddresses, administrator};
use crate::error::LocalnetError;
use crate::jito::TIP_ACCOUNTS;
use crate::market::fair::Temper;
use crate::market::launch::CROWD;
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
    pub(crate) whirlpools: Vec<Concentrated>,
    pub(crate) props: Vec<Prop>,
    /// Where coins are launched.
    pub(crate) launch: Option<LaunchKeys>,
}

/// Who launches coins and who holds them.
pub(crate) struct LaunchKeys {
    pub(crate) treasury: Keypair,
    pub(crate) crowd: Vec<Keypair>,
}

/// What the first state holds besides tokens, pools and those who trade them.
#[derive(Clone, Copy, Default)]
pub(crate) struct Extras {
    /// Pools of the scenery.
    pub(crate) scenery: usize,
    /// Coins are launched.
    pub(crate) launches: bool,
}

/// How many traders there are: two for each pool.
const AGENTS: usize = 2 * (POOLS.len() + whirlpools::COUNT);

impl Genesis {
    /// Writes the first state into the runtime.
    ///
    /// `sol_price` is SOL's first price in dollars, when a tape says it.
    pub(crate) fn write(
        svm: &mut LiteSVM,
        seed: u64,
        now: u64,
        sol_price: Option<f64>,
        extras: Extras,
    ) -> Result<Self, LocalnetError> {
        let mut rng = Rng::new(seed);
        let mut key = || Keypair::new_from_array(rng.bytes());
        let (faucet, mint_authority) = (key(), key());
        // The keys of the constant-product pools come first, and stay those they are, whatever follows.
        let mut agents: Vec<Keypair> = (0..2 * POOLS.len()).map(|_| key()).collect();
        let creator = key();
        agents.extend((agents.len()..AGENTS).map(|_| key()));
        let vaults = [(); whirlpools::COUNT].map(|()| [key().pubkey(), key().pubkey()]);
        let mut tokens = TOKENS;
        if let Some(price) = sol_price {
            tokens[0].price = price;
        }
        let mut writer = Writer { svm, tokens, supply: [0; TOKENS.len()] };
        for funded in [&faucet, &mint_authority, &creator].into_iter().chain(&agents) {
            writer.system(funded.pubkey(), 10_000_000 * LAMPORTS_PER_SOL)?;
        }
        for tips in TIP_ACCOUNTS {
            writer.system(tips, LAMPORTS_PER_SOL)?;
        }
        for (index, fee_rate) in (0u16..).zip(FEE_RATES) {
            writer.config(index, fee_rate, creator.pubkey())?;
        }
        let [sol, ..] = tokens;
        writer.token_account(FEE_RECEIVER, creator.pubkey(), &sol, 0)?;
        let mut pools = Vec::new();
        for plan in &POOLS {
            pools.push(writer.pool(plan, creator.pubkey(), now)?);
        }
        let whirlpools = writer.whirlpools(vaults, now)?;
        let props = writer.scenery(extras.scenery, seed)?;
        for agent in &agents {
            for token in &tokens {
                let atoms = to_atoms(2_000_000.0 / token.price, token.decimals);
                writer.holding(agent.pubkey(), token, atoms)?;
            }
        }
        let launch = if extras.launches { Some(launch_keys(&mut writer, seed)?) } else { None };
        writer.mints(mint_authority.pubkey())?;
        Ok(Self { faucet, mint_authority, agents, pools, whirlpools, props, launch })
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

/// Those who launch coins and those who hold them, with what they need: dollars, SOL, and SOL to wrap.
fn launch_keys(writer: &mut Writer<'_>, seed: u64) -> Result<LaunchKeys, LocalnetError> {
    const TREASURY_USD: f64 = 500_000_000.0;
    const WALLET_USD: f64 = 20_000_000.0;
    const SOL_EACH: u64 = 1_000_000 * LAMPORTS_PER_SOL;
    // Keys of their own, so that all others stay those they are.
    let mut rng = Rng::new(seed.rotate_left(7));
    let mut key = || Keypair::new_from_array(rng.bytes());
    let treasury = key();
    let crowd: Vec<Keypair> = (0..CROWD).map(|_| key()).collect();
    let [sol, usdc, ..] = writer.tokens;
    writer.system(administrator().pubkey(), SOL_EACH)?;
    for (owner, dollars) in
        std::iter::once((&treasury, TREASURY_USD)).chain(crowd.iter().map(|key| (key, WALLET_USD)))
    {
        writer.system(owner.pubkey(), SOL_EACH)?;
        for token in [&sol, &usdc] {
            let atoms = to_atoms(dollars / token.price, token.decimals);
            writer.holding(owner.pubkey(), token, atoms)?;
        }
    }
    Ok(LaunchKeys { treasury, crowd })
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
pub(crate) fn to_atoms(amount: f64, decimals: u8) -> u64 {
    (amount * 10f64.powi(decimals.into())) as u64
}
