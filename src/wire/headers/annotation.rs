//! The parameters of a tool that its schema sends into headers.

use super::mirror::{Mirrored, members};
use super::shown::shown;
use super::{PARAM_PREFIX, encode};
use memchr::memmem;
use serde_json::Value;
use std::collections::HashSet;
use std::fmt;

/// The `x-mcp-header` annotations of a tool's `inputSchema`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    properties: Vec<Property>,
}

/// A property that is annotated, or holds one that is; those beside each other are sorted by name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Property {
    name: Box<str>,
    header: Option<Box<str>>,
    within: Vec<Property>,
}

/// Why the annotations of a tool cannot be used.
///
/// 2026-07-28, Streamable HTTP, Schema Extension: "Clients using the Streamable HTTP transport MUST reject tool
/// definitions where any `x-mcp-header` value violates these constraints. Rejection means the client MUST exclude the
/// invalid tool from the result of `tools/list`."
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAnnotation {
    /// The schema is no JSON that could be read: broken, or nested too deep.
    #[error("the inputSchema cannot be read: {0}")]
    Unreadable(String),
    /// The annotation is not text.
    #[error("the x-mcp-header of '{path}' is not a string")]
    NotAString {
        /// The annotated property.
        path: String,
    },
    /// "MUST NOT be empty".
    #[error("the x-mcp-header of '{path}' is empty")]
    Empty {
        /// The annotated property.
        path: String,
    },
    /// "MUST match HTTP field-name token syntax (`1*tchar`)", "MUST NOT contain control characters".
    #[error("the x-mcp-header '{name}' of '{path}' cannot be part of a header's name")]
    NotAToken {
        /// The annotated property.
        path: String,
        /// What it asks for.
        name: String,
    },
    /// "MUST be case-insensitively unique among all `x-mcp-header` values in the `inputSchema`".
    #[error("the x-mcp-header '{name}' of '{path}' is that of another property, too")]
    Twice {
        /// The second of the two properties.
        path: String,
        /// What both ask for.
        name: String,
    },
    /// "MUST only be applied to parameters with primitive types (integer, string, boolean). Parameters with type
    /// `number` are not permitted."
    #[error("the x-mcp-header of '{path}' needs the type integer, string or boolean, not {found}")]
    WrongType {
        /// The annotated property.
        path: String,
        /// Its type, as JSON; `none` if there is none.
        found: String,
    },
    /// "MUST only be applied to properties that are statically reachable from the schema root: reachable via a chain
    /// consisting solely of `properties` keys."
    #[error("there is an x-mcp-header at '{path}', where no chain of properties leads")]
    Misplaced {
        /// Where it stands; keywords on the way there are in angle brackets.
        path: String,
    },
}

impl Annotations {
    /// Reads the raw `inputSchema` of a tool.
    ///
    /// An annotation anywhere but in instance data (`default`, `enum`, …) counts, in keywords that nobody knows, too:
    /// "An `x-mcp-header` annotation anywhere else makes the annotation — and thus the tool definition — invalid"
    /// (2026-07-28, Streamable HTTP, Schema Extension). A property that merely has that name is none. A list of types is
    /// not a primitive type, even if it is `["string", "null"]`; the official SDKs read it so, too.
    pub fn read(schema: &str) -> Result<Self, InvalidAnnotation> {
        // Most tools have none, and then nothing is parsed. In escapes the letters of the key begin with \u00.
        let has = |part: &str| memmem::find(schema.as_bytes(), part.as_bytes()).is_some();
        let is_plain = has(KEYWORD);
        if !is_plain && !has("\\u00") {
            return Ok(Self::default());
        }
        // The parser refuses what is nested deeper than 128, so that all recursion here is bounded. It also refuses what
        // other parsers take, like half a surrogate pair; no tool is lost by that which does not speak of headers.
        let schema: Value = match serde_json::from_str(schema) {
            Ok(schema) => schema,
            Err(error) if is_plain => return Err(InvalidAnnotation::Unreadable(error.to_string())),
            Err(_) => return Ok(Self::default()),
        };
        let mut reader = Reader { path: Vec::new(), taken: HashSet::new() };
        if schema.get(KEYWORD).is_some() {
            return Err(InvalidAnnotation::Misplaced { path: reader.path() });
        }
        reader.within(&schema).map(|properties| Self { properties })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.properties.is_empty()
    }

    /// The name of each header, and the value of the raw `arguments` that it must repeat, or nothing where it must not
    /// be there.
    ///
    /// 2026-07-28, Streamable HTTP, Schema Extension: "Header extraction is defined as reading the instance value at the
    /// exact property path of the annotated property […]. If no value is present at that path in the call arguments, the
    /// header is omitted." Null is no value; neither are arrays and objects, which no header can repeat.
    pub fn mirrored<'a>(&'a self, arguments: Option<&'a str>) -> Vec<(&'a str, Option<Mirrored<'a>>)> {
        let mut found = Vec::new();
        collect(&self.properties, arguments, &mut found);
        found
    }

    /// The headers that a client sends with a `tools/call` that has these raw `arguments`, names and encoded values.
    ///
    /// 2026-07-28, Streamable HTTP, Client Behavior: "Append a `Mcp-Param-{Name}: {Value}` header to the request."
    pub fn headers(&self, arguments: Option<&str>) -> Vec<(String, String)> {
        let header = |(name, value): (&str, Option<Mirrored<'_>>)| {
            Some((name.to_owned(), encode(&value?.text()?).into_owned()))
        };
        self.mirrored(arguments).into_iter().filter_map(header).collect()
    }
}

