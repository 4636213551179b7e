//! Hooks that run inside: createContainer in the container's namespaces before its root is entered,
//! startContainer in the container itself.

use super::program::Pointers;
use super::{Done, Init, unblock_signals};
use crate::message::{Cause, Refusal};
use crate::sys::pidfd::{self, Ended};
use crate::sys::{exec, file, memfd, process};
use crate::wire::{List, Slot, Str};

const SIGKILL: i32 = 9;

impl Init {
    /// Runs one hook and waits for it. What it printed is told when it fails.
    pub(super) fn hook(
        &mut self,
        path: Str,
        args: List,
        env: List,
        timeout: u32,
        [state, stdout, stderr]: [Slot; 3],
    ) -> Done {
        let program = self.str(path)?;
        let state = self.look(state)?;
        let output = memfd::create(c"hook-output", memfd::Use::Data)?;
        let stream = |slot| if slot == Slot::NONE { Ok(output.raw()) } else { self.look(slot) };
        let streams = [state, stream(stdout)?, stream(stderr)?];
        let argv = Pointers::new(self, args, 0)?;
        let env = Pointers::new(self, env, 0)?;
        // Several hooks read the one document; each from its start.
        file::rewind(state)?;
        match process::fork(false)? {
            process::Fork::Child => {
                let ready = prepare(streams);
                if let Err(cause) = ready {
                    process::exit(status_of(cause));
                }
                let failure = exec::exec(program, argv.as_slice(), env.as_slice());
                process::exit(status_of(Cause::Call(failure)))
            }
            process::Fork::Parent(_, pidfd) => {
                let milliseconds = (timeout > 0).then(|| u64::from(timeout) * 1000);
                let both = [pidfd.raw(), self.socket.raw()];
                let [in_time, abandoned] = file::wait_either(both, milliseconds)?;
                if !in_time {
                    pidfd::send_signal(pidfd.raw(), SIGKILL)?;
                }
                if abandoned && !in_time {
                    // Nobody waits for this container any more.
                    process::exit(0);
                }
                let ended = pidfd::wait(pidfd.raw())?;
                self.judge(in_time, ended, output.raw())
            }
        }
    }

    fn judge(&mut self, in_time: bool, ended: Ended, output: i32) -> Done {
        if !in_time {
            return Err(Cause::Refused(Refusal::HookTimedOut));
        }
        if ended == Ended::Exited(0) {
            return Ok(());
        }
        // The detail's first byte is the exit status, or the signal with the high bit; what follows
        // is the hook's output.
        file::rewind(output)?;
        self.detail.text[0] = match ended {
            Ended::Exited(status) => (status & 0x7f) as u8,
            Ended::Killed(signal) => (signal & 0x7f) as u8 | 0x80,
        };
        let len = file::read(output, &mut self.detail.text[1..]).unwrap_or(0);
        self.detail.len = 1 + len;
        Err(Cause::Refused(Refusal::HookFailed))
    }
}

/// The hook's streams: the state document, and places for what it prints.
fn prepare(streams: [i32; 3]) -> Done {
    for (fd, to) in streams.into_iter().zip(0..) {
        file::duplicate_to(fd, to, false)?;
    }
    file::close_from_at_exec(3)?;
    unblock_signals()
}

/// The exit status of a hook that could not be executed, as a shell gives it.
fn status_of(cause: Cause) -> i32 {
    match cause {
        Cause::Call(failure) if failure.is(crate::sys::Errno::ENOENT) => 127,
        _ => 126,
    }
}
