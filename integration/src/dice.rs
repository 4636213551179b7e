//! Numbers that look random and are the same each time for the same seed.
//!
//! A test at random prints its seed, so that a failure can be had again.

/// xorshift64. The seed must not be 0.
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// A number below 2^56.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 8
    }

    /// A number from 0 to below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// Yes once in `of` times.
    pub fn chance(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    /// One of a list.
    pub fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    /// About half of a list.
    pub fn some<T: Copy>(&mut self, list: &[T]) -> Vec<T> {
        list.iter().copied().filter(|_| self.chance(2)).collect()
    }
}
