//! The container's root: where it comes from, how it becomes `/`, what it is at the end.

use super::{Done, Init};
use crate::message::{Cause, Refusal};
use crate::sys::path::{AT_FDCWD, O_DIRECTORY, O_PATH, O_RDONLY, O_WRONLY, Resolve};
use crate::sys::{Errno, Fd, file, mount, path};
use crate::wire::{Slot, Str};

impl Init {
    /// Attaches the copy of the rootfs at the rootfs' own path in this mount namespace, where hooks
    /// expect it; the directory there must be the one the runtime opened.
    pub(super) fn attach_root(&mut self, tree: Slot, path: Str, propagation: u32) -> Done {
        let tree = self.take(tree)?;
        if propagation != 0 {
            let change = mount::Change { propagation, recursive: true, ..Default::default() };
            mount::change(tree.raw(), &change)?;
        }
        let flags = O_PATH | O_DIRECTORY;
        let target = match path::open(AT_FDCWD, self.str(path)?, flags, 0, Resolve::Anywhere) {
            // The user namespace's root may not search the way there: its own root then serves,
            // which is covered and goes away in pivot_root.
            Err(failure) if failure.is(Errno::EACCES) => {
                path::open(AT_FDCWD, c"/", flags, 0, Resolve::Anywhere)?
            }
            result => {
                let found = result?;
                let (ours, theirs) = (file::status(tree.raw())?, file::status(found.raw())?);
                if (ours.device, ours.inode) != (theirs.device, theirs.inode) {
                    return Err(Cause::Refused(Refusal::NotTheRootfs));
                }
                found
            }
        };
        mount::attach(tree.raw(), target.raw())?;
        self.root = Some(tree);
        Ok(())
    }

    pub(super) fn use_root(&mut self, dir: Slot) -> Done {
        let flags = O_PATH | O_DIRECTORY;
        let own = || path::open(AT_FDCWD, c"/", flags, 0, Resolve::Anywhere);
        self.root = Some(if dir == Slot::NONE { own()? } else { self.take(dir)? });
        Ok(())
    }

    pub(super) fn pivot_root(&mut self) -> Done {
        let root = self.root()?;
        path::enter_dir(root)?;
        mount::pivot()?;
        // The old root now lies on top of the working directory.
        mount::detach(c".")?;
        Ok(path::enter_dir(root)?)
    }

    /// Moves the rootfs over `/` and makes it the root directory. The mounts of the host stay below
    /// it, so those that give power over the host go first.
    pub(super) fn move_root(&mut self) -> Done {
        detach_host_filesystems()?;
        let root = self.root()?;
        let top = path::open(AT_FDCWD, c"/", O_PATH | O_DIRECTORY, 0, Resolve::Anywhere)?;
        mount::attach(root, top.raw())?;
        self.change_root()
    }

    pub(super) fn change_root(&mut self) -> Done {
        path::enter_dir(self.root()?)?;
        Ok(mount::change_root()?)
    }

    pub(super) fn readonly_root(&mut self) -> Done {
        let change = mount::Change { set: mount::ATTR_RDONLY, ..Default::default() };
        Ok(mount::change(self.root()?, &change)?)
    }

    pub(super) fn root_propagation(&mut self, propagation: u32, recursive: bool) -> Done {
        let change = mount::Change { propagation, recursive, ..Default::default() };
        Ok(mount::change(self.root()?, &change)?)
    }

    /// Writes a file below the runtime's procfs, in this process's namespaces (of parameters, the
    /// kernel looks at the opener's). The only link on the way is procfs's own `thread-self`.
    pub(super) fn write_proc(&mut self, procfs: Slot, own: bool, path: Str, value: Str) -> Done {
        let procfs = self.look(procfs)?;
        let open_own = || {
            let flags = path::O_PATH | path::O_DIRECTORY;
            path::open(procfs, c"thread-self", flags, 0, Resolve::InRoot)
        };
        let thread = own.then(open_own).transpose()?;
        let dir = thread.as_ref().map_or(procfs, Fd::raw);
        let file = path::open(dir, self.str(path)?, O_WRONLY, 0, Resolve::Beneath)?;
        file::write(file.raw(), self.str(value)?.to_bytes())?;
        Ok(())
    }
}

/// Unmounts every procfs and sysfs of the host outside the rootfs: with a whole one in sight, the
/// kernel lets a process mount another, without the masks.
fn detach_host_filesystems() -> Done {
    let table = path::open(AT_FDCWD, c"/proc/self/mountinfo", O_RDONLY, 0, Resolve::Anywhere)?;
    let mut lines = super::home::Lines::new(table);
    let mut points = [super::target::Path::new(b"")?; 16];
    let mut count = 0;
    while let Some(line) = lines.next()? {
        if let (Some(point), Some(place)) = (host_filesystem(line), points.get_mut(count)) {
            *place = super::target::Path::new(point)?;
            count += 1;
        }
    }
    // The newest first, as the table lists a mount after what it lies on.
    for point in points.iter().take(count).rev() {
        match mount::detach(point.as_c_str()) {
            // Gone with one that it lay on, or the container's own behind another path.
            Err(failure) if failure.is(Errno::EINVAL) || failure.is(Errno::ENOENT) => {}
            result => result?,
        }
    }
    Ok(())
}

/// The mount point of a line of mountinfo, proc(5), that is procfs or sysfs at its usual place.
fn host_filesystem(line: &[u8]) -> Option<&[u8]> {
    let separator = line.windows(3).position(|window| window == b" - ")?;
    let (mount, kind) = line.split_at(separator);
    let kind = kind.get(3..)?;
    let known = kind.starts_with(b"proc ") || kind.starts_with(b"sysfs ");
    let point = mount.split(|b| *b == b' ').nth(4)?;
    (known && (point.starts_with(b"/proc") || point.starts_with(b"/sys"))).then_some(point)
}

/// Opens a tree for an init that stands in for a runtime without the privilege to do so.
impl Init {
    pub(super) fn open_tree(
        &mut self,
        path: Str,
        recursive: bool,
        follow: bool,
        into: Slot,
    ) -> Done {
        let tree: Fd = mount::clone_tree(AT_FDCWD, self.str(path)?, recursive, follow)?;
        self.keep(into, tree)
    }
}
