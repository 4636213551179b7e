//! The model of `config.json` against the specification's examples, what engines really write, and
//! Go's idea of tolerance.

use libcontainer::error::{Error, ErrorKind};
use libcontainer::spec::{Process, Resources, Spec, State};
use serde_json::{Value, json};

const MAX: &str = include_str!("spec/max.json");

macro_rules! files {
    ($folder:literal: $($name:literal)*) => {
        [$(($name, include_str!(concat!("spec/", $folder, "/", $name, ".json")))),*]
    };
}

/// Configurations that engines gave to a runtime.
const ENGINES: [(&str, &str); 18] = files!("engines":
    "buildah" "containerd" "containerd-2.3" "containerd-tty" "cri" "cri-containerd-2.3"
    "cri-sandbox" "docker" "docker-buildkit" "docker-many-options" "docker-swarm-task" "podman"
    "podman-many-options" "podman-pod-member" "podman-tty" "podman-userns" "rootless-podman"
    "rootless-podman-keep-id");

fn parse(text: &str) -> Spec {
    Spec::parse(text.as_bytes()).unwrap()
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn written(spec: &Spec) -> Value {
    serde_json::to_value(spec).unwrap()
}

/// Pointer and message of an error's only fault.
fn only_fault(error: &Error) -> (&str, &str) {
    assert_eq!((error.kind(), error.faults().len()), (ErrorKind::Config, 1), "{error}");
    (&error.faults()[0].pointer, &error.faults()[0].message)
}

#[test]
fn every_field_of_linux_is_read_and_written_unchanged() {
    let spec = parse(MAX);
    assert_eq!(written(&spec), value(MAX));
    assert_eq!(parse(&serde_json::to_string_pretty(&spec).unwrap()), spec);
    // Lest a field that the file lacks goes untested.
    let fields = format!("{spec:?}");
    for void in [": None", ": []", ": {}", ": \"\"", ": 0,", ": 0 ", ": false"] {
        assert!(!fields.contains(void), "max.json leaves a field at{void}");
    }
}

#[test]
fn the_specification_s_good_examples_are_read() {
    for (name, text) in
        files!("schema/good": "minimal" "minimal-for-start" "linux-netdevice" "linux-rdma")
    {
        assert_eq!(written(&parse(text)), value(text), "{name}");
    }
}

#[test]
fn the_specification_s_full_example_loses_only_what_no_field_is_for() {
    let text = include_str!("spec/schema/good/spec-example.json");
    let mut known = value(text);
    let resources = known["linux"]["resources"].as_object_mut().unwrap();
    assert_eq!(resources.remove("oomScoreAdj"), Some(json!(100)));
    assert_eq!(written(&parse(text)), known);
}

#[test]
fn the_specification_s_bad_examples_are_refused_where_they_are_wrong() {
    let [netdevice, rdma, hugepage, broken] =
        files!("schema/bad": "linux-netdevice" "linux-rdma" "linux-hugepage" "invalid-json")
            .map(|(_, text)| Spec::parse(text.as_bytes()));
    assert_eq!(
        only_fault(&netdevice.unwrap_err()),
        ("/linux/netDevices/eth0/name", "invalid type: integer `23`, expected a string")
    );
    assert_eq!(
        only_fault(&rdma.unwrap_err()),
        (
            "/linux/resources/rdma/mlx5_1/hcaHandles",
            "invalid type: string \"not a uint32\", expected u32"
        )
    );
    assert_eq!(
        broken.unwrap_err().to_string(),
        "config.json is not valid JSON: key must be a string at line 1 column 2"
    );
    // Its fault is the name of a size, which is not judged by the model.
    assert_eq!(hugepage.unwrap().linux.unwrap().resources.unwrap().hugepage_limits.len(), 1);
}

#[test]
fn what_engines_write_is_read_and_written_unchanged() {
    for (name, text) in ENGINES {
        assert_eq!(written(&parse(text)), value(text), "{name}");
    }
}

/// The paragraphs of a file, as their lines: each is one case.
fn cases<const LINES: usize>(text: &'static str) -> Vec<[&'static str; LINES]> {
    let lines = |paragraph: &'static str| paragraph.lines().collect::<Vec<_>>().try_into().unwrap();
    text.split("\n\n").map(lines).collect()
}

#[test]
fn what_go_tolerates_is_tolerated() {
    for [given, meant] in cases(include_str!("spec/tolerated.txt")) {
        assert_eq!(serde_json::to_string(&parse(given)).unwrap(), meant, "{given}");
    }
}

#[test]
fn a_value_of_the_wrong_type_is_pointed_at() {
    for [text, pointer, message] in cases(include_str!("spec/refused.txt")) {
        let error = Spec::parse(text.as_bytes()).unwrap_err();
        assert_eq!(only_fault(&error), (pointer, message), "{text}");
        let sentence = format!("invalid configuration: {message} (config.json {pointer})");
        assert_eq!(error.to_string(), sentence);
    }
}

#[test]
fn broken_text_is_refused_with_its_place() {
    for (text, message) in [
        (&b"{\n \"root\": {\n  \"a\" 1}}"[..], "not valid JSON: expected `:` at line 3 column 7"),
        (
            b"{\"process\": {\"args\": [\"a\", ",
            "not valid JSON: EOF while parsing a value at line 1 column 27",
        ),
        (
            b"{\"hostname\": \"\\ud800 is half\"}",
            "not valid JSON: unexpected end of hex escape at line 1 column 21",
        ),
        (b"{\"hostname\": 1e999}", "not valid JSON: number out of range at line 1 column 18"),
        (b"{\n\"hostname\": \"a\xffb\"}", "not valid UTF-8: invalid byte at line 2 column 14"),
    ] {
        let error = Spec::parse(text).unwrap_err();
        assert_eq!(error.to_string(), format!("config.json is {message}"));
        assert_eq!((error.kind(), error.faults()), (ErrorKind::Config, &[][..]));
    }
    let error = Spec::parse(b"[]").unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read config.json: invalid type: sequence, expected an object"
    );
}

