use super::*;
use sniper_core::strategy::trend;
use tempfile::TempDir;

/// A file of this text, and the variables, as sources.
fn sources(folder: &TempDir, text: &str, variables: &[(&str, &str)]) -> Sources {
    let path = folder.path().join("a.toml");
    std::fs::write(&path, text).unwrap();
    Sources { files: vec![path], variables: owned(variables) }
}

fn owned(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The message for a file of this text, with the folder cut off.
fn refusal(text: &str, variables: &[(&str, &str)]) -> String {
    let folder = TempDir::new().unwrap();
    let error = Config::load(&sources(&folder, text, variables)).expect_err(text);
    error.to_string().replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn nothing_written_gives_the_defaults_of_the_core() {
    let config = Config::load(&Sources::default()).unwrap();
    assert_eq!(config.risk, Limits::default());
    assert_eq!(config.risk.order_value_max, Usd::dollars(50));
    let engine = config.engine(None);
    assert_eq!(engine.strategies.len(), 4);
    engine.strategies.iter().for_each(|strategy| strategy.kind.check().unwrap());
}

#[test]
fn orders_bid_by_their_urgency_or_always_the_same() {
    let folder = TempDir::new().unwrap();
    let read = |word: &str| {
        let text = format!("[risk]\npriority = \"{word}\"\n");
        Config::load(&sources(&folder, &text, &[])).unwrap().priority
    };
    assert_eq!(Config::load(&Sources::default()).unwrap().priority, Some(Urgency::Normal));
    assert_eq!((read("fixed"), read("urgent")), (None, Some(Urgency::Urgent)));
    let message = refusal("[risk]\npriority = \"soon\"\n", &[]);
    assert!(message.contains("risk.priority") && message.contains("fixed, low"), "{message}");
    assert!(message.contains("a.toml:2"), "{message}");
}

#[test]
fn the_written_template_says_what_the_defaults_say() {
    let read: raw::RawConfig = toml::from_str(&template()).unwrap();
    assert_eq!(read, defaults::raw());
}

#[test]
fn every_commented_key_of_the_template_is_a_key() {
    let whole: String = template()
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(code)
                if code.starts_with('[')
                    || code.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) =>
            {
                format!("{code}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let read: raw::RawConfig =
        toml::from_str(&whole).unwrap_or_else(|error| panic!("{error}\n{whole}"));
    assert!(
        read.node.genesis_hash.is_some() && read.node.endpoints.is_some_and(|all| all.len() == 1)
    );
    assert!(read.trading.live.is_some_and(|live| live.daily_loss_usd.is_some()));
    assert!(read.wallet.public_key.is_some() && read.wallet.passphrase_file.is_some());
}

#[test]
fn a_later_file_wins_and_the_environment_wins_over_files() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let files = vec![
        write(
            "a.toml",
            "[risk]\norder_value_cap_usd = 10\nopen_orders = 3\norders_per_minute = 7\n",
        ),
        write("b.toml", "[risk]\norder_value_cap_usd = 20.5\nopen_orders = 4\n"),
    ];
    let variables = owned(&[("SNIPERFORGE__RISK__OPEN_ORDERS", "5"), ("OTHER", "x")]);
    let sources = Sources { files, variables };
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.risk.order_value_max, Usd::new(20_500_000));
    assert_eq!((config.risk.open_orders_max, config.risk.orders_per_minute_max), (5, 7));

    let layers = Layers::read(&sources).unwrap();
    let place =
        |key| layers.place(key).to_string().replace(&format!("{}/", folder.path().display()), "");
    assert_eq!(place("risk.order_value_cap_usd"), "b.toml:2");
    assert_eq!(place("risk.orders_per_minute"), "a.toml:4");
    assert_eq!(place("risk.open_orders"), "SNIPERFORGE__RISK__OPEN_ORDERS");
    assert_eq!(place("risk.cool_down_ms"), "default");
}

#[test]
fn each_fault_of_a_file_is_named_with_its_line_and_a_way_out() {
    for (text, expected) in [
        ("[risk]\norder_value_cap = 5\n", "a.toml:2:1: unknown field `order_value_cap`, expected"),
        ("[wallet\n", "a.toml:1:"),
        ("[risk]\nopen_orders = 'many'\n", "a.toml:2:15: invalid type: text, expected i64"),
        (
            "[risk]\nopen_orders = 0\n",
            "a.toml:2: risk.open_orders is 0; write a whole number from 1 to 256",
        ),
        (
            "[risk]\norder_value_cap_usd = -5\n",
            "a.toml:2: risk.order_value_cap_usd is not an amount of dollars from 0.01",
        ),
        (
            "[risk]\norder_value_cap_usd = nan\n",
            "a.toml:2: risk.order_value_cap_usd is not an amount",
        ),
        (
            "[risk]\norder_value_cap_usd = 1e300\n",
            "a.toml:2: risk.order_value_cap_usd is not an amount",
        ),
        (
            "[risk]\norder_value_cap_usd = 300\n",
            "a.toml:2: risk.order_value_cap_usd is above risk.position_cap_usd",
        ),
        (
            "[risk]\nprice_collar_bps = 10001\n",
            "a.toml:2: risk.price_collar_bps is 10001; write a whole number from 1 to 9999",
        ),
        (
            "[risk]\nexit_collar_bps = 0\n",
            "a.toml:2: risk.exit_collar_bps is 0; write a whole number from 1 to 9999",
        ),
        (
            "[risk]\nexit_collar_bps = 100\n",
            "a.toml:2: risk.exit_collar_bps is below risk.price_collar_bps",
        ),
        (
            "[trading]\nallowed_extensions = ['free_lunch']\n",
            "a.toml:2: trading.allowed_extensions.0 is not a Token-2022 extension",
        ),
        (
            "[trading]\nlaunch_programs = ['casino']\n",
            "a.toml:2: trading.launch_programs.0 is not a program that makes pools",
        ),
        (
            "[trading]\nlaunch_programs = ['pump_swap', 'pump_swap']\n",
            "a.toml:2: trading.launch_programs.1 is the same as an earlier one",
        ),
        (
            "[strategies.new_pool.params]\ntrail = 0\n",
            "a.toml:2: strategies.new_pool.params.trail must lie between 1 and 9999",
        ),
        (
            "[trading]\ntrusted_mints = ['me']\n",
            "a.toml:2: trading.trusted_mints.0 is not a Solana address",
        ),
        ("[trading]\npools = ['nonsense']\n", "a.toml:2: trading.pools.0 is not a Solana address"),
        ("[node]\ngenesis_hash = 'abc'\n", "a.toml:2: node.genesis_hash is not a genesis hash"),
        ("[node]\nendpoints = [{ name = 'a' }]\n", "a.toml:2: node.endpoints.0.http is not set"),
        (
            "[node]\nendpoints = [{ name = 'a b', http = 'http://x' }]\n",
            "a.toml:2: node.endpoints.0.name is not a name",
        ),
        (
            "[node]\nendpoints = [{ name = 'a', http = 'http://x', grpc_token_file = 'x' }]\n",
            "a.toml:2: node.endpoints.0.grpc_token_file is set without grpc",
        ),
        (
            "[dashboard]\nlisten = '0.0.0.0:80'\n",
            "a.toml:2: dashboard.listen is reachable from other machines",
        ),
        ("[log]\nlevel = 'loud'\n", "a.toml:2: log.level is not a log level"),
        ("[store]\ndata_dir = ''\n", "a.toml:2: store.data_dir is empty"),
        (
            "[trading.live]\norder_value_cap_usd = 5\n",
            "a.toml:1: trading.live.exposure_cap_usd is not set",
        ),
        (
            "[strategies.trend]\nbudget_usd = 0\n",
            "a.toml:2: strategies.trend.budget_usd is not an amount",
        ),
        (
            "[strategies.trend.params]\nfast = 200\n",
            "a.toml:2: strategies.trend.params.fast must be below slow",
        ),
        ("[strategies.trend.params]\nfsat = 2\n", "a.toml:2:1: unknown field `fsat`"),
        (
            "[strategies.trend.params]\nslippage = 10001\n",
            "a.toml:2:12: a share in basis points is at most 10000",
        ),
        (
            "[strategies.arbitrage.params]\nshare = 2\n",
            "a.toml:2: strategies.arbitrage.params.share must be above 0",
        ),
        ("[strategies.grid]\nenabled = true\n", "a.toml:1:13: unknown field `grid`"),
    ] {
        let message = refusal(text, &[]);
        assert!(message.starts_with(expected), "{text}\n  gave {message}\n  want {expected}");
        assert!(!message.contains('\n'), "one line: {message}");
    }
}

#[test]
fn new_pools_are_traded_only_when_somebody_says_so_and_then_by_every_program_unless_told() {
    let folder = TempDir::new().unwrap();
    let read = |text: &str| Config::load(&sources(&folder, text, &[])).unwrap();
    let off = read("");
    assert!(
        !off.engine(None).strategies.iter().any(|one| matches!(one.kind, StrategyKind::NewPool(_)))
    );
    let on = read(
        "[strategies.new_pool]\nenabled = true\n[strategies.new_pool.params]\nladder = [{ gain = 5000, share = 5000 }]\n",
    );
    let running = on.engine(None).strategies;
    let params = running.iter().find_map(|one| match &one.kind {
        StrategyKind::NewPool(params) => Some(params),
        _ => None,
    });
    assert_eq!(params.unwrap().ladder.len(), 1);
    assert_eq!(on.trading.launch_programs, sniper_core::launch::Program::ALL);
    let one = read("[trading]\nlaunch_programs = ['raydium_cpmm']\n");
    assert_eq!(one.trading.launch_programs, [sniper_core::launch::Program::Cpmm]);
}

#[test]
fn each_fault_of_a_variable_names_the_variable() {
    for (name, value, expected) in [
        ("SNIPERFORGE__RISK__NONE", "1", "SNIPERFORGE__RISK__NONE: unknown key `none`"),
        ("SNIPERFORGE__RISK", "1", "SNIPERFORGE__RISK: invalid value"),
        ("SNIPERFORGE__", "1", "SNIPERFORGE__: is not a key"),
        (
            "SNIPERFORGE__RISK__OPEN_ORDERS",
            "many",
            "SNIPERFORGE__RISK__OPEN_ORDERS: invalid value, expected i64",
        ),
        (
            "SNIPERFORGE__RISK__OPEN_ORDERS",
            "0",
            "SNIPERFORGE__RISK__OPEN_ORDERS: risk.open_orders is 0;",
        ),
        (
            "SNIPERFORGE__TRADING__POOLS",
            "['x']",
            "SNIPERFORGE__TRADING__POOLS: trading.pools.0 is not a Solana address",
        ),
    ] {
        let message = refusal("", &[(name, value)]);
        assert!(message.starts_with(expected), "{name}={value}\n  gave {message}");
    }
}

#[test]
fn no_refusal_and_no_page_repeats_a_url_or_a_text() {
    const SECRET: &str = "https://user:hunter2@node.example/?api-key=hunter2";
    for text in [
        format!("[node]\nendpoints = '{SECRET}'\n"),
        format!("[node]\nendpoints = [{{ name = '{SECRET}', http = 'http://x' }}]\n"),
        format!("[node]\nendpoints = [{{ name = 'a', http = 'ftp{SECRET}' }}]\n"),
        format!("[node]\nendpoints = [{{ name = 'a', http = 'http://x', ws = '{SECRET}' }}]\n"),
        format!(
            "[node]\nendpoints = [{{ name = 'a', http = '{SECRET}', requests_per_second = '{SECRET}' }}]\n"
        ),
        format!("[node]\nendpoints = [{{ name = 'a', http = 'http://x', grpc = '{SECRET}' }}]\n"),
        format!("[risk]\nopen_orders = '{SECRET}'\n"),
        format!("[wallet]\npublic_key = '{SECRET}'\n"),
        format!("[node]\nendpoints = [{{ name = 'a', http = '{SECRET}' }}\n"),
    ] {
        let message = refusal(&text, &[]);
        assert!(!message.contains("hunter2"), "{text} gave {message}");
    }
    let message = refusal("", &[("SNIPERFORGE__NODE__ENDPOINTS", SECRET)]);
    assert!(!message.contains("hunter2"), "{message}");

    let folder = TempDir::new().unwrap();
    let text = format!("[node]\nendpoints = [{{ name = 'a', http = '{SECRET}' }}]\n");
    let sources = sources(&folder, &text, &[]);
    let layers = Layers::read(&sources).unwrap();
    assert!(
        !to_toml(&layers).contains("hunter2") && to_toml(&layers).contains("https://<redacted>")
    );
    assert!(!to_json(&layers).to_string().contains("hunter2"));
    let config = Config::load(&sources).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_eq!(&**config.node.endpoints[0].name(), "a");
}

#[test]
fn a_collector_is_taken_by_builds_that_can_and_holds_no_secret() {
    let with = |address: &str| format!("[performance]\notlp = '{address}'\notlp_every_ms = 1000\n");
    for address in [
        "127.0.0.1:4318",
        "ftp://127.0.0.1",
        "http://",
        "http://s3cr3t@x:4318",
        "http://a:s3cr3t@x:4318",
        "http://x:4318/?key=s3cr3t",
        "http://x:4318/#s3cr3t",
    ] {
        let message = refusal(&with(address), &[]);
        assert!(
            message.contains("performance.otlp is not the address of a collector"),
            "{message}"
        );
        assert!(!message.contains("s3cr3t"), "{message}");
    }
    assert!(refusal("[performance]\notlp_every_ms = 1\n", &[]).contains("otlp_every_ms is 1"));
    let good = with("http://127.0.0.1:4318/");
    if cfg!(feature = "otel") {
        let folder = TempDir::new().unwrap();
        let otlp = Config::load(&sources(&folder, &good, &[])).unwrap().performance.otlp.unwrap();
        assert_eq!(otlp.endpoint, "http://127.0.0.1:4318");
        assert_eq!(otlp.every, Duration::from_secs(1));
    } else {
        assert!(refusal(&good, &[]).contains("--features otel"));
    }
}

#[cfg(not(feature = "yellowstone"))]
#[test]
fn a_stream_that_this_build_cannot_listen_to_is_refused_and_not_passed_over() {
    let text = "[[node.endpoints]]\nname = 'a'\nhttp = 'http://x'\ngrpc = 'https://x:443'\n";
    let message = refusal(text, &[]);
    assert!(message.contains("node.endpoints.0.grpc is set, and this build cannot"), "{message}");
    assert!(message.contains("--features yellowstone"), "{message}");
}

#[cfg(feature = "yellowstone")]
#[test]
fn a_stream_and_its_token_are_taken_and_what_is_wrong_with_them_is_said_without_them() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("token");
    let with = |address: &str| {
        let path = path.display();
        format!(
            "[[node.endpoints]]\nname = 'a'\nhttp = 'http://x'\ngrpc = '{address}'\ngrpc_token_file = '{path}'\n"
        )
    };
    let good = with("https://s3cr3t.example:443");
    assert!(refusal(&good, &[]).contains("grpc_token_file cannot be read"));
    std::fs::write(&path, "t0ken-of-mine\n").unwrap();
    let mode = |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    mode(0o640);
    assert!(refusal(&good, &[]).contains("is open to others (mode 640): chmod 600 it"));
    mode(0o600);
    let config = Config::load(&sources(&folder, &good, &[])).unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains("t0ken") && !shown.contains("s3cr3t"), "{shown}");
    assert!(config.node.endpoints[0].has_grpc());
    for (address, token, expected) in [
        ("wss://s3cr3t.example", "t0ken", "grpc cannot be used"),
        ("https://s3cr3t.example/t0ken", "t0ken", "a token belongs into grpc_token_file"),
        ("https://s3cr3t.example", "t0ken two", "its token is not one word"),
        ("https://s3cr3t.example", "", "its token is not one word"),
    ] {
        std::fs::write(&path, token).unwrap();
        let message = refusal(&with(address), &[]);
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("s3cr3t") && !message.contains("t0ken "), "{message}");
    }
}

