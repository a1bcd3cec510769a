//! Compiling instructions into the bytes that are signed.
//!
//! # Design
//! Keys stand in the order in which the instructions first name them, within the four classes the format wants. That
//! is what `@solana/web3.js` does, so its messages are reproduced byte for byte; it is also faster than sorting.

use sniper_core::ids::Address;
use solana_hash::Hash;
use solana_instruction::Instruction;

use super::BuildError;
use crate::jito::TIP_ACCOUNTS;

/// Largest transaction on the wire.
pub const WIRE_MAX: usize = 1_232;
/// What one signature adds to a message: itself and its count.
const SIGNATURE: usize = 65;
/// First byte of a version 0 message.
const VERSION_0: u8 = 0x80;

/// An address lookup table: its keys can be named by one byte each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupTable {
    /// Where it is.
    pub address: Address,
    /// What it holds.
    pub addresses: Vec<Address>,
}

/// How instructions use a key.
#[derive(Clone, Copy, Debug)]
struct Key {
    address: Address,
    signer: bool,
    writable: bool,
    invoked: bool,
    /// The table that names it, and its place there; none where it stands in the message.
    from: Option<(usize, u8)>,
}

impl Key {
    /// The classes of the format, in their order: static keys by what they may do, then what tables load.
    fn class(&self) -> usize {
        match (self.from, self.signer, self.writable) {
            (None, true, true) => 0,
            (None, true, false) => 1,
            (None, false, true) => 2,
            (None, false, false) => 3,
            (Some(_), _, true) => 4,
            (Some(_), _, false) => 5,
        }
    }
}

/// Static classes, and all.
const STATIC: usize = 4;
const CLASSES: usize = 6;

/// Compiles a version 0 message with one signer, `payer`.
///
/// # Errors
/// More signers than one, more keys or bytes than the format or the wire can carry.
pub fn compile(
    payer: Address,
    instructions: &[Instruction],
    blockhash: &Hash,
    tables: &[LookupTable],
) -> Result<Vec<u8>, BuildError> {
    let message = compile_any(payer, instructions, blockhash, tables)?;
    let signers = message.get(1).copied().unwrap_or_default();
    if signers != 1 {
        return Err(BuildError::Signers { signers });
    }
    let length = message.len().saturating_add(SIGNATURE);
    if length > WIRE_MAX {
        return Err(BuildError::TooLarge { length });
    }
    Ok(message)
}

/// [`compile`] without the limits that hold only for what we send.
pub(crate) fn compile_any(
    payer: Address,
    instructions: &[Instruction],
    blockhash: &Hash,
    tables: &[LookupTable],
) -> Result<Vec<u8>, BuildError> {
    let (mut keys, named) = collect(payer, instructions);
    for (nth, table) in tables.iter().enumerate() {
        load((nth, table), &mut keys);
    }
    // Key by key in the order of the message, and for each key its place there.
    let mut order: Vec<&Key> = Vec::with_capacity(keys.len());
    let mut places = vec![0_u8; keys.len()];
    let mut counts = [0_usize; CLASSES];
    for (class, count) in counts.iter_mut().enumerate() {
        // Tables follow one another within what they load.
        for table in 0..if class < STATIC { 1 } else { tables.len() } {
            for (key, place) in keys.iter().zip(&mut places) {
                if key.class() == class && key.from.is_none_or(|(from, _)| from == table) {
                    *place = short(order.len())?;
                    *count = count.saturating_add(1);
                    order.push(key);
                }
            }
        }
    }
    let [owners, signers, others, read, ..] = counts;
    let fixed = owners.saturating_add(signers).saturating_add(others).saturating_add(read);
    let header = [short(owners.saturating_add(signers))?, short(signers)?, short(read)?];
    let mut place = named.iter().map(|key| places.get(*key).copied().unwrap_or_default());
    let mut next = || place.next().unwrap_or_default();
    let mut out = Vec::with_capacity(WIRE_MAX);
    out.push(VERSION_0);
    out.extend_from_slice(&header);
    length(&mut out, fixed)?;
    for key in order.iter().take(fixed) {
        out.extend_from_slice(key.address.as_array());
    }
    out.extend_from_slice(blockhash.as_bytes());
    length(&mut out, instructions.len())?;
    for instruction in instructions {
        out.push(next());
        length(&mut out, instruction.accounts.len())?;
        for _ in &instruction.accounts {
            out.push(next());
        }
        length(&mut out, instruction.data.len())?;
        out.extend_from_slice(&instruction.data);
    }
    let loads = |nth: usize| keys.iter().any(|key| key.from.is_some_and(|(from, _)| from == nth));
    length(&mut out, (0..tables.len()).filter(|nth| loads(*nth)).count())?;
    for (nth, table) in tables.iter().enumerate().filter(|(nth, _)| loads(*nth)) {
        out.extend_from_slice(table.address.as_array());
        for writable in [true, false] {
            let of = |key: &&Key| key.writable == writable;
            let list = keys.iter().filter(of).filter_map(|key| key.from);
            let list: Vec<u8> =
                list.filter(|(from, _)| *from == nth).map(|(_, place)| place).collect();
            length(&mut out, list.len())?;
            out.extend(list);
        }
    }
    Ok(out)
}

