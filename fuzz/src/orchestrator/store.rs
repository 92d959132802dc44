//! Containers for the core, with a memory that can run out. Its own tests have such ones too; they are not of its
//! public interface, and only that is used here.

use std::cell::Cell;
use std::collections::BTreeMap;

use kmod_core::store::{List, Map, NoMemory, Store};

thread_local! {
    static LEFT: Cell<Option<u8>> = const { Cell::new(None) };
    static STARVED: Cell<bool> = const { Cell::new(false) };
}

/// The allocation after so many fails, once.
pub(super) fn fail_after(allocations: Option<u8>) {
    LEFT.set(allocations);
    STARVED.set(false);
}

/// Whether it has; from now on memory is enough.
pub(super) fn starved() -> bool {
    LEFT.set(None);
    STARVED.get()
}

fn allocate() -> Result<(), NoMemory> {
    if LEFT.get() == Some(0) {
        LEFT.set(None);
        STARVED.set(true);
        return Err(NoMemory);
    }
    LEFT.set(LEFT.get().map(|left| left - 1));
    Ok(())
}

/// The family.
pub(super) struct Std;

impl Store for Std {
    type List<T> = Array<T>;
    type Map<K: Ord, V> = Tree<K, V>;
}

pub(super) struct Array<T>(Vec<T>);

impl<T> List<T> for Array<T> {
    fn new() -> Self {
        Self(Vec::new())
    }
    fn push(&mut self, value: T) -> Result<(), NoMemory> {
        allocate()?;
        self.0.push(value);
        Ok(())
    }
    fn as_slice(&self) -> &[T] {
        &self.0
    }
    fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.0
    }
}

pub(super) struct Tree<K, V>(BTreeMap<K, V>);

impl<K: Ord, V> Map<K, V> for Tree<K, V> {
    fn new() -> Self {
        Self(BTreeMap::new())
    }
    fn insert(&mut self, key: K, value: V) -> Result<(), NoMemory> {
        allocate()?;
        self.0.insert(key, value);
        Ok(())
    }
    fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key)
    }
    fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.0.get_mut(key)
    }
    fn remove(&mut self, key: &K) -> Option<V> {
        self.0.remove(key)
    }
    fn first(&self) -> Option<(&K, &V)> {
        self.0.first_key_value()
    }
    fn iter<'a>(&'a self) -> impl Iterator<Item = (&'a K, &'a V)>
    where
        K: 'a,
        V: 'a,
    {
        self.0.iter()
    }
    fn iter_mut<'a>(&'a mut self) -> impl Iterator<Item = (&'a K, &'a mut V)>
    where
        K: 'a,
        V: 'a,
    {
        self.0.iter_mut()
    }
}
