//! An image of a Debian system with programs as they are used: nginx, PostgreSQL, Python with its
//! database module, and Redis.
//!
//! It takes a minute or two to make (`integration/debian-image`), so it is made once and kept below
//! the user's cache directory, under a name that tells all it depends on. Whoever finds it missing
//! makes it, and others wait; a test sees a whole image or none.

use std::env;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use crate::engine;
use crate::runtime::scaled;
use crate::scene::Scene;
use crate::skip::{Need, skip};

/// The image's name, as engines that know Docker's names write it in full.
pub const DEBIAN: &str = "docker.io/localtest/debian:latest";

/// What makes the image.
const RECIPE: &str = include_str!("../debian-image");

/// How long an image stays that nobody uses: it belongs to another recipe.
const UNUSED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Opens a scene for an engine, and gives the image's archive; or says why the test cannot run.
pub fn scene(needs: &[Need]) -> Option<(Scene, PathBuf)> {
    let makers = ["bash", "mmdebstrap", "apt-config"].map(Need::Program);
    let scene = engine::scene(&[&makers, needs].concat())?;
    // What cannot be made is not tried again by every test.
    static ARCHIVE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match ARCHIVE.get_or_init(|| archive(&scene)) {
        Ok(archive) => Some((scene, archive.clone())),
        Err(reason) => {
            skip(format!("the image of Debian cannot be made: {reason}"));
            None
        }
    }
}

/// The image's archive, which is made now if it is not there.
fn archive(scene: &Scene) -> Result<PathBuf, String> {
    let cache = cache().ok_or("neither XDG_CACHE_HOME nor HOME is set")?;
    let mut key = DefaultHasher::new();
    (RECIPE, fs::read("/etc/os-release").unwrap_or_default(), env::consts::ARCH).hash(&mut key);
    let archive = cache.join(format!("{:016x}.tar", key.finish()));
    let told = |error: io::Error| format!("{}: {error}", cache.display());
    fs::create_dir_all(&cache).map_err(told)?;
    let lock = File::options().write(true).create(true).truncate(false).open(cache.join("lock"));
    let lock = lock.map_err(told)?;
    lock.lock().map_err(told)?;
    if fs::metadata(&archive).is_err() {
        clean(&cache);
        let new = cache.join("new");
        fs::create_dir(&new).map_err(told)?;
        make(scene, &new)?;
        fs::rename(new.join("image.tar"), &archive).map_err(told)?;
        fs::remove_dir_all(&new).map_err(told)?;
    }
    // What is in use stays.
    let used = File::open(&archive).and_then(|file| file.set_modified(SystemTime::now()));
    used.map_err(told)?;
    Ok(archive)
}

/// Where images are kept.
fn cache() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let dir = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(dir.join("keel-debian"))
}

/// Removes what nobody has used for long, and what an interrupted making has left; called with the
/// lock held.
fn clean(cache: &Path) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        let unused = |file: fs::Metadata| file.modified().ok()?.elapsed().ok();
        let unused = entry.metadata().ok().and_then(unused);
        if entry.file_name() == "new" {
            let _ = fs::remove_dir_all(entry.path());
        } else if entry.file_name() != "lock" && unused > Some(UNUSED) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Makes the image in a directory, or tells the last words of what failed.
fn make(scene: &Scene, dir: &Path) -> Result<(), String> {
    let call = scene.call("bash").args(["-c", RECIPE, "debian-image"]).arg(dir);
    let call = call.env("HOME", dir).env("TMPDIR", dir).patience(scaled(Duration::from_secs(600)));
    let outcome = call.run();
    let last = outcome.stderr.lines().rfind(|line| !line.trim().is_empty());
    match outcome.status.success() {
        true => Ok(()),
        false => Err(last.unwrap_or("no word why").to_owned()),
    }
}
