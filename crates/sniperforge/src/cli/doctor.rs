//! `doctor`: whether everything that trading needs is there, each looked at for itself.

use std::path::Path;

use serde::Serialize;
use sniper_solana::rpc::{PoolSettings, RpcConnectionPool};

use super::Global;
use super::exit::Exit;
use super::output::report;
use crate::config::{Config, Sources, Wallet};

/// One thing looked at.
#[derive(Debug, Serialize)]
struct Finding {
    name: String,
    ok: bool,
    detail: String,
}

#[derive(Debug, Serialize)]
struct Findings {
    ok: bool,
    checks: Vec<Finding>,
}

pub(super) fn doctor(global: &Global) -> anyhow::Result<Exit> {
    // What cannot be read cannot be looked into: that ends it with the configuration's own message and code.
    let config = Config::load(&Sources::of_process(global.config.clone()))?;
    let mut checks =
        vec![finding("configuration", Ok::<_, String>("every value is in its range".to_owned()))];
    checks.push(finding("data folder", writable(&config.data_dir)));
    checks.push(finding("key file", key_file(&config.wallet)));
    checks.push(finding(
        "market",
        config.require_market().map(|()| {
            format!(
                "{} endpoints, {} pools",
                config.node.endpoints.len(),
                config.trading.pools.len()
            )
        }),
    ));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for endpoint in &config.node.endpoints {
        let name = format!("endpoint {}", endpoint.name());
        let settings =
            PoolSettings { genesis: config.node.genesis_hash, ..PoolSettings::default() };
        let answer = runtime.block_on(RpcConnectionPool::connect(vec![endpoint.clone()], settings));
        checks.push(finding(
            &name,
            match answer {
                Ok(pool) => Ok(format!("chain {}, slot {}", pool.genesis(), pool.highest_slot())),
                Err(error) => Err(chain(&error)),
            },
        ));
    }
    let armed = match config.require_armed() {
        Ok(_) => "named: chain, key and caps".to_owned(),
        Err(error) => format!("off: {error}"),
    };
    checks.push(finding("live trading", Ok::<_, String>(armed)));
    let findings = Findings { ok: checks.iter().all(|check| check.ok), checks };
    report(global.json, &findings, || table(&findings))?;
    Ok(if findings.ok { Exit::Done } else { Exit::CheckFailed })
}

fn finding<E: std::fmt::Display>(name: &str, result: Result<String, E>) -> Finding {
    let ok = result.is_ok();
    let detail = result.unwrap_or_else(|error| error.to_string());
    Finding { name: name.to_owned(), ok, detail }
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Writes and removes a file in the folder, or in the one above it that exists: nothing is created for good.
fn writable(folder: &Path) -> Result<String, String> {
    let advice = |error: std::io::Error| {
        format!(
            "{}: {error}; choose another store.data_dir or change its permissions",
            folder.display()
        )
    };
    let exists = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    let probe = exists.join(format!(".sniperforge-{}.tmp", std::process::id()));
    std::fs::OpenOptions::new().write(true).create_new(true).open(&probe).map_err(advice)?;
    std::fs::remove_file(&probe).map_err(advice)?;
    Ok(if exists == folder {
        format!("{} can be written", folder.display())
    } else {
        format!("{} can be created", folder.display())
    })
}

/// That the key file is there, where one is named as armed; opening it takes the passphrase, which `wallet show` asks for.
fn key_file(wallet: &Wallet) -> Result<String, String> {
    let path = wallet.keystore.display();
    match std::fs::metadata(&wallet.keystore) {
        Ok(found) if found.is_file() => Ok(format!("{path} is there")),
        Ok(_) => Err(format!("{path} is not a file; set wallet.keystore")),
        Err(_) if wallet.public_key.is_none() => {
            Ok(format!("{path} is absent; only live trading needs it"))
        }
        Err(error) => Err(format!("{path}: {error}; make one with `sniperforge wallet new`")),
    }
}

fn table(findings: &Findings) -> String {
    let width = findings.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let row = |check: &Finding| {
        format!(
            "{}  {:<width$}  {}\n",
            if check.ok { "ok  " } else { "FAIL" },
            check.name,
            check.detail
        )
    };
    findings.checks.iter().map(row).collect()
}
