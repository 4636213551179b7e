//! Walking the plan: init's whole life.
//!
//! [`main`] maps the plan, performs its steps one after the other, and reports the first that
//! fails to the runtime as `{step, cause}`; the runtime owns the prose. Nothing is decided here:
//! a step may tolerate what its description says, and no more. The modules hold one kind of step
//! each. It must never allocate, format, log or unwind.

mod console;
mod copy_up;
mod files;
mod home;
mod hooks;
mod identity;
mod landlock;
mod mounts;
mod notify;
mod program;
mod root;
mod scheduling;
mod seccomp;
mod target;

use core::ffi::CStr;

use crate::message::{Cause, DETAIL, Fault, MAX, Message, Refusal};
use crate::step::Step;
use crate::sys::spawn::{PLAN, SOCKET};
use crate::sys::{Fd, file, map, namespace, net, process, signal, socket};
use crate::wire::{HEADER, List, Numbers, PlanBytes, Slot, Str};

/// How many descriptors init holds for its steps. The runtime hands over binds in portions, so that
/// a thousand of them need no more.
pub const SLOTS: usize = 512;

/// What performing a step returns.
type Done<T = ()> = core::result::Result<T, Cause>;

impl From<crate::sys::Failure> for Cause {
    fn from(failure: crate::sys::Failure) -> Self {
        Self::Call(failure)
    }
}

/// Init: the plan, and what steps leave for later ones.
struct Init {
    plan: PlanBytes<'static>,
    /// To the runtime; from [`Step::AwaitStart`] on to whoever started the container.
    socket: Fd,
    slots: [Option<Fd>; SLOTS],
    /// The container's root, once it is known.
    root: Option<Fd>,
    masks: mounts::Masks,
    home: home::Home,
    /// The program that [`Step::FindProgram`] found.
    program: Option<&'static CStr>,
    /// Its arguments and environment, made ready by [`Step::Ready`].
    ready: Option<(program::Pointers, program::Pointers)>,
    listen_pid: Option<program::ListenPid>,
    working_dir_set: bool,
    /// The umask init was started with.
    callers_umask: u32,
    /// More about a failure than its errno.
    detail: Detail,
}

/// Text beside a fault.
struct Detail {
    text: [u8; DETAIL],
    len: usize,
}

impl Detail {
    /// Replaces the text, by as much of another as there is room for.
    fn set(&mut self, text: &[u8]) {
        self.len = 0;
        self.push(text);
    }

    /// Appends bytes, as many as there is room for.
    fn push(&mut self, bytes: &[u8]) {
        for (place, byte) in self.text.iter_mut().skip(self.len).zip(bytes) {
            *place = *byte;
            self.len += 1;
        }
    }

    /// Appends what the kernel has to say of a file system, a message with each read(2), fsopen(2).
    fn push_log(&mut self, context: i32) {
        while let Some(room) = self.text.get_mut(self.len..).filter(|room| !room.is_empty()) {
            match file::read(context, room) {
                Ok(len) if len > 0 => self.len += len,
                _ => return,
            }
            self.push(b"\n");
        }
    }
}

/// The program: performs the plan on descriptor 3, in talk with the runtime on descriptor 4.
pub fn main() -> ! {
    let _ = process::set_name(c"keel-init");
    signal::default_actions();
    let Some(plan) = read_plan(&Fd::inherited(PLAN)) else { process::exit(125) };
    // The number 4 may belong to the container, so the socket moves up, out of its way.
    let socket = {
        let given = Fd::inherited(SOCKET);
        file::duplicate(given.raw(), SOCKET + 1)
    };
    let Ok(socket) = socket else { process::exit(125) };
    let mut init = Init {
        plan,
        socket,
        slots: [const { None }; SLOTS],
        root: None,
        masks: mounts::Masks::default(),
        home: home::Home::default(),
        program: None,
        ready: None,
        listen_pid: None,
        working_dir_set: false,
        // Modes of what init makes are the configuration's, whatever the caller's umask.
        callers_umask: process::set_umask(0).unwrap_or(0o022),
        detail: Detail { text: [0; DETAIL], len: 0 },
    };
    for index in 0..init.plan.len() {
        let step = init.plan.words(index).and_then(Step::decode);
        let done = step.map_or(Err(Cause::Refused(Refusal::BadPlan)), |step| init.perform(&step));
        if let Err(cause) = done {
            init.report(index as u32, cause);
            process::exit(1);
        }
    }
    // The last step of every plan executes a program, or ends init.
    process::exit(125)
}

fn read_plan(fd: &Fd) -> Option<PlanBytes<'static>> {
    let mut header = [0; HEADER];
    if file::read(fd.raw(), &mut header) != Ok(HEADER) {
        return None;
    }
    let len = PlanBytes::announced_len(&header)?;
    PlanBytes::new(map::read_only(fd.raw(), len).ok()?)
}

