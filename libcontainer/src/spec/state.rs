//! The state of a container, as it is told to hooks, to seccomp agents and by `keel state`.
//!
//! The model of the runtime-spec's state (runtime.md, "State") with the members that runc adds,
//! named and ordered as `runc state` prints them. Made by `container`; it must never be taken as
//! the record of a container, which is another file.

use std::collections::BTreeMap;

use super::record::record;

record! {
    /// The state of a container (runtime.md, "State").
    State {
        /// Version of the runtime-spec that the state complies with.
        oci_version: String = always "ociVersion",
        /// The container's id.
        id: String = always "id",
        /// Pid of the container's process, as the reader sees it; 0 where there is none any more,
        /// as runc has it. Default: left out.
        pid: Option<i32> = optional "pid",
        /// `creating`, `created`, `running`, `stopped`, or runc's addition `paused`.
        status: String = always "status",
        /// Absolute path of the bundle.
        bundle: String = always "bundle",
        /// Absolute path of the root file system; runc's addition. Default: left out.
        rootfs: Option<String> = optional "rootfs",
        /// When the container was created, as of RFC 3339; runc's addition. Default: left out.
        created: Option<String> = optional "created",
        /// The annotations of the configuration. Default: left out.
        annotations: BTreeMap<String, String> = optional "annotations",
        /// Name of the user who owns it, empty for this user; runc's addition. Default: left out.
        owner: Option<String> = optional "owner",
    }

    /// What a seccomp agent is sent with the filter's descriptor (config-linux.md, "The Container
    /// Process State").
    ProcessState {
        /// Version of the runtime-spec that this complies with.
        oci_version: String = always "ociVersion",
        /// Names of the descriptors that are sent along, in their order: `seccompFd`.
        fds: Vec<String> = optional "fds",
        /// Pid of the process that has the filter, as the runtime sees it.
        pid: i32 = always "pid",
        /// `linux.seccomp.listenerMetadata`. Default: left out.
        metadata: Option<String> = optional "metadata",
        /// The state of the container.
        state: State = always "state",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created() -> State {
        State {
            oci_version: "1.3.0".into(),
            id: "web".into(),
            status: "created".into(),
            pid: Some(42),
            bundle: "/b".into(),
            ..State::default()
        }
    }

    #[test]
    fn a_hook_is_told_nothing_but_the_specification_s_members() {
        assert_eq!(
            serde_json::to_string(&created()).unwrap(),
            r#"{"ociVersion":"1.3.0","id":"web","pid":42,"status":"created","bundle":"/b"}"#
        );
    }

    #[test]
    fn the_whole_state_has_the_members_of_runc_state_in_their_order() {
        let state = State {
            pid: Some(0),
            status: "stopped".into(),
            rootfs: Some("/b/rootfs".into()),
            created: Some("2026-11-20T19:33:39.029151302Z".into()),
            annotations: BTreeMap::from([("a".into(), "b".into())]),
            owner: Some(String::new()),
            ..created()
        };
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(
            text,
            r#"{"ociVersion":"1.3.0","id":"web","pid":0,"status":"stopped","bundle":"/b","#
                .to_owned()
                + r#""rootfs":"/b/rootfs","created":"2026-11-20T19:33:39.029151302Z","#
                + r#""annotations":{"a":"b"},"owner":""}"#
        );
        let read: State = serde_json::from_str(&text).unwrap();
        assert_eq!(read, State { owner: None, ..state }, "an empty text is read as none");
    }
}
