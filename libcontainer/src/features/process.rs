//! The container's program: arguments, environment, directory, and becoming it.

use libcontainer_init::step::Step;
use libcontainer_init::sys::namespace::NEWUSER;

use super::{Context, affinity, capabilities, io_priority, limits, notify, scheduler};
use crate::config::{Config, Namespaces, Process};
use crate::steps::Steps;

/// Where a program is looked for when the environment has no PATH, as runc and Docker have it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// `/process`.
pub fn check(cx: &mut Context<'_>, namespaces: &Namespaces) -> Process {
    let process = cx.process;
    if cx.spec.process.is_none() {
        return Process { cwd: "/".to_owned(), ..Process::default() };
    }
    if process.args.first().is_none_or(String::is_empty) {
        cx.fault("/process/args", "the first argument, the program, is missing");
    }
    if !process.cwd.starts_with('/') {
        let message = format!("the working directory \"{}\" is not absolute", process.cwd);
        cx.fault("/process/cwd", message);
    }
    let umask = process.user.umask;
    if let Some(mask) = umask.filter(|mask| *mask > 0o777) {
        cx.fault("/process/user/umask", format!("{mask} (decimal) is not a file mode mask"));
    }
    check_ids(cx, namespaces);
    let env = environment(cx);
    let program = process.args.first().map_or("", String::as_str);
    let home_set = env.iter().any(|setting| setting.len() > 5 && setting.starts_with("HOME="));
    Process {
        labels: super::labels::check(cx),
        candidates: candidates(program, &env),
        find_home: !home_set,
        env: env.into_iter().filter(|setting| home_set || !setting.starts_with("HOME=")).collect(),
        args: process.args.clone(),
        cwd: process.cwd.clone(),
        uid: process.user.uid,
        gid: process.user.gid,
        groups: process.user.additional_gids.clone(),
        umask,
        limits: limits::check(cx),
        capabilities: capabilities::check(cx, namespaces),
        no_new_privileges: process.no_new_privileges,
        affinity: affinity::check(cx),
        scheduler: scheduler::check(cx),
        io_priority: io_priority::check(cx),
        oom_score_adj: limits::check_oom_score(cx),
        keyring: super::keyring::check(cx),
        preserved: cx.options.preserved_fds,
        listen: cx.options.listen_fds > 0,
    }
}

/// The largest number is no id: to setresuid(2) it says "as before", which is root. Ids that a new
/// user namespace does not map cannot be taken either.
fn check_ids(cx: &mut Context<'_>, namespaces: &Namespaces) {
    let user = &cx.process.user;
    let groups = user.additional_gids.iter().enumerate();
    let groups = groups.map(|(i, gid)| (format!("/process/user/additionalGids/{i}"), *gid));
    let all =
        [("/process/user/uid".to_owned(), user.uid), ("/process/user/gid".to_owned(), user.gid)];
    for (pointer, id) in all.into_iter().chain(groups) {
        if id == u32::MAX {
            cx.fault(pointer, format!("{id} is not the number of a user or group"));
        }
    }
    let mapped = !cx.linux.uid_mappings.is_empty() && !cx.linux.gid_mappings.is_empty();
    if !namespaces.creates(NEWUSER) && !mapped {
        return;
    }
    let user = &cx.process.user;
    let mapped = super::user_namespace::host_id;
    if mapped(&cx.linux.uid_mappings, user.uid).is_none() {
        cx.fault("/process/user/uid", format!("user {} is not in /linux/uidMappings", user.uid));
    }
    if mapped(&cx.linux.gid_mappings, user.gid).is_none() {
        cx.fault("/process/user/gid", format!("group {} is not in /linux/gidMappings", user.gid));
    }
    for (i, gid) in user.additional_gids.iter().enumerate() {
        if mapped(&cx.linux.gid_mappings, *gid).is_none() {
            let pointer = format!("/process/user/additionalGids/{i}");
            cx.fault(pointer, format!("group {gid} is not in /linux/gidMappings"));
        }
    }
}

