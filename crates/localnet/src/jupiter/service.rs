//! `GET /swap/v2/order` and `GET /swap/v2/build`: quotes and swaps in the shape of Jupiter's Swap API V2.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use solana_address::Address;
use solana_compute_budget_interface::ComputeBudgetInstruction;
use solana_instruction::Instruction;
use spl_associated_token_account_interface::instruction::create_associated_token_account_idempotent;

use super::instruction::WHOLE;
use super::offer::{Found, Wanted, best};
use crate::chain::ledger::{BLOCKHASH_BLOCKS, Commitment};
use crate::rpc::Node;

/// Price of a compute unit that it suggests.
const UNIT_PRICE: u64 = 1_000;
/// Slippage where none is asked for.
const SLIPPAGE_BPS: u16 = 50;

/// What can be asked.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Query {
    input_mint: String,
    output_mint: String,
    amount: String,
    slippage_bps: Option<u16>,
    taker: Option<String>,
    wrap_and_unwrap_sol: Option<bool>,
}

impl Query {
    fn wanted(&self) -> Result<Wanted, String> {
        let wanted = Wanted {
            mint_in: address("inputMint", &self.input_mint)?,
            mint_out: address("outputMint", &self.output_mint)?,
            amount: self.amount.parse().map_err(|_| "amount must be a u64 of atoms".to_owned())?,
            slippage_bps: self.slippage_bps.unwrap_or(SLIPPAGE_BPS),
        };
        if wanted.slippage_bps > WHOLE {
            return Err(format!("slippageBps must be at most {WHOLE}"));
        }
        Ok(wanted)
    }
}

fn address(name: &str, text: &str) -> Result<Address, String> {
    text.parse().map_err(|_| format!("{name} is not an address"))
}

/// A quote; without a transaction, whoever asks.
pub(crate) fn order(node: &Node, query: &Query) -> Result<Value, String> {
    let wanted = query.wanted()?;
    let ledger = node.chain.read();
    let bank = node.bank(&ledger, Commitment::Processed);
    let found = best(&node.chain, &ledger, bank.slot, wanted).ok_or(NO_ROUTE)?;
    let mut answer = quoted(&found, &wanted);
    let more = [
        ("mode", json!("manual")),
        ("router", json!("metis")),
        ("transaction", Value::Null),
        ("requestId", json!("local")),
        ("taker", json!(query.taker)),
        ("gasless", json!(false)),
    ];
    extend(&mut answer, more);
    Ok(answer)
}

const NO_ROUTE: &str = "No routes found";

/// A swap as instructions.
pub(crate) fn build(node: &Node, query: &Query) -> Result<Value, String> {
    let wanted = query.wanted()?;
    let taker = query.taker.as_deref().ok_or("taker is missing")?;
    let taker = address("taker", taker)?;
    if query.wrap_and_unwrap_sol != Some(false) {
        return Err("this service wraps no SOL: ask with wrapAndUnwrapSol=false".to_owned());
    }
    let ledger = node.chain.read();
    let bank = node.bank(&ledger, Commitment::Processed);
    let found = best(&node.chain, &ledger, bank.slot, wanted).ok_or(NO_ROUTE)?;
    let swap = found.instruction(taker).ok_or(NO_ROUTE)?;
    let missing = found.needs(&taker).into_iter();
    let missing = missing.filter(|(account, _)| ledger.account(account, bank.slot).is_none());
    let setup = missing.map(|(_, token)| {
        let (mint, program) = (&token.mint, &token.program);
        shown(&create_associated_token_account_idempotent(&taker, &taker, mint, program))
    });
    let price = ComputeBudgetInstruction::set_compute_unit_price(UNIT_PRICE);
    let mut answer = quoted(&found, &wanted);
    let more = [
        ("computeBudgetInstructions", json!([shown(&price)])),
        ("setupInstructions", Value::Array(setup.collect())),
        ("swapInstruction", shown(&swap)),
        ("cleanupInstruction", Value::Null),
        ("otherInstructions", json!([])),
        ("tipInstruction", Value::Null),
        ("addressesByLookupTableAddress", Value::Null),
        (
            "blockhashWithMetadata",
            json!({
                "blockhash": bank.hash.as_ref(),
                "lastValidBlockHeight": bank.height + BLOCKHASH_BLOCKS,
            }),
        ),
    ];
    extend(&mut answer, more);
    Ok(answer)
}

fn quoted(found: &Found<'_>, wanted: &Wanted) -> Value {
    let (label, pool) = found.pool();
    let (mint_in, mint_out) = (wanted.mint_in.to_string(), wanted.mint_out.to_string());
    let (amount, out) = (wanted.amount.to_string(), found.out.to_string());
    let swap = json!({
        "ammKey": pool.to_string(),
        "label": label,
        "inputMint": mint_in,
        "outputMint": mint_out,
        "inAmount": amount,
        "outAmount": out,
    });
    json!({
        "inputMint": mint_in,
        "outputMint": mint_out,
        "inAmount": amount,
        "outAmount": out,
        "otherAmountThreshold": found.least().to_string(),
        "swapMode": "ExactIn",
        "slippageBps": wanted.slippage_bps,
        "routePlan": [{"swapInfo": swap, "percent": 100, "bps": WHOLE}],
    })
}

fn extend<const N: usize>(answer: &mut Value, more: [(&str, Value); N]) {
    if let Value::Object(fields) = answer {
        fields.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
}

fn shown(instruction: &Instruction) -> Value {
    let accounts = instruction.accounts.iter().map(|meta| {
        json!({
            "pubkey": meta.pubkey.to_string(),
            "isSigner": meta.is_signer,
            "isWritable": meta.is_writable,
        })
    });
    json!({
        "programId": instruction.program_id.to_string(),
        "accounts": accounts.collect::<Vec<_>>(),
        "data": BASE64_STANDARD.encode(&instruction.data),
    })
}
