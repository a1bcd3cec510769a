//! From an approved order to a signed transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use arrayvec::ArrayVec;
use sniper_core::amm::{Part, PoolSpec, SwapAccounts, swap_instruction};
use sniper_core::event::MintSpec;
use sniper_core::ids::{Address, MintId, PoolId, Signature};
use sniper_core::order::{Hop, Leg, LegAmount, Order};
use sniper_core::risk::Limits;
use sniper_core::units::{Atoms, Lamports, Slot};
use sniper_wallet::{SignError, Signer};
use solana_hash::Hash;
use solana_instruction::Instruction;
use thiserror::Error;

use super::instructions as ix;
use super::message::{LookupTable, compile};
use crate::fees::{AccountSet, FeeBoard};
use crate::jito::tip_account;

/// Token accounts made in one transaction.
const CREATE_PER_TRANSACTION: usize = 6;
/// Compute units of a transaction that is only simulated: all there may be.
pub(super) const REHEARSAL_UNITS: u32 = 1_400_000;
/// Compute units of making or extending a lookup table; the search for its address takes some.
const TABLE_UNITS: u32 = 60_000;
/// Compute units of a plain transfer, budget instructions included.
const TRANSFER_UNITS: u32 = 1_000;

/// Why there is no transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The order has no leg.
    #[error("an order without a leg")]
    Empty,
    /// A mint that was never added.
    #[error("mint {0:?} is not known to the builder")]
    UnknownMint(MintId),
    /// A pool that was never added.
    #[error("pool {0:?} is not known to the builder")]
    UnknownPool(PoolId),
    /// A leg names mints that its pool does not trade.
    #[error("pool {0:?} does not trade the mints of the leg")]
    WrongMints(PoolId),
    /// A leg whose least output is nothing: it would take any price.
    #[error("a leg through pool {0:?} without a least output")]
    NoLeastOutput(PoolId),
    /// A leg that moves nothing.
    #[error("a leg through pool {0:?} without an amount")]
    NoAmount(PoolId),
    /// The program of a pool offers no such swap, or its tick arrays are not known.
    #[error("the program of pool {0:?} offers no such swap, or its tick arrays are not known")]
    NotOffered(PoolId),
    /// More bytes than a packet carries.
    #[error("{length} bytes are more than a transaction may have")]
    TooLarge {
        /// What it would have.
        length: usize,
    },
    /// More keys than one byte can name.
    #[error("too many accounts in one transaction")]
    TooManyKeys,
    /// More compute units than a transaction may have.
    #[error("it needs more compute units than a transaction may have")]
    TooManyUnits,
    /// Another number of signers than our one.
    #[error("a transaction for {signers} signers, but we sign alone")]
    Signers {
        /// What it would need.
        signers: u8,
    },
}

/// A mint and where we hold it.
#[derive(Clone, Copy, Debug)]
pub(super) struct MintEntry {
    spec: MintSpec,
    account: Address,
}

#[derive(Clone, Debug)]
struct PoolEntry {
    spec: PoolSpec,
    mints: [Address; 2],
    /// What its swaps write, and what to bid for that.
    fees: Arc<AccountSet>,
}

/// A transaction with our signature on it: what goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Its name on the chain.
    pub signature: Signature,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Price and limit of a transaction that is no order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Priority {
    /// Millionths of a lamport per compute unit.
    pub micro_lamports: u64,
}

/// Builds transactions of one owner. All that is the same for every order is worked out when mints and pools are
/// added, in the order in which the market numbers them.
#[derive(Clone, Debug)]
pub struct TransactionBuilder {
    owner: Address,
    /// From [`MintId`] 1 on; 0 is native SOL, which has no token account.
    mints: Vec<MintEntry>,
    pools: Vec<PoolEntry>,
    /// Name keys by a byte each where a transaction would be too large without.
    tables: Vec<LookupTable>,
    /// Addresses of tick and bin arrays, each derived once.
    arrays: Arc<Mutex<BTreeMap<(PoolId, i32), Address>>>,
    fees: FeeBoard,
}