/// Every object on an annotated path is passed over once, whatever number of annotations it holds.
fn collect<'a>(
    properties: &'a [Property],
    json: Option<&'a str>,
    found: &mut Vec<(&'a str, Option<Mirrored<'a>>)>,
) {
    if properties.is_empty() {
        return;
    }
    let mut values = vec![None; properties.len()];
    members(json.unwrap_or_default(), |name, value| {
        if let Ok(at) = properties.binary_search_by(|property| (*property.name).cmp(name)) {
            values[at] = Some(value);
        }
    });
    for (property, value) in properties.iter().zip(values) {
        if let Some(header) = &property.header {
            found.push((header, value.and_then(Mirrored::read)));
        }
        collect(&property.within, value, found);
    }
}

/// Goes through a schema, knowing where it is.
struct Reader<'a> {
    path: Vec<Step<'a>>,
    /// The names in use, in lower case.
    taken: HashSet<String>,
}

enum Step<'a> {
    Property(&'a str),
    Keyword(&'a str),
}

impl<'a> Reader<'a> {
    /// The annotated properties of a schema that a chain of properties leads to.
    fn within(&mut self, schema: &'a Value) -> Result<Vec<Property>, InvalidAnnotation> {
        let mut found = Vec::new();
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            match (keyword.as_str(), value) {
                (KEYWORD, _) => {}
                ("properties", Value::Object(properties)) => {
                    for (name, schema) in properties {
                        self.path.push(Step::Property(name));
                        found.extend(self.property(name, schema)?);
                        self.path.pop();
                    }
                }
                _ => self.apart(keyword, value)?,
            }
        }
        found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn property(&mut self, name: &str, schema: &'a Value) -> Result<Option<Property>, InvalidAnnotation> {
        let header = schema.get(KEYWORD).map(|name| self.header(name, schema.get("type"))).transpose()?;
        let within = self.within(schema)?;
        let is_of_use = header.is_some() || !within.is_empty();
        Ok(is_of_use.then(|| Property { name: name.into(), header, within }))
    }

    /// The full name of the header that an annotation asks for.
    fn header(&mut self, name: &Value, kind: Option<&Value>) -> Result<Box<str>, InvalidAnnotation> {
        let path = self.path();
        let Some(name) = name.as_str() else { return Err(InvalidAnnotation::NotAString { path }) };
        if name.is_empty() {
            return Err(InvalidAnnotation::Empty { path });
        }
        if !name.bytes().all(is_token) {
            return Err(InvalidAnnotation::NotAToken { path, name: shown(name) });
        }
        if !matches!(kind.and_then(Value::as_str), Some("integer" | "string" | "boolean")) {
            let found = kind.map_or_else(|| "none".into(), |kind| shown(&kind.to_string()));
            return Err(InvalidAnnotation::WrongType { path, found });
        }
        if !self.taken.insert(name.to_ascii_lowercase()) {
            return Err(InvalidAnnotation::Twice { path, name: shown(name) });
        }
        Ok([PARAM_PREFIX, name].concat().into())
    }

    /// Makes sure that there is no annotation in the value of a keyword that breaks the chain.
    fn apart(&mut self, keyword: &'a str, value: &'a Value) -> Result<(), InvalidAnnotation> {
        if DATA.contains(&keyword) {
            return Ok(());
        }
        self.path.push(Step::Keyword(keyword));
        match value {
            Value::Object(schemas) if NAMED_SCHEMAS.contains(&keyword) => {
                for (name, schema) in schemas {
                    self.path.push(Step::Property(name));
                    self.refuse(schema)?;
                    self.path.pop();
                }
            }
            _ => self.refuse(value)?,
        }
        self.path.pop();
        Ok(())
    }

    fn refuse(&mut self, schema: &'a Value) -> Result<(), InvalidAnnotation> {
        match schema {
            Value::Object(keywords) if keywords.contains_key(KEYWORD) => {
                Err(InvalidAnnotation::Misplaced { path: self.path() })
            }
            Value::Object(keywords) => keywords.iter().try_for_each(|(key, value)| self.apart(key, value)),
            Value::Array(schemas) => schemas.iter().try_for_each(|schema| self.refuse(schema)),
            _ => Ok(()),
        }
    }

    /// Where it is, for people.
    fn path(&self) -> String {
        let left_out = self.path.len().saturating_sub(LONGEST_PATH);
        let steps: Vec<_> = self.path[left_out..].iter().map(ToString::to_string).collect();
        match (steps.is_empty(), left_out) {
            (true, _) => "the schema itself".into(),
            (false, 0) => steps.join("."),
            (false, _) => format!("….{}", steps.join(".")),
        }
    }
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Property(name) => f.write_str(&shown(name)),
            Self::Keyword(keyword) => write!(f, "<{}>", shown(keyword)),
        }
    }
}

/// A `tchar` of RFC 9110, 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Steps of a path that a message shows.
const LONGEST_PATH: usize = 8;

const KEYWORD: &str = "x-mcp-header";

/// Keywords whose values are no schemas, and may look like anything.
const DATA: [&str; 7] = ["const", "default", "dependentRequired", "enum", "example", "examples", "required"];

/// Keywords whose members are schemas under names of the author's choice.
const NAMED_SCHEMAS: [&str; 6] =
    ["$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"];

#[cfg(test)]
mod tests;
