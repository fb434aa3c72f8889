//! Tokens of an authorization server that are believed: the key `auth.oauth`.

use std::net::IpAddr;
use std::time::Duration;

use url::{Host, Url};

use super::error::Problem;
use super::expand::Variables;
use super::file::{checked, list};
use super::is_off_limits;
use super::node::{Expansion, Node};

/// Whose tokens are believed, and which of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResourceServerSpec {
    /// Who issues them, as their `iss` says to the letter. Its metadata is found from this URL.
    pub issuer: String,
    /// Where its keys are; none: where its metadata says.
    pub jwks: Option<Url>,
    /// What clients call this router: the part of its URLs that all mounts have in common, without a slash at the end.
    pub audience: String,
    /// Other values of `aud`, which hold for every mount.
    pub audiences: Vec<String>,
    /// Every token must have these.
    pub scopes: Vec<String>,
    /// How tokens may be signed.
    pub algorithms: Vec<SigningAlgorithm>,
    /// By how much the clocks may differ.
    pub leeway: Duration,
    /// Where a token says which groups its subject is in.
    pub groups_claim: String,
    /// Where a token says what it is good for; none: `scope`, or `scp` if there is none.
    pub scopes_claim: Option<String>,
}

/// How a token may be signed: with a key of which only the public half is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "these are the names of RFC 7518")]
pub enum SigningAlgorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl SigningAlgorithm {
    /// All of them. Neither `none` nor one with a secret that both sides know is among them.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// Its name in a token.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The one of this name, to the letter.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

impl ResourceServerSpec {
    /// The name or address of this router, by which its clients call it.
    pub fn host(&self) -> Option<String> {
        Url::parse(&self.audience).ok()?.host_str().map(str::to_owned)
    }

    /// What a token must be for to be used at a path of this router, such as `/servers/fetch/mcp`.
    pub fn resource(&self, path: &str) -> String {
        format!("{}{path}", self.audience)
    }
}

/// Reads the object. Whatever is not understood in it refuses the file, since it decides who comes in.
pub(super) fn read(
    node: &Node<'_>,
    variables: Variables<'_>,
    warnings: &mut Vec<String>,
) -> Result<ResourceServerSpec, Problem> {
    let mut members = node.members("an object with `issuer` and `audience`")?;
    members.refuse_nulls()?;
    let mut expansion = Expansion::new(variables);
    let required = |key: &'static str, wanted: &str| Problem::Value {
        path: node.path.key(key),
        found: "nothing".to_owned(),
        wanted: wanted.to_owned(),
    };

    let issuer =
        members.get("issuer").map(|node| checked(&node, &mut expansion, ISSUER, is_issuer)).transpose()?;
    let jwks = members.get("jwks").map(|node| checked(&node, &mut expansion, JWKS, protected)).transpose()?;
    let audience = members.get("audience").map(|node| {
        let audience = checked(&node, &mut expansion, AUDIENCE, base)?;
        if audience.starts_with("http:") && !is_loopback(&audience) {
            warnings.push(format!(
                "{}: tokens that are sent to an http:// URL can be read on the way",
                node.path
            ));
        }
        Ok::<_, Problem>(audience)
    });
    let audience = audience.transpose()?;
    let mut words = |key: &'static str, wanted: &str, fits: fn(&str) -> bool| {
        let read = |text: &str| fits(text).then(|| text.to_owned());
        members.get(key).map(|node| list(&node, &mut expansion, wanted, read)).transpose()
    };
    let audiences = words("audiences", "a value of `aud`", |text| !text.is_empty())?;
    let scopes = words("scopes", "a scope, which is one word", is_scope)?;
    let algorithms = members.get("algorithms").map(|node| algorithms(&node, &mut expansion)).transpose()?;
    let leeway = members.get("leeway").map(|node| {
        let leeway = node.seconds()?.unwrap_or_default();
        if leeway > LONGEST_LEEWAY { Err(node.wanted("at most 300 seconds")) } else { Ok(leeway) }
    });
    let leeway = leeway.transpose()?.unwrap_or(LEEWAY);
    let mut claim = |key: &'static str| {
        let read = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        members.get(key).map(|node| checked(&node, &mut expansion, "the name of a claim", read)).transpose()
    };
    let (groups_claim, scopes_claim) = (claim("groupsClaim")?, claim("scopesClaim")?);
    members.refuse_unknown()?;
    Ok(ResourceServerSpec {
        issuer: issuer.ok_or_else(|| required("issuer", ISSUER))?,
        jwks,
        audience: audience.ok_or_else(|| required("audience", AUDIENCE))?,
        audiences: audiences.unwrap_or_default(),
        scopes: scopes.unwrap_or_default(),
        algorithms: algorithms.unwrap_or_else(|| SigningAlgorithm::ALL.to_vec()),
        leeway,
        groups_claim: groups_claim.unwrap_or_else(|| "groups".to_owned()),
        scopes_claim,
    })
}