impl TransactionBuilder {
    /// A builder that knows no mint and no pool.
    #[must_use]
    pub fn new(owner: Address) -> Self {
        Self {
            owner,
            mints: Vec::new(),
            pools: Vec::new(),
            tables: Vec::new(),
            arrays: Arc::default(),
            fees: FeeBoard::default(),
        }
    }

    /// Who signs and pays.
    #[must_use]
    pub const fn owner(&self) -> Address {
        self.owner
    }

    /// Adds a mint and gives its number, the market's if both learn in the same order.
    pub fn add_mint(&mut self, spec: &MintSpec) -> MintId {
        let account = ix::associated_token_address(&self.owner, &spec.address, &spec.token_program);
        self.mints.push(MintEntry { spec: *spec, account });
        MintId(u16::try_from(self.mints.len()).unwrap_or(u16::MAX))
    }

    /// Adds a pool and gives its number, the market's if both learn in the same order.
    ///
    /// # Errors
    /// [`BuildError::UnknownMint`] if one of its mints was not added before.
    pub fn add_pool(&mut self, spec: &PoolSpec) -> Result<PoolId, BuildError> {
        let [first, second] = spec.mints;
        let mints = [self.mint(first)?.spec.address, self.mint(second)?.spec.address];
        let id = PoolId(u32::try_from(self.pools.len()).unwrap_or(u32::MAX));
        let fees = self.fees.set(written(spec, mints));
        self.pools.push(PoolEntry { spec: spec.clone(), mints, fees });
        Ok(id)
    }

    /// The prices that orders bid; all clones of a builder share them.
    #[must_use]
    pub const fn fees(&self) -> &FeeBoard {
        &self.fees
    }

    /// What an order bids for a compute unit, in millionths of a lamport: what is estimated for the dearest of its pools,
    /// and never more than the order carries, which is what its fee was reserved for.
    #[must_use]
    pub fn price(&self, order: &Order) -> u64 {
        let most = order.compute_unit_price();
        let Some(urgency) = self.fees.urgency() else { return most };
        // To sell late loses money, and a round trip gains any only for who is first.
        let (from, to) = (order.mint_in(), order.mint_out());
        let is_hurried = from == to || (self.is_usd(to) && !self.is_usd(from));
        let urgency = if is_hurried { urgency.more() } else { urgency };
        let of = |leg: &Leg| self.pools.get(leg.hop.pool.index())?.fees.price(urgency);
        // Of a pool without an estimate nothing is known: then all that was reserved.
        let prices = order.legs().iter().map(|leg| of(leg).unwrap_or(most));
        prices.max().unwrap_or(most).min(most)
    }

    fn is_usd(&self, mint: MintId) -> bool {
        self.mint(mint).is_ok_and(|entry| entry.spec.is_usd)
    }

    /// Where we hold a mint; none for native SOL and for mints not added.
    #[must_use]
    pub fn token_account(&self, mint: MintId) -> Option<Address> {
        self.mint(mint).ok().map(|entry| entry.account)
    }

    /// All mints: number, address, and where we hold it.
    pub fn mints(&self) -> impl Iterator<Item = (MintId, &MintSpec, Address)> {
        (1..).zip(&self.mints).map(|(id, entry)| (MintId(id), &entry.spec, entry.account))
    }

    /// What is known of a mint; nothing of native SOL and of those not added.
    #[must_use]
    pub fn spec(&self, mint: MintId) -> Option<&MintSpec> {
        self.mint(mint).ok().map(|entry| &entry.spec)
    }

    pub(super) fn mint(&self, id: MintId) -> Result<&MintEntry, BuildError> {
        let place = id.index().checked_sub(1).ok_or(BuildError::UnknownMint(id))?;
        self.mints.get(place).ok_or(BuildError::UnknownMint(id))
    }

