//! Golden cases of scheduling, memory policies and clocks.

use libcontainer::spec::{
    CpuAffinity, IoPriority, MemoryPolicy, Personality, Scheduler, TimeOffset,
};

use crate::user_namespaces::ordinary;
use crate::{Case, create, join, user_namespace};

fn schedule(case: &mut Case) {
    let process = case.spec.process.as_mut().unwrap();
    process.scheduler = Some(Scheduler {
        policy: "SCHED_RR".into(),
        priority: Some(7),
        flags: vec!["SCHED_FLAG_RESET_ON_FORK".into()],
        ..Scheduler::default()
    });
    let class = "IOPRIO_CLASS_RT".into();
    process.io_priority = Some(IoPriority { class, priority: 3 });
    process.exec_cpu_affinity =
        Some(CpuAffinity { initial: Some("0".into()), last: Some("0-1".into()) });
    let linux = case.spec.linux.as_mut().unwrap();
    linux.personality = Some(Personality { domain: "LINUX32".into(), flags: Vec::new() });
    linux.memory_policy = Some(MemoryPolicy {
        mode: "MPOL_BIND".into(),
        nodes: Some("0-1,33".into()),
        flags: vec!["MPOL_F_STATIC_NODES".into()],
    });
}

pub(crate) fn scheduling_cases() -> Vec<Case> {
    vec![
        Case::new("scheduling", schedule),
        Case::new("exec-scheduling", |case| {
            schedule(case);
            user_namespace(case);
            case.exec = true;
        }),
        Case::new("scheduling-unprivileged", |case| {
            ordinary(case);
            case.host.may_schedule = false;
            let policy = "SCHED_BATCH".into();
            let scheduler = Scheduler { policy, nice: Some(5), ..Scheduler::default() };
            case.spec.process.as_mut().unwrap().scheduler = Some(scheduler);
        }),
        Case::new("scheduling-deadline", |case| {
            case.spec.process.as_mut().unwrap().scheduler = Some(Scheduler {
                policy: "SCHED_DEADLINE".into(),
                runtime: Some(2_000_000),
                deadline: Some(10_000_000),
                ..Scheduler::default()
            });
        }),
    ]
}

fn time_namespace(case: &mut Case) {
    create(case, "time");
    let offsets = &mut case.spec.linux.as_mut().unwrap().time_offsets;
    offsets.insert("boottime".into(), TimeOffset { secs: Some(-5), nanosecs: Some(9) });
    offsets.insert("monotonic".into(), TimeOffset { secs: Some(86_400), nanosecs: None });
}

pub(crate) fn time_cases() -> Vec<Case> {
    vec![
        Case::new("time-namespace", time_namespace),
        Case::new("time-namespace-without-offsets", |case| create(case, "time")),
        Case::new("time-and-user-namespace", |case| {
            time_namespace(case);
            user_namespace(case);
        }),
        Case::new("time-namespace-unprivileged", |case| {
            ordinary(case);
            time_namespace(case);
        }),
        Case::new("joined-time", |case| join(case, "time", "/proc/7/ns/time")),
        Case::new("joined-user-and-time", |case| {
            join(case, "user", "/proc/7/ns/user");
            join(case, "time", "/proc/7/ns/time");
        }),
        Case::new("joined-user-with-new-time", |case| {
            join(case, "user", "/proc/7/ns/user");
            time_namespace(case);
        }),
        Case::new("exec-time-namespace", |case| {
            time_namespace(case);
            case.exec = true;
        }),
    ]
}
