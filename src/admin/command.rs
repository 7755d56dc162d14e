//! COMMAND and its subcommands: the command table as clients see it, in the shapes of Redis 7 and 8. Reads the table
//! only; never runs a command.

mod docs;

use crate::base::glob;
use crate::commands::args::Args;
use crate::commands::errors;
use crate::commands::help;
use crate::commands::spec::{
    BeginSearch, Categories, CommandId, CommandSpec, CommandTable, FindKeys, KeyFlags, KeySpec, acl, flag, key,
};
use crate::commands::table::Resolved;
use crate::resp::reply::Reply;

/// Answers COMMAND; `args` are the whole request, which the table resolved to `id` and whose number the arity of that
/// specification accepts.
pub fn command(table: &CommandTable, id: CommandId, args: &mut Args<'_>, reply: &mut Reply<'_>) {
    match table.get(id).name {
        "command" => info_all(table, reply),
        "command|count" => reply.integer(table.commands().count() as i64),
        "command|docs" => docs::docs(table, args, reply),
        "command|getkeys" => get_keys(table, args, reply, false),
        "command|getkeysandflags" => get_keys(table, args, reply, true),
        "command|help" => help::reply(table.get(table.parent(id).unwrap_or(id)), reply),
        "command|info" if args.len() == 2 => info_all(table, reply),
        "command|info" => {
            reply.array(args.len() - 2);
            for name in args.from(2) {
                match table.lookup_full(name) {
                    Some(id) => info(table, id, reply),
                    None => reply.null(),
                }
            }
        }
        "command|list" => list(table, args, reply),
        _ => errors::unknown_subcommand(args, reply),
    }
}

fn info_all(table: &CommandTable, reply: &mut Reply<'_>) {
    reply.array(table.commands().count());
    for (id, _) in table.commands() {
        info(table, id, reply);
    }
}

/// One command's ten elements: name, arity, flags, first key, last key, step, ACL categories, tips, key
/// specifications, subcommands.
fn info(table: &CommandTable, id: CommandId, reply: &mut Reply<'_>) {
    let spec = table.get(id);
    reply.array(10);
    reply.bulk(spec.name.as_bytes());
    reply.integer(i64::from(spec.arity));
    words(spec.flags, flag::NAMES, "", reply);
    for n in [spec.keys.first, spec.keys.last, spec.keys.step] {
        reply.integer(i64::from(n));
    }
    words(spec.acl, acl::NAMES, "@", reply);
    reply.set(spec.tips.len());
    spec.tips.iter().for_each(|tip| reply.bulk(tip.as_bytes()));
    reply.set(spec.key_specs.len());
    spec.key_specs.iter().for_each(|spec| key_spec(spec, reply));
    // Redis 7 and 8 say "set" for none and "array" for some.
    if spec.subcommands.is_empty() {
        reply.set(0);
    } else {
        reply.array(spec.subcommands.len());
        table.subcommands(id).for_each(|(sub, _)| info(table, sub, reply));
    }
}

/// The names of the bits that are set, as a set of simple strings.
fn words<B: Into<u32> + Copy>(bits: B, names: &[(B, &str)], prefix: &str, reply: &mut Reply<'_>) {
    let set = |bit: B| bits.into() & bit.into() != 0;
    reply.set(names.iter().filter(|(bit, _)| set(*bit)).count());
    for (_, name) in names.iter().filter(|(bit, _)| set(*bit)) {
        reply.simple(&[prefix, name].concat());
    }
}

fn key_flags(flags: KeyFlags, reply: &mut Reply<'_>) {
    words(flags, key::NAMES, "", reply);
}

