//! `mcp-switchboard healthcheck`: asks a running router whether it is well, for images that have no curl.

use std::env;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// For connecting, asking and reading the answer, together.
const PATIENCE: Duration = Duration::from_secs(3);

/// A status line is this long at most; what follows it is not looked at.
const HEAD: usize = 1024;

/// Why the router is not well, or could not be asked.
#[derive(Debug, thiserror::Error)]
enum Unwell {
    #[error("`{0}` is not an http:// URL with a host")]
    Url(String),
    #[error("no router answers at {address}: {source}")]
    Silent { address: String, source: io::Error },
    #[error("{address} answers, but not in HTTP")]
    NotHttp { address: String },
    #[error("{address} answers with status {status}")]
    Status { address: String, status: u16 },
}

/// Where to ask: `http://HOST[:PORT][/PATH]`.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    /// `HOST:PORT`, an IPv6 address in brackets.
    authority: String,
    path: &'a str,
}

/// Asks the URL in `args`, else `/healthz` on this machine at the port of `MCP_PROXY_PORT`, else at 8080.
///
/// The exit status is 0 if the answer's status is 2xx within three seconds, 2 if the arguments make no sense, and 1
/// otherwise; then stderr says why.
pub fn run(args: &[String]) -> ExitCode {
    let url = match args {
        [] => default_url(env::var("MCP_PROXY_PORT").ok().as_deref()),
        [url] => url.clone(),
        _ => return fail("usage: mcp-switchboard healthcheck [URL]", 2),
    };
    match check(&url) {
        Ok(()) => ExitCode::SUCCESS,
        Err(unwell @ Unwell::Url(_)) => fail(unwell, 2),
        Err(unwell) => fail(unwell, 1),
    }
}

fn default_url(port: Option<&str>) -> String {
    let port = port.filter(|port| !port.is_empty()).unwrap_or("8080");
    format!("http://127.0.0.1:{port}/healthz")
}

fn fail(why: impl std::fmt::Display, status: u8) -> ExitCode {
    // Whoever closed stderr still gets the exit status.
    let _ = writeln!(io::stderr(), "mcp-switchboard: {why}");
    ExitCode::from(status)
}

fn check(url: &str) -> Result<(), Unwell> {
    let place = Place::parse(url).ok_or_else(|| Unwell::Url(url.to_owned()))?;
    let address = place.authority.clone();
    let head = ask(&place).map_err(|source| Unwell::Silent { address: address.clone(), source })?;
    match status(&head) {
        Some(200..=299) => Ok(()),
        Some(status) => Err(Unwell::Status { address, status }),
        None => Err(Unwell::NotHttp { address }),
    }
}

/// The first bytes of the answer, its status line among them if it has one.
fn ask(place: &Place<'_>) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + PATIENCE;
    let mut stream = connect(&place.authority, deadline)?;
    let Place { authority, path } = place;
    stream.set_write_timeout(Some(left(deadline)?))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")?;
    let mut head = Vec::new();
    let mut chunk = [0; HEAD];
    while head.len() < HEAD && !head.contains(&b'\n') {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut chunk)? {
            0 => break,
            read => head.extend_from_slice(&chunk[..read]),
        }
    }
    Ok(head)
}

fn connect(authority: &str, deadline: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let addresses: Vec<SocketAddr> = authority.to_socket_addrs()?.collect();
    for address in addresses {
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|&byte| byte == b'\n').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

impl<'a> Place<'a> {
    fn parse(url: &'a str) -> Option<Self> {
        let rest = url.strip_prefix("http://")?;
        let (host, path) = rest.find('/').map_or((rest, "/healthz"), |at| rest.split_at(at));
        let clean = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if host.is_empty() || host.contains('@') || !clean(host) || !clean(path) {
            return None;
        }
        // The colons of an IPv6 address are inside its brackets.
        let ported = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let authority = if ported { host.to_owned() } else { format!("{host}:80") };
        Some(Self { authority, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    fn place(url: &str) -> Option<(String, String)> {
        Place::parse(url).map(|place| (place.authority, place.path.to_owned()))
    }

    /// What `check` says of a listener that answers once with these bytes.
    fn verdict(answer: &'static [u8]) -> Result<(), Unwell> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/readyz", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut chunk = [0; 256];
            while !request.ends_with(b"\r\n\r\n") {
                let read = stream.read(&mut chunk).unwrap();
                request.extend_from_slice(&chunk[..read]);
            }
            stream.write_all(answer).unwrap();
            String::from_utf8(request).unwrap()
        });
        let verdict = check(&url);
        assert!(server.join().unwrap().starts_with("GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:"));
        verdict
    }

    #[test]
    fn a_url_is_a_host_a_port_and_a_path() {
        let found = |authority: &str, path: &str| Some((authority.to_owned(), path.to_owned()));
        assert_eq!(place("http://a:1/b?c"), found("a:1", "/b?c"));
        assert_eq!(place("http://a"), found("a:80", "/healthz"));
        assert_eq!(place("http://[::1]:8080/x"), found("[::1]:8080", "/x"));
        assert_eq!(place("http://[::1]/x"), found("[::1]:80", "/x"));
        for bad in [
            "",
            "a:1",
            "https://a",
            "http://",
            "http:///x",
            "http://a b/",
            "http://a/\r\nX: y",
            "http://u@a/",
        ] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_port_comes_from_the_environment() {
        assert_eq!(default_url(Some("9000")), "http://127.0.0.1:9000/healthz");
        assert_eq!(default_url(Some("")), "http://127.0.0.1:8080/healthz");
        assert_eq!(default_url(None), "http://127.0.0.1:8080/healthz");
    }

    #[test]
    fn only_a_2xx_answer_is_well() {
        assert!(verdict(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_ok());
        assert!(matches!(
            verdict(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"),
            Err(Unwell::Status { status: 503, .. })
        ));
        assert!(matches!(verdict(b"SSH-2.0-x\r\n"), Err(Unwell::NotHttp { .. })));
        assert!(matches!(verdict(b""), Err(Unwell::NotHttp { .. })));
    }

    #[test]
    fn nobody_there_is_unwell() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/healthz", listener.local_addr().unwrap());
        drop(listener);
        assert!(matches!(check(&url), Err(Unwell::Silent { .. })));
    }
}
