//! Which operation has to come before which, and why; a cycle is the proof that no serial order explains a history.
//! Names the cycles as Adya (1999) and Elle (Kingsbury and Alvaro, 2020) do. Knows no values.

use super::op::{Anomaly, Op, Outcome};
use std::collections::{HashMap, VecDeque};

/// Why one operation precedes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// It wrote the version that the other replaced.
    Ww,
    /// It wrote the version that the other read.
    Wr,
    /// It read the version that the other replaced.
    Rw,
    /// It had ended when the other began, or stood before it in a pipeline.
    Rt,
}

/// The first `ops` nodes are operations, the rest points in time.
#[derive(Debug)]
pub struct Graph {
    ops: usize,
    edges: Vec<Vec<(usize, Edge)>>,
}

impl Graph {
    /// The operations of a history, ordered by real time only.
    pub fn of(history: &[Op]) -> Graph {
        let mut graph = Graph { ops: history.len(), edges: vec![Vec::new(); history.len()] };
        let mut times: Vec<(u64, bool, usize)> = Vec::new();
        for (index, op) in history.iter().enumerate().filter(|(_, op)| op.outcome != Outcome::Failed) {
            times.push((op.start, false, index));
            if op.end != u64::MAX {
                times.push((op.end, true, index));
            }
        }
        times.sort_unstable();
        let mut latest = None;
        for (_, is_end, op) in times {
            if !is_end {
                if let Some(point) = latest {
                    graph.add(point, op, Edge::Rt);
                }
                continue;
            }
            let point = graph.edges.len();
            graph.edges.push(Vec::new());
            graph.add(op, point, Edge::Rt);
            if let Some(before) = latest.replace(point) {
                graph.add(before, point, Edge::Rt);
            }
        }
        graph.add_lines(history);
        graph
    }

    /// What a client sent in one pipeline, in order.
    fn add_lines(&mut self, history: &[Op]) {
        let mut lines: HashMap<(usize, usize), Vec<usize>> = HashMap::new();
        for (index, op) in history.iter().enumerate().filter(|(_, op)| op.outcome != Outcome::Failed) {
            let Some(line) = op.line else { continue };
            let before = lines.entry((op.client, line.number)).or_default();
            before
                .iter()
                .filter(|other| history[**other].leads(op))
                .for_each(|other| self.add(*other, index, Edge::Rt));
            before.push(index);
        }
    }

    /// `from` precedes `to`; nothing happens if they are the same.
    pub fn add(&mut self, from: usize, to: usize, edge: Edge) {
        if from != to && !self.edges[from].contains(&(to, edge)) {
            self.edges[from].push((to, edge));
        }
    }

    /// The most specific cycle there is.
    pub fn check(&self, history: &[Op]) -> Result<(), Anomaly> {
        for real_time in [false, true] {
            let suffix = if real_time { "-realtime" } else { "" };
            let allowed =
                |edges: &'static [Edge]| move |edge: Edge| edges.contains(&edge) || (real_time && edge == Edge::Rt);
            let found = (self.cycle(allowed(&[Edge::Ww])).map(|c| ("G0", c)))
                .or_else(|| self.cycle(allowed(&[Edge::Ww, Edge::Wr])).map(|c| ("G1c", c)))
                .or_else(|| self.single_rw(allowed(&[Edge::Ww, Edge::Wr])).map(|c| ("G-single", c)))
                .or_else(|| self.cycle(allowed(&[Edge::Ww, Edge::Wr, Edge::Rw])).map(|c| ("G2", c)));
            if let Some((name, cycle)) = found {
                return Err(Anomaly::new(&format!("{name}{suffix}"), self.tell(&cycle, history)));
            }
        }
        Ok(())
    }

