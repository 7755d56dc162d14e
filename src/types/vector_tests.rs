//! Vector sets against brute force, through additions, updates and removals.

use super::*;
use crate::base::stats::Random;
use std::collections::BTreeMap;

fn shape(dim: usize, quant: Quant) -> Shape {
    Shape { dim, quant, links: 16, input: None }
}

/// A vector near one of a few centres, as embeddings are.
fn vector(dice: &mut Random, dim: usize) -> Vec<f32> {
    let mut centre = Random::new(dice.below(20) + 1);
    let part = |dice: &mut Random| dice.below(2001) as f32 / 1000.0 - 1.0;
    (0..dim).map(|_| part(&mut centre) + part(dice) * 0.6).collect()
}

fn filled(count: usize, dim: usize, quant: Quant) -> (VectorSet, Random) {
    let mut set = VectorSet::new(shape(dim, quant), 7);
    let mut dice = Random::new(42);
    for n in 0..count {
        assert!(set.add(format!("e{n}").as_bytes(), vector(&mut dice, dim), None, 100));
    }
    (set, dice)
}

fn names<'a>(found: impl Iterator<Item = Found<'a>>) -> Vec<Vec<u8>> {
    found.map(|found| found.name.to_vec()).collect()
}

/// Share of the true ten nearest that the graph finds.
fn recall(set: &VectorSet, dice: &mut Random, ef: usize) -> f64 {
    let (mut hits, rounds) = (0, 50);
    for _ in 0..rounds {
        let query = vector(dice, set.shape().dim);
        let truth = names(set.search(query.clone(), Way::All { count: 10 }, |_| true));
        let found = names(set.search(query, Way::Graph { ef, steps_max: usize::MAX }, |_| true).take(10));
        hits += found.iter().filter(|name| truth.contains(name)).count();
    }
    hits as f64 / (rounds * 10) as f64
}

/// Every link goes both ways, once, to a node that has the layer.
fn check_links(set: &VectorSet) {
    let graph = &set.graph;
    let mut taken = 0;
    for slot in graph.taken() {
        taken += 1;
        assert_eq!(set.slot(&graph.node(slot).name), Some(slot));
        for layer in 0..=graph.level(slot) {
            let links = graph.links(slot, layer);
            assert!(links.len() <= graph.links_max(layer));
            for (at, other) in links.iter().enumerate() {
                assert!(*other != slot && !links[..at].contains(other));
                assert!(graph.level(*other) >= layer && graph.links(*other, layer).contains(&slot));
            }
        }
    }
    assert_eq!(taken, set.len());
}

#[test]
fn finds_nearly_all_of_the_nearest() {
    for (quant, least) in [(Quant::F32, 0.97), (Quant::Q8, 0.97), (Quant::Bin, 0.8)] {
        let (set, mut dice) = filled(1500, 24, quant);
        check_links(&set);
        let recall = recall(&set, &mut dice, 100);
        assert!(recall >= least, "{quant:?}: {recall}");
    }
}

#[test]
fn quantized_vectors_find_nearly_the_same() {
    let (exact, mut dice) = filled(500, 48, Quant::F32);
    let (bytes, _) = filled(500, 48, Quant::Q8);
    let query = vector(&mut dice, 48);
    let ten = |set: &VectorSet| names(set.search(query.clone(), Way::All { count: 10 }, |_| true));
    let (exact, bytes) = (ten(&exact), ten(&bytes));
    assert!(exact.iter().filter(|name| bytes.contains(name)).count() >= 9);
}

#[test]
fn stays_whole_while_most_elements_leave() {
    let (mut set, mut dice) = filled(1200, 16, Quant::Q8);
    for n in (0..1200).filter(|n| n % 6 != 0) {
        assert!(set.remove(format!("e{n}").as_bytes()));
    }
    check_links(&set);
    assert_eq!(set.len(), 200);
    let recall = recall(&set, &mut dice, 100);
    assert!(recall > 0.97, "{recall}");
    for n in (0..1200).filter(|n| n % 6 == 0) {
        assert!(set.remove(format!("e{n}").as_bytes()));
    }
    assert!(set.is_empty() && set.level_max() == 0 && set.graph.entry.is_none());
    assert_eq!(set.text_bytes, 0);
    assert!(set.search(vec![1.0; 16], Way::Graph { ef: 10, steps_max: 10 }, |_| true).next().is_none());
}

