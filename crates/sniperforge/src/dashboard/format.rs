//! Numbers as people read them. Money rounds against us: what we own down, what we pay up.

use sniper_core::units::Usd;

/// Digits in groups of three.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `$10,012.34`, rounded down.
pub(super) fn usd(value: Usd) -> String {
    let cents = value.get().div_euclid(10_000);
    decimal(cents, 2, "")
}

/// `$0.0008`, rounded up: what we paid.
pub(super) fn usd_paid(value: Usd) -> String {
    decimal(value.get().div_euclid(100) + i64::from(value.get().rem_euclid(100) > 0), 4, "")
}

/// `+$1.23` or `−$1.23`, rounded down; a plain `$0.00` for nothing.
pub(super) fn usd_change(value: Usd) -> String {
    decimal(value.get().div_euclid(10_000), 2, "+")
}

/// As [`usd_change`] to a hundredth of a cent.
pub(super) fn usd_change_fine(value: Usd) -> String {
    decimal(value.get().div_euclid(100), 4, "+")
}

/// `value` in units of 10^-`places` dollars.
fn decimal(value: i64, places: u32, plus: &str) -> String {
    let sign = match value {
        ..0 => "−",
        0 => "",
        1.. => plus,
    };
    let scale = 10_u64.pow(places);
    let (whole, part) = (value.unsigned_abs() / scale, value.unsigned_abs() % scale);
    format!("{sign}${}.{part:0width$}", count(whole), width = places as usize)
}

/// An axis label for micro-dollars: cents only where the step needs them.
pub(super) fn usd_axis(value: i128, step: i128) -> String {
    let sign = if value < 0 { "−" } else { "" };
    let cents = value.unsigned_abs() / 10_000;
    let whole = count(u64::try_from(cents / 100).unwrap_or(u64::MAX));
    if step % 1_000_000 == 0 {
        format!("{sign}${whole}")
    } else {
        format!("{sign}${whole}.{:02}", cents % 100)
    }
}

/// Hundredths of a percent as `1.25%`.
pub(super) fn percent(bps: u32) -> String {
    format!("{}.{:02}%", bps / 100, bps % 100)
}

/// `part` of `whole` as `+0.12%`, rounded down; empty where there is no whole.
pub(super) fn percent_change(part: Usd, whole: Usd) -> String {
    if whole.get() <= 0 {
        return String::new();
    }
    let bps = (i128::from(part.get()) * 10_000).div_euclid(i128::from(whole.get()));
    let sign = match bps {
        ..0 => "−",
        0 => "",
        1.. => "+",
    };
    format!("{sign}{}.{:02}%", bps.unsigned_abs() / 100, bps.unsigned_abs() % 100)
}

