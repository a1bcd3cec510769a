//! Swaps on concentrated pools through the real runtime: amounts, accounts and refusals.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use common::{Client, Net, quiet, runtime, sign};
use serde_json::{Value, json};
use sniper_localnet::WhirlpoolInfo;
use sniper_localnet::cpmm::math::TransferFee;
use sniper_localnet::cpmm::token::TokenAccount;
use sniper_localnet::whirlpool::instruction::{
    Remaining, Side, SwapAccounts, SwapArgs, Version, swap,
};
use sniper_localnet::whirlpool::math::Way;
use sniper_localnet::whirlpool::state::Whirlpool;
use sniper_localnet::whirlpool::swap::{Request, Transferred, sequence, swap_with_transfer_fees};
use sniper_localnet::whirlpool::tick_array::{TickArray, starts_for};
use sniper_localnet::whirlpool::tick_math::sqrt_price_at;
use sniper_localnet::whirlpool::{PROGRAM_ID, oracle_address, tick_array_address};
use solana_address::Address;
use solana_keypair::Keypair;
use solana_signer::Signer;
use spl_associated_token_account_interface::address::get_associated_token_address_with_program_id;

const PYUSD: &str = "2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo";
const FEE: u64 = 5_000;

fn key(text: &str) -> Address {
    text.parse().unwrap()
}

fn side(info: &WhirlpoolInfo, owner: &Address, a: bool) -> Side {
    let (mint, vault) =
        if a { (&info.mint_a, &info.vault_a) } else { (&info.mint_b, &info.vault_b) };
    let newer = mint == PYUSD;
    let program = if newer { spl_token_2022_interface::ID } else { spl_token_interface::ID };
    let user = get_associated_token_address_with_program_id(owner, &key(mint), &program);
    Side { mint: key(mint), program, user, vault: key(vault) }
}

fn accounts(info: &WhirlpoolInfo, pool: &Whirlpool, owner: &Address, a_to_b: bool) -> SwapAccounts {
    let address = key(&info.address);
    let starts = starts_for(pool.tick, pool.tick_spacing, a_to_b);
    SwapAccounts {
        authority: *owner,
        pool: address,
        a: side(info, owner, true),
        b: side(info, owner, false),
        tick_arrays: [0, 1, 2].map(|nth| tick_array_address(&address, starts[nth])),
        oracle: oracle_address(&address),
        supplemental: Vec::new(),
    }
}

/// The accounts of a pool, in bytes.
#[derive(Clone, PartialEq)]
struct World {
    pool: Vec<u8>,
    arrays: Vec<Vec<u8>>,
    /// User and vault of token A, user and vault of token B.
    tokens: [u64; 4],
}

impl World {
    async fn read(client: &Client, info: &WhirlpoolInfo, owner: &Address) -> Self {
        let bytes =
            async |address: &Address| client.account_bytes(&address.to_string(), "processed").await;
        let address = key(&info.address);
        let mut arrays = Vec::new();
        for start in &info.tick_arrays {
            arrays.push(bytes(&tick_array_address(&address, *start)).await);
        }
        let mut tokens = [0; 4];
        let (a, b) = (side(info, owner, true), side(info, owner, false));
        for (amount, holder) in tokens.iter_mut().zip([a.user, a.vault, b.user, b.vault]) {
            *amount = TokenAccount::decode(&bytes(&holder).await).unwrap().amount;
        }
        Self { pool: bytes(&address).await, arrays, tokens }
    }

    fn pool(&self) -> Whirlpool {
        Whirlpool::decode(&self.pool).unwrap()
    }

    fn quote(&self, request: &Request) -> Transferred {
        let given: Vec<_> = self.arrays.iter().map(|a| TickArray::decode(a).unwrap()).collect();
        let arrays = sequence(&self.pool(), request.way.a_to_b, &given).unwrap();
        let fees = (TransferFee::default(), TransferFee::default());
        let now = self.pool().rewards_updated;
        swap_with_transfer_fees(&self.pool(), &arrays, request, fees, now).unwrap()
    }

    /// What the maths says this world is after `done`, at the time that `after` says.
    fn expect(&self, done: &Transferred, a_to_b: bool, after: &Self) -> Self {
        let mut world = self.clone();
        let mut pool = done.swap.pool.clone();
        pool.rewards_updated = after.pool().rewards_updated;
        world.pool = pool.encode();
        let starts = starts_for(self.pool().tick, pool.tick_spacing, a_to_b);
        for crossed in &done.swap.crossed {
            let start = starts[crossed.array].to_le_bytes();
            let array = world.arrays.iter_mut().find(|data| data[8..12] == start).unwrap();
            TickArray::overwrite(array, crossed.place, &crossed.tick).unwrap();
        }
        let [user_a, vault_a, user_b, vault_b] = self.tokens;
        let (paid, got) = (done.user_pays, done.pool_pays);
        world.tokens = if a_to_b {
            [user_a - paid, vault_a + paid, user_b + got, vault_b - got]
        } else {
            [user_a + got, vault_a - got, user_b - paid, vault_b + paid]
        };
        world
    }
}

