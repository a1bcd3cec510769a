//! Dates of the Gregorian calendar, in UTC, from and to epoch milliseconds.
//!
//! The two conversions follow Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years start in March,
//! so that the leap day is the last of its year.

const DAY_MS: i64 = 86_400_000;

/// Year, month (1 to 12) and day (1 to 31) of a moment.
pub(crate) fn civil(ms: i64) -> (i64, u32, u32) {
    let days = ms.div_euclid(DAY_MS) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, u32::try_from(month).unwrap_or(1), u32::try_from(day).unwrap_or(1))
}

fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// `2023-04-01`.
pub(crate) fn date(ms: i64) -> String {
    let (year, month, day) = civil(ms);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `2023-04-01T12:00Z`.
pub(crate) fn date_time(ms: i64) -> String {
    let minutes = ms.rem_euclid(DAY_MS) / 60_000;
    format!("{}T{:02}:{:02}Z", date(ms), minutes / 60, minutes % 60)
}

/// Reads `2023-04-01`, `2023-04-01T12:00`, with or without `Z`; `None` when no such day exists.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (day, time) = match text.split_once(['T', ' ']) {
        Some((day, time)) => (day, Some(time)),
        None => (text, None),
    };
    let mut parts = day.splitn(3, '-');
    let mut part = |digits: usize| -> Option<i64> {
        let text = parts.next()?;
        (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then_some(())?;
        text.parse().ok()
    };
    let (year, month, day) = (part(4)?, part(2)?, part(2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let midnight = days(year, month, day).checked_mul(DAY_MS)?;
    // The thirty-first of June is the first of July: not what was written.
    let (_, same_month, same_day) = civil(midnight);
    if i64::from(same_month) != month || i64::from(same_day) != day {
        return None;
    }
    let minutes = match time {
        None => 0,
        Some(time) => {
            let (hour, minute) = time.split_once(':')?;
            let hour: u8 = hour.parse().ok().filter(|h| *h < 24)?;
            let minute: u8 = minute.parse().ok().filter(|m| *m < 60)?;
            i64::from(hour) * 60 + i64::from(minute)
        }
    };
    Some(midnight + minutes * 60_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_moments_read_and_print() {
        assert_eq!(parse("1970-01-01"), Some(0));
        assert_eq!(parse("2020-08-11T06:00Z"), Some(1_597_125_600_000));
        assert_eq!(parse("2024-02-29"), Some(1_709_164_800_000));
        assert_eq!(date_time(1_597_125_600_000), "2020-08-11T06:00Z");
        assert_eq!(date(-1), "1969-12-31");
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        for text in [
            "2023-02-29",
            "2023-06-31",
            "2023-13-01",
            "2023-00-10",
            "23-01-01",
            "2023-1-1",
            "2023-01-01T24:00",
            "2023-01-01T10:60",
            "2023-01-01T10",
            "yesterday",
            "",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_moment_reads_back_what_it_prints(minute in -30_000_000_i64..200_000_000) {
            prop_assert_eq!(parse(&date_time(minute * 60_000)), Some(minute * 60_000));
        }
    }
}