/// The last of several settings of a name counts, at the place of the first.
fn environment(cx: &mut Context<'_>) -> Vec<String> {
    let mut env: Vec<String> = Vec::new();
    for (i, setting) in cx.process.env.iter().enumerate() {
        let Some((name, _)) = setting.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            let message = format!("\"{setting}\" is not of the form NAME=value");
            cx.fault(format!("/process/env/{i}"), message);
            continue;
        };
        let same = |known: &&mut String| {
            known.strip_prefix(name).is_some_and(|rest| rest.starts_with('='))
        };
        match env.iter_mut().find(same) {
            Some(known) => known.clone_from(setting),
            None => env.push(setting.clone()),
        }
    }
    if cx.options.listen_fds > 0 {
        env.retain(|setting| !setting.starts_with("LISTEN_FDS="));
        env.push(format!("LISTEN_FDS={}", cx.options.listen_fds));
    }
    if cx.options.notify_socket {
        env.retain(|setting| !setting.starts_with("NOTIFY_SOCKET="));
        env.push(notify::VARIABLE.to_owned());
    }
    env
}

/// execvp(3): a name without a slash is looked for in PATH, where an empty entry is `.`.
fn candidates(program: &str, env: &[String]) -> Vec<String> {
    if program.contains('/') || program.is_empty() {
        return vec![program.to_owned()];
    }
    let path = env.iter().find_map(|setting| setting.strip_prefix("PATH=")).unwrap_or(PATH);
    path.split(':')
        .map(|dir| if dir.is_empty() { "." } else { dir.trim_end_matches('/') })
        .map(|dir| format!("{dir}/{program}"))
        .collect()
}

/// The first attempt at the directory, with the runtime's privileges. `create` makes one that is
/// missing.
pub fn enter_directory_early(config: &Config, steps: &mut Steps, create: bool) {
    working_dir(config, steps, create, true);
}

/// The second, as the user; and finding the program, so that its absence is an error of create.
pub fn find_program(config: &Config, steps: &mut Steps, create: bool) {
    working_dir(config, steps, create, false);
    let candidates = steps.list("/process/args/0", &config.process.candidates);
    steps.init("/process/args/0", Step::FindProgram { candidates });
}

fn working_dir(config: &Config, steps: &mut Steps, create: bool, early: bool) {
    let path = steps.text("/process/cwd", &config.process.cwd);
    steps.init("/process/cwd", Step::WorkingDir { path, create, early });
}

/// HOME of the user, looked up while every file can still be read.
pub fn find_home(config: &Config, steps: &mut Steps) {
    if config.process.find_home {
        steps.init("/process/env", Step::Home { uid: config.process.uid });
    }
}

/// All that is left to do before the program is executed.
pub fn get_ready(config: &Config, steps: &mut Steps) {
    let process = &config.process;
    let (mask, callers) = (process.umask.unwrap_or(0), process.umask.is_none());
    let pointer = if callers { "" } else { "/process/user/umask" };
    steps.init(pointer, Step::Umask { mask, callers });
    let args = steps.list("/process/args", &process.args);
    let env = steps.list("/process/env", &process.env);
    let step = Step::Ready { args, env, home: process.find_home, listen: process.listen };
    steps.init("/process/args", step);
}

/// The end of every plan.
pub fn exec(steps: &mut Steps) {
    steps.init("/process/args", Step::Exec {});
}

#[cfg(test)]
mod tests {
    use super::candidates;

    #[test]
    fn only_a_name_without_a_slash_is_looked_for_in_path() {
        let env = ["PATH=/a/:/b::".to_owned()];
        assert_eq!(candidates("sh", &env), ["/a/sh", "/b/sh", "./sh", "./sh"]);
        assert_eq!(candidates("./sh", &env), ["./sh"]);
        assert_eq!(candidates("sh", &[]).last().map(String::as_str), Some("/bin/sh"));
    }
}
