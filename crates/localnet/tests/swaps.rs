//! Swaps through the real runtime: amounts, accounts and refusals.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use common::{Net, quiet, runtime, sign};
use serde_json::{Value, json};
use sniper_localnet::cpmm::instruction::{SwapAccounts, SwapArgs, swap};
use sniper_localnet::cpmm::math::{Direction, Quote, TransferFee};
use sniper_localnet::cpmm::state::{AmmConfig, PoolState};
use sniper_localnet::cpmm::token::TokenAccount;
use sniper_localnet::{PoolInfo, cpmm};
use solana_address::Address;
use solana_keypair::Keypair;
use solana_signer::Signer;
use spl_associated_token_account_interface::address::get_associated_token_address_with_program_id;

const USDC: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
const SOL: &str = "So11111111111111111111111111111111111111112";
const PYUSD: &str = "2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo";

struct Trade {
    pool: PoolInfo,
    payer: Keypair,
    pay_zero: bool,
    programs: [Address; 2],
}

impl Trade {
    fn accounts(&self) -> SwapAccounts {
        let key = |text: &str| -> Address { text.parse().unwrap() };
        let [mint_0, mint_1] = [key(&self.pool.mint0), key(&self.pool.mint1)];
        let [vault_0, vault_1] = [key(&self.pool.vault0), key(&self.pool.vault1)];
        let pick = |zero, one| if self.pay_zero { (zero, one) } else { (one, zero) };
        let (input_mint, output_mint) = pick(mint_0, mint_1);
        let (input_vault, output_vault) = pick(vault_0, vault_1);
        let (input_program, output_program) = pick(self.programs[0], self.programs[1]);
        let payer = self.payer.pubkey();
        let holding = |mint: &Address, program: &Address| {
            get_associated_token_address_with_program_id(&payer, mint, program)
        };
        SwapAccounts {
            payer,
            authority: cpmm::authority().0,
            amm_config: key(&self.pool.config),
            pool: key(&self.pool.address),
            user_input: holding(&input_mint, &input_program),
            user_output: holding(&output_mint, &output_program),
            input_vault,
            output_vault,
            input_token_program: input_program,
            output_token_program: output_program,
            input_mint,
            output_mint,
            observation: key(&self.pool.observation),
        }
    }
}

async fn amount(client: &common::Client, address: &Address) -> u64 {
    let data = client.account_bytes(&address.to_string(), "processed").await;
    TokenAccount::decode(&data).unwrap().amount
}

/// Swaps both ways and both kinds on one pool; balances, reserves and counters must equal the maths.
async fn swaps_equal_the_maths(client: &common::Client, pool: &PoolInfo, programs: [Address; 2]) {
    for (pay_zero, exact_input) in [(true, true), (false, true), (true, false), (false, false)] {
        let payer = client.funded(5).await;
        for mint in [&pool.mint0, &pool.mint1] {
            client.mint(&payer.pubkey(), mint, 3_000_000_000).await;
        }
        let trade = Trade { pool: pool.clone(), payer, pay_zero, programs };
        let accounts = trade.accounts();
        let state = client.account_bytes(&pool.address, "processed").await;
        let state = PoolState::decode(&state).unwrap();
        let config = client.account_bytes(&pool.config, "processed").await;
        let config = AmmConfig::decode(&config).unwrap();
        let vaults = [amount(client, &state.vault_0).await, amount(client, &state.vault_1).await];
        let quote = Quote {
            pool: &state,
            config: &config,
            vault_0: vaults[0],
            vault_1: vaults[1],
            direction: if pay_zero { Direction::ZeroForOne } else { Direction::OneForZero },
            fee_in: TransferFee::default(),
            fee_out: TransferFee::default(),
            now: u64::MAX,
        };
        let (want, args) = if exact_input {
            let want = quote.base_input(1_234_567).unwrap();
            let minimum_amount_out = want.user_receives;
            (want, SwapArgs::BaseInput { amount_in: 1_234_567, minimum_amount_out })
        } else {
            let want = quote.base_output(54_321).unwrap();
            let max_amount_in = want.user_pays;
            (want, SwapArgs::BaseOutput { max_amount_in, amount_out: 54_321 })
        };
        let before = [
            amount(client, &accounts.user_input).await,
            amount(client, &accounts.user_output).await,
        ];
        let (hash, _) = client.blockhash("processed").await;
        let tx = sign(&[swap(&accounts, args)], hash, &[&trade.payer]);
        let signature = client.send(&tx).await.unwrap();
        let status = client.wait_for(&signature, "processed").await;
        assert_eq!(status["err"], Value::Null);
        assert_eq!(amount(client, &accounts.user_input).await, before[0] - want.user_pays);
        assert_eq!(amount(client, &accounts.user_output).await, before[1] + want.user_receives);
        let (zero, one) = if pay_zero {
            (vaults[0] + want.user_pays, vaults[1] - want.pool_pays)
        } else {
            (vaults[0] - want.pool_pays, vaults[1] + want.user_pays)
        };
        assert_eq!(amount(client, &state.vault_0).await, zero);
        assert_eq!(amount(client, &state.vault_1).await, one);
        let after = client.account_bytes(&pool.address, "processed").await;
        let after = PoolState::decode(&after).unwrap();
        let mut expected = state.clone();
        let (protocol, fund) = if pay_zero {
            (&mut expected.protocol_fees_0, &mut expected.fund_fees_0)
        } else {
            (&mut expected.protocol_fees_1, &mut expected.fund_fees_1)
        };
        *protocol += want.protocol_fee;
        *fund += want.fund_fee;
        expected.recent_epoch = after.recent_epoch;
        assert_eq!(after, expected);
    }
}

