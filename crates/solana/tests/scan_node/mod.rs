//! A node that knows very many pools and nothing else. It writes answers as Agave does.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::let_underscore_must_use,
    reason = "a test may panic, and not every one uses everything"
)]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sniper_core::amm::cpmm;
use sniper_core::ids::Address;
use sniper_solana::rpc::EndpointConfig;
use sniper_solana::scan::Program;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const TOKEN: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
pub(crate) const TRADE_FEE: u64 = 2_500;

/// Spread over all bits, the same for the same words.
pub(crate) fn address(kind: u64, n: u64) -> Address {
    let mut bytes = [0; 32];
    for (i, chunk) in bytes.chunks_mut(8).enumerate() {
        let mut x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (kind << 56) ^ ((i as u64) << 48);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk.copy_from_slice(&(x ^ (x >> 31)).to_le_bytes());
    }
    Address::new_from_array(bytes)
}

pub(crate) fn sol() -> Address {
    address(9, 0)
}

pub(crate) fn fee_account() -> Address {
    address(8, 0)
}

#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub(crate) address: Address,
    pub(crate) program: Program,
    pub(crate) mints: [Address; 2],
    pub(crate) vaults: [Address; 2],
    pub(crate) balances: [u64; 2],
    pub(crate) owed: [u64; 2],
}

/// Pool `n`: kinds by turns, four pools to a token.
pub(crate) fn pool(n: u64) -> Pool {
    let program = if n.is_multiple_of(2) { Program::Cpmm } else { Program::AmmV4 };
    Pool {
        address: address(1, n),
        program,
        mints: [address(2, n / 4), sol()],
        vaults: [address(3, n), address(4, n)],
        balances: [9_000_000_000_000 + n, 80_000_000_000 + n % 1_000],
        owed: [n % 7, n % 11],
    }
}

impl Pool {
    pub(crate) fn data(&self) -> Vec<u8> {
        let mut data = vec![0; self.program.pool_len().unwrap()];
        let mut put = |at: usize, bytes: &[u8]| data[at..at + bytes.len()].copy_from_slice(bytes);
        let keys = [self.vaults, self.mints];
        match self.program {
            Program::Cpmm => {
                put(0, &cpmm::POOL_DISCRIMINATOR);
                put(8, fee_account().as_array());
                put(72, keys[0][0].as_array());
                put(104, keys[0][1].as_array());
                put(168, keys[1][0].as_array());
                put(200, keys[1][1].as_array());
                put(341, &self.owed[0].to_le_bytes());
                put(349, &self.owed[1].to_le_bytes());
            }
            _ => {
                for (at, word) in [
                    (0, 6_u64),
                    (8, 254),
                    (176, 25),
                    (184, 10_000),
                    (192, self.owed[0]),
                    (200, self.owed[1]),
                ] {
                    put(at, &word.to_le_bytes());
                }
                put(336, keys[0][0].as_array());
                put(368, keys[0][1].as_array());
                put(400, keys[1][0].as_array());
                put(432, keys[1][1].as_array());
            }
        }
        data
    }

    pub(crate) fn token_data(&self, second: bool) -> Vec<u8> {
        let mut data = vec![0; 165];
        let side = usize::from(second);
        data[..32].copy_from_slice(self.mints[side].as_array());
        data[64..72].copy_from_slice(&self.balances[side].to_le_bytes());
        data[108] = 1;
        data
    }

    pub(crate) fn reserves(&self) -> [u64; 2] {
        [self.balances[0] - self.owed[0], self.balances[1] - self.owed[1]]
    }
}

pub(crate) fn config_data() -> Vec<u8> {
    let mut data = vec![0; cpmm::CONFIG_LEN];
    data[..8].copy_from_slice(&cpmm::CONFIG_DISCRIMINATOR);
    data[12..20].copy_from_slice(&TRADE_FEE.to_le_bytes());
    data
}

