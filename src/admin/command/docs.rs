//! COMMAND DOCS: summaries and argument trees, from which redis-cli makes its hints.

use crate::commands::args::Args;
use crate::commands::spec::{CommandId, CommandTable};
use crate::commands::syntax::{self, Argument, Kind};
use crate::resp::reply::Reply;

/// COMMAND DOCS [name ...]: a map from name to documentation; unknown names are left out.
pub(super) fn docs(table: &CommandTable, args: &Args<'_>, reply: &mut Reply<'_>) {
    let ids: Vec<CommandId> = if args.len() == 2 {
        table.commands().map(|(id, _)| id).collect()
    } else {
        args.from(2).filter_map(|name| table.lookup_full(name)).collect()
    };
    reply.map(ids.len());
    ids.into_iter().for_each(|id| one(table, id, reply));
}

fn text(field: &str, value: &str, reply: &mut Reply<'_>) {
    reply.bulk(field.as_bytes());
    reply.bulk(value.as_bytes());
}

/// Name and documentation of one command.
fn one(table: &CommandTable, id: CommandId, reply: &mut Reply<'_>) {
    let spec = table.get(id);
    reply.bulk(spec.name.as_bytes());
    let arguments = syntax::parse(spec.syntax).unwrap_or_default();
    let optional = [
        !spec.complexity.is_empty(),
        spec.internal || spec.deprecated.is_some(),
        !spec.history.is_empty(),
        !arguments.is_empty(),
        !spec.subcommands.is_empty(),
    ];
    let fields = 3 + 2 * usize::from(spec.deprecated.is_some()) + optional.iter().filter(|there| **there).count();
    reply.map(fields);
    text("summary", spec.summary, reply);
    text("since", spec.since, reply);
    text("group", spec.group.name(), reply);
    if !spec.complexity.is_empty() {
        text("complexity", spec.complexity, reply);
    }
    if spec.internal || spec.deprecated.is_some() {
        reply.bulk(b"doc_flags");
        reply.set(usize::from(spec.internal) + usize::from(spec.deprecated.is_some()));
        if spec.deprecated.is_some() {
            reply.simple("deprecated");
        }
        if spec.internal {
            reply.simple("syscmd");
        }
    }
    if let Some((version, replacement)) = spec.deprecated {
        text("deprecated_since", version, reply);
        text("replaced_by", replacement, reply);
    }
    if !spec.history.is_empty() {
        reply.bulk(b"history");
        reply.set(spec.history.len());
        for (version, change) in spec.history {
            reply.array(2);
            reply.bulk(version.as_bytes());
            reply.bulk(change.as_bytes());
        }
    }
    if !arguments.is_empty() {
        reply.bulk(b"arguments");
        tree(&arguments, reply);
    }
    if !spec.subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(spec.subcommands.len());
        table.subcommands(id).for_each(|(sub, _)| one(table, sub, reply));
    }
}

fn tree(arguments: &[Argument], reply: &mut Reply<'_>) {
    reply.array(arguments.len());
    for argument in arguments {
        let (inner, key_spec) = match &argument.kind {
            Kind::OneOf(inner) | Kind::Block(inner) => (Some(inner), None),
            Kind::Key(index) => (None, Some(*index)),
            _ => (None, None),
        };
        let flags = [
            (argument.optional, "optional"),
            (argument.multiple, "multiple"),
            (argument.multiple_token, "multiple_token"),
        ];
        let flagged = flags.iter().filter(|(set, _)| *set).count();
        let optional = [inner.is_none(), key_spec.is_some(), argument.token.is_some(), flagged > 0, inner.is_some()];
        reply.map(2 + optional.iter().filter(|there| **there).count());
        text("name", &argument.name, reply);
        text("type", argument.kind.name(), reply);
        if inner.is_none() {
            text("display_text", argument.display.as_deref().unwrap_or(&argument.name), reply);
        }
        if let Some(index) = key_spec {
            reply.bulk(b"key_spec_index");
            reply.integer(index as i64);
        }
        if let Some(token) = &argument.token {
            text("token", token, reply);
        }
        if flagged > 0 {
            reply.bulk(b"flags");
            reply.set(flagged);
            flags.iter().filter(|(set, _)| *set).for_each(|(_, name)| reply.simple(name));
        }
        if let Some(inner) = inner {
            reply.bulk(b"arguments");
            tree(inner, reply);
        }
    }
}
