//! Running a compiled expression on one object's JSON. Never fails: what has no number counts as 0.

use super::words::is_space;
use super::{Operator, Step, json};
use crate::base::text;
use smallvec::SmallVec;
use std::borrow::Cow;

/// A value of the language. Truth values are 1 and 0.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Number(f64),
    Text(Cow<'a, [u8]>),
    List(Vec<Value<'a>>),
    Null,
}

/// On the stack: a value of the program, or one that was made.
#[derive(Debug)]
enum Operand<'a> {
    Known(&'a Value<'a>),
    Made(Value<'a>),
}

impl<'a> Operand<'a> {
    fn get(&self) -> &Value<'a> {
        match self {
            Operand::Known(value) => value,
            Operand::Made(value) => value,
        }
    }
}

/// Longest text that is read as a number, bytes.
const NUMBER_BYTES_MAX: usize = 255;

impl Value<'_> {
    fn number(&self) -> f64 {
        match self {
            Value::Number(number) => *number,
            Value::Text(text) if text.len() <= NUMBER_BYTES_MAX => number_of(text).unwrap_or(0.0),
            _ => 0.0,
        }
    }

    fn truth(&self) -> bool {
        match self {
            Value::Number(number) => *number != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::List(_) => true,
            Value::Null => false,
        }
    }

    /// `==`: texts as texts, nothing equals `null` but `null`, everything else as numbers.
    fn equals(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::Null, Value::Null) => true,
            (Value::Null, _) | (_, Value::Null) => false,
            _ => self.number() == other.number(),
        }
    }

    /// `in`: an element of a list, or a part of a text.
    fn is_in(&self, whole: &Value<'_>) -> bool {
        match (self, whole) {
            (_, Value::List(elements)) => elements.iter().any(|element| self.equals(element)),
            (Value::Text(part), Value::Text(whole)) => {
                part.is_empty() || whole.windows(part.len()).any(|window| window == &part[..])
            }
            _ => false,
        }
    }
}

/// As C's `strtod`, for a text that is a number as a whole.
fn number_of(text: &[u8]) -> Option<f64> {
    let blanks = text.iter().take_while(|byte| is_space(**byte)).count();
    let text = &text[blanks..];
    text::parse_f64(text).or_else(|| std::str::from_utf8(text).ok()?.parse().ok())
}

/// Whether the program leaves something true. False if a field is not there.
pub(super) fn accepts(steps: &[Step], attributes: &[u8]) -> bool {
    let mut stack: SmallVec<[Operand<'_>; 8]> = SmallVec::new();
    for step in steps {
        match step {
            Step::Push(value) => stack.push(Operand::Known(value)),
            Step::Field(name) => match json::field(attributes, name) {
                Some(value) => stack.push(Operand::Made(value)),
                None => return false,
            },
            Step::Apply(operator) => {
                let last = stack.pop();
                let first = if operator.operands() == 2 { stack.pop() } else { None };
                let (Some(b), a) = (&last, first.as_ref().or(last.as_ref())) else { return false };
                let Some(a) = a else { return false };
                stack.push(Operand::Made(Value::Number(apply(*operator, a.get(), b.get()))));
            }
        }
    }
    stack.pop().is_some_and(|result| result.get().truth())
}

/// `a operator b`; of [`Operator::Not`] both are its operand.
fn apply(operator: Operator, a: &Value<'_>, b: &Value<'_>) -> f64 {
    let truth = |value: bool| f64::from(u8::from(value));
    match operator {
        Operator::Not => truth(!b.truth()),
        Operator::Power => a.number().powf(b.number()),
        Operator::Times => a.number() * b.number(),
        Operator::Divide => a.number() / b.number(),
        Operator::Modulo => a.number() % b.number(),
        Operator::Plus => a.number() + b.number(),
        Operator::Minus => a.number() - b.number(),
        Operator::Greater => truth(a.number() > b.number()),
        Operator::GreaterEqual => truth(a.number() >= b.number()),
        Operator::Less => truth(a.number() < b.number()),
        Operator::LessEqual => truth(a.number() <= b.number()),
        Operator::Equal => truth(a.equals(b)),
        Operator::NotEqual => truth(!a.equals(b)),
        Operator::In => truth(a.is_in(b)),
        Operator::And => truth(a.truth() && b.truth()),
        Operator::Or => truth(a.truth() || b.truth()),
    }
}
