// SPDX-License-Identifier: GPL-2.0

//! What the core keeps its data in: the kernel's containers there, the standard library's in
//! tests. Every way to grow can fail.

/// No memory for it; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory;

/// A growing array.
pub trait List<T> {
    /// An empty one.
    fn new() -> Self;
    /// Adds at the end.
    fn push(&mut self, value: T) -> Result<(), NoMemory>;
    /// What it holds.
    fn as_slice(&self) -> &[T];
    /// The same, to be changed.
    fn as_mut_slice(&mut self) -> &mut [T];
}

/// A sorted map.
pub trait Map<K: Ord, V> {
    /// An empty one.
    fn new() -> Self;
    /// Adds a pair; one with the same key is replaced.
    fn insert(&mut self, key: K, value: V) -> Result<(), NoMemory>;
    /// The value of this key.
    fn get(&self, key: &K) -> Option<&V>;
    /// The same, to be changed.
    fn get_mut(&mut self, key: &K) -> Option<&mut V>;
    /// Takes the value of this key out.
    fn remove(&mut self, key: &K) -> Option<V>;
    /// The pair with the smallest key.
    fn first(&self) -> Option<(&K, &V)>;
    /// All pairs, by ascending key.
    fn iter<'a>(&'a self) -> impl Iterator<Item = (&'a K, &'a V)>
    where
        K: 'a,
        V: 'a;
    /// All pairs, by ascending key, the values to be changed.
    fn iter_mut<'a>(&'a mut self) -> impl Iterator<Item = (&'a K, &'a mut V)>
    where
        K: 'a,
        V: 'a;
}

/// A family of containers.
pub trait Store {
    /// Its array.
    type List<T>: List<T>;
    /// Its map.
    type Map<K: Ord, V>: Map<K, V>;
}

/// The standard library's containers, with a memory that can run out.
#[cfg(test)]
pub mod testing {
    extern crate std;

    use super::{List, Map, NoMemory, Store};
    use core::cell::Cell;
    use std::{collections::BTreeMap, vec::Vec};

    std::thread_local! {
        static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// The allocation after so many fails, once.
    pub fn fail_after(allocations: Option<usize>) {
        LEFT.set(allocations);
    }

    fn allocate() -> Result<(), NoMemory> {
        match LEFT.get() {
            Some(0) => {
                LEFT.set(None);
                Err(NoMemory)
            }
            Some(left) => {
                LEFT.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The family.
    pub struct Std;

    impl Store for Std {
        type List<T> = Vec<T>;
        type Map<K: Ord, V> = BTreeMap<K, V>;
    }

    impl<T> List<T> for Vec<T> {
        fn new() -> Self {
            Vec::new()
        }
        fn push(&mut self, value: T) -> Result<(), NoMemory> {
            allocate()?;
            Vec::push(self, value);
            Ok(())
        }
        fn as_slice(&self) -> &[T] {
            self
        }
        fn as_mut_slice(&mut self) -> &mut [T] {
            self
        }
    }

    impl<K: Ord, V> Map<K, V> for BTreeMap<K, V> {
        fn new() -> Self {
            BTreeMap::new()
        }
        fn insert(&mut self, key: K, value: V) -> Result<(), NoMemory> {
            allocate()?;
            BTreeMap::insert(self, key, value);
            Ok(())
        }
        fn get(&self, key: &K) -> Option<&V> {
            BTreeMap::get(self, key)
        }
        fn get_mut(&mut self, key: &K) -> Option<&mut V> {
            BTreeMap::get_mut(self, key)
        }
        fn remove(&mut self, key: &K) -> Option<V> {
            BTreeMap::remove(self, key)
        }
        fn first(&self) -> Option<(&K, &V)> {
            self.first_key_value()
        }
        fn iter<'a>(&'a self) -> impl Iterator<Item = (&'a K, &'a V)>
        where
            K: 'a,
            V: 'a,
        {
            BTreeMap::iter(self)
        }
        fn iter_mut<'a>(&'a mut self) -> impl Iterator<Item = (&'a K, &'a mut V)>
        where
            K: 'a,
            V: 'a,
        {
            BTreeMap::iter_mut(self)
        }
    }
}
