//! Mount options: the runtime-spec's table, from words to attributes, parameters and propagation.
//!
//! config.md, "Linux mount options". What is not in the table is the file system's own and goes to
//! it as a parameter, as mount(8) does.

use libcontainer_init::step::flag;
use libcontainer_init::sys::mount::{
    ATTR_ATIME, ATTR_NOATIME, ATTR_NODEV, ATTR_NODIRATIME, ATTR_NOEXEC, ATTR_NOSUID,
    ATTR_NOSYMFOLLOW, ATTR_RDONLY, ATTR_STRICTATIME,
};

use super::rootfs::PROPAGATIONS;
use crate::config::{Attributes, Propagation};

/// What an option of the table does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Attributes to set and to clear. With a leading `r` in the option, of the whole tree.
    Attribute { set: u32, clear: u32 },
    /// A parameter of the superblock that fsconfig(2) takes as a flag.
    Superblock,
    /// What is the case anyway.
    Nothing,
    /// A copy of a mount, with or without the mounts below.
    Bind { recursive: bool },
    /// A change of a mount that is there.
    Remount,
    /// A tmpfs that starts with the contents of what it covers.
    CopyUp,
    /// Known and not possible yet.
    Refused,
}

use Meaning::{Attribute, Bind, CopyUp, Nothing, Refused, Remount, Superblock};

/// Every option of the runtime-spec but the propagation types, which `rootfs` lists. Those that
/// can also be written with a leading `r` (recursively) come first.
const TABLE: [(&str, Meaning); 37] = [
    ("ro", Attribute { set: ATTR_RDONLY, clear: 0 }),
    ("rw", Attribute { set: 0, clear: ATTR_RDONLY }),
    ("nosuid", Attribute { set: ATTR_NOSUID, clear: 0 }),
    ("suid", Attribute { set: 0, clear: ATTR_NOSUID }),
    ("nodev", Attribute { set: ATTR_NODEV, clear: 0 }),
    ("dev", Attribute { set: 0, clear: ATTR_NODEV }),
    ("noexec", Attribute { set: ATTR_NOEXEC, clear: 0 }),
    ("exec", Attribute { set: 0, clear: ATTR_NOEXEC }),
    ("noatime", Attribute { set: ATTR_NOATIME, clear: ATTR_ATIME }),
    ("atime", Attribute { set: 0, clear: ATTR_ATIME }),
    ("relatime", Attribute { set: 0, clear: ATTR_ATIME }),
    ("norelatime", Attribute { set: 0, clear: ATTR_ATIME }),
    ("strictatime", Attribute { set: ATTR_STRICTATIME, clear: ATTR_ATIME }),
    ("nostrictatime", Attribute { set: 0, clear: ATTR_ATIME }),
    ("nodiratime", Attribute { set: ATTR_NODIRATIME, clear: 0 }),
    ("diratime", Attribute { set: 0, clear: ATTR_NODIRATIME }),
    ("nosymfollow", Attribute { set: ATTR_NOSYMFOLLOW, clear: 0 }),
    ("symfollow", Attribute { set: 0, clear: ATTR_NOSYMFOLLOW }),
    ("sync", Superblock),
    ("async", Superblock),
    ("dirsync", Superblock),
    ("lazytime", Superblock),
    ("nolazytime", Superblock),
    ("mand", Superblock),
    ("nomand", Superblock),
    ("defaults", Nothing),
    // The new mount API prints no warnings of its own, whatever these say.
    ("silent", Nothing),
    ("loud", Nothing),
    ("noiversion", Nothing),
    ("bind", Bind { recursive: false }),
    ("rbind", Bind { recursive: true }),
    ("remount", Remount),
    ("tmpcopyup", CopyUp),
    ("iversion", Refused),
    ("idmap", Refused),
    ("ridmap", Refused),
    ("copy-symlink", Refused),
];
/// How many of them have a recursive form.
const RECURSIVE: usize = 18;

/// A mount's options, understood.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options {
    /// Changes of attributes.
    pub attributes: Attributes,
    /// Parameters of the file system.
    pub data: Vec<String>,
    /// How many of the parameters come from the table and are of the superblock.
    pub superblock: usize,
    /// Propagation types in order.
    pub propagation: Vec<Propagation>,
    /// Whether it copies a mount, and whether recursively.
    pub bind: Option<bool>,
    /// Whether it changes a mount that is there.
    pub remount: bool,
    /// Flags of init's step.
    pub flags: u32,
    /// Indices of options that are known and not possible yet.
    pub refused: Vec<usize>,
}

