//! Files as they were, under the next kernel.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use liveupdate_client::kexecfs::Instance;
use protocol::check::Notes;
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{
        FallocateFlags, Mode, SeekFrom, Timespec, Timestamps, fallocate, fchmod, fchown, fstat, fstatvfs, ftruncate,
        futimens, seek,
    },
    io::Errno,
    process::{Gid, Uid},
};

use super::{content, denied, has_files, named, put, reads};
use crate::checks::context::{Context, Finding, holds, same, works};

/// A file: its name, its length, and the parts of it that are not holes.
struct Sample {
    name: OsString,
    bytes: u64,
    data: &'static [(u64, u64)],
    mode: u32,
    owner: (u32, u32),
    times: [(i64, i64); 2],
}

const SPARSE: &[(u64, u64)] = &[(8192, 8192 + 4096), (36_864, 36_864 + 8192)];

fn samples() -> Vec<Sample> {
    let sample = |name: &str, bytes, data| Sample {
        name: name.into(),
        bytes,
        data,
        mode: 0o600,
        owner: (0, 0),
        times: [(1_700_000_000, 1), (1_600_000_000, 999_999_999)],
    };
    let plain = sample("plain", 3 * 4096 + 123, &[(0, 3 * 4096 + 123)]);
    let not_text = OsString::from_vec(b"\xff\xfe not\ttext\n".to_vec());
    vec![
        Sample { mode: 0o4751, owner: (1234, 4321), times: [(1, 2), (-3, 4)], ..plain },
        sample("one", 1, &[(0, 1)]),
        sample("less-than-a-page", 4095, &[(0, 4095)]),
        sample("a-page", 4096, &[(0, 4096)]),
        sample("more-than-a-page", 4097, &[(0, 4097)]),
        sample("empty", 0, &[]),
        sample("hollow", (1 << 20) + 1, &[]),
        sample("sparse", 65_536 + 7, SPARSE),
        sample("sparse-to-the-end", 12_388, &[(8192, 12_388)]),
        sample("far", (1 << 39) + 5, &[(1 << 39, (1 << 39) + 5)]),
        Sample { mode: 0, owner: (u32::MAX - 1, 65_534), ..sample(&"n".repeat(255), 10, &[(0, 10)]) },
        Sample { name: not_text, ..sample("", 20, &[(0, 20)]) },
    ]
}

impl Sample {
    fn make(&self, instance: &Instance, seed: u64) -> Result<(), Finding> {
        let file = instance.create(&self.name)?;
        works("truncate", ftruncate(&file, self.bytes))?;
        for &(from, to) in self.data {
            put(&file, from, &content(seed ^ from, (to - from) as usize))?;
        }
        works("chown", fchown(&file, Some(Uid::from_raw(self.owner.0)), Some(Gid::from_raw(self.owner.1))))?;
        works("chmod", fchmod(&file, Mode::from_raw_mode(self.mode)))?;
        let time = |(tv_sec, tv_nsec)| Timespec { tv_sec, tv_nsec };
        let times = Timestamps { last_access: time(self.times[0]), last_modification: time(self.times[1]) };
        works("utimens", futimens(&file, &times))
    }

    fn is_as_made(&self, instance: &Instance, seed: u64) -> Result<(), Finding> {
        let what = |of: &str| format!("the {of} of {:.40?}", self.name);
        let file = instance.open(&self.name)?;
        let stat = works("fstat", fstat(&file))?;
        let attributes = (stat.st_mode & 0o7777, stat.st_uid, stat.st_gid, stat.st_size as u64, stat.st_nlink);
        same(&what("attributes"), (self.mode, self.owner.0, self.owner.1, self.bytes, 1), attributes)?;
        let times = [(stat.st_atime, stat.st_atime_nsec as i64), (stat.st_mtime, stat.st_mtime_nsec as i64)];
        same(&what("times"), self.times, times)?;
        same(&what("data, with holes beside it"), self.data.to_vec(), data_of(&file, self.bytes)?)?;
        for &(from, to) in self.data {
            let mut found = vec![0; (to - from) as usize];
            let length = works("pread", rustix::io::pread(&file, &mut found[..], from))?;
            let whole = length == found.len() && found == content(seed ^ from, found.len());
            holds(&what("bytes"), whole, format!("others, {length} from {from} on"))?;
        }
        // Not a byte beyond.
        let beyond = works("pread", rustix::io::pread(&file, &mut [0; 16], self.bytes))?;
        same(&what("bytes beyond the end"), 0, beyond)
    }
}

/// The parts that are not holes, as `SEEK_DATA` and `SEEK_HOLE` tell them.
fn data_of(file: &OwnedFd, bytes: u64) -> Result<Vec<(u64, u64)>, Finding> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes {
        match seek(file, SeekFrom::Data(at)) {
            Err(Errno::NXIO) => break,
            from => {
                let from = works("SEEK_DATA", from)?;
                at = works("SEEK_HOLE", seek(file, SeekFrom::Hole(from)))?;
                found.push((from, at));
            }
        }
    }
    Ok(found)
}

