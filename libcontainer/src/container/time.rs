//! Points in time as text (RFC 3339), and how long the phases of a creation took.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A time as RFC 3339 in UTC, with nanoseconds: `2026-11-20T19:05:55.029151302Z`.
pub fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let nanoseconds = since.subsec_nanos();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanoseconds:09}Z")
}

/// Year, month and day of a number of days since 1970-01-01.
///
/// The calendar repeats every 400 years; counted from March, a leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097;
    let shifted = days + 719_468; // days since 0000-03-01
    let (era, day_of_era) = (shifted / ERA, shifted % ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// When each step of a creation was done on the runtime's side.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    marks: Vec<Mark>,
    started: Option<Instant>,
}

/// A point of a [`Timeline`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The phase of the plan, or what comes before it.
    pub phase: &'static str,
    /// The number of the step as `keel explain` counts them; 0 for what is no step.
    pub step: usize,
    /// The kind of the step, or what was done.
    pub what: &'static str,
    /// When it was done, since the creation began.
    pub at: Duration,
}

impl Timeline {
    pub(super) fn start() -> Self {
        Self { marks: Vec::with_capacity(64), started: Some(Instant::now()) }
    }

    pub(super) fn mark(&mut self, phase: &'static str, step: usize, what: &'static str) {
        let at = self.started.map(|started| started.elapsed()).unwrap_or_default();
        self.marks.push(Mark { phase, step, what, at });
    }

    /// What was done, and when.
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = Duration::ZERO;
        for Mark { phase, step, what, at } in &self.marks {
            let (total, own) = (at.as_micros(), at.saturating_sub(before).as_micros());
            let number = if *step == 0 { String::new() } else { step.to_string() };
            writeln!(f, "{total:8} µs  +{own:<7} {phase:8} {number:>4} {what}")?;
            before = *at;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000000007Z"),
            (951_782_400, "2000-02-29T00:00:00.000000007Z"),
            (1_704_067_199, "2023-12-31T23:59:59.000000007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000007Z"),
        ] {
            let time = UNIX_EPOCH + Duration::new(seconds, 7);
            assert_eq!(rfc3339(time), expected);
        }
    }
}
