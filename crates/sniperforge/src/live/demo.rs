//! `demo`: the main job on a local chain, with everything real but the money.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use sniper_core::engine::{EngineConfig, Enrolled};
use sniper_core::gate::Policy;
use sniper_core::ids::{Address, Signature};
use sniper_core::launch::Program;
use sniper_core::portfolio::Allowance;
use sniper_core::risk::Limits;
use sniper_core::strategy::{StrategyKind, arbitrage, mean_reversion, momentum, new_pool, trend};
use sniper_core::units::{Lamports, Timestamp, Usd};
use sniper_solana::fees::Urgency;
use sniper_solana::rpc::{Commitment, EndpointConfig, PoolSettings, RpcConnectionPool};
use sniper_store::journal::Bounds;
use sniper_wallet::{
    Keystore, KeystoreOptions, LocalSigner, PassphraseSource, Signer, read_passphrase,
};
use tokio::sync::oneshot;

use super::child::{Announced, LocalChain};
use super::endpoints::Wanted;
use super::lookup::Lookups;
use super::plan::{Launches, Money, Plan};
use super::summary::RunSummary;
use super::trade::{on_loopback, run};
use super::trouble::Trouble;
use super::universe::Universe;
use crate::cli::DemoArgs;
use crate::config::{Metrics, Performance, Prices, Reload, Sources, Tuning};
use crate::telemetry::RunMode;
use crate::threads::on_one_thread;

/// What the demo's wallet is given: ten SOL for fees, and two thousand dollars.
const LAMPORTS: Lamports = Lamports::new(10_000_000_000);
const DOLLARS: u64 = 2_000_000_000;

/// Trades with every strategy on a local chain, and proves afterwards what was done.
///
/// # Errors
///
/// When it cannot start, or cannot go on safely.
pub fn demo(args: DemoArgs) -> anyhow::Result<RunSummary> {
    // A folder of its own that is gone afterwards, unless one was named.
    let scratch = match &args.data {
        Some(_) => None,
        None => Some(tempfile::tempdir().context("make a temporary folder")?),
    };
    let folder: PathBuf = match (&args.data, &scratch) {
        (Some(folder), _) => folder.clone(),
        (None, Some(scratch)) => scratch.path().to_owned(),
        (None, None) => std::env::temp_dir(),
    };
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("make the data folder {}", folder.display()))?;
    let summary = on_one_thread(|ready| async move {
        let signer = wallet(&folder)?;
        let mut chain = None;
        let announced = match &args.attach {
            None => {
                // A majority must be left when one of them has a bad time.
                let ports = if args.faults { 3 } else { 2 };
                let (child, told) = LocalChain::start(args.seed, ports, args.launches)?;
                chain = Some(child);
                told
            }
            Some(url) => ask(url).await?,
        };
        let announced = through(&args.through, announced);
        let trouble = match args.faults {
            true => Some(Trouble::prepare(&announced, args.seed).await?),
            false => None,
        };
        let announced = trouble.as_ref().map_or(announced.clone(), |t| t.before(announced));
        let mut plan = plan(&args, &announced, folder)?;
        fund(&plan, &signer, &announced).await?;
        let _begun = trouble.map(|trouble| {
            let (told, trades) = oneshot::channel();
            plan.trades = Some(told);
            trouble.begin(trades)
        });
        let summary = run(plan, Money::Chain(signer), ready).await;
        drop(chain);
        summary
    });
    let mut summary = summary?;
    if scratch.is_some() {
        summary.journal = None;
    }
    Ok(summary)
}

/// The demo's own wallet: made once per folder, under a passphrase that nobody needs to remember.
///
/// The passphrase is 256 random bits, so the cheapest key derivation loses nothing; it lies beside the key because
/// what it guards is play money of a chain that ends with the demo.
pub(super) fn wallet(folder: &Path) -> anyhow::Result<LocalSigner> {
    let keystore = Keystore::at(folder.join("demo-wallet.age"));
    let secret = folder.join("demo-passphrase");
    if !keystore.path().exists() {
        let mut bytes = zeroize::Zeroizing::new([0_u8; 32]);
        getrandom::fill(bytes.as_mut_slice())
            .map_err(|error| anyhow::anyhow!("draw a passphrase: {error}"))?;
        let text = zeroize::Zeroizing::new(bs58::encode(bytes.as_slice()).into_string());
        std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&secret)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("write {}", secret.display()))?;
        let passphrase = read_passphrase(&PassphraseSource::File(secret.clone()))?;
        keystore.create(
            &passphrase,
            // Less than the allocator maps apart: a large piece that comes and goes teaches it to keep all others.
            KeystoreOptions { work_factor: 6, ..KeystoreOptions::default() },
        )?;
    }
    let passphrase = read_passphrase(&PassphraseSource::File(secret))?;
    Ok(keystore.unlock(&passphrase)?)
}

