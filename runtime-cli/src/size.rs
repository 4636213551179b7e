//! Sizes of memory as people write them: `512m`, `1.5GiB`, `4096`, and -1 for no limit.
//!
//! The units are powers of 1024, whatever their spelling, as every engine has them.

/// A limit of memory in bytes, or -1.
pub(crate) fn limit(text: &str) -> Option<i64> {
    if text == "-1" { Some(-1) } else { bytes(text) }
}

fn bytes(text: &str) -> Option<i64> {
    let lower = text.to_ascii_lowercase();
    let end = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(end);
    let shift = match unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(unit) {
        "" if unit != "ib" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return None;
    }
    let whole = whole.parse::<i64>().ok()?.checked_mul(1 << shift)?;
    let part: f64 = format!("0.{part}").parse().ok()?;
    whole.checked_add((part * (1_i64 << shift) as f64) as i64)
}

#[cfg(test)]
mod tests {
    use super::limit;

    #[test]
    fn a_size_is_a_number_with_a_unit_or_without() {
        let known = [
            ("0", 0),
            ("-1", -1),
            ("4096", 4096),
            ("4096b", 4096),
            ("1k", 1024),
            ("1K", 1024),
            ("64Mb", 64 << 20),
            ("64MiB", 64 << 20),
            ("1.5g", 3 << 29),
            ("2T", 2 << 40),
            ("1p", 1 << 50),
            ("9223372036854775807", i64::MAX),
        ];
        for (text, bytes) in known {
            assert_eq!(limit(text), Some(bytes), "{text}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        for bad in [
            "",
            "m",
            "-2",
            "+1",
            " 1",
            "1 k",
            "0x10",
            "1kk",
            "1ib",
            "1.",
            ".5",
            "1.2.3",
            "1e3",
            "ä",
            "9223372036854775808",
            "9999999p",
            "1x",
        ] {
            assert_eq!(limit(bad), None, "{bad}");
        }
    }
}
