//! Grammars of commands: a line of text describes every form of a command, and random forms are drawn from it.
//!
//! ```text
//! SET key value [NX|XX] [GET] [EX ttl|KEEPTTL]
//! ```
//!
//! A word of lower-case letters names a pool of arguments, any other stands for itself. `[..]` may be
//! left out, `(..)` groups, `|` separates choices, `+` behind a group or word repeats it one to four times, `*` none
//! to three times. Never knows what a command means.

use crate::common::Random;
use crate::pools::Pools;

/// A parsed grammar.
#[derive(Debug)]
pub(crate) enum Node {
    /// Stands for itself.
    Literal(String),
    /// An argument of this pool.
    Pool(String),
    /// One after the other.
    Sequence(Vec<Node>),
    /// One of them.
    Choice(Vec<Node>),
    /// The node, repeated `least` to `most` times.
    Repeat(Box<Node>, usize, usize),
}

/// Parses a line; fails the test on a line that is none.
pub(crate) fn parse(line: &str) -> Node {
    let mut tokens = Vec::new();
    for c in line.chars() {
        match c {
            '(' | ')' | '[' | ']' | '|' | '+' | '*' => tokens.push(c.to_string()),
            ' ' => tokens.push(String::new()),
            _ => match tokens.last_mut() {
                Some(last) if !last.is_empty() && !"()[]|+*".contains(last.as_str()) => last.push(c),
                _ => tokens.push(c.to_string()),
            },
        }
    }
    tokens.retain(|t| !t.is_empty());
    let mut at = 0;
    let node = parse_choice(&tokens, &mut at);
    assert_eq!(at, tokens.len(), "trailing tokens in {line:?}");
    node
}

fn parse_choice(tokens: &[String], at: &mut usize) -> Node {
    let mut choices = vec![parse_sequence(tokens, at)];
    while tokens.get(*at).is_some_and(|t| t == "|") {
        *at += 1;
        choices.push(parse_sequence(tokens, at));
    }
    if choices.len() == 1 { choices.remove(0) } else { Node::Choice(choices) }
}

fn parse_sequence(tokens: &[String], at: &mut usize) -> Node {
    let mut nodes = Vec::new();
    while let Some(token) = tokens.get(*at) {
        let node = match token.as_str() {
            "|" | ")" | "]" => break,
            "(" | "[" => {
                *at += 1;
                let inner = parse_choice(tokens, at);
                if token == "[" { Node::Repeat(Box::new(inner), 0, 1) } else { inner }
            }
            word if word.chars().all(|c| c.is_ascii_lowercase()) => Node::Pool(word.into()),
            word => Node::Literal(word.into()),
        };
        *at += 1;
        nodes.push(match tokens.get(*at).map(String::as_str) {
            Some("+") => {
                *at += 1;
                Node::Repeat(Box::new(node), 1, 4)
            }
            Some("*") => {
                *at += 1;
                Node::Repeat(Box::new(node), 0, 3)
            }
            _ => node,
        });
    }
    Node::Sequence(nodes)
}

impl Node {
    /// Draws one form and appends its arguments.
    pub(crate) fn draw(&self, random: &mut Random, pools: &Pools, args: &mut Vec<Vec<u8>>) {
        match self {
            Node::Literal(text) => args.push(in_some_case(random, text)),
            Node::Pool(name) => args.push(pools.draw(name, random)),
            Node::Sequence(nodes) => nodes.iter().for_each(|node| node.draw(random, pools, args)),
            Node::Choice(nodes) => random.one(nodes).draw(random, pools, args),
            Node::Repeat(node, least, most) => {
                for _ in 0..least + random.below(most - least + 1) {
                    node.draw(random, pools, args);
                }
            }
        }
    }
}

/// The word as written, in lower case, or in a random mix.
fn in_some_case(random: &mut Random, word: &str) -> Vec<u8> {
    match random.below(10) {
        0..7 => word.as_bytes().to_vec(),
        7..9 => word.to_ascii_lowercase().into_bytes(),
        _ => word.bytes().map(|b| if random.chance(50) { b.to_ascii_lowercase() } else { b }).collect(),
    }
}

/// Spoils the arguments: one too many, one too few, one replaced, two swapped.
pub(crate) fn mutate(random: &mut Random, pools: &Pools, args: &mut Vec<Vec<u8>>) {
    let at = random.below(args.len());
    match random.below(6) {
        0 if args.len() > 1 => drop(args.remove(at.max(1))),
        1 => args.push(pools.draw("junk", random)),
        2 => args.insert(at + 1, pools.draw("junk", random)),
        3 if args.len() > 1 => args[at.max(1)] = pools.draw("junk", random),
        4 if args.len() > 2 => args.swap(at.max(1), 1),
        _ => args.push(args[at].clone()),
    }
}