/// Files of every length, with holes, attributes and names to the limit, and an instance without any.
pub(in crate::checks) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    drop(context.device()?);
    let seed = crate::now().0;
    let instance = named("samples").size(96 << 20).mount()?;
    let mut changed = Vec::new();
    for sample in samples() {
        sample.make(&instance, seed)?;
        sample.is_as_made(&instance, seed)?;
        // Reading may have changed a time that PREPARE then keeps.
        let file = instance.open(&sample.name)?;
        let time = |(tv_sec, tv_nsec)| Timespec { tv_sec, tv_nsec };
        let times = Timestamps { last_access: time(sample.times[0]), last_modification: time(sample.times[1]) };
        works("utimens", futimens(&file, &times))?;
        let stat = works("fstat", fstat(&file))?;
        changed.push((stat.st_ctime, stat.st_ctime_nsec as i64));
    }
    // None of it has a name: it is nobody's to find.
    let nameless = instance.create("nameless")?;
    put(&nameless, 0, b"gone")?;
    instance.remove("nameless")?;
    let void = named("void").size(40 << 20).mode(0o1751).uid(7).gid(8).mount()?;
    context.stay_with((instance, nameless, void));
    Ok(Notes::of(&(seed, changed))?)
}

pub(in crate::checks) fn find(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    drop(context.device()?);
    let (seed, changed): (u64, Vec<(i64, i64)>) = notes.read()?;
    let instance = named("samples").retrieve().mount()?;
    let mut found = instance.files()?;
    let mut expected: Vec<OsString> = samples().into_iter().map(|sample| sample.name).collect();
    found.sort();
    expected.sort();
    same("the names of the files", expected, found)?;
    for (sample, changed) in samples().iter().zip(changed) {
        let stat = works("fstat", fstat(instance.open(&sample.name)?))?;
        let came = (stat.st_ctime, stat.st_ctime_nsec as i64);
        same(&format!("the time of the last change of {:.40?}", sample.name), changed, came)?;
        sample.is_as_made(&instance, seed)?;
    }
    // They are files as before: they can be changed, holes filled.
    let sparse = instance.open("sparse")?;
    works("fallocate", fallocate(&sparse, FallocateFlags::empty(), 0, 65_536))?;
    same(
        "the data of a filled file",
        vec![(0, 65_543)],
        data_of(&sparse, 65_543).map(|data| {
            // The last page is a hole still: it was not asked for.
            data.into_iter().map(|(from, to)| (from, if to == 65_536 { 65_543 } else { to })).collect::<Vec<_>>()
        })?,
    )?;
    works("truncate", ftruncate(&sparse, 3))?;
    reads(&sparse, "a file cut to less than its first hole", &[0; 3])?;

    let void = named("void").retrieve().mount()?;
    has_files(&void, "the empty instance", &[])?;
    let stat = works("fstat", fstat(&void))?;
    same("the attributes of its root", (0o041_751, 7, 8), (stat.st_mode, stat.st_uid, stat.st_gid))?;
    same("its size in pages", 40 << 8, works("fstatvfs", fstatvfs(&void))?.f_blocks)?;
    same("the other one's", 96 << 8, works("fstatvfs", fstatvfs(&instance))?.f_blocks)?;
    denied("a third one", Errno::NOENT, named("nothing").retrieve().mount())
}

/// How many files one instance is tried with.
const MANY: u64 = 1000;

fn nth(number: u64, seed: u64) -> (String, Vec<u8>) {
    (format!("file-{number:04}"), content(seed ^ number, (number * 37 % 9001) as usize))
}

pub(in crate::checks) fn leave_many(context: &mut Context) -> Result<Notes, Finding> {
    drop(context.device()?);
    let seed = crate::now().0;
    let instance = named("many").mount()?;
    for number in 0..MANY {
        let (name, bytes) = nth(number, seed);
        let file = instance.create(&name)?;
        if !bytes.is_empty() {
            put(&file, 0, &bytes)?;
        }
    }
    context.stay_with(instance);
    Ok(Notes::of(&seed)?)
}

pub(in crate::checks) fn find_many(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let device = context.device()?;
    let before = liveupdate_client::Drive::status(&device)?.unclaimed;
    let seed = notes.read()?;
    let instance = named("many").retrieve().mount()?;
    same("the files that were taken over", before - MANY, liveupdate_client::Drive::status(&device)?.unclaimed)?;
    same("how many files there are", MANY as usize, instance.files()?.len())?;
    for number in 0..MANY {
        let (name, bytes) = nth(number, seed);
        reads(instance.open(&name)?.as_fd(), &name, &bytes)?;
    }
    Ok(())
}
