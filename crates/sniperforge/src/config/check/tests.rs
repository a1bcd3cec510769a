//! Amounts and addresses as people write them.

use super::*;
use proptest::prelude::*;

#[test]
fn what_is_not_a_decimal_number_of_dollars_is_refused() {
    for text in [
        "",
        "-",
        ".5",
        "1e3",
        "NaN",
        "inf",
        "1.2345678",
        "+1",
        "1.-5",
        "99999999999999999999",
        "1 ",
    ] {
        assert_eq!(parse_dollars(text), None, "{text:?}");
    }
    assert_eq!(parse_dollars("12.5"), Some(Usd::new(12_500_000)));
    assert_eq!(parse_dollars("1.5000000000"), Some(Usd::new(1_500_000)));
}

#[test]
fn a_pubsub_address_follows_from_the_http_address() {
    let ws = |http: &str| pubsub_of(&http.parse().unwrap()).map(String::from);
    assert_eq!(ws("http://127.0.0.1:8899/").as_deref(), Some("ws://127.0.0.1:8900/"));
    assert_eq!(ws("https://node.example/key").as_deref(), Some("wss://node.example/key"));
    assert_eq!(ws("http://127.0.0.1:65535/"), None);
}

proptest! {
    #[test]
    fn a_decimal_amount_is_read_to_the_last_millionth(micros in -1_000_000_000_000_000_i64..1_000_000_000_000_000) {
        let text = super::super::defaults::dollars(Usd::new(micros));
        prop_assert_eq!(parse_dollars(&text.0), Some(Usd::new(micros)));
    }
}
