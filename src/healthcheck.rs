//! `mcp-switchboard healthcheck`: asks a running router whether it is well, for images that have no curl.

use std::env;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// For connecting, asking and reading the answer, together.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a unix socket's path stands behind.
const SOCKET: &str = "unix:";

/// A status line is this long at most; what follows it is not looked at.
const HEAD: usize = 1024;

/// Why the router is not well, or could not be asked.
#[derive(Debug, thiserror::Error)]
enum Unwell {
    #[error("`{0}` is neither an http:// or https:// URL with a host, nor `unix:` and the path of a socket")]
    Url(String),
    #[error("the certificates in {file} cannot be used: {reason}")]
    Certificates { file: String, reason: String },
    #[error("no router answers at {address} by HTTPS: {reason}")]
    NoTls { address: String, reason: String },
    #[error("no router answers at {address}: {source}")]
    Silent { address: String, source: io::Error },
    #[error("{address} answers, but not in HTTP")]
    NotHttp { address: String },
    #[error("{address} answers with status {status}")]
    Status { address: String, status: u16 },
}

/// Where to ask: `http://HOST[:PORT][/PATH]`, the same with `https`, or `unix:SOCKET`.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    is_encrypted: bool,
    /// `HOST:PORT`, an IPv6 address in brackets; or `unix:SOCKET`.
    authority: String,
    path: &'a str,
}

/// Asks `url`, else `/healthz` on this machine at the port of `MCP_PROXY_PORT`, else at 8080, by HTTP or by HTTPS.
/// `authority`: whose certificates are believed, else the system's; on this machine any is, since nothing is sent that is
/// secret.
///
/// The exit status is 0 if the answer's status is 2xx within three seconds, 2 if the URL makes no sense, and 1
/// otherwise; then stderr says why.
pub fn run(url: Option<&str>, authority: Option<&Path>) -> ExitCode {
    let checked = if let Some(url) = url {
        check(url, authority)
    } else {
        let port = env::var("MCP_PROXY_PORT").ok();
        check(&default_url("http", port.as_deref()), authority).or_else(|unwell| match unwell {
            // So a router answers that speaks HTTPS there.
            Unwell::Status { status: 400, .. } => check(&default_url("https", port.as_deref()), authority),
            unwell => Err(unwell),
        })
    };
    match checked {
        Ok(()) => ExitCode::SUCCESS,
        Err(unwell @ Unwell::Url(_)) => fail(unwell, 2),
        Err(unwell) => fail(unwell, 1),
    }
}

fn default_url(scheme: &str, port: Option<&str>) -> String {
    let port = port.filter(|port| !port.is_empty()).unwrap_or("8080");
    format!("{scheme}://127.0.0.1:{port}/healthz")
}

fn fail(why: impl std::fmt::Display, status: u8) -> ExitCode {
    // Whoever closed stderr still gets the exit status.
    let _ = writeln!(io::stderr(), "mcp-switchboard: {why}");
    ExitCode::from(status)
}

fn check(url: &str, authority: Option<&Path>) -> Result<(), Unwell> {
    let place = Place::parse(url).ok_or_else(|| Unwell::Url(url.to_owned()))?;
    let address = place.authority.clone();
    if place.is_encrypted {
        let status = ask_encrypted(&place, authority)?;
        return if (200..=299).contains(&status) { Ok(()) } else { Err(Unwell::Status { address, status }) };
    }
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
    let Place { authority, path, .. } = place;
    if let Some(socket) = authority.strip_prefix(SOCKET) {
        return ask_socket(Path::new(socket), path, deadline);
    }
    let mut stream = connect(authority, deadline)?;
    let wait = |stream: &TcpStream, time| {
        stream.set_write_timeout(Some(time))?;
        stream.set_read_timeout(Some(time))
    };
    talk(&mut stream, wait, deadline, authority, path)
}

#[cfg(unix)]
fn ask_socket(socket: &Path, path: &str, deadline: Instant) -> io::Result<Vec<u8>> {
    use std::os::unix::net::UnixStream;
    let mut stream = UnixStream::connect(socket)?;
    let wait = |stream: &UnixStream, time| {
        stream.set_write_timeout(Some(time))?;
        stream.set_read_timeout(Some(time))
    };
    talk(&mut stream, wait, deadline, "localhost", path)
}

