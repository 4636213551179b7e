//! What is told about a bundle, part by part, is what happens with it.

use std::path::Path;

use libcontainer::spec::{Mount, Namespace, Spec};
use libcontainer::{Assessment, Bundle, Fate, Host, Options, Part, Plan};

fn assessed(spec: Spec) -> Assessment {
    let bundle = Bundle::from_spec("/", spec).unwrap();
    let id = "assessed".parse().unwrap();
    Assessment::of(&bundle, &id, &Options::default(), &Host::example())
}

fn part<'a>(assessment: &'a Assessment, pointer: &str) -> &'a Part {
    let found = assessment.parts.iter().find(|part| part.pointer == pointer);
    found.unwrap_or_else(|| panic!("no part {pointer} in {assessment:#?}"))
}

/// A configuration of which nothing is missing on any machine.
fn example() -> Spec {
    let mut spec = Spec::example();
    spec.root.as_mut().unwrap().path = "/".into();
    spec
}

#[test]
fn parts_are_applied_by_steps_of_the_plan() {
    let assessment = assessed(example());
    assert!(assessment.holds(true), "{assessment:#?}");
    assert_eq!(assessment.count(Fate::Applied), assessment.parts.len());
    let bundle = Bundle::from_spec("/", example()).unwrap();
    let plan =
        Plan::create(&bundle, &"assessed".parse().unwrap(), &Options::default(), &Host::example());
    let plan = plan.unwrap().explain_json();
    let text = |number: usize| {
        let phases = plan["phases"].as_array().unwrap().iter();
        let mut steps = phases.flat_map(|phase| phase["steps"].as_array().unwrap());
        let step = steps.find(|step| step["step"] == number).unwrap();
        step["text"].as_str().unwrap().to_owned()
    };
    let said = |pointer: &str| -> Vec<String> {
        part(&assessment, pointer).steps.iter().map(|number| text(*number)).collect()
    };
    assert_eq!(said("/hostname"), ["set the host name to keel"]);
    assert!(said("/process/args").iter().any(|text| text.starts_with("execute sh")));
    assert!(said("/mounts/0/destination")[0].starts_with("mount proc on /proc"));
    // What has no step of its own is nobody's lie.
    assert_eq!(said("/ociVersion"), [""; 0]);
}

#[test]
fn a_fault_a_warning_and_what_is_missing_are_told_where_they_stand() {
    let mut spec = example();
    let process = spec.process.as_mut().unwrap();
    process.capabilities.as_mut().unwrap().bounding.push("CAP_MOON".into());
    process.oom_score_adj = Some(5000);
    let linux = spec.linux.as_mut().unwrap();
    let path = Some("/nonexistent/ns".to_owned());
    linux.namespaces.push(Namespace { kind: "user".into(), path });
    spec.mounts.push(Mount {
        destination: "/data".into(),
        kind: Some("bind".into()),
        source: Some("nonexistent".into()),
        options: vec!["rbind".into()],
        ..Mount::default()
    });
    let at = spec.mounts.len() - 1;
    let assessment = assessed(spec);
    let fate = |pointer: &str| part(&assessment, pointer).fate;
    assert_eq!(fate("/process/capabilities/bounding"), Fate::Degraded);
    assert_eq!(fate("/process/oomScoreAdj"), Fate::Refused);
    let source = part(&assessment, &format!("/mounts/{at}/source"));
    assert_eq!(source.fate, Fate::Refused);
    assert_eq!(source.why, ["the source /nonexistent is not there"]);
    let namespaces = assessment.parts.iter().filter(|p| p.pointer.starts_with("/linux/namespaces"));
    assert!(namespaces.into_iter().any(|part| part.fate == Fate::Refused));
    // Without a plan there are no steps.
    assert!(assessment.parts.iter().all(|part| part.steps.is_empty()));
    assert!(!assessment.holds(false));
}

/// Only a bind mount has a source on the host.
#[test]
fn what_is_no_path_is_not_looked_for() {
    let mount = |kind: &str, options: &[&str]| Mount {
        destination: "/data".into(),
        kind: Some(kind.into()),
        source: Some("/nonexistent".into()),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        ..Mount::default()
    };
    for (kind, options, refused) in [
        ("tmpfs", &[][..], 0),
        ("bind", &["bind", "remount", "ro"], 0),
        ("none", &["rbind"], 1),
        // The option makes it one, and not the type.
        ("bind", &[], 0),
    ] {
        let mut spec = example();
        spec.mounts.push(mount(kind, options));
        assert_eq!(assessed(spec).count(Fate::Refused), refused, "{kind} {options:?}");
    }
}

/// Engines' configurations: what is refused is what this machine lacks, and nothing else.
#[test]
fn what_engines_wrote_is_applied() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spec/engines");
    let mut parts = 0;
    for file in dir.read_dir().unwrap() {
        let text = std::fs::read(file.unwrap().path()).unwrap();
        let assessment = assessed(Spec::parse(&text).unwrap());
        for part in &assessment.parts {
            let absent = part.why.iter().all(|why| why.ends_with(" is not there"));
            assert!(part.fate != Fate::Refused || absent, "{part:?}");
        }
        parts += assessment.parts.len();
    }
    assert!(parts > 1000);
}

#[test]
fn with_strict_whatever_would_be_tolerated_is_refused() {
    let strict = Options { strict: true, ..Options::default() };
    let faults = |text: &str| {
        let dir = std::env::temp_dir().join(format!("keel-strict-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("config.json");
        let opened = std::fs::File::create_new(&file);
        std::io::Write::write_all(&mut opened.unwrap(), text.as_bytes()).unwrap();
        let bundle = Bundle::open(&dir).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        let (id, host) = ("assessed".parse().unwrap(), Host::example());
        Plan::create(&bundle, &id, &Options::default(), &host).unwrap();
        let plan = Plan::create(&bundle, &id, &strict, &host);
        let found: Vec<String> = plan.map_or_else(
            |error| error.faults().iter().map(|fault| fault.pointer.clone()).collect(),
            |_| Vec::new(),
        );
        found
    };
    let mut config = serde_json::to_value(example()).unwrap();
    assert_eq!(faults(&config.to_string()), [""; 0]);
    config["moon"] = 1.into();
    config["process"]["user"]["moon/~"] = serde_json::Value::Null;
    config["mounts"][1]["moon"] = serde_json::json!({});
    config["process"]["capabilities"]["bounding"] = serde_json::json!(["CAP_MOON"]);
    let mut found = faults(&config.to_string());
    found.sort();
    let expected =
        ["/moon", "/mounts/1/moon", "/process/capabilities/bounding/0", "/process/user/moon~1~0"];
    assert_eq!(found, expected);
}
