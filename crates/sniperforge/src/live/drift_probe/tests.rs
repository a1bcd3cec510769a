//! The probe on a local chain with agents, and behind a node that takes an atom off what one program gives.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sniper_core::event::MintSpec;
use sniper_core::units::Lamports;
use sniper_localnet::{LocalnetConfig, Ready};
use sniper_solana::rpc::{EndpointConfig, PoolSettings};
use tokio::sync::oneshot;

use super::*;
use crate::live::universe::{Universe, discover};

/// A chain on a thread of its own.
struct Chain {
    ready: Ready,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Chain {
    fn start() -> Self {
        sniper_solana::install_crypto_provider();
        let slot_time = Duration::from_millis(400);
        let config = LocalnetConfig { slot_time, seed: 5, ..LocalnetConfig::default() };
        let (stop, stopped) = oneshot::channel::<()>();
        let (told, ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let shutdown = async move { drop(stopped.await) };
            let ready = |ready: &Ready| told.send(ready.clone()).unwrap();
            sniper_localnet::run_blocking(config, shutdown, ready).unwrap();
        });
        let ready = ready.recv_timeout(Duration::from_secs(60)).unwrap();
        Self { ready, stop: Some(stop), thread: Some(thread) }
    }

    fn universe(&self) -> Universe {
        let pools = self.ready.pools.iter().map(|pool| &pool.address);
        let pools = pools.chain(self.ready.whirlpools.iter().map(|pool| &pool.address));
        let usd = self.ready.mints.iter().filter(|mint| mint.symbol == "USDC");
        Universe {
            pools: pools.map(|address| address.parse().unwrap()).collect(),
            usd_mints: usd.map(|mint| mint.address.parse().unwrap()).collect(),
            ..Universe::default()
        }
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        drop(self.stop.take());
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

async fn connect(http: &str, ws: &str) -> RpcConnectionPool {
    let endpoint = EndpointConfig::new("local", http, ws, 1_000).unwrap();
    RpcConnectionPool::connect(vec![endpoint], PoolSettings::default()).await.unwrap()
}

/// A probe over all pools of the chain, for a wallet with dollars, by a node at that address.
async fn probe(chain: &Chain, url: &str) -> (DriftProbe, mpsc::Receiver<Event>) {
    let rpc = connect(url, &chain.ready.ws_urls[0]).await;
    let owner = Address::new_from_array([7; 32]);
    let mut market = Market::new(Timestamp::ZERO, Timestamp::ZERO);
    let mut builder = TransactionBuilder::new(owner);
    let mut watches = Vec::new();
    let mut candles = Vec::new();
    for found in discover(&rpc, &chain.universe()).await.unwrap() {
        let numbers = found.mints.map(|spec: MintSpec| {
            if market.mint_by_address(&spec.address).is_none() {
                market.apply(&MarketEvent::Mint(spec), Timestamp::ZERO, &mut candles);
                builder.add_mint(&spec);
            }
            market.mint_by_address(&spec.address).unwrap()
        });
        let spec = PoolSpec { address: found.address, mints: numbers, kind: found.kind.clone() };
        let id = builder.add_pool(&spec).unwrap();
        watches.extend(found.watches(id, &spec));
        market.apply(&MarketEvent::Pool(Box::new(spec)), Timestamp::ZERO, &mut candles);
    }
    let (events, told) = mpsc::channel(8);
    (DriftProbe::new(rpc, builder, &market, &watches, events), told)
}

async fn fund(chain: &Chain) {
    let rpc = connect(&chain.ready.rpc_urls[0], &chain.ready.ws_urls[0]).await;
    let owner = Address::new_from_array([7; 32]);
    let usdc = chain.ready.mints.iter().find(|mint| mint.symbol == "USDC").unwrap();
    let params = (owner.to_string(), usdc.address.clone(), 1_000_000_000_u64);
    rpc.call::<String>("localnet_mint", &params).await.unwrap();
    rpc.request_airdrop(&owner, Lamports::new(1_000_000_000)).await.unwrap();
    let holding = |read: Vec<sniper_solana::rpc::OwnedToken>| !read.is_empty();
    let program = usdc.program.parse().unwrap();
    for _ in 0..100 {
        let read = rpc.token_accounts_by_owner(&owner, &program, COMMITMENT).await.unwrap();
        let lamports = rpc.balance(&owner, COMMITMENT).await.unwrap().value;
        if holding(read.value) && lamports > Lamports::ZERO {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the wallet was not funded");
}

/// Tries until a kind says something.
async fn said(probe: &DriftProbe, kind: Kind) -> Option<Differs> {
    for round in 0..40 {
        let hops = probe.hops(kind).await;
        assert!(!hops.is_empty(), "the wallet holds dollars");
        for hop in 0..hops.len() {
            match probe.attempt(hops[(hop + round) % hops.len()]).await {
                Ok(verdict) => return verdict,
                Err(Silent::Moved | Silent::Slots(..) | Silent::Trial(_) | Silent::Read(_)) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    panic!("no pool of {} was ever still", kind.name());
}

#[tokio::test]
async fn an_honest_chain_agrees_to_the_atom_while_others_trade_and_one_atom_less_is_told() {
    let chain = Chain::start();
    fund(&chain).await;
    let honest = &chain.ready.rpc_urls[0];
    let (probe_of, mut told) = probe(&chain, honest).await;
    for _ in 0..6 {
        for kind in [Kind::Cpmm, Kind::Whirlpool] {
            assert_eq!(said(&probe_of, kind).await, None, "an honest chain is never accused");
        }
    }
    // The whole loop, a round of it: nothing is told.
    let keeping = tokio::time::timeout(Duration::from_secs(12), probe_of.keep());
    assert!(keeping.await.is_err(), "it goes on until the run ends");
    assert!(told.try_recv().is_err());

    for kind in [Kind::Cpmm, Kind::Whirlpool] {
        let lying = node(honest, Fault::AnAtomLess(kind.program()));
        let (probe_of, mut told) = probe(&chain, &lying).await;
        let other = if kind == Kind::Cpmm { Kind::Whirlpool } else { Kind::Cpmm };
        assert_eq!(said(&probe_of, other).await, None);
        let differs = said(&probe_of, kind).await.expect("an atom is missing");
        assert_eq!(differs.quoted.get(), differs.simulated.get() + 1, "{differs:?}");
        let keeping = tokio::spawn(probe_of.keep());
        let event = tokio::time::timeout(Duration::from_secs(60), told.recv()).await.unwrap();
        assert_eq!(event, Some(Event::Market(MarketEvent::Drifted { kind })));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(told.try_recv().is_err(), "once, and only this kind");
        keeping.abort();
    }
}

#[tokio::test]
async fn a_pool_that_moves_before_it_is_simulated_accuses_nobody() {
    let chain = Chain::start();
    fund(&chain).await;
    let late = node(&chain.ready.rpc_urls[0], Fault::Late(Duration::from_millis(1_200)));
    let (probe_of, _told) = probe(&chain, &late).await;
    let mut moved = 0;
    for _ in 0..3 {
        for hop in probe_of.hops(Kind::Cpmm).await {
            match probe_of.attempt(hop).await {
                Ok(verdict) => assert_eq!(verdict, None, "others traded in between"),
                Err(Silent::Moved) => moved += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        if moved >= 3 {
            return;
        }
    }
    panic!("only {moved} pools moved in three blocks each: nothing was tried");
}

#[tokio::test]
async fn a_wallet_that_holds_nothing_accuses_nobody() {
    let chain = Chain::start();
    let (probe_of, mut told) = probe(&chain, &chain.ready.rpc_urls[0]).await;
    assert!(probe_of.hops(Kind::Cpmm).await.is_empty());
    assert_eq!(probe_of.compare(Kind::Cpmm, 0).await, None);
    drop(probe_of);
    assert_eq!(told.recv().await, None);
}

/// What a node does with a simulation.
#[derive(Clone, Copy)]
enum Fault {
    /// It takes an atom off what a transaction with this program leaves.
    AnAtomLess(Address),
    /// It waits before it runs one.
    Late(Duration),
}

/// A node that passes everything on, but for a fault.
fn node(honest: &str, fault: Fault) -> String {
    let behind = honest.strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, behind) = (stream.unwrap(), behind.clone());
            // A client that goes away in the middle is no matter.
            std::thread::spawn(move || pass_on(stream, &behind, fault));
        }
    });
    url
}

fn pass_on(stream: TcpStream, behind: &str, fault: Fault) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let request = body(&mut stream)?;
    let simulates = request.windows(19).any(|bytes| bytes == b"simulateTransaction");
    if let Fault::Late(time) = fault
        && simulates
    {
        std::thread::sleep(time);
    }
    let mut node = TcpStream::connect(behind).ok()?;
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {behind}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        request.len()
    );
    node.write_all(head.as_bytes()).and_then(|()| node.write_all(&request)).ok()?;
    let answer = body(&mut BufReader::new(node))?;
    let answer = match fault {
        Fault::AnAtomLess(program) => shorten(&request, &answer, &program).unwrap_or(answer),
        Fault::Late(_) => answer,
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        answer.len()
    );
    let stream = stream.get_mut();
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&answer)).ok()
}

/// The body of a request or an answer that tells its length.
fn body(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let (mut length, mut line) = (0, String::new());
    while stream.read_line(&mut line).ok()? > 2 {
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        line.clear();
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

fn shorten(request: &[u8], answer: &[u8], program: &Address) -> Option<Vec<u8>> {
    let request: Value = serde_json::from_slice(request).ok()?;
    let transaction = STANDARD.decode(request.pointer("/params/0")?.as_str()?).ok()?;
    let names = transaction.windows(32).any(|bytes| bytes == program.as_array());
    if request["method"] != "simulateTransaction" || !names {
        return None;
    }
    let mut answer: Value = serde_json::from_slice(answer).ok()?;
    let data = answer.pointer_mut("/result/value/accounts/0/data/0")?;
    let mut bytes = STANDARD.decode(data.as_str()?).ok()?;
    let amount = u64::from_le_bytes(*bytes.get(64..)?.first_chunk()?);
    bytes[64..72].copy_from_slice(&(amount - 1).to_le_bytes());
    *data = STANDARD.encode(bytes).into();
    serde_json::to_vec(&answer).ok()
}
