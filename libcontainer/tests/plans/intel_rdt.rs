//! Shares of caches and memory bandwidth.

use libcontainer::spec::IntelRdt;

use super::{Case, join};

/// A class that others may use, with all that can be asked for.
fn shared(case: &mut Case) {
    case.spec.linux.as_mut().unwrap().intel_rdt = Some(IntelRdt {
        clos_id: Some("gold".into()),
        schemata: vec!["L2:0=f;1=f".into()],
        l3_cache_schema: Some("L3:0=7f0;1=1f\nMB:0=5".into()),
        mem_bw_schema: Some("MB:1=70;0=20".into()),
        enable_monitoring: true,
    });
}

fn rdt(case: &mut Case) -> &mut IntelRdt {
    case.spec.linux.as_mut().unwrap().intel_rdt.get_or_insert_default()
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("intel-rdt", shared),
        Case::new("intel-rdt-of-a-process-that-is-added", |case| {
            shared(case);
            case.exec = true;
        }),
        Case::new("intel-rdt-of-its-own-in-a-joined-pid-namespace", |case| {
            join(case, "pid", "/proc/7/ns/pid");
            rdt(case).clos_id = None;
        }),
        Case::new("intel-rdt-of-the-default-class", |case| {
            rdt(case).clos_id = Some("/".into());
        }),
        Case::new("intel-rdt-without-resctrl", |case| {
            shared(case);
            case.host.resctrl = None;
        }),
        Case::new("intel-rdt-with-faults", |case| {
            shared(case);
            let rdt = rdt(case);
            rdt.clos_id = Some("info".into());
            rdt.l3_cache_schema = Some("L3:0=f;0=7".into());
            rdt.mem_bw_schema = Some("SMBA:0=50".into());
            rdt.schemata = vec!["L2:0=f".into(), "L2:0=f\nL2:1=f".into(), String::new()];
            case.host.resctrl.as_mut().unwrap().monitoring = false;
        }),
        Case::new("intel-rdt-with-a-path", |case| {
            shared(case);
            rdt(case).clos_id = Some("a/../b".into());
        }),
    ]
}
