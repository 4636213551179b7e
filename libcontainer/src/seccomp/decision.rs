//! What a profile says about calls: under which conditions, what happens, and which part says so.

use std::fmt;

use super::verdict::Verdict;

/// What of a profile decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The entry of `syscalls` with this index.
    Entry(usize),
    /// `defaultAction`.
    Default,
    /// The number is beyond all that the profile names.
    Unknown,
    /// The profile does not list the architecture.
    Architecture,
}

/// What a profile says about some calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What must hold for the arguments, all of it.
    pub conditions: Vec<Condition>,
    /// What happens then.
    pub verdict: Verdict,
    /// Why.
    pub source: Source,
}

impl Decision {
    /// Whether both lead to the same, whatever says so.
    pub(super) fn acts_as(&self, other: &Self) -> bool {
        self.verdict == other.verdict && self.conditions == other.conditions
    }

    /// Whether it counts for these arguments.
    pub(super) fn holds(&self, args: &[u64; 6]) -> bool {
        self.conditions.iter().all(|condition| condition.holds(args))
    }
}

/// The names of comparisons in profiles.
pub const OPERATORS: [(&str, Operator); 7] = [
    ("SCMP_CMP_NE", Operator::NotEqual),
    ("SCMP_CMP_LT", Operator::Less),
    ("SCMP_CMP_LE", Operator::LessOrEqual),
    ("SCMP_CMP_EQ", Operator::Equal),
    ("SCMP_CMP_GE", Operator::GreaterOrEqual),
    ("SCMP_CMP_GT", Operator::Greater),
    ("SCMP_CMP_MASKED_EQ", Operator::MaskedEqual),
];

/// A comparison of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum Operator {
    NotEqual,
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    MaskedEqual,
}

/// A condition on one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// 0 to 5.
    pub argument: u32,
    /// How it is compared.
    pub operator: Operator,
    /// What it is compared with.
    pub value: u64,
    /// The bits that are compared.
    pub mask: u64,
}

impl Condition {
    fn holds(&self, args: &[u64; 6]) -> bool {
        let given = args[self.argument as usize] & self.mask;
        match self.operator {
            Operator::NotEqual => given != self.value,
            Operator::Less => given < self.value,
            Operator::LessOrEqual => given <= self.value,
            Operator::Equal | Operator::MaskedEqual => given == self.value,
            Operator::GreaterOrEqual => given >= self.value,
            Operator::Greater => given > self.value,
        }
    }
}

/// As in C, such as `arg0 & 0x7e020000 == 0`.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "arg{}", self.argument)?;
        let sign = match self.operator {
            Operator::MaskedEqual => {
                write!(f, " & {:#x}", self.mask)?;
                "=="
            }
            Operator::NotEqual => "!=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Equal => "==",
            Operator::GreaterOrEqual => ">=",
            Operator::Greater => ">",
        };
        write!(f, " {sign} {:#x}", self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_read_as_in_c_and_hold_as_there() {
        let condition = |operator, mask| Condition { argument: 2, operator, value: 16, mask };
        let less = condition(Operator::Less, u64::MAX);
        assert_eq!(less.to_string(), "arg2 < 0x10");
        assert!(less.holds(&[99, 99, 15, 99, 99, 99]) && !less.holds(&[0, 0, 16, 0, 0, 0]));
        let masked = condition(Operator::MaskedEqual, 0xf0);
        assert_eq!(masked.to_string(), "arg2 & 0xf0 == 0x10");
        assert!(masked.holds(&[0, 0, 0x71f, 0, 0, 0]) && !masked.holds(&[0, 0, 0x20, 0, 0, 0]));
    }
}
