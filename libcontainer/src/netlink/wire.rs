//! Messages of rtnetlink as bytes: netlink(7), rtnetlink(7), `linux/netlink.h`.
//!
//! A message is a header, a fixed structure and attributes, each aligned to four bytes, all in the
//! machine's byte order. Used by this module's other files alone. What comes in may be anything:
//! nothing here trusts a length.

use nix::errno::Errno;

/// `NLM_F_*`: flags of a request.
pub(super) const REQUEST: u16 = 0x1;
pub(super) const ACK: u16 = 0x4;
pub(super) const DUMP: u16 = 0x300;
pub(super) const CREATE: u16 = 0x400;
pub(super) const REPLACE: u16 = 0x100;
/// `NLM_F_DUMP_INTR`: something changed while the kernel wrote its list.
const INTERRUPTED: u16 = 0x10;
/// `NLM_F_ACK_TLVS`: attributes follow the error.
const EXPLAINED: u16 = 0x200;

/// Types of messages that are not of rtnetlink.
const NOTHING: u16 = 1;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// `NLMSGERR_ATTR_MSG`: the kernel's words about an error.
const WORDS: u16 = 1;

/// The length of the header, `struct nlmsghdr`.
const HEADER: usize = 16;

/// A request in the making.
#[derive(Debug, Clone)]
pub(super) struct Request(Vec<u8>);

impl Request {
    /// A request of a type, with the structure that such messages begin with.
    pub(super) fn new(kind: u16, flags: u16, structure: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags | REQUEST).to_ne_bytes());
        bytes.extend_from_slice(structure);
        Self(bytes)
    }

    /// Adds an attribute. None here is anywhere near the 64 KiB that fit.
    pub(super) fn attribute(mut self, kind: u16, data: &[u8]) -> Self {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self.0.extend((4 + data.len() as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend_from_slice(data);
        self
    }

    /// Adds a text, with the zero that ends it.
    pub(super) fn text(self, kind: u16, text: &str) -> Self {
        let text = [text.as_bytes(), b"\0"].concat();
        self.attribute(kind, &text)
    }

    /// The bytes to send, under a number that the reply repeats.
    pub(super) fn encode(mut self, sequence: u32) -> Vec<u8> {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }
}

/// What the kernel says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A part of the answer: what follows the header.
    Part(Vec<u8>),
    /// The answer is complete.
    Done,
    /// The request was refused.
    Refused(Refusal),
    /// The list is not of one moment: it has to be asked for again.
    Interrupted,
}

/// Why the kernel refused a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Its errno.
    pub(crate) errno: Errno,
    /// What it says besides, if anything.
    pub(crate) words: Option<String>,
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self { errno, words: None }
    }
}

/// The messages of a datagram that answer the request with this number. Nothing if one of them is
/// not well-formed.
pub(super) fn decode(mut datagram: &[u8], sequence: u32) -> Option<Vec<Said>> {
    let mut said = Vec::new();
    while !datagram.is_empty() {
        let length = number(datagram.get(..4)?)? as usize;
        let message = datagram.get(..length).filter(|_| length >= HEADER)?;
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
        let (kind, flags) = (short(&message[4..6])?, short(&message[6..8])?);
        if number(&message[8..12])? != sequence || kind == NOTHING {
            continue;
        }
        let body = &message[HEADER..];
        if flags & INTERRUPTED != 0 && kind != ERROR {
            said.push(Said::Interrupted);
        }
        said.push(match kind {
            ERROR => result(body, flags)?,
            // The end of a list may say that it could not be made.
            DONE => body.get(..4).map_or(Some(Said::Done), |_| result(body, 0))?,
            _ => Said::Part(body.to_vec()),
        });
    }
    Some(said)
}

