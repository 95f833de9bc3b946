//! The table as TypeScript, for web and mobile: the types of everything on the wire, and a contract for stock clients of
//! oRPC. `specs/ts/src/generated` is this, kept true by a test.

use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use schemars::generate::SchemaSettings;
use ts_rs::{Config, TS, TypeVisitor};

use super::error::{BadRequest, Code, Conflict, ErrorBody};
use super::table::{Descriptor, PROCEDURES, Shape};
use super::terminal::{Exit, Hello, Info, Size};
use crate::model::Role;

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
            let (name, docs) = (T::ident(&self.config), T::docs().unwrap_or_default());
            let declaration = tidy(&format!("{docs}export {}\n", T::decl(&self.config)));
            let other = self.all.get(&name).filter(|other| **other != declaration);
            assert!(other.is_none(), "no two types of the wire share a name, but two are called {name}");
            self.all.insert(name, declaration);
        }
        T::visit_dependencies(self);
        T::visit_generics(self);
    }
}

/// Without what editors would take away and a drift test would miss, blanks at the ends of lines, and without links of
/// rustdoc, which lead nowhere here.
fn tidy(text: &str) -> String {
    let lines = text.lines().map(|line| line.trim_end().to_owned() + "\n");
    lines.collect::<String>().replace("[`", "`").replace("`]", "`")
}

/// `types.ts`: every type.
pub fn types() -> String {
    let mut all = Declarations::default();
    for row in PROCEDURES {
        (row.types)(&mut all);
    }
    all.name::<ErrorBody>();
    all.name::<Conflict>();
    all.name::<BadRequest>();
    all.name::<Hello>();
    all.name::<Size>();
    all.name::<Info>();
    all.name::<Exit>();
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
    let body: String = groups.iter().map(|(group, rows)| format!("  {group}: {{\n{}  }},\n", rows.concat())).collect();
    // Whole words: `Event` and `Document` are also types of the browser's, which a missing import would bring in unseen.
    let code = body.lines().filter(|line| !line.trim_start().starts_with("/**"));
    let words: BTreeSet<&str> = code.flat_map(|line| line.split(|sign: char| !sign.is_ascii_alphanumeric())).collect();
    let names: Vec<&str> = all.all.keys().map(String::as_str).filter(|name| words.contains(name)).collect();
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
    let who = match row.role {
        Role::Public => "Needs no token.".to_owned(),
        role => format!("Role {role}, reach {}.", format!("{:?}", row.reach).to_lowercase()),
    };
    format!(
        "    /** {} {who} */\n    {name}: oc{errors}.input(type<{input}{optional}>()).output({output}),\n",
        row.doc.trim()
    )
}

/// Whether its input may be left out: no field of it is required.
fn takes_nothing(row: &Descriptor) -> bool {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = (row.input)(&mut settings.into_generator()).to_value();
    schema["required"].as_array().is_none_or(Vec::is_empty)
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
