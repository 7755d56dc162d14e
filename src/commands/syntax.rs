//! The notation in which a [`CommandSpec`](crate::commands::spec::CommandSpec) states its arguments, and the tree that
//! COMMAND DOCS makes of it. Only COMMAND DOCS parses it; a command's own function never does.
//!
//! ```text
//! arguments  = item *(" " item)
//! item       = "[" item "]"              optional
//!            | TOKEN " " item            an item after a word: EX seconds:int
//!            | TOKEN                     a word alone, named as itself in lower case
//!            | name "=" TOKEN            a word alone, under another name
//!            | name ":" type             int, double, pattern or unix (a Unix time); without: a string
//!            | name "#" number           a key, found by that key specification
//!            | name "=(" item "|" .. ")" one of these
//!            | name "={" arguments "}"   all of these
//!            each with "/text/" behind where clients show that text, not the name; "..." if it may be repeated, "...+"
//!            if the word before it is repeated too
//! TOKEN      = upper case letters, digits, "-"; other signs in quotes (`"*"`), `""` for none where one is expected
//! ```

/// Kind of an argument, as COMMAND DOCS names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Any string.
    String,
    /// A 64-bit integer.
    Integer,
    /// A decimal number.
    Double,
    /// A key, found by the key specification of that number.
    Key(usize),
    /// A glob pattern.
    Pattern,
    /// A Unix time.
    UnixTime,
    /// Only its token.
    PureToken,
    /// One of these.
    OneOf(Vec<Argument>),
    /// All of these.
    Block(Vec<Argument>),
}

impl Kind {
    /// As COMMAND DOCS prints it.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Double => "double",
            Kind::Key(_) => "key",
            Kind::Pattern => "pattern",
            Kind::UnixTime => "unix-time",
            Kind::PureToken => "pure-token",
            Kind::OneOf(_) => "oneof",
            Kind::Block(_) => "block",
        }
    }
}

/// One argument, or several under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Name, lower case.
    pub name: String,
    /// What clients show, if not the name.
    pub display: Option<String>,
    /// Kind.
    pub kind: Kind,
    /// The word before it, or itself.
    pub token: Option<String>,
    /// May be left out.
    pub optional: bool,
    /// May be repeated.
    pub multiple: bool,
    /// The token is repeated with it.
    pub multiple_token: bool,
}

/// Parses a row's notation. `None` if it is no such notation; a test shows that every row's is.
pub fn parse(text: &str) -> Option<Vec<Argument>> {
    let mut parser = Parser { rest: text };
    let arguments = parser.arguments()?;
    parser.rest.is_empty().then_some(arguments)
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn eat(&mut self, prefix: &str) -> bool {
        let rest = self.rest.strip_prefix(prefix);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn arguments(&mut self) -> Option<Vec<Argument>> {
        let mut arguments = Vec::new();
        if self.rest.is_empty() {
            return Some(arguments);
        }
        loop {
            arguments.push(self.item()?);
            if !self.eat(" ") {
                return Some(arguments);
            }
        }
    }

    fn item(&mut self) -> Option<Argument> {
        if self.eat("[") {
            let mut argument = self.item()?;
            argument.optional = true;
            return self.eat("]").then_some(argument);
        }
        let mut argument = match self.token() {
            None => self.named()?,
            Some(token) if self.followed() => {
                self.eat(" ");
                let mut argument = self.named()?;
                argument.token = Some(token.to_owned());
                argument
            }
            Some(token) => pure_token(token.to_ascii_lowercase(), token),
        };
        argument.multiple = self.eat("...");
        argument.multiple_token = argument.multiple && self.eat("+");
        Some(argument)
    }

    /// A word in upper case.
    fn token(&mut self) -> Option<&'a str> {
        if self.eat("\"") {
            let word = self.take(|c| c != '"');
            return self.eat("\"").then_some(word);
        }
        let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
        self.rest.starts_with(|c: char| c.is_ascii_uppercase()).then(|| self.take(upper))
    }

    /// Whether a token that was read belongs to an item in lower case behind it.
    fn followed(&self) -> bool {
        self.rest.strip_prefix(' ').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
    }

    fn named(&mut self) -> Option<Argument> {
        let name = self.take(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
            return None;
        }
        let mut argument = plain(name);
        if self.eat("=(") {
            argument.kind = Kind::OneOf(self.choices()?);
            self.eat(")").then_some(())?;
        } else if self.eat("={") {
            argument.kind = Kind::Block(self.arguments()?);
            self.eat("}").then_some(())?;
        } else if self.eat("=") {
            return Some(pure_token(name.to_owned(), self.token()?));
        } else if self.eat("#") {
            argument.kind = Kind::Key(self.take(|c| c.is_ascii_digit()).parse().ok()?);
        } else if self.eat(":") {
            argument.kind = kind(self.take(|c| c.is_ascii_lowercase()))?;
        }
        if self.eat("/") {
            argument.display = Some(self.take(|c| c != '/').to_owned());
            self.eat("/").then_some(())?;
        }
        Some(argument)
    }

    fn choices(&mut self) -> Option<Vec<Argument>> {
        let mut choices = vec![self.item()?];
        while self.eat("|") {
            choices.push(self.item()?);
        }
        Some(choices)
    }
}

fn kind(name: &str) -> Option<Kind> {
    Some(match name {
        "int" => Kind::Integer,
        "double" => Kind::Double,
        "pattern" => Kind::Pattern,
        "unix" => Kind::UnixTime,
        _ => return None,
    })
}

fn plain(name: &str) -> Argument {
    Argument {
        name: name.to_owned(),
        display: None,
        kind: Kind::String,
        token: None,
        optional: false,
        multiple: false,
        multiple_token: false,
    }
}

fn pure_token(name: String, token: &str) -> Argument {
    Argument { kind: Kind::PureToken, token: Some(token.to_owned()), ..plain(&name) }
}

#[cfg(test)]
#[path = "syntax_tests.rs"]
mod tests;
