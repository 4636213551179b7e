//! Mounts: new file systems, trees of the host, and what is hidden or made read-only at the end.
//!
//! A mount is complete before it is attached: attributes and propagation are set on the detached
//! tree, so that no moment exists in which the container has it without them.

use core::ffi::CStr;

use super::target::{self, Leaf};
use super::{Done, Init};
use crate::message::{Cause, Refusal};
use crate::step::{Step, flag};
use crate::sys::mount::{self, Change};
use crate::sys::path::{self, FileSystem, O_DIRECTORY, O_PATH, Resolve};
use crate::sys::{Errno, Fd, file};
use crate::wire::{Numbers, Slot, Str};

/// What masks files and directories, made with the first mask and copied for the others: one
/// superblock serves them all.
#[derive(Default)]
pub(super) struct Masks {
    directory: Option<Fd>,
    file: Option<Fd>,
}

impl Init {
    pub(super) fn mount(&mut self, step: &Step) -> Done {
        let Step::Mount { target, attributes, propagation, flags, otherwise, keep, .. } = *step
        else {
            return Err(Cause::Refused(Refusal::BadPlan));
        };
        let target = self.mount_point(target, Leaf::Dir, flags)?;
        let hosts = if otherwise == Slot::NONE { None } else { Some(self.take(otherwise)?) };
        let tree = match (self.new_file_system(step, &target), hosts) {
            (Err(Cause::Call(failure)), Some(hosts)) if failure.is(Errno::EPERM) => {
                self.detail.set(b"");
                let set = attributes | mount::ATTR_RDONLY;
                let propagation = mount::SLAVE;
                apply(&hosts, &Change { set, clear: 0, propagation, recursive: true })?;
                hosts
            }
            (created, _) => created?,
        };
        if flags & flag::COPY_UP != 0 {
            super::copy_up::copy(target.raw(), tree.raw())?;
        }
        mount::attach(tree.raw(), target.raw())?;
        self.propagate(&tree, propagation)?;
        self.keep(keep, tree)
    }

    fn new_file_system(&mut self, step: &Step, target: &Fd) -> Done<Fd> {
        let Step::Mount { fstype, source, data, attributes, flags, .. } = *step else {
            return Err(Cause::Refused(Refusal::BadPlan));
        };
        let context = mount::open_context(self.str(fstype)?)?;
        let created: Done<Fd> = (|| {
            mount::configure(context.raw(), c"source", Some(self.str(source)?))?;
            for i in 0..data.count {
                configure(context.raw(), self.item(data, i)?)?;
            }
            if flags & flag::INHERIT_MODE != 0 {
                configure(context.raw(), mode_of(target)?.as_c_str())?;
            }
            Ok(mount::create(context.raw(), attributes)?)
        })();
        if created.is_err() {
            // The kernel says in words which parameter it did not like.
            self.detail.read_from(context.raw());
        }
        created
    }

    pub(super) fn bind(&mut self, step: &Step) -> Done {
        let Step::Bind {
            tree,
            target,
            set,
            clear,
            set_all,
            clear_all,
            slave,
            propagation,
            flags,
            keep,
        } = *step
        else {
            return Err(Cause::Refused(Refusal::BadPlan));
        };
        let tree = self.take(tree)?;
        let status = file::status(tree.raw())?;
        if flags & flag::FROM_PROC != 0 {
            const PROC_ROOT: u64 = 1;
            let is_proc = path::file_system(tree.raw())? == FileSystem::PROC;
            if !is_proc || status.inode != PROC_ROOT {
                return Err(Cause::Refused(Refusal::OnProc));
            }
        }
        let leaf = if status.is_dir() { Leaf::Dir } else { Leaf::File };
        let target = self.mount_point(target, leaf, flags)?;
        let slave = if slave { mount::SLAVE } else { 0 };
        apply(&tree, &Change { propagation: slave, recursive: true, ..Default::default() })?;
        apply(&tree, &Change { set: set_all, clear: clear_all, propagation: 0, recursive: true })?;
        apply(&tree, &Change { set, clear, propagation: 0, recursive: false })?;
        mount::attach(tree.raw(), target.raw())?;
        self.propagate(&tree, propagation)?;
        self.keep(keep, tree)
    }

    pub(super) fn remount(&mut self, step: &Step) -> Done {
        let Step::Remount { target, data, set, clear, set_all, clear_all, propagation } = *step
        else {
            return Err(Cause::Refused(Refusal::BadPlan));
        };
        let mounted = target::open(self.root()?, self.str(target)?, Resolve::InRoot)?;
        if data.count > 0 {
            let context = mount::pick_context(mounted.raw())?;
            let changed =
                (0..data.count).try_for_each(|i| configure(context.raw(), self.item(data, i)?));
            let changed = changed.and_then(|()| Ok(mount::reconfigure(context.raw())?));
            if changed.is_err() {
                self.detail.read_from(context.raw());
            }
            changed?;
        }
        apply(
            &mounted,
            &Change { set: set_all, clear: clear_all, propagation: 0, recursive: true },
        )?;
        apply(&mounted, &Change { set, clear, propagation: 0, recursive: false })?;
        self.propagate(&mounted, propagation)
    }

    /// By its name in its directory: umount2(2) takes no descriptor.
    pub(super) fn unmount(&mut self, target: Str) -> Done {
        let (root, target) = (self.root()?, self.str(target)?);
        let (dir, name) = target::parent(target)?;
        let flags = O_PATH | O_DIRECTORY;
        let dir = path::open(root, dir.as_c_str(), flags, 0, Resolve::InRootNoLinks)?;
        path::enter_dir(dir.raw())?;
        Ok(mount::detach(name.as_c_str())?)
    }