#[test]
fn documents_of_their_own_are_parts_of_a_configuration() {
    let all = parse(MAX);
    let part = |pointer| value(MAX).pointer(pointer).unwrap().to_string();
    let process = Process::parse(part("/process").as_bytes()).unwrap();
    let resources = Resources::parse(part("/linux/resources").as_bytes()).unwrap();
    assert_eq!((Some(process), Some(resources)), (all.process, all.linux.unwrap().resources));

    let error = Process::parse(br#"{"user":{"uid":"x"}}"#).unwrap_err();
    assert_eq!(only_fault(&error).0, "/process/user/uid");
    let error = Resources::parse(br#"{"cpu":{"shares":-1}}"#).unwrap_err();
    assert_eq!(only_fault(&error).0, "/linux/resources/cpu/shares");
    assert_eq!(
        Resources::parse(b"{").unwrap_err().to_string(),
        "the resources document is not valid JSON: EOF while parsing an object at line 1 column 1"
    );
    assert_eq!(
        only_fault(&Process::parse(b"[]").unwrap_err()),
        ("/process", "invalid type: sequence, expected an object")
    );
}

#[test]
fn the_specification_s_state_is_read_and_written_unchanged() {
    let text = json!({
        "ociVersion": "0.2.0", "id": "oci-container1", "status": "running", "pid": 4422,
        "bundle": "/containers/redis", "annotations": {"myKey": "myValue"},
    });
    let state: State = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(serde_json::to_value(&state).unwrap(), text);
}

/// What runc wrote, with keel's version and host name in it, and without the ambient capabilities:
/// none of them is inheritable, so that no kernel could give them.
fn renamed(recorded: &str) -> String {
    let text = recorded.replace("\"1.0.2-dev\"", "\"1.3.0\"");
    let text = text.replace("\"hostname\": \"runc\"", "\"hostname\": \"keel\"");
    let (before, rest) = text.split_once(",\n\t\t\t\"ambient\": [").unwrap();
    let (_, after) = rest.split_once(']').unwrap();
    format!("{before}{after}")
}

/// As runc lays a configuration out.
fn with_tabs(spec: &Spec) -> String {
    let layout = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut output = serde_json::Serializer::with_formatter(Vec::new(), layout);
    serde::Serialize::serialize(spec, &mut output).unwrap();
    String::from_utf8(output.into_inner()).unwrap()
}

#[test]
fn the_example_is_what_runc_writes() {
    let recorded = renamed(include_str!("spec/runc-spec.json"));
    assert_eq!(Spec::example(), parse(&recorded));
    assert_eq!(with_tabs(&Spec::example()), recorded.trim_end());
}

#[test]
fn the_rootless_example_is_what_runc_writes() {
    let recorded = renamed(include_str!("spec/runc-spec-rootless.json"));
    assert_eq!(Spec::example_rootless(0, 0), parse(&recorded));
    assert_eq!(with_tabs(&Spec::example_rootless(0, 0)), recorded.trim_end());
}

#[test]
fn the_examples_are_written_as_the_schema_wants_them() {
    for spec in [Spec::example(), Spec::example_for(true), Spec::example_rootless(1000, 100)] {
        let document = written(&spec);
        for required in ["/ociVersion", "/root/path", "/process/cwd", "/process/args/0"] {
            assert!(document.pointer(required).is_some_and(Value::is_string), "{required}");
        }
        for number in ["/process/user/uid", "/process/user/gid", "/process/rlimits/0/soft"] {
            assert!(document.pointer(number).is_some_and(Value::is_u64), "{number}");
        }
        for mount in document["mounts"].as_array().unwrap() {
            assert!(mount["destination"].is_string() && mount.get("uidMappings").is_none());
        }
        for namespace in document["linux"]["namespaces"].as_array().unwrap() {
            assert_eq!(namespace.as_object().unwrap().len(), 1, "{namespace}");
        }
        let absent = ["hooks", "annotations", "domainname"];
        assert!(absent.iter().all(|member| document.get(member).is_none()));
        assert!(!document.to_string().contains("null"));
    }
}

#[cfg(feature = "oci-spec")]
mod oci {
    use super::*;
    use oci_spec::runtime as oci;

    /// The configuration without what oci-spec does not keep: the order of capabilities.
    fn in_order(mut spec: Spec) -> Spec {
        if let Some(sets) = spec.process.as_mut().and_then(|process| process.capabilities.as_mut())
        {
            for set in [
                &mut sets.bounding,
                &mut sets.effective,
                &mut sets.inheritable,
                &mut sets.permitted,
                &mut sets.ambient,
            ] {
                set.sort();
            }
        }
        spec
    }

    fn there_and_back(spec: &Spec) -> Result<Spec, Error> {
        Spec::try_from(&oci::Spec::try_from(spec)?)
    }

    #[test]
    fn what_engines_write_survives_oci_spec() {
        for (name, text) in ENGINES {
            let spec = parse(text);
            assert_eq!(there_and_back(&spec).unwrap(), in_order(spec), "{name}");
        }
    }

    #[test]
    fn every_field_survives_oci_spec() {
        let spec = parse(MAX);
        assert_eq!(there_and_back(&spec).unwrap(), in_order(spec));
    }

    #[test]
    fn what_oci_spec_cannot_hold_is_pointed_at() {
        for (pointer, text) in [
            (
                "/process/capabilities/bounding/0",
                r#"{"process":{"capabilities":{"bounding":["CAP_MADE_UP"]}}}"#,
            ),
            ("/process/rlimits/0/type", r#"{"process":{"rlimits":[{"type":"RLIMIT_MADE_UP"}]}}"#),
            (
                "/linux/resources/hugepageLimits/1/limit",
                r#"{"linux":{"resources":{"hugepageLimits":[{},{"limit":18446744073709551615}]}}}"#,
            ),
            ("/linux/resources/pids/limit", r#"{"linux":{"resources":{"pids":{}}}}"#),
            (
                "/linux/namespaces/1/type",
                r#"{"linux":{"namespaces":[{"type":"pid"},{"type":"sea"}]}}"#,
            ),
            ("/linux/seccomp/defaultAction", r#"{"linux":{"seccomp":{}}}"#),
        ] {
            let error = oci::Spec::try_from(&parse(text)).unwrap_err();
            let (found, message) = only_fault(&error);
            assert!(found == pointer, "{text}: {error}");
            assert!(message.starts_with("oci-spec cannot hold this value: "), "{message}");
        }
    }

    #[test]
    fn what_only_oci_spec_has_is_left_out_and_what_keel_cannot_hold_is_pointed_at() {
        let text = r#"{"ociVersion":"1","hostname":"h","windows":{"layerFolders":[]}}"#;
        let theirs: oci::Spec = serde_json::from_str(text).unwrap();
        assert_eq!(Spec::try_from(&theirs).unwrap(), parse(r#"{"ociVersion":"1","hostname":"h"}"#));
        let text = r#"{"linux":{"resources":{"hugepageLimits":[{"limit":-1}]}}}"#;
        let error = Spec::try_from(&serde_json::from_str::<oci::Spec>(text).unwrap()).unwrap_err();
        assert_eq!(only_fault(&error).0, "/linux/resources/hugepageLimits/0/limit");
    }
}
