//! The plan as bytes: what the runtime writes into a sealed memfd and init reads from it.
//!
//! ```text
//! 0                    header   MAGIC, length of the whole, number of steps
//! HEADER               steps    STEP_WORDS words each
//! HEADER + n * STEP    arena    strings (each ends with NUL), lists, programs
//! ```
//!
//! There are no pointers in it: a string or a list is named by offset and length ([`Str`],
//! [`List`]), and init checks every one against the arena before it uses it. Words are native.

use core::ffi::CStr;

/// Marks a plan and its layout; a program never meets another version of itself, but a truncated
/// or foreign file is told apart from a plan.
pub const MAGIC: u32 = 0x6b65_6c01;
/// Bytes of the header.
pub const HEADER: usize = 12;
/// Words of one step: its kind and its fields.
pub const STEP_WORDS: usize = 19;
/// Bytes of one step.
pub const STEP: usize = STEP_WORDS * 4;

/// A string of the plan. Its NUL stands right behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Str {
    /// Offset in the arena.
    pub at: u32,
    /// Length in bytes without the NUL.
    pub len: u32,
}

/// A list of strings: `count` pairs of words, each a [`Str`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct List {
    /// Offset in the arena, a multiple of four.
    pub at: u32,
    /// Number of strings.
    pub count: u32,
}

/// A list of numbers: `count` words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbers {
    /// Offset in the arena, a multiple of four.
    pub at: u32,
    /// How many.
    pub count: u32,
}

/// A descriptor of init's table: received from the runtime, or opened by an earlier step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u16);

impl Slot {
    /// No descriptor.
    pub const NONE: Self = Self(u16::MAX);
}

/// The words of one step, written or read from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Words {
    words: [u32; STEP_WORDS],
    next: usize,
}

impl Words {
    /// The bytes of a step as words.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut words = [0; STEP_WORDS];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_ne_bytes(chunk.try_into().ok()?);
        }
        (bytes.len() == STEP).then_some(Self { words, next: 0 })
    }

    /// The words, to be written into a plan.
    pub fn words(&self) -> &[u32; STEP_WORDS] {
        &self.words
    }

    /// The same words, to be read from the first.
    #[must_use]
    pub fn from_start(self) -> Self {
        Self { next: 0, ..self }
    }

    /// Appends a word. A step with more words than there is room for would be a bug of the step's
    /// definition; a test encodes each.
    pub fn put(&mut self, word: u32) {
        if let Some(place) = self.words.get_mut(self.next) {
            *place = word;
            self.next += 1;
        }
    }

    /// Reads the next word.
    pub fn get(&mut self) -> Option<u32> {
        let word = self.words.get(self.next).copied();
        self.next += 1;
        word
    }
}

/// A type that a step's field may have.
pub trait Field: Copy {
    /// Appends the value.
    fn put(self, words: &mut Words);
    /// Reads it back; nothing when the words hold no such value.
    fn get(words: &mut Words) -> Option<Self>;
}

impl Field for u32 {
    fn put(self, words: &mut Words) {
        words.put(self);
    }
    fn get(words: &mut Words) -> Option<Self> {
        words.get()
    }
}

impl Field for i32 {
    fn put(self, words: &mut Words) {
        words.put(self as u32);
    }
    fn get(words: &mut Words) -> Option<Self> {
        words.get().map(|word| word as Self)
    }
}

impl Field for u64 {
    fn put(self, words: &mut Words) {
        words.put(self as u32);
        words.put((self >> 32) as u32);
    }
    fn get(words: &mut Words) -> Option<Self> {
        let low = words.get()?;
        Some(Self::from(low) | Self::from(words.get()?) << 32)
    }
}

impl Field for bool {
    fn put(self, words: &mut Words) {
        words.put(u32::from(self));
    }
    fn get(words: &mut Words) -> Option<Self> {
        words.get().map(|word| word != 0)
    }
}

impl Field for Slot {
    fn put(self, words: &mut Words) {
        words.put(u32::from(self.0));
    }
    fn get(words: &mut Words) -> Option<Self> {
        words.get().and_then(|word| word.try_into().ok()).map(Self)
    }
}

/// Two words each: offset and length or count.
macro_rules! pair {
    ($($name:ident { $first:ident, $second:ident })*) => { $(
        impl Field for $name {
            fn put(self, words: &mut Words) {
                words.put(self.$first);
                words.put(self.$second);
            }
            fn get(words: &mut Words) -> Option<Self> {
                Some(Self { $first: words.get()?, $second: words.get()? })
            }
        }
    )* };
}

pair! {
    Str { at, len }
    List { at, count }
    Numbers { at, count }
}

/// A plan in memory, checked as it is read.
#[derive(Debug, Clone, Copy)]
pub struct PlanBytes<'a> {
    steps: &'a [u8],
    arena: &'a [u8],
}

impl<'a> PlanBytes<'a> {
    /// The length of a whole plan, from its header.
    pub fn announced_len(header: &[u8; HEADER]) -> Option<usize> {
        let word = |i: usize| -> Option<u32> {
            Some(u32::from_ne_bytes(header.get(i..i + 4)?.try_into().ok()?))
        };
        (word(0)? == MAGIC).then_some(word(4)? as usize)
    }

    /// Views bytes as a plan; nothing when they are none.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let header: &[u8; HEADER] = bytes.get(..HEADER)?.try_into().ok()?;
        let count = u32::from_ne_bytes(header[8..].try_into().ok()?) as usize;
        let complete = Self::announced_len(header)? == bytes.len();
        let arena_at = count.checked_mul(STEP)?.checked_add(HEADER)?;
        let plan = Self { steps: bytes.get(HEADER..arena_at)?, arena: bytes.get(arena_at..)? };
        complete.then_some(plan)
    }

    /// The number of steps.
    pub fn len(&self) -> usize {
        self.steps.len() / STEP
    }

    /// Whether there is no step.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The words of a step.
    pub fn words(&self, index: usize) -> Option<Words> {
        let at = index.checked_mul(STEP)?;
        Words::from_bytes(self.steps.get(at..at.checked_add(STEP)?)?)
    }

    /// A string; nothing when it lies outside the arena or holds a NUL.
    pub fn str(&self, text: Str) -> Option<&'a CStr> {
        let (at, len) = (text.at as usize, text.len as usize);
        let bytes = self.arena.get(at..at.checked_add(len)?.checked_add(1)?)?;
        CStr::from_bytes_with_nul(bytes).ok()
    }

    /// The string of a list with this index.
    pub fn item(&self, list: List, index: u32) -> Option<&'a CStr> {
        if index >= list.count {
            return None;
        }
        let at = index.checked_mul(8)?.checked_add(list.at)?;
        self.str(Str { at: self.word(at)?, len: self.word(at.checked_add(4)?)? })
    }

    /// The number of a list with this index.
    pub fn number(&self, list: Numbers, index: u32) -> Option<u32> {
        if index >= list.count {
            return None;
        }
        self.word(index.checked_mul(4)?.checked_add(list.at)?)
    }

    /// The bytes of a list of numbers.
    pub fn bytes(&self, list: Numbers) -> Option<&'a [u8]> {
        let at = list.at as usize;
        self.arena.get(at..at.checked_add((list.count as usize).checked_mul(4)?)?)
    }

    fn word(&self, at: u32) -> Option<u32> {
        let at = at as usize;
        let bytes = self.arena.get(at..at.checked_add(4)?)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    }
}
