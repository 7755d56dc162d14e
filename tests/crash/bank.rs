//! Transfers between accounts that all clients share, each a transaction that also writes down what it did: whatever
//! is recovered, the accounts are what the written transfers make them. A transaction that is there by halves is not.

#![allow(dead_code)] // each test file uses a part

use crate::common::client::encode;
use crate::common::{Random, Value};

const ACCOUNTS: usize = 9;

/// A client that transfers.
pub(crate) struct Teller {
    number: usize,
    random: Random,
    /// Transfers that were acknowledged, and those that were sent.
    acknowledged: usize,
    sent: usize,
    /// Transfers that are sure to be durable, whatever the policy.
    durable: usize,
}

impl Teller {
    pub(crate) fn new(number: usize, seed: u64) -> Teller {
        Teller { number, random: Random(seed), acknowledged: 0, sent: 0, durable: 0 }
    }

    /// A transfer, to be sent when the one before was answered, and how many replies it gets.
    pub(crate) fn next_transfer(&mut self) -> (Vec<u8>, usize) {
        let (from, to) = (self.random.below(ACCOUNTS), self.random.below(ACCOUNTS));
        let amount = (1 + self.random.below(99)).to_string();
        let lines = [
            vec!["MULTI".to_string()],
            vec!["DECRBY".into(), format!("account{from}"), amount.clone()],
            vec!["INCRBY".into(), format!("account{to}"), amount.clone()],
            vec!["RPUSH".into(), format!("ledger{}", self.number), format!("{from} {to} {amount}")],
            vec!["EXEC".to_string()],
        ];
        self.sent += 1;
        (lines.iter().flat_map(|words| encode(words)).collect(), lines.len())
    }

    /// How many transfers were acknowledged.
    pub(crate) fn progress(&self) -> usize {
        self.acknowledged
    }

    /// So many of them are durable.
    pub(crate) fn is_durable(&mut self, progress: usize) {
        self.durable = self.durable.max(progress);
    }

    /// The disk was not waited for: what is not durable may be gone.
    pub(crate) fn lose_rest(&mut self) {
        self.acknowledged = self.durable;
    }

    /// The last transfer was answered.
    pub(crate) fn done(&mut self) {
        self.acknowledged += 1;
    }
}

/// Whether accounts and ledgers agree, and every ledger has what was acknowledged. `ask` runs a command.
pub(crate) fn verify(ask: &mut dyn FnMut(&str) -> Value, tellers: &mut [Teller]) -> Result<(), String> {
    let mut expected = [0i64; ACCOUNTS];
    for teller in tellers {
        let ledger = ask(&format!("LRANGE ledger{} 0 -1", teller.number));
        let count = ledger.items().len();
        if !(teller.acknowledged..=teller.sent).contains(&count) {
            let (acknowledged, sent) = (teller.acknowledged, teller.sent);
            return Err(format!("{count} transfers, of {acknowledged} acknowledged and {sent} sent"));
        }
        (teller.acknowledged, teller.sent, teller.durable) = (count, count, count);
        for line in ledger.items().iter().map(Value::text) {
            let words: Vec<i64> = line.split(' ').map(|word| word.parse().expect("a number")).collect();
            expected[words[0] as usize] -= words[2];
            expected[words[1] as usize] += words[2];
        }
    }
    let found: Vec<i64> = (0..ACCOUNTS)
        .map(|n| match ask(&format!("GET account{n}")) {
            Value::NullBulk => 0,
            value => value.text().parse().expect("a number"),
        })
        .collect();
    if found != expected {
        return Err(format!("accounts {found:?}, by the ledgers {expected:?}"));
    }
    Ok(())
}
