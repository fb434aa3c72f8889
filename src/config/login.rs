//! How to log in to a remote server that wants a token: the key `oauth`.

use std::fmt;

use url::Url;

use super::error::Problem;
use super::json::JsonPath;
use super::node::{Expansion, Node};

/// What is known beforehand about logging in to a remote server.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct LoginOptions {
    /// The id of a client that was registered by hand.
    pub client_id: Option<String>,
    /// Its secret, if it has one.
    pub client_secret: Option<String>,
    /// Where client credentials get their token; with this no user is asked.
    pub token_url: Option<Url>,
    /// Scopes to ask for, in place of those that the server names.
    pub scopes: Vec<String>,
    /// The port on 127.0.0.1 at which the browser comes back.
    pub callback_port: Option<u16>,
    /// The URL of a document that describes this client.
    pub client_metadata_url: Option<Url>,
    /// There is a user who may be asked.
    pub interactive: bool,
}

/// What is wrong with it, and where.
type Wrong = String;

/// Reads the object; the inner result is what breaks this mount alone.
pub(super) fn read(
    node: &Node<'_>,
    expansion: &mut Expansion<'_>,
    warnings: &mut Vec<String>,
) -> Result<Result<LoginOptions, Wrong>, Problem> {
    let mut members = node.members("an object")?;
    let mut text = |key: &'static str| {
        members.get(key).map(|node| Ok::<_, Problem>((expansion.text(&node)?, node.path))).transpose()
    };
    let client_id = text("clientId")?.map(|(text, _)| text);
    let client_secret = text("clientSecret")?.map(|(text, _)| text);
    let (token_url, metadata_url) = (text("tokenUrl")?, text("clientMetadataUrl")?);
    let scopes = members.get("scopes").map(|node| expansion.texts(&node)).transpose()?.unwrap_or_default();
    let callback_port = members.get("callbackPort").map(|node| node.count(1..=65_535)).transpose()?;
    warnings.extend(members.unknown());
    let url = |found: Option<(String, JsonPath)>| {
        let parsed = found.map(|(text, path)| Url::parse(&text).map_err(|error| format!("{path}: {error}")));
        parsed.transpose()
    };
    let (token_url, client_metadata_url) = match (url(token_url), url(metadata_url)) {
        (Ok(token_url), Ok(metadata_url)) => (token_url, metadata_url),
        (Err(wrong), _) | (_, Err(wrong)) => return Ok(Err(wrong)),
    };
    if token_url.is_some() && (client_id.is_none() || client_secret.is_none()) {
        return Ok(Err(format!("{}: `tokenUrl` wants `clientId` and `clientSecret` beside it", node.path)));
    }
    Ok(Ok(LoginOptions {
        client_id,
        client_secret,
        token_url,
        scopes,
        callback_port: callback_port.and_then(|port| u16::try_from(port).ok()),
        client_metadata_url,
        interactive: false,
    }))
}

impl fmt::Debug for LoginOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginOptions").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}