/// Swaps one way; every byte of the pool and of its tick arrays must be what the maths says.
async fn swaps_as_the_maths_says(
    client: &Client,
    info: &WhirlpoolInfo,
    (request, version): (Request, Version),
) -> usize {
    let payer = client.funded(5).await;
    for mint in [&info.mint_a, &info.mint_b] {
        client.mint(&payer.pubkey(), mint, 400_000_000_000_000).await;
    }
    let before = World::read(client, info, &payer.pubkey()).await;
    let done = before.quote(&request);
    let Way { a_to_b, exact_in } = request.way;
    let mut accounts = accounts(info, &before.pool(), &payer.pubkey(), a_to_b);
    if version == Version::Two(Some(Remaining::tick_arrays(2))) {
        let [first, second, third] = accounts.tick_arrays;
        accounts.tick_arrays = [third; 3];
        accounts.supplemental = vec![second, first];
    }
    let other_amount_threshold = if exact_in { done.user_receives } else { done.user_pays };
    let args = SwapArgs { request, other_amount_threshold, version };
    let (hash, _) = client.blockhash("processed").await;
    let tx = sign(&[swap(&accounts, &args)], hash, &[&payer]);
    let signature = client.send(&tx).await.unwrap();
    let status = client.wait_for(&signature, "processed").await;
    assert_eq!(status["err"], Value::Null);
    let after = World::read(client, info, &payer.pubkey()).await;
    let expected = before.expect(&done, a_to_b, &after);
    assert_eq!(after.tokens, expected.tokens);
    assert_eq!(after.pool(), expected.pool());
    assert!(after == expected, "a tick array differs from the maths");
    done.swap.crossed.len()
}

#[test]
fn a_swap_through_the_runtime_changes_exactly_what_the_maths_says() {
    let net = Net::start(quiet(10));
    runtime().block_on(async {
        let client = net.client();
        assert_eq!(net.ready.whirlpools.len(), 3);
        for info in &net.ready.whirlpools {
            assert_eq!(info.program, PROGRAM_ID.to_string());
            let two = || Version::Two(None);
            let one = || if info.mint_a == PYUSD { two() } else { Version::One };
            let request = |amount, a_to_b, exact_in| Request {
                amount,
                sqrt_price_limit: 0,
                way: Way { a_to_b, exact_in },
            };
            // Far enough to cross ticks and to leave the first array, and back within three.
            let places = if info.tick_spacing == 64 { 40 } else { 80 };
            let reach = i32::from(info.tick_spacing) * places;
            let first = client.account_bytes(&info.address, "processed").await;
            let first = Whirlpool::decode(&first).unwrap().tick;
            let far = |reach: i32, exact_in| Request {
                sqrt_price_limit: sqrt_price_at(first + reach),
                ..request(300_000_000_000_000, reach < 0, exact_in)
            };
            let mut crossed = 0;
            for (request, version) in [
                (request(1_234_567, true, true), one()),
                (request(1_234_567, false, true), two()),
                (request(54_321, true, false), two()),
                (request(54_321, false, false), one()),
                (far(-reach, true), one()),
                (far(reach, true), two()),
                (Request { way: Way { a_to_b: true, exact_in: true }, ..far(0, true) }, one()),
                (far(-reach, false), Version::Two(Some(Remaining::tick_arrays(2)))),
            ] {
                crossed += swaps_as_the_maths_says(&client, info, (request, version)).await;
            }
            assert!(crossed >= 5, "{crossed} ticks crossed on {}", info.address);
        }
    });
}

/// The first tick array of another pool.
fn foreign_array(net: &Net) -> Address {
    let other = &net.ready.whirlpools[1];
    tick_array_address(&key(&other.address), other.tick_arrays[0])
}

