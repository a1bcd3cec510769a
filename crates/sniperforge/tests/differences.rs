//! What happens to the wallet that the engine did not do: booked where it can be explained, a halt that names the account
//! where it cannot, while trading and while down.
#![cfg(feature = "localnet")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod local;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use local::{BINARY, Chain};
use serde_json::Value;
use sniper_core::ids::Address;
use sniper_core::units::Lamports;
use sniper_solana::rpc::{
    Commitment, EndpointConfig, PoolSettings, RpcConnectionPool, SendRequest,
};
use sniper_solana::tx::{
    TransactionBuilder, associated_token_address, compile, instructions, sign,
};
use sniper_wallet::{Keystore, LocalSigner, PassphraseSource, Signer, read_passphrase};
use solana_instruction::{AccountMeta, Instruction};

fn engine(chain: &Chain, data: &Path, run_for: &str) -> Command {
    let mut command = Command::new(BINARY);
    command
        .args(["demo", "--headless", "--json", "--log-level", "info", "--for", run_for])
        .args(["--compare", "1s", "--attach", &chain.url, "--data"])
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// An engine whose log is read as it comes.
struct Running {
    child: Child,
    lines: Receiver<String>,
    heard: Vec<String>,
}

impl Running {
    fn start(chain: &Chain, data: &Path) -> Self {
        let mut child = engine(chain, data, "300s").spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (told, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                told.send(line).ok();
            }
        });
        Self { child, lines, heard: Vec::new() }
    }

    fn wait_for(&mut self, words: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("{words}:\n{}", self.heard.join("\n")));
            self.heard.push(line.clone());
            if line.contains(words) {
                return line;
            }
        }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn stop(self) -> (Value, Option<i32>) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let output = self.child.wait_with_output().unwrap();
        (serde_json::from_slice(&output.stdout).unwrap_or_default(), output.status.code())
    }
}

/// The wallet in other hands.
struct Hands {
    signer: LocalSigner,
    rpc: RpcConnectionPool,
    runtime: tokio::runtime::Runtime,
}

impl Hands {
    fn on(chain: &Chain, data: &Path) -> Self {
        sniper_solana::install_crypto_provider();
        let secret = PassphraseSource::File(data.join("demo-passphrase"));
        let passphrase = read_passphrase(&secret).unwrap();
        let signer = Keystore::at(data.join("demo-wallet.age")).unlock(&passphrase).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ws = chain.ready["wsUrls"][0].as_str().unwrap();
        let endpoint = EndpointConfig::new("hands", &chain.url, ws, 1_000).unwrap();
        let connecting = RpcConnectionPool::connect(vec![endpoint], PoolSettings::default());
        let rpc = runtime.block_on(connecting).unwrap();
        Self { signer, rpc, runtime }
    }

    fn owner(&self) -> Address {
        self.signer.address()
    }

    fn token_account(&self, mint: &Value) -> (Address, Address) {
        let mint: Address = mint["address"].as_str().unwrap().parse().unwrap();
        let account = self.rpc.account(&mint, Commitment::Confirmed);
        let program = self.runtime.block_on(account).unwrap().value.unwrap().owner;
        (associated_token_address(&self.owner(), &mint, &program), program)
    }

