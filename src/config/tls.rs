//! `tls` and `unixSocket` in the file: with what is listened, and where besides.

use std::path::{Path, PathBuf};

use super::error::Problem;
use super::expand::Variables;
use super::node::{Expansion, Node};

/// Where the router's certificate is, and whose certificates of clients count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSpec {
    /// The file of the certificate, and of those that vouch for it.
    pub cert: PathBuf,
    /// The file of its private key.
    pub key: PathBuf,
    /// The file of the authorities that vouch for clients, if clients may show certificates.
    pub client_ca: Option<PathBuf>,
    /// Whether clients must show one.
    pub client_auth: ClientAuth,
}

/// Whether clients must show a certificate, where there are authorities for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// Without one there is no connection.
    #[default]
    Required,
    /// They may; one that is shown must be good.
    Optional,
}

/// A unix socket to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSpec {
    /// Its path.
    pub path: PathBuf,
    /// Who may connect: the permissions of its file.
    pub mode: u32,
    /// Nothing is listened on besides.
    pub is_alone: bool,
}

impl UnixSpec {
    /// The permissions of a socket of which nothing else is said: only its user may connect.
    pub const PRIVATE: u32 = 0o600;
}

/// Permissions as `chmod` has them, in octal digits.
pub fn mode(text: &str) -> Option<u32> {
    let digits = text.len() >= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    u32::from_str_radix(text, 8).ok().filter(|mode| digits && *mode <= 0o777)
}

/// Reads `tls`. What it holds protects the router, so a key that is not known refuses the file.
pub(super) fn read(node: &Node<'_>, variables: Variables<'_>, directory: &Path) -> Result<TlsSpec, Problem> {
    let mut members = node.members("an object with `cert` and `key`")?;
    let mut file = |key| {
        let node = members.get(key);
        node.map(|node| path(&node, variables, directory)).transpose()
    };
    let (cert, key, client_ca) = (file("cert")?, file("key")?, file("clientCa")?);
    let client_auth = members.get("clientAuth");
    members.refuse_unknown()?;
    // Whoever writes `clientCa` believes that it closes something.
    members.refuse_nulls()?;
    let missing = |key: &'static str, wanted: &str| Problem::Value {
        path: node.path.key(key),
        found: "nothing".to_owned(),
        wanted: wanted.to_owned(),
    };
    if let (Some(node), None) = (&client_auth, &client_ca) {
        let (path, found) = (node.path.clone(), "`clientAuth` without `clientCa`".to_owned());
        return Err(Problem::Value {
            path,
            found,
            wanted: "the file of the clients' authorities".to_owned(),
        });
    }
    let words = [("required", ClientAuth::Required), ("optional", ClientAuth::Optional)];
    Ok(TlsSpec {
        cert: cert.ok_or_else(|| missing("cert", "the file of the router's certificate"))?,
        key: key.ok_or_else(|| missing("key", "the file of the certificate's private key"))?,
        client_ca,
        client_auth: client_auth.map(|node| node.word(&words)).transpose()?.unwrap_or_default(),
    })
}

/// Reads a path, which begins in the file's directory unless it is absolute.
pub(super) fn path(node: &Node<'_>, variables: Variables<'_>, directory: &Path) -> Result<PathBuf, Problem> {
    let text = Expansion::new(variables).whole(node)?;
    if text.trim().is_empty() {
        return Err(node.wanted("the path of a file"));
    }
    Ok(directory.join(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::json::Json;

    fn tls(text: &str) -> Result<TlsSpec, String> {
        let json = Json::parse(text).unwrap();
        let variables = |name: &str| (name == "DIR").then(|| "/keys".to_owned());
        read(&Node::root(&json), &variables, Path::new("/etc/router")).map_err(|problem| problem.to_string())
    }

    #[test]
    fn paths_begin_in_the_files_directory() {
        let read = tls(r#"{ "cert": "a.pem", "key": "${DIR}/b.pem" }"#).unwrap();
        assert_eq!(read.cert, Path::new("/etc/router/a.pem"));
        assert_eq!(read.key, Path::new("/keys/b.pem"));
        assert_eq!((read.client_ca, read.client_auth), (None, ClientAuth::Required));
        let read = tls(r#"{ "cert": "a", "key": "b", "clientCa": "c", "clientAuth": "Optional" }"#).unwrap();
        assert_eq!(read.client_ca.as_deref(), Some(Path::new("/etc/router/c")));
        assert_eq!(read.client_auth, ClientAuth::Optional);
    }

    #[test]
    fn what_is_missing_or_unknown_refuses_the_file() {
        for (text, told) in [
            ("{}", "cert: found nothing, wanted the file of the router's certificate"),
            (r#"{ "cert": "a" }"#, "key: found nothing"),
            (r#"{ "cert": "a", "key": "b", "clientCA": "c" }"#, "clientCA: unknown key"),
            (r#"{ "cert": "a", "key": "b", "clientAuth": "required" }"#, "without `clientCa`"),
            (
                r#"{ "cert": "a", "key": "b", "clientCa": "c", "clientAuth": "no" }"#,
                "\"required\" or \"optional\"",
            ),
            (r#"{ "cert": "a", "key": "b", "clientCa": null }"#, "clientCa: found null"),
            (r#"{ "cert": "a", "key": "b", "clientCa": "c", "clientAuth": null }"#, "clientAuth: found null"),
            (r#"{ "cert": "", "key": "b" }"#, "wanted the path of a file"),
            (r#"{ "cert": "${NONE}", "key": "b" }"#, "NONE"),
            ("true", "wanted an object"),
        ] {
            let refused = tls(text).unwrap_err();
            assert!(refused.contains(told), "{text}: {refused}");
        }
    }

    #[test]
    fn permissions_are_octal_digits() {
        assert_eq!((mode("0600"), mode("660")), (Some(0o600), Some(0o660)));
        for wrong in ["", "6", "0o600", "888", "+600", "1777", "rw-"] {
            assert_eq!(mode(wrong), None, "{wrong}");
        }
    }
}
