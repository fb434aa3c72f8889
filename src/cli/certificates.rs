//! The certificate is read again when its files change, and when somebody asks. Contents are compared, as those of the
//! configuration are.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::watched::{QUIET, next_look};
use crate::config::Diff;
use crate::http::operator::{Ask, NotReloaded};
use crate::http::tls::Renewal;
use crate::router::Router;
use crate::telemetry::EventKind;

/// Who asks for the certificate alone, where there is no configuration file to be read again.
pub(super) struct Asking {
    /// SIGHUP.
    pub(super) hangups: Arc<Notify>,
    /// `POST /admin/reload`.
    pub(super) asks: Option<mpsc::Receiver<Ask>>,
}

/// Looks for changes each `interval`, and listens to who asks, until `stop`.
pub(super) async fn follow(
    router: Arc<Router>,
    interval: Option<Duration>,
    mut asking: Option<Asking>,
    stop: CancellationToken,
) {
    let Some(tls) = router.tls() else { return };
    loop {
        let asked = async {
            let Some(Asking { hangups, asks }) = &mut asking else { return std::future::pending().await };
            let ask = async {
                match asks {
                    Some(asks) => asks.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = hangups.notified() => None,
                ask = ask => ask,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = next_look(interval) => tokio::select! {
                () = stop.cancelled() => return,
                outdated = tls.is_outdated(async || tokio::time::sleep(QUIET).await) => if outdated {
                    let _ = renew(&router, false).await;
                }
            },
            ask = asked => {
                let renewed = renew(&router, true).await;
                if let Some(ask) = ask {
                    // Who has hung up does not want to know.
                    let _ = ask.send(renewed.map(changed));
                }
            }
        }
    }
}

/// Reads the certificate again, if there is one, and says whether it is another one.
pub(super) async fn renew(router: &Router, is_asked: bool) -> Result<bool, NotReloaded> {
    let Some(tls) = router.tls() else { return Ok(false) };
    match tls.renew(is_asked).await {
        Renewal::Same => Ok(false),
        Renewal::Renewed(warnings) => {
            for warning in warnings {
                tracing::warn!("{warning}");
            }
            tracing::info!("the certificate was read again; new connections get it");
            Ok(true)
        }
        Renewal::Refused(error) => {
            tracing::error!("the changed certificate is not used, the one before stays: {error}");
            router.events().tell(None, EventKind::Refused, &error.to_string());
            Err(NotReloaded::Broken(error.to_string()))
        }
    }
}

fn changed(is_new: bool) -> Diff {
    Diff { settings: is_new.then_some("tls").into_iter().collect(), ..Diff::default() }
}
