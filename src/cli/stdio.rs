//! Client mode at work: stdin and stdout carry the protocol and nothing else.

use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use super::logging::Options;
use super::serve::run;
use super::signals::Signals;
use crate::config::Config;
use crate::connect::{LineLimits, connect};
use crate::router::Router;

/// Serves the default server, or all servers together, until stdin ends, or a signal comes; the session with the server is ended in peace.
pub(super) fn serve(config: Config, options: Options) -> ExitCode {
    run(options, |_screen, _volume| bridge(config))
}

async fn bridge(mut config: Config) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen(Vec::new())?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(server) = &mut config.default_server {
        // Its one client opens the session that there is: the server sees no other.
        server.pool.warm = 0;
    }
    let limits = LineLimits { length: config.limits.line, depth: config.limits.depth };
    let router = Router::build(config, true);
    // It is what the mode was chosen for.
    let Some(mount) = router.root_mount() else { return Ok(ExitCode::FAILURE) };
    let stop = CancellationToken::new();
    let serving = connect(mount, std::io::stdin(), std::io::stdout(), limits, stop.clone());
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => Some(ended),
        signal = signals.next() => {
            tracing::debug!(signal, "stopping; a second signal stops at once");
            stop.cancel();
            None
        }
    };
    let rest = async {
        let ended = match ended {
            Some(ended) => ended,
            None => serving.await,
        };
        router.stop().await;
        ended
    };
    tokio::select! {
        ended = rest => ended?,
        _ = signals.next() => {
            router.kill();
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
