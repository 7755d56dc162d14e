//! Transactions that wait until a large value is copied for them, in steps, on the shard that holds it (COPY, and what
//! takes a key to another shard) or journaled, in steps, where it was taken to. They hold their locks: the value stays
//! as it is, and who wants to change it waits. Never copies anything at once.

use crate::base::clock;
use crate::base::limits::{COPY_STEP_BYTES, COPY_TICK_US, RECORDED_AHEAD_BYTES};
use crate::commands::args::{Args, lay_out};
use crate::commands::context::Foreign;
use crate::commands::spec::flag;
use crate::commands::table::CommandId;
use crate::txn::lock::TxnId;
use crate::txn::message::{Message, Share, Work};
use crate::txn::router::Router;
use std::collections::VecDeque;

/// What is sent to which core once all keys of the share in it are copied.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    waiting: VecDeque<(usize, Message)>,
}

impl Fetches {
    /// `answer` is [`Message::Scheduled`] or [`Message::Proceeded`].
    pub(super) fn add(&mut self, to: usize, answer: Message) {
        self.waiting.push_back((to, answer));
    }
}

/// Whether keys are being copied for this, or journaled, in steps.
pub(super) fn is_copying(work: &Work) -> bool {
    work.fetch.iter().any(|foreign| foreign.copying.is_some())
        || work.home.as_ref().is_some_and(|home| !home.recording.is_empty())
}

fn share_in(message: &mut Message) -> &mut Share {
    match message {
        Message::Scheduled(share) | Message::Proceeded(share) => share,
        _ => unreachable!("an answer with a share"),
    }
}

/// The next key that is being copied, and the number of that copy.
fn next_in(message: &mut Message) -> Option<(u64, &mut Foreign)> {
    share_in(message).work.fetch.iter_mut().find_map(|foreign| foreign.copying.map(|number| (number, foreign)))
}

impl Router {
    /// Whether a command copies what is too large to be copied at once, of a key of this shard, or looks through that.
    pub(super) fn copies_huge(&mut self, id: CommandId, db: u16, args: &Args<'_>) -> bool {
        let spec = self.table.get(id);
        if let Some(looks) = spec.looks {
            return (looks.does)(args) && (looks.begin)(&mut self.shard, db as usize, args).is_some();
        }
        spec.has(flag::COPIES) && args.len() > 2 && self.shard.copies_in_steps(db as usize, &args[1], true)
    }

    /// Begins to fetch in steps what is too large to be fetched at once; the number of that copy.
    pub(super) fn begin_fetch(&mut self, foreign: &Foreign) -> Option<u64> {
        match (&foreign.look, &foreign.cut) {
            (Some((looks, words)), _) => {
                let (data, spans) = lay_out(words);
                let look = (looks.begin)(&mut self.shard, foreign.db, &Args::new(&data, &spans))?;
                Some(self.shard.begin_look(foreign.db, &foreign.key, look))
            }
            (None, Some(_)) => None,
            (None, None) => self.shard.begin_copy(foreign.db, &foreign.key, foreign.apart),
        }
    }

    /// Whether values are being copied.
    pub fn is_fetching(&self) -> bool {
        !self.fetches.waiting.is_empty()
    }

    /// Once a tick: goes on with what is being copied.
    #[inline]
    pub fn fetch_step(&mut self) {
        if self.is_fetching() {
            self.fetch_some();
        }
    }

    #[cold]
    fn fetch_some(&mut self) {
        let (begin, most) = (clock::ticks(), clock::us_to_ticks(COPY_TICK_US));
        while let Some((_, answer)) = self.fetches.waiting.front_mut() {
            let share = share_in(answer);
            if let Some(recording) = share.work.home.as_mut().map(|home| &mut home.recording)
                && let Some(number) = recording.last().copied()
            {
                if self.shard.journal.len() > RECORDED_AHEAD_BYTES && self.frontier.works() {
                    break;
                }
                if self.shard.recording_step(number, COPY_STEP_BYTES) {
                    recording.pop();
                    self.shard.journal.enter(share.txn.0);
                    self.shard.end_recording(number);
                    self.shard.journal.leave();
                }
                if clock::ticks().wrapping_sub(begin) >= most {
                    break;
                }
                continue;
            }
            let Some((number, foreign)) = next_in(answer) else {
                let whole = self.fetches.waiting.pop_front();
                whole.into_iter().for_each(|(to, answer)| self.post(to, answer));
                continue;
            };
            if let Some(copied) = self.shard.copy_step(number, COPY_STEP_BYTES) {
                (foreign.copying, foreign.found) = (None, copied);
                self.txn_stats.copied_in_steps += 1;
            }
            if clock::ticks().wrapping_sub(begin) >= most {
                break;
            }
        }
        self.settle();
    }

    /// An attempt of a transaction is over: nobody waits for its copies.
    pub(super) fn give_up_fetches(&mut self, txn: TxnId) {
        if !self.is_fetching() {
            return;
        }
        let given_up: Vec<u64> = (self.fetches.waiting.iter_mut())
            .filter_map(|(_, answer)| Some(share_in(answer)).filter(|share| share.txn == txn))
            .flat_map(|share| share.work.fetch.iter().filter_map(|foreign| foreign.copying))
            .collect();
        self.fetches.waiting.retain_mut(|(_, answer)| share_in(answer).txn != txn);
        given_up.into_iter().for_each(|number| self.shard.give_up_copy(number));
    }
}
