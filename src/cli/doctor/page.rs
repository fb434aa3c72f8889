//! What was found out, as a person reads it, and as a machine does.

use std::fmt::Write as _;
use std::time::Duration;

use console::Style;
use serde_json::json;

use super::examination::{Examination, State};
use super::finding::{Finding, Severity};
use crate::cli::look::Paper;

/// Lines of stderr that are shown of a server that does not work.
const SHOWN_LINES: usize = 8;

/// The block of a server.
pub(super) fn block(found: &Examination, paper: Paper) -> String {
    let mut text = String::new();
    let (mark, style) = match found.state {
        State::Well if found.findings.is_empty() => ("✓", Style::new().green()),
        State::Well => ("✓", Style::new().yellow()),
        State::Broken => ("✗", Style::new().red()),
        State::Untried | State::Disabled => ("-", Style::new().dim()),
    };
    let name = styled(&found.name, &Style::new().bold(), paper);
    let rest = match (found.state, &found.target) {
        (State::Disabled, _) => "disabled",
        (_, Some(target)) => target,
        (_, None) => "",
    };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", format!("{} {name}  {rest}", styled(mark, &style, paper)).trim_end());
    let facts = facts(found);
    if !facts.is_empty() {
        let _ = writeln!(text, "  {facts}");
    }
    for finding in &found.findings {
        text.push_str(&entry(finding, paper));
    }
    let words = &found.stderr[found.stderr.len().saturating_sub(SHOWN_LINES)..];
    if !words.is_empty() {
        text.push_str("  its last lines on stderr:\n");
        for line in words {
            let _ = writeln!(text, "    | {line}");
        }
    }
    text
}

/// What concerns all servers, below a heading; nothing if there is nothing.
pub(super) fn chapter(heading: &str, findings: &[Finding], paper: Paper) -> String {
    let heading = styled(heading, &Style::new().bold(), paper);
    let entries: String = findings.iter().map(|finding| entry(finding, paper)).collect();
    if entries.is_empty() { entries } else { format!("{heading}\n{entries}\n") }
}

/// The last line.
pub(super) fn sum(all: &[Examination], findings: &[Finding]) -> String {
    let count = |state| all.iter().filter(|found| found.state == state).count();
    let every = || all.iter().flat_map(|found| &found.findings).chain(findings);
    let of = |severity| every().filter(|finding| finding.severity == severity).count();
    let mut parts = vec![format!("{} well", count(State::Well)), format!("{} broken", count(State::Broken))];
    let untried = count(State::Untried) + count(State::Disabled);
    if untried > 0 {
        parts.push(format!("{untried} not tried"));
    }
    let servers = if all.len() == 1 { "1 server".to_owned() } else { format!("{} servers", all.len()) };
    let many = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let (errors, warnings) = (many(of(Severity::Error), "error"), many(of(Severity::Warning), "warning"));
    format!("{servers}: {}; {errors}, {warnings}\n", parts.join(", "))
}

/// Everything as one JSON object.
pub(super) fn json(all: &[Examination], findings: &[Finding], is_well: bool) -> String {
    format!("{:#}\n", json!({ "ok": is_well, "findings": findings, "servers": all }))
}

fn facts(found: &Examination) -> String {
    let mut parts = Vec::new();
    parts.extend(found.server.clone());
    let version = found.protocol_version.clone();
    parts.extend(match (found.era, version) {
        (Some("dual"), Some(version)) => Some(format!("both eras, {version}")),
        (Some(era), Some(version)) => Some(format!("{era}, {version}")),
        (era, version) => era.map(str::to_owned).or(version),
    });
    let listed = found.listed_seconds.map(|took| format!(" in {}", time(took)));
    let tools =
        found.tools.map(|count| if count == 1 { "1 tool".to_owned() } else { format!("{count} tools") });
    parts.extend(found.answered_seconds.map(|took| format!("answered after {}", time(took))));
    parts.extend(tools.map(|tools| format!("{tools}{}", listed.unwrap_or_default())));
    parts.join("; ")
}

fn entry(finding: &Finding, paper: Paper) -> String {
    let style = match finding.severity {
        Severity::Error => Style::new().red(),
        Severity::Warning => Style::new().yellow(),
    };
    let word = styled(finding.severity.as_str(), &style, paper);
    let mut text = format!("  {word} ({}): {}\n", finding.cause, finding.what);
    if !finding.advice.is_empty() {
        let _ = writeln!(text, "    -> {}", finding.advice);
    }
    text
}

fn time(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

fn styled(text: &str, style: &Style, paper: Paper) -> String {
    style.clone().force_styling(paper.styled).apply_to(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Paper = Paper { width: None, styled: false };

    fn found(name: &str, state: State) -> Examination {
        Examination::new(name.to_owned(), state, Some("uvx (1 argument)".to_owned()))
    }

    fn all() -> Vec<Examination> {
        let mut well = found("time", State::Well);
        well.server = Some("mcp-time 1.2".to_owned());
        (well.era, well.protocol_version) = (Some("legacy"), Some("2025-06-18".to_owned()));
        well.answered_seconds = Some(Duration::from_millis(1940));
        (well.listed_seconds, well.tools) = (Some(Duration::from_millis(12)), Some(1));
        well.findings.push(Finding::warning("stdout-noise", "1 line", "print to stderr"));
        let mut broken = found("git", State::Broken);
        broken.findings.push(Finding::error("exited", "the server exited with status 1", ""));
        broken.stderr = (0..10).map(|n| format!("line {n}")).collect();
        let off = Examination { target: None, ..found("off", State::Disabled) };
        vec![well, broken, off]
    }

    #[test]
    fn a_block_says_what_a_server_is_and_what_is_wrong_with_it() {
        let blocks: Vec<String> = all().iter().map(|found| block(found, PLAIN)).collect();
        assert_eq!(
            blocks[0],
            "✓ time  uvx (1 argument)\n  mcp-time 1.2; legacy, 2025-06-18; answered after 1.9 s; 1 tool in 12 ms\n  \
             warning (stdout-noise): 1 line\n    -> print to stderr\n"
        );
        assert!(
            blocks[1].starts_with("✗ git  uvx (1 argument)\n  error (exited): the server exited"),
            "{}",
            blocks[1]
        );
        assert!(
            blocks[1].contains("stderr:\n    | line 2\n") && blocks[1].ends_with("    | line 9\n"),
            "{}",
            blocks[1]
        );
        assert_eq!(blocks[2], "- off  disabled\n");
        assert_eq!(sum(&all(), &[]), "3 servers: 1 well, 1 broken, 1 not tried; 1 error, 1 warning\n");
        assert_eq!(chapter("configuration", &[], PLAIN), "");
    }

    #[test]
    fn a_machine_reads_the_same() {
        let findings = [Finding::warning("configuration", "odd", "")];
        let value: serde_json::Value = serde_json::from_str(&json(&all(), &findings, false)).unwrap();
        assert_eq!((&value["ok"], &value["findings"][0]["severity"]), (&json!(false), &json!("warning")));
        assert_eq!(value["servers"][0]["answered_seconds"], 1.94);
        assert_eq!(value["servers"][1]["findings"][0]["cause"], "exited");
        assert_eq!(
            (&value["servers"][2]["state"], &value["servers"][2]["target"]),
            (&json!("disabled"), &json!(null))
        );
    }
}
