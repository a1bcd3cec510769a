//! The Yellowstone stream of an endpoint, in builds that can listen to one.

use sniper_solana::rpc::EndpointConfig;

use super::raw::RawEndpoint;

/// A key of the endpoint, and what is wrong with it. Neither the address nor the token is in it.
pub(super) type Wrong = (&'static str, String);

/// The endpoint with the stream that was written for it, if any was.
pub(super) fn with_stream(
    endpoint: EndpointConfig,
    raw: &RawEndpoint,
) -> Result<EndpointConfig, Wrong> {
    match (raw.grpc.as_deref(), raw.grpc_token_file.as_deref()) {
        (None, None) => Ok(endpoint),
        (None, Some(_)) => {
            let problem = "is set without grpc; write the address of the stream, or take this out";
            Err(("grpc_token_file", problem.to_owned()))
        }
        (Some(address), file) => listen(endpoint, address, file),
    }
}

#[cfg(not(feature = "yellowstone"))]
fn listen(_: EndpointConfig, _: &str, _: Option<&str>) -> Result<EndpointConfig, Wrong> {
    let problem = "is set, and this build cannot listen to Yellowstone streams; build it with `cargo build --release \
                   --features yellowstone`, or take this out";
    Err(("grpc", problem.to_owned()))
}

#[cfg(feature = "yellowstone")]
fn listen(
    endpoint: EndpointConfig,
    address: &str,
    file: Option<&str>,
) -> Result<EndpointConfig, Wrong> {
    let token =
        file.map(token::read).transpose().map_err(|problem| ("grpc_token_file", problem))?;
    let token = token.as_deref().map(String::as_str);
    // In the client's own words, which hold no secret.
    let with = endpoint.with_grpc(address, token);
    with.map_err(|error| ("grpc", format!("cannot be used: {error}")))
}

#[cfg(feature = "yellowstone")]
mod token {
    use std::fs::File;
    use std::io::Read as _;
    use std::os::unix::fs::PermissionsExt as _;

    use zeroize::Zeroizing;

    /// Longest file.
    const BYTES_MAX: u64 = 4_096;

    /// The token in a file; one line end after it is dropped.
    pub(super) fn read(path: &str) -> Result<Zeroizing<String>, String> {
        let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
        // Asked before it is opened, as opening a pipe would wait for its writer.
        let found = std::fs::metadata(path).map_err(unreadable)?;
        let mode = found.permissions().mode() & 0o777;
        if !found.is_file() {
            return Err("is not a regular file".to_owned());
        }
        if mode & 0o077 != 0 {
            return Err(format!("is open to others (mode {mode:o}): chmod 600 it"));
        }
        let mut text = Zeroizing::new(String::with_capacity(4_096));
        let file = File::open(path).map_err(unreadable)?;
        file.take(BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
        let token = text.strip_suffix('\n').unwrap_or(&text);
        let token = token.strip_suffix('\r').unwrap_or(token);
        Ok(Zeroizing::new(token.to_owned()))
    }
}
