//! A session keyring of the container's own, so that the caller's keys stay the caller's.

use libcontainer_init::step::Step;

use crate::config::Config;
use crate::steps::Steps;

/// Joins a new keyring named after the container, as engines expect it.
pub fn plan(config: &Config, steps: &mut Steps) {
    if let Some(name) = &config.process.keyring {
        let name = steps.text("", name);
        steps.init("", Step::SessionKeyring { name });
    }
}
