//! Durations as Go's `time.ParseDuration` reads them, which command lines for runc use.
//!
//! Used by the reader of the command line. Arithmetic is exact; what is below a nanosecond is cut.

use std::time::Duration;

/// Units in nanoseconds. The two letters for "micro" are U+00B5 and U+03BC.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];
/// Digits of a fraction that count: an hour has fewer nanoseconds.
const DIGITS: usize = 18;

/// A duration such as `5s`, `100ms`, `1m30s` or `1.5h`. Nothing for what is none, is not more than
/// 0, or is too long for Go: more than about 292 years.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split(after, |c| !c.is_ascii_digit() && c != '.');
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(nanoseconds(number, *unit)?)?;
        rest = after;
    }
    let total = u64::try_from(total).ok().filter(|total| *total <= i64::MAX.unsigned_abs())?;
    Some(Duration::from_nanos(total)).filter(|duration| !duration.is_zero())
}

fn nanoseconds(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u128>().ok() };
    let fraction = &fraction[..fraction.len().min(DIGITS)];
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let whole = digits(whole)?.checked_mul(unit)?;
    whole.checked_add(digits(fraction)? * unit / scale)
}

/// The longest beginning of such letters, and the rest.
fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, nanoseconds) in [
            ("5s", 5_000_000_000),
            ("100ms", 100_000_000),
            ("1m30s", 90_000_000_000),
            ("+1.5h", 5_400_000_000_000),
            ("1h0.5m.25s", 3_630_250_000_000),
            ("2.s", 2_000_000_000),
            ("3us4\u{b5}s5\u{3bc}s", 12_000),
            ("1ns", 1),
            ("1.0000000000000000000000000001s", 1_000_000_000),
            ("9223372036854775807ns", i64::MAX.unsigned_abs()),
        ] {
            assert_eq!(parse(text), Some(Duration::from_nanos(nanoseconds)), "{text}");
        }
        for bad in [
            "",
            "0",
            "0s",
            "-5s",
            "5",
            "s",
            ".s",
            "1.2.3s",
            "5 s",
            "5S",
            "1d",
            "5s3",
            "0.1ns",
            "9223372036854775808ns",
            "99999999999999999999999999999999999999999h",
            "٣s",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