    pub(super) fn make_readonly(&mut self, mounted: Slot) -> Done {
        let mounted = self.take(mounted)?;
        apply(&mounted, &Change { set: mount::ATTR_RDONLY, ..Default::default() })
    }

    /// The place to mount on, made where missing; procfs is covered in known places only.
    fn mount_point(&self, target: Str, leaf: Leaf, flags: u32) -> Done<Fd> {
        let plain = flags & flag::PLAIN != 0;
        let resolve = if plain { Resolve::InRootNoLinks } else { Resolve::InRoot };
        let target = target::make(self.root()?, self.str(target)?, leaf, resolve)?;
        if flags & flag::ON_PROC == 0 && path::file_system(target.raw())? == FileSystem::PROC {
            return Err(Cause::Refused(Refusal::OnProc));
        }
        Ok(target)
    }

    /// Takes propagation types one after the other; the high bit says "the whole tree".
    fn propagate(&self, tree: &Fd, types: Numbers) -> Done {
        const RECURSIVE: u32 = 1 << 31;
        for i in 0..types.count {
            let propagation = self.number(types, i)?;
            let recursive = propagation & RECURSIVE != 0;
            let propagation = propagation & !RECURSIVE;
            apply(tree, &Change { propagation, recursive, ..Default::default() })?;
        }
        Ok(())
    }

    /// A descriptor of what a path names below a kept mount or the root; nothing when it is missing.
    fn covered(&self, base: Slot, path: Str) -> Done<Option<Fd>> {
        let base = if base == Slot::NONE { self.root()? } else { self.look(base)? };
        target::open_existing(base, self.str(path)?)
    }

    pub(super) fn mask(&mut self, base: Slot, path: Str, null: Slot) -> Done {
        let Some(target) = self.covered(base, path)? else { return Ok(()) };
        let is_dir = file::status(target.raw())?.is_dir();
        let known = if is_dir { &self.masks.directory } else { &self.masks.file };
        if let Some(known) = known {
            let copy = mount::clone_tree(known.raw(), c"", false, true)?;
            return Ok(mount::attach(copy.raw(), target.raw())?);
        }
        let first = if is_dir { empty_directory()? } else { self.null_device(null)? };
        mount::attach(first.raw(), target.raw())?;
        let place = if is_dir { &mut self.masks.directory } else { &mut self.masks.file };
        *place = Some(first);
        Ok(())
    }

    /// The host's null device: read-only, so that the container cannot change the host's inode, and
    /// never the container's own /dev/null, which the image may have replaced (CVE-2025-31133).
    fn null_device(&mut self, null: Slot) -> Done<Fd> {
        let null = self.take(null)?;
        if !file::status(null.raw())?.is_char_device(1, 3) {
            return Err(Cause::Refused(Refusal::OtherFile));
        }
        let set = mount::ATTR_RDONLY | mount::ATTR_NOSUID | mount::ATTR_NOEXEC;
        let change = Change { set, propagation: mount::PRIVATE, ..Default::default() };
        apply(&null, &change)?;
        Ok(null)
    }

    pub(super) fn readonly_path(&mut self, base: Slot, path: Str) -> Done {
        let Some(target) = self.covered(base, path)? else { return Ok(()) };
        let tree = mount::clone_tree(target.raw(), c"", true, true)?;
        apply(&tree, &Change { set: mount::ATTR_RDONLY, recursive: true, ..Default::default() })?;
        Ok(mount::attach(tree.raw(), target.raw())?)
    }
}

fn apply(tree: &Fd, change: &Change) -> Done {
    if change.is_empty() {
        return Ok(());
    }
    Ok(mount::change(tree.raw(), change)?)
}

/// fsconfig with a parameter written as `key=value`, or as a flag.
fn configure(context: i32, parameter: &CStr) -> Done {
    let bytes = parameter.to_bytes_with_nul();
    let Some(split) = bytes.iter().position(|b| *b == b'=') else {
        return Ok(mount::configure(context, parameter, None)?);
    };
    let key = target::Path::new(bytes.get(..split).unwrap_or_default())?;
    let value = CStr::from_bytes_until_nul(bytes.get(split + 1..).unwrap_or_default());
    Ok(mount::configure(context, key.as_c_str(), Some(value.unwrap_or_default()))?)
}

/// `mode=` with the permissions of a directory, in octal digits.
fn mode_of(directory: &Fd) -> Done<target::Path> {
    let mode = file::status(directory.raw())?.mode & 0o7777;
    let digits = [9, 6, 3, 0].map(|shift| b'0' + (mode >> shift & 7) as u8);
    let mut text = target::Path::new(b"mode=")?;
    text.push(&digits)?;
    Ok(text)
}

/// An empty read-only directory: a tmpfs with room for its root only.
fn empty_directory() -> Done<Fd> {
    let context = mount::open_context(c"tmpfs")?;
    mount::configure(context.raw(), c"source", Some(c"tmpfs"))?;
    mount::configure(context.raw(), c"ro", None)?;
    mount::configure(context.raw(), c"nr_inodes", Some(c"2"))?;
    mount::configure(context.raw(), c"nr_blocks", Some(c"1"))?;
    Ok(mount::create(context.raw(), mount::ATTR_RDONLY)?)
}
