use super::*;
use proptest::prelude::*;
use serde_json::json;

fn read(schema: &Value) -> Result<Annotations, InvalidAnnotation> {
    Annotations::read(&schema.to_string())
}

fn region(kind: &Value, header: &Value) -> Value {
    json!({ "type": "object", "properties": { "region": { "type": kind, "x-mcp-header": header } } })
}

#[test]
fn annotations_are_found_at_any_depth_of_properties() {
    let annotations = read(&json!({
        "type": "object",
        "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "query": { "type": "string" },
            "x-mcp-header": { "type": "integer", "x-mcp-header": "Method" },
            "properties": { "type": "object", "properties": {
                "flag": { "type": "boolean", "x-mcp-header": "a!#$%&'*+-.^_`|~9" },
                "other": true,
            } },
        },
        "required": ["region"],
        "additionalProperties": false,
    }))
    .unwrap();
    let arguments = r#"{"query":"q","properties":{"flag":false},"x-mcp-header":-7,"region":" us "}"#;
    let headers = [
        ("Mcp-Param-a!#$%&'*+-.^_`|~9", "false"),
        ("Mcp-Param-Region", "=?base64?IHVzIA==?="),
        ("Mcp-Param-Method", "-7"),
    ];
    let expected = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(annotations.headers(Some(arguments)), expected);
}

