//! The smallest server of a FUSE file system: an empty directory of user 7.
//!
//! Requests and answers as in the kernel's `linux/fuse.h`; every field is native.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::thread::JoinHandle;

/// A FUSE device that nothing is mounted with yet.
pub(super) fn open() -> File {
    OpenOptions::new().read(true).write(true).open("/dev/fuse").expect("a device")
}

/// Answers until the file system, which is mounted with the device, is unmounted.
pub(super) fn serve(mut device: File) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut request = vec![0; 1 << 18];
        // Unmounted is ENODEV.
        while let Ok(len) = device.read(&mut request) {
            if let Some(answer) = answer(&request[..len]) {
                let _ = device.write(&answer);
            }
        }
    })
}

/// The answer to a request, if it wants one.
fn answer(request: &[u8]) -> Option<Vec<u8>> {
    const FORGET: u32 = 2;
    const GETATTR: u32 = 3;
    const INIT: u32 = 26;
    const OPENDIR: u32 = 27;
    const READDIR: u32 = 28;
    const ENOSYS: i32 = 38;
    let opcode = u32::from_ne_bytes(request[4..8].try_into().expect("a word"));
    let body = match opcode {
        FORGET => return None,
        INIT => init(),
        GETATTR => attributes(),
        OPENDIR => vec![0; 16],
        READDIR => Vec::new(),
        _ => return Some(framed(request, -ENOSYS, &[])),
    };
    Some(framed(request, 0, &body))
}

/// struct fuse_out_header, and what follows it.
fn framed(request: &[u8], error: i32, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(16 + body.len()).expect("small");
    let unique = &request[8..16];
    [&len.to_ne_bytes()[..], &error.to_ne_bytes(), unique, body].concat()
}

/// struct fuse_init_out: version 7.31, no flags, writes of a page.
fn init() -> Vec<u8> {
    let mut words = [0_u32; 16];
    (words[0], words[1], words[5]) = (7, 31, 4096);
    bytes(&words)
}

/// struct fuse_attr_out: valid for no time, an empty directory.
fn attributes() -> Vec<u8> {
    const INODE: usize = 4;
    const MODE: usize = 19;
    const LINKS: usize = 20;
    const UID: usize = 21;
    const GID: usize = 22;
    let mut words = [0_u32; 26];
    (words[INODE], words[MODE], words[LINKS]) = (1, 0o040_755, 2);
    (words[UID], words[GID]) = (7, 7);
    bytes(&words)
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}
