//! What a memfd holds comes back, however it came to hold it.

use protocol::check::Notes;
use rustix::{
    fd::OwnedFd,
    fs::{FallocateFlags, MemfdFlags, fallocate, fstat, ftruncate, memfd_create},
    io::pwrite,
};

use super::{in_huge_pages, shmem_in_huge};
use crate::{
    checks::{
        context::{Context, Finding, holds, same, works},
        seat::content,
        soil::{RUBBISH, Soil},
    },
    luo::Session,
    mapping::Mapping,
    memory,
};

const SESSION: &str = "contents";
const PAGE: usize = 4096;
const HUGE: usize = 2 << 20;
/// How a file came to hold what it does.
#[derive(Clone, Copy, Debug)]
enum Case {
    /// A few pages are written, the others are holes.
    Sparse,
    /// Reserved by fallocate(2), of which a few pages are written.
    Reserved,
    /// Read through a mapping before it is preserved, and written through that afterwards.
    ReadBefore,
    /// Written, and written anew when all that could be moved in memory has been moved.
    Moved,
    /// In huge pages, but for the rest.
    Huge,
}

const CASES: [Case; 5] = [Case::Sparse, Case::Reserved, Case::ReadBefore, Case::Moved, Case::Huge];

impl Case {
    fn bytes(self) -> usize {
        match self {
            Self::Sparse => 255 * PAGE + 100,
            Self::Reserved => 96 * PAGE,
            Self::ReadBefore => 32 * PAGE,
            Self::Moved => 4 * HUGE,
            Self::Huge => 3 * HUGE + 5 * PAGE + 100,
        }
    }

    /// The pages that are written to.
    fn written(self) -> Vec<usize> {
        match self {
            Self::Sparse => vec![0, 1, 17, 63, 64, 255],
            Self::Reserved => vec![3, 20, 80],
            Self::ReadBefore | Self::Moved | Self::Huge => (0..self.bytes().div_ceil(PAGE)).collect(),
        }
    }

    /// All that is to be read from it.
    fn expected(self, seed: u64) -> Vec<u8> {
        let some = content(seed, self.bytes());
        let mut all = vec![0; some.len()];
        for range in self.ranges() {
            all[range.clone()].copy_from_slice(&some[range]);
        }
        all
    }

    fn ranges(self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let bytes = self.bytes();
        self.written().into_iter().map(move |page| page * PAGE..((page + 1) * PAGE).min(bytes))
    }

    fn write(self, file: &OwnedFd, seed: u64) -> Result<(), Finding> {
        let all = self.expected(seed);
        self.ranges().try_for_each(|range| {
            works("write to a memfd", pwrite(file, &all[range.clone()], range.start as u64)).map(drop)
        })
    }

    fn make(self, seed: u64) -> Result<OwnedFd, Finding> {
        let file = works("memfd_create", memfd_create("contents", MemfdFlags::CLOEXEC))?;
        works("ftruncate", ftruncate(&file, self.bytes() as u64))?;
        match self {
            Self::Sparse => self.write(&file, seed)?,
            Self::Reserved => {
                let reserved = fallocate(&file, FallocateFlags::empty(), 0, 64 * PAGE as u64);
                works("fallocate", reserved)?;
                self.write(&file, seed)?;
            }
            Self::ReadBefore => {}
            Self::Moved => self.write(&file, !seed)?,
            Self::Huge => {
                return in_huge_pages(3 * HUGE as u64, || self.write(&file, seed).map(|()| file));
            }
        }
        Ok(file)
    }
}

fn blocks(file: &OwnedFd) -> Result<u64, Finding> {
    Ok(works("fstat", fstat(file))?.st_blocks as u64)
}

pub(in crate::checks) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    let seed = crate::now().0;
    drop(Soil::new()?);
    let session = works("CREATE_SESSION", Session::create(SESSION))?;
    // What it takes lies above the files.
    let above = Soil::new()?;
    let files = CASES.iter().map(|case| case.make(seed)).collect::<Result<Vec<_>, _>>()?;
    let [_, _, read, moved, _] = &files[..] else { return Err(Finding::new("five files", files.len().to_string())) };
    let pages = Case::ReadBefore.bytes() / PAGE;
    let mapping = works("mmap", Mapping::new(read, 0, pages, true))?;
    for page in 0..pages {
        let first = mapping.page(page)[0].load(std::sync::atomic::Ordering::Relaxed);
        same("the first word of a page that nobody wrote", 0, first)?;
    }
    for (token, file) in files.iter().enumerate() {
        works("PRESERVE_FD", session.preserve(file, token as u64))?;
    }
    let blocks = files.iter().map(blocks).collect::<Result<Vec<_>, _>>()?;

    let mut mapping = mapping;
    for (page, bytes) in Case::ReadBefore.expected(seed).chunks(PAGE).enumerate() {
        // SAFETY: nobody else uses this page of the file.
        let words = unsafe { mapping.page_mut(page) };
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
    }
    drop(above);
    memory::settled()?;
    Case::Moved.write(moved, seed)?;
    context.stay_with((session, mapping, files));
    Ok(Notes::of(&(seed, blocks))?)
}

/// All of it is there, also when the kernel has dropped what it may drop and moved what it may move.
pub(in crate::checks) fn find(_: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (seed, left): (u64, Vec<u64>) = notes.read()?;
    let session = works("RETRIEVE_SESSION", Session::retrieve(SESSION))?;
    let files = (0..CASES.len() as u64)
        .map(|token| works("RETRIEVE_FD", session.retrieve_fd(token)))
        .collect::<Result<Vec<_>, _>>()?;
    for attempt in ["", " when the caches were dropped"] {
        for ((case, file), left) in CASES.iter().zip(&files).zip(&left) {
            let expected = case.expected(seed);
            let size = works("fstat", fstat(file))?.st_size;
            same(&format!("the size of {case:?}"), expected.len() as i64, size)?;
            reads(&format!("{case:?}{attempt}"), file, &expected)?;
            same(&format!("the blocks of {case:?}{attempt}"), *left, blocks(file)?)?;
        }
        memory::settled()?;
    }
    let huge = shmem_in_huge()?;
    holds("pages of 2 MiB to stay such", huge >= 3 * HUGE as u64, format!("{huge} bytes in such"))?;
    works("FINISH", session.finish())?;
    drop(session);
    for (case, file) in CASES.iter().zip(&files) {
        reads(&format!("{case:?} after FINISH"), file, &case.expected(seed))?;
    }
    Ok(())
}

/// Requires that a file holds these bytes, and names the first page that does not.
fn reads(what: &str, file: &OwnedFd, expected: &[u8]) -> Result<(), Finding> {
    let mut page = vec![0; PAGE];
    for (at, expected) in expected.chunks(PAGE).enumerate() {
        let page = &mut page[..expected.len()];
        let read = works("read", rustix::io::pread(file, &mut *page, (at * PAGE) as u64))?;
        if read != expected.len() || page != expected {
            let zeros = page.iter().all(|&byte| byte == 0);
            let came = if zeros {
                "zeros"
            } else if page.contains(&RUBBISH) {
                "rubbish, perhaps"
            } else {
                "others"
            };
            return Err(Finding::new(
                format!("page {at} of {what} to hold its bytes"),
                format!("{came}, {read} of them"),
            ));
        }
    }
    Ok(())
}
