//! The table as an OpenAPI document, for people with curl. `specs/openapi.json` is this, kept true by a test.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::error::{Conflict, ErrorBody};
use super::table::{Descriptor, Effect, PROCEDURES, Shape};
use crate::model::Role;

/// The document. `version` is the agent's.
pub fn document(version: &str) -> Value {
    // OpenAPI 3.1 has the schemas of JSON Schema 2020-12; 3.0 has a dialect of its own that few tools get right.
    let settings = SchemaSettings::draft2020_12();
    let settings = settings.with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let error = generator.subschema_for::<ErrorBody>();
    generator.subschema_for::<Conflict>();
    let mut paths: Map<String, Value> =
        PROCEDURES.iter().map(|row| (format!("/rpc/{}", row.path), path_item(row, &mut generator))).collect();
    paths.insert("/health".to_owned(), health());
    let schemas = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Perry",
            "version": version,
            "description": "The procedures of a Perry agent in the form of oRPC 1.x: inputs and outputs are in the \
                key `json` of an envelope. Streams are server-sent events; each `data` is such an envelope.",
        },
        "paths": paths,
        "security": [{ "token": [] }],
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas,
            "responses": {
                "Error": {
                    "description": "What was wrong. `data` by code: BAD_REQUEST has `issues`, CONFLICT a Conflict, \
                        NOT_FOUND and PRECONDITION_FAILED the `name`.",
                    "content": { "application/json": { "schema": enveloped(error.to_value()) } },
                }
            }
        },
    })
}

fn health() -> Value {
    let schema = json!({ "type": "object", "properties": { "status": { "type": "string" } } });
    let ok = json!({ "description": "The agent answers.", "content": { "application/json": { "schema": schema } } });
    json!({ "get": { "summary": "Whether the agent answers. Public.", "security": [], "responses": { "200": ok } } })
}

fn enveloped(schema: Value) -> Value {
    json!({ "type": "object", "properties": { "json": schema } })
}

fn path_item(row: &Descriptor, generator: &mut SchemaGenerator) -> Value {
    let input = (row.input)(generator).to_value();
    let output = (row.output)(generator).to_value();
    let mut item = Map::new();
    if row.effect == Effect::Read {
        let mut get = operation(row, &output, "get");
        get["parameters"] = json!([{
            "name": "data", "in": "query", "description": "The envelope, as JSON.",
            "content": { "application/json": { "schema": enveloped(input.clone()) } },
        }]);
        item.insert("get".to_owned(), get);
    }
    let mut post = operation(row, &output, "post");
    post["requestBody"] =
        json!({ "required": true, "content": { "application/json": { "schema": enveloped(input) } } });
    item.insert("post".to_owned(), post);
    Value::Object(item)
}

fn operation(row: &Descriptor, output: &Value, method: &str) -> Value {
    let (group, _) = row.path.split_once('/').unwrap_or((row.path, ""));
    let (media, what) = match row.shape {
        Shape::Call => ("application/json", "The result."),
        Shape::Stream => ("text/event-stream", "Events; the schema is that of the `data` of each."),
    };
    let id = row.path.replace('/', "_");
    json!({
        "operationId": if method == "get" { format!("{id}_get") } else { id },
        "tags": [group],
        "summary": row.doc.trim(),
        "security": if row.role == Role::Public { json!([]) } else { json!([{ "token": [] }]) },
        "x-role": row.role.as_str(),
        "x-reach": format!("{:?}", row.reach).to_lowercase(),
        "x-effect": format!("{:?}", row.effect).to_lowercase(),
        "x-errors": row.errors.iter().map(|code| code.as_str()).collect::<Vec<_>>(),
        "responses": {
            "200": { "description": what, "content": { media: { "schema": enveloped(output.clone()) } } },
            "default": { "$ref": "#/components/responses/Error" },
        },
    })
}
