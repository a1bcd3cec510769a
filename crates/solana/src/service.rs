//! Services beside nodes: one request, one answer, over the HTTP of the endpoints.
//!
//! # Design
//! A service is asked for an opinion or a favour, never for the truth: whoever asks goes on without it. So nothing waits
//! for a place in its rate, nothing is repeated, answers have a size and a time, and an error says who, at what, and
//! whether it is worth asking again.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::http::{self, Unread};
use crate::rpc::wire::clean;
use crate::rpc::{ConnectError, EndpointName, SecretUrl};

/// A key that a service wants in a header. Nothing prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceKey(HeaderValue);

impl ServiceKey {
    /// A key, as it goes into a header.
    ///
    /// # Errors
    /// What is wrong with it, never the key.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.is_empty() {
            return Err("it is empty");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("it holds more than one word of visible characters");
        }
        let mut value = HeaderValue::from_str(text).map_err(|_| "it does not fit a header")?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<hidden>")
    }
}

/// A service as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceConfig {
    name: EndpointName,
    url: SecretUrl,
    key: Option<(HeaderName, ServiceKey)>,
    pace: Pace,
}

impl ServiceConfig {
    pub(crate) fn new(
        name: &str,
        url: &str,
        key: Option<(HeaderName, ServiceKey)>,
        pace: Pace,
    ) -> Result<Self, ConnectError> {
        let url = SecretUrl::parse(url, ["http", "https"]).map_err(|problem| {
            ConnectError::Address { endpoint: name.to_owned(), which: "http", problem }
        })?;
        Ok(Self { name: name.into(), url, key, pace })
    }

    /// Its name, for logs.
    #[must_use]
    pub fn name(&self) -> &EndpointName {
        &self.name
    }
}

/// How often a service may be asked: pure, time is handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    every: Duration,
    burst: u32,
    /// When the bucket will be full again.
    full: Option<Instant>,
}

impl Pace {
    /// One request every so often.
    pub(crate) const fn one_every(every: Duration) -> Self {
        Self { every, burst: 1, full: None }
    }

    /// At most `count` in any minute, and a sixth of them at once.
    pub(crate) fn per_minute(count: u32) -> Self {
        let burst = (count / 6).max(1);
        // A full bucket and what comes in during a minute are no more than the minute may have.
        let steady = count.saturating_sub(burst).max(1);
        let every = Duration::from_secs(60).checked_div(steady).unwrap_or(Duration::from_secs(60));
        Self { every, burst, full: None }
    }

    /// Takes one place, or says how long until there is one.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let full = self.full.map_or(now, |full| full.max(now));
        // Those that were taken and have not come back yet.
        let missing = full.saturating_duration_since(now);
        let room = self.every.saturating_mul(self.burst.saturating_sub(1));
        if let Some(wait) = missing.checked_sub(room).filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        self.full = full.checked_add(self.every);
        Ok(())
    }

    /// Nothing more for so long.
    fn hold(&mut self, now: Instant, pause: Duration) {
        let room = self.every.saturating_mul(self.burst.saturating_sub(1));
        let until = now.checked_add(pause.saturating_add(room));
        self.full = self.full.max(until);
    }
}