/// Asks a local chain that runs already what it is.
async fn ask(url: &str) -> anyhow::Result<Announced> {
    let body =
        serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "localnet_info", "params": []});
    let answer = reqwest::Client::new().post(url).json(&body).send().await;
    let answer =
        answer.map_err(reqwest::Error::without_url).context("ask the local chain what it is")?;
    let answer: serde_json::Value = answer
        .json()
        .await
        .map_err(reqwest::Error::without_url)
        .context("understand the local chain: is it one of `sniperforge localnet`?")?;
    serde_json::from_value(answer.get("result").cloned().unwrap_or_default())
        .context("understand the local chain: is it one of `sniperforge localnet`?")
}

/// The chain as it is reached through these addresses, which serve both its protocols.
fn through(addresses: &[String], mut chain: Announced) -> Announced {
    if !addresses.is_empty() {
        chain.rpc_urls = addresses.to_vec();
        chain.ws_urls = addresses.iter().map(|url| url.replacen("http", "ws", 1)).collect();
    }
    chain
}

/// The plan of a demo that nobody looks at and whose folder is gone afterwards.
pub(super) fn plan_for(chain: &Announced, folder: PathBuf) -> anyhow::Result<Plan> {
    let args = DemoArgs {
        run_for: None,
        seed: 0,
        headless: true,
        data: None,
        attach: None,
        through: Vec::new(),
        endpoints: None,
        segment_records: None,
        launches: None,
        faults: false,
        compare: Duration::from_secs(60),
        port: 0,
        json: true,
        log: None,
    };
    plan(&args, chain, folder)
}
/// Lines of the log that a demo keeps in its tables.
const LOG_LINES: u64 = 10_000;

fn plan(args: &DemoArgs, chain: &Announced, folder: PathBuf) -> anyhow::Result<Plan> {
    let reload = reload(args.endpoints.as_deref())?;
    let mut endpoints = match &reload {
        Some(reload) => reload.read()?.endpoints,
        None => Vec::new(),
    };
    let own = chain.rpc_urls.iter().zip(&chain.ws_urls).filter(|_| reload.is_none());
    for (nth, (http, ws)) in own.enumerate() {
        endpoints.push(EndpointConfig::new(&format!("local-{}", nth + 1), http, ws, 500)?);
    }
    let parse = |text: &str| text.parse::<Address>().context("understand the local chain");
    let mut universe = Universe::default();
    for pool in chain.pools.iter().chain(&chain.whirlpools) {
        universe.pools.push(parse(&pool.address)?);
    }
    for mint in &chain.mints {
        let address = parse(&mint.address)?;
        if mint.symbol == "USDC" {
            universe.usd_mints.push(address);
        }
        // Play money: whoever runs the chain can make more of it.
        universe.trusted.push(address);
        universe.symbols.push((address, mint.symbol.clone()));
    }
    ensure!(!universe.usd_mints.is_empty(), "the local chain has no USDC to trade with");
    let genesis =
        chain.genesis_hash.parse().context("understand the local chain's genesis hash")?;
    let engine = engine(args.launches.is_some());
    Ok(Plan {
        mode: "demo",
        run_mode: RunMode::Demo,
        launches: Launches::of(&engine, vec![Program::Cpmm]),
        engine,
        priority: Some(Urgency::Normal),
        endpoints: Wanted::new(endpoints, reload),
        pool: PoolSettings { genesis: Some(genesis), ..PoolSettings::default() },
        universe,
        lookups: Lookups { make: true, ..Lookups::default() },
        gate: Policy::default(),
        prices: Prices { url: chain.price_url.clone(), every: Duration::from_millis(500) },
        jupiter: None,
        jito: None,
        latch: folder.join(crate::cli::LATCH),
        performance_folder: folder.clone(),
        folder,
        journal: Bounds {
            segment_records: args.segment_records.unwrap_or(Bounds::default().segment_records),
            ..Bounds::default()
        },
        compare: args.compare,
        page: (!args.headless).then(|| on_loopback(args.port)),
        run_for: args.run_for,
        log: args.log.clone(),
        log_lines: LOG_LINES,
        tuning: Tuning::default(),
        // Figures of a folder that is gone afterwards are for nobody.
        performance: Performance {
            metrics: args.data.as_ref().map(|_| Metrics::default()),
            ..Performance::default()
        },
        trades: None,
    })
}

