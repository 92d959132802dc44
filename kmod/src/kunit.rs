// SPDX-License-Identifier: GPL-2.0

//! What only a kernel can test: its containers under the core, its checksum, files and their
//! folios. On a kernel with CONFIG_KUNIT=y these run when the module is loaded, and tell in the
//! log how they went. All that does not need a kernel is tested on the host.

mod description;
mod update;

use crate::{
    containers::Kernel,
    folio::{Preserved, Run},
    kho, outgoing,
    pages::FileInode,
    participant::memory,
    state::Refusal,
    store::{List, Map, NoMemory, Store},
    sys, wire,
};
use kernel::{bindings, prelude::*};

/// Has the step after so many fail, once; 0: none.
fn fail_after(steps: u32) {
    // SAFETY: No requirements.
    unsafe { sys::lu_fault_arm(steps) };
}

/// Whether the failure that was asked for came.
fn failed() -> bool {
    // SAFETY: No requirements.
    unsafe { sys::lu_fault_arm(0) == 0 }
}

type KernelMap<K, V> = <Kernel as Store>::Map<K, V>;
type KernelList<T> = <Kernel as Store>::List<T>;

/// A new memory file with all its pages, 4 KiB each, and its inode.
fn memory_file(pages: u64) -> Result<(kernel::sync::aref::ARef<kernel::fs::File>, FileInode)> {
    let file = memory::create(
        pages << crate::folio::PAGE_SHIFT,
        sys::LIVEUPDATE_LAB_MEM_SMALL,
    )?;
    let inode = FileInode::of(&file).ok_or(EINVAL)?;
    Ok((file, inode))
}

/// A page that is nobody's yet, for this place of a file.
fn new_page(place: u64) -> Result<Run> {
    // SAFETY: No requirements.
    let page = unsafe { bindings::get_zeroed_page_noprof(bindings::GFP_KERNEL) };
    if page == 0 {
        return Err(ENOMEM);
    }
    // SAFETY: The page is in the kernel's linear mapping.
    let pfn = unsafe { sys::lu_virt_pfn(core::ptr::without_provenance(page)) };
    let run = sys::lu_run {
        page: place,
        pfn,
        folios: 1,
        order: 0,
    };
    // SAFETY: A page of its own is a folio; its one reference is the caller's.
    Ok(unsafe { Run::from_raw(run) })
}

/// How many pages a file has, by preserving them and giving them back.
fn places(inode: &FileInode) -> Result<u64> {
    let preserved = Preserved::new(inode)?;
    let pages = preserved.extents().iter().map(|extent| extent.pages());
    Ok(pages.map(|pages| pages.unwrap_or(0)).sum())
}

/// What fallocate(2) of the first page says.
fn allocate(file: &kernel::fs::File) -> i32 {
    // SAFETY: The file is live.
    unsafe { bindings::vfs_fallocate(file.as_ptr(), 0, 0, 4096) }
}

