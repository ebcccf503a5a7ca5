//! Points in time as text: in UTC for programs (RFC 3339), in local time for people at a terminal.

use chrono::{DateTime, TimeZone};

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

/// Half a year, in nanoseconds: what is older, or lies in the future by more than an hour, is shown with its year.
const RECENT_NANOS: i64 = 182 * DAY_SECONDS * NANOS;
const HOUR_NANOS: i64 = 3600 * NANOS;

/// For people, as short as `ls` has it and always as wide: `Nov 21 00:15`, and `Nov 21  2025` when that is long ago or still to
/// come. `now` is in nanoseconds too.
pub fn short<Tz: TimeZone>(nanos: i64, now: i64, zone: &Tz) -> String
where
    Tz::Offset: std::fmt::Display,
{
    let time = DateTime::from_timestamp_nanos(nanos).with_timezone(zone);
    let is_recent = nanos > now.saturating_sub(RECENT_NANOS) && nanos < now.saturating_add(HOUR_NANOS);
    time.format(if is_recent { "%b %e %H:%M" } else { "%b %e  %Y" }).to_string()
}

/// Whole seconds: `2026-11-20T18:46:27Z`.
pub fn timestamp(nanos: i64) -> String {
    let seconds = nanos.div_euclid(NANOS);
    let (year, month, day) = civil(seconds.div_euclid(DAY_SECONDS));
    let of_day = seconds.rem_euclid(DAY_SECONDS);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// For programs: `2026-11-20T18:46:27.5Z`, with as many digits behind the second as are not zero.
pub fn rfc3339(nanos: i64) -> String {
    let mut text = timestamp(nanos);
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
        assert_eq!(timestamp(1_700_000_000 * NANOS), "2023-11-14T22:13:20Z");
    }

    #[test]
    fn people_see_the_time_of_recent_dates_and_the_year_of_others_in_their_zone() {
        let zone = chrono::FixedOffset::east_opt(2 * 3600).unwrap();
        let now = 1_795_219_200 * NANOS; // 2026-11-21 00:00:00Z
        let short = |nanos| short(nanos, now, &zone);
        assert_eq!(short(now - 3600 * NANOS), "Nov 21 01:00");
        assert_eq!(short(now - 20 * DAY_SECONDS * NANOS), "Nov  1 02:00");
        assert_eq!(short(now - RECENT_NANOS), "May 23  2026");
        assert_eq!(short(now - RECENT_NANOS + NANOS), "May 23 02:00");
        assert_eq!(short(now + 2 * HOUR_NANOS), "Nov 21  2026");
        assert_eq!(short(0), "Jan  1  1970");
        for extreme in [i64::MIN, i64::MAX] {
            assert_eq!(short(extreme).len(), 12);
        }
    }
}