fn algorithms(node: &Node<'_>, expansion: &mut Expansion<'_>) -> Result<Vec<SigningAlgorithm>, Problem> {
    let names: Vec<_> = SigningAlgorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
    let found = list(node, expansion, &format!("one of {}", names.join(", ")), SigningAlgorithm::named)?;
    if found.is_empty() { Err(node.wanted("at least one algorithm")) } else { Ok(found) }
}

/// An issuer's name is kept to the letter, since that is how tokens have it.
fn is_issuer(text: &str) -> Option<String> {
    let url = protected(text)?;
    let plain = url.query().is_none() && url.fragment().is_none() && !text.contains(char::is_whitespace);
    plain.then(|| text.to_owned())
}

/// A URL at which nobody else can answer: https, or http on this machine.
fn protected(text: &str) -> Option<Url> {
    let url = plain(text)?;
    let address = address_of(&url);
    let may_be = url.scheme() == "https" || is_loopback(text);
    (may_be && !address.is_some_and(is_off_limits)).then_some(url)
}

/// A URL as RFC 9728 wants that of a resource, without the slash at its end.
fn base(text: &str) -> Option<String> {
    let url = plain(text)?;
    let fits = url.query().is_none() && url.fragment().is_none();
    fits.then(|| url.as_str().trim_end_matches('/').to_owned())
}

fn plain(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let web = matches!(url.scheme(), "https" | "http") && url.has_host();
    (web && url.username().is_empty() && url.password().is_none()).then_some(url)
}

fn address_of(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
    }
}

fn is_loopback(text: &str) -> bool {
    match Url::parse(text).ok().as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

/// RFC 6749, section 3.3.
fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}

const ISSUER: &str = "the https:// URL of the authorization server, as its tokens have it in `iss`";
const JWKS: &str = "the https:// URL of the keys (http:// on this machine)";
const AUDIENCE: &str = "the URL of this router as its clients write it, like \"https://mcp.example.com\"";

