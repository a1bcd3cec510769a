//! The binary as a script sees it: what it prints where, and the code it ends with.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// Runs the binary in `folder` with only these variables, and no terminal to ask at.
fn run(folder: &Path, args: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sniperforge"))
        .args(args)
        .current_dir(folder)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// One message, on standard error alone, with this code and these words.
#[track_caller]
fn refused(output: &Output, expected: i32, words: &[&str]) {
    let message = stderr(output);
    assert_eq!(code(output), expected, "{message}");
    assert_eq!(stdout(output), "", "nothing goes to standard output");
    assert_eq!(message.lines().count(), 1, "one message: {message}");
    for word in words {
        assert!(message.contains(word), "{word:?} is missing in {message}");
    }
}

#[test]
fn help_and_version_are_answers_and_a_wrong_command_line_is_not() {
    let folder = TempDir::new().unwrap();
    let help = run(folder.path(), &["--help"], &[]);
    assert_eq!(code(&help), 0);
    for command in [
        "demo",
        "trade",
        "backtest",
        "replay",
        "localnet",
        "verify",
        "wallet",
        "new-config",
        "show-config",
        "doctor",
    ] {
        assert!(stdout(&help).contains(command), "{command}");
    }
    assert_eq!(code(&run(folder.path(), &["--version"], &[])), 0);
    for args in [
        &[][..],
        &["frob"],
        &["trade", "--for", "5"],
        &["replay"],
        &["demo", "--headless", "--port", "1"],
    ] {
        let output = run(folder.path(), args, &[]);
        assert_eq!((code(&output), stdout(&output)), (2, String::new()), "{args:?}");
    }
    refused(&run(folder.path(), &["replay", "x", "-c", "y"], &[]), 2, &["leave out -c"]);
    refused(&run(folder.path(), &["doctor", "--log-level", "a=b=c"], &[]), 2, &[]);
}

#[test]
fn a_new_configuration_is_written_once_and_holds_the_defaults() {
    let folder = TempDir::new().unwrap();
    let written = run(folder.path(), &["new-config", "--json"], &[]);
    assert_eq!(code(&written), 0, "{}", stderr(&written));
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&written.stdout).unwrap()["written"],
        "sniperforge.toml"
    );
    refused(&run(folder.path(), &["new-config"], &[]), 4, &["sniperforge.toml", "already exists"]);
    refused(
        &run(folder.path(), &["new-config", "none/x.toml"], &[]),
        4,
        &["none/x.toml", "cannot write"],
    );

    let values = |args: &[&str]| {
        let shown = run(folder.path(), args, &[]);
        assert_eq!(code(&shown), 0, "{}", stderr(&shown));
        let mut shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
        (shown["values"].take(), shown["sources"].take())
    };
    let (defaults, _) = values(&["show-config", "--json"]);
    let (mut read, sources) = values(&["show-config", "--json", "-c", "sniperforge.toml"]);
    assert_eq!(read["prices"]["url"], "https://<redacted>", "what a person wrote may hold a key");
    for (table, key) in [("prices", "url"), ("jupiter", "url"), ("jito", "endpoints")] {
        read[table][key] = defaults[table][key].clone();
    }
    assert_eq!(read, defaults);
    assert!(
        sources["risk.open_orders"].as_str().unwrap().starts_with("sniperforge.toml:"),
        "{sources}"
    );
    assert_eq!(defaults["risk"]["order_value_cap_usd"], 50);
}

#[test]
fn a_configuration_that_cannot_be_used_ends_every_command_with_code_4() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("bad.toml"), "[risk]\nopen_orders = 0\n").unwrap();
    std::fs::write(folder.path().join("typo.toml"), "[risk]\nopen_order = 5\n").unwrap();
    for command in [&["trade"][..], &["show-config"], &["doctor"], &["status"], &["wallet", "show"]]
    {
        let with = |file: &str| run(folder.path(), &[command, &["-c", file]].concat(), &[]);
        refused(&with("none.toml"), 4, &["none.toml", "new-config"]);
        refused(&with("bad.toml"), 4, &["bad.toml:2", "risk.open_orders is 0", "from 1 to 256"]);
        refused(&with("typo.toml"), 4, &["typo.toml:2:1", "open_order"]);
        let variable = ("SNIPERFORGE__RISK__OPEN_ORDERS", "0");
        refused(&run(folder.path(), command, &[variable]), 4, &[variable.0, "from 1 to 256"]);
    }
}

