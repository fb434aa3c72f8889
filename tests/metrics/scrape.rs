//! What `/metrics` says, read as Prometheus reads it.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::eventually;
use crate::support::mcp::Client;
use crate::support::router::Router;

/// What every name of the router's own begins with.
const PREFIX: &str = "mcp_switchboard_";

/// A page of `/metrics`.
#[derive(Clone, Debug)]
pub(crate) struct Scrape {
    /// The page as it came.
    pub(crate) text: String,
    /// Each series, with its labels by name, and its value.
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Scrape {
    /// Of a router that asks nobody who he is.
    pub(crate) async fn of(router: &Router) -> Self {
        Self::by(&Client::at(router.url("/metrics"))).await
    }

    /// By this client.
    pub(crate) async fn by(client: &Client) -> Self {
        let answer = client.get().await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        Self::read(answer.text().await)
    }

    /// The first that is so: what a client was told may be counted a moment later.
    pub(crate) async fn until(router: &Router, what: &str, is: impl Fn(&Self) -> bool) -> Self {
        let mut last = Self::of(router).await;
        eventually(what, async || {
            if !is(&last) {
                last = Self::of(router).await;
            }
            is(&last).then(|| last.clone())
        })
        .await
    }

    fn read(text: String) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let samples = lines.map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a value behind each series");
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let labels = labels.strip_suffix('}').expect("labels end");
            let labels = labels.split("\",").filter(|label| !label.is_empty()).map(|label| {
                let (key, value) = label.split_once("=\"").expect("a label has a value");
                (key.to_owned(), value.trim_end_matches('"').to_owned())
            });
            (name.to_owned(), labels.collect(), value.parse().expect("a number"))
        });
        let samples = samples.collect();
        Self { text, samples }
    }

    /// The sum of the series of a name that have these labels, among others; nothing if there is none.
    pub(crate) fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |found: &BTreeMap<String, String>| {
            labels.iter().all(|(key, value)| found.get(*key).is_some_and(|found| found == value))
        };
        let name = format!("{PREFIX}{name}");
        let found = self.samples.iter().filter(|(sample, found, _)| *sample == name && has(found));
        let values: Vec<f64> = found.map(|(_, _, value)| *value).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// The same, where none is zero.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).unwrap_or(0.0)
    }

    /// The requests of a server that ended so.
    pub(crate) fn ended(&self, server: &str, method: &str, outcome: &str) -> f64 {
        self.sum("requests_total", &[("server", server), ("method", method), ("outcome", outcome)])
    }

    /// The names and labels of every series.
    pub(crate) fn series(&self) -> BTreeSet<String> {
        let text = self.text.lines().filter(|line| !line.starts_with('#'));
        text.filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series.to_owned()).collect()
    }
}
