//! FILTER expressions: `.year > 1980 and .genre in ["drama", "crime"]` against an element's attributes, a JSON object.
//! Compiled once, run for each element that a search meets. No I/O, no recursion over a client's parentheses.
//!
//! Grammar and meaning are those of Redis (Redis documentation, "Filter expressions"): numbers, strings in either kind
//! of quotes, lists in brackets, `null`, fields of the object by `.name`; operators by rising precedence `or ||`,
//! `and &&`, `> >= < <= == != in`, `+ -`, `* / %`, `**` (to the right), `! not`, parentheses. An element without
//! attributes, or without a field that the expression names, does not match.
//!
//! The text becomes words ([`words`]), these a program in reverse Polish notation (Dijkstra's shunting yard), which
//! [`run`] executes on a stack; [`json`] finds a field without reading more of the object than it must.

mod json;
mod run;
mod words;

use run::Value;
use words::{Word, Words};

/// Something that the text means nothing with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unclear {
    /// Where in the text; 0 if it is the text as a whole.
    pub at: usize,
}

/// An operator of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Not,
    Power,
    Times,
    Divide,
    Modulo,
    Plus,
    Minus,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Equal,
    NotEqual,
    In,
    And,
    Or,
}

impl Operator {
    /// Higher binds tighter.
    fn precedence(self) -> u8 {
        use Operator::*;
        match self {
            Or => 0,
            And => 1,
            Greater | GreaterEqual | Less | LessEqual | Equal | NotEqual | In => 2,
            Plus | Minus => 3,
            Times | Divide | Modulo => 4,
            Power => 5,
            Not => 6,
        }
    }

    fn operands(self) -> usize {
        if self == Operator::Not { 1 } else { 2 }
    }

    /// Whether `a op b op c` is `a op (b op c)`.
    fn to_the_right(self) -> bool {
        matches!(self, Operator::Not | Operator::Power)
    }
}

/// One step of a program.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Push(Value<'static>),
    Field(Box<[u8]>),
    Apply(Operator),
}

/// A compiled expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    steps: Vec<Step>,
}

/// What waits for its right operand, or for its closing parenthesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Operator(Operator),
    Open,
}

/// Steps so far, and how many values they leave on the stack.
#[derive(Debug, Default)]
struct Program {
    steps: Vec<Step>,
    values: usize,
}

impl Program {
    fn value(&mut self, step: Step) {
        self.steps.push(step);
        self.values += 1;
    }

    fn apply(&mut self, operator: Operator) -> Result<(), Unclear> {
        if self.values < operator.operands() {
            return Err(Unclear { at: 0 });
        }
        self.values = self.values + 1 - operator.operands();
        self.steps.push(Step::Apply(operator));
        Ok(())
    }
}

impl Filter {
    /// Compiles `text`, up to its first NUL if it has one.
    pub fn compile(text: &[u8]) -> Result<Filter, Unclear> {
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        let mut program = Program::default();
        let mut waiting = Vec::new();
        // Words first: what is no word is told with its place, what makes no sense is not.
        for word in Words::read(&text[..end])? {
            match word {
                Word::Value(value) => program.value(Step::Push(value)),
                Word::Field(name) => program.value(Step::Field(name)),
                Word::Open => waiting.push(Waiting::Open),
                Word::Close => close(&mut program, &mut waiting)?,
                Word::Operator(operator) => {
                    settle(&mut program, &mut waiting, operator)?;
                    waiting.push(Waiting::Operator(operator));
                }
            }
        }
        while let Some(last) = waiting.pop() {
            match last {
                Waiting::Operator(operator) => program.apply(operator)?,
                Waiting::Open => return Err(Unclear { at: 0 }),
            }
        }
        if program.values == 1 { Ok(Filter { steps: program.steps }) } else { Err(Unclear { at: 0 }) }
    }

    /// Whether it is true of these attributes.
    pub fn accepts(&self, attributes: &[u8]) -> bool {
        run::accepts(&self.steps, attributes)
    }

    /// Whether an element with such attributes, if it has any, passes a filter, if there is one.
    pub fn passes(filter: Option<&Filter>, attributes: Option<&[u8]>) -> bool {
        filter.is_none_or(|filter| attributes.is_some_and(|json| filter.accepts(json)))
    }
}

/// Everything since the opening parenthesis is complete.
fn close(program: &mut Program, waiting: &mut Vec<Waiting>) -> Result<(), Unclear> {
    loop {
        match waiting.pop() {
            Some(Waiting::Operator(operator)) => program.apply(operator)?,
            Some(Waiting::Open) => return Ok(()),
            None => return Err(Unclear { at: 0 }),
        }
    }
}

/// What binds tighter than `next` is complete.
fn settle(program: &mut Program, waiting: &mut Vec<Waiting>, next: Operator) -> Result<(), Unclear> {
    while let Some(Waiting::Operator(last)) = waiting.last().copied() {
        let (tight, tighter) = (last.precedence() >= next.precedence(), last.precedence() > next.precedence());
        if !(if next.to_the_right() { tighter } else { tight }) {
            break;
        }
        waiting.pop();
        program.apply(last)?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
