//! What a history is asked.

use super::file::{self, Unusable};
use super::whole;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Which calls are meant: all, unless something is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this mount.
    pub server: Option<String>,
    /// Of this tool.
    pub tool: Option<String>,
    /// Of this caller.
    pub caller: Option<String>,
    /// That ended so.
    pub outcome: Option<String>,
    /// That began then or later.
    pub since: Option<SystemTime>,
    /// That took so long or longer.
    pub slow: Option<Duration>,
    /// The last so many.
    pub last: Option<u64>,
}

/// A call as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it began.
    pub at: SystemTime,
    /// The mount.
    pub server: String,
    /// The method.
    pub method: String,
    /// The tool, of a call.
    pub tool: Option<String>,
    /// Who.
    pub caller: String,
    /// The beginning of the session's id.
    pub session: Option<String>,
    /// Which eras it has crossed.
    pub eras: Option<String>,
    /// How it ended.
    pub outcome: String,
    /// The code of an error.
    pub code: Option<i64>,
    /// How long it took.
    pub took: Duration,
    /// Bytes of the request.
    pub received: u64,
    /// Bytes of the answer.
    pub sent: u64,
    /// The arguments, where they are recorded.
    pub arguments: Option<String>,
}

/// What the calls of one tool, or of another method, amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The mount.
    pub server: String,
    /// The tool, or the method.
    pub what: String,
    /// How many.
    pub calls: usize,
    /// How many of them have failed. One that its client has given up is none of them.
    pub errors: usize,
    /// Half of them took no longer.
    pub median: Duration,
    /// Of a hundred, 95 took no longer.
    pub p95: Duration,
}

/// Reads a history, whether it is written to or not.
#[derive(Debug)]
pub struct Reader(Connection);

const COLUMNS: &str =
    "at, server, method, tool, caller, session, eras, outcome, code, took, received, sent, arguments";

impl Reader {
    /// The history at a path.
    pub fn open(path: &Path) -> Result<Self, Unusable> {
        file::open_to_read(path).map(Self)
    }

    /// The calls that are meant, the newest last.
    pub fn calls(&self, filter: &Filter) -> Result<Vec<Record>, Unusable> {
        let (conditions, values) = filter.conditions();
        let last = filter.last.map_or(-1, whole);
        let sql = format!(
            "SELECT {COLUMNS} FROM
                (SELECT id, {COLUMNS} FROM calls WHERE {conditions} ORDER BY id DESC LIMIT {last})
             ORDER BY id"
        );
        let mut statement = self.0.prepare(&sql)?;
        let records = statement.query_map(params_from_iter(values), record)?;
        Ok(records.collect::<Result<_, _>>()?)
    }

    /// What they amount to.
    pub fn summary(&self, filter: &Filter) -> Result<Vec<Summary>, Unusable> {
        let (conditions, values) = filter.conditions();
        let last = filter.last.map_or(-1, whole);
        let sql = format!(
            "SELECT server, coalesce(tool, method), outcome, took FROM calls WHERE {conditions}
             ORDER BY id DESC LIMIT {last}"
        );
        let mut statement = self.0.prepare(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut shares: BTreeMap<(String, String), (usize, Vec<i64>)> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let (errors, times) = shares.entry((row.get(0)?, row.get(1)?)).or_default();
            *errors += usize::from(row.get_ref(2)?.as_str().is_ok_and(is_failure));
            times.push(row.get(3)?);
        }
        let share = |((server, what), (errors, mut times)): ((String, String), (usize, Vec<i64>))| {
            times.sort_unstable();
            let at = |percent: usize| micros(times[(times.len() * percent).div_ceil(100).max(1) - 1]);
            Summary { server, what, calls: times.len(), errors, median: at(50), p95: at(95) }
        };
        Ok(shares.into_iter().map(share).collect())
    }
}

impl Filter {
    /// As SQL wants it. What somebody has typed is a value, never a part of the text.
    fn conditions(&self) -> (String, Vec<Value>) {
        let text = |text: &Option<String>| text.clone().map(Value::from);
        let since = self.since.map(|since| Value::from(super::micros(since)));
        let slow = self.slow.map(|slow| Value::from(whole(slow.as_micros())));
        let all = [
            ("server =", text(&self.server)),
            ("tool =", text(&self.tool)),
            ("caller =", text(&self.caller)),
            ("outcome =", text(&self.outcome)),
            ("at >=", since),
            ("took >=", slow),
        ];
        let (mut conditions, mut values) = (vec!["1".to_owned()], Vec::new());
        for (condition, value) in all {
            if let Some(value) = value {
                values.push(value);
                conditions.push(format!("{condition} ?{}", values.len()));
            }
        }
        (conditions.join(" AND "), values)
    }
}

/// Whether an outcome says that something went wrong, and not that its client wanted no more of it.
fn is_failure(outcome: &str) -> bool {
    !matches!(outcome, "ok" | "cancelled" | "abandoned")
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let count = |at: usize| row.get::<_, i64>(at).map(|count| u64::try_from(count).unwrap_or_default());
    Ok(Record {
        at: SystemTime::UNIX_EPOCH + micros(row.get(0)?),
        server: row.get(1)?,
        method: row.get(2)?,
        tool: row.get(3)?,
        caller: row.get(4)?,
        session: row.get(5)?,
        eras: row.get(6)?,
        outcome: row.get(7)?,
        code: row.get(8)?,
        took: micros(row.get(9)?),
        received: count(10)?,
        sent: count(11)?,
        arguments: row.get(12)?,
    })
}

fn micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}
