// SPDX-License-Identifier: GPL-2.0

//! The kernel's containers for the core.

use crate::{
    kho::fallible_step,
    store::{List, Map, NoMemory, Store},
};
use kernel::{prelude::*, rbtree::RBTree};

/// The family: growing arrays and red-black trees.
pub(crate) struct Kernel;

impl Store for Kernel {
    type List<T> = KVVec<T>;
    type Map<K: Ord, V> = RBTree<K, V>;
}

impl<T> List<T> for KVVec<T> {
    fn new() -> Self {
        KVVec::new()
    }

    fn push(&mut self, value: T) -> Result<(), NoMemory> {
        fallible_step().map_err(|_| NoMemory)?;
        KVVec::push(self, value, GFP_KERNEL).map_err(|_| NoMemory)
    }

    fn as_slice(&self) -> &[T] {
        self
    }

    fn as_mut_slice(&mut self) -> &mut [T] {
        self
    }
}

impl<K: Ord, V> Map<K, V> for RBTree<K, V> {
    fn new() -> Self {
        RBTree::new()
    }

    fn insert(&mut self, key: K, value: V) -> Result<(), NoMemory> {
        fallible_step().map_err(|_| NoMemory)?;
        match self.try_create_and_insert(key, value, GFP_KERNEL) {
            Ok(_) => Ok(()),
            Err(_) => Err(NoMemory),
        }
    }

    fn get(&self, key: &K) -> Option<&V> {
        RBTree::get(self, key)
    }

    fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        RBTree::get_mut(self, key)
    }

    fn remove(&mut self, key: &K) -> Option<V> {
        RBTree::remove(self, key)
    }

    fn first(&self) -> Option<(&K, &V)> {
        RBTree::iter(self).next()
    }

    fn iter<'a>(&'a self) -> impl Iterator<Item = (&'a K, &'a V)>
    where
        K: 'a,
        V: 'a,
    {
        RBTree::iter(self)
    }

    fn iter_mut<'a>(&'a mut self) -> impl Iterator<Item = (&'a K, &'a mut V)>
    where
        K: 'a,
        V: 'a,
    {
        RBTree::iter_mut(self)
    }
}
