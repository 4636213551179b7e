//! Starting the init program, or one of the host's: clone3(2) with CLONE_VM and CLONE_VFORK, then
//! execveat(2).
//!
//! The child shares the host program's memory until it executes, while the host's thread is
//! suspended, so that starting takes the same few microseconds whatever the host's size. In the
//! child there is no thread pointer of its own, so nothing of libc or std may be called: it runs
//! the system calls below and nothing else, with all signals blocked and handlers reset.
//!
//! It must never change its ids or oom score there: dumpable and oom_score_adj belong to the
//! shared memory, and the host's would change. Raising ambient capabilities does not touch them.

use core::arch::naked_asm;
use core::ffi::CStr;
use core::mem::MaybeUninit;

use super::path::AT_FDCWD;
use super::raw::{self, Errno, Failure, Nr, Result, address};
use super::{Fd, caps, file, process, signal};

/// The descriptor of the plan in init.
pub const PLAN: i32 = 3;
/// The descriptor of the socket to the runtime in init.
pub const SOCKET: i32 = 4;
/// Standard streams, plan and socket.
const HANDED_OVER: usize = 5;
/// The most arguments of a program: newuidmap(1) has its name, a pid, and three numbers for each of
/// the 340 ranges that the kernel takes.
const ARGUMENTS: usize = 1024;

/// What to execute.
#[derive(Debug, Clone, Copy)]
pub enum Program<'a> {
    /// An open file: a sealed memfd, or one without a name.
    Open(i32),
    /// A path of the host.
    At(&'a CStr),
}

/// What to start a program with. Its environment is empty.
#[derive(Debug, Clone, Copy)]
pub struct Spawn<'a> {
    /// The program.
    pub program: Program<'a>,
    /// Its arguments, with its name as the first.
    pub arguments: &'a [&'a CStr],
    /// The signals that are blocked when it begins, bit n - 1 for signal n.
    pub blocked: u64,
    /// Namespaces to create: `CLONE_NEW*` of clone(2), without the time namespace.
    pub namespaces: u32,
    /// A cgroup v2 directory to be born in.
    pub cgroup: Option<i32>,
    /// Raise all permitted capabilities into the ambient set first: otherwise a process whose user
    /// id is not mapped to root (a new user namespace, or no root at all) loses them at exec.
    pub keep_capabilities: bool,
    /// What becomes 0, 1, 2, [`PLAN`] and [`SOCKET`] in it; nothing from a negative number on.
    pub descriptors: [i32; HANDED_OVER],
}

/// The process that was started.
#[derive(Debug)]
pub struct Spawned {
    /// Its pid in this process's PID namespace.
    pub pid: i32,
    /// Its pidfd.
    pub pidfd: Fd,
}

/// What parent and child share; the child writes `failure` before it gives up.
struct Shared<'a> {
    spawn: Spawn<'a>,
    /// The addresses of the arguments, and 0.
    argv: [usize; ARGUMENTS + 1],
    failure: Option<Failure>,
}

/// struct clone_args.
#[repr(C)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// The child's stack; its frames are small and the kernel's signal frames never come.
#[repr(C, align(16))]
struct Stack(MaybeUninit<[u8; 16 * 1024]>);

/// Starts the program and returns once it executes.
///
/// The call that failed is named in the error: clone3 (the namespaces), prctl or capset (ambient
/// capabilities), dup3, close_range or execveat (the program).
pub fn spawn(spawn: &Spawn<'_>) -> Result<Spawned> {
    let mut spawn = *spawn;
    // Sources are moved out of the way of the targets 0..=4, or one dup3 would replace the source
    // of a later one.
    let moved = spawn.descriptors.map(|fd| {
        (0..HANDED_OVER as i32)
            .contains(&fd)
            .then(|| file::duplicate(fd, HANDED_OVER as i32))
            .transpose()
    });
    for (moved, source) in moved.iter().zip(&mut spawn.descriptors) {
        match moved {
            Ok(Some(fd)) => *source = fd.raw(),
            Ok(None) => {}
            Err(failure) => return Err(*failure),
        }
    }
    let moved = match spawn.program {
        Program::Open(fd) if fd < HANDED_OVER as i32 => {
            Some(file::duplicate(fd, HANDED_OVER as i32)?)
        }
        _ => None,
    };
    if let Some(program) = &moved {
        spawn.program = Program::Open(program.raw());
    }
    let blocked = signal::set_mask(u64::MAX)?;
    let result = clone_and_exec(spawn);
    let _ = signal::set_mask(blocked);
    result
}

