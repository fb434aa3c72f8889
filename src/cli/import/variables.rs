//! What stands in `${}`: what it means there, and how that is said here.

use std::collections::BTreeMap;
use std::path::Path;

/// How a program reads `${}` in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// It does not: the characters go to the server as they stand.
    Literally,
    /// `${VAR}` and `${VAR:-default}` are the environment's.
    AsShell,
    /// `${env:VAR}` is, and there are words of an editor: `${workspaceFolder}`, `${input:id}`.
    AsEditor,
    /// Nobody knows which program it was: both.
    AsAny,
}

/// What an editor's words stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a> {
    pub(super) reading: Reading,
    pub(super) workspace: &'a Path,
    pub(super) home: &'a Path,
    /// What the file says of its inputs, by id.
    pub(super) inputs: &'a BTreeMap<String, Input>,
}

/// A value that the editor asks its user for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) description: Option<String>,
    /// What counts if the user says nothing.
    pub(super) default: Option<String>,
}

/// A text as our file writes it, and what its reader must know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Translated {
    pub(super) text: String,
    /// What is odd about it, to be told with its place.
    pub(super) notes: Vec<String>,
    /// Variables that take the place of what the editor knew, each with what is to be said of it.
    pub(super) wanted: Vec<(String, String)>,
}

/// Translates every `${}` of a text.
pub(super) fn translate(text: &str, words: &Words<'_>) -> Translated {
    let mut to = Translated::default();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, inside) = (&rest[..start], &rest[start + 2..]);
        to.text.push_str(before);
        // In our own files this is how the two characters are written.
        if words.reading == Reading::AsAny && before.ends_with('$') {
            to.text.push_str("${");
            rest = inside;
            continue;
        }
        let Some((reference, after)) = inside.split_once('}') else {
            to.literal("");
            rest = inside;
            continue;
        };
        match meaning(reference, words) {
            Meaning::Text(text) => to.text.push_str(&text.replace("${", "$${")),
            Meaning::Variable(variable) => to.reference(before, &variable),
            Meaning::Known { variable, say } => {
                to.reference(before, &variable);
                let name = variable.split(":-").next().unwrap_or_default().to_owned();
                to.wanted.push((name, say));
            }
            Meaning::Nothing => {
                to.literal(reference);
                to.text.push('}');
            }
        }
        rest = after;
    }
    to.text.push_str(rest);
    to
}

/// What a reference is there.
enum Meaning {
    /// A text that is known now.
    Text(String),
    /// A variable of the environment.
    Variable(String),
    /// Something that only the editor knows: here it becomes a variable.
    Known { variable: String, say: String },
    /// No reference at all.
    Nothing,
}

impl Translated {
    fn reference(&mut self, before: &str, variable: &str) {
        if before.ends_with('$') {
            self.notes.push(
                "a `$` right before `${` cannot be written in a file of this router: check it".to_owned(),
            );
        }
        self.text.push_str("${");
        self.text.push_str(variable);
        self.text.push('}');
    }

    fn literal(&mut self, reference: &str) {
        self.notes.push(format!(
            "`${{{reference}}}` means nothing there and is passed on as it stands, so it is written `$${{` here"
        ));
        self.text.push_str("$${");
        self.text.push_str(reference);
    }
}

fn meaning(reference: &str, words: &Words<'_>) -> Meaning {
    let reading = words.reading;
    if matches!(reading, Reading::AsEditor | Reading::AsAny)
        && let Some(meaning) = editor(reference, words)
    {
        return meaning;
    }
    if matches!(reading, Reading::AsShell | Reading::AsAny) {
        let (name, default) = reference.split_once(":-").unwrap_or((reference, ""));
        if is_name(name) && !default.contains("${") {
            return Meaning::Variable(reference.to_owned());
        }
    }
    Meaning::Nothing
}