#[cfg(not(unix))]
fn ask_socket(_: &Path, _: &str, _: Instant) -> io::Result<Vec<u8>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Asks, and reads the first line. `wait` says how long the next step may take.
fn talk<S: Read + Write>(
    stream: &mut S,
    wait: impl Fn(&S, Duration) -> io::Result<()>,
    deadline: Instant,
    host: &str,
    path: &str,
) -> io::Result<Vec<u8>> {
    wait(stream, left(deadline)?)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut head = Vec::new();
    let mut chunk = [0; HEAD];
    while head.len() < HEAD && !head.contains(&b'\n') {
        wait(stream, left(deadline)?)?;
        match stream.read(&mut chunk)? {
            0 => break,
            read => head.extend_from_slice(&chunk[..read]),
        }
    }
    Ok(head)
}

/// The status of the answer over TLS.
fn ask_encrypted(place: &Place<'_>, authority: Option<&Path>) -> Result<u16, Unwell> {
    let failed = |error: reqwest::Error| {
        let error = error.without_url();
        let cause =
            std::iter::successors(Some(&error as &dyn std::error::Error), |cause| cause.source()).last();
        let reason = cause.map(ToString::to_string).unwrap_or_default();
        Unwell::NoTls { address: place.authority.clone(), reason }
    };
    // The first one that was installed stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
    let client = match authority {
        Some(file) => {
            let unusable = |error: &dyn std::fmt::Display| Unwell::Certificates {
                file: file.display().to_string(),
                reason: error.to_string(),
            };
            let pem = std::fs::read(file).map_err(|error| unusable(&error))?;
            let found = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unusable(&error))?;
            client.tls_certs_only(found)
        }
        None if place.is_here() => client.tls_danger_accept_invalid_certs(true),
        None => client,
    };
    let client = client.build().map_err(failed)?;
    let url = format!("https://{}{}", place.authority, place.path);
    let silent = |source| Unwell::Silent { address: place.authority.clone(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(silent)?;
    let answer = runtime.block_on(async { client.get(url).send().await }).map_err(failed)?;
    Ok(answer.status().as_u16())
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
        if let Some(path) = url.strip_prefix(SOCKET) {
            let path = path.strip_prefix("//").unwrap_or(path);
            let authority = format!("{SOCKET}{path}");
            return (!path.is_empty()).then_some(Self { is_encrypted: false, authority, path: "/healthz" });
        }
        let (is_encrypted, rest) = match url.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, url.strip_prefix("http://")?),
        };
        let (host, path) = rest.find('/').map_or((rest, "/healthz"), |at| rest.split_at(at));
        let clean = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if host.is_empty() || host.contains('@') || !clean(host) || !clean(path) {
            return None;
        }
        // The colons of an IPv6 address are inside its brackets.
        let ported = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let port = if is_encrypted { 443 } else { 80 };
        let authority = if ported { host.to_owned() } else { format!("{host}:{port}") };
        Some(Self { is_encrypted, authority, path })
    }

    /// Whether it is on this machine, as it is written.
    fn is_here(&self) -> bool {
        let host = self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host);
        let plain = host.trim_start_matches('[').trim_end_matches(']');
        plain.eq_ignore_ascii_case("localhost")
            || plain.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
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
        let verdict = check(&url, None);
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
        assert_eq!(place("https://a"), found("a:443", "/healthz"));
        assert_eq!(place("unix:/a/b"), found("unix:/a/b", "/healthz"));
        assert_eq!(place("unix:///a/b"), found("unix:/a/b", "/healthz"));
        assert!(Place::parse("https://[::1]:1").is_some_and(|place| place.is_encrypted && place.is_here()));
        assert!(Place::parse("https://127.0.0.1.evil.com").is_some_and(|place| !place.is_here()));
        for bad in
            ["", "a:1", "ftp://a", "http://", "http:///x", "http://a b/", "http://a/\r\nX: y", "http://u@a/"]
        {
            assert_eq!(place(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_port_comes_from_the_environment() {
        assert_eq!(default_url("http", Some("9000")), "http://127.0.0.1:9000/healthz");
        assert_eq!(default_url("http", Some("")), "http://127.0.0.1:8080/healthz");
        assert_eq!(default_url("https", None), "https://127.0.0.1:8080/healthz");
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
        assert!(matches!(check(&url, None), Err(Unwell::Silent { .. })));
    }
}
