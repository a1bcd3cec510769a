//! Pools made and taken apart through the real runtime: accounts, amounts, lines and refusals.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use common::{Client, Net, Socket, quiet, runtime, sign};
use serde_json::{Value, json};
use sniper_localnet::cpmm::create::{Creation, FEE_RECEIVER, InitializeArgs, support_mint};
use sniper_localnet::cpmm::instruction::{SwapAccounts, SwapArgs, swap};
use sniper_localnet::cpmm::state::{OBSERVATION_LEN, PoolState, observation};
use sniper_localnet::cpmm::token::TokenAccount;
use sniper_localnet::cpmm::withdraw::{WithdrawArgs, withdraw};
use sniper_localnet::cpmm::{self, administrator};
use sniper_localnet::metaplex;
use solana_address::Address;
use solana_instruction::Instruction;
use solana_keypair::Keypair;
use solana_signer::Signer;
use solana_system_interface::instruction as system;
use spl_associated_token_account_interface::address::get_associated_token_address_with_program_id as holding;
use spl_associated_token_account_interface::instruction::create_associated_token_account_idempotent;
use spl_token_2022_interface::extension::ExtensionType;
use spl_token_2022_interface::instruction as token;
use spl_token_2022_interface::state::Mint;

const USDC: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
const COIN_ATOMS: u64 = 1_000_000_000_000;
const USDC_ATOMS: u64 = 20_000_000_000;

fn usdc() -> Address {
    USDC.parse().unwrap()
}

/// A creator with dollars, and all of a coin that it has made.
struct Maker {
    key: Keypair,
    mint: Keypair,
    program: Address,
}

impl Maker {
    async fn new(client: &Client, program: Address, extensions: &[ExtensionType]) -> Self {
        let (key, mint) = (client.funded(10).await, Keypair::new());
        client.mint(&key.pubkey(), USDC, 2 * USDC_ATOMS).await;
        let maker = Self { key, mint, program };
        let (by, coin) = (maker.key.pubkey(), maker.mint.pubkey());
        let space = ExtensionType::try_calculate_account_len::<Mint>(extensions).unwrap();
        let mut all = vec![system::create_account(
            &by,
            &coin,
            10_000_000,
            u64::try_from(space).unwrap(),
            &program,
        )];
        if extensions.contains(&ExtensionType::PermanentDelegate) {
            all.push(token::initialize_permanent_delegate(&program, &coin, &by).unwrap());
        }
        let at = holding(&by, &coin, &program);
        all.push(token::initialize_mint2(&program, &coin, &by, None, 6).unwrap());
        all.push(create_associated_token_account_idempotent(&by, &by, &coin, &program));
        all.push(token::mint_to(&program, &coin, &at, &by, &[], 2 * COIN_ATOMS).unwrap());
        let done = maker.send(client, &all, &[&maker.mint]).await.unwrap();
        assert_eq!(done["err"], Value::Null);
        maker
    }

    fn creation(&self) -> Creation {
        let (coin, by) = (self.mint.pubkey(), self.key.pubkey());
        let mut sides = [
            (coin, self.program, holding(&by, &coin, &self.program)),
            (usdc(), spl_token_interface::ID, holding(&by, &usdc(), &spl_token_interface::ID)),
        ];
        sides.sort();
        Creation {
            creator: by,
            amm_config: cpmm::config_address(0).0,
            mints: sides.map(|side| side.0),
            programs: sides.map(|side| side.1),
            holdings: sides.map(|side| side.2),
        }
    }

    fn args(&self, coin: u64, dollars: u64, open_time: u64) -> InitializeArgs {
        let coin_first = self.mint.pubkey() < usdc();
        let (amount_0, amount_1) = if coin_first { (coin, dollars) } else { (dollars, coin) };
        InitializeArgs { amount_0, amount_1, open_time }
    }

