//! Points in time as text, in UTC (RFC 3339).

const NANOS: i64 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;

/// Year, month, day of a number of days since 1970-01-01, in the Gregorian calendar; the algorithm of Howard Hinnant's
/// `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// Whole seconds, for people: `2026-11-20 18:46:27Z`.
pub fn timestamp(nanos: i64) -> String {
    let seconds = nanos.div_euclid(NANOS);
    let (year, month, day) = civil(seconds.div_euclid(DAY_SECONDS));
    let of_day = seconds.rem_euclid(DAY_SECONDS);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// For programs: `2026-11-20T18:46:27.5Z`, with as many digits behind the second as are not zero.
pub fn rfc3339(nanos: i64) -> String {
    let mut text = timestamp(nanos).replace(' ', "T");
    let fraction = nanos.rem_euclid(NANOS);
    if fraction != 0 {
        let digits = format!("{fraction:09}");
        text.pop();
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
        text.push('Z');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_come_out_right() {
        for (nanos, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
            (951_782_400 * NANOS, "2000-02-29T00:00:00Z"),
            (1_700_000_000 * NANOS + 500_000_000, "2023-11-14T22:13:20.5Z"),
            (4_107_542_399 * NANOS, "2100-02-28T23:59:59Z"),
            (i64::MIN, "1677-09-21T00:12:43.145224192Z"),
        ] {
            assert_eq!(rfc3339(nanos), text);
        }
        assert_eq!(timestamp(1_700_000_000 * NANOS), "2023-11-14 22:13:20Z");
    }
}