    /// The message of an order: its budget, the token accounts that it makes, then one swap per leg.
    ///
    /// # Errors
    /// See [`BuildError`]; among others a leg without a least output, always.
    pub fn swap(&self, order: &Order, blockhash: &Hash) -> Result<Vec<u8>, BuildError> {
        if order.legs().is_empty() {
            return Err(BuildError::Empty);
        }
        let count = order.legs().len().saturating_add(order.opens().len()).saturating_add(3);
        let mut instructions = Vec::with_capacity(count);
        instructions.push(ix::compute_unit_limit(order.compute_unit_limit()));
        instructions.push(ix::compute_unit_price(self.price(order)));
        for (mint, _) in order.opens() {
            instructions.push(self.create(self.mint(*mint)?));
        }
        for leg in order.legs() {
            instructions.push(self.leg(leg)?);
        }
        instructions.extend(self.tip(order));
        self.compile(&instructions, blockhash)
    }

    /// What pays an order's tip, if it has one: in the same transaction, and last.
    pub(super) fn tip(&self, order: &Order) -> Option<Instruction> {
        let tip = Some(order.tip()).filter(|tip| *tip > Lamports::ZERO)?;
        Some(ix::transfer(self.owner, tip_account(order.id()), tip))
    }

    /// Adds a lookup table. What fits without one is built without: that is quicker, and needs nothing of anybody.
    pub fn add_table(&mut self, table: LookupTable) {
        self.tables.push(table);
    }

    fn compile(&self, instructions: &[Instruction], hash: &Hash) -> Result<Vec<u8>, BuildError> {
        self.compile_with(instructions, hash, &self.tables)
    }

    pub(super) fn compile_with(
        &self,
        instructions: &[Instruction],
        hash: &Hash,
        tables: &[LookupTable],
    ) -> Result<Vec<u8>, BuildError> {
        match compile(self.owner, instructions, hash, &[]) {
            Err(BuildError::TooLarge { .. } | BuildError::TooManyKeys) if !tables.is_empty() => {
                compile(self.owner, instructions, hash, tables)
            }
            built => built,
        }
    }

    /// All keys that a lookup table could name for us: those of every pool's swap and of our token accounts, but for
    /// tick and bin arrays, which change as prices move.
    #[must_use]
    pub fn table_keys(&self) -> Vec<Address> {
        let mut keys = BTreeSet::new();
        for (nth, pool) in (0_u32..).zip(&self.pools) {
            // Every kind takes from one array to three; which, is not looked at.
            let some: ArrayVec<Address, 3> =
                [0; 3].iter().filter_map(|start| pool.spec.array(*start)).collect();
            let [first, second] = pool.spec.mints;
            for (mint_in, mint_out) in [(first, second), (second, first)] {
                let hop = Hop { pool: PoolId(nth), mint_in, mint_out };
                let amount =
                    LegAmount::ExactIn { amount_in: Atoms::new(1), min_out: Atoms::new(1) };
                let Ok(swap) = self.leg_through(hop, amount, &some) else { continue };
                let named = swap.accounts.iter().filter(|meta| !meta.is_signer);
                keys.extend(named.map(|meta| meta.pubkey).filter(|key| !some.contains(key)));
            }
        }
        for entry in &self.mints {
            keys.extend([entry.account, entry.spec.address, entry.spec.token_program]);
        }
        keys.into_iter().collect()
    }

    /// Whether a mint is wrapped SOL, which anybody who holds SOL can have.
    #[must_use]
    pub fn is_wrapped_sol(&self, mint: MintId) -> bool {
        self.mint(mint).is_ok_and(|entry| entry.spec.address == ix::WRAPPED_SOL)
    }