#[test]
fn a_swap_through_the_runtime_moves_exactly_what_the_maths_says() {
    let net = Net::start(quiet(10));
    runtime().block_on(async {
        let client = net.client();
        let spl = spl_token_interface::ID;
        let newer = spl_token_2022_interface::ID;
        let of = |a: &str, b: &str| {
            net.ready
                .pools
                .iter()
                .find(|p| [&p.mint0, &p.mint1].into_iter().all(|mint| mint == a || mint == b))
                .unwrap()
                .clone()
        };
        swaps_equal_the_maths(&client, &of(SOL, USDC), [spl, spl]).await;
        let pool = of(PYUSD, USDC);
        let program = |mint: &str| if mint == PYUSD { newer } else { spl };
        let programs = [program(&pool.mint0), program(&pool.mint1)];
        swaps_equal_the_maths(&client, &pool, programs).await;
    });
}

#[test]
fn a_swap_is_refused_for_slippage_and_for_every_account_that_is_not_the_pools() {
    let net = Net::start(quiet(10));
    runtime().block_on(async {
        let client = net.client();
        let payer = client.funded(5).await;
        for mint in [SOL, USDC] {
            client.mint(&payer.pubkey(), mint, 3_000_000_000).await;
        }
        let spl = spl_token_interface::ID;
        let pools = &net.ready.pools;
        let trade = Trade { pool: pools[0].clone(), payer, pay_zero: true, programs: [spl, spl] };
        let good = trade.accounts();
        let other = Trade {
            pool: pools[1].clone(),
            payer: trade.payer.insecure_clone(),
            pay_zero: true,
            programs: [spl, spl],
        }
        .accounts();
        let fair = SwapArgs::BaseInput { amount_in: 1_000_000, minimum_amount_out: 1 };
        let greedy = SwapArgs::BaseInput { amount_in: 1_000_000, minimum_amount_out: u64::MAX };
        let thief = Keypair::new().pubkey();
        let cases = [
            (good, greedy, 6005, "slippage"),
            (SwapAccounts { authority: thief, ..good }, fair, 2006, "authority"),
            (SwapAccounts { amm_config: other.amm_config, ..good }, fair, 2012, "fee schedule"),
            (SwapAccounts { input_vault: other.input_vault, ..good }, fair, 2003, "input vault"),
            (SwapAccounts { output_vault: good.user_output, ..good }, fair, 2003, "own vault"),
            (
                SwapAccounts {
                    output_vault: good.input_vault,
                    output_mint: good.input_mint,
                    ..good
                },
                fair,
                6008,
                "twice the same vault",
            ),
            (SwapAccounts { output_mint: good.input_mint, ..good }, fair, 2012, "mint"),
            (SwapAccounts { observation: other.observation, ..good }, fair, 3002, "observation"),
            (SwapAccounts { pool: good.amm_config, ..good }, fair, 3002, "not a pool"),
            (SwapAccounts { pool: good.user_input, ..good }, fair, 3007, "foreign owner"),
            (SwapAccounts { user_output: thief, ..good }, fair, 3012, "no token account"),
            (SwapAccounts { input_token_program: thief, ..good }, fair, 3008, "token program"),
        ];
        for (accounts, args, number, what) in cases {
            let (hash, _) = client.blockhash("processed").await;
            let tx = sign(&[swap(&accounts, args)], hash, &[&trade.payer]);
            let error = client.send(&tx).await.unwrap_err();
            assert_eq!(error["code"], -32002, "{what}: {error}");
            let want = json!({"InstructionError": [0, {"Custom": number}]});
            assert_eq!(error["data"]["err"], want, "{what}: {error}");
        }
    });
}
