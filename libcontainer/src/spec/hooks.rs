//! Programs that run at moments of a container's life.
//!
//! The model of `hooks` in `config.json` (config.md, "POSIX-platform Hooks"). Plain data for what
//! runs them; the order of a list is the order of running.

use super::record::record;

record! {
    /// `hooks`: lists of programs by moment. An absent list is empty.
    Hooks {
        /// Deprecated: after the namespaces are made, in the runtime's namespaces.
        prestart: Vec<Hook> = optional "prestart",
        /// After the namespaces are made, before `pivot_root`, in the runtime's namespaces.
        create_runtime: Vec<Hook> = optional "createRuntime",
        /// After the mounts, before `pivot_root`, in the container's namespaces.
        create_container: Vec<Hook> = optional "createContainer",
        /// Before the program is executed, in the container's namespaces.
        start_container: Vec<Hook> = optional "startContainer",
        /// After the program has been executed, in the runtime's namespaces.
        poststart: Vec<Hook> = optional "poststart",
        /// After the container is deleted, in the runtime's namespaces.
        poststop: Vec<Hook> = optional "poststop",
    }

    /// A program that gets the container's state on its standard input.
    Hook {
        /// Absolute path of the program. Required.
        path: String = always "path",
        /// Argument vector, its first entry included. Default: only the path.
        args: Vec<String> = optional "args",
        /// Environment as `NAME=value`. Default: empty.
        env: Vec<String> = optional "env",
        /// Seconds until the hook is killed, more than zero. Default: no limit.
        timeout: Option<i64> = optional "timeout",
    }
}