#[test]
fn agrees_with_a_plain_map() {
    let mut dice = Random::new(3);
    let mut set = VectorSet::new(shape(6, Quant::F32), 9);
    type Element = (Vec<f32>, Option<Vec<u8>>);
    let mut model: BTreeMap<Vec<u8>, Element> = BTreeMap::new();
    for _ in 0..3000 {
        let name = format!("n{}", dice.below(150)).into_bytes();
        match dice.below(6) {
            0..3 => {
                let vector = vector(&mut dice, 6);
                let attributes = [None, Some(b"".to_vec()), Some(b"{}".to_vec())][dice.index(3)].clone();
                assert_eq!(set.add(&name, vector.clone(), attributes.as_deref(), 50), !model.contains_key(&name));
                let entry = model.entry(name).or_default();
                entry.0 = vector;
                if let Some(attributes) = attributes {
                    entry.1 = Some(attributes).filter(|text| !text.is_empty());
                }
            }
            3 => assert_eq!(
                set.set_attributes(&name, b"x"),
                match model.get_mut(&name) {
                    Some(entry) => {
                        entry.1 = Some(b"x".to_vec());
                        true
                    }
                    None => false,
                }
            ),
            _ => assert_eq!(set.remove(&name), model.remove(&name).is_some()),
        }
    }
    check_links(&set);
    assert_eq!(set.len(), model.len());
    assert_eq!(set.attributed(), model.values().filter(|entry| entry.1.is_some()).count());
    for (name, (vector, attributes)) in &model {
        let kept = set.vector(name).expect("an element");
        assert!(kept.iter().zip(vector).all(|(a, b)| (a - b).abs() < 1e-5));
        assert_eq!(set.attributes(name), attributes.as_deref());
    }
    let copy = set.clone();
    assert_eq!(copy, set);
    let first = model.keys().next().expect("some are left").clone();
    set.set_attributes(&first, b"other");
    assert_ne!(copy, set);
}

#[test]
fn filters_look_further() {
    let (mut set, mut dice) = filled(2000, 12, Quant::Q8);
    for n in (0..2000).step_by(20) {
        assert!(set.set_attributes(format!("e{n}").as_bytes(), b"wanted"));
    }
    let query = vector(&mut dice, 12);
    let wanted = |attributes: Option<&[u8]>| attributes == Some(b"wanted");
    let truth = names(set.search(query.clone(), Way::All { count: 10 }, wanted));
    let found = names(set.search(query.clone(), Way::Graph { ef: 100, steps_max: 2000 }, wanted).take(10));
    assert_eq!(truth.len(), 10);
    assert!(found.iter().filter(|name| truth.contains(name)).count() >= 9);
    let little = set.search(query, Way::Graph { ef: 100, steps_max: 3 }, wanted).count();
    assert!(little < 60, "three steps see few");
}

#[test]
fn odd_vectors_break_nothing() {
    let mut set = VectorSet::new(shape(3, Quant::F32), 1);
    let odd = [[0.0, 0.0, 0.0], [f32::INFINITY, 1.0, 0.0], [f32::MAX, f32::MAX, 0.0], [1e-30, 0.0, 0.0]];
    for n in 0..200 {
        set.add(format!("{n}").as_bytes(), odd[n % 4].to_vec(), None, 20);
        set.add(format!("good{n}").as_bytes(), vec![1.0, n as f32, 2.0], None, 20);
    }
    check_links(&set);
    let found = names(set.search(vec![1.0, 5.0, 2.0], Way::Graph { ef: 20, steps_max: usize::MAX }, |_| true).take(1));
    assert_eq!(found, [b"good5"]);
    for n in 0..200 {
        assert!(set.remove(format!("{n}").as_bytes()));
    }
    check_links(&set);
}

#[test]
fn links_are_shown_from_the_top() {
    let (set, _) = filled(300, 8, Quant::F32);
    let levels: Vec<usize> = set.names().map(|name| set.links(name).expect("an element").len()).collect();
    assert!(levels.iter().any(|layers| *layers > 1), "some nodes are tall");
    let links = set.links(b"e0").expect("an element");
    let nearest = links.last().expect("layer 0").iter().map(|found| found.distance).fold(2.0, f32::min);
    assert!(nearest < 0.5 && set.links(b"nobody").is_none());
}

#[test]
fn a_big_set_is_freed_in_steps() {
    let (mut set, _) = filled(3000, 64, Quant::F32);
    let bytes = set.heap_bytes();
    assert!(bytes > 3000 * (256 + 128) && bytes < 3000 * 800, "{bytes}");
    let mut steps = 1;
    while !set.free_step(100) {
        steps += 1;
    }
    assert!(steps > 10, "{steps}");
}
