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
use crate::sys::path::{self, AT_FDCWD, FileSystem, O_DIRECTORY, O_PATH, Resolve};
use crate::sys::{Errno, Fd, file};
use crate::wire::{List, Numbers, Slot, Str};

/// What masks files and directories, made with the first mask and copied for the others: one
/// superblock serves them all.
#[derive(Default)]
pub(super) struct Masks {
    directory: Option<Fd>,
    file: Option<Fd>,
}

impl Init {
    pub(super) fn mount(&mut self, step: &Step) -> Done {
        let Step::Mount { target, label, attributes, propagation, flags, keep, .. } = *step else {
            return Err(Cause::Refused(Refusal::BadPlan));
        };
        if flags & flag::DETACHED != 0 {
            let tree = self.new_file_system(step, None)?;
            return self.keep(keep, tree);
        }
        let target = self.mount_point(target, Leaf::Dir, flags)?;
        let tree = self.new_or_hosts(step, &target)?;
        if flags & flag::COPY_UP != 0 {
            super::copy_up::copy(target.raw(), tree.raw())?;
        }
        if is_filled(flags, label) {
            apply(&tree, &Change { set: attributes & mount::ATTR_RDONLY, ..Default::default() })?;
        }
        self.place(tree, &target, propagation, flags, keep)
    }

    /// Attaches a tree that is complete, and keeps its descriptor if it is needed.
    fn place(
        &mut self,
        tree: Fd,
        target: &Fd,
        propagation: Numbers,
        flags: u32,
        keep: Slot,
    ) -> Done {
        mount::attach(tree.raw(), target.raw())?;
        count_changes(&tree, flags)?;
        self.propagate(&tree, propagation)?;
        self.keep(keep, tree)
    }

    /// A new file system; where this process has no right to one, the host's, read-only.
    fn new_or_hosts(&mut self, step: &Step, target: &Fd) -> Done<Fd> {
        let Step::Mount { attributes, otherwise, .. } = *step else {
            return Err(Cause::Refused(Refusal::BadPlan));
        };
        let hosts = if otherwise == Slot::NONE { None } else { Some(self.take(otherwise)?) };
        match (self.new_file_system(step, Some(target)), hosts) {
            (Err(Cause::Call(failure)), Some(hosts)) if failure.is(Errno::EPERM) => {
                self.detail.set(b"");
                let set = attributes | mount::ATTR_RDONLY;
                let propagation = mount::SLAVE;
                apply(&hosts, &Change { set, clear: 0, propagation, recursive: true })?;
                Ok(hosts)
            }
            (created, _) => created,
        }
    }

    /// The mount, attached nowhere.
    fn new_file_system(&mut self, step: &Step, target: Option<&Fd>) -> Done<Fd> {
        let Step::Mount { fstype, source, data, label, attributes, flags, server, .. } = *step
        else {
            return Err(Cause::Refused(Refusal::BadPlan));
        };
        let context = mount::open_context(self.str(fstype)?)?;
        let created: Done<Fd> = (|| {
            mount::configure(context.raw(), c"source", Some(self.str(source)?))?;
            if server != Slot::NONE {
                let number = decimal(self.look(server)?)?;
                mount::configure(context.raw(), c"fd", Some(number.as_c_str()))?;
            }
            self.parameters(&context, data)?;
            if let Some(target) = target.filter(|_| flags & flag::INHERIT_MODE != 0) {
                configure(context.raw(), mode_of(target)?.as_c_str())?;
            }
            // What is to be filled becomes read-only when it is.
            let not_yet = if is_filled(flags, label) { mount::ATTR_RDONLY } else { 0 };
            let attributes = attributes & !not_yet;
            Ok(mount::create(context.raw(), attributes)?)
        })();
        if created.is_err() {
            // The kernel says in words which parameter it did not like.
            self.detail.push_log(context.raw());
        }
        let tree = created?;
        if label.len > 0 {
            label_root(tree.raw(), self.str(label)?)?;
        }
        Ok(tree)
    }

