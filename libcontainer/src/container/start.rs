//! Starting a created container: the word to init, and what it answers.

use std::os::fd::OwnedFd;

use nix::sys::socket::SockType;

use super::link::{self, Link, Said};
use super::listener;
use super::status::Verb;
use super::{Container, Signal, Status, hooks};
use crate::error::{Error, ErrorKind, Result};
use libcontainer_init::message::{Cause, Message};

impl Container {
    /// Runs the container's program, after its startContainer hooks and before its poststart hooks.
    ///
    /// A hook that fails destroys the container (runtime.md, "Lifecycle").
    ///
    /// # Errors
    /// It is not in the status `created`, a hook failed, or the program cannot be executed.
    pub fn start(&mut self) -> Result<()> {
        let lock = self.lock()?;
        Verb::Start.check(&self.id, self.status()?)?;
        if !self.record.has_process {
            let message = format!("cannot start container \"{}\": it has no process", self.id);
            return Err(Error::new(ErrorKind::State, message).pointer_is("/process"));
        }
        let path = self.directory.socket();
        let link = Link::new(link::connect(&path, SockType::SeqPacket)?);
        let started = self.await_program(&link).and_then(|()| {
            let _ = std::fs::remove_file(&path);
            self.run_poststart()
        });
        if let Err(error) = &started
            && error.kind() == ErrorKind::Hook
        {
            self.destroy(lock)?;
        }
        started
    }

    /// Init says that it executes the program; then the end of the stream means that it did.
    fn await_program(&mut self, link: &Link) -> Result<()> {
        let mut arrived = false;
        loop {
            match link.listen()? {
                Said::Message(Message::Arrived, _) => arrived = true,
                Said::Message(Message::NotifySocket, Some(socket)) => {
                    self.notify_socket = Some(socket);
                }
                Said::Message(Message::Filter(number), Some(gate)) => {
                    self.pass_listener(number, &gate)?;
                }
                Said::Message(Message::Fault(fault), _) => return Err(self.start_fault(&fault)),
                Said::End if arrived => return Ok(()),
                Said::End => {
                    return Err(link::silent_end(self.pidfd.as_ref(), self.id.as_str()));
                }
                Said::Message(..) => return Err(link::not_its_turn()),
            }
        }
    }

    /// The profile stands in the recorded configuration.
    fn pass_listener(&self, number: i32, gate: &OwnedFd) -> Result<()> {
        let plan = self.plan_again()?;
        let listener = plan.config.seccomp.and_then(|filter| filter.listener);
        let (Some(listener), Some(init)) = (listener, &self.pidfd) else {
            return Err(link::not_its_turn());
        };
        let pid = self.record.init.map_or(0, |init| init.pid);
        let passed = listener::pass(&listener, init, pid, number, gate, self.state()?);
        // It would wait for a listener that does not come.
        passed.inspect_err(|_| drop(self.signal_init(Signal::KILL)))
    }

    /// The plan that init performs is compiled again from the recorded configuration, to say in
    /// words which of its steps failed.
    fn start_fault(&self, fault: &libcontainer_init::message::Fault) -> Error {
        match self.plan_again() {
            Ok(plan) => link::fault(&plan, fault),
            Err(_) => {
                let message = "cannot start the container's program";
                match fault.cause {
                    Cause::Call(failure) => {
                        crate::error::call(message, failure).kind_is(ErrorKind::Init)
                    }
                    Cause::Refused(_) => Error::new(ErrorKind::Init, message),
                }
            }
        }
    }

    fn plan_again(&self) -> Result<crate::plan::Plan> {
        let spec = self.directory.read_config()?;
        let bundle = crate::bundle::Bundle::recorded(&self.record.bundle, spec);
        let host = crate::host::Host::probe_as(self.record.options.rootless)?;
        crate::plan::Plan::create(&bundle, &self.id, &self.record.options, &host)
    }

    fn run_poststart(&self) -> Result<()> {
        if !self.record.has_hooks {
            return Ok(());
        }
        let spec = self.directory.read_config()?;
        let list = spec.hooks.unwrap_or_default().poststart;
        let mut state = self.state()?;
        state.status = Status::Running.to_string();
        state.pid = self.record.init.map(|init| init.pid);
        (state.rootfs, state.created, state.owner) = (None, None, None);
        for hook in &list {
            hooks::run("poststart", hook, &state, None)?;
        }
        Ok(())
    }
}