/// An account's JSON, as Agave orders it.
pub(crate) fn account_json(
    out: &mut String,
    owner: &str,
    data: &[u8],
    zstd: bool,
    options: &Value,
) {
    let space = data.len();
    let cut = |name| options["dataSlice"][name].as_u64().map(|n| n as usize);
    let from = cut("offset").unwrap_or(0).min(space);
    let to = cut("length").map_or(space, |length| (from + length).min(space));
    let (data, encoding) = match zstd {
        true => (zstd::encode_all(&data[from..to], 0).unwrap(), "base64+zstd"),
        false => (data[from..to].to_vec(), "base64"),
    };
    out.push_str(r#"{"data":[""#);
    STANDARD.encode_string(data, out);
    let _ = write!(
        out,
        r#"","{encoding}"],"executable":false,"lamports":2039280,"owner":"{owner}","rentEpoch":18446744073709551615,"space":{space}}}"#
    );
}

/// The answer of `getProgramAccounts`.
pub(crate) fn list_json(pools: &[Pool], slot: u64, options: &Value) -> String {
    let zstd = options["encoding"] == "base64+zstd";
    let mut out = head(slot);
    for (i, pool) in pools.iter().enumerate() {
        let _ = write!(out, r#"{}{{"account":"#, if i == 0 { "" } else { "," });
        account_json(&mut out, pool.program.text(), &pool.data(), zstd, options);
        let _ = write!(out, r#","pubkey":"{}"}}"#, pool.address);
    }
    out + TAIL
}

const TAIL: &str = r#"]},"id":1}"#;

fn head(slot: u64) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","result":{{"context":{{"apiVersion":"3.0.1","slot":{slot}}},"value":["#
    )
}

/// What the node knows; tests change it as they like.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    pub(crate) pools: Vec<Pool>,
    /// Everything that `getMultipleAccounts` can find: owner and data.
    pub(crate) accounts: HashMap<String, (&'static str, Vec<u8>)>,
    /// Of lists, and of accounts.
    pub(crate) slots: [u64; 2],
    /// Lists by their options, written once.
    lists: HashMap<String, Arc<str>>,
    /// What was asked, by method.
    pub(crate) asked: HashMap<String, usize>,
    pub(crate) last_options: HashMap<String, Value>,
    /// Answers instead of a list: raw text.
    pub(crate) list_says: Option<String>,
    /// Accounts of other programs, which are listed by their filters.
    pub(crate) others: Vec<(Program, Address, Vec<u8>)>,
    /// Programs that are not listed.
    pub(crate) refused: Vec<Program>,
    /// So many lists break off in the middle.
    pub(crate) broken_lists: usize,
}

impl Chain {
    pub(crate) fn new(pools: Vec<Pool>) -> Self {
        let mut chain = Self { slots: [100, 101], ..Self::default() };
        for pool in &pools {
            chain.learn(pool);
        }
        chain.pools = pools;
        chain
    }

    /// Makes the accounts of a pool what it says.
    pub(crate) fn learn(&mut self, pool: &Pool) {
        let mut put = |key: &Address, owner, data| {
            self.accounts.insert(key.to_string(), (owner, data));
        };
        put(&pool.address, pool.program.text(), pool.data());
        put(&pool.vaults[0], TOKEN, pool.token_data(false));
        put(&pool.vaults[1], TOKEN, pool.token_data(true));
    }

    /// Makes an account of another program known.
    pub(crate) fn put(&mut self, program: Program, address: Address, data: Vec<u8>) {
        self.accounts.insert(address.to_string(), (program.text(), data.clone()));
        self.others.retain(|(_, known, _)| *known != address);
        self.others.push((program, address, data));
    }

    /// The list of accounts that fit the filters.
    fn list_others(&self, wanted: &str, options: &Value) -> String {
        let filters = options["filters"].as_array().unwrap();
        assert!(filters.len() <= 4, "a node takes no more");
        let fits = |data: &[u8]| {
            filters.iter().all(|filter| match filter["dataSize"].as_u64() {
                Some(size) => data.len() as u64 == size,
                None => {
                    let at = filter["memcmp"]["offset"].as_u64().unwrap() as usize;
                    let bytes = filter["memcmp"]["bytes"].as_str().unwrap();
                    let bytes = bs58::decode(bytes).into_vec().unwrap();
                    data.get(at..at + bytes.len()) == Some(&bytes[..])
                }
            })
        };
        let mut out = head(self.slots[0]);
        let all = self.others.iter().filter(|(program, ..)| program.text() == wanted);
        for (i, (_, address, data)) in all.filter(|(.., data)| fits(data)).enumerate() {
            let _ = write!(out, r#"{}{{"account":"#, if i == 0 { "" } else { "," });
            account_json(&mut out, wanted, data, options["encoding"] == "base64+zstd", options);
            let _ = write!(out, r#","pubkey":"{address}"}}"#);
        }
        out + TAIL
    }

    fn answer(&mut self, body: &[u8]) -> Arc<str> {
        let call: Value = serde_json::from_slice(body).unwrap();
        if call.is_array() {
            return r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"no batches"},"id":null}"#
                .into();
        }
        let method = call["method"].as_str().unwrap();
        *self.asked.entry(method.to_owned()).or_default() += 1;
        let params = &call["params"];
        let plain =
            |result: String| format!(r#"{{"jsonrpc":"2.0","result":{result},"id":1}}"#).into();
        let options = &params[1];
        self.last_options.insert(method.to_owned(), options.clone());
        let too_old = |slot: u64| options["minContextSlot"].as_u64().is_some_and(|min| min > slot);
        match method {
            "getGenesisHash" => plain(format!("\"{}\"", address(7, 7))),
            "getSlot" => plain(self.slots[0].to_string()),
            "getBlockHeight" => plain((self.slots[0] - 10).to_string()),
            "getHealth" => plain("\"ok\"".to_owned()),
            "getProgramAccounts" if too_old(self.slots[0]) => behind(),
            "getMultipleAccounts" if too_old(self.slots[1]) => behind(),
            "getProgramAccounts" => self.list(params, options),
            "getMultipleAccounts" => self.multiple(params, options).into(),
            other => panic!("{other} is not known here"),
        }
    }

    fn list(&mut self, params: &Value, options: &Value) -> Arc<str> {
        if let Some(says) = &self.list_says {
            return says.as_str().into();
        }
        let key = params.to_string();
        let program = Program::of(params[0].as_str().unwrap()).unwrap();
        if self.refused.contains(&program) {
            return r#"{"jsonrpc":"2.0","error":{"code":-32010,"message":"too large"},"id":1}"#
                .into();
        }
        if !Program::CONSTANT.contains(&program) {
            return self.list_others(program.text(), options).into();
        }
        let sizes = options["filters"][0]["dataSize"].as_u64().unwrap();
        let wanted = params[0].as_str().unwrap();
        if sizes == cpmm::CONFIG_LEN as u64 {
            let mut out = head(self.slots[0]) + r#"{"account":"#;
            account_json(&mut out, wanted, &config_data(), false, options);
            let _ = write!(out, r#","pubkey":"{}"}}"#, fee_account());
            return (out + TAIL).into();
        }
        let (pools, slot) = (&self.pools, self.slots[0]);
        let write = || {
            let of: Vec<Pool> =
                pools.iter().filter(|pool| pool.program.text() == wanted).cloned().collect();
            assert!(of.iter().all(|pool| pool.program.pool_len() == Some(sizes as usize)));
            list_json(&of, slot, options).into()
        };
        if pools.len() < 10_000 {
            write()
        } else {
            self.lists.entry(key).or_insert_with(write).clone()
        }
    }

    fn multiple(&self, params: &Value, options: &Value) -> String {
        let keys = params[0].as_array().unwrap();
        assert!(keys.len() <= 100, "a node takes no more");
        let mut out = head(self.slots[1]);
        for (i, key) in keys.iter().enumerate() {
            out.push_str(if i == 0 { "" } else { "," });
            match self.accounts.get(key.as_str().unwrap()) {
                Some((owner, data)) => account_json(&mut out, owner, data, false, options),
                None => out.push_str("null"),
            }
        }
        out + TAIL
    }
}

fn behind() -> Arc<str> {
    r#"{"jsonrpc":"2.0","error":{"code":-32016,"message":"Minimum context slot has not been reached","data":{"contextSlot":1}},"id":1}"#.into()
}

/// Serves a chain on a free port, for ever.
pub(crate) async fn serve(chain: Arc<Mutex<Chain>>, listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio::spawn(talk(chain.clone(), stream));
    }
}

pub(crate) async fn start(chain: Chain) -> (Arc<Mutex<Chain>>, EndpointConfig) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint(listener.local_addr().unwrap().port());
    let chain = Arc::new(Mutex::new(chain));
    tokio::spawn(serve(chain.clone(), listener));
    (chain, endpoint)
}

pub(crate) fn endpoint(port: u16) -> EndpointConfig {
    let (http, ws) = (format!("http://127.0.0.1:{port}"), format!("ws://127.0.0.1:{port}"));
    EndpointConfig::new("fake", &http, &ws, 1_000_000).unwrap()
}

async fn talk(chain: Arc<Mutex<Chain>>, mut stream: TcpStream) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let (head, length) = loop {
            if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
                let length = text.split("content-length: ").nth(1)?;
                let length: usize = length.split("\r\n").next()?.trim().parse().ok()?;
                break (end + 4, length);
            }
            stream.read_buf(&mut buffer).await.ok().filter(|n| *n > 0)?;
        };
        while buffer.len() < head + length {
            stream.read_buf(&mut buffer).await.ok().filter(|n| *n > 0)?;
        }
        let (answer, breaks) = {
            let mut chain = chain.lock().unwrap();
            let answer = chain.answer(&buffer[head..head + length]);
            let is_list = buffer[head..].windows(18).any(|w| w == b"getProgramAccounts");
            let breaks = is_list && chain.broken_lists > 0;
            chain.broken_lists -= usize::from(breaks);
            (answer, breaks)
        };
        buffer.drain(..head + length);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        stream.write_all(head.as_bytes()).await.ok()?;
        if breaks {
            stream.write_all(&answer.as_bytes()[..answer.len() / 2]).await.ok()?;
            return None;
        }
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}
