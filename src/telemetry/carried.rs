//! The context of W3C in which somebody else asks: what `traceparent`, `tracestate` and `baggage` say.

use crate::wire::meta::{find, find_string};
use memchr::memmem;
use std::sync::LazyLock;

/// Bytes of what is passed on unread.
const LONGEST_STATE: usize = 512;
const LONGEST_BAGGAGE: usize = 8192;

/// The context in which somebody else asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    pub(super) parent: Option<Parent>,
    pub(super) state: Option<Box<str>>,
    pub(super) baggage: Option<Box<str>>,
}

/// A span of somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) trace: u128,
    pub(super) span: u64,
    pub(super) sampled: bool,
}

impl Carried {
    /// The context in the headers of a request, or in its `_meta`; nothing if there is none.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let parent = get("traceparent")?;
        let plain = |text: &String, longest| {
            !text.is_empty()
                && text.len() <= longest
                && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        };
        let parent = Parent::parse(&parent);
        // Without a parent that can be read its state means nothing.
        let state = get("tracestate").filter(|state| parent.is_some() && plain(state, LONGEST_STATE));
        let baggage = get("baggage").filter(|baggage| plain(baggage, LONGEST_BAGGAGE));
        Some(Self { parent, state: state.map(Into::into), baggage: baggage.map(Into::into) })
    }

    /// The context that stands in a request's own params.
    pub(super) fn of_params(params: &str) -> Option<Self> {
        // Most have none, and then nothing is parsed.
        static NAME: LazyLock<memmem::Finder<'static>> =
            LazyLock::new(|| memmem::Finder::new(b"traceparent"));
        NAME.find(params.as_bytes())?;
        let meta = find(params, &["_meta"])?;
        Self::read(|key| find_string(meta, &[key]))
    }
}

impl Parent {
    /// Reads a `traceparent`.
    ///
    /// W3C Trace Context: of a version that is not known, what version 00 has is read, and what may follow is left alone.
    fn parse(text: &str) -> Option<Self> {
        let is_hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let (version, rest) = (text.get(..2)?, text.get(2..55)?);
        let more = text.get(55..)?;
        let fields: Vec<&str> = rest.split('-').collect();
        let ["", trace, span, flags] = fields[..] else { return None };
        let is_whole = (trace.len(), span.len(), flags.len()) == (32, 16, 2);
        let is_known =
            if version == "00" { more.is_empty() } else { more.is_empty() || more.starts_with('-') };
        if !is_whole || !is_known || version == "ff" || ![version, trace, span, flags].into_iter().all(is_hex)
        {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
        Some(Self { trace, span, sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn carried(parent: &str) -> Option<Carried> {
        Carried::read(|key| (key == "traceparent").then(|| parent.to_owned()))
    }

    #[test]
    fn a_parent_is_read_as_the_recommendation_says() {
        let parent = carried(PARENT).unwrap().parent.unwrap();
        assert_eq!(
            (parent.trace, parent.span),
            (0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7)
        );
        assert!(parent.sampled);
        assert!(!carried(&PARENT.replace("-01", "-02")).unwrap().parent.unwrap().sampled);
        assert!(carried(&format!("cc{}-more", &PARENT[2..])).unwrap().parent.is_some());
        for wrong in [
            "",
            "00",
            &PARENT.to_uppercase(),
            &PARENT.replace("00-", "ff-"),
            &format!("{PARENT}-more"),
            &format!("cc{}more", &PARENT[2..]),
            &PARENT.replace('4', "0").replace("bf92f3577b30da6a3ce929d0e0e0736", &"0".repeat(31)),
            &PARENT.replace("00f067aa0ba902b7", "0000000000000000"),
            &PARENT.replace('-', "_"),
            "00-é",
        ] {
            assert_eq!(carried(wrong).and_then(|carried| carried.parent), None, "{wrong}");
        }
    }
}
