//! HOME of the container's user, from the image's /etc/passwd, and reading files line by line.

use super::{Done, Init};
use crate::sys::path::{O_NONBLOCK, O_RDONLY, Resolve};
use crate::sys::{Fd, file, path};

/// The longest line that is looked at; of a longer one, the rest is skipped.
const LINE: usize = 1024;

/// The text `HOME=<directory>`, NUL-terminated once it is known.
pub(super) struct Home {
    text: [u8; LINE],
}

impl Default for Home {
    fn default() -> Self {
        let mut home = Self { text: [0; LINE] };
        home.set(b"/");
        home
    }
}

impl Home {
    fn set(&mut self, directory: &[u8]) {
        const KEY: &[u8] = b"HOME=";
        self.text.fill(0);
        self.text[..KEY.len()].copy_from_slice(KEY);
        if let Some(place) = self.text.get_mut(KEY.len()..KEY.len() + directory.len()) {
            place.copy_from_slice(directory);
        }
    }

    pub(super) fn as_c_str(&self) -> &core::ffi::CStr {
        core::ffi::CStr::from_bytes_until_nul(&self.text).unwrap_or_default()
    }
}

impl Init {
    /// passwd(5): `name:password:uid:gid:comment:directory:shell`. Without an entry, HOME is `/`.
    pub(super) fn find_home(&mut self, uid: u32) -> Done {
        // A FIFO there must not make init wait, nor a device act.
        let flags = O_RDONLY | O_NONBLOCK;
        let opened = path::open(self.root()?, c"/etc/passwd", flags, 0, Resolve::InRoot);
        let Ok(passwd) = opened else { return Ok(()) };
        if !file::status(passwd.raw())?.is_file() {
            return Ok(());
        }
        let mut lines = Lines::new(passwd);
        while let Some(line) = lines.next()? {
            let mut fields = line.split(|b| *b == b':');
            let number = fields.nth(2).and_then(|field| core::str::from_utf8(field).ok());
            if number.and_then(|text| text.parse().ok()) != Some(uid) {
                continue;
            }
            let room = LINE - b"HOME=".len() - 1;
            if let Some(directory) = fields.nth(2).filter(|d| !d.is_empty() && d.len() <= room) {
                self.home.set(directory);
            }
            break;
        }
        Ok(())
    }
}

/// A file's lines, in a buffer of fixed size.
pub(super) struct Lines {
    file: Fd,
    buf: [u8; LINE],
    start: usize,
    end: usize,
    skipping: bool,
}

impl Lines {
    pub(super) fn new(file: Fd) -> Self {
        Self { file, buf: [0; LINE], start: 0, end: 0, skipping: false }
    }

    /// The next line without its newline; nothing at the end.
    pub(super) fn next(&mut self) -> Done<Option<&[u8]>> {
        loop {
            let text = self.buf.get(self.start..self.end).unwrap_or_default();
            if let Some(len) = text.iter().position(|b| *b == b'\n') {
                let line = self.start..self.start + len;
                self.start += len + 1;
                if core::mem::take(&mut self.skipping) {
                    continue; // the rest of a line that was too long
                }
                return Ok(self.buf.get(line));
            }
            if self.end - self.start == LINE {
                self.skipping = true;
                self.end = self.start;
            }
            self.buf.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            let room = self.buf.get_mut(self.end..).unwrap_or_default();
            let len = file::read(self.file.raw(), room)?;
            if len == 0 {
                let last = self.start..self.end;
                self.start = self.end;
                let whole = !last.is_empty() && !self.skipping;
                return Ok(if whole { self.buf.get(last) } else { None });
            }
            self.end += len;
        }
    }
}
