//! The container's terminal: a pseudoterminal of its own devpts.
//!
//! No name is trusted after the multiplexer is opened: it must be ptmx of a devpts, the other side
//! comes from the master itself (CVE-2025-52565), and /dev/console is a file that init makes or
//! finds without following a link (CVE-2026-88264).

use super::target;
use super::{Done, Init};
use crate::message::{Cause, Message, Refusal};
use crate::sys::path::{self, FileSystem, O_NOCTTY, O_NOFOLLOW, O_PATH, O_RDWR, Resolve};
use crate::sys::{Errno, file, mount, pty};

impl Init {
    pub(super) fn console(&mut self, (rows, columns): (u32, u32), uid: u32, bind: bool) -> Done {
        let root = self.root()?;
        let flags = O_RDWR | O_NOCTTY | O_NOFOLLOW;
        let master = path::open(root, c"/dev/pts/ptmx", flags, 0, Resolve::InRootNoLinks)?;
        let real = path::file_system(master.raw())? == FileSystem::DEVPTS
            && file::status(master.raw())?.is_char_device(5, 2);
        if !real {
            return Err(Cause::Refused(Refusal::NotATerminal));
        }
        pty::unlock(master.raw())?;
        let terminal = pty::peer(master.raw())?;
        if rows != 0 || columns != 0 {
            pty::set_size(terminal.raw(), rows as u16, columns as u16)?;
        }
        match path::set_owner(terminal.raw(), uid, u32::MAX) {
            // The user's id is not mapped in the user namespace that owns the devpts.
            Err(failure) if failure.is(Errno::EINVAL) || failure.is(Errno::EPERM) => {}
            result => result?,
        }
        if bind {
            self.bind_console(terminal.raw())?;
        }
        self.tell(&Message::Console, &[master.raw()])?;
        for stream in 0..3 {
            file::duplicate_to(terminal.raw(), stream, false)?;
        }
        Ok(())
    }

    fn bind_console(&self, terminal: i32) -> Done {
        let (dir, name) = target::make_parent(self.root()?, c"/dev/console")?;
        let flags = O_PATH | O_NOFOLLOW;
        let open = || path::open(dir.raw(), name.as_c_str(), flags, 0, Resolve::Beneath);
        let target = match open() {
            Err(failure) if failure.is(Errno::ENOENT) => {
                target::make_file(dir.raw(), name.as_c_str())?;
                open()?
            }
            result => result?,
        };
        let status = file::status(target.raw())?;
        if status.is_symlink() || status.is_dir() {
            return Err(Cause::Refused(Refusal::OtherFile));
        }
        let tree = mount::clone_tree(terminal, c"", false, true)?;
        Ok(mount::attach(tree.raw(), target.raw())?)
    }
}
