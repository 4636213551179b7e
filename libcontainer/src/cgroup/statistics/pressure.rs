//! Pressure: how long processes wait for a resource that is short, cgroup v2 alone.
//!
//! Source: `accounting/psi.rst`.

use super::files::Files;
use crate::error::Result;

/// How processes had to wait for one resource.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pressure {
    /// While at least one of them waited.
    pub some: Stall,
    /// While all of them waited; for the processor from Linux 5.13 on.
    pub full: Option<Stall>,
}

/// Time spent waiting.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stall {
    /// Its share of the last 10 seconds, in percent.
    pub avg10: f64,
    /// Its share of the last minute, in percent.
    pub avg60: f64,
    /// Its share of the last five minutes, in percent.
    pub avg300: f64,
    /// All of it, in microseconds.
    pub total: u64,
}

pub(super) fn read(files: &Files, file: &str) -> Result<Option<Pressure>> {
    files.parse(file, parse)
}

fn parse(text: &str) -> Option<Pressure> {
    let (mut some, mut full) = (None, None);
    for line in text.lines() {
        let (name, fields) = line.split_once(' ')?;
        match name {
            "some" => some = Some(stall(fields)?),
            "full" => full = Some(stall(fields)?),
            _ => {}
        }
    }
    Some(Pressure { some: some?, full })
}

fn stall(fields: &str) -> Option<Stall> {
    let mut stall = Stall::default();
    for field in fields.split_ascii_whitespace() {
        let (name, value) = field.split_once('=')?;
        match name {
            "avg10" => stall.avg10 = value.parse().ok()?,
            "avg60" => stall.avg60 = value.parse().ok()?,
            "avg300" => stall.avg300 = value.parse().ok()?,
            "total" => stall.total = value.parse().ok()?,
            _ => {}
        }
    }
    Some(stall)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_has_three_averages_and_a_total() {
        let text = "some avg10=1.70 avg60=0.25 avg300=0.05 total=190321\n\
                    full avg10=0.00 avg60=0.10 avg300=0.03 total=160025";
        let pressure = parse(text).unwrap();
        assert_eq!(pressure.some, Stall { avg10: 1.7, avg60: 0.25, avg300: 0.05, total: 190_321 });
        assert_eq!(pressure.full.map(|full| full.total), Some(160_025));
        assert_eq!(parse("some avg10=0.00 avg60=0.00 avg300=0.00 total=0").unwrap().full, None);
        for bad in ["", "full avg10=0.00", "some avg10", "some total=-1", "some"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