#[test]
fn a_swap_is_refused_with_the_programs_code_at_the_cost_of_the_fee_alone() {
    let net = Net::start(quiet(10));
    runtime().block_on(async {
        let client = net.client();
        let info = &net.ready.whirlpools[0];
        let payer = client.funded(5).await;
        let owner = payer.pubkey();
        for mint in [&info.mint_a, &info.mint_b] {
            client.mint(&owner, mint, 3_000_000_000).await;
        }
        let before = World::read(&client, info, &owner).await;
        let good = accounts(info, &before.pool(), &owner, true);
        let thief = Keypair::new().pubkey();
        let way = Way { a_to_b: true, exact_in: true };
        let fair = Request { amount: 1_000_000, sqrt_price_limit: 0, way };
        let out = Request { way: Way { exact_in: false, ..way }, ..fair };
        let price = before.pool().sqrt_price;
        let one = |request: Request, threshold| SwapArgs {
            request,
            other_amount_threshold: threshold,
            version: Version::One,
        };
        let two = |request: Request| SwapArgs { version: Version::Two(None), ..one(request, 1) };
        let more = |count| SwapArgs {
            version: Version::Two(Some(Remaining::tick_arrays(count))),
            ..one(fair, 1)
        };
        let arrays = |tick_arrays| SwapAccounts { tick_arrays, ..good.clone() };
        let with_a = |a| SwapAccounts { a, ..good.clone() };
        let with_b = |b| SwapAccounts { b, ..good.clone() };
        let [first, second, third] = good.tick_arrays;
        let cases = [
            (good.clone(), one(fair, u64::MAX), 6036, "too little out"),
            (good.clone(), SwapArgs { other_amount_threshold: u64::MAX, ..two(fair) }, 6036, "v2"),
            (good.clone(), one(out, 1), 6037, "too much in"),
            (good.clone(), one(Request { amount: 0, ..fair }, 0), 6035, "nothing"),
            (good.clone(), one(Request { sqrt_price_limit: 1, ..fair }, 0), 6011, "no such price"),
            (good.clone(), one(Request { sqrt_price_limit: price + 1, ..fair }, 0), 6034, "limit"),
            (good.clone(), one(Request { amount: u64::MAX, ..out }, u64::MAX), 6038, "too far"),
            (arrays([third; 3]), one(fair, 1), 6023, "not the array of the price"),
            (arrays([foreign_array(&net), second, third]), one(fair, 1), 6056, "another pool's"),
            (arrays([good.a.vault, second, third]), one(fair, 1), 3007, "no tick array"),
            (arrays([good.pool, second, third]), one(fair, 1), 3002, "a pool for an array"),
            (SwapAccounts { oracle: thief, ..good.clone() }, one(fair, 1), 2006, "oracle"),
            (SwapAccounts { pool: first, ..good.clone() }, one(fair, 1), 3002, "not a pool"),
            (SwapAccounts { pool: good.a.user, ..good.clone() }, one(fair, 1), 3007, "foreign"),
            (with_a(Side { vault: good.b.vault, ..good.a }), one(fair, 1), 2012, "vault"),
            (with_a(Side { vault: good.a.user, ..good.a }), one(fair, 1), 2012, "own vault"),
            (with_b(Side { user: good.a.user, ..good.b }), one(fair, 1), 2003, "mint of the user"),
            (with_b(Side { user: thief, ..good.b }), one(fair, 1), 3012, "no token account"),
            (with_a(Side { program: thief, ..good.a }), one(fair, 1), 3008, "token program"),
            (with_a(Side { mint: good.b.mint, ..good.a }), two(fair), 2012, "mint"),
            (good.clone(), more(1), 6049, "an array that is announced and not there"),
            (good.clone(), more(0), 0, "a good swap"),
        ];
        let lamports = async || {
            let config = json!([owner.to_string(), {"commitment": "processed"}]);
            client.ok("getBalance", config).await["value"].as_u64().unwrap()
        };
        for (accounts, args, number, what) in cases {
            let unchanged = World::read(&client, info, &owner).await;
            let held = lamports().await;
            let (hash, _) = client.blockhash("processed").await;
            let tx = sign(&[swap(&accounts, &args)], hash, &[&payer]);
            let signature = client.send_unchecked(&tx).await;
            let status = client.wait_for(&signature, "processed").await;
            assert_eq!(lamports().await, held - FEE, "{what}");
            let after = World::read(&client, info, &owner).await;
            if number == 0 {
                assert_eq!(status["err"], Value::Null, "{what}");
                assert!(after != unchanged, "the accounts are good, or no refusal above counts");
            } else {
                let want = json!({"InstructionError": [0, {"Custom": number}]});
                assert_eq!(status["err"], want, "{what}");
                assert!(after == unchanged, "{what}: something moved");
            }
        }
    });
}

#[test]
fn a_tick_array_that_was_never_made_counts_as_empty() {
    let net = Net::start(quiet(10));
    runtime().block_on(async {
        let client = net.client();
        // Arrays are made as far as the widest position reaches; a swap beyond it finds none.
        let info = &net.ready.whirlpools[2];
        let payer = client.funded(5).await;
        for mint in [&info.mint_a, &info.mint_b] {
            client.mint(&payer.pubkey(), mint, 400_000_000_000_000).await;
        }
        let mut missing = 0;
        for _ in 0..12 {
            let before = World::read(&client, info, &payer.pubkey()).await;
            let pool = before.pool();
            let starts = starts_for(pool.tick, pool.tick_spacing, true);
            let made = |start: &i32| info.tick_arrays.contains(start);
            missing += usize::from(!starts.iter().all(made));
            let limit = sqrt_price_at(starts[2]);
            let request = Request {
                amount: 200_000_000_000_000,
                sqrt_price_limit: limit,
                way: Way { a_to_b: true, exact_in: true },
            };
            let accounts = accounts(info, &pool, &payer.pubkey(), true);
            let args = SwapArgs { request, other_amount_threshold: 0, version: Version::Two(None) };
            let (hash, _) = client.blockhash("processed").await;
            let tx = sign(&[swap(&accounts, &args)], hash, &[&payer]);
            let signature = client.send(&tx).await.unwrap();
            let status = client.wait_for(&signature, "processed").await;
            assert_eq!(status["err"], Value::Null);
            let after = World::read(&client, info, &payer.pubkey()).await;
            assert_eq!(after.pool().sqrt_price, limit, "it stops at its limit");
            if missing > 1 {
                return;
            }
        }
        panic!("{missing} swaps over arrays that are not there");
    });
}
