//! What may be written to a log: no secrets, no addresses that hold keys, nothing that steers a terminal.

use std::borrow::Cow;

/// Words that mark a field as secret wherever they stand in its name.
const SECRET_ANYWHERE: [&str; 8] = [
    "secret",
    "passphrase",
    "password",
    "private",
    "mnemonic",
    "authorization",
    "credential",
    "credentials",
];
/// Words that mark a field as secret when its name ends so: `rpc_url`, but not `token_account`.
const SECRET_LAST: [&str; 8] = ["url", "urls", "uri", "token", "tokens", "key", "keys", "cookie"];

/// Whether a field of this name must never be written: `url`, `token`, `key`, `passphrase` and their like.
///
/// A public key is named `address`, `pubkey` or `public_key`, and passes.
///
/// ```
/// use sniperforge::telemetry::is_secret_field;
/// assert!(is_secret_field("rpc_url") && is_secret_field("apiKey") && is_secret_field("key_bytes"));
/// assert!(!is_secret_field("token_account") && !is_secret_field("public_key"));
/// ```
#[must_use]
pub fn is_secret_field(name: &str) -> bool {
    let words = words(name);
    let (first, last) = (words.first(), words.last());
    let public = first.is_some_and(|word| word == "public");
    words.iter().any(|word| SECRET_ANYWHERE.contains(&word.as_str()))
        || first.is_some_and(|word| word == "key")
        || (!public && last.is_some_and(|word| SECRET_LAST.contains(&word.as_str())))
}

/// The lower-case words of `snake_case`, `camelCase`, `dotted.names` and `kebab-case`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for c in name.chars() {
        let new = !c.is_alphanumeric() || (c.is_uppercase() && after_lower);
        if new {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
        after_lower = c.is_lowercase() || c.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// `text` fit for a terminal and a page: addresses with a scheme cut to the scheme unless they are of this machine,
/// control and direction characters replaced, at most `chars_max` characters.
///
/// ```
/// use sniperforge::telemetry::safe_text;
/// assert_eq!(safe_text("get https://rpc.example/v1?api-key=abc: refused", 80), "get https://… refused");
/// assert_eq!(safe_text("page on http://127.0.0.1:8080/", 80), "page on http://127.0.0.1:8080/");
/// assert_eq!(safe_text("a\u{1b}[31mb\nc", 80), "a [31mb c");
/// ```
#[must_use]
pub fn safe_text(text: &str, chars_max: usize) -> String {
    // Cut first, with room for an address at the end, so that a huge value costs little. A cut only ever removes
    // the end of an address, never its scheme.
    let text: Cow<'_, str> = match text.char_indices().nth(chars_max.saturating_mul(4)) {
        Some((end, _)) => Cow::Borrowed(text.get(..end).unwrap_or_default()),
        None => Cow::Borrowed(text),
    };
    let hidden = hide_addresses(&text);
    let mut out = String::with_capacity(hidden.len().min(chars_max.saturating_mul(4)));
    let mut chars = hidden.chars();
    for c in chars.by_ref().take(chars_max) {
        out.push(if steers(c) { ' ' } else { c });
    }
    if chars.next().is_some() {
        out.pop();
        out.push('…');
    }
    out
}

/// Characters that move a cursor, hide text or turn its direction around.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Cuts `scheme://rest` to `scheme://…`, save for bare addresses of this machine, which hold no secret.
fn hide_addresses(text: &str) -> Cow<'_, str> {
    const MARK: &str = "://";
    if !text.contains(MARK) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(MARK) {
        out.push_str(before);
        out.push_str(MARK);
        let end = after.find(ends_address).unwrap_or(after.len());
        let (address, tail) = after.split_at(end);
        if is_bare_loopback(address) {
            out.push_str(address)
        } else {
            out.push('…')
        }
        rest = tail;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn ends_address(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | ')' | '}' | '`' | '|')
}

/// Whether `text` is an address of this machine and nothing else: it holds no secret, whatever its field is called.
pub(super) fn is_loopback_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, address)| {
        scheme.bytes().all(|b| b.is_ascii_alphabetic()) && is_bare_loopback(address)
    })
}

/// `127.0.0.1:8080` with nothing behind it but an optional slash.
fn is_bare_loopback(address: &str) -> bool {
    let address = address.strip_suffix('/').unwrap_or(address);
    let host = match address.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => address,
    };
    matches!(host, "127.0.0.1" | "localhost" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secret_fields_are_known_by_name_and_harmless_ones_pass() {
        for name in [
            "url",
            "rpc_url",
            "ws.url",
            "endpointUrl",
            "token",
            "auth_token",
            "api-key",
            "apiKey",
            "API_KEY",
            "key",
            "keys",
            "passphrase",
            "wallet_passphrase",
            "password_file",
            "secret_bytes",
            "private_key",
            "authorization",
            "key_material",
        ] {
            assert!(is_secret_field(name), "{name} would be written");
        }
        for name in [
            "slot",
            "token_account",
            "pubkey",
            "public_key",
            "monkey",
            "endpoint",
            "order",
            "message",
            "",
            "curl_code",
            "keystone",
            "token_program",
        ] {
            assert!(!is_secret_field(name), "{name} would be lost");
        }
    }

    #[test]
    fn an_address_that_may_hold_a_key_is_cut_in_every_form() {
        for (text, expected) in [
            ("wss://user:pw@127.0.0.1:8900/x", "wss://…"),
            ("(https://k.example/abc)", "(https://…)"),
            ("a=https://x/1 b=ws://y/2", "a=https://… b=ws://…"),
            ("\"url\":\"https://x/secret\"", "\"url\":\"https://…\""),
            ("http://127.0.0.1:8080/?key=1", "http://…"),
            ("http://[::1]:9/", "http://[::1]:9/"),
            ("http://localhost", "http://localhost"),
            ("http://127.0.0.1.evil.example/", "http://…"),
        ] {
            assert_eq!(safe_text(text, 200), expected, "{text}");
        }
    }

    #[test]
    fn only_a_bare_address_of_this_machine_passes_under_a_secret_name() {
        assert!(is_loopback_url("http://127.0.0.1:8080/") && is_loopback_url("ws://[::1]:9"));
        for text in [
            "http://127.0.0.1:8080/k",
            "http://k@localhost",
            "k http://localhost",
            "k",
            "http://rpc.example/",
        ] {
            assert!(!is_loopback_url(text), "{text}");
        }
    }

    #[test]
    fn a_huge_value_is_cut_at_a_character() {
        let cut = safe_text(&"ä".repeat(100_000), 10);
        assert_eq!(cut, format!("{}…", "ä".repeat(9)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_bounded_and_never_steers(text in any::<String>(), max in 1_usize..80) {
            let safe = safe_text(&text, max);
            prop_assert!(safe.chars().count() <= max);
            prop_assert!(!safe.chars().any(steers));
        }

        #[test]
        fn nothing_behind_a_foreign_scheme_is_written(
            before in "[a-z ]{0,20}", host in "[a-z]{3,9}\\.example", key in "[0-9A-F]{16}", max in 1_usize..120,
        ) {
            let safe = safe_text(&format!("{before} https://{host}/v2/{key}?api-key={key} end"), max);
            prop_assert!(!safe.contains(&key) && !safe.contains(&host), "{}", safe);
        }
    }
}
