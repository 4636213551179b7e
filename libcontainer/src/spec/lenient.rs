//! Reading JSON with the tolerance of Go's `encoding/json`, which every engine was tested against.
//!
//! Unknown members are skipped, `null` anywhere is the default, of a key given twice the last one
//! wins, and bytes after the document are left alone; a value of the wrong type is a fault with its
//! JSON pointer. Keys must match exactly (Go ignores their case; no engine relies on that).
//! Called by `record`, which makes the structs, and by `oci`; it must never judge what a value
//! means: that is for the features' checks. A document of keel's own is read without that tolerance
//! ([`parse_strictly`]): what it says and keel does not know must not go unnoticed.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use crate::error::{Error, ErrorKind, Fault};

/// Characters of a fault's message that are kept at each end: it may quote a value of any length.
const QUOTED: usize = 100;

/// The way from a fault up to the document's root, innermost member first. Filled on failure only.
#[derive(Default)]
pub(crate) struct Trail {
    segments: Vec<String>,
    /// Whether unknown members, and members given twice, are faults.
    strict: bool,
    /// The ways from members that were skipped up to the value that is being read.
    skipped: Vec<Vec<String>>,
}

impl Trail {
    /// Adds the member or index that holds what was added before.
    pub(crate) fn push(&mut self, segment: impl fmt::Display) {
        self.segments.push(segment.to_string());
    }

    /// The trail as a JSON pointer (RFC 6901).
    pub(crate) fn pointer(&self) -> String {
        pointer(&self.segments)
    }

    /// Notes that the member being read is skipped.
    pub(crate) fn skip(&mut self) {
        self.skipped.push(Vec::new());
    }

    /// How many members were skipped so far.
    pub(crate) fn skipped(&self) -> usize {
        self.skipped.len()
    }

    /// Notes in which member or index those lie that were skipped since.
    pub(crate) fn skipped_within(&mut self, since: usize, segment: impl fmt::Display) {
        for way in self.skipped.iter_mut().skip(since) {
            way.push(segment.to_string());
        }
    }

    /// Whether nothing in the document may be skipped.
    pub(crate) fn is_strict(&self) -> bool {
        self.strict
    }
}

/// A way up to the document's root as a JSON pointer.
fn pointer(way: &[String]) -> String {
    way.iter().rev().map(|segment| format!("/{}", escaped(segment))).collect()
}

/// A member's name as it stands in a JSON pointer.
pub(crate) fn escaped(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

/// A type of value in the model.
pub(crate) trait Lenient: Default {
    /// Reads a value that is not `null`.
    fn read<'de, D: Deserializer<'de>>(input: D, trail: &mut Trail) -> Result<Self, D::Error>;

    /// Whether the value equals an absent one, so that an optional member is not written.
    fn is_void(&self) -> bool {
        false
    }

    /// The value of an optional member that is there: none, if being there says nothing.
    fn given(self) -> Option<Self> {
        Some(self)
    }
}

/// A place for one value: `null` makes it the default.
pub(crate) struct Slot<'t, T>(&'t mut Trail, PhantomData<T>);

impl<'t, T> Slot<'t, T> {
    /// A place whose faults are noted in this trail.
    pub(crate) fn new(trail: &'t mut Trail) -> Self {
        Self(trail, PhantomData)
    }
}

impl<'de, T: Lenient> DeserializeSeed<'de> for Slot<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<T, D::Error> {
        input.deserialize_option(self)
    }
}

impl<'de, T: Lenient> Visitor<'de> for Slot<'_, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }

    fn visit_none<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, input: D) -> Result<T, D::Error> {
        T::read(input, self.0)
    }
}

/// Reads the value that follows a key.
pub(crate) fn read_value<'de, T: Lenient, A: MapAccess<'de>>(
    members: &mut A,
    trail: &mut Trail,
) -> Result<T, A::Error> {
    members.next_value_seed(Slot::new(trail))
}

/// Makes a list out of an array.
struct Items<'t, T>(&'t mut Trail, PhantomData<T>);

impl<'de, T: Lenient> Visitor<'de> for Items<'_, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        loop {
            let skipped = self.0.skipped();
            let next = items.next_element_seed(Slot::new(self.0));
            let next = next.inspect_err(|_| self.0.push(list.len()))?;
            self.0.skipped_within(skipped, list.len());
            match next {
                Some(item) => list.push(item),
                None => return Ok(list),
            }
        }
    }
}

