//! The table as TypeScript, for web and mobile: the types of everything on the wire, and a contract for stock clients of
//! oRPC. `specs/ts/src/generated` is this, kept true by a test.

use std::any::TypeId;
use std::collections::{BTreeMap, HashSet};

use ts_rs::{Config, TS, TypeVisitor};

use super::error::{Code, Conflict, ErrorBody};
use super::table::{Descriptor, PROCEDURES, Shape};
use crate::model::Issues;

const HEAD: &str = "// Made from the table of procedures in src/contract/table.rs: change it there, then run\n\
    // UPDATE_GOLDEN=1 cargo test --test rpc typescript\n\n";

/// Declarations of types, by name.
pub struct Declarations {
    config: Config,
    all: BTreeMap<String, String>,
    /// Types that were seen: some are made of themselves.
    seen: HashSet<TypeId>,
}

impl Default for Declarations {
    /// Whole numbers are numbers: none on the wire is above 2^53.
    fn default() -> Self {
        Self { config: Config::new().with_large_int("number"), all: BTreeMap::new(), seen: HashSet::new() }
    }
}

impl Declarations {
    /// What a type is called; it and all that it is made of are declared.
    pub fn name<T: TS + 'static>(&mut self) -> String {
        self.visit::<T>();
        let name = T::name(&self.config);
        // Nothing is `{}` on the wire, which clients give as undefined.
        if name == "null" { "void".to_owned() } else { name }
    }
}

impl TypeVisitor for Declarations {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        if !self.seen.insert(TypeId::of::<T>()) {
            return;
        }
        // Only what is derived has one; texts, numbers and lists are of the language.
        if T::output_path().is_some() {
            let (docs, declaration) = (T::docs().unwrap_or_default(), T::decl(&self.config));
            self.all.insert(T::ident(&self.config), format!("{docs}export {declaration}\n"));
        }
        T::visit_dependencies(self);
        T::visit_generics(self);
    }
}

/// `types.ts`: every type.
pub fn types() -> String {
    let mut all = Declarations::default();
    for row in PROCEDURES {
        (row.types)(&mut all);
    }
    all.name::<ErrorBody>();
    all.name::<Conflict>();
    all.name::<Issues>();
    let declarations: Vec<String> = all.all.into_values().collect();
    format!("{HEAD}{}", declarations.join("\n"))
}

/// `contract.ts`: the contract.
pub fn contract() -> String {
    let mut all = Declarations::default();
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in PROCEDURES {
        let (group, name) = row.path.split_once('/').unwrap_or((row.path, ""));
        groups.entry(group).or_default().push(procedure(row, name, &mut all));
    }
    all.name::<Conflict>();
    let used: Vec<&str> = all.all.keys().map(String::as_str).collect();
    let body: String = groups.iter().map(|(group, rows)| format!("  {group}: {{\n{}  }},\n", rows.concat())).collect();
    let named = |name: &&&str| {
        body.contains(&format!("<{name}>"))
            || body.contains(&format!("<{name} |"))
            || body.contains(&format!("<Array<{name}>>"))
    };
    let names: Vec<&str> = used.iter().filter(named).copied().collect();
    format!(
        "{HEAD}import {{ eventIterator, oc, type }} from '@orpc/contract'\n\nimport type {{\n  {},\n}} from './types.ts'\n\n\
         /** Every procedure of an agent. */\nexport const contract = {{\n{body}}}\n",
        names.join(",\n  ")
    )
}

fn procedure(row: &Descriptor, name: &str, all: &mut Declarations) -> String {
    let (input, output) = (row.types)(all);
    let optional = if takes_nothing(row) { " | undefined" } else { "" };
    let output = match row.shape {
        Shape::Call => format!("type<{output}>()"),
        Shape::Stream => format!("eventIterator(type<{output}>())"),
    };
    let errors: Vec<String> = row.errors.iter().map(|code| error(*code)).collect();
    let errors = if errors.is_empty() { String::new() } else { format!(".errors({{ {} }})", errors.join(", ")) };
    let who = format!("For role {}.", row.role);
    format!(
        "    /** {} {who} */\n    {name}: oc{errors}.input(type<{input}{optional}>()).output({output}),\n",
        row.doc.trim()
    )
}

/// Whether its input may be left out: no field of it is required.
fn takes_nothing(row: &Descriptor) -> bool {
    let mut generator = schemars::SchemaGenerator::default();
    let schema = (row.input)(&mut generator).to_value();
    let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned();
    let definitions = generator.take_definitions(true);
    definitions.get(&name).is_none_or(|schema| schema.get("required").is_none_or(|all| all == &serde_json::json!([])))
}

/// A declared error: its status, and what its data is.
fn error(code: Code) -> String {
    let data = match code {
        Code::Conflict => Some("Conflict"),
        Code::NotFound | Code::PreconditionFailed => Some("{ name: string }"),
        _ => None,
    };
    let data = data.map(|data| format!(", data: type<{data}>()")).unwrap_or_default();
    format!("{}: {{ status: {}{data} }}", code.as_str(), code.status())
}
