//! Traces: a span for each request that is kept, sent to a collector by OTLP over HTTP.
//!
//! A span is written where its request ends, and waits in bounded memory; a task sends them together. A collector that is away
//! costs nothing but the oldest spans.

mod batch;
mod courier;
mod protobuf;
mod span;

use super::{Ended, Sink};
use courier::{Courier, Post};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// How long what waits at the end may take.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// Where spans go, and whose they are.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The URL of the collector, down to the last part of its path.
    pub endpoint: String,
    /// Headers by which it knows us.
    pub headers: Vec<(String, String)>,
    /// What we are called there.
    pub service: String,
    /// What else is to be told of us: attributes of the resource, by their keys.
    pub resource: Vec<(String, String)>,
}

/// Sends a span for each request that is kept.
#[derive(Debug)]
pub struct Traces {
    post: Arc<Post>,
    courier: Mutex<JoinSet<()>>,
}

impl Traces {
    /// Begins. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Why nothing can be sent there.
    pub fn open(destination: &Destination) -> Result<Self, String> {
        let courier = Courier::new(destination)?;
        let post = courier.post();
        let mut tasks = JoinSet::new();
        tasks.spawn(courier.run());
        Ok(Self { post, courier: Mutex::new(tasks) })
    }

    /// Sends what waits, and waits for that, but not for long.
    pub async fn finish(&self) {
        self.post.waiting().end();
        self.post.notify();
        let mut courier = std::mem::take(&mut *self.courier.lock().unwrap_or_else(PoisonError::into_inner));
        if tokio::time::timeout(LAST_PATIENCE, courier.join_next()).await.is_err() {
            tracing::debug!("the last traces were not sent");
        }
    }
}

impl Sink for Traces {
    fn wants_names(&self) -> bool {
        true
    }

    fn ended(&self, call: &Ended<'_>) {
        let Some(trace) = call.trace().filter(|trace| trace.is_sampled()) else { return };
        let is_worth_a_look = self.post.waiting().add(|span| span::write(span, call, trace));
        if is_worth_a_look {
            self.post.notify();
        }
    }
}
