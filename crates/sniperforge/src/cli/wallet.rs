//! `wallet`: the encrypted key, first form.

use std::path::PathBuf;

use serde_json::json;
use sniper_wallet::{Keystore, KeystoreOptions, PassphraseSource, Signer as _, read_passphrase};

use super::Global;
use super::args::PassphraseFlags;
use super::output::report;
use crate::config::{Config, Sources};

/// What to do with the key.
#[derive(Debug, clap::Subcommand)]
pub enum WalletCommand {
    /// Make a new random key and write it encrypted.
    New(WalletArgs),
    /// Open the key file and print the key's address.
    Show(WalletArgs),
    /// Encrypt the key of a solana-keygen file; the file itself is left alone.
    Import {
        /// The solana-keygen file.
        #[arg(value_name = "FILE")]
        from: PathBuf,
        /// Which key file.
        #[command(flatten)]
        args: WalletArgs,
    },
}

/// Which key file, and where its passphrase comes from.
#[derive(Debug, clap::Args)]
pub struct WalletArgs {
    /// The key file; by default that of the configuration.
    #[arg(long, value_name = "FILE")]
    keystore: Option<PathBuf>,
    /// Where the passphrase comes from.
    #[command(flatten)]
    passphrase: PassphraseFlags,
}

pub(super) fn wallet(command: &WalletCommand, global: &Global) -> anyhow::Result<()> {
    let (WalletCommand::New(args) | WalletCommand::Show(args) | WalletCommand::Import { args, .. }) =
        command;
    let settings = Config::load(&Sources::of_process(global.config.clone()))?.wallet;
    let keystore = Keystore::at(args.keystore.clone().unwrap_or(settings.keystore));
    let prompt = format!("Passphrase for {}: ", keystore.path().display());
    let on_terminal = match command {
        WalletCommand::Show(_) => PassphraseSource::Terminal { prompt },
        _ => PassphraseSource::NewOnTerminal { prompt },
    };
    let source = args.passphrase.source(settings.passphrase_file.as_ref(), on_terminal);
    let passphrase = read_passphrase(&source)?;
    let address = match command {
        WalletCommand::New(_) => keystore.create(&passphrase, KeystoreOptions::default())?,
        WalletCommand::Import { from, .. } => {
            keystore.import(from, &passphrase, KeystoreOptions::default())?
        }
        WalletCommand::Show(_) => keystore.unlock(&passphrase)?.address(),
    };
    let (address, path) = (address.to_string(), keystore.path().display().to_string());
    report(global.json, &json!({ "address": address, "keystore": path }), || {
        format!("{address}  {path}")
    })
}
