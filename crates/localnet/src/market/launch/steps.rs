//! The transactions of a launch, one step after the other, each in a block of its own.

use litesvm::LiteSVM;
use solana_account::ReadableAccount;
use solana_address::Address;
use solana_compute_budget_interface::ComputeBudgetInstruction;
use solana_hash::Hash;
use solana_instruction::{AccountMeta, Instruction};
use solana_keypair::Keypair;
use solana_message::{VersionedMessage, v0};
use solana_signer::Signer;
use solana_system_interface::instruction as system;
use solana_transaction::versioned::VersionedTransaction;
use spl_associated_token_account_interface::instruction::create_associated_token_account_idempotent;
use spl_token_2022_interface::extension::transfer_fee::instruction::initialize_transfer_fee_config;
use spl_token_2022_interface::extension::{ExtensionType, metadata_pointer};
use spl_token_2022_interface::instruction::{self as token, AuthorityType};
use spl_token_2022_interface::state::Mint;

use super::plan::{FEE_BPS, LaunchKind, Plan};
use crate::chain::genesis::LaunchKeys;
use crate::cpmm::create::{Creation, InitializeArgs, support_mint};
use crate::cpmm::{self, administrator};
use crate::metaplex;

/// Lamports a creator gets: rent of what it makes, fees, and what the exchange charges for a pool.
const ALLOWANCE: u64 = 1_000_000_000;
/// Wallets served by one transaction, which must fit its 1232 bytes.
const SPREAD: usize = 7;
/// Liquidity tokens that nobody gets.
const LP_LOCKED: u64 = 100;
/// Micro-lamports a creator pays for a compute unit.
const UNIT_PRICE: u64 = 5_000;

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The creator gets its money.
    Fund,
    /// The coin is made, with its name and all of its supply, and its authorities go or stay.
    Coin,
    /// Wallets from this one on get theirs.
    Spread(usize),
    /// The exchange admits a coin that it would refuse.
    Admit,
    /// The pool is made, and its liquidity tokens are burnt or kept.
    Open,
}

impl Step {
    /// What comes after it; none after the last.
    pub(super) fn next(self, plan: &Plan) -> Option<Self> {
        match self {
            Self::Fund => Some(Self::Coin),
            Self::Coin => Some(Self::Spread(0)),
            Self::Spread(from) if from + SPREAD < plan.shares.len() => {
                Some(Self::Spread(from + SPREAD))
            }
            Self::Spread(_) if plan.kind == LaunchKind::PermanentDelegate => Some(Self::Admit),
            Self::Spread(_) | Self::Admit => Some(Self::Open),
            Self::Open => None,
        }
    }

    /// Whether it is done, by what is on the chain.
    pub(super) fn is_done(self, plan: &Plan, keys: &LaunchKeys, svm: &LiteSVM) -> bool {
        let made = match self {
            Self::Fund => plan.quote_holding(&plan.creator.pubkey()),
            Self::Coin => plan.mint.pubkey(),
            Self::Spread(from) => {
                let last = keys.crowd.iter().skip(from).take(SPREAD).next_back();
                last.map_or_else(|| plan.mint.pubkey(), |key| plan.holding(&key.pubkey()))
            }
            Self::Admit => cpmm::support_address(&plan.mint.pubkey()).0,
            Self::Open => plan.pool(&config()).pool,
        };
        svm.accounts_db().get_account_ref(&made).is_some_and(|account| account.lamports() > 0)
    }

    /// The transaction that does it; none where an instruction cannot be built, which a test would see.
    pub(super) fn transaction(
        self,
        plan: &Plan,
        keys: &LaunchKeys,
        svm: &LiteSVM,
        blockhash: Hash,
    ) -> Option<VersionedTransaction> {
        let creator = &plan.creator;
        match self {
            Self::Fund => sign(&keys.treasury, &[], &fund(plan, keys)?, 100_000, blockhash),
            Self::Coin => sign(creator, &[&plan.mint], &coin(plan, svm)?, 250_000, blockhash),
            Self::Spread(from) => {
                sign(creator, &[], &spread(plan, keys, from)?, 500_000, blockhash)
            }
            Self::Admit => {
                let administrator = administrator();
                let admit = support_mint(administrator.pubkey(), plan.mint.pubkey());
                sign(&administrator, &[], &[admit], 100_000, blockhash)
            }
            Self::Open => sign(creator, &[], &open(plan)?, 400_000, blockhash),
        }
    }
}