/// Every key the instructions name, once, in order of first mention, the payer first; and for every mention in turn,
/// program before accounts, which key it is.
fn collect(payer: Address, instructions: &[Instruction]) -> (Vec<Key>, Vec<usize>) {
    let mut keys: Vec<Key> = Vec::with_capacity(48);
    let mut named = Vec::with_capacity(96);
    let mut name = |address: &Address, signer: bool, writable: bool, invoked: bool| {
        let known = keys.iter_mut().position(|key| key.address == *address);
        let at = known.unwrap_or(keys.len());
        match keys.get_mut(at) {
            Some(key) => {
                key.signer |= signer;
                key.writable |= writable;
                key.invoked |= invoked;
            }
            None => {
                keys.push(Key { address: *address, signer, writable, invoked, from: None });
            }
        }
        at
    };
    name(&payer, true, true, false);
    for instruction in instructions {
        named.push(name(&instruction.program_id, false, false, true));
        for meta in &instruction.accounts {
            named.push(name(&meta.pubkey, meta.is_signer, meta.is_writable, false));
        }
    }
    (keys, named)
}

/// Marks the keys that a table can load, and no table before it does.
fn load((nth, table): (usize, &LookupTable), keys: &mut [Key]) {
    // Signers and programs must be static; so must who takes a tip, or the block engine does not see it.
    let is_free = |key: &&mut Key| {
        !key.signer && !key.invoked && key.from.is_none() && !TIP_ACCOUNTS.contains(&key.address)
    };
    for key in keys.iter_mut().filter(is_free) {
        let at = table.addresses.iter().position(|address| *address == key.address);
        key.from = at.and_then(|at| u8::try_from(at).ok()).map(|at| (nth, at));
    }
}

fn short(count: usize) -> Result<u8, BuildError> {
    u8::try_from(count).map_err(|_| BuildError::TooManyKeys)
}

/// A length in seven-bit groups, the low ones first.
fn length(out: &mut Vec<u8>, length: usize) -> Result<(), BuildError> {
    let mut rest = u16::try_from(length).map_err(|_| BuildError::TooLarge { length })?;
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap_or(0x7f);
        rest >>= 7;
        if rest == 0 {
            out.push(low);
            return Ok(());
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use solana_instruction::AccountMeta;
    use solana_message::VersionedMessage;

    const NOT_RESERVED: Option<&std::collections::BTreeSet<Address>> = None;

    /// The official library's reading of a message.
    fn read(bytes: &[u8]) -> VersionedMessage {
        wincode::deserialize(bytes).unwrap()
    }

    fn address(byte: u8) -> Address {
        Address::new_from_array([byte; 32])
    }

    proptest! {
        #[test]
        fn the_official_library_reads_back_every_instruction(
            spec in proptest::collection::vec(
                (0_u8..40, proptest::collection::vec((0_u8..40, any::<bool>(), any::<bool>()), 0..12),
                 proptest::collection::vec(any::<u8>(), 0..200)), 1..6),
        ) {
            let instructions: Vec<Instruction> = spec.iter().map(|(program, accounts, data)| Instruction {
                program_id: address(100 + program),
                accounts: accounts.iter().map(|(key, signer, writable)| AccountMeta {
                    pubkey: address(*key), is_signer: *signer, is_writable: *writable,
                }).collect(),
                data: data.clone(),
            }).collect();
            let bytes = compile_any(address(0), &instructions, &Hash::new_from_array([9; 32]), &[]).unwrap();
            let message = read(&bytes);
            let keys = message.static_account_keys();
            prop_assert_eq!(keys[0].to_bytes(), [0; 32]);
            prop_assert_eq!(message.recent_blockhash().to_bytes(), [9; 32]);
            prop_assert_eq!(message.instructions().len(), instructions.len());
            for (compiled, wanted) in message.instructions().iter().zip(&instructions) {
                let key = |index: u8| keys[usize::from(index)].to_bytes();
                prop_assert_eq!(key(compiled.program_id_index), wanted.program_id.to_bytes());
                prop_assert_eq!(&compiled.data, &wanted.data);
                prop_assert_eq!(compiled.accounts.len(), wanted.accounts.len());
                for (index, meta) in compiled.accounts.iter().zip(&wanted.accounts) {
                    prop_assert_eq!(key(*index), meta.pubkey.to_bytes());
                    let at = usize::from(*index);
                    prop_assert!(!meta.is_signer || message.is_signer(at));
                    prop_assert!(!meta.is_writable || message.is_maybe_writable_with_reserved_addresses(at, NOT_RESERVED));
                }
            }
        }
    }

    #[test]
    fn a_transaction_too_large_for_the_wire_is_refused() {
        let fat = |bytes| {
            [Instruction { program_id: address(9), accounts: vec![], data: vec![0; bytes] }]
        };
        let compiled = |bytes| compile(address(1), &fat(bytes), &Hash::default(), &[]);
        let most =
            compiled(1_000).map(|message| 1_000 + WIRE_MAX - SIGNATURE - message.len()).unwrap();
        assert_eq!(compiled(most).unwrap().len() + SIGNATURE, WIRE_MAX);
        assert!(
            matches!(compiled(most + 1), Err(BuildError::TooLarge { length }) if length == WIRE_MAX + 1)
        );
    }

    #[test]
    fn a_second_signer_is_refused() {
        let accounts = vec![AccountMeta::new(address(2), true)];
        let instruction = Instruction { program_id: address(9), accounts, data: vec![] };
        let compiled = compile(address(1), &[instruction], &Hash::default(), &[]);
        assert!(matches!(compiled, Err(BuildError::Signers { signers: 2 })));
    }
}