impl Init {
    /// Performs one step.
    fn perform(&mut self, step: &Step) -> Done {
        match *step {
            Step::Await { first, count } => self.wait_for_go(first, count),
            Step::Arrive {} => self.tell(&Message::Arrived, &[]),
            Step::JoinNamespace { namespace, kind, keep_groups } => {
                self.join(namespace, kind, keep_groups)
            }
            Step::Unshare { namespaces } => Ok(namespace::unshare(namespaces)?),
            Step::EnterPidNamespace {} => self.fork_into_pid_namespace(),
            Step::BecomeRoot {} => identity::become_root(),
            Step::Conceal {} => Ok(process::set_dumpable(false)?),
            Step::NewSession {} => Ok(process::new_session()?),
            Step::Hostname { name } => Ok(namespace::set_hostname(self.str(name)?)?),
            Step::Domainname { name } => Ok(namespace::set_domainname(self.str(name)?)?),
            Step::LoopbackUp {} => Ok(net::loopback_up()?),
            Step::SessionKeyring { name } => identity::join_keyring(self.str(name)?),
            Step::WriteProc { procfs, own, path, value } => {
                self.write_proc(procfs, own, path, value)
            }
            Step::Close { slot } => self.take(slot).map(drop),
            Step::SlaveMounts {} => Ok(crate::sys::mount::make_all_slaves()?),
            Step::AttachRoot { tree, path, propagation } => {
                self.attach_root(tree, path, propagation)
            }
            Step::UseRoot { dir } => self.use_root(dir),
            Step::OpenTree { path, recursive, follow, into } => {
                self.open_tree(path, recursive, follow, into)
            }
            Step::Mount { .. } => self.mount(step),
            Step::Bind { .. } => self.bind(step),
            Step::Remount { .. } => self.remount(step),
            Step::Unmount { target } => self.unmount(target),
            Step::NotifySocket { dir, name, into } => self.bind_notify_socket(dir, name, into),
            Step::SendNotifySocket { socket } => self.send_notify_socket(socket),
            Step::MakeReadonly { mount } => self.make_readonly(mount),
            Step::Link { content, path, only_if, replace } => {
                self.link(content, path, only_if, replace)
            }
            Step::Device { path, mode, major, minor, uid, gid } => {
                self.device(path, mode, (major, minor), (uid, gid))
            }
            Step::Mask { base, path, null, label } => self.mask(base, path, null, label),
            Step::ReadonlyPath { base, path } => self.readonly_path(base, path),
            Step::ReadonlyRoot {} => self.readonly_root(),
            Step::RootPropagation { propagation, recursive } => {
                self.root_propagation(propagation, recursive)
            }
            Step::PivotRoot {} => self.pivot_root(),
            Step::MoveRoot {} => self.move_root(),
            Step::ChangeRoot {} => self.change_root(),
            Step::Console { rows, columns, uid, bind } => self.console((rows, columns), uid, bind),
            Step::ControlTerminal {} => Ok(crate::sys::pty::make_controlling(0)?),
            Step::StdioOwner { uid } => identity::own_stdio(uid),
            Step::Hook { path, args, env, timeout, state, stdout, stderr } => {
                self.hook(path, args, env, timeout, [state, stdout, stderr])
            }
            Step::EnterCgroups { first, count } => self.enter_cgroups(first, count),
            Step::CpuAffinity { mask } => self.set_affinity(mask),
            Step::MemoryPolicy { mode, nodes } => self.set_memory_policy(mode, nodes),
            Step::WorkingDir { path, create, early } => self.working_dir(path, create, early),
            Step::Home { uid } => self.find_home(uid),
            Step::Umask { mask, callers } => {
                let mask = if callers { self.callers_umask } else { mask };
                Ok(process::set_umask(mask).map(drop)?)
            }
            Step::BoundingSet { keep } => Ok(crate::sys::caps::limit_bounding(keep)?),
            Step::User { uid, gid, groups, deniable, keep } => {
                if !keep {
                    self.switch_groups(groups, deniable)?;
                }
                identity::switch_user(uid, gid)
            }
            Step::Capabilities { effective, permitted, inheritable, ambient } => {
                let sets = crate::sys::caps::Sets { effective, permitted, inheritable };
                identity::set_capabilities(sets, ambient)
            }
            Step::NoNewPrivileges {} => Ok(process::set_no_new_privileges()?),
            Step::FindProgram { candidates } => self.find_program(candidates),
            Step::AwaitStart { listener } => self.await_start(listener),
            Step::Limit { resource, soft, hard } => {
                Ok(crate::sys::limit::set(0, resource, crate::sys::limit::Limit { soft, hard })?)
            }
            Step::Landlock { handled, paths, allowed } => {
                self.restrict_files(handled, paths, allowed)
            }
            Step::Seccomp { program, flags, listener: false } => self.load_filter(program, flags),
            Step::Seccomp { program, flags, .. } => self.load_filter_with_listener(program, flags),
            Step::Finish {} => process::exit(0),
            Step::PlaceDescriptors { first, count } => self.place_descriptors(first, count),
            Step::Ready { args, env, home, listen } => self.get_ready(args, env, home, listen),
            Step::Exec {} => self.exec(),
        }
    }