/// An errno, negative, or 0 for success; behind the header that it answers, the kernel's words.
fn result(body: &[u8], flags: u16) -> Option<Said> {
    let code = number(body.get(..4)?)?.cast_signed();
    if code == 0 {
        return Some(Said::Done);
    }
    let explained = (flags & EXPLAINED != 0).then(|| body.get(4 + HEADER..)).flatten();
    let words = explained.and_then(|attributes| {
        let (_, words) = self::attributes(attributes).find(|(kind, _)| *kind == WORDS)?;
        Some(text(words))
    });
    Some(Said::Refused(Refusal { errno: Errno::from_raw(code.wrapping_neg()), words }))
}

/// The attributes in some bytes, up to the first that is not well-formed.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(short(bytes.get(..2)?)?);
        let kind = short(bytes.get(2..4)?)?;
        let data = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, data))
    })
}

/// A text up to the zero that ends it.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// A number of four bytes.
pub(super) fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.first_chunk()?))
}

fn short(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message as the kernel would write it.
    fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
        let request = Request::new(kind, 0, body).encode(sequence);
        let flags = flags.to_ne_bytes();
        [&request[..6], &flags, &request[8..]].concat()
    }

    #[test]
    fn a_request_is_aligned_and_knows_its_length() {
        let bytes = Request::new(16, ACK, &[1; 16]).text(3, "eth0").attribute(28, &[7, 0, 0, 0]);
        let bytes = bytes.encode(9);
        assert_eq!((bytes.len(), number(&bytes)), (16 + 16 + 12 + 8, Some(52)));
        assert_eq!((short(&bytes[4..]), short(&bytes[6..])), (Some(16), Some(ACK | REQUEST)));
        assert_eq!(number(&bytes[8..]), Some(9));
        let found: Vec<_> = attributes(&bytes[32..]).collect();
        assert_eq!(found, [(3, &b"eth0\0"[..]), (28, &[7, 0, 0, 0][..])]);
    }

    #[test]
    fn answers_to_other_requests_are_passed_over() {
        let datagram = [message(16, 2, 1, b"past"), message(16, 2, 2, b"ours")].concat();
        assert_eq!(decode(&datagram, 2), Some(vec![Said::Part(b"ours".to_vec())]));
        assert_eq!(decode(&message(NOTHING, 0, 2, b""), 2), Some(vec![]));
    }

    #[test]
    fn an_error_is_told_with_the_kernels_words() {
        let mut body = (-17_i32).to_ne_bytes().to_vec();
        body.extend([0; HEADER]);
        body.extend_from_slice(&Request::new(0, 0, b"").text(WORDS, "no").0[HEADER..]);
        let refusal = |words| Some(vec![Said::Refused(Refusal { errno: Errno::EEXIST, words })]);
        assert_eq!(decode(&message(ERROR, EXPLAINED, 3, &body), 3), refusal(Some("no".to_owned())));
        assert_eq!(decode(&message(ERROR, 0, 3, &body), 3), refusal(None));
        assert_eq!(decode(&message(ERROR, 0, 3, &[0; 20]), 3), Some(vec![Said::Done]));
        assert_eq!(decode(&message(DONE, 0, 3, &[0; 4]), 3), Some(vec![Said::Done]));
        let end = message(DONE, INTERRUPTED, 3, &[0; 4]);
        assert_eq!(decode(&end, 3), Some(vec![Said::Interrupted, Said::Done]));
    }

    #[test]
    fn what_is_not_well_formed_is_no_message() {
        let good = message(ERROR, 0, 3, &[0; 20]);
        for cut in [1, 4, 15, good.len() - 1] {
            assert_eq!(decode(&good[..cut], 3), None, "{cut}");
        }
        let mut endless = good.clone();
        endless[..4].copy_from_slice(&0_u32.to_ne_bytes());
        assert_eq!(decode(&endless, 3), None);
        assert_eq!(attributes(&[0, 0, 1, 0]).count(), 0);
        assert_eq!(attributes(&[9, 0, 1, 0, 5]).count(), 0);
    }
}