/// A time that was measured, in microseconds: `3.2 µs`, `1.24 ms`, `2.31 s`.
pub(super) fn latency(us: f64) -> String {
    match us {
        us if us < 1_000.0 => format!("{us:.1} µs"),
        us if us < 1_000_000.0 => format!("{:.2} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

/// An age in milliseconds: `340 ms`, `2.1 s`, `3 m 12 s`.
pub(super) fn age(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => duration(ms / 1_000),
    }
}

/// A long time in seconds, in its two greatest units: `1 h 05 m`.
pub(super) fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {:02} m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {:02} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// `1.4 MB`, in powers of ten, rounded up.
pub(super) fn bytes(value: u64) -> String {
    let tenths = |unit: u64| {
        let tenths = value.div_ceil(unit / 10);
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    match value {
        0..1_000 => format!("{value} B"),
        1_000..1_000_000 => format!("{} kB", tenths(1_000)),
        1_000_000..1_000_000_000 => format!("{} MB", tenths(1_000_000)),
        _ => format!("{} GB", tenths(1_000_000_000)),
    }
}

/// A decimal amount of tokens in groups of three, cut to about seven digits that matter. The exact amount is in JSON;
/// what is no plain number is left as it is.
pub(super) fn amount(text: &str) -> String {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let Some(value) = whole.parse::<u64>().ok().filter(|_| digits(whole) && digits(part)) else {
        return text.to_owned();
    };
    let kept = if value > 0 {
        7_usize.saturating_sub(whole.len()).max(2)
    } else {
        part.len() - part.trim_start_matches('0').len() + 6
    };
    let part = part.get(..kept).unwrap_or(part).trim_end_matches('0');
    if part.is_empty() { count(value) } else { format!("{}.{part}", count(value)) }
}

/// Both ends of a long name such as a signature or an address.
pub(super) fn short(name: &str) -> String {
    let length = name.chars().count();
    if length <= 12 {
        return name.to_owned();
    }
    let tail: String = name.chars().skip(length - 4).collect();
    format!("{}…{tail}", name.chars().take(4).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_grouped_signed_and_rounded_against_us() {
        assert_eq!(usd(Usd::new(10_012_349_999)), "$10,012.34");
        assert_eq!(usd(Usd::new(-1)), "−$0.01");
        assert_eq!(usd(Usd::new(i64::MIN)), "−$9,223,372,036,854.78");
        assert_eq!(usd_paid(Usd::new(749)), "$0.0008");
        assert_eq!(usd_change(Usd::new(1_239_999)), "+$1.23");
        assert_eq!(usd_change(Usd::new(-1_230_001)), "−$1.24");
        assert_eq!(usd_change(Usd::ZERO), "$0.00");
        assert_eq!(usd_change_fine(Usd::new(-3_100)), "−$0.0031");
        assert_eq!(usd_axis(10_000_000_000, 2_000_000), "$10,000");
        assert_eq!(usd_axis(-500_000, 500_000), "−$0.50");
    }

    #[test]
    fn shares_times_and_sizes_read_naturally() {
        assert_eq!(percent(125), "1.25%");
        assert_eq!(percent_change(Usd::new(-1), Usd::dollars(100)), "−0.01%");
        assert_eq!(percent_change(Usd::new(1), Usd::ZERO), "");
        assert_eq!(percent_change(Usd::MAX, Usd::new(1)), "+922337203685477580700.00%");
        assert_eq!(latency(3.2), "3.2 µs");
        assert_eq!(latency(1_240.0), "1.24 ms");
        assert_eq!(latency(2_310_000.0), "2.31 s");
        assert_eq!((age(340).as_str(), age(2_190).as_str()), ("340 ms", "2.1 s"));
        assert_eq!((age(192_000).as_str(), duration(3_900).as_str()), ("3 m 12 s", "1 h 05 m"));
        assert_eq!(duration(90_000), "1 d 01 h");
        assert_eq!((bytes(999).as_str(), bytes(1_400_001).as_str()), ("999 B", "1.5 MB"));
        assert_eq!((count(0).as_str(), count(1_234_567).as_str()), ("0", "1,234,567"));
    }

    #[test]
    fn an_amount_is_cut_where_it_stops_to_matter_and_never_rounded_up() {
        for (exact, shown) in [
            ("662165.66634", "662,165.66"),
            ("9.991201986", "9.991201"),
            ("0.592722946", "0.592722"),
            ("0.000018723", "0.000018723"),
            ("0.000000999999999", "0.000000999999"),
            ("12.5", "12.5"),
            ("0", "0"),
            ("1.0000000001", "1"),
            ("18446744073709551615", "18,446,744,073,709,551,615"),
            ("1,200.5", "1,200.5"),
            ("+1", "+1"),
            ("", ""),
            ("1.2é", "1.2é"),
        ] {
            assert_eq!(amount(exact), shown, "{exact}");
        }
    }

    #[test]
    fn a_long_name_keeps_both_ends_whatever_it_is_made_of() {
        assert_eq!(short("5KxAAAAAAAAAAAAAbcd9"), "5KxA…bcd9");
        assert_eq!(short("ääääääääääääääää"), "ääää…ääää");
        assert_eq!(short("abc"), "abc");
    }
}
