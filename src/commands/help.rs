//! HELP of commands with subcommands, made from their rows: one usage line and one sentence each, in the frame that
//! clients of Redis know. Holds no text of its own but that frame.

use crate::commands::spec::CommandSpec;
use crate::commands::syntax::{self, Argument, Kind};
use crate::resp::reply::Reply;

/// Widest usage line, characters; a longer one goes on below its first argument.
const LINE_CHARS_MAX: usize = 96;

/// Longest argument that is written twice to show that it may be repeated, characters.
const REPEATED_CHARS_MAX: usize = 40;

/// Answers `container` HELP.
pub fn reply(container: &CommandSpec, reply: &mut Reply<'_>) {
    let subcommands = container.subcommands.iter().filter(|sub| sub.short_name() != "help");
    let entries: Vec<(String, &str)> = subcommands.map(|sub| (usage(sub), sub.summary)).collect();
    frame(container.name, entries.iter().map(|(usage, summary)| (usage.as_str(), *summary)), reply);
}

/// Answers HELP of a command that has its subcommands outside the table (DEBUG): usage and explanation of each.
pub fn frame<'a>(name: &str, entries: impl Iterator<Item = (&'a str, &'a str)>, reply: &mut Reply<'_>) {
    let later = reply.array_later();
    let mut count = 0;
    let mut line = |text: &str, reply: &mut Reply<'_>| {
        reply.simple(text);
        count += 1;
    };
    let title = format!("{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", name.to_ascii_uppercase());
    line(&title, reply);
    for (usage, text) in entries.chain([("HELP", "Print this help.")]) {
        wrap(usage).iter().for_each(|part| line(part, reply));
        text.lines().for_each(|part| line(&format!("    {part}"), reply));
    }
    reply.set_array_len(later, count);
}

/// Name and arguments, as `GET <pattern> [<pattern> ...]`.
fn usage(spec: &CommandSpec) -> String {
    let arguments = syntax::parse(spec.syntax).unwrap_or_default();
    let mut usage = spec.short_name().to_ascii_uppercase();
    for argument in &arguments {
        usage.push(' ');
        usage.push_str(&shown(argument, false));
    }
    usage
}

/// One argument; `chosen` if it is one of several, whose bars say already that it may be left out.
fn shown(argument: &Argument, chosen: bool) -> String {
    let optional = argument.optional && !chosen;
    let bracketed = argument.optional || chosen;
    let word = argument.token.as_deref().filter(|token| !token.is_empty());
    let value = match &argument.kind {
        Kind::PureToken => String::new(),
        Kind::OneOf(choices) => {
            let choices: Vec<String> = choices.iter().map(|choice| shown(choice, true)).collect();
            let choices = choices.join("|");
            if bracketed && word.is_none() && !argument.multiple { choices } else { format!("({choices})") }
        }
        Kind::Block(arguments) => {
            let arguments: Vec<String> = arguments.iter().map(|inner| shown(inner, false)).collect();
            arguments.join(" ")
        }
        _ => format!("<{}>", argument.display.as_deref().unwrap_or(&argument.name)),
    };
    let once = match word {
        Some(word) if value.is_empty() => word.to_owned(),
        Some(word) => format!("{word} {value}"),
        None => value.clone(),
    };
    let repeated = if argument.multiple_token { &once } else { &value };
    match (optional, argument.multiple) {
        (_, true) if value.len() > REPEATED_CHARS_MAX => format!("{once} ..."),
        (false, false) => once,
        (true, false) => format!("[{once}]"),
        (false, true) => format!("{once} [{repeated} ...]"),
        (true, true) if once == *repeated => format!("[{once} ...]"),
        (true, true) => format!("[{once} [{repeated} ...]]"),
    }
}

/// Breaks a line that is too long, at blanks and behind bars.
fn wrap(usage: &str) -> Vec<String> {
    let indent = usage.find(' ').map_or(0, |at| at + 1);
    let mut lines = vec![String::new()];
    for piece in usage.split_inclusive([' ', '|']) {
        let last = lines.len() - 1;
        if lines[last].len() + piece.trim_end().len() > LINE_CHARS_MAX {
            lines.push(" ".repeat(indent));
        }
        lines.last_mut().expect("it is never empty").push_str(piece);
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
#[path = "help_tests.rs"]
mod tests;
