//! The name of a request: whatever is done for it in its own task knows it, and so do its answer, its line in the access log
//! and whatever is logged on the way.

use super::Carried;
use futures::future::Either;
use smol_str::SmolStr;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

/// Bytes of a name that a client has chosen.
const LONGEST: usize = 64;

/// The name of a request of HTTP, and of all that comes of it.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(SmolStr);

/// What is known of a request of HTTP, for whatever is done for it.
#[derive(Clone, Debug)]
pub struct Request {
    id: RequestId,
    carried: Option<Arc<Carried>>,
}

tokio::task_local! {
    static CURRENT: Request;
}

impl RequestId {
    /// A name that nobody has had.
    pub fn fresh() -> Self {
        Self::of(unlike_any())
    }

    /// A number in sixteen hexadecimal digits.
    fn of(number: u64) -> Self {
        Self(SmolStr::new(hex(&hex_digits(number))))
    }

    /// The name that a client, or a proxy before us, has given it: letters, digits, `.`, `_` and `-`, at most 64 of them.
    /// Another is none.
    pub fn given(text: &[u8]) -> Option<Self> {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        if text.is_empty() || text.len() > LONGEST || !text.iter().all(plain) {
            return None;
        }
        std::str::from_utf8(text).ok().map(|text| Self(SmolStr::new(text)))
    }

    /// The name of the request for which this is done, if it is known to be for one.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|request| request.id.clone()).ok()
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Request {
    /// A request that its client calls so, if that is a name.
    pub fn named(given: Option<&[u8]>) -> Self {
        Self { id: given.and_then(RequestId::given).unwrap_or_else(RequestId::fresh), carried: None }
    }

    /// The same, asked in the context of a trace.
    #[must_use]
    pub fn carrying(self, carried: Option<Carried>) -> Self {
        Self { carried: carried.map(Arc::new), ..self }
    }

    /// The context in which the request was asked for which this is done.
    pub(super) fn carried() -> Option<Arc<Carried>> {
        CURRENT.try_with(|request| request.carried.clone()).ok().flatten()
    }

    /// Its name.
    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// Does something for it.
    pub fn serve<T>(self, work: impl Future<Output = T>) -> impl Future<Output = T> {
        // No `async fn`: it would hold the work twice, which is large.
        CURRENT.scope(self, work)
    }

    /// The same work, as a task of its own for the request for which this task works.
    pub fn taken_along<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
        match CURRENT.try_with(Self::clone) {
            Ok(request) => Either::Left(request.serve(work)),
            Err(_) => Either::Right(work),
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

/// A number as sixteen digits. The formatter takes ten times as long, and each request has some.
pub(super) fn hex_digits(number: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    for (pair, byte) in digits.as_chunks_mut().0.iter_mut().zip(number.to_be_bytes()) {
        *pair = PAIRS[usize::from(byte)];
    }
    digits
}

/// Such digits as text.
pub(super) fn hex(digits: &[u8; 16]) -> &str {
    // They are ASCII.
    std::str::from_utf8(digits).unwrap_or_default()
}

/// Each byte as two digits.
static PAIRS: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < pairs.len() {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

/// A number that nobody has had.
pub(super) fn unlike_any() -> u64 {
    // Without random numbers the names of two routers may be the same, and nothing worse.
    static BASE: LazyLock<u64> = LazyLock::new(|| getrandom::u64().unwrap_or_default());
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    scattered(BASE.wrapping_add(count.wrapping_mul(STEP)))
}

/// What the numbers of `SplitMix64` are apart: odd, so that all of them come.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The last part of `SplitMix64`: no two numbers become the same, and neighbours do not look like any.
fn scattered(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_name_is_another_one_of_sixteen_digits() {
        let names: HashSet<String> = (0..1000).map(|_| RequestId::fresh().to_string()).collect();
        assert_eq!(names.len(), 1000);
        assert!(
            names.iter().all(|name| name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
        );
        assert_eq!(RequestId::of(0x0123_4567_89ab_cdef).as_str(), "0123456789abcdef");
    }

    #[test]
    fn a_name_of_a_client_is_short_and_plain_or_none() {
        let uuid = "2f1b6e0c-1c1d-4a55-9a0e-0d6f2f7f0c11";
        assert_eq!(RequestId::given(uuid.as_bytes()).unwrap().as_str(), uuid);
        let longest = "x".repeat(64);
        assert_eq!(RequestId::given(longest.as_bytes()).unwrap().as_str(), longest);
        for wrong in ["", "a b", "a\nb", "a\"b", "\u{e9}", "a=b", &"x".repeat(65)] {
            assert_eq!(RequestId::given(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn what_is_done_for_a_request_knows_its_name_and_nothing_else_does() {
        let request = Request::named(Some(b"mine"));
        let tracker = tokio_util::task::TaskTracker::new();
        let inside = request.serve(async { tracker.spawn(Request::taken_along(async { current() })).await });
        assert_eq!(inside.await.unwrap().as_deref(), Some("mine"));
        assert_eq!(current(), None);
    }

    fn current() -> Option<String> {
        RequestId::current().map(|id| id.to_string())
    }
}
