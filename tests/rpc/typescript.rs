//! `specs/ts/src/generated` is what the table says.

use std::path::Path;

use perry::contract::typescript;

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
    for wrong in ["bigint", "null", "any;", "\"public\""] {
        assert!(!types.contains(wrong), "{wrong}: {types}");
    }
    assert!(types.contains("export type Role = \"viewer\" | \"user\" | \"admin\""), "{types}");
}