    /// Sends, waits until it is confirmed, and gives its status; or the refusal of the preflight.
    async fn send(
        &self,
        client: &Client,
        instructions: &[Instruction],
        others: &[&Keypair],
    ) -> Result<Value, Value> {
        let (hash, _) = client.blockhash("processed").await;
        let mut signers = vec![&self.key];
        signers.extend(others);
        let units =
            solana_compute_budget_interface::ComputeBudgetInstruction::set_compute_unit_limit(
                400_000,
            );
        let all = [&[units], instructions].concat();
        let signature = client.send(&sign(&all, hash, &signers)).await?;
        let mut status = client.wait_for(&signature, "confirmed").await;
        status["signature"] = json!(signature);
        Ok(status)
    }
}

async fn amount(client: &Client, address: &Address) -> u64 {
    let data = client.account_bytes(&address.to_string(), "processed").await;
    TokenAccount::decode(&data).unwrap().amount
}

async fn supply(client: &Client, mint: &Address) -> u64 {
    let told = client.ok("getTokenSupply", json!([mint.to_string(), {"commitment": "processed"}]));
    told.await["value"]["amount"].as_str().unwrap().parse().unwrap()
}

async fn pool_state(client: &Client, pool: &Address) -> PoolState {
    PoolState::decode(&client.account_bytes(&pool.to_string(), "processed").await).unwrap()
}

