//! The properties of config.json for Linux, from the JSON schemas of the specification.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Parts of the schema for other systems.
const OTHERS: [&str; 5] = ["solaris", "windows", "vm", "zos", "freebsd"];

struct Schemas {
    dir: PathBuf,
    read: BTreeMap<String, Value>,
    found: BTreeSet<String>,
}

/// All of them; `*` is an index, or a name that is free.
pub(crate) fn properties(dir: &Path) -> BTreeSet<String> {
    let mut schemas =
        Schemas { dir: dir.to_owned(), read: BTreeMap::new(), found: BTreeSet::new() };
    schemas.walk("config-schema.json", "", String::new());
    schemas.found
}

impl Schemas {
    fn at(&mut self, file: &str, place: &str) -> Value {
        let path = self.dir.join(file);
        let document = self.read.entry(file.to_owned()).or_insert_with(|| {
            serde_json::from_slice(&std::fs::read(path).expect("a schema")).expect("JSON")
        });
        document.pointer(place).cloned().unwrap_or_else(|| panic!("{file}#{place}"))
    }

    /// Notes what the schema at a place of a file says about the properties below a pointer.
    fn walk(&mut self, file: &str, place: &str, pointer: String) {
        let schema = self.at(file, place);
        if let Some(reference) = schema["$ref"].as_str() {
            let (other, place) = reference.split_once('#').unwrap_or((reference, ""));
            let other = if other.is_empty() { file } else { other }.to_owned();
            return self.walk(&other, place, pointer);
        }
        for alternatives in ["allOf", "anyOf", "oneOf"] {
            for i in 0..schema[alternatives].as_array().map_or(0, Vec::len) {
                self.walk(file, &format!("{place}/{alternatives}/{i}"), pointer.clone());
            }
        }
        for members in ["properties", "patternProperties"] {
            for name in schema[members].as_object().into_iter().flat_map(|members| members.keys()) {
                if pointer.is_empty() && OTHERS.contains(&name.as_str()) {
                    continue;
                }
                let free = members == "patternProperties";
                let property = format!("{pointer}/{}", if free { "*" } else { name });
                self.found.insert(property.clone());
                let name = name.replace('~', "~0").replace('/', "~1");
                self.walk(file, &format!("{place}/{members}/{name}"), property);
            }
        }
        if schema["additionalProperties"].is_object() {
            self.found.insert(format!("{pointer}/*"));
            self.walk(file, &format!("{place}/additionalProperties"), format!("{pointer}/*"));
        }
        if schema["items"].is_object() {
            self.walk(file, &format!("{place}/items"), format!("{pointer}/*"));
        }
    }
}
