//! The lock table against what it promises: one case per rule, and random histories in which nothing that conflicts is
//! ever granted together and everything ends.

use super::*;
use proptest::prelude::*;

fn claim(keys: &[(LockKey, Mode)]) -> Claim {
    let mut claim = Claim::default();
    keys.iter().for_each(|(key, mode)| claim.add(*key, *mode));
    claim.seal();
    claim
}

fn write(keys: &[LockKey]) -> Claim {
    claim(&keys.iter().map(|key| (*key, Mode::Exclusive)).collect::<Vec<_>>())
}

fn read(keys: &[LockKey]) -> Claim {
    claim(&keys.iter().map(|key| (*key, Mode::Shared)).collect::<Vec<_>>())
}

const GRANTED: Verdict = Verdict::Granted;
const QUEUED: Verdict = Verdict::Queued;
const LATE: Verdict = Verdict::Refused(Refusal::Late);

#[test]
fn readers_share_and_writers_wait_in_order() {
    let mut locks = LockTable::default();
    assert_eq!(locks.schedule(TxnId(1), read(&[7]), false), GRANTED);
    assert_eq!(locks.schedule(TxnId(2), read(&[7, 8]), false), GRANTED);
    assert_eq!(locks.schedule(TxnId(3), write(&[7]), false), QUEUED);
    assert_eq!(locks.schedule(TxnId(4), write(&[8, 9]), false), QUEUED);
    assert_eq!(locks.schedule(TxnId(5), read(&[7]), false), QUEUED, "does not pass a writer that came first");
    locks.release(TxnId(1));
    assert_eq!(locks.next_grant(), None);
    locks.release(TxnId(2));
    assert_eq!(locks.next_grant(), Some(TxnId(3)));
    assert_eq!(locks.next_grant(), Some(TxnId(4)));
    assert_eq!(locks.next_grant(), None);
    locks.release(TxnId(3));
    assert_eq!(locks.next_grant(), Some(TxnId(5)));
}

#[test]
fn a_late_number_goes_before_what_waits_and_is_refused_by_what_is_granted() {
    let mut locks = LockTable::default();
    assert_eq!(locks.schedule(TxnId(5), write(&[1]), false), GRANTED);
    assert_eq!(locks.schedule(TxnId(9), write(&[1, 2]), false), QUEUED);
    assert_eq!(locks.schedule(TxnId(4), read(&[1]), false), LATE);
    assert_eq!(locks.schedule(TxnId(8), write(&[2]), false), GRANTED);
    locks.release(TxnId(5));
    assert_eq!(locks.next_grant(), None, "9 waits for the late 8 as well");
    locks.release(TxnId(8));
    assert_eq!(locks.next_grant(), Some(TxnId(9)));
}

#[test]
fn priority_waits_for_what_is_there_and_turns_away_what_comes() {
    let mut locks = LockTable::default();
    assert_eq!(locks.schedule(TxnId(10), write(&[1]), false), GRANTED);
    assert_eq!(locks.schedule(TxnId(11), write(&[1]), false), QUEUED);
    assert_eq!(locks.schedule(TxnId(3), write(&[1, 2]), true), QUEUED);
    assert_eq!(locks.schedule(TxnId(12), read(&[2]), false), Verdict::Refused(Refusal::Busy(TxnId(3))));
    assert_eq!(locks.schedule(TxnId(13), read(&[3]), false), GRANTED);
    locks.release(TxnId(10));
    assert_eq!(locks.next_grant(), Some(TxnId(11)));
    assert_eq!(locks.next_grant(), None);
    locks.release(TxnId(11));
    assert_eq!(locks.next_grant(), Some(TxnId(3)));
}

#[test]
fn the_whole_shard_excludes_what_it_must() {
    let mut locks = LockTable::default();
    assert_eq!(locks.schedule(TxnId(1), read(&[1]), false), GRANTED);
    assert_eq!(locks.schedule(TxnId(2), Claim::whole(Mode::Shared), false), GRANTED);
    assert_eq!(locks.schedule(TxnId(3), write(&[2]), false), QUEUED);
    assert_eq!(locks.schedule(TxnId(4), Claim::whole(Mode::Exclusive), false), QUEUED);
    assert_eq!(locks.schedule(TxnId(5), read(&[2]), false), QUEUED);
    assert!(locks.blocks(77, Mode::Exclusive) && !locks.blocks(77, Mode::Shared));
    assert!(!locks.blocks_whole(Mode::Shared) && locks.blocks_whole(Mode::Exclusive));
    locks.release(TxnId(2));
    assert_eq!(locks.next_grant(), Some(TxnId(3)));
    assert!(locks.blocks_whole(Mode::Shared));
    locks.release(TxnId(1));
    locks.release(TxnId(3));
    assert_eq!(locks.next_grant(), Some(TxnId(4)));
    assert!(locks.blocks(5, Mode::Shared));
    locks.release(TxnId(4));
    assert_eq!(locks.next_grant(), Some(TxnId(5)));
    locks.release(TxnId(5));
    assert!(!locks.any_held() && locks.key_count() == 0 && locks.granted_count() == 0);
}