fn key_spec(spec: &KeySpec, reply: &mut Reply<'_>) {
    reply.map(3 + usize::from(!spec.notes.is_empty()));
    if !spec.notes.is_empty() {
        reply.bulk(b"notes");
        reply.bulk(spec.notes.as_bytes());
    }
    reply.bulk(b"flags");
    key_flags(spec.flags, reply);
    reply.bulk(b"begin_search");
    match spec.begin {
        BeginSearch::Unknown => typed("unknown", &[], reply),
        BeginSearch::Index(index) => typed("index", &[("index", index)], reply),
        BeginSearch::Keyword { word, from } => {
            typed_header("keyword", 2, reply);
            reply.bulk(b"keyword");
            reply.bulk(word.as_bytes());
            reply.bulk(b"startfrom");
            reply.integer(i64::from(from));
        }
    }
    reply.bulk(b"find_keys");
    match spec.find {
        FindKeys::Unknown => typed("unknown", &[], reply),
        FindKeys::Range { last, step, limit } => {
            typed("range", &[("lastkey", last), ("keystep", step), ("limit", limit)], reply);
        }
        FindKeys::KeyNum { count, first, step } => {
            typed("keynum", &[("keynumidx", count), ("firstkey", first), ("keystep", step)], reply);
        }
    }
}

/// A map of `type` and `spec`, the latter a map of `fields` fields that follow.
fn typed_header(name: &str, fields: usize, reply: &mut Reply<'_>) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(name.as_bytes());
    reply.bulk(b"spec");
    reply.map(fields);
}

fn typed(name: &str, fields: &[(&str, i16)], reply: &mut Reply<'_>) {
    typed_header(name, fields.len(), reply);
    for (field, value) in fields {
        reply.bulk(field.as_bytes());
        reply.integer(i64::from(*value));
    }
}

/// What COMMAND LIST shows.
enum Filter<'a> {
    All,
    /// No module brings a command here.
    Module,
    Category(Option<Categories>),
    Pattern(&'a [u8]),
}

impl Filter<'_> {
    fn shows(&self, spec: &CommandSpec) -> bool {
        match self {
            Filter::All => true,
            Filter::Module => false,
            Filter::Category(category) => category.is_some_and(|bit| spec.acl & bit != 0),
            Filter::Pattern(pattern) => glob::matches(pattern, spec.name.as_bytes(), true),
        }
    }
}

/// COMMAND LIST [FILTERBY MODULE name|ACLCAT category|PATTERN pattern]: names, subcommands included.
fn list(table: &CommandTable, args: &Args<'_>, reply: &mut Reply<'_>) {
    let filter = match (args.len(), args.get(2)) {
        (2, _) => Filter::All,
        (5, Some(word)) if word.eq_ignore_ascii_case(b"filterby") => match args[3].to_ascii_lowercase().as_slice() {
            b"module" => Filter::Module,
            b"aclcat" => Filter::Category(acl::find(&args[4])),
            b"pattern" => Filter::Pattern(&args[4]),
            _ => return reply.error(errors::SYNTAX),
        },
        _ => return reply.error(errors::SYNTAX),
    };
    let later = reply.array_later();
    let mut count = 0;
    for (id, spec) in table.commands() {
        let shown = std::iter::once(spec).chain(table.subcommands(id).map(|(_, sub)| sub));
        for spec in shown.filter(|spec| filter.shows(spec)) {
            reply.bulk(spec.name.as_bytes());
            count += 1;
        }
    }
    reply.set_array_len(later, count);
}

/// COMMAND GETKEYS and GETKEYSANDFLAGS: the keys of the request that begins at argument 2.
fn get_keys(table: &CommandTable, args: &mut Args<'_>, reply: &mut Reply<'_>, with_flags: bool) {
    let args = &args.tail(2);
    let Resolved::Command(id) = table.resolve(args) else { return reply.error("ERR Invalid command specified") };
    let spec = table.get(id);
    if spec.key_specs.is_empty() {
        return reply.error("ERR The command has no key arguments");
    }
    if !spec.accepts(args.len()) {
        return reply.error("ERR Invalid number of arguments specified for command");
    }
    let Ok(keys) = spec.key_args(args) else {
        if spec.has(flag::NO_MANDATORY_KEYS) {
            return reply.array(0);
        }
        return reply.error("ERR Invalid arguments specified for command");
    };
    reply.array(keys.clone().count());
    for found in keys {
        if with_flags {
            reply.array(2);
            reply.bulk(&args[found.index]);
            key_flags(found.flags, reply);
        } else {
            reply.bulk(&args[found.index]);
        }
    }
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