    /// The message of legs that are to be simulated and never sent; makes the token accounts that they need, and wraps
    /// `wrap` lamports before, if not zero.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn rehearsal(
        &self,
        wrap: Lamports,
        legs: &[Leg],
        blockhash: &Hash,
    ) -> Result<Vec<u8>, BuildError> {
        let mut instructions = vec![ix::compute_unit_limit(REHEARSAL_UNITS)];
        for leg in legs {
            let create = self.create(self.mint(leg.hop.mint_out)?);
            if !instructions.contains(&create) {
                instructions.push(create);
            }
        }
        let wrapped = self.mints.iter().find(|entry| entry.spec.address == ix::WRAPPED_SOL);
        if let Some(wrapped) = wrapped.filter(|_| wrap > Lamports::ZERO) {
            instructions.push(ix::transfer(self.owner, wrapped.account, wrap));
            instructions.push(ix::sync_native(wrapped.account));
        }
        for leg in legs {
            instructions.push(self.leg(leg)?);
        }
        self.compile(&instructions, blockhash)
    }

    /// Makes our account of a mint unless it is there.
    pub(super) fn create(&self, entry: &MintEntry) -> Instruction {
        ix::create_token_account(
            self.owner,
            entry.account,
            self.owner,
            entry.spec.address,
            entry.spec.token_program,
        )
    }

    fn leg(&self, leg: &Leg) -> Result<Instruction, BuildError> {
        let (hop, pool) = (leg.hop, self.pools.get(leg.hop.pool.index()));
        let spec = &pool.ok_or(BuildError::UnknownPool(hop.pool))?.spec;
        let starts = leg.arrays.iter();
        let arrays: ArrayVec<Address, 3> =
            starts.filter_map(|start| self.array(hop.pool, spec, *start)).collect();
        self.leg_through(hop, leg.amount, &arrays)
    }

    fn leg_through(
        &self,
        hop: Hop,
        amount: LegAmount,
        arrays: &[Address],
    ) -> Result<Instruction, BuildError> {
        let pool = self.pools.get(hop.pool.index()).ok_or(BuildError::UnknownPool(hop.pool))?;
        let forward = match pool.spec.mints {
            [first, second] if [hop.mint_in, hop.mint_out] == [first, second] => true,
            [first, second] if [hop.mint_out, hop.mint_in] == [first, second] => false,
            _ => return Err(BuildError::WrongMints(hop.pool)),
        };
        let (least_out, in_most) = match amount {
            LegAmount::ExactIn { amount_in, min_out } => (min_out, amount_in),
            LegAmount::ExactOut { amount_out, max_in } => (amount_out, max_in),
        };
        if least_out == Atoms::ZERO {
            return Err(BuildError::NoLeastOutput(hop.pool));
        }
        if in_most == Atoms::ZERO {
            return Err(BuildError::NoAmount(hop.pool));
        }
        let accounts = SwapAccounts {
            owner: self.owner,
            source: self.mint(hop.mint_in)?.account,
            destination: self.mint(hop.mint_out)?.account,
        };
        let built = swap_instruction(&pool.spec, pool.mints, forward, amount, accounts, arrays);
        built.ok_or(BuildError::NotOffered(hop.pool))
    }

    fn array(&self, id: PoolId, spec: &PoolSpec, start: i32) -> Option<Address> {
        // Only ever added to: a panic elsewhere leaves it usable.
        let mut known = self.arrays.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(address) = known.get(&(id, start)) {
            return Some(*address);
        }
        let address = spec.array(start)?;
        known.insert((id, start), address);
        Some(address)
    }

    /// A lookup table of [`Self::table_keys`], and the messages that make it, to be landed one after the other.
    ///
    /// # Errors
    /// [`BuildError::TooLarge`] if a message does not fit, which no number of keys can cause.
    pub fn table_transactions(
        &self,
        recent: Slot,
        priority: Priority,
        blockhash: &Hash,
    ) -> Result<(LookupTable, Vec<Vec<u8>>), BuildError> {
        let (table, steps) = LookupTable::plan(self.owner, recent, self.table_keys());
        let messages = steps.into_iter().map(|step| {
            let mut instructions = budget(TABLE_UNITS, priority);
            instructions.extend(step);
            compile(self.owner, &instructions, blockhash, &[])
        });
        Ok((table, messages.collect::<Result<_, _>>()?))
    }

    /// Messages that make every token account we need and wrap `wrap` lamports, if not zero. Making an account that
    /// is there does nothing; wrapping adds to what is there.
    ///
    /// # Errors
    /// [`BuildError::TooLarge`] if a message does not fit, which a handful of accounts cannot cause.
    pub fn setup_transactions(
        &self,
        wrap: Lamports,
        priority: Priority,
        blockhash: &Hash,
    ) -> Result<Vec<Vec<u8>>, BuildError> {
        let groups = self.mints.chunks(CREATE_PER_TRANSACTION);
        let messages = groups.map(|group| self.setup(group, wrap, priority, blockhash));
        messages.collect()
    }

    fn setup(
        &self,
        group: &[MintEntry],
        wrap: Lamports,
        priority: Priority,
        blockhash: &Hash,
    ) -> Result<Vec<u8>, BuildError> {
        let count = u32::try_from(group.len()).unwrap_or(u32::MAX).saturating_add(1);
        let mut instructions = budget(Limits::UNITS_PER_ACCOUNT.saturating_mul(count), priority);
        for entry in group {
            instructions.push(self.create(entry));
            if entry.spec.address == ix::WRAPPED_SOL && wrap > Lamports::ZERO {
                instructions.push(ix::transfer(self.owner, entry.account, wrap));
                instructions.push(ix::sync_native(entry.account));
            }
        }
        compile(self.owner, &instructions, blockhash, &[])
    }

    /// The message of a native transfer.
    ///
    /// # Errors
    /// None in practice: see [`compile`].
    pub fn transfer(
        &self,
        to: Address,
        lamports: Lamports,
        priority: Priority,
        blockhash: &Hash,
    ) -> Result<Vec<u8>, BuildError> {
        let mut instructions = budget(TRANSFER_UNITS, priority);
        instructions.push(ix::transfer(self.owner, to, lamports));
        compile(self.owner, &instructions, blockhash, &[])
    }
}