impl<T: Lenient> Lenient for Vec<T> {
    fn read<'de, D: Deserializer<'de>>(input: D, trail: &mut Trail) -> Result<Self, D::Error> {
        input.deserialize_seq(Items(trail, PhantomData))
    }

    fn is_void(&self) -> bool {
        self.is_empty()
    }
}

/// Makes a map out of an object whose keys are free.
struct Entries<'t, T>(&'t mut Trail, PhantomData<T>);

impl<'de, T: Lenient> Visitor<'de> for Entries<'_, T> {
    type Value = BTreeMap<String, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some(key) = members.next_key::<String>()? {
            let skipped = self.0.skipped();
            let value = read_value(&mut members, self.0).inspect_err(|_| self.0.push(&key))?;
            self.0.skipped_within(skipped, &key);
            entries.insert(key, value);
        }
        Ok(entries)
    }
}

impl<T: Lenient> Lenient for BTreeMap<String, T> {
    fn read<'de, D: Deserializer<'de>>(input: D, trail: &mut Trail) -> Result<Self, D::Error> {
        input.deserialize_map(Entries(trail, PhantomData))
    }

    fn is_void(&self) -> bool {
        self.is_empty()
    }
}

impl<T: Lenient> Lenient for Option<T> {
    fn read<'de, D: Deserializer<'de>>(input: D, trail: &mut Trail) -> Result<Self, D::Error> {
        Ok(T::read(input, trail)?.given())
    }

    fn is_void(&self) -> bool {
        self.is_none()
    }
}

impl Lenient for String {
    fn read<'de, D: Deserializer<'de>>(input: D, _: &mut Trail) -> Result<Self, D::Error> {
        Self::deserialize(input)
    }

    fn is_void(&self) -> bool {
        self.is_empty()
    }

    fn given(self) -> Option<Self> {
        (!self.is_empty()).then_some(self)
    }
}

impl Lenient for bool {
    fn read<'de, D: Deserializer<'de>>(input: D, _: &mut Trail) -> Result<Self, D::Error> {
        Self::deserialize(input)
    }

    fn is_void(&self) -> bool {
        !self
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Lenient for $number {
            fn read<'de, D: Deserializer<'de>>(input: D, _: &mut Trail) -> Result<Self, D::Error> {
                Self::deserialize(input)
            }
        }
    )*};
}

numbers!(u16 u32 u64 i32 i64);

/// Reads a value for serde's own interface, which has no room for a pointer.
pub(crate) fn deserialize<'de, T: Lenient, D: Deserializer<'de>>(input: D) -> Result<T, D::Error> {
    Slot::new(&mut Trail::default()).deserialize(input)
}

/// Reads `text`, called `document` in errors; what it holds stands at the pointer `root` of a
/// configuration.
pub(crate) fn parse<T: Lenient>(text: &[u8], document: &str, root: &str) -> Result<T, Error> {
    parse_noting(text, document, root).map(|(value, _)| value)
}

/// The same, with pointers to the members that were skipped.
pub(crate) fn parse_noting<T: Lenient>(
    text: &[u8],
    document: &str,
    root: &str,
) -> Result<(T, Vec<String>), Error> {
    let (valid, cut) = match std::str::from_utf8(text) {
        Ok(text) => (text, false),
        // Bytes after the document may be anything, so read as far as the text is one.
        Err(_) => (text.utf8_chunks().next().map_or("", |chunk| chunk.valid()), true),
    };
    let mut trail = Trail::default();
    let mut input = serde_json::Deserializer::from_str(valid);
    let read = Slot::new(&mut trail).deserialize(&mut input);
    let skipped: Vec<String> = trail.skipped.iter().map(|way| pointer(way)).collect();
    read.map(|value| (value, skipped)).map_err(|error| match error.classify() {
        Category::Data => {
            let pointer = format!("{root}{}", trail.pointer());
            let message = abridged(&without_place(&error));
            if pointer.is_empty() {
                return Error::new(ErrorKind::Config, format!("cannot read {document}: {message}"));
            }
            Error::config(vec![Fault { pointer, message }])
        }
        Category::Eof if cut => {
            let (line, column) = (error.line(), error.column());
            let place = format!("invalid byte at line {line} column {column}");
            Error::new(ErrorKind::Config, format!("{document} is not valid UTF-8: {place}"))
        }
        Category::Eof | Category::Syntax | Category::Io => {
            Error::new(ErrorKind::Config, format!("{document} is not valid JSON: {error}"))
        }
    })
}

