//! `/api/openapi.json`: what the API has, for programs that read such things (OpenAPI 3.1). The schemas are made of the types.

use axum::http::StatusCode;
use axum::response::Response;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::api;
use super::trace::PCAP;
use super::types::{
    BanPage, BanRequest, Banned, CallDetail, CallPage, Drained, EndRecordingRequest,
    EndedRecording, FlowPage, HangUpRequest, HungUp, RecordRequest, RecordingPage, Refusal,
    RegistrationPage, Reloaded, Status, StopRequest, Stopping, Trace, TracePage, TrunkPage,
    UnbanRequest,
};

/// One thing that can be done.
struct Operation {
    path: &'static str,
    method: &'static str,
    /// Its name, once in all.
    name: &'static str,
    summary: &'static str,
    query: &'static [Parameter],
    body: Option<Shape>,
    answer: Shape,
}

/// Makes the schema of a type.
type Shape = fn(&mut SchemaGenerator) -> Schema;

struct Parameter {
    name: &'static str,
    is_number: bool,
    is_required: bool,
    about: &'static str,
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// No JSON, but a file.
fn capture(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "binary" })
}

const AFTER: Parameter = Parameter {
    name: "after",
    is_number: true,
    is_required: false,
    about: "`next` of the page before",
};

/// Which of the calls.
const CALL: Parameter = Parameter {
    name: "name",
    is_number: false,
    is_required: true,
    about: "Its id as in the log, or the Call-ID of one of its legs, or what only one Call-ID begins with",
};

const OF_CALL: Parameter = Parameter {
    name: "call",
    is_number: false,
    is_required: false,
    about: "Of this call only: its id as in the log, or the Call-ID of one of its legs",
};

/// All that there are.
const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/api/status",
        method: "get",
        name: "status",
        summary: "How things are",
        query: &[],
        body: None,
        answer: of::<Status>,
    },
    Operation {
        path: "/api/calls",
        method: "get",
        name: "calls",
        summary: "Some calls, in the order in which they began",
        query: &[AFTER],
        body: None,
        answer: of::<CallPage>,
    },
    Operation {
        path: "/api/call",
        method: "get",
        name: "call",
        summary: "All of a call; 409 where the name may be that of several",
        query: &[CALL],
        body: None,
        answer: of::<CallDetail>,
    },
    Operation {
        path: "/api/hangup",
        method: "post",
        name: "hangup",
        summary: "Ends a call; 409 where the name may be that of several",
        query: &[],
        body: Some(of::<HangUpRequest>),
        answer: of::<HungUp>,
    },
    Operation {
        path: "/api/traces",
        method: "get",
        name: "traces",
        summary: "Some traces of call attempts, the latest first",
        query: &[AFTER],
        body: None,
        answer: of::<TracePage>,
    },
    Operation {
        path: "/api/trace",
        method: "get",
        name: "trace",
        summary: "The ladder of a call attempt, ended ones too; 409 where the name may be that of several",
        query: &[CALL],
        body: None,
        answer: of::<Trace>,
    },
    Operation {
        path: "/api/trace.pcap",
        method: "get",
        name: "capture",
        summary: "Its messages as a capture, for Wireshark",
        query: &[CALL],
        body: None,
        answer: capture,
    },
    Operation {
        path: "/api/flows",
        method: "get",
        name: "flows",
        summary: "Some flow pairs, in the order of their ids",
        query: &[AFTER, OF_CALL],
        body: None,
        answer: of::<FlowPage>,
    },
    Operation {
        path: "/api/record.pcap",
        method: "get",
        name: "record",
        summary: "What the flight recorder has of a call: the last RTP and RTCP headers, as a capture",
        query: &[CALL],
        body: None,
        answer: capture,
    },
    Operation {
        path: "/api/record.pcap",
        method: "post",
        name: "beginRecording",
        summary: "Records what is said in a call from now on, as a capture that grows; 409 where the config does not let anybody",
        query: &[],
        body: Some(of::<RecordRequest>),
        answer: capture,
    },
    Operation {
        path: "/api/recording",
        method: "get",
        name: "recordings",
        summary: "The recordings of what is said in calls that are made now",
        query: &[],
        body: None,
        answer: of::<RecordingPage>,
    },
    Operation {
        path: "/api/recording",
        method: "delete",
        name: "endRecording",
        summary: "Ends a recording of what is said in a call",
        query: &[],
        body: Some(of::<EndRecordingRequest>),
        answer: of::<EndedRecording>,
    },
    Operation {
        path: "/api/trunks",
        method: "get",
        name: "trunks",
        summary: "All trunks",
        query: &[],
        body: None,
        answer: of::<TrunkPage>,
    },
    Operation {
        path: "/api/registrations",
        method: "get",
        name: "registrations",
        summary: "Some contacts of phones",
        query: &[AFTER],
        body: None,
        answer: of::<RegistrationPage>,
    },
    Operation {
        path: "/api/bans",
        method: "get",
        name: "bans",
        summary: "All bans that hold",
        query: &[],
        body: None,
        answer: of::<BanPage>,
    },
    Operation {
        path: "/api/bans",
        method: "post",
        name: "ban",
        summary: "Bans a prefix on every network",
        query: &[],
        body: Some(of::<BanRequest>),
        answer: of::<Banned>,
    },
    Operation {
        path: "/api/bans",
        method: "delete",
        name: "unban",
        summary: "Lifts the bans of a prefix and all within it",
        query: &[],
        body: Some(of::<UnbanRequest>),
        answer: of::<BanPage>,
    },
    Operation {
        path: "/api/reload",
        method: "post",
        name: "reload",
        summary: "Reads the config file again",
        query: &[],
        body: None,
        answer: of::<Reloaded>,
    },
    Operation {
        path: "/api/drain",
        method: "post",
        name: "drain",
        summary: "No new calls but for emergencies, and the end with the last one",
        query: &[],
        body: None,
        answer: of::<Drained>,
    },
    Operation {
        path: "/api/drain",
        method: "delete",
        name: "resume",
        summary: "New calls again",
        query: &[],
        body: None,
        answer: of::<Drained>,
    },
    Operation {
        path: "/api/stop",
        method: "post",
        name: "stop",
        summary: "Ends all calls, then the daemon",
        query: &[],
        body: Some(of::<StopRequest>),
        answer: of::<Stopping>,
    },
];

