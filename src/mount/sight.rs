//! What of a server's tools a caller sees: the rules of the server's entry, which hold for everybody, and his own rights.

use crate::access::{Caller, ToolRight};
use crate::config::{Pin, ServerSpec, ToolsSpec, patterns};
use crate::wire::Object;
use crate::wire::meta::{find, only, only_string, span, splice};
use crate::wire::object::items;
use std::borrow::Cow;
use wildmatch::WildMatch;

/// The rules of an entry, ready to be compared.
#[derive(Debug)]
pub(super) struct ToolRules {
    allow: Option<Vec<WildMatch>>,
    deny: Vec<WildMatch>,
    trust_hints: bool,
    pin: Pin,
}

/// What one caller sees of one server's tools.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight<'a> {
    rules: &'a ToolRules,
    server: &'a str,
    caller: &'a Caller,
}

/// Whether a server's entry lets a tool of this name be served at all.
pub fn serves(spec: &ServerSpec, tool: &str) -> bool {
    ToolRules::new(&spec.tools).admits(spec.name.as_str(), tool)
}

impl ToolRules {
    pub(super) fn new(spec: &ToolsSpec) -> Self {
        Self {
            allow: spec.allow.as_deref().map(patterns),
            deny: patterns(&spec.deny),
            trust_hints: spec.trust_hints,
            pin: spec.pin,
        }
    }

    /// What becomes of tools that say something else than they did.
    pub(super) fn pin(&self) -> Pin {
        self.pin
    }

    /// Whether the server is believed when it says that a tool changes nothing.
    pub(super) fn trusts_hints(&self) -> bool {
        self.trust_hints
    }

    /// Whether a tool of this name is served at all.
    pub(super) fn admits(&self, server: &str, tool: &str) -> bool {
        if self.allow.is_none() && self.deny.is_empty() {
            return true;
        }
        // As it is called here, and as all servers together call it.
        let full = format!("{}__{tool}", server.replace('.', "_"));
        let any = |patterns: &[WildMatch]| {
            patterns.iter().any(|pattern| pattern.matches(tool) || pattern.matches(&full))
        };
        self.allow.as_deref().is_none_or(any) && !any(&self.deny)
    }

    fn is_open(&self) -> bool {
        self.allow.is_none() && self.deny.is_empty() && self.pin == Pin::Off
    }
}

impl<'a> Sight<'a> {
    pub(super) fn new(rules: &'a ToolRules, server: &'a str, caller: &'a Caller) -> Self {
        Self { rules, server, caller }
    }

    /// Whether every tool is seen, so that none needs to be looked at.
    pub(super) fn is_clear(&self) -> bool {
        self.rules.is_open() && self.caller.grant().every_tool(self.caller.place(), self.server)
    }

    /// Whether a tool of this name is seen. Pins are another question.
    pub(super) fn by_name(&self, tool: &str) -> ToolRight {
        if !self.rules.admits(self.server, tool) {
            return ToolRight::Never;
        }
        match self.caller.grant().tool(self.caller.place(), self.server, tool) {
            ToolRight::IfReadOnly if !self.rules.trust_hints => ToolRight::Never,
            right => right,
        }
    }

    /// Whether a tool is seen that is listed so. Pins are another question.
    pub(super) fn of(&self, name: &str, tool: &str) -> bool {
        self.by_name(name).holds(|| is_read_only(tool))
    }
}

/// Whether a tool says of itself that it changes nothing.
pub(super) fn is_read_only(tool: &str) -> bool {
    find(tool, &["annotations", "readOnlyHint"]) == Some("true")
}

/// The name by which a `tools/call` names its tool; nothing if readers might differ about what it is.
pub(super) fn called(params: &str) -> Option<Cow<'_, str>> {
    only_string(params, "name")
}

/// The result of `tools/list` without the tools that are not `seen`, which is asked with the name and the text of each; the rest
/// stays to the letter. Nothing if all are seen.
pub(super) fn filtered(result: &str, mut seen: impl FnMut(&str, &str) -> bool) -> Option<String> {
    let mut is_seen = |tool: &str| {
        let name = only_string(tool, "name");
        name.is_some_and(|name| seen(&name, tool))
    };
    let Some((list, tools)) = only(result, "tools").and_then(|list| Some((list, items(list)?))) else {
        // What cannot be read in one way only is not shown at all.
        let mut object = Object::read(result)?;
        let keys: Vec<String> = object.members().map(|(key, _)| key.into_owned()).collect();
        let lists: Vec<String> = keys.into_iter().filter(|key| key.eq_ignore_ascii_case("tools")).collect();
        if lists.is_empty() {
            return None;
        }
        for key in &lists {
            object.remove(key);
        }
        object.set("tools", "[]");
        return Some(object.to_json());
    };
    let verdicts: Vec<bool> = tools.iter().map(|tool| is_seen(tool)).collect();
    if verdicts.iter().all(|seen| *seen) {
        return None;
    }
    let kept = without(list, &tools, &verdicts);
    let place = span(result, list);
    Some(splice(result, &[(place, &kept)]))
}