const LEEWAY: Duration = Duration::from_secs(30);
const LONGEST_LEEWAY: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests {
    use super::super::json::Json;
    use super::*;

    fn parsed(text: &str) -> Result<(ResourceServerSpec, Vec<String>), String> {
        let json = Json::parse(&format!(r#"{{"oauth": {text}}}"#)).expect("JSON");
        let node = Node::root(&json).members("an object").expect("one").get("oauth").expect("it is there");
        let variables = |name: &str| (name == "ISSUER").then(|| "https://login.example.com/t/".to_owned());
        let mut warnings = Vec::new();
        read(&node, &variables, &mut warnings).map(|spec| (spec, warnings)).map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn the_two_that_are_needed_are_enough() {
        let (spec, warnings) =
            parsed(r#"{"issuer": "${ISSUER}", "audience": "https://MCP.example.com:443/"}"#).expect("fit");
        assert_eq!(spec.issuer, "https://login.example.com/t/", "to the letter");
        assert_eq!(spec.resource("/servers/fetch/mcp"), "https://mcp.example.com/servers/fetch/mcp");
        assert_eq!((spec.leeway, spec.groups_claim.as_str()), (LEEWAY, "groups"));
        assert_eq!(spec.algorithms.len(), SigningAlgorithm::ALL.len());
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn everything_can_be_said() {
        let (spec, warnings) = parsed(
            r#"{"issuer": "http://127.0.0.1:9000", "jwks": "http://localhost:9000/keys?x=y", "audience": "http://mcp.lan/base",
                "audiences": ["api://mcp"], "scopes": ["mcp:use"], "algorithms": ["ES256"], "leeway": 0,
                "groupsClaim": "realm_access.roles", "scopesClaim": "scp"}"#,
        )
        .expect("fit");
        assert_eq!(spec.jwks.as_ref().map(Url::as_str), Some("http://localhost:9000/keys?x=y"));
        assert_eq!(
            (spec.audience.as_str(), &spec.audiences[..]),
            ("http://mcp.lan/base", &["api://mcp".to_owned()][..])
        );
        assert_eq!((spec.algorithms, spec.leeway), (vec![SigningAlgorithm::Es256], Duration::ZERO));
        assert_eq!(
            (spec.groups_claim.as_str(), spec.scopes_claim.as_deref()),
            ("realm_access.roles", Some("scp"))
        );
        assert_eq!(
            warnings,
            ["oauth.audience: tokens that are sent to an http:// URL can be read on the way"]
        );
    }

    #[test]
    fn what_is_not_understood_refuses_the_file() {
        let with = |more: &str| format!(r#"{{"issuer": "https://a", "audience": "https://b"{more}}}"#);
        let table = [
            ("true".to_owned(), "oauth: found true, wanted an object"),
            ("{}".to_owned(), "oauth.issuer: found nothing, wanted the https:// URL"),
            (r#"{"issuer": "https://a"}"#.to_owned(), "oauth.audience: found nothing"),
            (r#"{"issuer": "http://a"}"#.to_owned(), "oauth.issuer: found a string"),
            (r#"{"issuer": "https://me:hunter2@a"}"#.to_owned(), "oauth.issuer: found a string"),
            (r#"{"issuer": "https://169.254.169.254"}"#.to_owned(), "oauth.issuer: found a string"),
            (r#"{"issuer": "https://a/b c"}"#.to_owned(), "oauth.issuer: found a string"),
            (r#"{"issuer": "https://a?x"}"#.to_owned(), "oauth.issuer: found a string"),
            (r#"{"issuer": "${NONE}"}"#.to_owned(), "oauth.issuer: "),
            (
                r#"{"issuer": "https://a", "audience": "mcp.example.com"}"#.to_owned(),
                "oauth.audience: found a string",
            ),
            (
                r#"{"issuer": "https://a", "audience": "https://b#c"}"#.to_owned(),
                "oauth.audience: found a string",
            ),
            (with(r#", "jwks": "http://keys.example.com""#), "oauth.jwks: found a string"),
            (with(r#", "algorithms": []"#), "oauth.algorithms: found"),
            (
                with(r#", "algorithms": ["HS256"]"#),
                "oauth.algorithms[0]: found a string, wanted one of RS256",
            ),
            (with(r#", "algorithms": ["none"]"#), "oauth.algorithms[0]: found a string"),
            (with(r#", "leeway": 301"#), "oauth.leeway: found the number 301, wanted at most 300 seconds"),
            (with(r#", "scopes": ["a b"]"#), "oauth.scopes[0]: found a string, wanted a scope"),
            (with(r#", "audiences": [""]"#), "oauth.audiences[0]: found"),
            (with(r#", "scopes": null"#), "oauth.scopes: found null, wanted a value"),
            (with(r#", "audience_": "x""#), "oauth.audience_: unknown key, which is not ignored here"),
        ];
        for (text, wanted) in table {
            let wrong = parsed(&text).expect_err(&text);
            assert!(wrong.starts_with(wanted), "{text}: {wrong}");
            assert!(!wrong.contains("hunter2"), "{wrong}");
        }
    }
}