/// The words of editors.
fn editor(reference: &str, words: &Words<'_>) -> Option<Meaning> {
    let shown = |path: &Path| Meaning::Text(path.display().to_string());
    if let Some((kind, rest)) = reference.split_once(':') {
        return match kind {
            "env" if is_name(rest.split(":-").next().unwrap_or_default()) => {
                Some(Meaning::Variable(rest.to_owned()))
            }
            "workspaceFolder" => Some(shown(words.workspace)),
            "input" => Some(input(rest, words.inputs.get(rest))),
            "config" | "command" => {
                let variable = variable(reference);
                let say = format!("`${{{reference}}}` is `${{{variable}}}` here: set it");
                Some(Meaning::Known { variable, say })
            }
            _ => None,
        };
    }
    match reference {
        "workspaceFolder" | "workspaceRoot" | "cwd" => Some(shown(words.workspace)),
        "workspaceFolderBasename" => {
            Some(shown(words.workspace.file_name().map_or(Path::new(""), Path::new)))
        }
        "userHome" => Some(shown(words.home)),
        "pathSeparator" | "/" => Some(Meaning::Text(std::path::MAIN_SEPARATOR.to_string())),
        _ => None,
    }
}

fn input(id: &str, known: Option<&Input>) -> Meaning {
    let name = variable(id);
    let mut say = format!("`${{input:{id}}}` is `${{{name}}}` here: set it");
    let description = known.and_then(|input| input.description.as_deref());
    if let Some(description) = description.filter(|text| !text.is_empty()) {
        say = format!("{say} ({})", description.trim().replace(char::is_control, " "));
    }
    let default = known.and_then(|input| input.default.as_deref());
    let variable = match default.filter(|text| !text.is_empty() && !text.contains(['}', '$'])) {
        Some(default) => format!("{name}:-{default}"),
        None => name,
    };
    Meaning::Known { variable, say }
}

/// The variable that takes the place of what has this name.
fn variable(name: &str) -> String {
    let mut variable: String = name
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' })
        .collect();
    if !variable.starts_with(|first: char| first.is_ascii_alphabetic()) {
        variable.insert_str(0, "INPUT_");
    }
    variable
}

/// Whether our file can name a variable so.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(text: &str, reading: Reading) -> Translated {
        let inputs = BTreeMap::from([
            ("api-key".to_owned(), Input { description: Some("The key\nof it".to_owned()), default: None }),
            ("region".to_owned(), Input { description: None, default: Some("eu 1".to_owned()) }),
        ]);
        let (workspace, home) = (Path::new("/w/project"), Path::new("/home/me"));
        translate(text, &Words { reading, workspace, home, inputs: &inputs })
    }

    #[test]
    fn each_program_reads_references_in_its_own_way() {
        use Reading::{AsAny, AsEditor, AsShell, Literally};
        let cases = [
            (Literally, "a${HOME}b", "a$${HOME}b"),
            (Literally, "$${X}", "$$${X}"),
            (AsShell, "${A}/${B:-x y}", "${A}/${B:-x y}"),
            (AsShell, "${env:A}", "$${env:A}"),
            (AsShell, "${A-b}${", "$${A-b}$${"),
            (AsEditor, "${env:A}:${A}", "${A}:$${A}"),
            (AsEditor, "${workspaceFolder}${/}x", "/w/project/x"),
            (AsEditor, "${workspaceFolder:other}", "/w/project"),
            (AsEditor, "${workspaceFolderBasename}", "project"),
            (AsEditor, "${userHome}/.x", "/home/me/.x"),
            (AsEditor, "Bearer ${input:api-key}", "Bearer ${API_KEY}"),
            (AsEditor, "${input:region}", "${REGION:-eu 1}"),
            (AsEditor, "${input:1st}", "${INPUT_1ST}"),
            (AsEditor, "${config:python.path}", "${CONFIG_PYTHON_PATH}"),
            (AsAny, "${A}${env:B}$${C}${userHome}", "${A}${B}$${C}/home/me"),
            (AsAny, "plain $A", "plain $A"),
        ];
        for (reading, written, meant) in cases {
            assert_eq!(translated(written, reading).text, meant, "{reading:?} {written}");
        }
    }

    #[test]
    fn what_must_be_set_and_what_is_odd_is_told() {
        let found = translated("${input:api-key}", Reading::AsEditor);
        let say = "`${input:api-key}` is `${API_KEY}` here: set it (The key of it)".to_owned();
        assert_eq!(found.wanted, [("API_KEY".to_owned(), say)]);
        assert_eq!(translated("${input:region}", Reading::AsEditor).wanted[0].0, "REGION");
        assert!(translated("${HOME}", Reading::Literally).notes[0].contains("means nothing there"));
        assert!(translated("$${A}", Reading::AsShell).notes[0].contains("cannot be written"));
        assert_eq!(
            translated("${A}", Reading::AsShell),
            Translated { text: "${A}".to_owned(), ..Translated::default() }
        );
    }
}
