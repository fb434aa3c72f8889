//! Which revisions a server speaks, and how it takes one that it does not know.

use super::Case;
use crate::cli::doctor::finding::Finding;
use crate::cli::doctor::trial::Trial;
use crate::wire::Revision;

/// The server has answered the first message of every client with an error.
pub(super) fn refused(case: &Case<'_>, code: i64, message: &str) -> Finding {
    let said = format!("{:?} ({code})", case.shown(message));
    let newest = Revision::NEWEST_LEGACY;
    if let Some(opened) = case.oldest.and_then(|trial| trial.opened.as_ref()) {
        return old(&opened.version(), &format!("it answers a client of {newest} with the error {said}"));
    }
    Finding::error(
        "refused",
        format!("the server refuses to be opened: {said}"),
        "it says why; a wrong argument, a missing key or an old SDK are usual",
    )
}

fn old(version: &str, what: &str) -> Finding {
    Finding::error(
        "revision-refused",
        format!("{what}, and works only for one of {version}"),
        "update the SDK that the server is built with: to a revision that it does not know a server is to answer with one that it does",
    )
}

/// The answer to the first message is none.
pub(super) fn nonsense(case: &Case<'_>, why: &str) -> Finding {
    Finding::error(
        "not-mcp",
        format!("the answer to the first message is none of MCP: {}", case.shown(why)),
        "it may be another kind of server; with an own one, use an SDK of MCP",
    )
}

/// What works, and will not for long.
pub(super) fn odd(case: &Case<'_>, trial: &Trial) -> Option<Finding> {
    let opened = trial.opened.as_ref()?;
    let version = opened.version();
    // It was offered as the last resort.
    if case.oldest.is_some_and(|oldest| std::ptr::eq(oldest, trial)) {
        return Some(old(&version, &format!("it refuses a client of {}", Revision::NEWEST_LEGACY)));
    }
    if opened.revision.is_none() {
        return Some(Finding::warning(
            "revision-unknown",
            format!("the server speaks {:?}, a version that was never published", case.shown(&version)),
            "many clients refuse it: update the SDK that the server is built with",
        ));
    }
    (opened.revision == Some(Revision::V2024_11_05)).then(|| {
        Finding::warning(
            "revision-old",
            format!("the server speaks {version}, the first revision of all"),
            "update the SDK that the server is built with: newer clients miss what came since",
        )
    })
}