/// A list without the items that are not kept; what stands between the others stays.
fn without(list: &str, all: &[&str], kept: &[bool]) -> String {
    let mut text = String::with_capacity(list.len());
    text.push('[');
    let (mut at, mut is_first) = (1, true);
    // There is no comma before it.
    let first_lead = all.first().map_or("", |item| &list[1..span(list, item).start]);
    for (item, kept) in all.iter().zip(kept) {
        let place = span(list, item);
        if *kept {
            text.push_str(if is_first { first_lead } else { &list[at..place.start] });
            text.push_str(item);
            is_first = false;
        }
        at = place.end;
    }
    text.push_str(if is_first { "]" } else { &list[at..] });
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Grant, Permission};
    use crate::protocol::Principal;
    use std::sync::Arc;

    fn rules(allow: Option<&[&str]>, deny: &[&str], trust_hints: bool) -> ToolRules {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        ToolRules::new(&ToolsSpec { allow: allow.map(texts), deny: texts(deny), trust_hints, pin: Pin::Off })
    }

    /// Somebody who may use these tools, by `server__tool`.
    fn caller(tools: &str, read_only: bool) -> Caller {
        let all = || vec![WildMatch::new("*")];
        let tools = Some(vec![WildMatch::new(tools)]);
        let permission = Permission { servers: all(), views: all(), tools, read_only };
        Caller::new(Principal::named("x"), "x", Arc::new(Grant::new(vec![permission], Vec::new(), false)))
    }

    #[test]
    fn a_tool_is_seen_where_the_entry_and_the_rights_of_the_caller_let_it() {
        use ToolRight::{Always, IfReadOnly, Never};
        let (anyone, reader, limited) = (Caller::anyone(), caller("*", true), caller("my.s__read*", false));
        for (rules, caller, tool, expected) in [
            (rules(None, &[], false), &anyone, "write", Always),
            (rules(Some(&[]), &[], false), &anyone, "write", Never),
            (rules(Some(&["read*"]), &[], false), &anyone, "read_a", Always),
            (rules(Some(&["read*"]), &[], false), &anyone, "write", Never),
            (rules(Some(&["my_s__read*"]), &[], false), &anyone, "read_a", Always),
            (rules(Some(&["read*"]), &["*_a"], false), &anyone, "read_a", Never),
            (rules(None, &["my_s__write"], false), &anyone, "write", Never),
            (rules(None, &["WRITE"], false), &anyone, "write", Always),
            (rules(None, &["w?ite"], false), &anyone, "write", Never),
            (rules(None, &[], false), &reader, "write", Never),
            (rules(None, &[], true), &reader, "write", IfReadOnly),
            (rules(None, &["write"], true), &reader, "write", Never),
            (rules(None, &[], true), &anyone, "write", Always),
            (rules(None, &[], true), &limited, "read_a", Always),
            (rules(None, &[], true), &limited, "write", Never),
        ] {
            let sight = Sight::new(&rules, "my.s", caller);
            assert_eq!(sight.by_name(tool), expected, "{rules:?} {tool}");
        }
        let hint = |hint: &str| format!(r#"{{"name":"a","annotations":{{"readOnlyHint":{hint}}}}}"#);
        let trusting = rules(None, &[], true);
        let sight = Sight::new(&trusting, "s", &reader);
        assert!(sight.of("a", &hint("true")) && !sight.is_clear());
        assert!(!sight.of("a", &hint("false")) && !sight.of("a", &hint("1")) && !sight.of("a", "{}"));
        assert!(Sight::new(&trusting, "s", &anyone).is_clear());
    }

    #[test]
    fn all_but_the_hidden_tools_stays_to_the_letter() {
        let list = |tools: &str| format!(r#"{{ "nextCursor" : "x\u0041", "tools" :{tools}, "ttlMs":1.0}}"#);
        let of = |name: &str| format!(r#"{{"description": "{name}", "name":"{name}"}}"#);
        let (a, b, c) = (of("a"), of("b"), of("c"));
        let only = |kept: &'static [&str]| move |name: &str, _: &str| kept.contains(&name);
        let all = list(&format!("[ {a} ,\t{b}, {c} ]"));
        assert_eq!(filtered(&all, only(&["a", "b", "c"])), None);
        assert_eq!(filtered(&all, only(&["a", "b"])), Some(list(&format!("[ {a} ,\t{b} ]"))));
        assert_eq!(filtered(&all, only(&["a", "c"])), Some(list(&format!("[ {a}, {c} ]"))));
        assert_eq!(filtered(&all, only(&["c"])), Some(list(&format!("[ {c} ]"))));
        assert_eq!(filtered(&all, only(&[])), Some(list("[]")));
        assert_eq!(filtered(&list("[]"), only(&[])), None);
        assert_eq!(filtered(r#"{"prompts":[]}"#, only(&[])), None);
    }

    #[test]
    fn what_some_would_read_differently_is_not_shown_and_not_called() {
        let every = |_: &str, _: &str| true;
        let named = r#"{"name":"a"}"#;
        for result in [
            format!(r#"{{"tools":[{named}],"tools":[]}}"#),
            format!(r#"{{"tools":[],"Tools":[{named}]}}"#),
            format!(r#"{{"TOOLS":[{named}]}}"#),
            format!(r#"{{"tools":{named}}}"#),
        ] {
            assert_eq!(filtered(&result, every).as_deref(), Some(r#"{"tools":[]}"#), "{result}");
        }
        for tool in [r#"{"name":"a","Name":"b"}"#, r#"{"name":"a","name":"a"}"#, "{}", r#"{"name":1}"#] {
            assert_eq!(
                filtered(&format!(r#"{{"tools":[{tool}]}}"#), every).as_deref(),
                Some(r#"{"tools":[]}"#)
            );
            assert_eq!(called(tool), None, "{tool}");
        }
        assert_eq!(called(r#"{"arguments":{"name":"b"},"n\u0061me":"\u0061"}"#).as_deref(), Some("a"));
    }
}