/// A file whose endpoints are those of the demo, followed as `trade` follows its own.
fn reload(file: Option<&Path>) -> anyhow::Result<Option<Reload>> {
    let sources = |file: &Path| Sources { files: vec![file.to_owned()], variables: Vec::new() };
    Ok(file.map(|file| Reload::of(sources(file))).transpose()?)
}

/// Candles of a second and quick parameters, so that a minute shows something. Limits are the defaults but for
/// what a minute needs: more orders, and prices that move faster than the real ones.
fn engine(with_launches: bool) -> EngineConfig {
    let allowance = Allowance { budget: Usd::dollars(250), loss_limit: Usd::dollars(25) };
    let kinds = [
        StrategyKind::Trend(trend::Params::fast()),
        StrategyKind::Momentum(momentum::Params::fast()),
        StrategyKind::MeanReversion(mean_reversion::Params::fast()),
        StrategyKind::Arbitrage(arbitrage::Params::fast()),
    ];
    let new_pool = with_launches.then(|| StrategyKind::NewPool(new_pool::Params::fast()));
    let kinds = kinds.into_iter().chain(new_pool);
    EngineConfig {
        limits: Limits {
            orders_per_minute_max: 120,
            losses_in_row_max: 8,
            cool_down: Timestamp::from_millis(10_000),
            ..Limits::default()
        },
        strategies: kinds.map(|kind| Enrolled { kind, allowance }).collect(),
        candle_width: Timestamp::SECOND,
        equity_every: Timestamp::SECOND,
        operator: Some(allowance),
    }
}

/// Brings SOL and dollars to the wallet, once: from the chain's faucet and its mint authority.
pub(super) async fn fund(
    plan: &Plan,
    signer: &LocalSigner,
    chain: &Announced,
) -> anyhow::Result<()> {
    let owner = signer.address();
    let rpc = RpcConnectionPool::connect(plan.endpoints.list(None), plan.pool).await?;
    if rpc.balance(&owner, Commitment::Confirmed).await?.value > Lamports::ZERO {
        return Ok(());
    }
    let usdc =
        chain.mints.iter().find(|m| m.symbol == "USDC").context("find the local chain's USDC")?;
    let minted: String =
        rpc.call("localnet_mint", &(owner.to_string(), &usdc.address, DOLLARS)).await?;
    let minted = bs58::decode(minted).into_vec().ok().and_then(|bytes| bytes.try_into().ok());
    let minted = Signature(minted.context("understand the local chain's mint")?);
    // Dollars first: the balance in SOL is what says that all is done.
    confirm(&rpc, minted, "mint dollars").await?;
    let dropped = rpc.request_airdrop(&owner, LAMPORTS).await.context("ask for SOL")?;
    confirm(&rpc, dropped, "receive SOL").await
}

async fn confirm(rpc: &RpcConnectionPool, signature: Signature, what: &str) -> anyhow::Result<()> {
    let mut every = tokio::time::interval(Duration::from_millis(200));
    for _ in 0..150 {
        every.tick().await;
        let status = rpc.signature_statuses(&[signature], false).await?.value.into_iter().next();
        if let Some(Some(status)) = status
            && status.commitment >= Commitment::Confirmed
        {
            ensure!(status.err.is_none(), "{what}: the transaction failed on the chain");
            return Ok(());
        }
    }
    anyhow::bail!("{what}: the local chain did not confirm it within 30 s")
}