#[test]
fn a_pool_is_made_with_what_its_creator_brings_and_told_as_the_real_program_tells_it() {
    let net = Net::start(quiet(10));
    runtime().block_on(async {
        let client = net.client();
        let maker = Maker::new(&client, spl_token_interface::ID, &[]).await;
        let creation = maker.creation();
        let addresses = creation.addresses();
        let mut socket = Socket::open(&net.ready.ws_urls[0]).await;
        let program = cpmm::PROGRAM_ID.to_string();
        let mentions = json!([{"mentions": [program]}, {"commitment": "confirmed"}]);
        let logs = socket.subscribe("logsSubscribe", mentions).await;
        let fees = amount(&client, &FEE_RECEIVER).await;
        let make = creation.instruction(maker.args(COIN_ATOMS, USDC_ATOMS, 0), &[]);
        let done = maker.send(&client, &[make], &[]).await.unwrap();
        assert_eq!(done["err"], Value::Null);

        let state = pool_state(&client, &addresses.pool).await;
        let liquidity = (u128::from(COIN_ATOMS) * u128::from(USDC_ATOMS)).isqrt();
        let liquidity = u64::try_from(liquidity).unwrap();
        assert_eq!((state.creator, state.lp_supply), (maker.key.pubkey(), liquidity));
        assert_eq!([state.mint_0, state.mint_1], creation.mints);
        assert_eq!([state.program_0, state.program_1], creation.programs);
        assert_eq!([state.vault_0, state.vault_1], [addresses.vault_0, addresses.vault_1]);
        assert_eq!((state.lp_mint, state.observation), (addresses.lp_mint, addresses.observation));
        assert_eq!((state.status, state.lp_decimals, state.auth_bump), (0, 9, cpmm::authority().1));
        let args = maker.args(COIN_ATOMS, USDC_ATOMS, 0);
        assert_eq!(amount(&client, &state.vault_0).await, args.amount_0);
        assert_eq!(amount(&client, &state.vault_1).await, args.amount_1);
        assert_eq!(amount(&client, &creation.creator_lp()).await, liquidity - 100);
        assert_eq!(supply(&client, &state.lp_mint).await, liquidity - 100, "a hundred are nobody's");
        assert_eq!(amount(&client, &FEE_RECEIVER).await, fees + 150_000_000);
        let seen = client.account_bytes(&state.observation.to_string(), "processed").await;
        assert_eq!(seen.len(), OBSERVATION_LEN);
        assert!(observation::belongs_to(&seen, &addresses.pool));

        // What it printed.
        let (_, notice) = socket.notification(logs).await;
        let lines: Vec<&str> =
            notice["value"]["logs"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
        let own = lines.iter().position(|line| *line == format!("Program {program} invoke [1]"));
        assert_eq!(lines[own.unwrap() + 1], "Program log: Instruction: Initialize");
        let told = format!(
            "Program log: liquidity:{liquidity}, lock_lp_amount:100, vault_0_amount:{},vault_1_amount:{}",
            args.amount_0, args.amount_1
        );
        assert!(lines.contains(&told.as_str()), "{lines:?}");
        // What can be read of it: the pool is the fourth account of the program's instruction.
        let config = json!({"encoding": "json", "commitment": "confirmed", "maxSupportedTransactionVersion": 0});
        let read = client.ok("getTransaction", json!([done["signature"], config])).await;
        let message = &read["transaction"]["message"];
        let keys = message["accountKeys"].as_array().unwrap();
        let call = &message["instructions"][1];
        let key = |index: &Value| keys[usize::try_from(index.as_u64().unwrap()).unwrap()].clone();
        assert_eq!(key(&call["programIdIndex"]), json!(program));
        assert_eq!(key(&call["accounts"][3]), json!(addresses.pool.to_string()));
        assert!(!read["meta"]["innerInstructions"].as_array().unwrap().is_empty());
    });
}

fn swap_accounts(creation: &Creation) -> SwapAccounts {
    let pool = creation.addresses();
    SwapAccounts {
        payer: creation.creator,
        authority: cpmm::authority().0,
        amm_config: creation.amm_config,
        pool: pool.pool,
        user_input: creation.holdings[0],
        user_output: creation.holdings[1],
        input_vault: pool.vault_0,
        output_vault: pool.vault_1,
        input_token_program: creation.programs[0],
        output_token_program: creation.programs[1],
        input_mint: creation.mints[0],
        output_mint: creation.mints[1],
        observation: pool.observation,
    }
}

fn custom(error: &Value) -> &Value {
    &error["data"]["err"]["InstructionError"][1]["Custom"]
}

#[test]
fn a_new_pool_trades_once_it_is_open_and_gives_its_liquidity_back() {
    let net = Net::start(quiet(10));
    runtime().block_on(async {
        let client = net.client();
        let maker = Maker::new(&client, spl_token_2022_interface::ID, &[]).await;
        let creation = maker.creation();
        let addresses = creation.addresses();
        let open_time =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
                + 2;
        let make = creation.instruction(maker.args(COIN_ATOMS, USDC_ATOMS, open_time), &[]);
        assert_eq!(maker.send(&client, &[make], &[]).await.unwrap()["err"], Value::Null);
        assert_eq!(pool_state(&client, &addresses.pool).await.open_time, open_time);
        let args = SwapArgs::BaseInput { amount_in: 1_000_000, minimum_amount_out: 1 };
        let trade = swap(&swap_accounts(&creation), args);
        let early = maker.send(&client, std::slice::from_ref(&trade), &[]).await.unwrap_err();
        assert_eq!(custom(&early), &json!(6000), "{early}");
        tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
        assert_eq!(maker.send(&client, &[trade], &[]).await.unwrap()["err"], Value::Null);

        let state = pool_state(&client, &addresses.pool).await;
        let held = [amount(&client, &state.vault_0).await, amount(&client, &state.vault_1).await];
        let (net_0, net_1) = state.net_reserves(held[0], held[1]).unwrap();
        let had = [
            amount(&client, &creation.holdings[0]).await,
            amount(&client, &creation.holdings[1]).await,
        ];
        let lp_amount = state.lp_supply / 2;
        let part = |net: u64| {
            let share = u128::from(net) * u128::from(lp_amount) / u128::from(state.lp_supply);
            u64::try_from(share).unwrap()
        };
        let take = |minimum_0, minimum_1| {
            withdraw(
                (addresses.pool, &state),
                creation.creator,
                creation.creator_lp(),
                creation.holdings,
                WithdrawArgs { lp_amount, minimum_0, minimum_1 },
            )
        };
        let greedy = maker.send(&client, &[take(part(net_0) + 1, 0)], &[]).await.unwrap_err();
        assert_eq!(custom(&greedy), &json!(6005), "{greedy}");
        let fair = take(part(net_0), part(net_1));
        assert_eq!(maker.send(&client, &[fair], &[]).await.unwrap()["err"], Value::Null);
        assert_eq!(amount(&client, &creation.holdings[0]).await, had[0] + part(net_0));
        assert_eq!(amount(&client, &creation.holdings[1]).await, had[1] + part(net_1));
        let after = pool_state(&client, &addresses.pool).await;
        assert_eq!(after.lp_supply, state.lp_supply - lp_amount);
        assert_eq!(supply(&client, &state.lp_mint).await, state.lp_supply - 100 - lp_amount);
    });
}

#[test]
fn a_pool_is_refused_for_every_account_and_amount_that_is_not_right() {
    let net = Net::start(quiet(10));
    runtime().block_on(async {
        let client = net.client();
        let maker = Maker::new(&client, spl_token_interface::ID, &[]).await;
        let good = maker.creation();
        let fair = maker.args(COIN_ATOMS, USDC_ATOMS, 0);
        let make = good.instruction(fair, &[]);
        let thief = Keypair::new().pubkey();
        let with = |index: usize, key: Address| {
            let mut changed = make.clone();
            changed.accounts[index].pubkey = key;
            changed
        };
        let turned = Creation {
            mints: [good.mints[1], good.mints[0]],
            programs: [good.programs[1], good.programs[0]],
            holdings: [good.holdings[1], good.holdings[0]],
            ..good
        };
        let mut short = make.clone();
        short.accounts.truncate(19);
        let cases = [
            (with(1, thief), 3012, "no fee schedule"),
            (with(1, good.holdings[0]), 3007, "a fee schedule of another program"),
            (with(2, thief), 2006, "authority"),
            (with(6, thief), 2006, "liquidity mint"),
            (with(7, good.holdings[1]), 2014, "holding of the other token"),
            (with(10, thief), 2006, "vault"),
            (with(12, good.holdings[0]), 2012, "fee receiver"),
            (with(13, thief), 2006, "observation"),
            (with(15, spl_token_2022_interface::ID), 2022, "token program"),
            (with(17, thief), 3008, "associated token program"),
            (with(19, thief), 3015, "rent"),
            (short, 3005, "too few accounts"),
            (turned.instruction(fair, &[]), 2003, "mints in the wrong order"),
            (good.instruction(maker.args(0, USDC_ATOMS, 0), &[]), 6002, "nothing of one token"),
            (good.instruction(maker.args(1, 99, 0), &[]), 6009, "too little liquidity"),
        ];
        for (instruction, number, what) in cases {
            let error = maker.send(&client, &[instruction], &[]).await.unwrap_err();
            assert_eq!(custom(&error), &json!(number), "{what}: {error}");
        }
        assert_eq!(
            maker.send(&client, std::slice::from_ref(&make), &[]).await.unwrap()["err"],
            Value::Null
        );
        // Made twice: the system program finds the liquidity token there.
        let again = maker.send(&client, &[make], &[]).await.unwrap_err();
        assert_eq!(custom(&again), &json!(0), "{again}");
    });
}

#[test]
fn lamports_sent_ahead_stop_a_pool_only_where_they_stop_it_on_the_real_exchange() {
    let net = Net::start(quiet(10));
    runtime().block_on(async {
        let client = net.client();
        let maker = Maker::new(&client, spl_token_interface::ID, &[]).await;
        let creation = maker.creation();
        let addresses = creation.addresses();
        let fair = maker.args(COIN_ATOMS, USDC_ATOMS, 0);
        let make = creation.instruction(fair, &[]);
        let ahead = |to: &Address| system::transfer(&maker.key.pubkey(), to, 1_000_000);
        let to_pool = [ahead(&addresses.pool), make.clone()];
        let error = maker.send(&client, &to_pool, &[]).await.unwrap_err();
        assert_eq!(custom(&error), &json!(6000), "{error}");
        let to_vault = [ahead(&addresses.vault_1), make.clone()];
        let error = maker.send(&client, &to_vault, &[]).await.unwrap_err();
        assert_eq!(custom(&error), &json!(0), "{error}");
        let harmless = [ahead(&addresses.lp_mint), ahead(&addresses.observation), make];
        assert_eq!(maker.send(&client, &harmless, &[]).await.unwrap()["err"], Value::Null);
        assert_eq!(supply(&client, &addresses.lp_mint).await, {
            pool_state(&client, &addresses.pool).await.lp_supply - 100
        });
    });
}

#[test]
fn a_mint_that_the_exchange_refuses_needs_its_administrators_word() {
    let net = Net::start(quiet(10));
    runtime().block_on(async {
        let client = net.client();
        let delegate = [ExtensionType::PermanentDelegate];
        let maker = Maker::new(&client, spl_token_2022_interface::ID, &delegate).await;
        let mint = maker.mint.pubkey();
        let fair = maker.args(COIN_ATOMS, USDC_ATOMS, 0);
        for admitted in [&[][..], &[mint]] {
            let make = maker.creation().instruction(fair, admitted);
            let error = maker.send(&client, &[make], &[]).await.unwrap_err();
            assert_eq!(custom(&error), &json!(6007), "{error}");
        }
        let own = support_mint(maker.key.pubkey(), mint);
        let error = maker.send(&client, &[own], &[]).await.unwrap_err();
        assert_eq!(custom(&error), &json!(6000), "{error}");
        let administrator = administrator();
        let pay = system::transfer(&maker.key.pubkey(), &administrator.pubkey(), 1_000_000_000);
        let admit = support_mint(administrator.pubkey(), mint);
        let done = maker.send(&client, &[pay, admit], &[&administrator]).await.unwrap();
        assert_eq!(done["err"], Value::Null);
        let make = maker.creation().instruction(fair, &[mint]);
        assert_eq!(maker.send(&client, &[make], &[]).await.unwrap()["err"], Value::Null);
    });
}

#[test]
fn metadata_is_made_by_the_mints_authority_alone_and_kept_to_its_lengths() {
    let net = Net::start(quiet(10));
    runtime().block_on(async {
        let client = net.client();
        let maker = Maker::new(&client, spl_token_interface::ID, &[]).await;
        let (mint, by) = (maker.mint.pubkey(), maker.key.pubkey());
        let data = metaplex::Data {
            name: "A Coin".into(),
            symbol: "COIN".into(),
            uri: "https://coins.invalid/1".into(),
            mutable: false,
        };
        let creation =
            metaplex::Creation { mint, mint_authority: by, payer: by, update_authority: by };
        let stranger = Keypair::new();
        let theirs = metaplex::Creation { mint_authority: stranger.pubkey(), ..creation };
        let error = maker
            .send(&client, &[metaplex::create(&theirs, &data)], &[&stranger])
            .await
            .unwrap_err();
        assert_eq!(custom(&error), &json!(10), "{error}");
        for (bad, number) in [
            (metaplex::Data { name: "x".repeat(33), ..data.clone() }, 11),
            (metaplex::Data { symbol: "x".repeat(11), ..data.clone() }, 12),
            (metaplex::Data { uri: "x".repeat(201), ..data.clone() }, 13),
        ] {
            let error =
                maker.send(&client, &[metaplex::create(&creation, &bad)], &[]).await.unwrap_err();
            assert_eq!(custom(&error), &json!(number), "{error}");
        }
        let before = client.balance(&by, "processed").await;
        let done = maker.send(&client, &[metaplex::create(&creation, &data)], &[]).await.unwrap();
        assert_eq!(done["err"], Value::Null);
        let (address, _) = metaplex::metadata_address(&mint);
        let bytes = client.account_bytes(&address.to_string(), "processed").await;
        assert_eq!((bytes.len(), bytes[0], bytes[606]), (metaplex::ACCOUNT_LEN, 4, 1));
        assert_eq!((&bytes[1..33], &bytes[33..65]), (by.as_ref(), mint.as_ref()));
        assert_eq!((bytes[65], &bytes[69..75]), (32, b"A Coin".as_slice()));
        // The fee of ten million lamports lies in the account with its rent.
        let held = client.balance(&address, "processed").await;
        assert_eq!(held, 10_000_000 + (607 + 128) * 6_960);
        assert_eq!(client.balance(&by, "processed").await, before - held - 5_000);
    });
}
