//! Runs a local chain until Ctrl-C and prints where it is found, as one line of JSON.
//!
//! `cargo run --release -p sniper-localnet --example serve -- [PORT] [SEED]`

use sniper_localnet::{LocalnetConfig, LocalnetError, PortConfig, run_blocking};

fn main() -> Result<(), LocalnetError> {
    let mut numbers = std::env::args().skip(1).filter_map(|text| text.parse::<u64>().ok());
    let port = numbers.next().and_then(|port| u16::try_from(port).ok()).unwrap_or(0);
    let seed = numbers.next().unwrap_or(1);
    let config = LocalnetConfig {
        ports: vec![PortConfig { port, ..PortConfig::default() }],
        seed,
        ..LocalnetConfig::default()
    };
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    run_blocking(config, interrupted, |ready| {
        println!("{}", serde_json::to_string(ready).unwrap_or_default());
    })
}
