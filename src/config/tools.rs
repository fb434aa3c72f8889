//! Which tools of a server are served: the key `tools` of an entry.

use super::error::Problem;
use super::node::{Members, Node};

/// Which tools of a server are served. What is not is neither listed nor callable, for whomever and by whatever way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ToolsSpec {
    /// Patterns of tools that are served, by their own names or by `server__tool`; none: all.
    pub allow: Option<Vec<String>>,
    /// Patterns of tools that are not served, whatever else is said.
    pub deny: Vec<String>,
    /// The server is believed when it says that a tool changes nothing.
    pub trust_hints: bool,
    /// What becomes of tools that say something else of themselves than they did.
    pub pin: Pin,
}

/// What becomes of tools that say something else of themselves than they did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pin {
    /// They are served as they are.
    #[default]
    Off,
    /// What a tool says when it is first seen is taken for approved; when that changes, it is held back.
    First,
    /// Every tool is held back until somebody has approved what it says.
    Approved,
}

impl ToolsSpec {
    /// Whether every tool is served, whatever it says of itself.
    pub fn is_open(&self) -> bool {
        self.allow.is_none() && self.deny.is_empty() && self.pin == Pin::Off
    }
}

/// Reads the key.
pub(super) fn read(node: &Node<'_>) -> Result<ToolsSpec, Problem> {
    let mut members = node.members("an object with `allow`, `deny`, `trustHints` or `pin`")?;
    let allow = patterns(&mut members, "allow")?;
    let deny = patterns(&mut members, "deny")?.unwrap_or_default();
    let mut spec = ToolsSpec { allow, deny, ..ToolsSpec::default() };
    if let Some(node) = members.protecting("trustHints")? {
        spec.trust_hints = node.flag()?;
    }
    if let Some(node) = members.protecting("pin")? {
        spec.pin = match node.flag() {
            Ok(false) => Pin::Off,
            Ok(true) => return Err(node.wanted(PINS)),
            Err(_) => node
                .word(&[("first", Pin::First), ("approved", Pin::Approved)])
                .map_err(|_| node.wanted(PINS))?,
        };
    }
    members.refuse_unknown()?;
    Ok(spec)
}

/// What `pin` may be.
const PINS: &str = "false, \"first\" or \"approved\"";

fn patterns(members: &mut Members<'_>, key: &'static str) -> Result<Option<Vec<String>>, Problem> {
    let Some(node) = members.protecting(key)? else { return Ok(None) };
    let pattern = |item: Node<'_>| match item.text()? {
        // It would fit no tool, and is no pattern that anybody means.
        "" => Err(item.wanted("the name of a tool, in which `*` and `?` stand for others")),
        text => Ok(text.to_owned()),
    };
    node.items("a list of patterns like [\"read_*\"]")?.map(pattern).collect::<Result<_, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::super::json::Json;
    use super::*;

    fn parsed(tools: &str) -> Result<ToolsSpec, String> {
        let json = Json::parse(&format!(r#"{{"tools": {tools}}}"#)).unwrap();
        let node = Node::root(&json).members("an object").unwrap().protecting("tools");
        let node = node.map_err(|problem| problem.to_string())?.unwrap();
        read(&node).map_err(|problem| problem.to_string())
    }

    #[test]
    fn every_key_is_read() {
        assert_eq!(parsed("{}"), Ok(ToolsSpec::default()));
        let spec =
            parsed(r#"{"allow": ["read_*"], "deny": ["*x"], "trustHints": true, "pin": "First"}"#).unwrap();
        let (allow, deny) = (Some(vec!["read_*".to_owned()]), vec!["*x".to_owned()]);
        assert_eq!(spec, ToolsSpec { allow, deny, trust_hints: true, pin: Pin::First });
        assert_eq!(parsed(r#"{"pin": "approved"}"#).unwrap().pin, Pin::Approved);
        assert_eq!(parsed(r#"{"pin": false}"#).unwrap().pin, Pin::Off);
        assert!(ToolsSpec { trust_hints: true, ..ToolsSpec::default() }.is_open());
        assert!(!parsed(r#"{"allow": []}"#).unwrap().is_open(), "no tool is served");
    }

    #[test]
    fn what_protects_is_not_guessed() {
        for (tools, expected) in [
            ("null", "tools: found null, wanted a value"),
            ("[]", "tools: found a list, wanted an object with `allow`"),
            (r#"{"alow": []}"#, "tools.alow: unknown key, which is not ignored here; known are allow, deny"),
            (r#"{"Deny": []}"#, "tools.Deny: found the key"),
            (r#"{"trust_hints": true}"#, "tools.trust_hints: found the key"),
            (r#"{"allow": null}"#, "tools.allow: found null, wanted a value"),
            (r#"{"deny": "x"}"#, "tools.deny: found a string, wanted a list of patterns"),
            (r#"{"deny": [""]}"#, "tools.deny[0]: found an empty string, wanted the name of a tool"),
            (r#"{"trustHints": "yes"}"#, "tools.trustHints: found a string, wanted true or false"),
            (r#"{"pin": true}"#, "tools.pin: found true, wanted false, \"first\" or \"approved\""),
            (r#"{"pin": "frist"}"#, "tools.pin: found a string, wanted false"),
        ] {
            let refusal = parsed(tools).unwrap_err();
            assert!(refusal.starts_with(expected), "{refusal}");
        }
    }
}