#[test]
fn where_there_is_no_value_there_is_no_header() {
    let inner = json!({ "type": "string", "x-mcp-header": "Inner" });
    let annotations =
        read(&json!({ "properties": { "outer": { "properties": { "inner": inner } } } })).unwrap();
    let nothing = [
        "{}",
        "[]",
        r#"{"outer":null}"#,
        r#"{"outer":"inner"}"#,
        r#"{"outer":{"inner":null}}"#,
        r#"{"outer":{"inner":["a"]}}"#,
        r#"{"outer":{"inner":{}}}"#,
        r#"{"outer":{"inner":"\ud800"}}"#,
        r#"{"outer":{"inner":"a"},"outer":{}}"#,
    ];
    for arguments in nothing {
        assert_eq!(annotations.headers(Some(arguments)), [], "{arguments}");
    }
    assert_eq!(annotations.headers(None), []);
    assert_eq!(
        annotations.headers(Some(r#"{"outer":{"inner":""}}"#)),
        [("Mcp-Param-Inner".into(), String::new())]
    );
}

#[test]
fn a_key_in_escapes_is_the_same_key() {
    let schema = r#"{"properties":{"a":{"type":"string","\u0078-mcp\u002dheader":"A"}}}"#;
    assert!(!Annotations::read(schema).unwrap().is_empty());
}

#[test]
fn a_schema_that_cannot_be_read_is_refused_only_if_it_speaks_of_headers() {
    assert!(Annotations::read(r#"{"title":"caf\u00e9 \ud800"}"#).unwrap().is_empty());
    let error = Annotations::read(r#"{"title":"x-mcp-header \ud800"}"#).unwrap_err();
    assert!(matches!(error, InvalidAnnotation::Unreadable(_)), "{error}");
}

#[test]
fn what_is_wrong_with_an_annotation_is_said() {
    let string = &json!("string");
    for (header, word) in [
        (json!(""), "empty"),
        (json!(7), "not a string"),
        (json!(null), "not a string"),
        (json!("My Region"), "'My Region'"),
        (json!("Region:Primary"), "'Region:Primary'"),
        (json!("Région"), "'Région'"),
        (json!("Region\t1"), r"'Region\t1'"),
        (json!("Region\r\nEvil: 1"), r"'Region\r\nEvil: 1'"),
    ] {
        let error = read(&region(string, &header)).unwrap_err().to_string();
        assert!(error.contains(word) && error.contains("'region'"), "{error}");
    }
    for kind in [
        json!("object"),
        json!("array"),
        json!("null"),
        json!("number"),
        json!(["string", "null"]),
        json!(null),
    ] {
        let error = read(&region(&kind, &json!("Region"))).unwrap_err();
        assert_eq!(
            error,
            InvalidAnnotation::WrongType { path: "region".into(), found: shown(&kind.to_string()) }
        );
    }
    let error = read(&json!({ "properties": { "a": { "x-mcp-header": "A" } } })).unwrap_err();
    assert_eq!(error, InvalidAnnotation::WrongType { path: "a".into(), found: "none".into() });
}

#[test]
fn a_name_is_used_once_whatever_its_case_and_depth() {
    for (one, two) in [("Region", "Region"), ("MyField", "myfield")] {
        let schema = json!({ "properties": {
            "a": { "type": "string", "x-mcp-header": one },
            "b": { "properties": { "c": { "type": "string", "x-mcp-header": two } } },
        } });
        assert_eq!(
            read(&schema).unwrap_err(),
            InvalidAnnotation::Twice { path: "b.c".into(), name: two.into() }
        );
    }
}

#[test]
fn an_annotation_that_no_properties_lead_to_is_refused() {
    let leaf = json!({ "type": "string", "x-mcp-header": "Leaf" });
    let object = json!({ "type": "object", "properties": { "leaf": leaf } });
    let table = [
        (leaf.clone(), "the schema itself"),
        (json!({ "$ref": "#/$defs/a", "$defs": { "a": leaf } }), "<$defs>.a"),
        (json!({ "definitions": { "x-mcp-header": leaf } }), "<definitions>.x-mcp-header"),
        (json!({ "oneOf": [{}, object] }), "<oneOf>.<properties>.leaf"),
        (json!({ "not": leaf }), "<not>"),
        (json!({ "additionalProperties": leaf }), "<additionalProperties>"),
        (json!({ "patternProperties": { "^a": leaf } }), "<patternProperties>.^a"),
        (json!({ "dependentSchemas": { "a": object } }), "<dependentSchemas>.a.<properties>.leaf"),
        (json!({ "properties": { "a": { "items": leaf } } }), "a.<items>"),
        (json!({ "properties": { "a": { "items": [[leaf]] } } }), "a.<items>"),
        (json!({ "properties": { "a": { "prefixItems": [object] } } }), "a.<prefixItems>.<properties>.leaf"),
        (json!({ "properties": [leaf] }), "<properties>"),
        (json!({ "nobody knows": leaf }), "<nobody knows>"),
    ];
    for (schema, path) in table {
        assert_eq!(
            read(&schema).unwrap_err(),
            InvalidAnnotation::Misplaced { path: path.into() },
            "{schema}"
        );
    }
    let single =
        ["if", "then", "else", "contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties"];
    let lists = ["anyOf", "allOf"];
    for keyword in single.into_iter().chain(lists) {
        let value = if lists.contains(&keyword) { json!([leaf]) } else { leaf.clone() };
        let path = format!("<{keyword}>");
        assert_eq!(read(&json!({ keyword: value })).unwrap_err(), InvalidAnnotation::Misplaced { path });
    }
}

#[test]
fn data_that_looks_like_an_annotation_is_none() {
    let data = json!({ "x-mcp-header": "A" });
    for keyword in ["const", "default", "example"] {
        assert!(read(&json!({ keyword: data })).unwrap().is_empty());
    }
    for keyword in ["enum", "examples"] {
        assert!(read(&json!({ "properties": { "a": { keyword: [data] } } })).unwrap().is_empty());
    }
    assert!(read(&json!({ "dependentRequired": { "x-mcp-header": ["a"] } })).unwrap().is_empty());
    assert!(read(&json!({ "description": "has an x-mcp-header" })).unwrap().is_empty());
}

#[test]
fn hostile_schemas_end_in_an_error_or_soon() {
    let deep = format!("{}{{\"x-mcp-header\":1}}{}", r#"{"not":"#.repeat(100_000), "}".repeat(100_000));
    assert!(matches!(Annotations::read(&deep), Err(InvalidAnnotation::Unreadable(_))));
    let key = "k".repeat(100_000);
    let error = Annotations::read(&format!(r#"{{"not":{{"{key}\n":{{"x-mcp-header":1}}}}}}"#)).unwrap_err();
    assert!(error.to_string().len() < 500, "{error}");
    let many: serde_json::Map<_, _> = (0..10_000)
        .map(|n| (format!("p{n}"), json!({ "type": "string", "x-mcp-header": format!("H{n}") })))
        .collect();
    let annotations = read(&json!({ "properties": many })).unwrap();
    let arguments: serde_json::Map<_, _> = many.into_iter().map(|(name, _)| (name, json!("v"))).collect();
    assert_eq!(annotations.headers(Some(&Value::from(arguments).to_string())).len(), 10_000);
}

proptest! {
    #[test]
    fn any_text_never_panics(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("{"), Just("}"), Just("["), Just("]"), Just(","), Just(":"), Just("1"), Just("\"string\""),
                Just("\"x-mcp-header\""), Just("\"properties\""), Just("\"type\""), Just("\"a\""),
                Just("{\"properties\":{\"a\":"), Just("{\"type\":\"string\",\"x-mcp-header\":\"A\"}"),
            ],
            0..12,
        ),
    ) {
        let text = parts.concat();
        if let Ok(annotations) = Annotations::read(&text) {
            let _ = annotations.headers(Some(&text));
        }
    }
}
