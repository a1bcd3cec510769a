//! What only the chain can say of an offer: whose accounts it writes, what its tables are, and what it would do to us.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod quiet;

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quiet::{Chain, LONG, SLOT};
use serde_json::json;
use sniper_core::event::MintSpec;
use sniper_core::ids::{Address, MintId, Signature, Symbol};
use sniper_core::order::Order;
use sniper_core::units::{Atoms, Bps, Lamports};
use sniper_solana::jupiter::{
    Approved, Ask, Checked, InspectError, Jupiter, JupiterConfig, Offer, Terms, check, inspect,
};
use sniper_solana::rpc::{Commitment, RpcConnectionPool, SendRequest};
use sniper_solana::tx::instructions::TOKEN_PROGRAM;
use sniper_solana::tx::{Priority, TransactionBuilder, compile, sign};
use sniper_wallet::{LocalSigner, Signer as _};
use solana_instruction::{AccountMeta, Instruction};

/// The order of mints on the local chain.
const SOL: MintId = MintId(1);
const USDC: MintId = MintId(2);
const JUP: MintId = MintId(4);
/// A hundred dollars.
const AMOUNT: Atoms = Atoms::new(100_000_000);

struct World {
    _chain: Chain,
    rpc: RpcConnectionPool,
    signer: LocalSigner,
    builder: TransactionBuilder,
    jupiter: Jupiter,
}

impl World {
    /// A wallet with SOL, a hundred dollars and a coin that is not to be touched.
    async fn start() -> Self {
        sniper_solana::install_crypto_provider();
        let chain = Chain::start();
        let rpc = chain.connect().await;
        let signer = LocalSigner::generate().unwrap();
        let mut builder = TransactionBuilder::new(signer.address());
        for mint in &chain.ready.mints {
            builder.add_mint(&MintSpec {
                address: mint.address.parse().unwrap(),
                token_program: mint.program.parse().unwrap(),
                decimals: mint.decimals,
                symbol: Symbol::new(mint.symbol),
                is_usd: mint.symbol.contains("USD"),
                plain: true,
                trusted: true,
                rent: Lamports::ZERO,
            });
        }
        let jupiter = JupiterConfig::new(&chain.ready.rpc_urls[0], None, 6_000).unwrap();
        let jupiter = Jupiter::new(jupiter).unwrap();
        let world = Self { _chain: chain, rpc, signer, builder, jupiter };
        let lamports = Lamports::new(2_000_000_000);
        let sent = world.rpc.request_airdrop(&world.signer.address(), lamports).await.unwrap();
        world.landed(sent).await;
        let hash = world.rpc.latest_blockhash(Commitment::Confirmed).await.unwrap().value.hash;
        let setup = world.builder.setup_transactions(Lamports::ZERO, Priority::default(), &hash);
        for message in setup.unwrap() {
            world.send(&message).await;
        }
        for mint in [USDC, JUP] {
            let owner = world.signer.address().to_string();
            let address = world.builder.spec(mint).unwrap().address.to_string();
            let params = (owner, address, AMOUNT.get());
            let minted: String = world.rpc.call("localnet_mint", &params).await.unwrap();
            let minted = bs58::decode(minted).into_vec().unwrap().try_into().unwrap();
            world.landed(Signature(minted)).await;
        }
        world
    }

    async fn landed(&self, signature: Signature) {
        let deadline = Instant::now() + LONG;
        loop {
            let statuses = self.rpc.signature_statuses(&[signature], false).await.unwrap().value;
            if let Some(Some(status)) = statuses.first()
                && status.commitment >= Commitment::Confirmed
            {
                assert!(status.err.is_none(), "{status:?}");
                return;
            }
            assert!(Instant::now() < deadline, "it did not land");
            tokio::time::sleep(SLOT).await;
        }
    }

    async fn send(&self, message: &[u8]) {
        let signed = sign(message, &self.signer).unwrap();
        let text = STANDARD.encode(&signed.bytes);
        let request = SendRequest::new(&text, signed.signature, true).unwrap();
        self.rpc.send_transaction(&request).await.unwrap();
        self.landed(signed.signature).await;
    }

    async fn offer(&self, terms: &Terms<'_>) -> Offer {
        let ask = Ask {
            mint_in: terms.mint_in,
            mint_out: terms.mint_out,
            amount_in: terms.amount_in,
            slippage: Bps::capped(100),
        };
        self.jupiter.build(&ask, terms.wallet, Duration::from_secs(10)).await.unwrap()
    }

    async fn inspected(
        &self,
        order: &Order,
        terms: &Terms<'_>,
        approved: &Approved,
        tables: &[Address],
    ) -> Result<Checked, InspectError> {
        inspect(&self.rpc, &self.builder, order, terms, approved, tables).await
    }
}

