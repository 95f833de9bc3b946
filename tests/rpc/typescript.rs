//! `specs/ts/src/generated` is what the table says.

use std::path::Path;

use perry::contract::table::PROCEDURES;
use perry::contract::typescript;
use schemars::SchemaGenerator;

#[test]
fn the_typescript_of_the_table_is_what_is_in_specs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs/ts/src/generated");
    for (name, text) in [("types.ts", typescript::types()), ("contract.ts", typescript::contract())] {
        let path = folder.join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(&folder).expect("made");
            std::fs::write(&path, &text).expect("written");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == text, "{name} is out of date: run UPDATE_GOLDEN=1 cargo test --test rpc typescript");
    }
}

#[test]
fn whole_numbers_are_numbers_and_what_may_be_absent_is_never_null() {
    let types = typescript::types();
    for wrong in ["bigint", "null", "any;", "\"public\"", "[`", " \n"] {
        assert!(!types.contains(wrong), "{wrong}: {types}");
    }
    assert!(types.contains("export type Role = \"viewer\" | \"user\" | \"admin\""), "{types}");
}

/// serde and ts-rs are told separately what may be left out; what they are told is the same.
#[test]
fn exactly_what_an_input_may_lack_is_optional_in_typescript() {
    let types = typescript::types();
    let mut generator = SchemaGenerator::default();
    for row in PROCEDURES {
        (row.input)(&mut generator);
    }
    let mut seen = 0;
    for (name, schema) in generator.take_definitions(true) {
        let Some(fields) = schema["properties"].as_object() else { continue };
        let begin = format!("export type {name} = {{\n");
        let body = types.split_once(&begin).and_then(|(_, rest)| rest.split_once(" };\n")).expect(&begin).0;
        for field in fields.keys() {
            let required = schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == field));
            let written = format!("\n{field}{}: ", if required { "" } else { "?" });
            assert!(body.contains(&written), "{name} needs {written:?}:\n{body}");
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn an_input_without_required_fields_may_be_left_out() {
    let contract = typescript::contract();
    for (path, input) in
        [("list", "NoInput | undefined"), ("prune", "PruneInput | undefined"), ("create", "CreateInput")]
    {
        let row = format!(" {path}: oc");
        let row = contract.lines().find(|line| line.contains(&row) && line.contains(input)).expect(path);
        assert!(row.contains(&format!(".input(type<{input}>())")), "{row}");
    }
}
