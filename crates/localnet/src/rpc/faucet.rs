//! Methods of this chain only: money for the asking, its make-up, and its faults.

use serde_json::{Value, json};
use solana_address::Address;
use solana_compute_budget_interface::ComputeBudgetInstruction;
use solana_instruction::Instruction;
use solana_keypair::Keypair;
use solana_message::{Message, VersionedMessage};
use solana_signer::Signer;
use solana_system_interface::instruction::transfer;
use solana_transaction::versioned::VersionedTransaction;
use spl_associated_token_account_interface::instruction::create_associated_token_account_idempotent;

use super::params::{self, Config, Params};
use super::{Answer, Node, RpcError};
use crate::chain::genesis::{self, SOL, Token};
use crate::chain::ledger::Commitment;
use crate::config::Faults;
use crate::port::Urls;

/// Most lamports in one airdrop: a million SOL.
const AIRDROP_MAX: u64 = 1_000_000_000_000_000;
/// Compute units a faucet transaction asks for, besides what tells it from the last one.
const UNITS: u32 = 100_000;

pub(super) fn request_airdrop(node: &Node, params: &Params<'_>) -> Answer {
    let (to, lamports) = (params.address(0)?, params.number(1)?);
    if lamports == 0 || lamports > AIRDROP_MAX {
        return Err(RpcError::invalid_params(format!(
            "Invalid params: from 1 to {AIRDROP_MAX} lamports at a time."
        )));
    }
    let from = node.chain.faucet.pubkey();
    submit(node, &node.chain.faucet, &[transfer(&from, &to, lamports)])
}

/// `[{"owner", "mint", "amount"}]`, or the three of them in this order.
pub(super) fn mint(node: &Node, params: &Params<'_>) -> Answer {
    let (owner, mint, amount) = if let Some(Value::String(_)) = params.get(0) {
        (params.text(0)?, params.text(1)?, params.get(2))
    } else {
        let config = params.config(0)?;
        let field = |name: &str| {
            let missing = || format!("Invalid params: missing `{name}`.");
            config.text(name)?.ok_or_else(|| RpcError::invalid_params(missing()))
        };
        (field("owner")?, field("mint")?, config.get("amount"))
    };
    let (owner, mint) = (params::address(owner)?, params::address(mint)?);
    let amount = match amount {
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_u64(),
        None => None,
    };
    let amount = amount.filter(|amount| *amount > 0).ok_or_else(|| {
        RpcError::invalid_params("Invalid params: `amount` must be a positive u64 of atoms.")
    })?;
    let token = genesis::token(&mint).ok_or_else(|| {
        RpcError::invalid_params("Invalid param: not a mint of this chain (see localnet_info)")
    })?;
    let authority = node.chain.mint_authority.pubkey();
    let holding = genesis::holding_address(&owner, token);
    let create =
        create_associated_token_account_idempotent(&authority, &owner, &mint, &token.program);
    let mut instructions = vec![create];
    instructions.extend(deliver(&authority, &holding, token, amount)?);
    submit(node, &node.chain.mint_authority, &instructions)
}

/// Brings tokens into a token account: minted, or for wrapped SOL, wrapped.
fn deliver(
    authority: &Address,
    holding: &Address,
    token: &Token,
    amount: u64,
) -> Result<Vec<Instruction>, RpcError> {
    let failed = |error| RpcError::new(-32603, format!("Internal error: {error}"));
    if token.mint == SOL {
        let sync = spl_token_interface::instruction::sync_native(&token.program, holding)
            .map_err(failed)?;
        return Ok(vec![transfer(authority, holding, amount), sync]);
    }
    let mint = if token.program == spl_token_interface::ID {
        spl_token_interface::instruction::mint_to(
            &token.program,
            &token.mint,
            holding,
            authority,
            &[],
            amount,
        )
    } else {
        spl_token_2022_interface::instruction::mint_to(
            &token.program,
            &token.mint,
            holding,
            authority,
            &[],
            amount,
        )
    };
    Ok(vec![mint.map_err(failed)?])
}

fn submit(node: &Node, payer: &Keypair, instructions: &[Instruction]) -> Answer {
    let blockhash =
        node.chain.read().block_behind(node.chain.depths.of(Commitment::Confirmed)).hash;
    let units = UNITS + node.chain.faucet_use();
    let mut all = instructions.to_vec();
    all.push(ComputeBudgetInstruction::set_compute_unit_limit(units));
    let message = Message::new_with_blockhash(&all, Some(&payer.pubkey()), &blockhash);
    let transaction = VersionedTransaction::try_new(VersionedMessage::Legacy(message), &[payer])
        .map_err(|error| RpcError::new(-32603, format!("Internal error: {error}")))?;
    let signature = transaction.signatures.first().map(ToString::to_string);
    node.chain.submit(transaction);
    Ok(json!(signature))
}

pub(super) fn info(node: &Node) -> Value {
    let ports: Vec<_> = node
        .ports
        .iter()
        .map(|port| {
            json!({"port": port.number, "faults": port.faults(), "requests": port.requests()})
        })
        .collect();
    let numbers: Vec<u16> = node.ports.iter().map(|port| port.number).collect();
    let urls = Urls::of(&numbers);
    json!({
        "rpcUrls": urls.rpc,
        "wsUrls": urls.ws,
        "priceUrl": urls.price,
        "genesisHash": node.chain.genesis_hash.to_string(),
        "slotMillis": node.chain.slot_millis,
        "seed": node.chain.seed,
        "confirmedDepth": node.chain.depths.confirmed,
        "finalizedDepth": node.chain.depths.finalized,
        "mints": node.chain.mints,
        "pools": node.chain.pools,
        "whirlpools": node.chain.whirlpools,
        "launches": *node.chain.launches(),
        "ports": ports,
    })
}

/// `[{"port": 8899, "faults": {..}}]`: replaces the faults of a port, or of the one asked.
pub(super) fn faults(node: &Node, params: &Params<'_>) -> Answer {
    let config = params.config(0)?;
    let port = named_port(node, config)?;
    let faults = config.get("faults").cloned().unwrap_or_else(|| json!({}));
    let faults: Faults = serde_json::from_value(faults)
        .map_err(|error| RpcError::invalid_params(format!("Invalid params: {error}.")))?;
    faults.check().map_err(|error| RpcError::invalid_params(error.to_string()))?;
    port.set_faults(faults.clone());
    Ok(json!({"port": port.number, "faults": faults}))
}

/// `[0.02]`: from here on the newest blocks are abandoned before this part of blocks.
pub(super) fn forks(node: &Node, params: &Params<'_>) -> Answer {
    let rate = params.get(0).and_then(Value::as_f64).filter(|rate| (0.0..0.5).contains(rate));
    let rate = rate.ok_or_else(|| {
        RpcError::invalid_params("Invalid params: a part of blocks, from 0 to less than 0.5.")
    })?;
    node.chain.fork(rate);
    Ok(json!(true))
}

/// `[{"port": 8899}]`: ends every open socket of a port.
pub(super) fn disconnect(node: &Node, params: &Params<'_>) -> Answer {
    let port = named_port(node, params.config(0)?)?;
    port.hang_up.send_modify(|count| *count += 1);
    Ok(json!(true))
}

fn named_port<'a>(
    node: &'a Node,
    config: Config<'_>,
) -> Result<&'a std::sync::Arc<crate::port::Port>, RpcError> {
    match config.number("port")? {
        None => Ok(&node.port),
        Some(number) => node
            .ports
            .iter()
            .find(|port| u64::from(port.number) == number)
            .ok_or_else(|| RpcError::invalid_params("Invalid param: no such port")),
    }
}
