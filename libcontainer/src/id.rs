//! A container's id: parsed once, valid ever after.
//!
//! An id names a directory below the state root, so what it may hold decides what a caller can
//! reach there: letters, digits and `_ + - .`, but neither `.` nor `..`, and at most 1024 bytes
//! (runc's rule; a directory name longer than 255 bytes is refused by the file system).

use std::fmt;

use crate::error::{Error, ErrorKind};

/// The longest id accepted, in bytes.
const MAX_LEN: usize = 1024;

/// The id of a container, unique below one state root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(String);

impl ContainerId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for ContainerId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+-.".contains(&b);
        let valid = !text.is_empty()
            && text.len() <= MAX_LEN
            && text != "."
            && text != ".."
            && text.bytes().all(allowed);
        if !valid {
            let shown: String = text.chars().take(80).flat_map(char::escape_default).collect();
            return Err(Error::new(
                ErrorKind::Input,
                format!("invalid container id \"{shown}\": letters, digits and _ + - . only"),
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::ContainerId;

    #[test]
    fn only_names_that_stay_below_the_state_root_are_ids() {
        for good in ["web", "a.b-c_d+e", "0", "..."] {
            assert!(good.parse::<ContainerId>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "/", "a b", "ä", "a\n", "a\0", &"x".repeat(1025)] {
            assert!(bad.parse::<ContainerId>().is_err(), "{bad:?}");
        }
    }
}
