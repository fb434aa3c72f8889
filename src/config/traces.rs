//! Where traces go: the key `traces` of the file.

use super::error::Problem;
use super::file::{Surroundings, checked};
use super::json::Json;
use super::node::{Expansion, Node};
use std::fmt;
use url::Url;

/// Where the traces of requests go, and which.
#[derive(Clone, PartialEq)]
pub struct TracesSpec {
    /// The URL of a collector, where it takes traces.
    pub endpoint: String,
    /// Headers by which the collector knows us; their values may be secret.
    pub headers: Vec<(String, String)>,
    /// Which share of those that begin here is kept, from 0 to 1.
    pub sample: f64,
    /// What the router is called there.
    pub service: String,
    /// What else is told of it: attributes of the resource, by their keys.
    pub resource: Vec<(String, String)>,
}

impl TracesSpec {
    /// The place that the specification of OTLP gives to a collector on this machine.
    pub const NEARBY: &str = "http://localhost:4318";

    /// What the URL of a collector stands for: it takes traces at a path of their own below. None if it is no such URL.
    pub fn endpoint(base: &str) -> Option<String> {
        const PATH: &str = "/v1/traces";
        let url = Url::parse(base.trim()).ok()?;
        let plain = matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none();
        if !plain || !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return None;
        }
        let base = url.as_str().trim_end_matches('/');
        Some(if base.ends_with(PATH) { base.to_owned() } else { format!("{base}{PATH}") })
    }

    /// Pairs as OpenTelemetry has them in variables of the environment: `key=value,key=value`, with `,`, `=` and `%` in them as
    /// `%2C` and the like. Nothing if they are not written so.
    pub fn pairs(text: &str) -> Option<Vec<(String, String)>> {
        let decoded = |text: &str| {
            let text = percent_encoding::percent_decode_str(text.trim()).decode_utf8().ok()?;
            Some(text.into_owned())
        };
        let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=').filter(|(key, _)| !key.trim().is_empty())?;
            Some((decoded(key)?, decoded(value)?))
        };
        pairs.map(pair).collect()
    }

    /// Headers in such pairs.
    pub fn headers(text: &str) -> Option<Vec<(String, String)>> {
        Self::pairs(text).filter(|headers| headers.iter().all(|(name, value)| is_header(name, value)))
    }

    /// A share as a number from 0 to 1.
    pub fn share(text: &str) -> Option<f64> {
        text.trim().parse().ok().filter(|share| (0.0..=1.0).contains(share))
    }
}

impl Default for TracesSpec {
    fn default() -> Self {
        Self {
            endpoint: format!("{}/v1/traces", Self::NEARBY),
            headers: Vec::new(),
            sample: 1.0,
            service: "mcp-switchboard".to_owned(),
            resource: Vec::new(),
        }
    }
}

impl fmt::Debug for TracesSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        let Self { endpoint, sample, service, resource, .. } = self;
        write!(f, "TracesSpec({endpoint}, {names:?}, {sample}, {service:?}, {resource:?})")
    }
}

fn is_header(name: &str, value: &str) -> bool {
    http::HeaderName::try_from(name).is_ok() && http::HeaderValue::try_from(value).is_ok()
}

/// Reads where they go; nothing: there are none.
pub(super) fn read(
    node: &Node<'_>,
    surroundings: &Surroundings<'_>,
    warnings: &mut Vec<String>,
) -> Result<Option<TracesSpec>, Problem> {
    if let Json::Bool(wanted) = node.json {
        return Ok(wanted.then(TracesSpec::default));
    }
    let mut members = node.members("true, false, or an object with `endpoint`")?;
    let mut expansion = Expansion::new(surroundings.variables);
    let mut spec = TracesSpec::default();
    if let Some(node) = members.get("endpoint") {
        let wanted = "a URL like \"http://localhost:4318\", without a user and a query";
        spec.endpoint = checked(&node, &mut expansion, wanted, TracesSpec::endpoint)?;
    }
    if let Some(node) = members.get("headers") {
        for (name, node) in node.members("an object of headers")?.iter() {
            let value = checked(&node, &mut expansion, "the value of a header", |value| {
                is_header(name, value).then(|| value.to_owned())
            })?;
            spec.headers.push((name.to_owned(), value));
        }
    }
    if let Some(node) = members.get("sample") {
        spec.sample = match node.json {
            Json::Number(share) if (0.0..=1.0).contains(share) => *share,
            _ => return Err(node.wanted("a number from 0 to 1")),
        };
    }
    if let Some(node) = members.get("service") {
        spec.service = checked(&node, &mut expansion, "a name", |name| {
            (!name.trim().is_empty()).then(|| name.to_owned())
        })?;
    }
    warnings.extend(members.unknown());
    Ok(Some(spec))
}

#[cfg(test)]
mod tests {
    use super::super::file::tests::part;
    use super::*;

    fn traces(text: &str) -> Result<(Option<TracesSpec>, Vec<String>), String> {
        part(text, "/", ("KEY", "s3cret"), read).map_err(|problem| problem.to_string())
    }

    #[test]
    fn a_collector_takes_traces_below_its_url() {
        let endpoint = |base: &str| TracesSpec::endpoint(base);
        assert_eq!(endpoint("http://localhost:4318").as_deref(), Some("http://localhost:4318/v1/traces"));
        assert_eq!(endpoint("https://c.example/otlp/").as_deref(), Some("https://c.example/otlp/v1/traces"));
        assert_eq!(endpoint("https://c.example/v1/traces").as_deref(), Some("https://c.example/v1/traces"));
        for wrong in ["localhost:4318", "ftp://a", "http://u:p@a", "http://a/?key=x", "http://a/#x", ""] {
            assert_eq!(endpoint(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn pairs_are_read_as_opentelemetry_writes_them() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let read = TracesSpec::pairs(" deployment.environment=prod , team = a%2Cb%3D%C3%A4,empty=,");
        let expected = [pair("deployment.environment", "prod"), pair("team", "a,b=ä"), pair("empty", "")];
        assert_eq!(read.as_deref(), Some(&expected[..]));
        assert_eq!(TracesSpec::pairs(" "), Some(Vec::new()));
        for wrong in ["a", "=b", "a=b,c", "a=%FF"] {
            assert_eq!(TracesSpec::pairs(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_said_counts_and_what_makes_no_sense_is_told() {
        assert_eq!(traces("true").unwrap().0, Some(TracesSpec::default()));
        assert_eq!(traces("false").unwrap().0, None);
        let text =
            r#"{ "endpoint": "http://a", "headers": { "X-Key": "${KEY}" }, "sample": 0.5, "service": "s" }"#;
        let spec = traces(text).unwrap().0.unwrap();
        assert_eq!(spec.headers, [("X-Key".to_owned(), "s3cret".to_owned())]);
        assert_eq!((spec.sample, spec.service.as_str()), (0.5, "s"));
        assert!(!format!("{spec:?}").contains("s3cret"), "{spec:?}");
        assert!(traces(r#"{ "Sample": 1 }"#).unwrap().1[0].contains("is `sample` meant?"));
        for (text, told) in [
            ("7", "an object with `endpoint`"),
            (r#"{ "endpoint": "a" }"#, "http://localhost:4318"),
            (r#"{ "sample": 2 }"#, "from 0 to 1"),
            (r#"{ "headers": { "a b": "x" } }"#, "the value of a header"),
            (r#"{ "headers": { "a": "${NONE}" } }"#, "NONE"),
            (r#"{ "service": " " }"#, "a name"),
        ] {
            let error = traces(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