    /// Has the wallet do something, and waits until it is done.
    fn act(&self, message: impl FnOnce(&sniper_solana::rpc::LatestBlockhash) -> Vec<u8>) {
        self.runtime.block_on(async {
            let hash = self.rpc.latest_blockhash(Commitment::Confirmed).await.unwrap().value;
            let signed = sign(&message(&hash), &self.signer).unwrap();
            let base64 =
                base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &signed.bytes);
            let request = SendRequest::new(&base64, signed.signature, true).unwrap();
            self.rpc.send_transaction(&request).await.unwrap();
            for _ in 0..200 {
                let read = self.rpc.signature_statuses(&[signed.signature], false).await.unwrap();
                if let Some(Some(status)) = read.value.first() {
                    assert_eq!(status.err, None);
                    // A start reads what is confirmed, and takes far less than a chain to confirm anything.
                    if status.commitment >= Commitment::Confirmed {
                        return;
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            panic!("it did not land");
        });
    }

    fn run(&self, instruction: Instruction) {
        self.act(|hash| compile(self.owner(), &[instruction], &hash.hash, &[]).unwrap());
    }

    fn airdrop(&self, lamports: u64) {
        let owner = self.owner();
        let dropping = self.rpc.request_airdrop(&owner, Lamports::new(lamports));
        self.runtime.block_on(dropping).unwrap();
    }
}

#[test]
fn what_others_send_is_booked_while_trading_and_while_down() {
    let chain = Chain::start(&[]);
    let data = tempfile::tempdir().unwrap();
    let mut running = Running::start(&chain, data.path());
    running.wait_for("trading mode=");
    let hands = Hands::on(&chain, data.path());
    hands.airdrop(12_345);
    let line = running.wait_for("the chain held more than the ledger: booked");
    let (owner, amount) = (hands.owner().to_string(), "amount=12345");
    assert!(line.contains(&owner) && line.contains(amount), "{line}");
    running.kill();
    hands.airdrop(777);
    let output = engine(&chain, data.path(), "3s").output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let summary: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {log}"));
    assert_eq!(summary["explained"], 1, "{log}");
    assert_eq!(summary["ledger_matches_chain"], true, "{summary:#}\n{log}");
    assert_eq!(
        (&summary["lamports_difference"], &summary["replay_matches"]),
        (&0.into(), &true.into())
    );
    assert_eq!(output.status.code(), Some(0), "{log}");
}

#[test]
fn a_wallet_that_is_drained_halts_trading_and_names_the_account_now_and_at_each_start() {
    let chain = Chain::start(&[]);
    let data = tempfile::tempdir().unwrap();
    let mut running = Running::start(&chain, data.path());
    running.wait_for("trading mode=");
    let hands = Hands::on(&chain, data.path());
    let builder = TransactionBuilder::new(hands.owner());
    let to = Address::new_from_array([77; 32]);
    let (lamports, priority) = (Lamports::new(1_000_000_000), Default::default());
    hands.act(|hash| builder.transfer(to, lamports, priority, &hash.hash).unwrap());
    let line = running.wait_for("atoms of ours are gone");
    assert!(line.contains(&hands.owner().to_string()), "{line}");
    running.wait_for("ledger and chain differ: trading halts");
    let (summary, code) = running.stop();
    assert_eq!((&summary["ledger_matches_chain"], code), (&false.into(), Some(6)), "{summary:#}");
    assert_eq!(summary["replay_matches"], true);

    let mut again = Running::start(&chain, data.path());
    let line = again.wait_for("atoms of ours are gone");
    assert!(line.contains(&hands.owner().to_string()), "{line}");
    again.wait_for("trading mode=");
    std::thread::sleep(Duration::from_secs(3));
    let (summary, code) = again.stop();
    assert_eq!((&summary["orders"]["submitted"], code), (&0.into(), Some(6)), "{summary:#}");
}

#[test]
fn accounts_that_were_closed_or_given_away_while_down_are_made_anew_or_halt_trading() {
    let chain = Chain::start(&[]);
    let data = tempfile::tempdir().unwrap();
    let mut running = Running::start(&chain, data.path());
    running.wait_for("trading mode=");
    running.kill();
    let hands = Hands::on(&chain, data.path());
    let mints = chain.ready["mints"].as_array().unwrap();
    let usdc = mints.iter().find(|mint| mint["symbol"] == "USDC").unwrap();
    let is_empty = |mint: &&Value| {
        let (account, _) = hands.token_account(mint);
        let read = hands.runtime.block_on(hands.rpc.account(&account, Commitment::Confirmed));
        let read = read.unwrap().value;
        read.is_some_and(|account| account.data[64..72] == [0; 8])
    };
    let empty = mints.iter().find(is_empty).unwrap();
    let (account, program) = hands.token_account(empty);
    hands.run(instructions::close_account(account, hands.owner(), hands.owner(), program));
    let mut running = Running::start(&chain, data.path());
    let line = running.wait_for("was closed; the next order that needs it makes it anew");
    assert!(line.contains(&account.to_string()), "{line}");
    running.wait_for("why=RentReturned");
    running.wait_for("trading mode=");
    running.kill();

    // Approve, instruction 4: somebody may take one atom.
    let (account, program) = hands.token_account(usdc);
    let somebody = Address::new_from_array([78; 32]);
    let accounts = vec![
        AccountMeta::new(account, false),
        AccountMeta::new_readonly(somebody, false),
        AccountMeta::new_readonly(hands.owner(), true),
    ];
    let mut bytes = vec![4];
    bytes.extend_from_slice(&1_u64.to_le_bytes());
    hands.run(Instruction { program_id: program, accounts, data: bytes });
    let mut running = Running::start(&chain, data.path());
    let line = running.wait_for("may be emptied by somebody else: revoke that: trading halts");
    assert!(line.contains(&account.to_string()), "{line}");
    running.wait_for("trading mode=");
    std::thread::sleep(Duration::from_secs(3));
    let (summary, _) = running.stop();
    assert_eq!(summary["orders"]["submitted"], 0, "{summary:#}");
}