    /// A short cycle over allowed edges, as its nodes with the edge that leaves each.
    fn cycle(&self, allowed: impl Fn(Edge) -> bool) -> Option<Vec<(usize, Edge)>> {
        let component = self.components(&allowed);
        let mut size: HashMap<usize, usize> = HashMap::new();
        component.iter().for_each(|c| *size.entry(*c).or_default() += 1);
        let start = (0..self.ops).find(|node| size[&component[*node]] > 1)?;
        let inside = |node: usize, edge: Edge| allowed(edge) && component[node] == component[start];
        self.path(start, start, inside)
    }

    /// A cycle with one `Rw` edge, the rest allowed ones.
    fn single_rw(&self, allowed: impl Fn(Edge) -> bool) -> Option<Vec<(usize, Edge)>> {
        let component = self.components(&|edge| edge == Edge::Rw || allowed(edge));
        for from in 0..self.ops {
            for (to, _) in self.edges[from].iter().filter(|(_, edge)| *edge == Edge::Rw) {
                if component[from] != component[*to] {
                    continue;
                }
                let inside = |node: usize, edge: Edge| allowed(edge) && component[node] == component[from];
                if let Some(mut path) = self.path(*to, from, inside) {
                    path.insert(0, (from, Edge::Rw));
                    return Some(path);
                }
            }
        }
        None
    }

    /// The shortest way of at least one edge from one node to another.
    fn path(&self, from: usize, to: usize, allowed: impl Fn(usize, Edge) -> bool) -> Option<Vec<(usize, Edge)>> {
        let mut came: HashMap<usize, (usize, Edge)> = HashMap::new();
        let mut queue = VecDeque::from([from]);
        while let Some(node) = queue.pop_front() {
            for (next, edge) in &self.edges[node] {
                if !allowed(*next, *edge) || came.contains_key(next) {
                    continue;
                }
                came.insert(*next, (node, *edge));
                if *next == to {
                    let mut path = vec![came[&to]];
                    while path[0].0 != from {
                        path.insert(0, came[&path[0].0]);
                    }
                    return Some(path);
                }
                queue.push_back(*next);
            }
        }
        None
    }

    /// Tarjan's strongly connected components (1972), without recursion: by node, the number of its component.
    fn components(&self, allowed: &impl Fn(Edge) -> bool) -> Vec<usize> {
        const UNSEEN: usize = usize::MAX;
        let count = self.edges.len();
        let (mut index, mut low) = (vec![UNSEEN; count], vec![0; count]);
        let (mut component, mut stack, mut next_index) = (vec![UNSEEN; count], Vec::new(), 0);
        for root in 0..count {
            if index[root] != UNSEEN {
                continue;
            }
            let mut calls = vec![(root, 0)];
            while let Some((node, at)) = calls.pop() {
                if at == 0 {
                    (index[node], low[node]) = (next_index, next_index);
                    next_index += 1;
                    stack.push(node);
                }
                let mut descended = false;
                for (i, (next, edge)) in self.edges[node].iter().enumerate().skip(at) {
                    if !allowed(*edge) {
                        continue;
                    }
                    if index[*next] == UNSEEN {
                        calls.push((node, i + 1));
                        calls.push((*next, 0));
                        descended = true;
                        break;
                    }
                    if component[*next] == UNSEEN {
                        low[node] = low[node].min(index[*next]);
                    }
                }
                if descended {
                    continue;
                }
                if low[node] == index[node] {
                    while let Some(member) = stack.pop() {
                        component[member] = node;
                        if member == node {
                            break;
                        }
                    }
                }
                if let Some((parent, _)) = calls.last() {
                    low[*parent] = low[*parent].min(low[node]);
                }
            }
        }
        component
    }

    /// A cycle for people.
    fn tell(&self, cycle: &[(usize, Edge)], history: &[Op]) -> String {
        let mut lines = Vec::new();
        for (node, edge) in cycle.iter().filter(|(node, _)| *node < self.ops) {
            lines.push(format!("{}\n  {edge:?} ->", history[*node].text()));
        }
        lines.push("the first again".into());
        lines.join("\n")
    }
}
