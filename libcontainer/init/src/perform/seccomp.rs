//! The filter of system calls, and the listener that it may have.
//!
//! A filter that asks a listener may do so about any call, and nobody listens before the listener's
//! descriptor is in the right hands. So init makes no call between loading and that moment: it says
//! beforehand which number the descriptor will have, whoever starts it takes it from there
//! (pidfd_getfd(2)), and init watches a byte of memory that they share.

use core::sync::atomic::Ordering;

use super::{Done, Init};
use crate::message::{Cause, Message, Refusal};
use crate::sys::memfd::{self, Use};
use crate::sys::{Errno, Failure, Nr, file, map, seccomp};
use crate::wire::Numbers;

/// How often the byte is looked at before init gives up: some seconds of a processor.
const LOOKS: u32 = 1 << 28;

impl Init {
    pub(super) fn load_filter(&self, program: Numbers, flags: u32) -> Done {
        Ok(seccomp::set_filter(self.program_of(program)?, flags).map(drop)?)
    }

    pub(super) fn load_filter_with_listener(&self, program: Numbers, flags: u32) -> Done {
        let program = self.program_of(program)?;
        let gate = memfd::create(c"keel-gate", Use::Data)?;
        file::write(gate.raw(), &[0])?;
        let taken = map::shared_byte(gate.raw())?;
        // The lowest number that is free: the listener gets it.
        let number = file::duplicate(gate.raw(), 0)?.raw();
        self.tell(&Message::Filter(number), &[gate.raw()])?;
        let listener = seccomp::set_filter(program, flags)?;
        let mut looks = 0..LOOKS;
        let taken = looks.any(|_| {
            core::hint::spin_loop();
            taken.load(Ordering::Acquire) != 0
        });
        // Otherwise nobody listens, and the program is not executed.
        let failed = Failure { call: Nr::Seccomp, errno: Errno::EAGAIN };
        if taken && listener == number { Ok(()) } else { Err(Cause::Call(failed)) }
    }

    fn program_of(&self, program: Numbers) -> Done<&'static [u8]> {
        self.plan.bytes(program).ok_or(Cause::Refused(Refusal::BadPlan))
    }
}
