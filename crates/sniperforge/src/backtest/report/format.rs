//! Numbers as people read them. What is absent is a dash, never a zero.

const ABSENT: &str = "\u{2013}";

/// A fraction as percent.
pub(crate) fn percent(value: Option<f64>) -> String {
    value.map_or_else(
        || ABSENT.to_owned(),
        |v| {
            let shown = v * 100.0;
            let places = if shown.abs() >= 1_000.0 {
                0
            } else if shown.abs() >= 100.0 {
                1
            } else {
                2
            };
            format!("{} %", grouped(shown, places))
        },
    )
}

/// A ratio.
pub(crate) fn factor(value: Option<f64>) -> String {
    value.map_or_else(|| ABSENT.to_owned(), |v| grouped(v, 2))
}

/// Dollars.
pub(crate) fn dollars(value: Option<f64>) -> String {
    value.map_or_else(
        || ABSENT.to_owned(),
        |v| {
            let sign = if v < 0.0 { "-" } else { "" };
            format!("{sign}${}", grouped(v.abs(), 2))
        },
    )
}

/// A number with `places` decimals and a comma between thousands.
pub(crate) fn grouped(value: f64, places: usize) -> String {
    let text = format!("{:.places$}", value.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut out = String::with_capacity(text.len() + text.len() / 3 + 1);
    // What rounds to zero has no sign.
    if value < 0.0 && text.bytes().any(|b| (b'1'..=b'9').contains(&b)) {
        out.push('-');
    }
    for (nth, digit) in whole.chars().enumerate() {
        if nth > 0 && (whole.len() - nth) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_absent_ones_are_a_dash() {
        assert_eq!(grouped(1_234_567.891, 2), "1,234,567.89");
        assert_eq!(grouped(-999.5, 0), "-1,000");
        assert_eq!(grouped(-0.001, 2), "0.00");
        assert_eq!(percent(Some(-0.1234)), "-12.34 %");
        assert_eq!(percent(Some(58.0)), "5,800 %");
        assert_eq!(dollars(Some(-1_050.0)), "-$1,050.00");
        assert_eq!([percent(None), factor(None), dollars(None)], ["\u{2013}"; 3]);
    }
}