#[test]
fn what_is_shown_can_be_read_back() {
    let layers = Layers::read(&Sources::default()).unwrap();
    let read: raw::RawConfig = toml::from_str(&to_toml(&layers)).unwrap();
    let folder = TempDir::new().unwrap();
    let again = Config::load(&sources(&folder, &to_toml(&layers), &[])).unwrap();
    assert_eq!(format!("{again:?}"), format!("{:?}", Config::load(&Sources::default()).unwrap()));
    assert_eq!(read.risk.open_orders, Some(16));
}

#[test]
fn live_trading_needs_chain_key_and_caps_and_never_loosens_a_limit() {
    let folder = TempDir::new().unwrap();
    let hash = "genesis_hash = '5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d'";
    let key = "public_key = 'So11111111111111111111111111111111111111112'";
    let caps = "order_value_cap_usd = 20\nexposure_cap_usd = 100\ndaily_loss_usd = 1000";
    let load = |text: String| Config::load(&sources(&folder, &text, &[])).unwrap();
    for (text, missing) in [
        (String::new(), "node.genesis_hash"),
        (format!("[node]\n{hash}"), "wallet.public_key"),
        (format!("[node]\n{hash}\n[wallet]\n{key}"), "trading.live"),
    ] {
        let message = load(text).require_armed().expect_err(missing).to_string();
        assert!(message.starts_with(&format!("{missing} is not set")), "{message}");
    }
    let config = load(format!("[node]\n{hash}\n[wallet]\n{key}\n[trading.live]\n{caps}"));
    let armed = config.require_armed().unwrap();
    let limits = config.limits(Some(&armed));
    assert_eq!(limits.order_value_max, Usd::dollars(20));
    assert_eq!(
        (limits.exposure_max, limits.position_value_max),
        (Usd::dollars(100), Usd::dollars(100))
    );
    assert_eq!(limits.daily_loss_max, Usd::dollars(25), "the lower of both");
    limits.check().unwrap();
    assert_eq!(config.limits(None), Limits::default());
}

