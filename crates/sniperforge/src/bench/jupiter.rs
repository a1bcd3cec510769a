//! Quotes of an aggregator by our client, beside the same request over a bare connection, at a local chain.

use std::time::Duration;

use anyhow::Context as _;
use sniper_core::units::{Atoms, Bps};
use sniper_solana::jupiter::{Ask, Jupiter, JupiterConfig};

use super::Scale;
use super::load::{Bare, in_turns};
use super::row::Row;
use super::turns::{Bounds, Rejected, Taken, clean};
use crate::live::LocalChain;

/// Requests a second of each.
const RATE: u32 = 25;
/// The budget of a quote, milliseconds.
const QUOTE_MS: f64 = 200.0;
const WITHIN: Duration = Duration::from_secs(5);

pub(super) fn measure(scale: Scale, rejected: &mut Vec<Rejected>) -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("start the event loop")?;
    let (_chain, told) = LocalChain::start_with(&["--port", "0", "--no-agents"])?;
    let url = told.rpc_urls.first().context("the local chain has no port")?;
    let mint = |symbol: &str| {
        let found = told.mints.iter().find(|mint| mint.symbol == symbol);
        let address = &found.with_context(|| format!("the local chain has no {symbol}"))?.address;
        address.parse().context("read a mint's address")
    };
    let ask = Ask {
        mint_in: mint("SOL")?,
        mint_out: mint("USDC")?,
        amount_in: Atoms::new(100_000_000),
        slippage: Bps::capped(50),
    };
    let config = JupiterConfig::new(url, None, u32::from(u16::MAX))?;
    let client = Jupiter::new(config).context("make a client")?;
    clean("jupiter", Bounds::SYSTEM, rejected, || {
        runtime.block_on(run(url, &client, ask, scale.span))
    })
}

async fn run(url: &str, client: &Jupiter, ask: Ask, span: Duration) -> anyhow::Result<Taken> {
    let Ask { mint_in, mint_out, amount_in, slippage } = ask;
    let (amount, slippage) = (amount_in.get(), slippage.get());
    let path = format!(
        "/swap/v2/order?inputMint={mint_in}&outputMint={mint_out}&amount={amount}&slippageBps={slippage}"
    );
    let bare = Bare::new(url)?;
    let floor = |_| {
        let (bare, path) = (bare.clone(), path.clone());
        async move { bare.ask(&path, None).await }
    };
    let ours = |_| {
        let client = client.clone();
        async move { Ok(client.quote(&ask, WITHIN).await.map(|_| ())?) }
    };
    let loaded = in_turns(RATE, span, floor, ours).await?;
    let ms = |percent| {
        let metric = format!("jupiter.quote.p{percent}");
        let row = Row::told(metric, loaded.ours.at(percent) / 1e6, "ms");
        row.beside(loaded.floor.at(percent) / 1e6)
    };
    let overhead = (loaded.ours.p50() - loaded.floor.p50()) / 1e3;
    let rows = vec![
        ms(50),
        ms(99).at_most(Some(QUOTE_MS)),
        Row::told("jupiter.overhead.p50", overhead, "us").note(
            "what our client takes beyond a bare connection: pacing, a client of all HTTP, reading, judging",
        ),
        Row::told("jupiter.failed", f64::from(loaded.failed), "requests")
            .at_most(Some(0.0))
            .in_any_build(),
    ];
    Ok(Taken { floor: loaded.floor.0, rows })
}
