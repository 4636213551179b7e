//! Overlays: where their layers are.
//!
//! The layers of a mount of type `overlay` are directories of the host, like the sources of other
//! mounts: a relative path counts from the bundle. fsconfig(2) takes at most 255 bytes for a value,
//! so a longer list of layers is given one by one (Linux 6.5).

use std::path::Path;

use libcontainer_init::sys::mount::LONGEST_VALUE;

use super::rootfs;

/// Parameters that are one directory each.
const DIRECTORIES: [&str; 4] = ["lowerdir+", "datadir+", "upperdir", "workdir"];

/// The parameters with absolute paths, and with no list of layers that is too long.
pub fn parameters(bundle: &Path, data: &[String]) -> Vec<String> {
    let mut done = Vec::new();
    for parameter in data {
        match parameter.split_once('=') {
            Some(("lowerdir", list)) => done.extend(lower(bundle, list)),
            Some((key, dir)) if DIRECTORIES.contains(&key) && !dir.is_empty() => {
                done.push(format!("{key}={}", absolute(bundle, dir)));
            }
            _ => done.push(parameter.clone()),
        }
    }
    done
}

fn absolute(bundle: &Path, dir: &str) -> String {
    rootfs::absolute(bundle, dir).to_string_lossy().into_owned()
}

/// `lowerdir=`: layers between colons; behind a double colon they hold data only. A colon of a name
/// has a backslash before it.
fn lower(bundle: &Path, list: &str) -> Vec<String> {
    let layers: Vec<String> = split(list)
        .into_iter()
        .map(|layer| if layer.is_empty() { layer } else { absolute(bundle, &layer) })
        .collect();
    let whole = layers.join(":");
    // What the kernel refuses is left as it is, for the kernel to say so.
    let valid = layers.first().is_some_and(|layer| !layer.is_empty());
    if whole.len() <= LONGEST_VALUE || !valid {
        return vec![format!("lowerdir={whole}")];
    }
    let mut key = "lowerdir+";
    let mut parameters = Vec::new();
    for layer in &layers {
        if layer.is_empty() {
            key = "datadir+";
        } else {
            parameters.push(format!("{key}={}", unescaped(layer)));
        }
    }
    parameters
}

fn split(list: &str) -> Vec<String> {
    let mut layers = vec![String::new()];
    let mut escaped = false;
    for c in list.chars() {
        if c == ':' && !escaped {
            layers.push(String::new());
        } else if let Some(layer) = layers.last_mut() {
            layer.push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    layers
}

fn unescaped(layer: &str) -> String {
    let mut text = String::new();
    let mut chars = layer.chars();
    while let Some(c) = chars.next() {
        text.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::parameters;
    use std::path::Path;

    fn done(data: &[&str]) -> Vec<String> {
        let data: Vec<String> = data.iter().map(|word| (*word).to_owned()).collect();
        parameters(Path::new("/bundle"), &data)
    }

    #[test]
    fn relative_layers_lie_in_the_bundle() {
        let found = done(&["lowerdir=a:/b:./c\\:d", "upperdir=up", "workdir=/work", "index=off"]);
        let expected = [
            "lowerdir=/bundle/a:/b:/bundle/c\\:d",
            "upperdir=/bundle/up",
            "workdir=/work",
            "index=off",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn many_layers_are_given_one_by_one() {
        let name = "x".repeat(100);
        let found = done(&[&format!("lowerdir=/{name}:/a\\:{name}::/data:/{name}")]);
        let expected = [
            format!("lowerdir+=/{name}"),
            format!("lowerdir+=/a:{name}"),
            "datadir+=/data".to_owned(),
            format!("datadir+=/{name}"),
        ];
        assert_eq!(found, expected);
    }
}
