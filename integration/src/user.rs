//! Calls by a user without privileges: by anybody, or by one whose systemd is up.
//!
//! The tests run as root and hand a call on with setpriv(1), and with systemd-run(1) where it is to
//! have a cgroup that systemd has delegated. Nothing here makes users: any number is one, and a name
//! and subordinate ids are there for a call alone.

use std::fs;
use std::os::unix::fs::chown;

use serde_json::json;

use crate::bundle::{Bundle, write};
use crate::runtime::Invocation;
use crate::scene::Scene;
use crate::skip::program;

/// The name of a [known](User::known) user.
const NAME: &str = "keel-test";
/// Its subordinate ids, of users and of groups: the first, and how many.
pub const SUBORDINATE: (u32, u32) = (700_000, 65_536);

/// A user without privileges.
#[derive(Debug, Clone, Copy)]
pub struct User {
    /// The number of the user, and of its group.
    pub id: u32,
}

impl User {
    /// Somebody without a name, a home or a session, if the kernel lets it make user namespaces.
    pub fn anybody(scene: &Scene) -> Option<Self> {
        let user = Self { id: 54_321 };
        program("setpriv")?;
        let outcome = user.call(scene.call("unshare").args(["--user", "true"])).run();
        outcome.status.success().then_some(user)
    }

    /// One whose own systemd is up.
    pub fn with_session() -> Option<Self> {
        program("setpriv").and(program("systemd-run"))?;
        let sessions = fs::read_dir("/run/user").ok()?.flatten();
        let ids = sessions.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let up = |id: &u32| {
            let socket = format!("/run/user/{id}/systemd/private");
            *id != 0 && fs::symlink_metadata(socket).is_ok()
        };
        ids.filter(up).map(|id| Self { id }).next()
    }

    /// A bundle that is the user's, whose root in the container the user is; so is the state root.
    pub fn bundle(self, scene: &Scene) -> Bundle {
        let mapping = json!([{ "containerID": 0, "hostID": self.id, "size": 1 }]);
        let bundle = scene
            .bundle()
            .namespace("user", None)
            .set("/linux/uidMappings", mapping.clone())
            .set("/linux/gidMappings", mapping)
            // There is no group 5 that a terminal could belong to.
            .set("/mounts/2/options", json!(["nosuid", "noexec", "newinstance", "ptmxmode=0666"]));
        let state = scene.state_root();
        fs::create_dir_all(&state).expect("mkdir");
        for dir in [bundle.dir(), &bundle.rootfs(), &state] {
            chown(dir, Some(self.id), Some(self.id)).expect("chown");
        }
        bundle
    }

    /// Has the user make a call.
    pub fn call(self, call: Invocation) -> Invocation {
        let id = self.id.to_string();
        call.under(["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"])
    }

    /// Has the user make a call as one who has a name, and [`SUBORDINATE`] ids: that is so for this
    /// call alone, in a mount namespace of its own.
    pub fn known(self, scene: &Scene, call: Invocation) -> Invocation {
        let dir = scene.directory("accounts");
        let id = self.id;
        let (first, count) = SUBORDINATE;
        let range = format!("{NAME}:{first}:{count}\n");
        for (name, line) in [
            ("passwd", format!("{NAME}:x:{id}:{id}::{}:/bin/sh\n", dir.display())),
            ("group", format!("{NAME}:x:{id}:\n")),
            ("subuid", range.clone()),
            ("subgid", range),
        ] {
            let others = match name {
                "passwd" | "group" => fs::read_to_string(format!("/etc/{name}")).expect("a list"),
                _ => String::new(),
            };
            write(&dir.join(name), (others + &line).as_bytes());
        }
        let script = "for file in passwd group subuid subgid; do
                mount --bind \"$0/$file\" /etc/$file || exit 125
            done && exec \"$@\"";
        let dir = dir.to_str().expect("UTF-8");
        self.call(call).under(["unshare", "--mount", "sh", "-c", script, dir])
    }

    /// Has the user's systemd make a call, as a service whose cgroup is delegated. It replaces some
    /// words with a `$`.
    pub fn service(self, unit: &str, call: Invocation) -> Invocation {
        self.service_of_kind(unit, "control-group", call)
    }

    /// Likewise, as a service that may leave processes of its own.
    pub fn service_that_leaves(self, unit: &str, call: Invocation) -> Invocation {
        self.service_of_kind(unit, "process", call)
    }

    fn service_of_kind(self, unit: &str, kill_mode: &str, call: Invocation) -> Invocation {
        let path = std::env::var("PATH").unwrap_or_default();
        let (unit, path) = (format!("--unit={unit}"), format!("PATH={path}"));
        let kill = format!("--property=KillMode={kill_mode}");
        let words = [
            ["systemd-run", "--user", "--quiet", "--pipe", "--wait", "--collect"].as_slice(),
            &[&unit, "--property=Delegate=yes", &kill, "--setenv", &path, "--"],
        ];
        self.call(call.under(words.concat())).env("XDG_RUNTIME_DIR", self.runtime_dir())
    }

    fn runtime_dir(self) -> String {
        format!("/run/user/{}", self.id)
    }
}

/// A service of the user's systemd that does nothing: others may use the cgroup it was delegated.
/// It is stopped when this is dropped, and what is in the cgroup is killed.
pub struct Delegated<'a> {
    scene: &'a Scene,
    user: User,
    unit: String,
    /// Its cgroup, which holds no process itself and so can give controllers on.
    pub cgroup: String,
}

impl<'a> Delegated<'a> {
    /// Starts the service.
    #[track_caller]
    pub fn start(scene: &'a Scene, user: User) -> Self {
        let (unit, id) = (scene.id(), user.id);
        let cgroup =
            format!("/user.slice/user-{id}.slice/user@{id}.service/app.slice/{unit}.service");
        let script = format!(
            "cd /sys/fs/cgroup{cgroup} && mkdir itself && echo 0 >itself/cgroup.procs &&
             echo up && exec sleep 1000"
        );
        let call = user.service(&unit, scene.call("sh").args(["-c", &script])).spawn();
        // It ends with the service; systemd is asked for that, and not this call.
        let up = Self { scene, user, unit, cgroup };
        call.expect("up");
        up
    }
}

impl Drop for Delegated<'_> {
    fn drop(&mut self) {
        let call = self.scene.call("systemctl").args(["--user", "stop"]).arg(&self.unit);
        self.user.call(call).env("XDG_RUNTIME_DIR", self.user.runtime_dir()).run();
    }
}
