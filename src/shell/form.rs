//! A form that a server wants its user to fill in.
//!
//! 2025-11-25, client/elicitation: "Form mode elicitation schemas are limited to flat objects with primitive properties only".

use super::tool::kind;
use crate::wire::Object;
use crate::wire::meta::{find, find_string};
use serde_json::{Map, Value};

/// What a server asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// What it is about.
    pub message: String,
    /// What is to be filled in, in order.
    pub fields: Vec<Field>,
}

/// A field of a form.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// It must be filled in.
    pub required: bool,
    schema: Value,
}

impl Form {
    /// Reads the params of `elicitation/create`; nothing where no form is meant.
    pub fn read(params: &str) -> Option<Self> {
        if find_string(params, &["mode"]).is_some_and(|mode| mode != "form") {
            return None;
        }
        let schema = find(params, &["requestedSchema"]).unwrap_or("{}");
        let required: Vec<String> = find(schema, &["required"])
            .and_then(|names| serde_json::from_str(names).ok())
            .unwrap_or_default();
        let properties = find(schema, &["properties"]).and_then(Object::read).unwrap_or_default();
        let fields = properties.members().map(|(name, schema)| Field {
            required: required.iter().any(|required| *required == name),
            name: name.into_owned(),
            schema: serde_json::from_str(schema).unwrap_or_default(),
        });
        let message = find_string(params, &["message"]).unwrap_or_default();
        Some(Self { message, fields: fields.collect() })
    }

    /// The result of a form that was filled in.
    pub fn accepted(content: Map<String, Value>) -> Value {
        Value::from_iter([("action", "accept".into()), ("content", Value::Object(content))])
    }
}

impl Field {
    /// What is asked for it: a title, what it takes, what stands there if nothing is said.
    pub fn prompt(&self) -> String {
        let title = self.schema["title"].as_str().unwrap_or(&self.name);
        let described = self.schema["description"].as_str();
        let described = described.map(|text| format!(": {text}")).unwrap_or_default();
        let default = match self.default() {
            Some(value) => format!(" [{value}]"),
            None if self.required => String::new(),
            None => " (optional)".to_owned(),
        };
        format!("{title} ({}){described}{default}", self.kind())
    }

    /// The value that a line means; nothing for an optional field that is left empty.
    ///
    /// # Errors
    /// What is wanted instead.
    pub fn read(&self, line: &str) -> Result<Option<Value>, String> {
        let line = line.trim();
        if line.is_empty() {
            return match self.default() {
                Some(value) => Ok(Some(value.clone())),
                None if self.required => Err("it is required".to_owned()),
                None => Ok(None),
            };
        }
        if self.schema["type"] == "array" {
            let choices = choices(&self.schema["items"]);
            return line
                .split(',')
                .map(|word| chosen(word.trim(), &choices))
                .collect::<Result<Vec<_>, _>>()
                .map(|all| Some(all.into()));
        }
        let choices = choices(&self.schema);
        if !choices.is_empty() {
            return chosen(line, &choices).map(Some);
        }
        let wanted = |what: &str| format!("{what} is wanted");
        let value = match self.schema["type"].as_str() {
            Some("boolean") => match line.to_ascii_lowercase().as_str() {
                "y" | "yes" | "true" | "1" => Value::Bool(true),
                "n" | "no" | "false" | "0" => Value::Bool(false),
                _ => return Err(wanted("yes or no")),
            },
            Some("integer") => line.parse::<i64>().map_err(|_| wanted("a whole number"))?.into(),
            Some("number") => line
                .parse::<f64>()
                .ok()
                .and_then(serde_json::Number::from_f64)
                .map(Value::Number)
                .ok_or_else(|| wanted("a number"))?,
            _ => line.into(),
        };
        Ok(Some(value))
    }

    fn kind(&self) -> String {
        let schema = if self.schema["type"] == "array" { &self.schema["items"] } else { &self.schema };
        let choices = choices(schema);
        match choices.is_empty() {
            true => kind(&self.schema),
            false if self.schema["type"] == "array" => format!("some of {}, with commas", choices.join(", ")),
            false => choices.join(", "),
        }
    }

    fn default(&self) -> Option<&Value> {
        self.schema.get("default").filter(|value| !value.is_null())
    }
}

/// The values of a field that is a choice; in 2025-11-25 each may have a title.
fn choices(schema: &Value) -> Vec<String> {
    let plain = schema["enum"].as_array().into_iter().flatten();
    let titled = ["oneOf", "anyOf"].iter().filter_map(|key| schema[*key].as_array()).flatten();
    let values = plain.chain(titled.filter_map(|choice| choice.get("const")));
    values.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn chosen(word: &str, choices: &[String]) -> Result<Value, String> {
    let choice = choices.iter().find(|choice| choice.eq_ignore_ascii_case(word));
    match choice {
        Some(choice) => Ok(choice.as_str().into()),
        None if choices.is_empty() => Ok(word.into()),
        None => Err(format!("one of {} is wanted", choices.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn field(schema: Value, required: bool) -> Field {
        Field { name: "f".to_owned(), required, schema }
    }

    #[test]
    fn a_form_is_read_in_its_order_and_a_link_is_none() {
        let params = r#"{"message":"Who?","requestedSchema":{"type":"object","properties":{
            "name":{"type":"string","title":"Name","description":"Yours"},"age":{"type":"integer","default":3}},"required":["name"]}}"#;
        let form = Form::read(params).unwrap();
        assert_eq!(form.message, "Who?");
        let prompts: Vec<_> = form.fields.iter().map(Field::prompt).collect();
        assert_eq!(prompts, ["Name (string): Yours", "age (integer) [3]"]);
        assert!(form.fields[0].required && !form.fields[1].required);
        assert_eq!(Form::read(r#"{"mode":"url","message":"x","url":"https://a.example"}"#), None);
        assert_eq!(Form::read("{}").unwrap().fields, []);
    }

    #[test]
    fn a_line_is_what_its_field_takes_or_is_asked_for_again() {
        let colours = json!({ "type": "string", "enum": ["red", "blue"] });
        let titled = json!({ "oneOf": [{ "const": "r", "title": "Red" }] });
        let many = json!({ "type": "array", "items": { "enum": ["a", "b"] } });
        for (schema, required, line, expected) in [
            (json!({ "type": "string" }), true, " x y \n", Ok(Some(json!("x y")))),
            (json!({ "type": "string" }), true, "", Err("it is required")),
            (json!({ "type": "string" }), false, "", Ok(None)),
            (json!({ "type": "integer" }), true, "-7", Ok(Some(json!(-7)))),
            (json!({ "type": "integer" }), true, "1.5", Err("a whole number is wanted")),
            (json!({ "type": "number" }), true, "1.5", Ok(Some(json!(1.5)))),
            (json!({ "type": "number" }), true, "NaN", Err("a number is wanted")),
            (json!({ "type": "boolean" }), true, "Yes", Ok(Some(json!(true)))),
            (json!({ "type": "boolean" }), true, "perhaps", Err("yes or no is wanted")),
            (json!({ "type": "boolean", "default": false }), true, "", Ok(Some(json!(false)))),
            (colours.clone(), true, "BLUE", Ok(Some(json!("blue")))),
            (colours, true, "green", Err("one of red, blue is wanted")),
            (titled, true, "r", Ok(Some(json!("r")))),
            (many.clone(), true, "a, b", Ok(Some(json!(["a", "b"])))),
            (many, true, "a,c", Err("one of a, b is wanted")),
        ] {
            assert_eq!(field(schema, required).read(line), expected.map_err(str::to_owned), "{line}");
        }
    }
}
