//! What somebody writes who has `solana-rpc-client` and no scanner.

use std::hint::black_box;

use futures_util::future::try_join_all;
use sniper_core::ids::Address;
use sniper_solana::scan::{Decoded, Program};
use solana_account_decoder_client_types::{UiAccountEncoding, UiDataSliceConfig};
use solana_commitment_config::CommitmentConfig;
use solana_rpc_client::nonblocking::rpc_client::RpcClient;
use solana_rpc_client_types::config::{RpcAccountInfoConfig, RpcProgramAccountsConfig};
use solana_rpc_client_types::filter::RpcFilterType;

use super::{FETCHES, Stopwatch, Took};

/// Requests for vaults under way at a time, as many as the scanner has.
const AHEAD: usize = 4;
/// Pools whose vaults fit a request.
const PART: usize = 50;

pub(super) fn client(port: u16) -> RpcClient {
    RpcClient::new(format!("http://127.0.0.1:{port}"))
}

fn config(offset: usize, length: usize) -> RpcAccountInfoConfig {
    RpcAccountInfoConfig {
        encoding: Some(UiAccountEncoding::Base64),
        data_slice: Some(UiDataSliceConfig { offset, length }),
        commitment: Some(CommitmentConfig::processed()),
        min_context_slot: None,
    }
}

/// All pools of both programs, and the balances of their vaults.
pub(super) async fn scan(client: &RpcClient, pools: u64) -> Took {
    let watch = Stopwatch::start();
    let mut known: Vec<(Address, Decoded)> = Vec::new();
    let mut room = Vec::new();
    for program in Program::CONSTANT {
        let slice = program.slice();
        // Both programs' accounts are of one size.
        let size = u64::try_from(program.pool_len().unwrap()).unwrap();
        let config = RpcProgramAccountsConfig {
            filters: Some(vec![RpcFilterType::DataSize(size)]),
            account_config: config(slice.offset, slice.length),
            with_context: Some(true),
            sort_results: None,
        };
        let listed = client.get_program_ui_accounts_with_config(&program.id(), config).await;
        for (address, account) in listed.unwrap() {
            let account = account.to_account().unwrap();
            if account.owner == program.id() {
                known.push((address, program.decode(&address, &account.data, &mut room).unwrap()));
            }
        }
    }
    let mut balances: Vec<[u64; 2]> = Vec::with_capacity(known.len());
    for parts in known.chunks(PART * AHEAD) {
        let asked = parts.chunks(PART).map(|part| async move {
            let keys: Vec<Address> = part.iter().flat_map(|(_, pool)| pool.vaults).collect();
            client.get_multiple_ui_accounts_with_config(&keys, config(64, 8)).await
        });
        for answer in try_join_all(asked).await.unwrap() {
            let read = answer.value.into_iter().map(|account| {
                let account = account.unwrap().to_account().unwrap();
                u64::from_le_bytes(account.data.try_into().unwrap())
            });
            let read: Vec<u64> = read.collect();
            balances.extend(read.as_chunks::<2>().0);
        }
    }
    let took = watch.stop();
    assert_eq!((known.len() as u64, balances.len() as u64), (pools, pools));
    black_box((known, balances));
    took
}

pub(super) async fn fetch(client: &RpcClient, keys: &[Address]) -> Took {
    let watch = Stopwatch::start();
    for _ in 0..FETCHES {
        let config = RpcAccountInfoConfig { data_slice: None, ..config(0, 0) };
        let found = client.get_multiple_ui_accounts_with_config(keys, config).await.unwrap();
        let accounts = found.value.into_iter().flatten().filter_map(|ui| ui.to_account());
        let read = accounts.filter(|account| account.data.len() == 165);
        assert_eq!(black_box(read).count(), keys.len());
    }
    watch.stop()
}