/// The fee schedule of all new pools.
pub(super) fn config() -> Address {
    cpmm::config_address(0).0
}

/// A signed transaction of these instructions.
pub(super) fn sign(
    payer: &Keypair,
    others: &[&Keypair],
    instructions: &[Instruction],
    units: u32,
    blockhash: Hash,
) -> Option<VersionedTransaction> {
    let mut all = vec![
        ComputeBudgetInstruction::set_compute_unit_limit(units),
        ComputeBudgetInstruction::set_compute_unit_price(UNIT_PRICE),
    ];
    all.extend_from_slice(instructions);
    let message = v0::Message::try_compile(&payer.pubkey(), &all, &[], blockhash).ok()?;
    let mut signers = vec![payer];
    signers.extend(others);
    VersionedTransaction::try_new(VersionedMessage::V0(message), &signers).ok()
}

fn fund(plan: &Plan, keys: &LaunchKeys) -> Option<Vec<Instruction>> {
    let (from, to, quote) = (keys.treasury.pubkey(), plan.creator.pubkey(), &plan.quote);
    let pay = token::transfer_checked(
        &quote.program,
        &plan.quote_holding(&from),
        &quote.mint,
        &plan.quote_holding(&to),
        &from,
        &[],
        plan.quote_atoms,
        quote.decimals,
    );
    Some(vec![
        system::transfer(&from, &to, ALLOWANCE),
        create_associated_token_account_idempotent(&from, &to, &quote.mint, &quote.program),
        pay.ok()?,
    ])
}

/// Bytes of metadata kept in the mint: type and length, two keys, three texts and an empty list.
fn inside_len(data: &metaplex::Data) -> usize {
    4 + 64 + 12 + data.name.len() + data.symbol.len() + data.uri.len() + 4
}

fn coin(plan: &Plan, svm: &LiteSVM) -> Option<Vec<Instruction>> {
    let (creator, mint) = (plan.creator.pubkey(), plan.mint.pubkey());
    let newer = plan.program == spl_token_2022_interface::ID;
    let mut extensions = Vec::new();
    match plan.kind {
        LaunchKind::TransferFee => extensions.push(ExtensionType::TransferFeeConfig),
        LaunchKind::PermanentDelegate => extensions.push(ExtensionType::PermanentDelegate),
        _ => {}
    }
    if newer {
        extensions.push(ExtensionType::MetadataPointer);
    }
    let space = ExtensionType::try_calculate_account_len::<Mint>(&extensions).ok()?;
    let whole = if newer { space + inside_len(&plan.data) } else { space };
    let rent = svm.minimum_balance_for_rent_exemption(whole);
    let space = u64::try_from(space).ok()?;
    let mut all = vec![system::create_account(&creator, &mint, rent, space, &plan.program)];
    for extension in extensions {
        let by = Some(&creator);
        let initialize = match extension {
            ExtensionType::TransferFeeConfig => {
                let most = u64::MAX;
                initialize_transfer_fee_config(&plan.program, &mint, by, by, FEE_BPS, most)
            }
            ExtensionType::PermanentDelegate => {
                token::initialize_permanent_delegate(&plan.program, &mint, &creator)
            }
            _ => metadata_pointer::instruction::initialize(&plan.program, &mint, None, Some(mint)),
        };
        all.push(initialize.ok()?);
    }
    let freeze = (plan.kind == LaunchKind::FreezeAuthority).then_some(&creator);
    let decimals = plan.decimals;
    all.push(token::initialize_mint2(&plan.program, &mint, &creator, freeze, decimals).ok()?);
    all.extend(describe(plan, newer));
    all.push(create_associated_token_account_idempotent(&creator, &creator, &mint, &plan.program));
    let holding = plan.holding(&creator);
    let supply = token::mint_to(&plan.program, &mint, &holding, &creator, &[], plan.supply);
    all.push(supply.ok()?);
    if plan.kind != LaunchKind::MintAuthority {
        let kind = AuthorityType::MintTokens;
        all.push(token::set_authority(&plan.program, &mint, None, kind, &creator, &[]).ok()?);
    }
    Some(all)
}

