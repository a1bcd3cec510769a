//! Where an endpoint streams, and the token it wants to see.

use std::fmt;

use yellowstone_grpc_proto::tonic::metadata::{Ascii, MetadataValue};

use super::SecretUrl;

/// Longest token: what a provider gives has some dozens of characters.
const TOKEN_MAX: usize = 1_024;

/// A Yellowstone stream. Neither the address nor the token is ever printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Grpc {
    url: SecretUrl,
    token: Option<MetadataValue<Ascii>>,
}

impl Grpc {
    pub(super) fn parse(address: &str, token: Option<&str>) -> Result<Self, &'static str> {
        let url = SecretUrl::parse(address, ["http", "https"])?;
        let plain = url.expose();
        if !matches!(plain.path(), "" | "/") || plain.query().is_some() {
            return Err("it goes on after the host and port; a token belongs into grpc_token_file");
        }
        if !plain.username().is_empty() || plain.password().is_some() {
            return Err("it names a user; a token belongs into grpc_token_file");
        }
        Ok(Self { url, token: token.map(parse_token).transpose()? })
    }

    pub(crate) const fn url(&self) -> &SecretUrl {
        &self.url
    }

    /// What goes into every call's `x-token`.
    pub(crate) const fn token(&self) -> Option<&MetadataValue<Ascii>> {
        self.token.as_ref()
    }
}

impl fmt::Debug for Grpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<hidden>")
    }
}

fn parse_token(text: &str) -> Result<MetadataValue<Ascii>, &'static str> {
    let is_word = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.is_empty() || text.len() > TOKEN_MAX || !is_word {
        return Err("its token is not one word of letters, digits and signs");
    }
    let mut token = MetadataValue::try_from(text).map_err(|_| "its token cannot be sent")?;
    token.set_sensitive(true);
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_never_printed_and_what_is_broken_never_repeated() {
        let good = Grpc::parse("https://s3cr3t.example:443/", Some("t0ken-x")).unwrap();
        let shown = format!("{good:?} {:?} {:?}", good.url(), good.token());
        assert!(!shown.contains("s3cr3t") && !shown.contains("t0ken"), "{shown}");
        assert_eq!(good.token().unwrap(), "t0ken-x");
        for token in ["", "two words", "line\n", "caf\u{e9}", &"x".repeat(TOKEN_MAX + 1)] {
            let problem = Grpc::parse("https://a.example/", Some(token)).unwrap_err();
            assert!(problem.contains("token") && (token.is_empty() || !problem.contains(token)));
        }
        let user = "https://us3r@a.example/";
        for address in ["wss://a.example/", "a.example:443", "", user, "https://a.example/t0ken"] {
            let problem = Grpc::parse(address, None).unwrap_err();
            assert!(!problem.contains("us3r") && !problem.contains("t0ken"), "{problem}");
        }
    }
}