/// The page.
pub(super) async fn page() -> Response {
    api::json(StatusCode::OK, &document())
}

fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let settings = settings.with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let described = described(operation, &mut generator);
        let item = paths.entry(operation.path).or_insert_with(|| json!({}));
        if let Value::Object(item) = item {
            item.insert(operation.method.to_owned(), described);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "sbc",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "What a session border controller does now, and what can be done about it",
            "description": "For programs on this host, or with the token of the config. Fields are added, never renamed.",
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
        "security": [{}, { "token": [] }],
    })
}

fn described(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let content = |schema: Schema| json!({ "application/json": { "schema": schema } });
    let answer = (operation.answer)(generator);
    let answer = match operation.path.ends_with(".pcap") {
        true => json!({ PCAP: { "schema": answer } }),
        false => content(answer),
    };
    let parameters = operation.query.iter().map(|parameter| {
        let schema = match parameter.is_number {
            true => json!({ "type": "integer", "minimum": 0 }),
            false => json!({ "type": "string" }),
        };
        json!({
            "name": parameter.name,
            "in": "query",
            "required": parameter.is_required,
            "description": parameter.about,
            "schema": schema,
        })
    });
    let mut described = json!({
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": parameters.collect::<Vec<_>>(),
        "responses": {
            "200": {
                "description": "Done",
                "content": answer,
            },
            "default": {
                "description": "Refused: why, and what to do",
                "content": content(of::<Refusal>(generator)),
            },
        },
    });
    if let (Some(body), Value::Object(fields)) = (operation.body, &mut described) {
        let body = json!({ "required": true, "content": content(body(generator)) });
        fields.insert("requestBody".to_owned(), body);
    }
    described
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn it_is_such_a_document() {
        let document = document();
        assert_eq!(document["openapi"], "3.1.0");
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for schema in schemas.values() {
            assert_eq!(
                (&schema["type"], schema["properties"].is_object()),
                (&"object".into(), true)
            );
        }
        let mut names = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            assert!(path.starts_with("/api/"), "{path}");
            for (method, operation) in item.as_object().unwrap() {
                assert!(["get", "post", "delete"].contains(&method.as_str()));
                assert!(names.insert(operation["operationId"].as_str().unwrap()));
                let name = operation["operationId"].as_str().unwrap();
                let says_all = ["reload", "drain", "resume"].contains(&name);
                let has_body = !operation["requestBody"].is_null();
                assert_eq!(has_body, method != "get" && !says_all, "{name}");
            }
        }
        assert_eq!(names.len(), OPERATIONS.len());
        let mut referred = BTreeSet::new();
        references(&document, &mut referred);
        let there = schemas
            .keys()
            .map(|name| format!("#/components/schemas/{name}"));
        assert_eq!(referred, there.collect());
    }

    fn references(value: &Value, all: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    match value {
                        Value::String(text) if key == "$ref" => drop(all.insert(text.clone())),
                        other => references(other, all),
                    }
                }
            }
            Value::Array(each) => each.iter().for_each(|value| references(value, all)),
            _ => {}
        }
    }
}