/// Understands options in their order; a later one overrides an earlier.
pub fn parse(options: &[String]) -> Options {
    let mut parsed = Options::default();
    for (i, option) in options.iter().enumerate() {
        if let Some((_, propagation)) = PROPAGATIONS.iter().find(|(name, _)| name == option) {
            parsed.propagation.push(*propagation);
        } else if let Some((_, meaning)) = TABLE.iter().find(|(name, _)| name == option) {
            parsed.apply(option, *meaning, i);
        } else if let Some(Attribute { set, clear }) = recursive(option) {
            let all = &mut parsed.attributes;
            (all.set_all, all.clear_all) =
                (all.set_all & !clear | set, all.clear_all & !set | clear);
        } else if !option.is_empty() {
            parsed.data.push(unquoted(option));
        }
    }
    parsed
}

/// A label of SELinux without quotes: mount(2) wants them around its commas, but here each option is
/// a parameter of its own.
fn unquoted(option: &str) -> String {
    const LABELS: [&str; 4] = ["context", "fscontext", "defcontext", "rootcontext"];
    match option.split_once('=') {
        Some((name, label)) if LABELS.contains(&name) => {
            format!("{name}={}", label.trim_matches('"'))
        }
        _ => option.to_owned(),
    }
}

fn recursive(option: &str) -> Option<Meaning> {
    let name = option.strip_prefix('r')?;
    TABLE[..RECURSIVE].iter().find(|(known, _)| *known == name).map(|(_, meaning)| *meaning)
}

/// Every option that is understood and possible.
pub fn supported() -> impl Iterator<Item = String> {
    let plain = TABLE.iter().filter(|(_, meaning)| *meaning != Refused);
    let plain = plain.map(|(name, _)| (*name).to_owned());
    let recursive = TABLE[..RECURSIVE].iter().map(|(name, _)| format!("r{name}"));
    let propagation = PROPAGATIONS.iter().map(|(name, _)| (*name).to_owned());
    plain.chain(recursive).chain(propagation)
}

impl Options {
    fn apply(&mut self, option: &str, meaning: Meaning, index: usize) {
        match meaning {
            Attribute { set, clear } => {
                let one = &mut self.attributes;
                (one.set, one.clear) = (one.set & !clear | set, one.clear & !set | clear);
                // A time mode is a field: to set it, all of it is cleared as well.
                if set & ATTR_ATIME != 0 {
                    one.clear |= ATTR_ATIME;
                }
            }
            Superblock => {
                self.data.push(option.to_owned());
                self.superblock += 1;
            }
            Nothing => {}
            Bind { recursive } => self.bind = Some(recursive || self.bind == Some(true)),
            Remount => self.remount = true,
            CopyUp => self.flags |= flag::COPY_UP,
            Refused => self.refused.push(index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libcontainer_init::sys::mount::SLAVE;

    fn parsed(options: &[&str]) -> Options {
        parse(&options.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn later_options_override_earlier_ones() {
        let options = parsed(&["ro", "nosuid", "rw"]);
        assert_eq!((options.attributes.set, options.attributes.clear), (ATTR_NOSUID, ATTR_RDONLY));
    }

    #[test]
    fn access_time_modes_replace_each_other() {
        let options = parsed(&["noatime", "strictatime"]);
        assert_eq!(options.attributes.set, ATTR_STRICTATIME);
        assert_eq!(options.attributes.clear, ATTR_ATIME);
    }

    #[test]
    fn words_of_the_file_system_are_passed_on() {
        let options = parsed(&["size=64k", "rslave", "rbind", "rro", "sync", "newinstance"]);
        assert_eq!(options.data, ["size=64k", "sync", "newinstance"]);
        assert_eq!(options.propagation, [Propagation { kind: SLAVE, recursive: true }]);
        assert_eq!(options.bind, Some(true));
        assert_eq!(options.attributes.set_all, ATTR_RDONLY);
    }

    #[test]
    fn labels_lose_their_quotes_and_other_values_keep_them() {
        let options = parsed(&["context=\"u:r:t:s0:c1,c2\"", "defcontext=u:r:t", "x=\"y\""]);
        assert_eq!(options.data, ["context=u:r:t:s0:c1,c2", "defcontext=u:r:t", "x=\"y\""]);
    }

    #[test]
    fn every_recursive_option_of_the_specification_is_known() {
        for name in [
            "ratime",
            "rdev",
            "rdiratime",
            "rexec",
            "rnoatime",
            "rnodiratime",
            "rnoexec",
            "rnorelatime",
            "rnostrictatime",
            "rnosuid",
            "rnosymfollow",
            "rrelatime",
            "rro",
            "rrw",
            "rstrictatime",
            "rsuid",
            "rsymfollow",
            "rnodev",
        ] {
            assert!(recursive(name).is_some(), "{name}");
        }
    }
}
