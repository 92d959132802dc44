// SPDX-License-Identifier: GPL-2.0

//! Who needs whom, always in an order in which what is needed comes first.
//!
//! The order is kept as dependencies are added, after Pearce and Kelly ("A dynamic topological
//! sort algorithm for directed acyclic graphs", 2007): only what lies between the two ends of a
//! new dependency is looked at. One that points to something older costs no search at all, so
//! that thousands of participants do not cost their square.

use crate::store::{List, Map, NoMemory, Store};

/// A participant, by number; a later one has a greater number.
pub type Id = u64;

struct Vertex<S: Store> {
    rank: u64,
    needs: S::Map<Id, ()>,
    needed_by: S::Map<Id, ()>,
}

/// Why a dependency is refused.
pub enum Refused<S: Store> {
    /// It would close a circle: each of these needs the next, and the last needs the first.
    Cycle(S::List<Id>),
    /// An end of it is not known.
    Unknown,
    /// No memory.
    NoMemory,
}

impl<S: Store> From<NoMemory> for Refused<S> {
    fn from(_: NoMemory) -> Self {
        Refused::NoMemory
    }
}

/// The dependencies.
pub struct Graph<S: Store> {
    vertices: S::Map<Id, Vertex<S>>,
    /// The order: what is needed has the smaller rank.
    ranks: S::Map<u64, Id>,
    last_rank: u64,
}

