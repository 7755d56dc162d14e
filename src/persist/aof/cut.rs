//! Where recovery cuts each shard's log: at the first cross-shard transaction that is not whole, so that none is ever
//! half there. Only counts; reads no file.

use hashbrown::HashMap;

/// A transaction's part in one shard's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The transaction.
    pub id: u64,
    /// Shards that must have a part of it.
    pub shards: Vec<u16>,
}

/// The parts of each shard's log, in order, as far as the logs are whole. Answers how many of them survive on each
/// shard: the log ends before the first one that does not.
///
/// A transaction is whole if each of its shards still has its part. Cutting a log takes away whatever follows in it,
/// which may leave other transactions incomplete; so until nothing changes any more. Only work that was never
/// acknowledged goes: a reply leaves once everything that it saw is durable on every shard.
pub fn survivors(logs: &[Vec<Part>]) -> Vec<usize> {
    let mut kept: Vec<usize> = logs.iter().map(Vec::len).collect();
    let mut position: HashMap<(u16, u64), usize> = HashMap::new();
    for (shard, log) in logs.iter().enumerate() {
        for (at, part) in log.iter().enumerate() {
            position.entry((shard as u16, part.id)).or_insert(at);
        }
    }
    let whole = |part: &Part, kept: &[usize]| {
        part.shards.iter().all(|shard| {
            let limit = kept.get(*shard as usize).copied().unwrap_or(0);
            position.get(&(*shard, part.id)).is_some_and(|at| *at < limit)
        })
    };
    loop {
        let mut changed = false;
        for (shard, log) in logs.iter().enumerate() {
            let first = log[..kept[shard]].iter().position(|part| !whole(part, &kept));
            if let Some(first) = first {
                kept[shard] = first;
                changed = true;
            }
        }
        if !changed {
            return kept;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(id: u64, shards: &[u16]) -> Part {
        Part { id, shards: shards.to_vec() }
    }

    #[test]
    fn a_missing_part_cuts_what_depends_on_it() {
        // 1 is whole; 2 lacks its part on shard 1; 3 comes after 2 on shard 0, so it goes, and on shard 2 with it.
        let logs = vec![
            vec![part(1, &[0, 1]), part(2, &[0, 1]), part(3, &[0, 2])],
            vec![part(1, &[0, 1])],
            vec![part(3, &[0, 2]), part(4, &[2])],
        ];
        assert_eq!(survivors(&logs), [1, 1, 0]);
    }

    #[test]
    fn whole_logs_stay_whole_and_unknown_shards_are_missing_ones() {
        assert_eq!(survivors(&[vec![part(1, &[0, 1])], vec![part(1, &[0, 1])]]), [1, 1]);
        assert_eq!(survivors(&[vec![part(1, &[0, 9])]]), [0]);
        assert_eq!(survivors(&[vec![], vec![]]), [0, 0]);
    }

    proptest! {
        /// Transactions over random shards, each shard's log cut anywhere: what survives is whole, nothing before the
        /// cut that is whole was given up without need, and a cut that loses nothing keeps everything.
        #[test]
        fn nothing_is_half_there(
            all in proptest::collection::vec(proptest::collection::btree_set(0u16..4, 1..4), 0..30),
            cuts in proptest::collection::vec(0usize..31, 4),
        ) {
            let mut logs = vec![Vec::new(); 4];
            for (id, shards) in all.iter().enumerate() {
                let shards: Vec<u16> = shards.iter().copied().collect();
                for shard in &shards {
                    logs[*shard as usize].push(part(id as u64, &shards));
                }
            }
            prop_assert_eq!(survivors(&logs), logs.iter().map(Vec::len).collect::<Vec<_>>());
            let cut = |(log, cut): (&Vec<Part>, &usize)| log[..(*cut).min(log.len())].to_vec();
            let torn: Vec<Vec<Part>> = logs.iter().zip(&cuts).map(cut).collect();
            let kept = survivors(&torn);
            let there = |shard: u16, id: u64| torn[shard as usize][..kept[shard as usize]].iter().any(|p| p.id == id);
            for (log, kept) in torn.iter().zip(&kept) {
                for part in &log[..*kept] {
                    prop_assert!(part.shards.iter().all(|shard| there(*shard, part.id)));
                }
                if let Some(first) = log.get(*kept) {
                    prop_assert!(!first.shards.iter().all(|shard| there(*shard, first.id)));
                }
            }
        }
    }
}