/// The accounts of a pool that every swap of it writes, whoever swaps.
fn written(spec: &PoolSpec, mints: [Address; 2]) -> Vec<Address> {
    let nobody = Address::default();
    let accounts = SwapAccounts { owner: nobody, source: nobody, destination: nobody };
    let one = Atoms::new(1);
    let amount = LegAmount::ExactIn { amount_in: one, min_out: one };
    let arrays = [nobody; 3];
    let swap = swap_instruction(spec, mints, true, amount, accounts, &arrays);
    let is_written = |address: &Address| {
        let metas = swap.iter().flat_map(|swap| &swap.accounts);
        metas.filter(|meta| meta.is_writable).any(|meta| meta.pubkey == *address)
    };
    let own = spec.followed(mints, [nobody; 2], &[]).into_iter();
    let own = own.filter(|one| matches!(one.part, Part::State | Part::Vault { .. }));
    own.map(|one| one.address).filter(is_written).collect()
}

fn budget(units: u32, priority: Priority) -> Vec<Instruction> {
    vec![ix::compute_unit_limit(units), ix::compute_unit_price(priority.micro_lamports)]
}

/// Signs a message and puts the signature before it.
///
/// # Errors
/// The signer's own; after KILL there is never a signature.
pub fn sign(message: &[u8], signer: &(impl Signer + ?Sized)) -> Result<Signed, SignError> {
    let signature = signer.sign(message)?;
    let mut bytes = Vec::with_capacity(message.len().saturating_add(65));
    bytes.push(1);
    bytes.extend_from_slice(&signature);
    bytes.extend_from_slice(message);
    Ok(Signed { signature: Signature(signature), bytes })
}
