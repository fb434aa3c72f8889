//! Where a server may be: not at addresses that only machines of one link, or of a cloud's own, can mean.

use std::error::Error;
use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::config::is_off_limits;

/// Finds the addresses of a name, without those that are off limits.
#[derive(Debug)]
pub(super) struct Resolver;

/// A name that only leads where no server may be.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} leads to a link-local or metadata address, where no server is called: allow it by `--allow-link-local`"
)]
struct OffLimits(String);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let any = !found.is_empty();
            let left: Vec<_> = found.into_iter().filter(|address| !is_off_limits(address.ip())).collect();
            if any && left.is_empty() {
                return Err(Box::new(OffLimits(name.as_str().to_owned())) as Box<dyn Error + Send + Sync>);
            }
            Ok(Box::new(left.into_iter()) as Addrs)
        })
    }
}
