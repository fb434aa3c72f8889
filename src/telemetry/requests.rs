//! How many requests of each method ended in which way.

use super::{Counter, Method, Outcome};
use std::sync::OnceLock;

/// A counter for each method and outcome. Those of a method take memory from its first request on.
#[derive(Debug, Default)]
pub struct Requests {
    rows: [OnceLock<Box<Row>>; Method::COUNT],
}

/// The counters of a method, in the order of [`Outcome::WORDS`].
type Row = [Counter; Outcome::WORDS.len()];

impl Requests {
    /// One more.
    pub(super) fn add(&self, method: Method, outcome: Outcome) {
        let row = self.rows[method.index()].get_or_init(Box::default);
        row[outcome.index()].add_one();
    }

    /// Those of which there was any: the method, the outcome in a word, and how many.
    pub fn counts(&self) -> impl Iterator<Item = (Method, &'static str, u64)> {
        let rows = Method::all().zip(&self.rows).filter_map(|(method, row)| Some((method, row.get()?)));
        let counts = rows.flat_map(|(method, row)| {
            Outcome::WORDS.into_iter().zip(&**row).map(move |(word, counter)| (method, word, counter.count()))
        });
        counts.filter(|(_, _, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Code;

    #[test]
    fn each_method_and_outcome_is_counted_for_itself() {
        let requests = Requests::default();
        let call = Method::of("tools/call");
        requests.add(call, Outcome::Ok);
        requests.add(call, Outcome::Ok);
        requests.add(call, Outcome::Refused(Code::NotAllowed));
        requests.add(Method::of("made/up"), Outcome::ServerError(-32601));
        requests.add(Method::of("made/up as well"), Outcome::ServerError(7));
        let counts: Vec<_> =
            requests.counts().map(|(method, word, count)| (method.as_str(), word, count)).collect();
        let expected = [("tools/call", "ok", 2), ("tools/call", "not_allowed", 1), ("other", "error", 2)];
        assert_eq!(counts, expected);
    }
}
