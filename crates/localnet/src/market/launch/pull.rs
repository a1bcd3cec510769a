//! Making off with everything.

use litesvm::LiteSVM;
use solana_hash::Hash;
use solana_keypair::Keypair;
use solana_signer::Signer;
use solana_transaction::versioned::VersionedTransaction;
use spl_associated_token_account_interface::instruction::create_associated_token_account_idempotent;
use spl_token_2022_interface::instruction as token;

use super::coin::Coin;
use super::plan::LaunchKind;
use super::steps::sign;

/// Compute units it asks for.
const UNITS: u32 = 250_000;

impl Coin {
    /// What whoever can make off with all signs: liquidity taken out, or more tokens than there were, or a great part
    /// of them, sold at any price.
    pub(super) fn pull(&self, svm: &LiteSVM, blockhash: Hash) -> Option<VersionedTransaction> {
        let plan = &self.plan;
        let creator = &plan.creator;
        let seller: &Keypair = plan.whale.as_ref().unwrap_or(creator);
        let mut amount = self.held(svm, &plan.holding(&seller.pubkey()))?;
        let mut all = Vec::new();
        if plan.kind == LaunchKind::LiquidityKept {
            all.push(self.withdrawal(svm)?);
            return sign(creator, &[], &all, UNITS, blockhash);
        }
        if plan.kind == LaunchKind::MintAuthority {
            let (mint, by) = (plan.mint.pubkey(), creator.pubkey());
            let holding = plan.holding(&by);
            let more = token::mint_to(&plan.program, &mint, &holding, &by, &[], plan.supply);
            all.push(more.ok()?);
            amount = amount.checked_add(plan.supply)?;
        }
        let (by, to, quote) = (creator.pubkey(), seller.pubkey(), &plan.quote);
        all.push(create_associated_token_account_idempotent(&by, &to, &quote.mint, &quote.program));
        all.push(self.sale(svm, to, amount)?);
        // The creator pays: it has lamports left, and a great holder may have none.
        let others: &[&Keypair] = if to == by { &[] } else { &[seller] };
        sign(creator, others, &all, UNITS, blockhash)
    }
}