/// Reads a whole text in which nothing is skipped: unknown members, members given twice and whatever
/// follows the document are faults, told in a sentence that says where.
pub(crate) fn parse_strictly<T: Lenient>(text: &str) -> Result<T, String> {
    let mut trail = Trail { strict: true, ..Trail::default() };
    let mut input = serde_json::Deserializer::from_str(text);
    let read = Slot::new(&mut trail).deserialize(&mut input);
    let read = read.and_then(|value| input.end().map(|()| value));
    read.map_err(|error| match (error.classify(), trail.pointer()) {
        (Category::Data, pointer) if pointer.is_empty() => abridged(&without_place(&error)),
        (Category::Data, pointer) => format!("{pointer}: {}", abridged(&without_place(&error))),
        _ => format!("not valid JSON: {error}"),
    })
}

/// The message without the line and column that serde_json appends.
fn without_place(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&place).unwrap_or(&message).to_owned()
}

/// The message, short of the middle of a long value that it quotes.
pub(crate) fn abridged(message: &str) -> String {
    let length = message.chars().count();
    if length <= 2 * QUOTED {
        return message.to_owned();
    }
    let start = message.chars().take(QUOTED);
    let end = message.chars().skip(length - QUOTED);
    start.chain("...".chars()).chain(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &[u8]) -> String {
        parse::<BTreeMap<String, Vec<u32>>>(text, "x.json", "").unwrap_err().to_string()
    }

    #[test]
    fn a_pointer_escapes_tilde_and_slash() {
        assert!(
            fault(br#"{"a/~b": [1, null, "x"]}"#)
                .ends_with("invalid type: string \"x\", expected u32 (config.json /a~1~0b/2)")
        );
    }

    #[test]
    fn broken_text_is_told_by_line_and_column() {
        for (text, message) in [
            (&b"{\n\"a\": [1 2]}"[..], "not valid JSON: expected `,` or `]` at line 2 column 9"),
            (b"{\"a\":", "not valid JSON: EOF while parsing a value at line 1 column 5"),
            (b"", "not valid JSON: EOF while parsing a value at line 1 column 0"),
            (b"{\n\"\xff\": 1}", "not valid UTF-8: invalid byte at line 2 column 1"),
            (b"\xef\xbb\xbf{}", "not valid JSON: expected value at line 1 column 1"),
        ] {
            assert_eq!(fault(text), format!("x.json is {message}"));
        }
        assert_eq!(
            fault(b"7"),
            "cannot read x.json: invalid type: integer `7`, expected an object"
        );
    }

    #[test]
    fn bytes_after_the_document_are_left_alone() {
        for text in [&b"{} x"[..], b"{}}", b"{}\0\0", b"{}\xff\xfe", b"null, 1"] {
            assert!(parse::<BTreeMap<String, u32>>(text, "x.json", "").unwrap().is_empty());
        }
    }

    #[test]
    fn a_long_value_is_quoted_by_its_ends() {
        let text = format!("{{\"a\": [\"{}\"]}}", "ä".repeat(5000));
        let message = fault(text.as_bytes());
        assert!(message.contains("ääää...ääää") && message.contains("expected u32"), "{message}");
        assert!(message.chars().count() < 300, "{message}");
    }

    #[test]
    fn nesting_of_any_depth_does_not_exhaust_the_stack() {
        let depth = 1_000_000;
        let nested = |close| format!("{{\"x\": {}{}}}", "[".repeat(depth), "]".repeat(close));
        assert!(parse::<crate::spec::Root>(nested(depth).as_bytes(), "x.json", "").is_ok());
        let error = parse::<crate::spec::Root>(nested(0).as_bytes(), "x.json", "").unwrap_err();
        assert!(error.to_string().contains("not valid JSON"), "{error}");
    }
}