/// Why a service gave no usable answer. Nothing was decided by it, and nothing depends on it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// We have asked it as often as we may.
    #[error("{service}: {call}: not asked: its rate is used up for {wait:?}")]
    Paced {
        /// Which service.
        service: EndpointName,
        /// What was to be asked.
        call: &'static str,
        /// Until there is a place again.
        wait: Duration,
    },
    /// Nothing came back in time.
    #[error("{service}: {call}: no answer within {waited:?}")]
    Timeout {
        /// Which service.
        service: EndpointName,
        /// What was asked.
        call: &'static str,
        /// How long we waited.
        waited: Duration,
    },
    /// It wants fewer requests.
    #[error("{service}: {call}: rate limited")]
    RateLimited {
        /// Which service.
        service: EndpointName,
        /// What was asked.
        call: &'static str,
        /// How long it wants us to wait, where it said so.
        retry_after: Option<Duration>,
    },
    /// The connection failed.
    #[error("{service}: {call}: connection failed")]
    Transport {
        /// Which service.
        service: EndpointName,
        /// What was asked.
        call: &'static str,
        /// What the HTTP client says, its URL removed.
        #[source]
        source: reqwest::Error,
    },
    /// It said no.
    #[error("{service}: {call}: HTTP status {status}: {said}")]
    Refused {
        /// Which service.
        service: EndpointName,
        /// What was asked.
        call: &'static str,
        /// The status.
        status: u16,
        /// Its words, shortened and cleaned: for people, never for decisions.
        said: String,
    },
    /// The answer is larger than we read.
    #[error("{service}: {call}: answer of more than {limit} bytes")]
    TooLarge {
        /// Which service.
        service: EndpointName,
        /// What was asked.
        call: &'static str,
        /// Where we stopped.
        limit: usize,
    },
    /// The answer is not what the call gives.
    #[error("{service}: {call}: unreadable answer")]
    Decode {
        /// Which service.
        service: EndpointName,
        /// What was asked.
        call: &'static str,
        /// Where it stopped making sense.
        #[source]
        source: serde_json::Error,
    },
    /// The answer reads, but is none to what was asked.
    #[error("{service}: {call}: impossible answer: {what}")]
    Impossible {
        /// Which service.
        service: EndpointName,
        /// What was asked.
        call: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// One call: what it is named in errors, and what it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) within: Duration,
    pub(crate) answer_bytes: usize,
}

/// Longest pause that a service can ask for. It only shuts itself out.
const HOLD_MAX: Duration = Duration::from_secs(60);
/// Its pause where it names none.
const HOLD: Duration = Duration::from_secs(1);
/// Most of a refusal that is read.
const REFUSAL_BYTES: usize = 4 << 10;

/// A service; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: ServiceConfig,
    client: reqwest::Client,
    pace: Mutex<Pace>,
}

impl Service {
    pub(crate) fn new(config: ServiceConfig) -> Result<Self, ConnectError> {
        let roots = Arc::new(http::roots(config.url.is_tls()));
        let tls = http::tls(roots).map_err(|source| ConnectError::Tls { source })?;
        let client = http::client(tls).map_err(|source| ConnectError::Client {
            endpoint: config.name.to_string(),
            source: source.without_url(),
        })?;
        let pace = Mutex::new(config.pace.clone());
        Ok(Self { inner: Arc::new(Inner { config, client, pace }) })
    }

    pub(crate) fn name(&self) -> &EndpointName {
        &self.inner.config.name
    }

    pub(crate) fn impossible(&self, call: &'static str, what: &'static str) -> ServiceError {
        ServiceError::Impossible { service: self.name().clone(), call, what }
    }

    pub(crate) fn read<T: DeserializeOwned>(
        &self,
        call: &'static str,
        body: &[u8],
    ) -> Result<T, ServiceError> {
        let service = || self.name().clone();
        serde_json::from_slice(body).map_err(|source| ServiceError::Decode {
            service: service(),
            call,
            source,
        })
    }

