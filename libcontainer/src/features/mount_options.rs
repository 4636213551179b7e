//! Mount options: the runtime-spec's table, from words to attributes, parameters and propagation.
//!
//! config.md, "Linux mount options", and what runc and crun have besides. What is not in the table
//! is the file system's own and goes to it as a parameter, as mount(8) does.

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
    /// A parameter of some file systems only: the others cannot do without lists of access rights.
    NoAcl,
    /// What is the case anyway.
    Nothing,
    /// A copy of a mount, with or without the mounts below.
    Bind { recursive: bool },
    /// A change of a mount that is there.
    Remount,
    /// Flags of init's step to set and to clear.
    Flag { set: u32, clear: u32 },
    /// The source of a bind mount is a symbolic link itself, and not where it leads.
    SourceLink,
    /// Files are shown with other ids, with or without those of the mounts below.
    Ids { recursive: bool },
}

use Meaning::{Attribute, Bind, Flag, Ids, NoAcl, Nothing, Remount, SourceLink, Superblock};

/// Every option but the propagation types, which `rootfs` lists. Those that can also be written with
/// a leading `r` (recursively) come first.
const TABLE: [(&str, Meaning); 41] = [
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
    ("iversion", Flag { set: flag::COUNT_CHANGES, clear: flag::NO_COUNT }),
    ("noiversion", Flag { set: flag::NO_COUNT, clear: flag::COUNT_CHANGES }),
    ("noacl", NoAcl),
    // A file system that has lists of access rights heeds them.
    ("acl", Nothing),
    ("defaults", Nothing),
    // The new mount API prints no warnings of its own, whatever these say.
    ("silent", Nothing),
    ("loud", Nothing),
    ("bind", Bind { recursive: false }),
    ("rbind", Bind { recursive: true }),
    ("remount", Remount),
    ("tmpcopyup", Flag { set: flag::COPY_UP, clear: 0 }),
    ("copy-symlink", Flag { set: flag::COPY_LINK, clear: 0 }),
    ("dest-nofollow", Flag { set: flag::ON_LINK, clear: 0 }),
    ("src-nofollow", SourceLink),
    ("idmap", Ids { recursive: false }),
    ("ridmap", Ids { recursive: true }),
];
/// How many of them have a recursive form.
const RECURSIVE: usize = 18;
/// File systems that take `noacl`, at least on some kernels. Others would refuse the word.
const WITH_NOACL: [&str; 8] = ["ext2", "ext3", "ext4", "btrfs", "f2fs", "jffs2", "ntfs3", "erofs"];

/// A mount's options, understood.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options {
    /// Changes of attributes.
    pub attributes: Attributes,
    /// Parameters of the file system.
    pub data: Vec<String>,
    /// Those of them, and other options, that are of the superblock and come from the table.
    pub superblock: Vec<String>,
    /// Propagation types in order.
    pub propagation: Vec<Propagation>,
    /// Whether it copies a mount, and whether recursively.
    pub bind: Option<bool>,
    /// Whether it changes a mount that is there.
    pub remount: bool,
    /// Flags of init's step.
    pub flags: u32,
    /// Whether a bind mount's source is a symbolic link itself.
    pub source_link: bool,
    /// The option that asks for other ids.
    pub ids: Option<IdOption>,
}

/// `idmap` or `ridmap`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdOption {
    /// Its index.
    pub index: usize,
    /// Whether the mounts below show other ids, too.
    pub recursive: bool,
    /// The mappings that are written behind it (crun's `idmap=uids=0-1-10;gids=0-100-10`).
    pub mappings: Option<String>,
}

/// Understands the options of a mount of this type, in their order; a later one overrides an earlier.
pub fn parse(options: &[String], fstype: &str) -> Options {
    let mut parsed = Options::default();
    for (index, option) in options.iter().enumerate() {
        let mapped = option.split_once('=').filter(|(name, _)| ["idmap", "ridmap"].contains(name));
        if let Some((_, propagation)) = PROPAGATIONS.iter().find(|(name, _)| name == option) {
            parsed.propagation.push(*propagation);
        } else if let Some((_, meaning)) = TABLE.iter().find(|(name, _)| name == option) {
            parsed.apply(option, *meaning, index, fstype);
        } else if let Some(Attribute { set, clear }) = recursive(option) {
            let all = &mut parsed.attributes;
            (all.set_all, all.clear_all) =
                (all.set_all & !clear | set, all.clear_all & !set | clear);
        } else if let Some((name, mappings)) = mapped {
            let (recursive, mappings) = (name == "ridmap", Some(mappings.to_owned()));
            parsed.ids = Some(IdOption { index, recursive, mappings });
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

/// Every option that is understood.
pub fn supported() -> impl Iterator<Item = String> {
    let plain = TABLE.iter().map(|(name, _)| (*name).to_owned());
    let recursive = TABLE[..RECURSIVE].iter().map(|(name, _)| format!("r{name}"));
    let propagation = PROPAGATIONS.iter().map(|(name, _)| (*name).to_owned());
    plain.chain(recursive).chain(propagation)
}

impl Options {
    fn apply(&mut self, option: &str, meaning: Meaning, index: usize, fstype: &str) {
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
                self.superblock.push(option.to_owned());
            }
            NoAcl => {
                self.superblock.push(option.to_owned());
                if WITH_NOACL.contains(&fstype) {
                    self.data.push(option.to_owned());
                }
            }
            Nothing => {}
            Bind { recursive } => self.bind = Some(recursive || self.bind == Some(true)),
            Remount => self.remount = true,
            Flag { set, clear } => {
                self.flags = self.flags & !clear | set;
                if set & (flag::COUNT_CHANGES | flag::NO_COUNT) != 0 {
                    self.superblock.push(option.to_owned());
                }
            }
            SourceLink => self.source_link = true,
            Ids { recursive } => {
                self.ids = Some(IdOption { index, recursive, mappings: None });
            }
        }
    }

    /// Whether lists of access rights are unwanted in a file system that cannot do without.
    pub fn ignores_noacl(&self) -> bool {
        let is_noacl = |word: &String| word == "noacl";
        self.superblock.iter().any(is_noacl) && !self.data.iter().any(is_noacl)
    }

    /// The parameters that are the file system's own.
    pub fn own_data(&self) -> impl Iterator<Item = &String> {
        self.data.iter().filter(|word| !self.superblock.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libcontainer_init::sys::mount::SLAVE;

    fn parsed(options: &[&str]) -> Options {
        parse(&options.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>(), "tmpfs")
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
    fn words_that_only_some_file_systems_know_go_to_those() {
        let words = ["noacl".to_owned(), "noiversion".to_owned(), "iversion".to_owned()];
        let (tmpfs, btrfs) = (parse(&words, "tmpfs"), parse(&words, "btrfs"));
        assert_eq!((tmpfs.data, btrfs.data), (Vec::new(), vec!["noacl".to_owned()]));
        assert_eq!((tmpfs.superblock, tmpfs.flags), (words.to_vec(), flag::COUNT_CHANGES));
    }

    #[test]
    fn ids_may_be_written_behind_their_option() {
        let options = parsed(&["idmap", "ridmap=uids=0-1-10;gids=0-1-10"]);
        let mappings = Some("uids=0-1-10;gids=0-1-10".to_owned());
        assert_eq!(options.ids, Some(IdOption { index: 1, recursive: true, mappings }));
        assert_eq!(options.data, [""; 0]);
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
