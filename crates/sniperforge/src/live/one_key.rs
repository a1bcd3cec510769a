//! Two engines with one key would spend the same money twice, whatever folders they use.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

use anyhow::{Context, bail};
use sniper_core::ids::Address;

/// Held as long as this process trades with a key on a chain; nobody else on this machine holds it then.
///
/// It is a name in the kernel and no file: it is the same for all users and folders, it needs no place that everybody
/// may write, and it is gone when the process is, however that ends.
pub(super) struct OneKey {
    _held: UnixListener,
}

impl OneKey {
    /// Takes it.
    ///
    /// # Errors
    ///
    /// Another process has it.
    pub(super) fn take(key: &Address, genesis: &[u8; 32]) -> anyhow::Result<Self> {
        let chain = bs58::encode(genesis).into_string();
        let name = SocketAddr::from_abstract_name(format!("sniperforge/{key}/{chain}"));
        match UnixListener::bind_addr(&name.context("name the key")?) {
            Ok(held) => Ok(Self { _held: held }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => bail!(
                "another process on this machine trades with the key {key} on this chain: stop it first; two would \
                 spend the same money"
            ),
            Err(error) => Err(error).context("make sure that nobody else trades with this key"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_holder_on_each_chain_until_that_is_gone() {
        let key = Address::new_from_array([77; 32]);
        let first = OneKey::take(&key, &[1; 32]).unwrap();
        let error = OneKey::take(&key, &[1; 32]).err().unwrap().to_string();
        assert!(error.contains(&key.to_string()) && error.contains("stop it first"), "{error}");
        OneKey::take(&key, &[2; 32]).unwrap();
        OneKey::take(&Address::new_from_array([78; 32]), &[1; 32]).unwrap();
        drop(first);
        OneKey::take(&key, &[1; 32]).unwrap();
    }
}