/// What the coin calls itself: in its own account where it can, else in one of the metadata program's.
fn describe(plan: &Plan, inside: bool) -> Vec<Instruction> {
    let (creator, mint, data) = (plan.creator.pubkey(), plan.mint.pubkey(), &plan.data);
    if !inside {
        let by = metaplex::Creation {
            mint,
            mint_authority: creator,
            payer: creator,
            update_authority: creator,
        };
        return vec![metaplex::create(&by, data)];
    }
    // The interface's own builders are not at hand here: first bytes of `initialize_account` and
    // `update_the_authority` under `spl_token_metadata_interface`.
    const INITIALIZE: [u8; 8] = [0xd2, 0xe1, 0x1e, 0xa2, 0x58, 0xb8, 0x4d, 0x8d];
    const UPDATE_AUTHORITY: [u8; 8] = [0xd7, 0xe4, 0xa6, 0xe4, 0x54, 0x64, 0x56, 0x7b];

    let mut bytes = INITIALIZE.to_vec();
    for text in [&data.name, &data.symbol, &data.uri] {
        bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    let initialize = Instruction {
        program_id: plan.program,
        accounts: vec![
            AccountMeta::new(mint, false),
            AccountMeta::new_readonly(creator, false),
            AccountMeta::new_readonly(mint, false),
            AccountMeta::new_readonly(creator, true),
        ],
        data: bytes,
    };
    if data.mutable {
        return vec![initialize];
    }
    let finish = Instruction {
        program_id: plan.program,
        accounts: vec![AccountMeta::new(mint, false), AccountMeta::new_readonly(creator, true)],
        data: [UPDATE_AUTHORITY.as_slice(), &[0; 32]].concat(),
    };
    vec![initialize, finish]
}

fn spread(plan: &Plan, keys: &LaunchKeys, from: usize) -> Option<Vec<Instruction>> {
    let (creator, mint) = (plan.creator.pubkey(), plan.mint.pubkey());
    let crowd = keys.crowd.iter().map(Keypair::pubkey).zip(plan.shares.iter().copied());
    let mut receivers: Vec<(Address, u64)> = crowd.skip(from).take(SPREAD).collect();
    if let Some(whale) = plan.whale.as_ref().filter(|_| from == 0) {
        receivers.insert(0, (whale.pubkey(), plan.whale_atoms()));
    }
    let source = plan.holding(&creator);
    let mut all = Vec::new();
    for (owner, atoms) in receivers {
        let program = &plan.program;
        all.push(create_associated_token_account_idempotent(&creator, &owner, &mint, program));
        let holding = plan.holding(&owner);
        let give = token::transfer_checked(
            program,
            &source,
            &mint,
            &holding,
            &creator,
            &[],
            atoms,
            plan.decimals,
        );
        all.push(give.ok()?);
    }
    Some(all)
}

fn open(plan: &Plan) -> Option<Vec<Instruction>> {
    let creator = plan.creator.pubkey();
    let (mints, programs, coin_is_zero) = plan.sides();
    let (coin, quote) = (plan.holding(&creator), plan.quote_holding(&creator));
    let (pool_atoms, quote_atoms) = (plan.pool_atoms(), plan.quote_atoms);
    let turn = |coin, quote| if coin_is_zero { [coin, quote] } else { [quote, coin] };
    let creation =
        Creation { creator, amm_config: config(), mints, programs, holdings: turn(coin, quote) };
    let [amount_0, amount_1] =
        if coin_is_zero { [pool_atoms, quote_atoms] } else { [quote_atoms, pool_atoms] };
    let args = InitializeArgs { amount_0, amount_1, open_time: 0 };
    let admitted = [plan.mint.pubkey()];
    let admitted =
        if plan.kind == LaunchKind::PermanentDelegate { admitted.as_slice() } else { &[] };
    let mut all = vec![creation.instruction(args, admitted)];
    if plan.kind != LaunchKind::LiquidityKept {
        let arrived = pool_atoms - plan.transfer_fee().on(pool_atoms);
        let issued = issued(arrived, quote_atoms)?;
        let burn = token::burn(
            &spl_token_interface::ID,
            &creation.creator_lp(),
            &creation.addresses().lp_mint,
            &creator,
            &[],
            issued,
        );
        all.push(burn.ok()?);
    }
    Some(all)
}

/// Liquidity tokens that a creator gets for what has reached the vaults.
fn issued(coin: u64, quote: u64) -> Option<u64> {
    let root = u128::from(coin).checked_mul(quote.into())?.isqrt();
    u64::try_from(root).ok()?.checked_sub(LP_LOCKED)
}
