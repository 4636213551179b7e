//! Profiles that the fuzz target found (`make fuzz`), one for each way through the compiler, and some
//! thousand others at random.

#[path = "../fuzz/src/seccomp.rs"]
mod seccomp;

use std::fs;
use std::path::Path;

#[test]
fn what_must_hold_for_every_profile_holds_for_those_that_were_found() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/seccomp");
    let mut rules = 0;
    for file in corpus.read_dir().unwrap() {
        let profile = seccomp::profile(&fs::read(file.unwrap().path()).unwrap());
        seccomp::check(&profile);
        rules += profile.syscalls.len();
    }
    assert!(rules > 100, "there are not enough profiles");
}

#[test]
fn what_must_hold_for_every_profile_holds_for_some_at_random() {
    // xorshift64
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut rules = 0;
    for _ in 0..2000 {
        let length = next() % 60;
        let bytes: Vec<u8> = (0..length).map(|_| (next() >> 24) as u8).collect();
        let profile = seccomp::profile(&bytes);
        seccomp::check(&profile);
        rules += profile.syscalls.len();
    }
    assert!(rules > 2000);
}
