//! The parser's errors in words that say what would be right.

use serde_saphyr::granit_parser::ErrorKind;

/// What is wrong and what would be right.
pub(super) fn explain(kind: &ErrorKind) -> String {
    let known = match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => "a tab: YAML is indented with spaces only",
        ErrorKind::UnclosedQuotedScalar | ErrorKind::DocumentIndicatorInQuotedScalar => {
            "this text has no closing quote: add one"
        }
        ErrorKind::UnclosedFlowCollection { open: '{' }
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping => "this { has no closing }: add it",
        ErrorKind::UnclosedFlowCollection { .. } | ErrorKind::UnexpectedEofFlowSequence => {
            "this [ has no closing ]: add it"
        }
        ErrorKind::ExpectedFlowMappingSeparator => "between two entries of { } belongs a comma",
        ErrorKind::ExpectedFlowSequenceSeparator => "between two items of [ ] belongs a comma",
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => {
            return format!("{open} is closed by {close}: they must be of one kind");
        }
        ErrorKind::MisplacedFlowCollectionEnd => "this bracket closes nothing: leave it out, or quote the text",
        ErrorKind::UnknownAnchor => "this alias (*name) has no anchor (&name) before it in the same document",
        ErrorKind::UnknownQuotedScalarEscape => {
            "no such escape in double quotes: write \\\\ for a backslash, or use single quotes"
        }
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => {
            "a key of the form `key: value` belongs here: check the indentation of this line and the one before, and the colon with a space after it"
        }
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            "a colon cannot stand here: put the text in quotes if it belongs to it, else check the indentation, and the line before for a colon without a space after it"
        }
        ErrorKind::ExpectedBlockSequenceEntry | ErrorKind::BlockSequenceEntryNotAllowed => {
            "a list item (`- `) and what is beside it do not belong together: indent all items of a list alike"
        }
        ErrorKind::InvalidIndentation | ErrorKind::InvalidQuotedScalarIndent | ErrorKind::InvalidFlowScalarIndent => {
            "this line is indented neither as those before it nor as one around them"
        }
        ErrorKind::RecursionLimitExceeded => "nested too deep: a manifest needs 5 levels",
        ErrorKind::ExpectedDocumentStart => "a document ends before this: begin the next one with a line `---`",
        ErrorKind::UnexpectedCharacter { character: '@' | '`' } => {
            "text cannot begin with this character: put it in quotes"
        }
        ErrorKind::UnexpectedCharacter { character } if !character.is_control() => {
            return format!("{character:?} cannot stand here: put the text in quotes if it belongs to it");
        }
        ErrorKind::UnexpectedCharacter { character } => {
            return format!("the control character U+{:04X} is not allowed: remove it", u32::from(*character));
        }
        ErrorKind::UndeclaredTagHandle | ErrorKind::MissingTagUri | ErrorKind::ExpectedTagBang => {
            "a YAML tag (!…) means nothing here: leave it out, or quote the text if the ! belongs to it"
        }
        ErrorKind::InvalidTrailingDoubleQuotedScalar | ErrorKind::InvalidTrailingSingleQuotedScalar => {
            "after a text in quotes belongs a comma, a colon, a bracket or the end of the line"
        }
        ErrorKind::UnexpectedEof => "the text ends in the middle",
        other => return format!("not YAML: {other}"),
    };
    known.to_owned()
}