    /// `GET` of `path` below the configured address.
    pub(crate) async fn get(
        &self,
        call: Call,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Bytes, ServiceError> {
        let mut url = self.url(path);
        url.query_pairs_mut().extend_pairs(query);
        self.ask(call, self.inner.client.get(url)).await
    }

    /// `POST` of a JSON document.
    pub(crate) async fn post(
        &self,
        call: Call,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, ServiceError> {
        let json = HeaderValue::from_static("application/json");
        let request = self.inner.client.post(self.url(path)).header(CONTENT_TYPE, json).body(body);
        self.ask(call, request).await
    }

    fn url(&self, path: &str) -> reqwest::Url {
        let mut url = self.inner.config.url.expose().clone();
        let below = format!("{}{path}", url.path().trim_end_matches('/'));
        url.set_path(&below);
        url
    }

    async fn ask(
        &self,
        call: Call,
        request: reqwest::RequestBuilder,
    ) -> Result<Bytes, ServiceError> {
        let service = || self.name().clone();
        let name = call.name;
        if let Err(wait) = self.pace().take(Instant::now()) {
            return Err(ServiceError::Paced { service: service(), call: name, wait });
        }
        let request = match &self.inner.config.key {
            Some((header, key)) => request.header(header.clone(), key.0.clone()),
            None => request,
        };
        let asked = tokio::time::timeout(call.within, self.exchange(call, request)).await;
        asked.unwrap_or_else(|_| {
            Err(ServiceError::Timeout { service: service(), call: name, waited: call.within })
        })
    }

    async fn exchange(
        &self,
        call: Call,
        request: reqwest::RequestBuilder,
    ) -> Result<Bytes, ServiceError> {
        let (service, name) = (|| self.name().clone(), call.name);
        let transport = |source: reqwest::Error| ServiceError::Transport {
            service: service(),
            call: name,
            source: source.without_url(),
        };
        let response = request.send().await.map_err(transport)?;
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS {
            let retry_after = response
                .headers()
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.parse().ok())
                .map(Duration::from_secs);
            let pause = retry_after.unwrap_or(HOLD).min(HOLD_MAX);
            self.pace().hold(Instant::now(), pause);
            return Err(ServiceError::RateLimited { service: service(), call: name, retry_after });
        }
        let is_good = status.is_success();
        let limit = if is_good { call.answer_bytes } else { REFUSAL_BYTES };
        let body = match http::body(response, limit).await {
            Ok(body) => body,
            // Of a refusal the status says enough.
            Err(_) if !is_good => Bytes::new(),
            Err(Unread::Broken(source)) => return Err(transport(source)),
            Err(Unread::TooLarge) => {
                return Err(ServiceError::TooLarge { service: service(), call: name, limit });
            }
        };
        if !is_good {
            let (status, said) = (status.as_u16(), said(&body));
            return Err(ServiceError::Refused { service: service(), call: name, status, said });
        }
        Ok(body)
    }

    fn pace(&self) -> std::sync::MutexGuard<'_, Pace> {
        // One instant: a panic elsewhere leaves it usable.
        self.inner.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The words of a refusal, whichever of the usual shapes it has.
fn said(body: &[u8]) -> String {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Refusal {
        error: Option<Words>,
        message: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        Plain(String),
        Told { message: String },
    }
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    let words = refusal.error.map(|words| match words {
        Words::Plain(message) | Words::Told { message } => message,
    });
    words.or(refusal.message).map_or_else(|| "no reason given".to_owned(), |words| clean(&words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_minute_has_more_than_it_may(
            count in 1_u32..200,
            steps in proptest::collection::vec(0_u64..4_000, 1..400),
        ) {
            let (mut pace, start) = (Pace::per_minute(count), Instant::now());
            let (mut now, mut taken) = (start, Vec::new());
            for step in steps {
                now += Duration::from_millis(step);
                if pace.take(now).is_ok() {
                    taken.push(now);
                }
            }
            prop_assert!(!taken.is_empty());
            for (nth, from) in taken.iter().enumerate() {
                let within = taken[nth..].iter().take_while(|at| **at - *from < Duration::from_secs(60));
                // A service that allows one a minute could not be asked at all otherwise.
                prop_assert!(within.count() <= usize::try_from(count).unwrap().max(2));
            }
        }
    }

    #[test]
    fn one_a_second_is_one_a_second_and_says_when_the_next_may_go() {
        let (mut pace, start) = (Pace::one_every(Duration::from_secs(1)), Instant::now());
        assert_eq!(pace.take(start), Ok(()));
        let later = start + Duration::from_millis(400);
        assert_eq!(pace.take(later), Err(Duration::from_millis(600)));
        assert_eq!(pace.take(start + Duration::from_secs(1)), Ok(()));
        pace.hold(start + Duration::from_secs(1), Duration::from_secs(5));
        assert!(pace.take(start + Duration::from_secs(5)).is_err());
        assert_eq!(pace.take(start + Duration::from_secs(6)), Ok(()));
    }

    #[test]
    fn a_key_is_never_shown_and_a_refusal_is_put_into_words() {
        let key = ServiceKey::new(" abc-123\n").unwrap();
        assert_eq!(format!("{key:?}"), "<hidden>");
        for (text, problem) in [("", "empty"), ("a b", "one word"), ("a\u{7f}", "one word")] {
            assert!(ServiceKey::new(text).unwrap_err().contains(problem), "{text:?}");
        }
        for (body, words) in [
            (r#"{"error":"no route","errorCode":"NO_ROUTES_FOUND"}"#, "no route"),
            (r#"{"error":{"code":-32602,"message":"bundle\nempty"}}"#, "bundle empty"),
            (r#"{"code":401,"message":"bad key"}"#, "bad key"),
            ("<html>", "no reason given"),
        ] {
            assert_eq!(said(body.as_bytes()), words);
        }
    }
}