#[test]
fn trading_without_a_market_or_live_without_arming_says_which_key_is_missing() {
    let folder = TempDir::new().unwrap();
    refused(&run(folder.path(), &["trade"], &[]), 4, &["node.endpoints is not set"]);
    let node = "[node]\nendpoints = [{ name = 'a', http = 'http://127.0.0.1:1/' }]\n";
    std::fs::write(folder.path().join("a.toml"), node).unwrap();
    refused(&run(folder.path(), &["trade", "-c", "a.toml"], &[]), 4, &["trading.pools is not set"]);
    let pools = "[trading]\npools = ['So11111111111111111111111111111111111111112']\n";
    std::fs::write(folder.path().join("b.toml"), pools).unwrap();
    let live = run(folder.path(), &["trade", "--live", "-c", "a.toml", "-c", "b.toml"], &[]);
    refused(&live, 4, &["node.genesis_hash is not set"]);
    assert!(!folder.path().join("data").exists(), "nothing half written");
}

#[test]
fn a_key_is_made_shown_and_never_replaced_and_a_wrong_passphrase_is_told() {
    let folder = TempDir::new().unwrap();
    let secret = |name: &str, text: &str, mode: u32| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    secret("right", "correct horse battery staple\n", 0o600);
    secret("wrong", "another horse battery staple\n", 0o600);
    secret("open", "correct horse battery staple\n", 0o644);
    let wallet = |what: &str, file: &str| {
        run(folder.path(), &["wallet", what, "--json", "--passphrase-file", file], &[])
    };
    let made = wallet("new", "right");
    assert_eq!(code(&made), 0, "{}", stderr(&made));
    let shown = wallet("show", "right");
    assert_eq!(code(&shown), 0, "{}", stderr(&shown));
    assert_eq!(stdout(&made), stdout(&shown));
    refused(&wallet("new", "right"), 1, &["wallet.age"]);
    refused(&wallet("show", "wrong"), 1, &["passphrase"]);
    refused(&wallet("show", "open"), 1, &["chmod 600"]);
    refused(&run(folder.path(), &["wallet", "show"], &[]), 1, &["no terminal"]);
    assert_eq!(
        std::fs::metadata(folder.path().join("wallet.age")).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn the_doctor_tells_an_endpoint_that_is_not_solana_and_never_its_address() {
    let folder = TempDir::new().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // A web server that knows nothing of Solana.
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            if stream.read(&mut request).is_ok() {
                stream
                    .write_all(
                        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
                    )
                    .ok();
            }
        }
    });
    let node = format!(
        "[node]\nendpoints = [{{ name = 'web', http = 'http://127.0.0.1:{port}/hunter2' }}]\n"
    );
    std::fs::write(folder.path().join("a.toml"), node).unwrap();
    let output = run(folder.path(), &["doctor", "--json", "-c", "a.toml"], &[]);
    assert_eq!(code(&output), 6, "{}", stderr(&output));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let check = found["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["name"] == "endpoint web")
        .unwrap();
    assert_eq!((&check["ok"], &found["ok"]), (&false.into(), &false.into()));
    assert!(check["detail"].as_str().unwrap().contains("not a Solana"), "{check}");
    assert!(!stdout(&output).contains("hunter2") && !stderr(&output).contains("hunter2"));
    assert!(!stdout(&output).contains(&port.to_string()));
}

#[test]
fn the_doctor_tells_a_data_folder_that_cannot_be_made() {
    let folder = TempDir::new().unwrap();
    // A file where a folder should be: refused to root as well.
    std::fs::write(folder.path().join("file"), "").unwrap();
    let output =
        run(folder.path(), &["doctor", "--json"], &[("SNIPERFORGE__STORE__DATA_DIR", "file/data")]);
    assert_eq!(code(&output), 6);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let check = found["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["name"] == "data folder")
        .unwrap();
    assert_eq!(check["ok"], false, "{check}");
}

#[test]
fn where_nobody_listens_there_is_no_instance() {
    let folder = TempDir::new().unwrap();
    let free =
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    refused(&run(folder.path(), &["status", "--at", &free], &[]), 3, &[&free, "no instance"]);
}

/// Kills the process when the test ends, however it ends.
#[cfg(feature = "localnet")]
struct Running(std::process::Child);

#[cfg(feature = "localnet")]
impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).ok();
    }
}