#[test]
fn a_cancelled_claim_frees_those_behind_it() {
    let mut locks = LockTable::default();
    assert_eq!(locks.schedule(TxnId(1), read(&[1]), false), GRANTED);
    assert_eq!(locks.schedule(TxnId(2), write(&[1]), false), QUEUED);
    assert_eq!(locks.schedule(TxnId(3), read(&[1]), false), QUEUED);
    locks.release(TxnId(2));
    assert_eq!(locks.next_grant(), Some(TxnId(3)));
    assert_eq!(locks.release(TxnId(2)), None);
}

#[test]
fn a_claim_keeps_the_stronger_mode_of_a_key() {
    let both = claim(&[(4, Mode::Shared), (4, Mode::Exclusive), (2, Mode::Shared)]);
    assert_eq!(both.keys(), [(2, Mode::Shared), (4, Mode::Exclusive)]);
    let mut whole = both;
    whole.add_whole(Mode::Shared);
    assert_eq!(whole, Claim::whole(Mode::Exclusive));
}

/// Whether two claims may not be held together, from their definition.
fn conflict(a: &Claim, b: &Claim) -> bool {
    if a.is_whole() || b.is_whole() {
        return a.mode() == Mode::Exclusive || b.mode() == Mode::Exclusive;
    }
    let clash = |x: &(LockKey, Mode)| b.keys().iter().any(|y| x.0 == y.0 && x.1.max(y.1) == Mode::Exclusive);
    a.keys().iter().any(clash)
}

fn any_claim() -> impl Strategy<Value = Claim> {
    let mode = prop_oneof![Just(Mode::Shared), Just(Mode::Exclusive)];
    let keys = proptest::collection::vec((0..4u64, mode.clone()), 1..4).prop_map(|keys| claim(&keys));
    prop_oneof![8 => keys, 1 => mode.prop_map(Claim::whole)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Numbers arrive in random order; now and then a claim is released or cancelled.
    #[test]
    fn granted_claims_never_conflict_and_all_end(
        steps in proptest::collection::vec((any_claim(), 0..6u64, 0..4usize), 1..40),
    ) {
        let mut locks = LockTable::default();
        let mut here: Vec<(TxnId, Claim, bool)> = Vec::new();
        for (number, (claim, jitter, releases)) in steps.into_iter().enumerate() {
            let id = TxnId((number as u64 * 4 + jitter * 8) << 8 | number as u64);
            match locks.schedule(id, claim.clone(), false) {
                Verdict::Granted => here.push((id, claim, true)),
                Verdict::Queued => {
                    prop_assert!(here.iter().any(|(other, c, _)| *other < id && conflict(c, &claim)));
                    here.push((id, claim, false));
                }
                Verdict::Refused(why) => {
                    prop_assert_eq!(why, Refusal::Late);
                    prop_assert!(here.iter().any(|(other, c, granted)| *granted && *other > id && conflict(c, &claim)));
                }
            }
            for _ in 0..releases.min(here.len()).saturating_sub(1) {
                let (id, ..) = here.remove(number % here.len());
                locks.release(id);
            }
            settle(&mut locks, &mut here)?;
        }
        while let Some(at) = here.iter().position(|(.., granted)| *granted) {
            let (id, ..) = here.remove(at);
            locks.release(id);
            settle(&mut locks, &mut here)?;
        }
        prop_assert!(here.is_empty() && !locks.any_held() && locks.key_count() == 0);
    }
}

fn settle(locks: &mut LockTable, here: &mut [(TxnId, Claim, bool)]) -> Result<(), TestCaseError> {
    while let Some(id) = locks.next_grant() {
        let txn = here.iter_mut().find(|(other, ..)| *other == id);
        txn.expect("only what is here is granted").2 = true;
    }
    for (i, (_, a, a_granted)) in here.iter().enumerate() {
        for (_, b, b_granted) in &here[i + 1..] {
            prop_assert!(!(*a_granted && *b_granted && conflict(a, b)), "{a:?} and {b:?} are held together");
        }
    }
    for (id, claim, granted) in here.iter() {
        let blocked = here.iter().any(|(other, c, _)| other < id && conflict(c, claim));
        prop_assert!(*granted || blocked, "{claim:?} waits for nothing");
    }
    Ok(())
}
