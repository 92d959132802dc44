// SPDX-License-Identifier: GPL-2.0

extern crate std;

use super::*;
use crate::{
    store::testing::{fail_after, Std},
    testing::{cases, length},
};
use proptest::prelude::*;
use std::{collections::BTreeSet, vec::Vec};

/// The slow and obvious one: edges alone.
#[derive(Default)]
struct Model(BTreeSet<(Id, Id)>);

impl Model {
    fn needs(&self, from: Id, to: Id) -> bool {
        let mut seen = BTreeSet::from([from]);
        let mut queue = std::vec![from];
        while let Some(at) = queue.pop() {
            if at == to {
                return true;
            }
            queue.extend(
                self.0
                    .iter()
                    .filter(|(a, b)| *a == at && seen.insert(*b))
                    .map(|(_, b)| *b),
            );
        }
        false
    }
}

fn ordered(graph: &Graph<Std>, model: &Model) {
    let order: Vec<Id> = graph.order().collect();
    let place = |id| order.iter().position(|at| *at == id).unwrap();
    for (from, to) in &model.0 {
        assert!(place(*to) < place(*from), "{from} needs {to}: {order:?}");
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn the_order_holds_and_cycles_are_found(edges in proptest::collection::vec((0..12u64, 0..12u64, proptest::option::of(0..40usize)), 0..length(60))) {
        let (mut graph, mut model) = (Graph::<Std>::new(), Model::default());
        (0..12).for_each(|id| graph.add(id).unwrap());
        for (from, to, fail) in edges {
            fail_after(fail);
            let result = graph.need(from, to);
            fail_after(None);
            match result {
                Ok(()) => {
                    prop_assert!(!model.needs(to, from));
                    model.0.insert((from, to));
                }
                Err(Refused::Cycle(path)) => {
                    prop_assert!(model.needs(to, from));
                    prop_assert_eq!(path[0], from);
                    // Every step but the refused one exists, and the last leads to the first.
                    for step in path.windows(2).skip(1) {
                        prop_assert!(model.0.contains(&(step[0], step[1])));
                    }
                    if path.len() > 1 {
                        prop_assert_eq!(path[1], to);
                        prop_assert!(model.0.contains(&(path[path.len() - 1], from)));
                    }
                }
                Err(Refused::NoMemory) => prop_assert!(fail.is_some()),
                Err(Refused::Unknown) => prop_assert!(false),
            }
            ordered(&graph, &model);
        }
    }
}

#[test]
fn a_vertex_goes_with_its_needs() {
    let mut graph = Graph::<Std>::new();
    (1..=3).for_each(|id| graph.add(id).unwrap());
    assert!(graph.need(1, 3).is_ok());
    assert!(graph.need(2, 3).is_ok());
    assert_eq!(graph.dependent(3), Some(1));
    assert_eq!(graph.drop_need(1), Some(3));
    assert_eq!(graph.drop_need(1), None);
    graph.remove(1);
    assert!(graph.is_needed(3));
    assert_eq!(graph.order().collect::<Vec<_>>(), [3, 2]);
}

#[test]
fn what_is_not_known_cannot_be_needed() {
    let mut graph = Graph::<Std>::new();
    graph.add(1).unwrap();
    assert!(matches!(graph.need(1, 2), Err(Refused::Unknown)));
}
