//! Lines of the file `schemata` of a resctrl group: which part of each cache its processes get, and
//! how much of the memory bandwidth.
//!
//! `L3:0=7f0;1=1f`: a resource, and a value for each of its domains, such as the cache with the
//! number 0. Values are bit masks in hexadecimal digits for caches, and decimal numbers for others.

use std::collections::BTreeMap;
use std::fmt;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaLine {
    /// The resource: `L3`, `L2`, `L3CODE`, `MB`.
    pub resource: String,
    /// Its domains, and the value for each.
    pub values: BTreeMap<u32, String>,
}

impl SchemaLine {
    /// Reads a line; nothing if it has not this form, or a domain is there twice.
    pub fn parse(line: &str) -> Option<Self> {
        let (resource, list) = line.split_once(':')?;
        let resource = resource.trim();
        let mut values = BTreeMap::new();
        for pair in list.split(';').filter(|pair| !pair.trim().is_empty()) {
            let (domain, value) = pair.split_once('=')?;
            let (domain, value) = (domain.trim().parse().ok()?, value.trim());
            let free = values.insert(domain, value.to_owned()).is_none();
            if !free || !is_word(value) {
                return None;
            }
        }
        (is_word(resource) && !values.is_empty())
            .then(|| Self { resource: resource.to_owned(), values })
    }

    /// Whether a group has these values, by the text of its file `schemata`. The kernel rounds
    /// bandwidth up to a multiple of `granularity`.
    pub fn is_held_by(&self, schemata: &str, granularity: u64) -> bool {
        let mut lines = schemata.lines().filter_map(Self::parse);
        let Some(held) = lines.find(|line| line.resource == self.resource) else { return false };
        self.values.iter().all(|(domain, value)| {
            let same = |held: &String| self.means_the_same(value, held, granularity);
            held.values.get(domain).is_some_and(same)
        })
    }

    fn means_the_same(&self, asked: &str, held: &str, granularity: u64) -> bool {
        let cache = self.resource.starts_with('L');
        let number = |text| u64::from_str_radix(text, if cache { 16 } else { 10 }).ok();
        match (number(asked), number(held)) {
            (Some(asked), Some(held)) => {
                let rounded = !cache && asked.checked_next_multiple_of(granularity) == Some(held);
                asked == held || rounded
            }
            _ => asked == held,
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// As the kernel takes it, without the newline.
impl fmt::Display for SchemaLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> =
            self.values.iter().map(|(d, value)| format!("{d}={value}")).collect();
        write!(f, "{}:{}", self.resource, pairs.join(";"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: &str = "    L3:0=00f;1=ff\n    MB:0= 20;1=100\n";

    fn parse(line: &str) -> SchemaLine {
        SchemaLine::parse(line).unwrap()
    }

    #[test]
    fn a_line_is_a_resource_with_a_value_for_each_domain() {
        let line = parse(" L3 : 1=1f ; 0=7f0;");
        assert_eq!(line.to_string(), "L3:0=7f0;1=1f");
        for bad in ["", "L3", "L3:", "L3:0", "L3:0=", "L3:a=f", "L3:0=f;0=3", ":0=f", "L 3:0=f"] {
            assert_eq!(SchemaLine::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_group_holds_what_it_has_for_each_domain_that_is_named() {
        for line in ["L3:0=f", "L3:1=0ff;0=F", "MB:0=20", "MB:1=100;0=11"] {
            assert!(parse(line).is_held_by(HELD, 10), "{line}");
        }
        for line in ["L3:0=1f", "L3:2=f", "L2:0=f", "MB:0=21", "MB:0=2", "MB:0=10"] {
            assert!(!parse(line).is_held_by(HELD, 10), "{line}");
        }
        assert!(!parse("MB:0=11").is_held_by(HELD, 1));
        assert!(!parse("MB:0=11").is_held_by(HELD, 0));
    }
}