    /// Waits for *go* and its descriptors. Without a runtime there is nothing left to do.
    fn wait_for_go(&mut self, first: Slot, count: u32) -> Done {
        let mut buf = [0; MAX];
        let mut got = 0;
        loop {
            let at = first.0 as usize + got;
            let room = self.slots.get_mut(at..).unwrap_or_default();
            let received = socket::receive(self.socket.raw(), &mut buf, room)?;
            if received.len == 0 {
                process::exit(0);
            }
            got += received.descriptors;
            if got >= count as usize {
                return Ok(());
            }
        }
    }

    fn tell(&self, message: &Message, descriptors: &[i32]) -> Done {
        let mut buf = [0; MAX];
        Ok(socket::send(self.socket.raw(), message.encode(&mut buf), descriptors)?)
    }

    fn report(&self, step: u32, cause: Cause) {
        let detail = &self.detail;
        let fault = Fault { step, cause, detail_len: detail.len, detail: detail.text };
        // When nobody listens any more, dying is all that can be done, and comes next.
        let _ = self.tell(&Message::Fault(fault), &[]);
    }

    fn join(&mut self, namespace: Slot, kind: u32, keep_groups: bool) -> Done {
        let fd = self.take(namespace)?;
        if kind & namespace::NEWUSER == 0 {
            return Ok(namespace::join(fd.raw(), kind)?);
        }
        if !keep_groups {
            identity::drop_groups()?;
        }
        // Not one instant is it in there and can be looked into: the kernel leaves a process as it is
        // when its user is the owner of the namespace.
        process::set_dumpable(false)?;
        namespace::join(fd.raw(), kind)?;
        // With other credentials a process is as dumpable as the sysctl fs.suid_dumpable says.
        Ok(process::set_dumpable(false)?)
    }

    fn fork_into_pid_namespace(&mut self) -> Done {
        match process::fork(true)? {
            process::Fork::Child => Ok(()),
            process::Fork::Parent(pid, pidfd) => {
                let told = self.tell(&Message::Forked(pid), &[pidfd.raw()]);
                process::exit(i32::from(told.is_err()))
            }
        }
    }

    fn enter_cgroups(&mut self, first: Slot, count: u32) -> Done {
        for i in 0..count {
            let tasks = self.take(Slot(first.0 + i as u16))?;
            file::write(tasks.raw(), b"0")?;
        }
        Ok(())
    }

    /// Waits for whoever starts the container, and talks to them from now on.
    fn await_start(&mut self, listener: Slot) -> Done {
        let listener = self.take(listener)?;
        // A created container may wait for long: it holds no more than it still needs.
        self.root = None;
        self.masks = mounts::Masks::default();
        // A signal to a container that waits counts, as it does to one that runs.
        unblock_signals()?;
        self.socket = socket::accept(listener.raw())?;
        Ok(())
    }

    /// A string of the plan.
    fn str(&self, text: Str) -> Done<&'static CStr> {
        self.plan.str(text).ok_or(Cause::Refused(Refusal::BadPlan))
    }

    /// A string of a list of the plan.
    fn item(&self, list: List, index: u32) -> Done<&'static CStr> {
        self.plan.item(list, index).ok_or(Cause::Refused(Refusal::BadPlan))
    }

    /// A number of a list of the plan.
    fn number(&self, list: Numbers, index: u32) -> Done<u32> {
        self.plan.number(list, index).ok_or(Cause::Refused(Refusal::BadPlan))
    }

    /// The descriptor in a slot, which is empty afterwards.
    fn take(&mut self, slot: Slot) -> Done<Fd> {
        let place = self.slots.get_mut(usize::from(slot.0)).and_then(Option::take);
        place.ok_or(Cause::Refused(Refusal::BadPlan))
    }

    /// The number of the descriptor in a slot, which stays there.
    fn look(&self, slot: Slot) -> Done<i32> {
        let place = self.slots.get(usize::from(slot.0)).and_then(Option::as_ref);
        place.map(Fd::raw).ok_or(Cause::Refused(Refusal::BadPlan))
    }

    /// Keeps a descriptor in a slot.
    fn keep(&mut self, slot: Slot, fd: Fd) -> Done {
        if slot == Slot::NONE {
            return Ok(());
        }
        let place = self.slots.get_mut(usize::from(slot.0));
        *place.ok_or(Cause::Refused(Refusal::BadPlan))? = Some(fd);
        Ok(())
    }

    /// The descriptor of the container's root.
    fn root(&self) -> Done<i32> {
        self.root.as_ref().map(Fd::raw).ok_or(Cause::Refused(Refusal::BadPlan))
    }
}

/// Before another program runs: no signal is blocked.
fn unblock_signals() -> Done {
    Ok(signal::set_mask(0).map(drop)?)
}
