//! A session keyring for each container, keyrings(7): its keys are neither the caller's nor another
//! container's.
//!
//! A process that is added joins it by its name. Nobody else finds it: its name cannot be guessed,
//! and only who possesses it may look into it.

use libcontainer_init::step::Step;

use super::Context;
use crate::config::Config;
use crate::steps::Steps;

/// The name of the keyring, if there is to be one.
pub fn check(cx: &Context<'_>) -> Option<String> {
    let options = cx.options;
    let name = || options.keyring.clone().unwrap_or_else(|| format!("_ses.{}", cx.id));
    (!options.no_new_keyring).then(name)
}

/// Init joins it; the first one makes it.
pub fn plan(config: &Config, steps: &mut Steps) {
    if let Some(name) = &config.process.keyring {
        let name = steps.text("", name);
        steps.init("", Step::SessionKeyring { name });
    }
}
