//! A Chromium without a window, driven over its DevTools pipe: no port, no driver, nothing to install beside it.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
];

/// What a page says only when something is wrong with it.
const COMPLAINTS: [&str; 3] =
    ["Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"];

/// A browser with one page open. It ends with the value.
pub(crate) struct Chromium {
    child: Child,
    to: File,
    from: BufReader<File>,
    session: String,
    last_id: u64,
    /// What the page complained about: exceptions, and messages of the log and the console.
    pub(crate) complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Chromium {
    /// Starts a browser; `None` where there is none.
    pub(crate) fn start() -> Option<Self> {
        let present = |name: &&str| {
            let out = Command::new(name).arg("--version").stderr(Stdio::null()).output();
            out.is_ok_and(|out| out.status.success())
        };
        let name = NAMES.into_iter().find(present)?;
        let profile = tempfile::tempdir().unwrap();
        let (to, from) = (profile.path().join("to"), profile.path().join("from"));
        assert!(Command::new("mkfifo").args([&to, &from]).status().unwrap().success());
        // The browser reads commands on descriptor 3 and answers on 4. A shell opens both ends at once, so that
        // neither side waits for the other to open first.
        let script = "to=$1; from=$2; shift 2; exec \"$@\" 3<>\"$to\" 4<>\"$from\"";
        let child = Command::new("sh")
            .args(["-c", script, "sh"])
            .args([to.as_os_str(), from.as_os_str(), name.as_ref()])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
            .arg("about:blank")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let to = OpenOptions::new().write(true).open(to).unwrap();
        let from = BufReader::new(File::open(from).unwrap());
        let mut browser = Self {
            child,
            to,
            from,
            session: String::new(),
            last_id: 0,
            complaints: Vec::new(),
            _profile: profile,
        };
        browser.open_page();
        Some(browser)
    }

    fn open_page(&mut self) {
        let target = self.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = self.call("Target.attachToTarget", attach);
        self.session = session["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log"] {
            self.call(&format!("{domain}.enable"), json!({}));
        }
    }

    /// Sends one command and waits for its answer; what the page says meanwhile is kept.
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let mut command = json!({"id": id, "method": method, "params": parameters});
        if !self.session.is_empty() {
            command["sessionId"] = self.session.clone().into();
        }
        self.to.write_all(format!("{command}\0").as_bytes()).unwrap();
        loop {
            let mut bytes = Vec::new();
            self.from.read_until(0, &mut bytes).unwrap();
            assert_eq!(bytes.pop(), Some(0), "the browser ended during {method}");
            let message: Value = serde_json::from_slice(&bytes).unwrap();
            if message["id"] == id {
                assert!(message.get("error").is_none(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            let method = message["method"].as_str().unwrap_or_default();
            if COMPLAINTS.contains(&method) {
                self.complaints.push(message["params"].to_string());
            }
        }
    }

    /// A screen of this size and scheme.
    pub(crate) fn screen(&mut self, width: u32, height: u32, dark: bool) {
        let mobile = width < 640;
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.call("Emulation.setDeviceMetricsOverride", size);
        let scheme = if dark { "dark" } else { "light" };
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.call("Emulation.setEmulatedMedia", json!({"features": [feature]}));
    }

    pub(crate) fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": url}));
        self.until("document.readyState === 'complete'", Duration::from_secs(20));
    }

    /// The value of a script.
    pub(crate) fn eval(&mut self, script: &str) -> Value {
        let parameters = json!({"expression": script, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", parameters);
        assert!(answer.get("exceptionDetails").is_none(), "{script}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until a script tells true.
    pub(crate) fn until(&mut self, script: &str, longest: Duration) {
        let began = Instant::now();
        while self.eval(script) != true {
            if began.elapsed() > longest {
                let text = self.eval("document.body.innerText");
                panic!("not within {longest:?}: {script}\n{}", text.as_str().unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(40));
        }
    }

    /// Writes a picture of the whole page, or of its first `height` pixels.
    pub(crate) fn picture(&mut self, width: u32, height: Option<u32>, file: &Path) {
        let full = self.eval("Math.ceil(document.documentElement.getBoundingClientRect().height)");
        let height = height.map_or(full, Value::from);
        let clip = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
        let parameters = json!({"format": "png", "clip": clip, "captureBeyondViewport": true});
        let answer = self.call("Page.captureScreenshot", parameters);
        std::fs::write(file, unbase64(answer["data"].as_str().unwrap())).unwrap();
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Bytes of standard base64.
fn unbase64(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => u32::from(c - b'A'),
        b'a'..=b'z' => u32::from(c - b'a') + 26,
        b'0'..=b'9' => u32::from(c - b'0') + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("{other} is not base64"),
    };
    let digits: Vec<u32> = text.trim_end_matches('=').bytes().map(value).collect();
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for four in digits.chunks(4) {
        let word = four.iter().fold(0, |word, digit| word << 6 | digit) << (6 * (4 - four.len()));
        bytes.extend(word.to_be_bytes().into_iter().skip(1).take(four.len() - 1));
    }
    bytes
}
