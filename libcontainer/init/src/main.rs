//! The entry of the init program: the stack pointer becomes a call, a panic becomes an abort.
//!
//! Compiled by build.rs, not by cargo; everything else of the program is in the modules, which the
//! library compiles too. Here stand only what may exist once in a program: `_start`, the panic
//! handler, and the memory functions that the compiler calls and that no libc provides.

#![no_std]
#![no_main]
#![deny(unsafe_code)]

mod message;
mod perform;
mod step;
#[allow(unsafe_code)]
mod sys;
mod wire;

#[allow(unsafe_code)]
mod start {
    //! The few functions the compiler and the kernel call by name.

    use core::arch::naked_asm;

    /// Where the kernel jumps to: an aligned stack, no frame pointer, and on to [`super::perform`].
    // SAFETY: the kernel enters here with a valid stack; the callee never returns.
    #[unsafe(no_mangle)]
    #[unsafe(naked)]
    extern "C" fn _start() -> ! {
        #[cfg(target_arch = "x86_64")]
        naked_asm!("xor ebp, ebp", "and rsp, -16", "call {run}", "ud2", run = sym run);
        #[cfg(target_arch = "aarch64")]
        naked_asm!("mov x29, xzr", "bl {run}", "brk #1", run = sym run);
        #[cfg(target_arch = "riscv64")]
        naked_asm!("li s0, 0", "andi sp, sp, -16", "call {run}", "ebreak", run = sym run);
    }

    extern "C" fn run() -> ! {
        super::perform::main()
    }

    /// A panic is a bug of init: it dies of SIGABRT's exit status, and the runtime says so.
    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        super::sys::process::exit(134)
    }

    /// memcpy(3).
    // SAFETY: the name is defined once, and the contract is the C function's.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the caller says that both ranges are valid; the direction flag is clear (psABI).
        unsafe {
            core::arch::asm!("rep movsb", inout("rcx") len => _, inout("rdi") to => _,
                inout("rsi") from => _, options(nostack, preserves_flags));
        }
        #[cfg(not(target_arch = "x86_64"))]
        for i in 0..len {
            // SAFETY: as above. Volatile, or the compiler would recognise the loop and call memcpy.
            unsafe { to.add(i).write_volatile(from.add(i).read_volatile()) };
        }
        to
    }

    /// memmove(3).
    // SAFETY: as for memcpy.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
        if to.addr() <= from.addr() || to.addr() >= from.addr() + len {
            // SAFETY: ascending order is right unless the target begins inside the source.
            return unsafe { memcpy(to, from, len) };
        }
        for i in (0..len).rev() {
            // SAFETY: the caller says that both ranges are valid.
            unsafe { to.add(i).write_volatile(from.add(i).read_volatile()) };
        }
        to
    }

    /// memset(3).
    // SAFETY: as for memcpy.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as for memcpy.
        unsafe {
            core::arch::asm!("rep stosb", inout("rcx") len => _, inout("rdi") to => _,
                in("al") byte as u8, options(nostack, preserves_flags));
        }
        #[cfg(not(target_arch = "x86_64"))]
        for i in 0..len {
            // SAFETY: the caller says that the range is valid.
            unsafe { to.add(i).write_volatile(byte as u8) };
        }
        to
    }

    /// memcmp(3).
    // SAFETY: as for memcpy.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
        for i in 0..len {
            // SAFETY: the caller says that both ranges are valid.
            let (x, y) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
            if x != y {
                return i32::from(x) - i32::from(y);
            }
        }
        0
    }

    /// bcmp(3): what the compiler calls for equality.
    // SAFETY: as for memcpy.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
        // SAFETY: the same contract.
        unsafe { memcmp(a, b, len) }
    }
}