fn clone_and_exec(spawn: Spawn<'_>) -> Result<Spawned> {
    const CLONE_VM: u64 = 0x100;
    const CLONE_PIDFD: u64 = 0x1000;
    const CLONE_VFORK: u64 = 0x4000;
    const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    const SIGCHLD: u64 = 17;
    let mut stack = Stack(MaybeUninit::uninit());
    let mut pidfd: i32 = -1;
    let mut shared = Shared { spawn, argv: [0; ARGUMENTS + 1], failure: None };
    if spawn.arguments.len() > ARGUMENTS {
        return Err(Failure { call: Nr::Execveat, errno: Errno::E2BIG });
    }
    for (place, argument) in shared.argv.iter_mut().zip(spawn.arguments) {
        *place = address(argument.as_ptr());
    }
    let into = if spawn.cgroup.is_some() { CLONE_INTO_CGROUP } else { 0 };
    let args = CloneArgs {
        flags: CLONE_VM
            | CLONE_VFORK
            | CLONE_PIDFD
            | CLONE_CLEAR_SIGHAND
            | into
            | u64::from(spawn.namespaces),
        pidfd: address(&raw mut pidfd) as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: SIGCHLD,
        stack: address(&raw mut stack) as u64,
        stack_size: size_of::<Stack>() as u64,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: spawn.cgroup.unwrap_or(0) as u64,
    };
    // SAFETY: the stack, the arguments and `shared` live in this frame, which is suspended
    // (CLONE_VFORK) until the child has executed or exited. `child` never returns.
    let returned =
        unsafe { clone3(&raw const args, size_of::<CloneArgs>(), child, &raw mut shared) };
    if returned < 0 {
        return Err(Failure { call: Nr::Clone3, errno: Errno(-returned as i32) });
    }
    let spawned = Spawned { pid: returned as i32, pidfd: Fd::new(pidfd as usize) };
    // SAFETY: `shared` was written by the child through the pointer; a volatile read sees it.
    match unsafe { (&raw const shared.failure).read_volatile() } {
        None => Ok(spawned),
        Some(failure) => {
            // It has exited; what remains is to collect it. A host that ignores SIGCHLD has none.
            let _ = super::pidfd::wait(spawned.pidfd.raw());
            Err(failure)
        }
    }
}

/// The child: it shares the host's memory and has no thread pointer.
extern "C" fn child(shared: *mut Shared<'_>) -> ! {
    // SAFETY: the parent is suspended and its frame with `shared` is alive.
    let shared = unsafe { &mut *shared };
    shared.failure = Some(execute(&shared.spawn, &shared.argv));
    process::exit(127)
}

fn execute(spawn: &Spawn<'_>, argv: &[usize; ARGUMENTS + 1]) -> Failure {
    const AT_EMPTY_PATH: usize = 0x1000;
    let prepared = prepare(spawn);
    if let Err(failure) = prepared {
        return failure;
    }
    let (dir, path, flags) = match spawn.program {
        Program::Open(fd) => (fd, c"", AT_EMPTY_PATH),
        Program::At(path) => (AT_FDCWD, path, 0),
    };
    let env = [0usize];
    let (argv, env) = (address(argv.as_ptr()), address(env.as_ptr()));
    let args = [dir as usize, address(path.as_ptr()), argv, env, flags, 0];
    let mut tries = 0;
    loop {
        // SAFETY: see the module `sys`; both lists end with 0.
        match unsafe { raw::call(Nr::Execveat, args) } {
            // Another thread of the host forked while it held a writable descriptor of the file
            // (only where a memfd cannot be executed and a file serves instead).
            Err(failure) if failure.is(Errno::ETXTBSY) && tries < 1000 => tries += 1,
            Err(failure) => return failure,
            Ok(_) => return Failure { call: Nr::Execveat, errno: Errno::EIO },
        }
    }
}

fn prepare(spawn: &Spawn<'_>) -> Result<()> {
    if spawn.keep_capabilities {
        let sets = caps::get()?;
        caps::set(&caps::Sets { inheritable: sets.permitted, ..sets })?;
        caps::raise_ambient(sets.permitted)?;
    }
    let mut free = 0;
    for source in spawn.descriptors.iter().take_while(|source| **source >= 0) {
        file::duplicate_to(*source, free, false)?;
        free += 1;
    }
    // No handler of the host is left to run in its memory.
    signal::set_mask(spawn.blocked)?;
    // Marked, not closed: a close can block (a network file system's flush) while the host's
    // thread waits; at exec the host is released first.
    file::close_from_at_exec(free as u32)
}

/// clone3(2) whose child continues in `child(shared)` on its own stack.
#[unsafe(naked)]
unsafe extern "C" fn clone3(
    args: *const CloneArgs,
    size: usize,
    child: extern "C" fn(*mut Shared<'_>) -> !,
    shared: *mut Shared<'_>,
) -> isize {
    #[cfg(target_arch = "x86_64")]
    naked_asm!(
        "mov r8, rdx",
        "mov r9, rcx",
        "mov eax, {number}",
        "syscall",
        "test rax, rax",
        "jnz 2f",
        "xor ebp, ebp",
        "mov rdi, r9",
        "call r8",
        "ud2",
        "2: ret",
        number = const Nr::Clone3.number(),
    );
    #[cfg(target_arch = "aarch64")]
    naked_asm!(
        "mov x8, {number}",
        "svc 0",
        "cbnz x0, 2f",
        "mov x29, xzr",
        "mov x0, x3",
        "blr x2",
        "brk #1",
        "2: ret",
        number = const Nr::Clone3.number(),
    );
    #[cfg(target_arch = "riscv64")]
    naked_asm!(
        "li a7, {number}",
        "ecall",
        "bnez a0, 2f",
        "li s0, 0",
        "mv a0, a3",
        "jalr a2",
        "ebreak",
        "2: ret",
        number = const Nr::Clone3.number(),
    );
}
