//! The container's program: its directory, its descriptors, and becoming it.

use core::ffi::CStr;

use super::target::{self, Leaf};
use super::{Done, Init, unblock_signals};
use crate::message::{Cause, Message, Refusal};
use crate::sys::path::{self, AT_FDCWD, O_DIRECTORY, O_PATH, Resolve};
use crate::sys::{Errno, exec, file, map, process};
use crate::wire::{List, Slot, Str};

/// The first descriptor that is not a standard stream.
const FIRST: i32 = 3;

impl Init {
    /// Changes into a directory below the root. The early attempt has the runtime's privileges, the
    /// late one the user's: one of them must succeed.
    pub(super) fn working_dir(&mut self, path: Str, create: bool, early: bool) -> Done {
        if self.working_dir_set {
            return Ok(());
        }
        let (root, path) = (self.root()?, self.str(path)?);
        let opened = match path::open(root, path, O_PATH | O_DIRECTORY, 0, Resolve::InRoot) {
            Err(failure) if failure.is(Errno::ENOENT) && create => {
                target::make(root, path, Leaf::Dir, Resolve::InRoot)
            }
            result => result.map_err(Cause::from),
        };
        let entered = opened.and_then(|dir| Ok(path::enter_dir(dir.raw())?));
        match entered {
            Err(Cause::Call(failure)) if early && failure.is(Errno::EACCES) => return Ok(()),
            result => result?,
        }
        if !path::working_dir_is_reachable()? {
            return Err(Cause::Refused(Refusal::OutsideRoot));
        }
        self.working_dir_set = true;
        Ok(())
    }

    /// execvp(3)'s search, done while an error still reaches whoever creates the container.
    pub(super) fn find_program(&mut self, candidates: List) -> Done {
        let mut found = Err(Cause::Refused(Refusal::NotInPath));
        for i in 0..candidates.count {
            let candidate = self.item(candidates, i)?;
            let seen = examine(candidate);
            if seen.is_ok() {
                self.program = Some(candidate);
                return Ok(());
            }
            // A candidate that may not be executed says more than the last that does not exist;
            // a single one (a path) speaks for itself.
            let missing = matches!(seen, Err(Cause::Call(failure)) if is_missing(failure.errno));
            if !missing || candidates.count == 1 {
                found = found_or_first(found, seen);
            }
        }
        found
    }

    /// Gives the slots their numbers in the program. Everything else of init is closed by exec.
    pub(super) fn place_descriptors(&mut self, first: Slot, count: u32) -> Done {
        let above = FIRST + count as i32;
        // First all out of the way of 3, 4, …: sources, and the socket that reports a failing exec.
        self.socket = file::duplicate(self.socket.raw(), above)?;
        let range = usize::from(first.0)..usize::from(first.0) + count as usize;
        for (i, slot) in self.slots.iter_mut().enumerate() {
            if let (Some(fd), true) = (slot.as_ref(), range.contains(&i)) {
                *slot = Some(file::duplicate(fd.raw(), above)?);
            } else {
                *slot = None;
            }
        }
        self.root = None;
        self.masks = Default::default();
        for i in 0..count {
            let source = self.take(Slot(first.0 + i as u16))?;
            file::duplicate_to(source.raw(), FIRST + i as i32, false)?;
        }
        Ok(file::close_from_at_exec(above as u32)?)
    }

    /// Everything that takes a system call, as a filter may forbid them from here on.
    pub(super) fn get_ready(&mut self, args: List, env: List, home: bool, listen: bool) -> Done {
        let args = Pointers::new(self, args, 0)?;
        let mut env = Pointers::new(self, env, 2)?;
        if home {
            env.push(self.home.as_c_str());
        }
        if listen {
            env.push(self.listen_pid.insert(ListenPid::new(process::id())).as_c_str());
        }
        self.ready = Some((args, env));
        unblock_signals()?;
        // What follows can only be a fault, or the end of the stream: the program runs.
        self.tell(&Message::Arrived, &[])
    }

    pub(super) fn exec(&mut self) -> Done {
        let bad = Cause::Refused(Refusal::BadPlan);
        let program = self.program.ok_or(bad)?;
        let (args, env) = self.ready.as_ref().ok_or(bad)?;
        Err(Cause::Call(exec::exec(program, args.as_slice(), env.as_slice())))
    }
}

fn is_missing(errno: Errno) -> bool {
    errno == Errno::ENOENT || errno == Errno::ENOTDIR
}

fn found_or_first(found: Done, seen: Done) -> Done {
    if found == Err(Cause::Refused(Refusal::NotInPath)) { seen } else { found }
}

/// Whether this process may execute a file.
fn examine(candidate: &CStr) -> Done {
    let status = file::status_at(AT_FDCWD, candidate, 0)?;
    if !status.is_file() {
        return Err(Cause::Refused(Refusal::NotExecutable));
    }
    Ok(path::may_execute(AT_FDCWD, candidate)?)
}

/// A list of C strings as execve(2) takes it: addresses, and a zero at the end.
pub(super) struct Pointers {
    words: &'static mut [usize],
    len: usize,
}

impl Pointers {
    /// The strings of a list, with room for `extra` more.
    pub(super) fn new(init: &Init, list: List, extra: usize) -> Done<Self> {
        let words = map::words(list.count as usize + extra + 1)?;
        let mut pointers = Self { words, len: 0 };
        for i in 0..list.count {
            pointers.push(init.item(list, i)?);
        }
        Ok(pointers)
    }

    /// Appends a string that must live until exec.
    pub(super) fn push(&mut self, text: &CStr) {
        if let Some(place) = self.words.get_mut(self.len) {
            *place = exec::pointer(text);
            self.len += 1;
        }
    }

    pub(super) fn as_slice(&self) -> &[usize] {
        self.words.get(..=self.len).unwrap_or(&[0])
    }
}

/// `LISTEN_PID=<pid>`, sd_listen_fds(3): only init knows its pid inside the container.
pub(super) struct ListenPid([u8; 24]);

impl ListenPid {
    fn new(pid: i32) -> Self {
        let mut text = *b"LISTEN_PID=\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let digits = pid.max(1).ilog10() as usize + 1;
        let mut rest = pid;
        for i in (0..digits).rev() {
            text[11 + i] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        Self(text)
    }

    fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}