#[kunit_tests(liveupdate_lab)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_sorted_and_replaces() -> Result<(), NoMemory> {
        let mut map: KernelMap<u64, u64> = Map::new();
        for key in [5, 1, 9, 3, 7] {
            Map::insert(&mut map, key, key)?;
        }
        Map::insert(&mut map, 9, 90)?;
        assert!(Map::iter(&map).map(|(key, _)| *key).eq([1, 3, 5, 7, 9]));
        assert_eq!(Map::first(&map), Some((&1, &1)));
        assert_eq!(Map::get(&map, &9), Some(&90));
        assert_eq!(Map::get(&map, &2), None);
        Map::iter_mut(&mut map).for_each(|(_, value)| *value += 1);
        if let Some(value) = Map::get_mut(&mut map, &5) {
            *value = 0;
        }
        assert_eq!(Map::remove(&mut map, &1), Some(2));
        assert_eq!(Map::remove(&mut map, &1), None);
        assert!(Map::iter(&map).map(|(_, value)| *value).eq([4, 0, 8, 91]));
        Ok(())
    }

    #[test]
    fn a_failed_growth_changes_nothing() -> Result<(), NoMemory> {
        let mut map: KernelMap<u64, u64> = Map::new();
        let mut list: KernelList<u64> = List::new();
        Map::insert(&mut map, 1, 10)?;
        List::push(&mut list, 1)?;
        fail_after(1);
        assert_eq!(Map::insert(&mut map, 2, 20), Err(NoMemory));
        assert!(failed());
        fail_after(1);
        assert_eq!(List::push(&mut list, 2), Err(NoMemory));
        assert!(failed());
        assert!(Map::iter(&map).eq([(&1, &10)]));
        assert_eq!(List::as_slice(&list), [1]);
        for value in 2..3000 {
            List::push(&mut list, value)?;
        }
        List::as_mut_slice(&mut list).reverse();
        assert!(List::as_slice(&list).iter().copied().eq((1..3000).rev()));
        Ok(())
    }

    #[test]
    fn the_core_keeps_its_books_wherever_memory_runs_out() {
        let mut step = 0;
        let whole = loop {
            step += 1;
            fail_after(step);
            let result = update::there_and_back();
            match failed() {
                true => assert_eq!(result, Err(Refusal::NoMemory)),
                false => break result,
            }
        };
        assert_eq!(whole, Ok(true));
        // Every registration, dependency and participant has steps that can fail.
        assert!(step > 40);
    }

    #[test]
    fn the_checksum_is_the_core_s() -> Result {
        let mut bytes = KVec::with_capacity(600, GFP_KERNEL)?;
        for i in 0..600u32 {
            bytes.push((i.wrapping_mul(0x9e37_79b1) >> 24) as u8, GFP_KERNEL)?;
        }
        for seed in [0, !0, 0x1234_5678] {
            for from in 0..9 {
                for len in Iterator::chain(0..64, [255, 256, 257, 511, 590]) {
                    let part = &bytes[from..from + len];
                    assert_eq!(outgoing::crc32c(seed, part), wire::crc::crc32c(seed, part));
                }
            }
        }
        // As RFC 3720 has it.
        assert_eq!(!outgoing::crc32c(!0, b"123456789"), 0xe306_9283);
        Ok(())
    }

    #[test]
    fn pages_are_attached_where_nothing_is() -> Result {
        if !kho::is_enabled() {
            return Ok(());
        }
        let file = memory::empty(3 * 4096)?;
        let inode = FileInode::of(&file).ok_or(EINVAL)?;
        let mut run = new_page(1)?;
        assert!(inode.attach(&mut run).is_ok());
        assert_eq!(run.pages(), 0);
        assert_eq!(places(&inode)?, 1);
        // Twice in one place, and beyond the end: it is still ours, and nothing has changed.
        for (place, errno) in [(1, EEXIST), (3, EINVAL), (1 << 40, EINVAL)] {
            let mut run = new_page(place)?;
            assert_eq!(inode.attach(&mut run), Err(errno));
            assert_eq!(run.pages(), 1);
        }
        assert_eq!(places(&inode)?, 1);
        Ok(())
    }

    #[test]
    fn a_file_is_preserved_and_given_back_any_number_of_times() -> Result {
        if !kho::is_enabled() {
            return Ok(());
        }
        let (file, inode) = memory_file(9)?;
        for _ in 0..3 {
            assert_eq!(places(&inode)?, 9);
        }
        // Wherever it fails, all that was done before is undone: it is preserved afterwards.
        let mut step = 0;
        loop {
            step += 1;
            fail_after(step);
            let result = places(&inode);
            if !failed() {
                assert_eq!(result, Ok(9));
                break;
            }
            assert_eq!(result, Err(ENOMEM));
        }
        assert!(step > 1);
        drop(file);
        Ok(())
    }

    #[test]
    fn a_description_in_scattered_pages_is_read_as_written() -> Result {
        if !kho::is_enabled() {
            return Ok(());
        }
        let (file, inode) = memory_file(9)?;
        let preserved = Preserved::new(&inode)?;
        assert_eq!(description::round_trip(&preserved), Ok(true));
        // Each piece, each mapping and the root can lack memory.
        assert!(description::failing_round_trips(&preserved, failed)? > 5);
        drop((preserved, file));
        Ok(())
    }

    #[test]
    fn a_fixed_layout_is_busy() -> Result {
        let (file, inode) = memory_file(2)?;
        assert_eq!(allocate(&file), 0);
        for level in [sys::LU_FIXED_LAYOUT, sys::LU_FIXED_CONTENT] {
            inode.fix(level);
            assert_eq!(allocate(&file), EBUSY.to_errno());
        }
        inode.fix(sys::LU_FIXED_NOT);
        assert_eq!(allocate(&file), 0);
        Ok(())
    }
}
