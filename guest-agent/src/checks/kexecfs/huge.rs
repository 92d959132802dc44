//! Files of 2 MiB pages, which stay where they are.

use std::os::unix::fs::FileExt as _;

use liveupdate_client::kexecfs::Huge;
use protocol::check::Notes;
use rustix::{
    fd::AsFd,
    mm::{MapFlags, ProtFlags, mmap, munmap},
};

use super::{content, done, named, put};
use crate::checks::context::{Context, Finding, holds, same, works};

const HUGE: u64 = 2 << 20;
const BYTES: u64 = 3 * HUGE;

/// A file mapped whole, every page of it read, and the frames it lies in.
struct Whole {
    base: *mut std::ffi::c_void,
}

impl Whole {
    fn map(file: impl AsFd) -> Result<Self, Finding> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses the place.
        let mapped = unsafe { mmap(std::ptr::null_mut(), BYTES as usize, protection, MapFlags::SHARED, file, 0) };
        let whole = Self { base: works("mmap", mapped)? };
        for page in 0..BYTES / 4096 {
            // SAFETY: it is within the mapping.
            unsafe { whole.base.cast::<u8>().add(page as usize * 4096).read_volatile() };
        }
        Ok(whole)
    }

    /// Bytes that are mapped by entries of 2 MiB.
    fn by_huge_entries(&self) -> Result<u64, Finding> {
        let smaps = done("read of smaps", std::fs::read_to_string("/proc/self/smaps"))?;
        let mut lines = smaps.lines().skip_while(|line| !line.starts_with(&format!("{:x}-", self.base.addr())));
        let value = lines.find_map(|line| line.strip_prefix("FilePmdMapped:"));
        let kilobytes = value.and_then(|value| value.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        Ok(kilobytes.ok_or_else(|| Finding::new("smaps to tell FilePmdMapped", "nothing"))? << 10)
    }

    fn frames(&self) -> Result<Vec<u64>, Finding> {
        let mut entries = vec![0; (BYTES / 4096 * 8) as usize];
        let pagemap = done("open of pagemap", std::fs::File::open("/proc/self/pagemap"))?;
        done("read of pagemap", pagemap.read_exact_at(&mut entries, (self.base.addr() / 4096 * 8) as u64))?;
        let (entries, _) = entries.as_chunks();
        Ok(entries.iter().map(|entry| u64::from_ne_bytes(*entry) & ((1 << 55) - 1)).collect())
    }

    /// The first frame of each 2 MiB, which are to lie together.
    fn blocks(&self) -> Result<Vec<u64>, Finding> {
        let frames = self.frames()?;
        let blocks: Vec<u64> = frames.chunks(512).map(|block| block[0]).collect();
        let together = frames.iter().enumerate().all(|(at, &frame)| frame == blocks[at / 512] + at as u64 % 512);
        let aligned = blocks.iter().all(|block| *block != 0 && block % 512 == 0);
        holds("each 2 MiB in one piece, by its own size", together && aligned, format!("{blocks:?}"))?;
        Ok(blocks)
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own.
        let _ = unsafe { munmap(self.base, BYTES as usize) };
    }
}

pub(in crate::checks) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    drop(context.device()?);
    let seed = crate::now().0;
    let instance = named("huge").size(64 << 20).huge(Huge::Always).mount()?;
    let file = instance.create_allocated("huge", BYTES)?;
    put(&file, 0, &content(seed, BYTES as usize))?;
    let whole = Whole::map(&file)?;
    same("the bytes mapped by huge entries", BYTES, whole.by_huge_entries()?)?;
    let blocks = whole.blocks()?;
    // And one whose holes begin and end within such pages: split, it is handed over all the same.
    let split = instance.create_allocated("split", 2 * HUGE)?;
    put(&split, 0, &content(!seed, 2 * HUGE as usize))?;
    let punch = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
    works("punch", rustix::fs::fallocate(&split, punch, 4096 * 5, 4096 * 1000))?;
    context.stay_with((whole, instance));
    Ok(Notes::of(&(seed, blocks))?)
}

pub(in crate::checks) fn find(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    drop(context.device()?);
    let (seed, blocks): (u64, Vec<u64>) = notes.read()?;
    let instance = named("huge").retrieve().mount()?;
    let file = instance.open("huge")?;
    let whole = Whole::map(&file)?;
    same("the frames of each 2 MiB", blocks, whole.blocks()?)?;
    same("the bytes mapped by huge entries", BYTES, whole.by_huge_entries()?)?;
    super::reads(&file, "the file", &content(seed, BYTES as usize))?;
    let mut expected = content(!seed, 2 * HUGE as usize);
    expected[4096 * 5..4096 * 1005].fill(0);
    super::reads(instance.open("split")?, "the split file", &expected)?;
    // What is made now is as what came.
    let new = instance.create_allocated("new", BYTES)?;
    same("the bytes of a new file mapped by huge entries", BYTES, Whole::map(&new)?.by_huge_entries()?)
}