    /// Sets parameters of a file system; the detail of a fault names the one that is refused.
    fn parameters(&mut self, context: &Fd, data: List) -> Done {
        for i in 0..data.count {
            let parameter = self.item(data, i)?;
            if let Err(cause) = configure(context.raw(), parameter) {
                let words = parameter.to_bytes();
                self.detail.push(b"o ");
                // Its beginning names it, and leaves room for what the kernel says.
                self.detail.push(words.get(..200).unwrap_or(words));
                self.detail.push(b"\n");
                return Err(cause);
            }
        }
        Ok(())
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
        if status.is_symlink() && flags & flag::COPY_LINK != 0 {
            return self.copy_link(&tree, target);
        }
        let leaf = if status.is_dir() { Leaf::Dir } else { Leaf::File };
        let target = self.mount_point(target, leaf, flags)?;
        let slave = if slave { mount::SLAVE } else { 0 };
        apply(&tree, &Change { propagation: slave, recursive: true, ..Default::default() })?;
        if flags & flag::INHERIT_MODE != 0 {
            let root = path::open(tree.raw(), c".", O_DIRECTORY, 0, Resolve::Beneath)?;
            path::set_mode(root.raw(), file::status(target.raw())?.mode & PERMISSIONS)?;
        }
        if flags & flag::COPY_UP != 0 {
            super::copy_up::copy(target.raw(), tree.raw())?;
        }
        self.change(&tree, [set, clear], [set_all, clear_all])?;
        self.place(tree, &target, propagation, flags, keep)
    }

    /// A link like the one that a tree consists of.
    fn copy_link(&self, tree: &Fd, target: Str) -> Done {
        let (mut content, mut there) = ([0; 4097], [0; 4097]);
        path::read_link(tree.raw(), c"", &mut content[..4096])?;
        let (dir, name) = target::make_parent(self.root()?, self.str(target)?)?;
        let link = CStr::from_bytes_until_nul(&content).unwrap_or_default();
        match path::make_link(link, dir.raw(), name.as_c_str()) {
            Err(failure) if failure.is(Errno::EEXIST) => {}
            result => return Ok(result?),
        }
        match path::read_link(dir.raw(), name.as_c_str(), &mut there[..4096]) {
            Ok(_) if there == content => Ok(()),
            Err(failure) if !failure.is(Errno::EINVAL) => Err(failure.into()),
            _ => Err(Cause::Refused(Refusal::OtherFile)),
        }
    }

    /// Changes the attributes of a whole tree, and then of its topmost mount. Where the kernel
    /// forbids it, the detail of the fault says with which attributes that one is locked.
    fn change(
        &mut self,
        tree: &Fd,
        [set, clear]: [u32; 2],
        [set_all, clear_all]: [u32; 2],
    ) -> Done {
        let changed = apply(
            tree,
            &Change { set: set_all, clear: clear_all, propagation: 0, recursive: true },
        )
        .and_then(|()| apply(tree, &Change { set, clear, propagation: 0, recursive: false }));
        if let Err(Cause::Call(failure)) = changed
            && failure.is(Errno::EPERM)
        {
            let has = mount::attributes(tree.raw())?;
            self.detail.push(&has.to_ne_bytes());
        }
        changed
    }

