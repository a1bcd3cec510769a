//! What has changed in the configuration since a run began, and what of it can be taken up while it runs.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::Value;
use sniper_solana::rpc::EndpointConfig;

use super::error::ConfigError;
use super::layers::{Layers, Sources};
use super::tuned::TUNED_FILE;
use super::tuning::placed;
use super::{Config, raw::RawConfig};

/// The one key that may change in a run.
const ENDPOINTS: &str = "node.endpoints";

/// The configuration that a run began with, and where it came from.
#[derive(Clone, Debug)]
pub struct Reload {
    sources: Sources,
    began: RawConfig,
    /// What `sniperforge tune` writes, whether it is there or not.
    tuned: Option<PathBuf>,
}

/// What the sources say now.
#[derive(Clone, Debug)]
pub struct Changed {
    /// All endpoints that are wanted; at least one.
    pub endpoints: Vec<EndpointConfig>,
    /// Keys whose values differ from those of the start: they hold from the next start on.
    pub needs_restart: Vec<String>,
}

/// When and how a file was written; none while it is absent.
type Stamp = Option<(SystemTime, u64, u64)>;

impl Reload {
    /// Reads what holds now, as the state of the beginning.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn of(sources: Sources) -> Result<Self, ConfigError> {
        let layers = Layers::read(&sources)?;
        let tuned = layers.data_dir().map(|folder| folder.join(TUNED_FILE));
        Ok(Self { sources, began: layers.extract()?, tuned })
    }

    /// One for each file: it differs once the file was written or replaced. Looks at the files and opens none.
    #[must_use]
    pub fn stamps(&self) -> Vec<Stamp> {
        let stamp = |path| {
            let found = std::fs::metadata(path).ok()?;
            Some((found.modified().ok()?, found.len(), found.ino()))
        };
        self.sources.files.iter().chain(&self.tuned).map(stamp).collect()
    }

    /// Reads and checks everything again.
    ///
    /// # Errors
    ///
    /// As [`Config::load`]: then nothing of it may be taken up; also when no endpoint is left.
    pub fn read(&self) -> Result<Changed, ConfigError> {
        let layers = Layers::read(&self.sources)?;
        let config = Config::from_layers(&layers)?;
        // An endpoint leaves and comes back to become a reserve, and meanwhile a majority is of fewer: a program may write
        // who is one, so that waits for the next start.
        let reserves = self.began.node.reserves.as_deref().unwrap_or_default();
        let endpoints: Vec<_> =
            config.node.endpoints.into_iter().map(|one| placed(one, reserves)).collect();
        if endpoints.is_empty() {
            let need = "a run needs at least one Solana node";
            return Err(ConfigError::Missing { key: ENDPOINTS, need });
        }
        let needs_restart = differences(&self.began, &layers.extract()?);
        Ok(Changed { endpoints, needs_restart })
    }
}

/// Keys of other values, endpoints aside. Keys alone: a value may be a secret.
fn differences(one: &RawConfig, other: &RawConfig) -> Vec<String> {
    let mut keys = Vec::new();
    let value = |config| serde_json::to_value(config).unwrap_or_default();
    compare(String::new(), &value(one), &value(other), &mut keys);
    keys
}

fn compare(key: String, one: &Value, other: &Value, keys: &mut Vec<String>) {
    if one == other || key == ENDPOINTS {
        return;
    }
    let (Value::Object(one), Value::Object(other)) = (one, other) else {
        keys.push(key);
        return;
    };
    let names: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).collect();
    for name in names {
        let inner = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
        let of = |fields: &serde_json::Map<_, _>| fields.get(name).cloned().unwrap_or_default();
        compare(inner, &of(one), &of(other), keys);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const ONE: &str = "[node]\nendpoints = [{ name = 'a', http = 'http://127.0.0.1:1/hunter2' }]\n";
    const TWO: &str = "[node]\nendpoints = [{ name = 'a', http = 'http://127.0.0.1:1/hunter2' }, \
                       { name = 'b', http = 'http://127.0.0.1:2/' }]\n";

    fn reload(path: &Path) -> Reload {
        Reload::of(Sources { files: vec![path.to_owned()], variables: Vec::new() }).unwrap()
    }

    fn names(changed: &Changed) -> Vec<String> {
        changed.endpoints.iter().map(|endpoint| endpoint.name().to_string()).collect()
    }

    #[test]
    fn endpoints_are_taken_up_and_every_other_changed_key_is_named_without_its_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        std::fs::write(&path, ONE).unwrap();
        let reload = reload(&path);
        let same = reload.read().unwrap();
        assert_eq!((names(&same), same.needs_restart), (vec!["a".to_owned()], Vec::new()));
        let text =
            format!("{TWO}[risk]\nopen_orders = 7\n[prices]\nurl = 'http://127.0.0.1/hunter3'\n");
        std::fs::write(&path, text).unwrap();
        let changed = reload.read().unwrap();
        assert_eq!(names(&changed), ["a", "b"]);
        assert_eq!(changed.needs_restart, ["prices.url", "risk.open_orders"]);
        assert!(!format!("{changed:?}").contains("hunter"), "keys and names alone");
    }

    #[test]
    fn a_layer_that_is_tuned_in_a_run_moves_no_endpoint_before_the_next_start() {
        use crate::config::{TunedFile, TunedValue};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        std::fs::write(&path, format!("{TWO}[store]\ndata_dir = {:?}\n", folder.path())).unwrap();
        let reload = reload(&path);
        let (before, stamps) = (reload.read().unwrap().endpoints, reload.stamps());
        let mut layer = TunedFile::default();
        let reserves = TunedValue { value: vec!["b"].into(), why: Vec::new() };
        layer.set("node.reserves", reserves).unwrap();
        layer.write(folder.path()).unwrap();
        assert_ne!(reload.stamps(), stamps, "it is looked at");
        let changed = reload.read().unwrap();
        assert_eq!(changed.endpoints, before);
        assert_eq!(changed.needs_restart, ["node.reserves"]);
    }

    #[test]
    fn a_file_that_is_broken_empty_or_gone_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        std::fs::write(&path, ONE).unwrap();
        let reload = reload(&path);
        for broken in [
            "[node",
            "[node]\nendpoint = 1\n",
            "[risk]\nopen_orders = 0\n",
            "",
            "[node]\nendpoints = []\n",
        ] {
            std::fs::write(&path, broken).unwrap();
            let error = reload.read().unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(reload.read(), Err(ConfigError::Unreadable { .. })));
    }

    #[test]
    fn a_stamp_changes_when_a_file_is_written_replaced_or_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        std::fs::write(&path, ONE).unwrap();
        let reload = reload(&path);
        let first = reload.stamps();
        assert_eq!(first, reload.stamps());
        let other = folder.path().join("b.toml");
        std::fs::write(&other, ONE).unwrap();
        std::fs::rename(&other, &path).unwrap();
        let replaced = reload.stamps();
        assert_ne!(first, replaced, "as editors do");
        std::fs::write(&path, TWO).unwrap();
        assert_ne!(replaced, reload.stamps());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(reload.stamps(), [None, None]);
    }
}
