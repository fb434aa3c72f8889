//! What servers have, on a page that fits the terminal.

use std::fmt::Write as _;

use console::{Style, truncate_str};

use crate::shell::{Parameter, Tool, harmless};
use crate::wire::meta::find;
use crate::wire::object::array;

/// What came of looking at a server.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) name: String,
    /// How it stands, in one word.
    pub(super) state: String,
    /// The result of its handshake.
    pub(super) opened: Option<Box<str>>,
    /// What it calls itself.
    pub(super) greeting: Option<String>,
    /// Its tools as it lists them, or why they are not known; nothing where it was not asked.
    pub(super) tools: Option<Result<Vec<Box<str>>, String>>,
}

/// How a page is written.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Paper {
    /// Columns; no end where nobody reads it on a terminal.
    pub(in crate::cli) width: Option<usize>,
    /// Whether names stand out.
    pub(in crate::cli) styled: bool,
}

impl Look {
    /// Whether the server could be asked, or is not to be.
    pub(super) fn is_well(&self) -> bool {
        !matches!(self.tools, Some(Err(_)))
    }
}

/// The page of all servers.
pub(super) fn page(looks: &[Look], paper: Paper) -> String {
    let parts: Vec<String> = looks.iter().map(|look| part(look, paper)).collect();
    parts.join("\n")
}

/// The same as one JSON object, in which each tool is as its server wrote it.
pub(super) fn json(looks: &[Look]) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let member = |look: &Look| {
        let info = look.opened.as_deref().and_then(|opened| find(opened, &["serverInfo"])).unwrap_or("null");
        let version =
            look.opened.as_deref().and_then(|opened| find(opened, &["protocolVersion"])).unwrap_or("null");
        let (error, tools) = match &look.tools {
            Some(Ok(tools)) => ("null".to_owned(), array(tools)),
            Some(Err(error)) => (quoted(error), "null".to_owned()),
            None => ("null".to_owned(), "null".to_owned()),
        };
        format!(
            r#"{}:{{"state":{},"error":{error},"protocol_version":{version},"server_info":{info},"tools":{tools}}}"#,
            quoted(&look.name),
            quoted(&look.state)
        )
    };
    let members: Vec<_> = looks.iter().map(member).collect();
    format!("{{{}}}\n", members.join(","))
}

fn part(look: &Look, paper: Paper) -> String {
    let mut text = String::new();
    let detail = match &look.tools {
        Some(Err(error)) => harmless(error).replace('\n', " "),
        _ => harmless(look.greeting.as_deref().unwrap_or_default()),
    };
    let heading = format!("{}  {}  {detail}", bold(&look.name, paper), look.state);
    // Why a server cannot be asked is said in full.
    let heading = if look.is_well() { paper.cut(heading.trim_end()) } else { heading };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{heading}");
    let Some(Ok(tools)) = &look.tools else { return text };
    let tools: Vec<Tool> = tools.iter().filter_map(|tool| Tool::read(tool)).collect();
    if tools.is_empty() {
        let _ = writeln!(text, "  it has no tools");
    }
    for tool in &tools {
        let line = format!("  {}  {}", bold(&harmless(&tool.name), paper), harmless(&tool.description));
        let _ = writeln!(text, "{}", paper.cut(line.trim_end()));
        let width = tool.parameters.iter().map(|parameter| named(parameter).chars().count()).max();
        for parameter in &tool.parameters {
            let line = format!(
                "      {:width$}  {}",
                harmless(&named(parameter)),
                harmless(&parameter.description),
                width = width.unwrap_or_default().min(40)
            );
            let _ = writeln!(text, "{}", paper.cut(line.trim_end()));
        }
    }
    text
}

fn named(parameter: &Parameter) -> String {
    let required = if parameter.required { ", required" } else { "" };
    format!("{}: {}{required}", parameter.name, parameter.kind)
}

fn bold(text: &str, paper: Paper) -> String {
    Style::new().bold().force_styling(paper.styled).apply_to(text).to_string()
}

impl Paper {
    fn cut(self, line: &str) -> String {
        match self.width {
            Some(width) => truncate_str(line, width, "…").into_owned(),
            None => line.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Paper = Paper { width: None, styled: false };

    fn looks() -> Vec<Look> {
        let tool = r#"{"name":"add","description":"Adds \u001b[2Jnumbers.\nReally.","n":1.0,"inputSchema":{"properties":{
            "a":{"type":"number","description":"The first."},"rest":{"type":"array"}},"required":["a"]}}"#;
        let look = |name: &str, state: &str, tools| Look {
            name: name.to_owned(),
            state: state.to_owned(),
            opened: None,
            greeting: None,
            tools,
        };
        let mut one = look("one", "ready", Some(Ok(vec![tool.into()])));
        one.opened = Some(r#"{"protocolVersion":"2025-11-25","serverInfo":{"name": "x"}}"#.into());
        one.greeting = Some("x 1, 2025-11-25".to_owned());
        vec![
            one,
            look("bad", "failed", Some(Err("it\nfailed".to_owned()))),
            look("off", "disabled", None),
            look("bare", "ready", Some(Ok(Vec::new()))),
        ]
    }

    #[test]
    fn a_page_shows_every_server_and_fits_the_terminal() {
        let expected = "\
one  ready  x 1, 2025-11-25
  add  Adds \\u{1b}[2Jnumbers.
      a: number, required  The first.
      rest: any[]

bad  failed  it failed

off  disabled

bare  ready
  it has no tools
";
        assert_eq!(page(&looks(), PLAIN), expected);
        let narrow = page(&looks(), Paper { width: Some(20), styled: false });
        let wide = narrow.lines().find(|line| line.chars().count() > 20 && !line.starts_with("bad"));
        assert_eq!(wide, None, "{narrow}");
        assert!(narrow.contains("      a: number, re…"), "{narrow}");
        let styled = page(&looks(), Paper { width: Some(20), styled: true });
        assert!(styled.starts_with("\u{1b}[1mone\u{1b}[0m  ready"), "{styled:?}");
    }

    #[test]
    fn the_json_is_one_object_and_tools_are_as_they_were_written() {
        let text = json(&looks());
        assert!(text.contains(r#""n":1.0"#), "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["one"]["tools"][0]["name"], "add");
        assert_eq!(
            (&value["one"]["server_info"]["name"], value["one"]["error"].is_null()),
            (&"x".into(), true)
        );
        assert_eq!((&value["bad"]["error"], value["bad"]["tools"].is_null()), (&"it\nfailed".into(), true));
        assert_eq!(value["off"]["state"], "disabled");
    }
}