    pub(super) fn remount(&mut self, step: &Step) -> Done {
        let Step::Remount { target, data, set, clear, set_all, clear_all, propagation, flags } =
            *step
        else {
            return Err(Cause::Refused(Refusal::BadPlan));
        };
        let mounted = target::open(self.root()?, self.str(target)?, Resolve::InRoot)?;
        count_changes(&mounted, flags)?;
        if data.count > 0 {
            let context = mount::pick_context(mounted.raw())?;
            let changed = self.parameters(&context, data);
            let changed = changed.and_then(|()| Ok(mount::reconfigure(context.raw())?));
            if changed.is_err() {
                self.detail.push_log(context.raw());
            }
            changed?;
        }
        self.change(&mounted, [set, clear], [set_all, clear_all])?;
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
        let (root, path) = (self.root()?, self.str(target)?);
        let target = if flags & flag::ON_LINK != 0 && !plain {
            target::make_unfollowed(root, path, leaf)?
        } else {
            target::make(root, path, leaf, resolve)?
        };
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

    pub(super) fn mask(&mut self, base: Slot, path: Str, null: Slot, label: Str) -> Done {
        let Some(target) = self.covered(base, path)? else { return Ok(()) };
        let is_dir = file::status(target.raw())?.is_dir();
        let known = if is_dir { &self.masks.directory } else { &self.masks.file };
        if let Some(known) = known {
            let copy = mount::clone_tree(known.raw(), c"", false, true)?;
            return Ok(mount::attach(copy.raw(), target.raw())?);
        }
        let first =
            if is_dir { empty_directory(self.str(label)?)? } else { self.null_device(null)? };
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

/// What only mount(2) can change, and only of what is attached: by way of the working directory,
/// as it takes no descriptor.
fn count_changes(mounted: &Fd, flags: u32) -> Done {
    if flags & (flag::COUNT_CHANGES | flag::NO_COUNT) == 0 {
        return Ok(());
    }
    path::enter_dir(mounted.raw())?;
    let has = |flag| flags & flag != 0;
    Ok(mount::count_changes(has(flag::COUNT_CHANGES), has(flag::LAZYTIME))?)
}

fn apply(tree: &Fd, change: &Change) -> Done {
    if change.is_empty() {
        return Ok(());
    }
    Ok(mount::change(tree.raw(), change)?)
}

/// Whether something is written to a new file system before it is attached.
fn is_filled(flags: u32, label: Str) -> bool {
    flags & flag::COPY_UP != 0 || label.len > 0
}

/// Labels the root directory of a mount. An attribute is set by a descriptor that can be read, which
/// that of a mount cannot.
fn label_root(tree: i32, label: &CStr) -> Done {
    let root = path::open(tree, c".", O_DIRECTORY, 0, Resolve::Beneath)?;
    Ok(path::set_attribute(root.raw(), c"security.selinux", label)?)
}

/// fsconfig with a parameter written as `key=value`, or as a flag. A value that is too long is the
/// directory of a layer, which an overlay opens at once: then it is the working directory.
fn configure(context: i32, parameter: &CStr) -> Done {
    let bytes = parameter.to_bytes_with_nul();
    let Some(split) = bytes.iter().position(|b| *b == b'=') else {
        return Ok(mount::configure(context, parameter, None)?);
    };
    let key = target::Path::new(bytes.get(..split).unwrap_or_default())?;
    let value = CStr::from_bytes_until_nul(bytes.get(split + 1..).unwrap_or_default());
    let value = value.unwrap_or_default();
    if value.count_bytes() > mount::LONGEST_VALUE {
        let flags = O_PATH | O_DIRECTORY;
        let dir = path::open(AT_FDCWD, value, flags, 0, Resolve::Anywhere)?;
        path::enter_dir(dir.raw())?;
        return Ok(mount::configure(context, key.as_c_str(), Some(c"."))?);
    }
    Ok(mount::configure(context, key.as_c_str(), Some(value))?)
}

/// The permission bits of a mode.
const PERMISSIONS: u32 = 0o7777;

/// `mode=` with the permissions of a directory, in octal digits.
fn mode_of(directory: &Fd) -> Done<target::Path> {
    let mode = file::status(directory.raw())?.mode & PERMISSIONS;
    let digits = [9, 6, 3, 0].map(|shift| b'0' + (mode >> shift & 7) as u8);
    let mut text = target::Path::new(b"mode=")?;
    text.push(&digits)?;
    Ok(text)
}

/// The number of a descriptor, in decimal digits.
fn decimal(number: i32) -> Done<target::Path> {
    let mut text = target::Path::new(b"")?;
    for power in (0..=number.max(1).ilog10()).rev() {
        text.push(&[b'0' + (number / 10_i32.pow(power) % 10) as u8])?;
    }
    Ok(text)
}

/// An empty read-only directory: a tmpfs with room for its root only, and a label if there is one.
fn empty_directory(label: &CStr) -> Done<Fd> {
    let context = mount::open_context(c"tmpfs")?;
    mount::configure(context.raw(), c"source", Some(c"tmpfs"))?;
    mount::configure(context.raw(), c"ro", None)?;
    mount::configure(context.raw(), c"nr_inodes", Some(c"2"))?;
    mount::configure(context.raw(), c"nr_blocks", Some(c"1"))?;
    if !label.is_empty() {
        mount::configure(context.raw(), c"context", Some(label))?;
    }
    Ok(mount::create(context.raw(), mount::ATTR_RDONLY)?)
}
