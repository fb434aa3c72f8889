//! A new key for somebody: the line for the file of keys goes to stdout, the key itself to stderr, and nowhere else.

use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{failed, print, tell};
use crate::config;

/// Bytes of a key: nobody guesses it.
const LENGTH: usize = 32;

/// What every key begins with, so that people and scanners of secrets know one when they see it.
const PREFIX: &str = "mcps_";

/// Makes a key for `name`, who is in these groups.
pub(super) fn run(name: &str, groups: &[String]) -> ExitCode {
    let plain = |text: &str| {
        !text.is_empty()
            && !text.contains([':', ',', '#'])
            && !text.chars().any(|c| c.is_whitespace() || c.is_control())
    };
    if let Some(wrong) =
        std::iter::once(name).chain(groups.iter().map(String::as_str)).find(|name| !plain(name))
    {
        return failed(&format!(
            "{wrong:?} cannot be a name here: no spaces, colons, commas and number signs"
        ));
    }
    let mut bytes = [0; LENGTH];
    if getrandom::fill(&mut bytes).is_err() {
        return failed(&"the operating system gives no random numbers");
    }
    let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    let line = format!("{name} sha256:{} {}", config::hexadecimal(&config::digest(&key)), groups.join(","));
    print(format!("{}\n", line.trim_end()).as_bytes());
    tell(&format!("the key of {name}, which is shown only now: {key}"));
    ExitCode::SUCCESS
}
