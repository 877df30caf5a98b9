//! The API says what it is like, and is like that.

use serde_json::{Value, json};

use super::calls::call;
use super::*;

/// What the document says of an answer: refusals are under `default`. A field that it does not name is one too many.
fn check(document: &Value, (method, path): (&str, &str), status: u16, answer: &str) {
    let page = path.split('?').next().unwrap();
    let operation = &document["paths"][page][method];
    let kind = if status == 200 { "200" } else { "default" };
    let schema = &operation["responses"][kind]["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{method} {page} is not in the document");
    let answer: Value = serde_json::from_str(answer).unwrap();
    let schemas = &document["components"]["schemas"];
    let wrong = wrong(schemas, schema, &answer, "");
    assert!(wrong.is_empty(), "{method} {path}: {wrong:#?}\n{answer:#}");
}

/// What of a value is not as its schema says (JSON Schema 2020-12). A word of a schema that is not known here is wrong too, as it would not be looked at.
fn wrong(schemas: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (word, said) in schema.as_object().expect("a schema is an object") {
        let is_right = match word.as_str() {
            "title" | "description" | "format" | "default" => true,
            "$ref" => {
                let name = said
                    .as_str()
                    .and_then(|said| said.strip_prefix("#/components/schemas/"));
                all.extend(wrong(schemas, &schemas[name.unwrap()], value, at));
                true
            }
            "type" => match said {
                Value::Array(kinds) => kinds.iter().any(|kind| is_of(kind, value)),
                kind => is_of(kind, value),
            },
            "minimum" => value
                .as_f64()
                .is_none_or(|value| value >= said.as_f64().unwrap()),
            "minItems" => value
                .as_array()
                .is_none_or(|all| all.len() as u64 >= said.as_u64().unwrap()),
            "maxItems" => value
                .as_array()
                .is_none_or(|all| all.len() as u64 <= said.as_u64().unwrap()),
            "anyOf" => {
                let mut schemas_of_it = said.as_array().unwrap().iter();
                schemas_of_it.any(|schema| wrong(schemas, schema, value, at).is_empty())
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    all.extend(wrong(schemas, said, item, &format!("{at}/{index}")));
                }
                true
            }
            "required" => said.as_array().unwrap().iter().all(|name| {
                value
                    .as_object()
                    .is_none_or(|fields| fields.contains_key(name.as_str().unwrap()))
            }),
            "properties" => {
                for (name, field) in value.as_object().into_iter().flatten() {
                    match said.get(name) {
                        Some(schema) => {
                            all.extend(wrong(schemas, schema, field, &format!("{at}/{name}")))
                        }
                        None => all.push(format!("{at}/{name} is not in the schema")),
                    }
                }
                true
            }
            "additionalProperties" => {
                let has_names = schema["properties"].is_object();
                for (name, field) in value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter(|_| !has_names)
                {
                    all.extend(wrong(schemas, said, field, &format!("{at}/{name}")));
                }
                true
            }
            _ => false,
        };
        if !is_right {
            all.push(format!("{at}: {value} against {word}: {said}"));
        }
    }
    all
}

fn is_of(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        other => panic!("no type of JSON Schema: {other}"),
    }
}

#[test]
fn what_is_not_as_a_schema_says_is_found() {
    let schemas = json!({ "A": {
        "type": "object",
        "required": ["n"],
        "properties": { "n": { "type": "integer", "minimum": 0 }, "s": { "type": ["string", "null"] } },
    }});
    let schema = json!({ "type": "array", "items": { "$ref": "#/components/schemas/A" } });
    let count = |value: Value| wrong(&schemas, &schema, &value, "").len();
    assert_eq!(count(json!([{ "n": 1 }, { "n": 0, "s": null }])), 0);
    for one in [
        json!([{}]),
        json!([{ "n": -1 }]),
        json!([{ "n": "1" }]),
        json!([{ "n": 1, "s": 2 }]),
        json!([{ "n": 1, "more": 2 }]),
        json!({}),
    ] {
        assert_eq!(count(one.clone()), 1, "{one}");
    }
}

pub(crate) async fn act(sbc: &Sbc, method: &str, path: &str, body: &str) -> (u16, String) {
    let admin = sbc.admin();
    let mut stream = TcpStream::connect(admin).await.unwrap();
    let request = format!(
        "{} {path} HTTP/1.1\r\nHost: {admin}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        method.to_uppercase(),
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

#[tokio::test]
async fn each_page_is_what_the_document_says() {
    let sbc = Sbc::start().await;
    let (status, document) = sbc.api("/api/openapi.json").await;
    assert_eq!(status, 200, "{document}");
    let document: Value = serde_json::from_str(&document).unwrap();
    let up = call(&sbc).await;
    let of_call = format!("/api/call?name={}", up.dialog.call_id);
    let of_record = format!("/api/record.pcap?name={}", up.dialog.call_id);
    let of_trace = format!("/api/trace?name={}", up.dialog.call_id);
    let ban = json!({ "prefix": "192.0.2.0/24", "seconds": 60 }).to_string();
    let lift = json!({ "prefix": "192.0.2.0/24" }).to_string();
    let hang_up = json!({ "call": up.dialog.call_id, "why": "seen enough" }).to_string();
    let record = json!({ "call": up.dialog.call_id, "seconds": 1 }).to_string();
    let mut seen = std::collections::BTreeSet::new();
    for (method, path, body, expected) in [
        ("get", "/api/status", "", 200),
        ("get", "/api/calls", "", 200),
        ("get", of_call.as_str(), "", 200),
        ("get", "/api/call?name=nobody", "", 404),
        ("get", "/api/calls?before=1", "", 400),
        ("get", "/api/traces", "", 200),
        ("get", of_trace.as_str(), "", 200),
        ("get", "/api/trace?name=nobody", "", 404),
        ("get", "/api/trace.pcap?name=nobody", "", 404),
        ("get", "/api/flows", "", 200),
        // Nothing is recorded unless the config says so.
        ("get", of_record.as_str(), "", 409),
        ("post", "/api/record.pcap", record.as_str(), 409),
        ("get", "/api/recording", "", 409),
        ("delete", "/api/recording", "{\"recording\":1}", 404),
        ("get", "/api/trunks", "", 200),
        ("get", "/api/registrations", "", 200),
        ("post", "/api/bans", ban.as_str(), 200),
        ("get", "/api/bans", "", 200),
        ("delete", "/api/bans", lift.as_str(), 200),
        ("delete", "/api/bans", lift.as_str(), 404),
        ("post", "/api/hangup", "{}", 400),
        ("post", "/api/hangup", hang_up.as_str(), 200),
        ("post", "/api/reload", "", 409),
        ("post", "/api/drain", "", 200),
        ("delete", "/api/drain", "", 200),
        ("post", "/api/stop", "{\"now\":true}", 400),
        ("post", "/api/stop", "{\"purge\":false}", 200),
    ] {
        let (status, answer) = act(&sbc, method, path, body).await;
        assert_eq!(status, expected, "{method} {path}: {answer}");
        check(&document, (method, path), status, &answer);
        let page = path.split('?').next().unwrap();
        seen.insert((page.to_owned(), method.to_owned()));
    }
    let paths = document["paths"].as_object().unwrap().iter();
    let all = paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().keys();
        methods.map(|method| (path.clone(), method.clone()))
    });
    assert_eq!(seen, all.collect());
    // A page has stopped it.
    sbc.ends().await;
}