#[test]
fn a_new_file_is_whole_private_and_never_replaces_another() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("new.toml");
    write_new(&path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), template());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(&path, "mine").unwrap();
    assert!(matches!(write_new(&path), Err(ConfigError::Exists { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    assert!(matches!(
        write_new(&folder.path().join("none/x.toml")),
        Err(ConfigError::Unwritable { .. })
    ));
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing half written is left behind"
    );
}

#[test]
fn a_parameter_alone_keeps_the_others_and_a_strategy_switched_off_is_not_enrolled() {
    let folder = TempDir::new().unwrap();
    let text = "[strategies.trend.params]\nfast = 12\n[strategies.momentum]\nenabled = false\n";
    let engine = Config::load(&sources(&folder, text, &[])).unwrap().engine(None);
    let expected = trend::Params { fast: 12, ..trend::Params::default() };
    assert_eq!(engine.strategies[0].kind, StrategyKind::Trend(expected));
    assert_eq!(engine.strategies.len(), 3);
}

#[test]
fn others_take_part_in_orders_only_when_somebody_says_so_and_within_what_was_said() {
    let folder = tempfile::tempdir().unwrap();
    let load = |text: &str| Config::load(&sources(&folder, text, &[]));
    let none = load("").unwrap();
    assert!(none.jupiter.is_none() && none.jito.is_none());
    assert_eq!(none.risk.tip.get(), 0, "nobody is tipped");
    let both = load(
        "[jupiter]\nuse = 'when_better'\nmargin_bps = 7\nkey_file = 'jup.key'\n\
         [jito]\nuse = 'bundle'\nendpoints = ['https://a.example/hunter2', 'https://b.example']\ntip_lamports = 5000",
    )
    .unwrap();
    let jupiter = both.jupiter.as_ref().unwrap();
    assert_eq!((jupiter.margin.get(), jupiter.wait.as_millis()), (7, 800));
    assert_eq!(jupiter.key_file.as_deref(), Some(std::path::Path::new("jup.key")));
    let jito = both.jito.as_ref().unwrap();
    assert_eq!((jito.endpoints.len(), both.risk.tip.get()), (2, 5_000));
    assert_eq!(both.engine(None).limits.tip.get(), 5_000, "review knows of it");
    assert!(!format!("{both:?}").contains("hunter2"));
    let with = |text: &str| refusal(text, &[]);
    for (text, key, words) in [
        ("[jupiter]\nuse = 'always'", "jupiter.use", "never or when_better"),
        ("[jupiter]\nuse = 'when_better'\nwait_ms = 1900", "jupiter.wait_ms", "order_ttl_ms"),
        ("[jupiter]\nurl = 'ftp://hunter2'", "jupiter.url", "https://"),
        ("[jito]\nuse = 'always'", "jito.use", "transaction or bundle"),
        ("[jito]\nuse = 'bundle'\nendpoints = []", "jito.endpoints", "name a block engine"),
        ("[jito]\nendpoints = ['https://a', 'https://a']", "jito.endpoints.1", "each once"),
        ("[jito]\ntip_lamports = 999", "jito.tip_lamports", "1000 to 1000000"),
        ("[jito]\ntip_lamports = 1000001", "jito.tip_lamports", "1000 to 1000000"),
        ("[jito]\ntip_cap_lamports = 200000000", "jito.tip_cap_lamports", "100000000"),
    ] {
        let refused = with(text);
        assert!(refused.contains(key) && refused.contains(words), "{text}: {refused}");
        assert!(!refused.contains("hunter2"), "{refused}");
    }
}
