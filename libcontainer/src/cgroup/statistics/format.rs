//! The forms in which files of cgroups are written: numbers, lines with a key, lines of a device.
//!
//! Used by the controllers beside this. Every function gives nothing for a text in another form.

use std::collections::BTreeMap;

/// A number that is not negative; [`u64::MAX`] for `max`, no limit.
pub(super) fn number(text: &str) -> Option<u64> {
    match text.trim() {
        "max" => Some(u64::MAX),
        digits => digits.parse().ok(),
    }
}

/// Numbers with blanks between them.
pub(super) fn numbers(text: &str) -> Option<Vec<u64>> {
    text.split_ascii_whitespace().map(number).collect()
}

/// Lines of a key and a number: `nr_periods 5`.
pub(super) fn keyed(text: &str) -> Option<BTreeMap<String, u64>> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), number(value)?))
    };
    text.lines().map(pair).collect()
}

/// The name of a device.
pub(super) type Device = String;
/// The fields of a device, in their order.
pub(super) type Fields = Vec<(String, String)>;

/// Lines of a device and fields: `8:0 rbytes=1 wbytes=2`. Some kernels leave out the end of the line
/// of a device without fields.
pub(super) fn nested(text: &str) -> Option<Vec<(Device, Fields)>> {
    let mut devices: Vec<(Device, Fields)> = Vec::new();
    for word in text.split_ascii_whitespace() {
        match word.split_once('=') {
            None => devices.push((word.to_owned(), Vec::new())),
            Some((key, value)) => {
                devices.last_mut()?.1.push((key.to_owned(), value.to_owned()));
            }
        }
    }
    Some(devices)
}

/// A list of processors or memory nodes, cpuset(7) "List format": `0-4,9`.
pub(super) fn list(text: &str) -> Option<Vec<u16>> {
    let mut all = Vec::new();
    for part in text.trim().split(',').filter(|_| !text.trim().is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        if first > last {
            return None;
        }
        all.extend(first..=last);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_digits_or_no_limit() {
        assert_eq!(number("42\n"), Some(42));
        assert_eq!(number("9223372036854771712"), Some(9_223_372_036_854_771_712));
        assert_eq!(number("max"), Some(u64::MAX));
        for bad in ["", "-1", "1 2", "0x1", "maximum", "18446744073709551616"] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
        assert_eq!(numbers("13906557 2855484 "), Some(vec![13_906_557, 2_855_484]));
        assert_eq!(numbers(""), Some(vec![]));
        assert_eq!(numbers("1 x"), None);
    }

    #[test]
    fn every_line_has_a_key_and_a_number() {
        let stat = keyed("nr_periods 5\nnr_throttled 0\nthrottled_time 77").unwrap();
        assert_eq!((stat["nr_periods"], stat["throttled_time"], stat.len()), (5, 77, 3));
        assert_eq!(keyed(""), Some(BTreeMap::new()));
        for bad in ["nr_periods", "nr_periods x", "nr_periods 1 2", "a 1\n\nb 2"] {
            assert_eq!(keyed(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn devices_have_fields() {
        let fields = |list: &[(&str, &str)]| {
            list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Vec<_>>()
        };
        let read = nested("mlx4_0 hca_handle=2 hca_object=2000\nocrdma1 hca_handle=3").unwrap();
        let expected = [
            ("mlx4_0".to_owned(), fields(&[("hca_handle", "2"), ("hca_object", "2000")])),
            ("ocrdma1".to_owned(), fields(&[("hca_handle", "3")])),
        ];
        assert_eq!(read, expected);
        let read = nested("1:0 1:1 8:0 rbytes=1").unwrap();
        let counts: Vec<_> = read.iter().map(|(name, list)| (name.as_str(), list.len())).collect();
        assert_eq!(counts, [("1:0", 0), ("1:1", 0), ("8:0", 1)]);
        assert_eq!(nested("rbytes=1"), None);
    }

    #[test]
    fn a_list_is_numbers_and_ranges() {
        assert_eq!(list("0-2,5\n"), Some(vec![0, 1, 2, 5]));
        assert_eq!(list("0"), Some(vec![0]));
        assert_eq!(list(""), Some(vec![]));
        for bad in ["2-1", "a", "0,", "0-99999", "0--1"] {
            assert_eq!(list(bad), None, "{bad:?}");
        }
    }
}
