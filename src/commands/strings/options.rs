//! The options of SET, GETEX and MSETEX: conditions, GET, and when the key expires. Never touches a key.

use super::Refusal;
use crate::base::text::parse_i64;
use crate::commands::args::Args;
use crate::commands::errors;
use crate::commands::time_unit::TimeUnit;
use crate::types::table::Expire;

/// Which command's options are parsed; they differ in what they allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// SET: everything but PERSIST.
    Set,
    /// GETEX: PERSIST and times.
    GetEx,
    /// MSETEX: NX, XX, KEEPTTL and times.
    MsetEx,
}

impl Family {
    fn invalid_expire(self) -> Refusal {
        match self {
            Family::Set => "ERR invalid expire time in 'set' command",
            Family::GetEx => "ERR invalid expire time in 'getex' command",
            Family::MsetEx => "ERR invalid expire time in 'msetex' command",
        }
    }
}

/// When a write happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Always.
    Always,
    /// NX.
    Absent,
    /// XX.
    Present,
    /// IFEQ: the value equals the argument at this index.
    Equal(usize),
}

/// What the options say about the expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// Nothing.
    Unsaid,
    /// KEEPTTL.
    Keep,
    /// PERSIST.
    Persist,
    /// EX, PX, EXAT or PXAT with the time at the argument of this index.
    Until(TimeUnit, usize),
}

/// Parsed options. Times are still text: each command reads them when Redis does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// NX, XX, IFEQ.
    pub(crate) condition: Condition,
    /// GET.
    pub(crate) get: bool,
    /// KEEPTTL, PERSIST, EX, PX, EXAT, PXAT.
    pub(crate) lifetime: Lifetime,
    family: Family,
}

impl Options {
    /// Parses the arguments from index `start` on.
    pub(crate) fn parse(args: &Args<'_>, start: usize, family: Family) -> Result<Options, Refusal> {
        let mut options = Options { condition: Condition::Always, get: false, lifetime: Lifetime::Unsaid, family };
        let mut index = start;
        while index < args.len() {
            index += options.take_one(args, index).ok_or(errors::SYNTAX)?;
        }
        Ok(options)
    }

    /// Reads the option at `index`; how many arguments it took, or `None` if it does not belong there.
    fn take_one(&mut self, args: &Args<'_>, index: usize) -> Option<usize> {
        let word = &args[index];
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        let writes = self.family != Family::GetEx;
        if writes && is("nx") {
            self.demand(Condition::Absent)
        } else if writes && is("xx") {
            self.demand(Condition::Present)
        } else if self.family == Family::Set && is("ifeq") && index + 1 < args.len() {
            if self.condition != Condition::Always {
                return None;
            }
            self.condition = Condition::Equal(index + 1);
            Some(2)
        } else if self.family == Family::Set && is("get") {
            self.get = true;
            Some(1)
        } else if writes && is("keepttl") {
            self.live(Lifetime::Keep, 1)
        } else if !writes && is("persist") {
            self.live(Lifetime::Persist, 1)
        } else {
            let unit = TimeUnit::named(word)?;
            if index + 1 >= args.len() { None } else { self.live(Lifetime::Until(unit, index + 1), 2) }
        }
    }

    /// NX or XX; the same one twice is accepted.
    fn demand(&mut self, condition: Condition) -> Option<usize> {
        if self.condition != Condition::Always && self.condition != condition {
            return None;
        }
        self.condition = condition;
        Some(1)
    }

    /// A lifetime; the same option twice is accepted and the last one counts.
    fn live(&mut self, lifetime: Lifetime, taken: usize) -> Option<usize> {
        let agrees = match (self.lifetime, lifetime) {
            (Lifetime::Unsaid, _) => true,
            (Lifetime::Until(before, _), Lifetime::Until(now, _)) => before == now,
            (before, now) => before == now,
        };
        if !agrees {
            return None;
        }
        self.lifetime = lifetime;
        Some(taken)
    }

    /// What a write does with the key's expiry.
    pub(crate) fn expire(&self, args: &Args<'_>, now_ms: u64) -> Result<Expire, Refusal> {
        match self.lifetime {
            Lifetime::Unsaid | Lifetime::Persist => Ok(Expire::Clear),
            Lifetime::Keep => Ok(Expire::Keep),
            Lifetime::Until(unit, index) => {
                deadline(&args[index], unit, now_ms, self.family.invalid_expire()).map(Expire::At)
            }
        }
    }
}

/// The Unix time in milliseconds that `text` names; `invalid` if it is not positive or beyond 63 bits.
pub(crate) fn deadline(text: &[u8], unit: TimeUnit, now_ms: u64, invalid: Refusal) -> Result<u64, Refusal> {
    let number = parse_i64(text).ok_or(errors::NOT_INTEGER)?;
    if number <= 0 {
        return Err(invalid);
    }
    let span = number.checked_mul(unit.ms).ok_or(invalid)?;
    let base = if unit.absolute { 0 } else { i64::try_from(now_ms).unwrap_or(i64::MAX) };
    span.checked_add(base).map(|at| at as u64).ok_or(invalid)
}