impl<S: Store> Graph<S> {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            vertices: Map::new(),
            ranks: Map::new(),
            last_rank: 0,
        }
    }

    /// A new vertex, last in the order.
    pub fn add(&mut self, id: Id) -> Result<(), NoMemory> {
        let rank = self.last_rank.saturating_add(1);
        let vertex = Vertex {
            rank,
            needs: Map::new(),
            needed_by: Map::new(),
        };
        self.vertices.insert(id, vertex)?;
        if let Err(err) = self.ranks.insert(rank, id) {
            self.vertices.remove(&id);
            return Err(err);
        }
        self.last_rank = rank;
        Ok(())
    }

    /// Whether somebody needs it.
    pub fn is_needed(&self, id: Id) -> bool {
        self.vertices
            .get(&id)
            .is_some_and(|vertex| vertex.needed_by.first().is_some())
    }

    /// What it needs.
    pub fn needs(&self, id: Id) -> impl Iterator<Item = Id> + '_ {
        self.vertices
            .get(&id)
            .into_iter()
            .flat_map(|vertex| vertex.needs.iter().map(|(id, ())| *id))
    }

    /// One of those that need it.
    pub fn dependent(&self, id: Id) -> Option<Id> {
        let (dependent, ()) = self.vertices.get(&id)?.needed_by.first()?;
        Some(*dependent)
    }

    /// One thing that it needs and now needs no longer.
    pub fn drop_need(&mut self, id: Id) -> Option<Id> {
        let vertex = self.vertices.get_mut(&id)?;
        let need = *vertex.needs.first()?.0;
        vertex.needs.remove(&need);
        if let Some(needed) = self.vertices.get_mut(&need) {
            needed.needed_by.remove(&id);
        }
        Some(need)
    }

    /// Takes a vertex out that neither needs nor is needed.
    pub fn remove(&mut self, id: Id) {
        if let Some(vertex) = self.vertices.remove(&id) {
            self.ranks.remove(&vertex.rank);
        }
    }

    /// All, what is needed before what needs it.
    pub fn order(&self) -> impl Iterator<Item = Id> + '_ {
        self.ranks.iter().map(|(_, id)| *id)
    }

    fn rank(&self, id: Id) -> Option<u64> {
        self.vertices.get(&id).map(|vertex| vertex.rank)
    }

    /// `id` needs `on`. Nothing has changed if that is refused.
    pub fn need(&mut self, id: Id, on: Id) -> Result<(), Refused<S>> {
        let (low, high) = match (self.rank(id), self.rank(on)) {
            (Some(low), Some(high)) => (low, high),
            _ => return Err(Refused::Unknown),
        };
        if id == on {
            let mut path = <S::List<Id> as List<Id>>::new();
            path.push(id)?;
            return Err(Refused::Cycle(path));
        }
        let known = self.vertices.get(&id).map(|vertex| vertex.needs.get(&on));
        if let Some(Some(())) = known {
            return Ok(());
        }
        if low < high {
            self.reorder(id, low, on, high)?;
        }
        let vertex = self.vertices.get_mut(&id).ok_or(Refused::Unknown)?;
        vertex.needs.insert(on, ())?;
        let needed = self.vertices.get_mut(&on).ok_or(Refused::Unknown)?;
        if let Err(err) = needed.needed_by.insert(id, ()) {
            if let Some(vertex) = self.vertices.get_mut(&id) {
                vertex.needs.remove(&on);
            }
            return Err(err.into());
        }
        Ok(())
    }

    /// Moves `on`, and what it needs, before `id` and those that need it.
    fn reorder(&mut self, id: Id, low: u64, on: Id, high: u64) -> Result<(), Refused<S>> {
        let after = self.reach(id, |vertex| &vertex.needed_by, |rank| rank <= high)?;
        if after.get(&on).is_some() {
            return Err(Refused::Cycle(path_back::<S>(&after, id, on)?));
        }
        let before = self.reach(on, |vertex| &vertex.needs, |rank| rank >= low)?;

        // Both in their old order; together they share out the ranks that they had.
        let before = self.by_rank(&before)?;
        let after = self.by_rank(&after)?;
        let mut ranks = <S::Map<u64, ()> as Map<u64, ()>>::new();
        for (rank, _) in before.iter().chain(after.iter()) {
            ranks.insert(*rank, ())?;
        }
        let moved = before.iter().chain(after.iter());
        for ((_, id), (rank, ())) in moved.zip(ranks.iter()) {
            if let Some(vertex) = self.vertices.get_mut(id) {
                vertex.rank = *rank;
            }
            // The rank is there already, so that this replaces a value and needs no memory.
            if let Some(place) = self.ranks.get_mut(rank) {
                *place = *id;
            }
        }
        Ok(())
    }

    fn by_rank(&self, set: &S::Map<Id, Id>) -> Result<S::Map<u64, Id>, Refused<S>> {
        let mut sorted = <S::Map<u64, Id> as Map<u64, Id>>::new();
        for (id, _) in set.iter() {
            sorted.insert(self.rank(*id).ok_or(Refused::Unknown)?, *id)?;
        }
        Ok(sorted)
    }

    /// What can be reached from `start` within these ranks, each with the one it was reached from.
    fn reach(
        &self,
        start: Id,
        next: impl Fn(&Vertex<S>) -> &S::Map<Id, ()>,
        within: impl Fn(u64) -> bool,
    ) -> Result<S::Map<Id, Id>, NoMemory> {
        let mut found = <S::Map<Id, Id> as Map<Id, Id>>::new();
        let mut queue = <S::List<Id> as List<Id>>::new();
        found.insert(start, start)?;
        queue.push(start)?;
        let mut at = 0usize;
        while let Some(id) = queue.as_slice().get(at).copied() {
            at = at.saturating_add(1);
            let Some(vertex) = self.vertices.get(&id) else {
                continue;
            };
            for (other, ()) in next(vertex).iter() {
                if found.get(other).is_none() && self.rank(*other).is_some_and(&within) {
                    found.insert(*other, id)?;
                    queue.push(*other)?;
                }
            }
        }
        Ok(found)
    }
}

impl<S: Store> Default for Graph<S> {
    fn default() -> Self {
        Self::new()
    }
}

/// From `id` over `on`, which it wants to need, back to what needs `id`.
fn path_back<S: Store>(
    reached_from: &S::Map<Id, Id>,
    id: Id,
    on: Id,
) -> Result<S::List<Id>, NoMemory> {
    let mut path = <S::List<Id> as List<Id>>::new();
    path.push(id)?;
    let mut at = on;
    while at != id {
        path.push(at)?;
        at = reached_from.get(&at).copied().unwrap_or(id);
    }
    Ok(path)
}

#[cfg(test)]
#[path = "graph/tests.rs"]
mod tests;