#[cfg(feature = "localnet")]
#[test]
fn a_local_chain_says_where_it_is_is_ready_for_the_doctor_and_ends_with_its_parent() {
    use std::io::{BufRead, BufReader};
    let folder = TempDir::new().unwrap();
    let mut chain = Running(
        Command::new(env!("CARGO_BIN_EXE_sniperforge"))
            .args(["localnet", "--port", "0", "--until-stdin-closes", "--json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut line = String::new();
    BufReader::new(chain.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    let (url, pool) =
        (ready["rpcUrls"][0].as_str().unwrap(), ready["pools"][0]["address"].as_str().unwrap());
    let genesis = ready["genesisHash"].as_str().unwrap();

    let configured = |genesis: &str| {
        let text = format!(
            "[node]\ngenesis_hash = '{genesis}'\nendpoints = [{{ name = 'local', http = '{url}' }}]\n[trading]\npools = ['{pool}']\n"
        );
        std::fs::write(folder.path().join("a.toml"), text).unwrap();
        run(folder.path(), &["doctor", "-c", "a.toml"], &[])
    };
    let good = configured(genesis);
    assert_eq!(code(&good), 0, "{}{}", stdout(&good), stderr(&good));
    let other = configured("5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d");
    assert_eq!(code(&other), 6);
    assert!(stdout(&other).contains("wrong chain"), "{}", stdout(&other));

    let port = url.rsplit(':').next().unwrap();
    refused(&run(folder.path(), &["localnet", "--port", port], &[]), 1, &[port, "another port"]);

    drop(chain.0.stdin.take());
    assert!(chain.0.wait().unwrap().success(), "it ends by itself when its input closes");
}

#[test]
fn verify_tells_what_holds_what_does_not_and_what_nobody_looked_at() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    refused(&run(folder.path(), &["verify", "."], &[]), 1, &["no .json file"]);
    refused(&run(folder.path(), &["verify", "absent"], &[]), 1, &["absent"]);
    let unknown = r#"{"header":{"dex":"elsewhere","file":"swap","count":2},"vectors":[{"id":"a"},{"id":"b"}]}"#;
    write("deep/er/unknown.json", unknown);
    let output = run(folder.path(), &["verify", ".", "--json"], &[]);
    assert_eq!(code(&output), 0);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["files"], &report["cases"], &report["passed"], &report["skipped"]),
        (&1.into(), &2.into(), &0.into(), &2.into())
    );
    assert_eq!(report["by_group"]["elsewhere/swap"]["skipped"], 2);

    // A case that lacks its fields fails and names the first; a file that is no JSON fails as a file.
    let short = r#"{"header":{"dex":"raydium_cpmm","file":"pda","count":3},
        "vectors":[{"id":"x","inputs":{"program":"no"}}]}"#;
    write("short.json", short);
    write("torn.json", "{\"header\":");
    let output = run(folder.path(), &["verify", ".", "--json"], &[]);
    assert_eq!(code(&output), 6);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["failed"], 3, "the count, the case and the torn file: {report}");
    let fields: Vec<_> =
        report["failures"].as_array().unwrap().iter().map(|f| &f["field"]).collect();
    assert_eq!(fields, ["header.count", "program", "file"]);
    let text = stdout(&run(folder.path(), &["verify", "."], &[]));
    assert!(text.contains("FAILED raydium_cpmm/pda x: program: expected an address"), "{text}");
}

#[cfg(feature = "localnet")]
#[test]
fn a_fault_proxy_tells_what_it_did_never_the_node_and_refuses_a_script_that_means_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let node = ["--http", "http://127.0.0.1:1/secret", "--ws", "ws://127.0.0.1:1/secret"];
    let proxy = |more: &[&str]| {
        let args = ["fault-proxy"].into_iter().chain(node).chain(more.iter().copied());
        run(folder.path(), &args.collect::<Vec<_>>(), &[])
    };
    let script = folder.path().join("script.toml");
    std::fs::write(&script, "[[step]]\nfault = \"drop\"\nshare = 2\n").unwrap();
    let file = script.to_str().unwrap();
    refused(&proxy(&["--script", file]), 4, &["step 1", "share"]);
    std::fs::write(&script, "sead = 1\n").unwrap();
    refused(&proxy(&["--script", file]), 4, &["sead"]);
    refused(&proxy(&["--script", "no-such-file.toml"]), 4, &["no-such-file.toml"]);
    let unknown = proxy(&["--fault", "rain"]);
    assert_eq!((code(&unknown), stderr(&unknown).contains("gigantic")), (2, true));

    let done = proxy(&["--fault", "reset", "--share", "0.5", "--for", "200ms", "--json"]);
    assert_eq!(code(&done), 0, "{}", stderr(&done));
    let text = stdout(&done);
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines[0]["rpcUrls"][0].as_str().unwrap().starts_with("http://127.0.0.1:"), "{text}");
    assert!(lines[0]["wsUrls"][0].as_str().unwrap().starts_with("ws://127.0.0.1:"), "{text}");
    assert_eq!(lines[1]["requests"], 0, "{text}");
    let shown = proxy(&["--for", "100ms"]);
    for output in [&done, &shown] {
        assert!(!(stdout(output) + &stderr(output)).contains("secret"));
    }
}
