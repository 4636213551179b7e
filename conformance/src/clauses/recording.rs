//! Hooks that record what they see, and containers that are led through their life with them.
//!
//! A recording hook has two copies at the same path: one on the host and one in the root file
//! system. Which copy ran, what it read from its standard input, in which namespaces it was and
//! during which operation is what the tests of the hooks judge. Nothing is judged here.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::case::Case;
use crate::clause::{Outcome, Verdict, ensure, fail};
use crate::process::poll;
use crate::runtime::new_file;

/// The kinds in the order of a container's life, each with the section about it.
pub(crate) const KINDS: [(&str, &str); 6] = [
    ("prestart", "prestart"),
    ("createRuntime", "createruntime-hooks"),
    ("createContainer", "createcontainer-hooks"),
    ("startContainer", "startcontainer-hooks"),
    ("poststart", "poststart"),
    ("poststop", "poststop"),
];

/// What a recording hook has left, and what is known of its container.
pub(crate) struct Seen {
    /// The container's process, as the host sees it.
    pub(crate) pid: i32,
    /// The container's id.
    pub(crate) id: String,
    /// The bundle's directory.
    pub(crate) bundle: PathBuf,
    /// The container's namespaces, in the order of [`NAMESPACES`].
    pub(crate) namespaces: Vec<String>,
    /// The operation during which the hook ran.
    pub(crate) during: &'static str,
    dir: PathBuf,
}

/// The namespaces a hook looks at.
pub(crate) const NAMESPACES: [&str; 5] = ["mnt", "net", "uts", "ipc", "pid"];

impl Seen {
    /// A file the hook has written, empty if it has not.
    pub(crate) fn file(&self, name: &str) -> String {
        fs::read_to_string(self.dir.join(name)).unwrap_or_default()
    }

    /// The state the hook has read.
    pub(crate) fn state(&self) -> Outcome<Value> {
        let text = self.file("state");
        serde_json::from_str(&text)
            .or_else(|_| fail(format!("the hook's standard input is {text:?}")))
    }
}

/// The state a hook of this kind is given.
pub(crate) fn state_of_hook(case: &Case<'_>, kind: &str) -> Outcome<Value> {
    observe(case, kind, "")?.state()
}

/// A shared directory for what the hooks leave, mounted on `/log` in the container.
pub(crate) fn log_dir(case: &Case<'_>, bundle: &mut Bundle) -> Outcome<PathBuf> {
    let dir = case.make_dir(&format!("log-{}", case.next()))?;
    bundle.mount("/log", "none", &dir.display().to_string(), &["bind"]);
    Ok(dir)
}

/// Leads a container with one recording hook through its whole life. `more` is shell that the
/// hook runs last; `$D` is its log directory and `$P` the pid it was given.
pub(crate) fn observe(case: &Case<'_>, kind: &str, more: &str) -> Outcome<Seen> {
    let mut bundle = case.bundle()?;
    let dir = log_dir(case, &mut bundle)?;
    bundle.mount("/mnt", "tmpfs", "tmpfs", &[]);
    let path = dir.with_extension("sh");
    let script = |shell: &str, place: &str, log: &Path| {
        format!(
            "#!{shell}\nexport PATH=/bin:/usr/bin:/sbin:/usr/sbin D={}\ncat > $D/state\n\
             P=$(tr -d '\\n' < $D/state | sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/')\n\
             for n in {}; do readlink /proc/self/ns/$n; done > $D/namespaces\n{more}\n\
             echo {place} > $D/place\n",
            log.display(),
            NAMESPACES.join(" ")
        )
    };
    let shell = format!("{} sh", case.ground.machine.busybox.display());
    write_program(&path, &script(&shell, "host", &dir))?;
    let inside = path.display().to_string();
    bundle.program(
        inside.trim_start_matches('/'),
        &script("/bin/sh", "container", Path::new("/log")),
    )?;
    bundle.hook(kind, json!({"path": inside}));
    bundle.args(&["/bin/sleep", "1000"]);
    let mut during = "none of the operations";
    let mut note = |operation| {
        // Nothing waits for a startContainer hook that does not fail.
        let wait = match (kind, operation) {
            ("startContainer", "create") => Duration::from_millis(200),
            ("startContainer", "start") => case.ground.limit,
            _ => Duration::ZERO,
        };
        let called = poll(wait, || Ok(dir.join("place").is_file().then_some(())))?.is_some();
        if called && during == "none of the operations" {
            during = operation;
        }
        Ok::<_, Verdict>(())
    };
    let container = case.create(&bundle)?;
    note("create")?;
    let pid = container.pid()?;
    let namespaces = NAMESPACES.iter().map(|n| container.namespace(n)).collect::<Outcome<_>>()?;
    // While they are open, no namespace that comes later is taken for one of them.
    let open = |n| File::open(format!("/proc/{pid}/ns/{n}"));
    let _held = NAMESPACES.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    container.start()?;
    note("start")?;
    container.stop()?;
    container.delete()?;
    note("delete")?;
    let id = container.id.clone();
    let seen = Seen { pid, id, bundle: bundle.dir, namespaces, dir, during };
    ensure!(during != "none of the operations", "the {kind} hook was not called to its end");
    Ok(seen)
}

/// Makes an executable file on the host.
pub(crate) fn write_program(path: &Path, content: &str) -> Outcome {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    let mut file = new_file(path)?;
    file.write_all(content.as_bytes())?;
    Ok(file.set_permissions(fs::Permissions::from_mode(0o755))?)
}

/// A hook that runs a script with the host's busybox, or with the container's for a hook of the
/// kind that is called there. It reads the state first: a runtime that does not survive a hook
/// that never does would fail by chance.
pub(crate) fn shell_hook(case: &Case<'_>, kind: &str, script: &str) -> Value {
    let host = case.ground.machine.busybox.display().to_string();
    let path = if kind == "startContainer" { "/bin/busybox".to_owned() } else { host };
    let script = format!("export PATH=/bin:/usr/bin:/sbin:/usr/sbin; cat > /dev/null; {script}");
    json!({"path": path, "args": ["sh", "-c", script]})
}

/// The log directory as a hook of this kind sees it.
pub(crate) fn log_for(kind: &str, dir: &Path) -> String {
    if kind == "startContainer" { "/log".to_owned() } else { dir.display().to_string() }
}

/// Leads a container with these hooks through its life; the lines they wrote to `$D/lines`.
pub(crate) fn lines(case: &Case<'_>, hooks: &[(&str, &str)]) -> Outcome<Vec<String>> {
    let mut bundle = case.bundle()?;
    let dir = log_dir(case, &mut bundle)?;
    for (kind, script) in hooks {
        let log = log_for(kind, &dir);
        bundle.hook(kind, shell_hook(case, kind, &format!("D={log}; {script}")));
    }
    bundle.script("echo program >> /log/lines; exec sleep 1000");
    let container = case.create(&bundle)?;
    let pid = container.pid()?;
    container.start()?;
    let ran = poll(case.ground.limit, || {
        let lines = fs::read_to_string(dir.join("lines")).unwrap_or_default();
        Ok(lines.contains("program").then_some(()))
    })?;
    ensure!(ran.is_some(), "the program of process {pid} did not run");
    container.stop()?;
    container.delete()?;
    Ok(fs::read_to_string(dir.join("lines"))?.lines().map(str::to_owned).collect())
}
