//! What a server does beside answering: it is slow, it talks where it must not, it does not end.

use std::time::Duration;

use super::Case;
use super::end::package;
use crate::cli::doctor::finding::Finding;
use crate::cli::doctor::trial::{Trial, Trouble};
use crate::config::EraSetting;
use crate::mount::SILENCE;
use crate::peer::PATIENCE;
use crate::wire::Code;

/// A start that takes longer is worth a word: common clients wait no longer than a few times that.
const SLOW: Duration = Duration::from_secs(5);

/// Characters of a line that is shown.
const SHOWN: usize = 80;

pub(super) fn odd(case: &Case<'_>, trial: &Trial) -> Vec<Finding> {
    [noise(case, trial), slow(case, trial), stubborn(case, trial)].into_iter().flatten().collect()
}

fn noise(case: &Case<'_>, trial: &Trial) -> Option<Finding> {
    // Of one that has ended it is told as the reason.
    if trial.opened.is_none() && matches!(trial.trouble, Some(Trouble::Ended(_))) {
        return None;
    }
    let noise = &trial.noise;
    let first = case.shown(noise.lines.first()?);
    let mut shown: String = first.chars().take(SHOWN).collect();
    if shown.len() < first.len() {
        shown.push('…');
    }
    let (count, are) = if noise.count == 1 {
        ("1 line".to_owned(), "is no message")
    } else {
        (format!("{} lines", noise.count), "are no messages")
    };
    Some(Finding::warning(
        "stdout-noise",
        format!("{count} on stdout {are}; the first: {shown:?}"),
        "print to stderr: the router passes over such lines, and many clients do not",
    ))
}

fn slow(case: &Case<'_>, trial: &Trial) -> Option<Finding> {
    let answered = trial.answered?;
    let what = format!("the first answer took {:.1} s", answered.as_secs_f64());
    let limits = [("startTimeout", Some(case.server.start_timeout)), ("timeout", case.server.timeout)];
    let passed =
        limits.into_iter().find_map(|(key, limit)| Some((key, limit.filter(|limit| *limit <= answered)?)));
    if let Some((key, limit)) = passed {
        return Some(Finding::error(
            "slow-start",
            format!("{what}, and the router gives up after {} s", limit.as_secs_f64()),
            format!("raise `{key}` of the entry"),
        ));
    }
    if is_found_late(case, trial, answered) {
        return Some(Finding::warning(
            "slow-start",
            format!(
                "{what}, and the server speaks nothing but 2026-07-28, which the router finds out only where it is answered within {} s",
                SILENCE.as_secs()
            ),
            "write `\"era\": \"modern\"` into the entry: else clients that come before it has started are refused",
        ));
    }
    if answered < SLOW {
        return None;
    }
    let advice = match case.command().and_then(|command| package(case, command)) {
        Some(line) => format!(
            "a first start downloads the package: try again; if it stays slow, install it instead of `{line}`, \
             or keep processes ready (`pool.warm`)"
        ),
        None if case.command().is_some() => {
            "keep processes ready (`pool.warm`, which is 1 unless the entry says otherwise); `startTimeout` is the limit".to_owned()
        }
        None => "the server or the way to it is slow; `startTimeout` is the limit".to_owned(),
    };
    Some(Finding::warning("slow-start", what, advice))
}

/// Whether the router would take a server that only speaks the modern era for one of the other, for it is slow and does not say
/// why it refuses.
fn is_found_late(case: &Case<'_>, trial: &Trial, answered: Duration) -> bool {
    let refuses = |legacy: &Trial| {
        let unsupported = Code::UnsupportedVersion.number();
        let is_certain = matches!(legacy.trouble, Some(Trouble::Refused { code, .. }) if code == unsupported);
        legacy.opened.is_none() && !is_certain
    };
    let is_only_modern =
        case.modern.is_some_and(|modern| std::ptr::eq(modern, trial)) && case.legacy.is_some_and(refuses);
    case.command().is_some() && case.server.era == EraSetting::Auto && is_only_modern && answered > SILENCE
}

fn stubborn(case: &Case<'_>, trial: &Trial) -> Option<Finding> {
    // One that was killed was not asked.
    (case.command().is_some() && trial.is_well() && trial.stopped.is_none_or(|took| took >= PATIENCE)).then(
        || {
            Finding::warning(
                "does-not-end",
                format!(
                    "it runs on when its stdin is closed, and was ended by a signal after {} s",
                    PATIENCE.as_secs()
                ),
                "let it end with its stdin: whatever else starts it may leave it behind",
            )
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::trial::Practice;
    use crate::config::{CommandSpec, Config, Limits, ServerSpec};
    use crate::peer::Mask;
    use crate::protocol::Opened;
    use crate::wire::{Message, Payload};
    use bytes::Bytes;

    fn modern(answered: u64) -> Trial {
        let text =
            r#"{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"],"capabilities":{}}}"#;
        let Ok(Payload::One(answer)) = Payload::parse(&Bytes::from_static(text.as_bytes()), 16) else {
            panic!("it is a message")
        };
        let opened = |answer: &Message| Opened::discovered(answer).ok();
        let answered = Some(Duration::from_secs(answered));
        Trial { answered, opened: opened(&answer), listed: Some(Duration::ZERO), ..Trial::default() }
    }

    #[test]
    fn a_slow_server_of_the_modern_era_alone_is_to_say_so() {
        let (config, command) = (Config::default(), CommandSpec::new("x"));
        let mask = Mask::new(&command);
        let mut server = ServerSpec::stdio("s".parse().unwrap(), command);
        let practice = Practice {
            limits: Limits::default(),
            pass_environment: false,
            sandbox_helper: None,
            tracker: tokio_util::task::TaskTracker::new(),
            stop: tokio_util::sync::CancellationToken::new(),
            patience: None,
            path: std::ffi::OsString::new(),
            home: None,
        };
        let refused = |code| Trial {
            trouble: Some(Trouble::Refused { code, message: String::new() }),
            ..Trial::default()
        };
        let advice = |server: &ServerSpec, legacy: &Trial, modern: &Trial| {
            let case = Case {
                server,
                config: &config,
                practice: &practice,
                mask: &mask,
                legacy: Some(legacy),
                modern: Some(modern),
                oldest: None,
                elsewhere: None,
            };
            slow(&case, modern).map(|found| found.advice).unwrap_or_default()
        };
        let says = |advice: String| advice.contains(r#""era": "modern""#);
        let unknown = refused(Code::MethodNotFound.number());
        assert!(says(advice(&server, &unknown, &modern(14))));
        assert!(!says(advice(&server, &unknown, &modern(9))), "the router finds it out");
        let certain = refused(Code::UnsupportedVersion.number());
        assert!(!says(advice(&server, &certain, &modern(14))), "the server has said so itself");
        server.era = EraSetting::Modern;
        assert!(!says(advice(&server, &unknown, &modern(14))), "the entry says so");
    }
}