/// An approved order, made as a journal would give it back.
fn order(amount: Atoms, fee_cap: u64) -> Order {
    serde_json::from_value(json!({
        "id": {"cause": 1, "nth": 0}, "strategy": 0,
        "legs": [{"arrays": [], "hop": {"pool": 0, "mint_in": USDC, "mint_out": SOL},
            "amount": {"ExactIn": {"amount_in": amount, "min_out": 1}}}],
        "opens": [], "amount_in": amount, "min_out": 1, "expected_out": 1, "fee_cap": fee_cap,
        "compute_unit_limit": 120_007, "compute_unit_price": 10_000, "value": 0,
        "unpriced": false, "expires": i64::MAX, "at": 0, "reason": "TrendEntry",
    }))
    .unwrap()
}

#[tokio::test(flavor = "current_thread")]
async fn an_offer_that_does_to_us_what_it_says_is_taken_and_any_other_is_not() {
    let world = World::start().await;
    let order = order(AMOUNT, 6_300);
    // As if the third account were not known to us: what it is, the chain says.
    let known = [world.builder.token_account(USDC).unwrap()];
    let terms = Terms::of(&world.builder, &order, &known).unwrap();
    let offer = world.offer(&terms).await;
    let approved = check(&offer, &terms).unwrap();
    let checked = world.inspected(&order, &terms, &approved, &[]).await.unwrap();
    assert_eq!(checked.brings, offer.quoted_out, "nobody trades here");
    assert!((50_000..200_000).contains(&checked.units), "{}", checked.units);

    // Within what was reserved, however many units it takes.
    let hash = world.rpc.latest_blockhash(Commitment::Confirmed).await.unwrap().value.hash;
    let message = world.builder.around(&order, &checked.swap, 1_000_000, &[], &hash).unwrap();
    let number = |tag: u8, bytes: usize| {
        // The budget instructions have no accounts: program, none, length, tag, number.
        let length = u8::try_from(bytes + 1).unwrap();
        let at = message.windows(3).position(|w| w == [0, length, tag]).unwrap() + 3;
        message[at..at + bytes]
            .iter()
            .rev()
            .fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte))
    };
    let (units, price) = (number(2, 4), number(3, 8));
    assert!(units >= 1_000_000 && units % 4_096 == 120_007 % 4_096, "{units}");
    assert!(price > 0 && 5_000 + (units * price).div_ceil(1_000_000) <= 6_300, "{units} {price}");
    assert!(world.builder.around(&order, &checked.swap, 1_400_000, &[], &hash).is_err());

    let savings = world.builder.token_account(JUP).unwrap();
    let mut greedy = approved.clone();
    greedy.swap.accounts.push(AccountMeta::new(savings, false));
    let refused = world.inspected(&order, &terms, &greedy, &[]).await;
    assert!(matches!(refused, Err(InspectError::OursWritable(it)) if it == savings), "{refused:?}");

    let nowhere = Address::new_from_array([77; 32]);
    let refused = world.inspected(&order, &terms, &approved, &[nowhere]).await;
    assert!(matches!(refused, Err(InspectError::NoTable(it)) if it == nowhere), "{refused:?}");
    let refused = world.inspected(&order, &terms, &approved, &[terms.mint_in]).await;
    assert!(matches!(refused, Err(InspectError::Table { .. })), "{refused:?}");

    let least = Atoms::new(offer.quoted_out.get() + 1);
    let dearer = Terms { min_out: least, ..terms };
    let refused = world.inspected(&order, &dearer, &approved, &[]).await;
    assert!(
        matches!(refused, Err(InspectError::BringsLess { brings, .. }) if brings == offer.quoted_out)
    );

    // It gives more than the order would.
    let smaller = Terms { amount_in: Atoms::new(AMOUNT.get() - 1), ..terms };
    let refused = world.inspected(&order, &smaller, &approved, &[]).await;
    assert!(
        matches!(refused, Err(InspectError::TakesMore(it)) if it == terms.source),
        "{refused:?}"
    );
    let poor = self::order(AMOUNT, 4_999);
    let refused = world.inspected(&poor, &terms, &approved, &[]).await;
    assert!(
        matches!(refused, Err(InspectError::TakesMore(it)) if it == terms.wallet),
        "{refused:?}"
    );

    let twice = self::order(Atoms::new(AMOUNT.get() * 2), 6_300);
    let more = Terms { amount_in: twice.amount_in(), ..terms };
    let approved_twice = check(&world.offer(&more).await, &more).unwrap();
    let refused = world.inspected(&twice, &more, &approved_twice, &[]).await;
    assert!(matches!(refused, Err(InspectError::Fails(_))), "{refused:?}");

    // Somebody else may move what we hold: nothing is swapped there before a person has looked.
    let approve = Instruction {
        program_id: TOKEN_PROGRAM,
        accounts: vec![
            AccountMeta::new(terms.source, false),
            AccountMeta::new_readonly(nowhere, false),
            AccountMeta::new_readonly(terms.wallet, true),
        ],
        data: [&[4_u8][..], &5_u64.to_le_bytes()].concat(),
    };
    world.send(&compile(terms.wallet, &[approve], &hash, &[]).unwrap()).await;
    let refused = world.inspected(&order, &terms, &approved, &[]).await;
    assert!(
        matches!(refused, Err(InspectError::NotPlain(it)) if it == terms.source),
        "{refused:?}"
    );
}
