// SPDX-License-Identifier: GPL-2.0

//! One file of the previous kernel, and how far its restoration has come.

use super::Freed;
use crate::{
    errno,
    folio::Run,
    kho,
    pages::FileInode,
    participant::{eventfd, instance, instance::Handle, memfd, memory},
    sys,
    wire::{self, folio_pages},
};
use core::ptr::NonNull;
use kernel::{error::from_err_ptr, fs::File, prelude::*, sync::aref::ARef};

/// How a file is restored, by its compatible string.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Handler {
    Memory,
    Memfd,
    Eventfd,
    /// A file of an instance.
    Named,
    /// None here: written by a module that knows more.
    None,
}

/// After how many blocks somebody may interrupt: there may be as many as pages.
const BLOCKS_AT_ONCE: u32 = 64;

/// Where its folios go.
enum Target {
    Memory(ARef<File>, FileInode),
    Memfd(ARef<File>),
    Named(FileInode),
}

/// A file that waits to be restored. A restoration that failed goes on where it stopped.
pub(crate) struct Inherited {
    object: wire::Object<'static>,
    handler: Handler,
    target: Option<Target>,
    /// The first page that is not attached yet.
    page: u64,
    /// Folios that were taken over but not attached: they cannot be taken twice.
    spare: Option<Run>,
    given: bool,
}

/// What a token stands for.
pub(crate) struct Info {
    pub(crate) kind: u32,
    pub(crate) bytes: u64,
    pub(crate) flags: u32,
    pub(crate) restored: bool,
}

impl Inherited {
    pub(super) fn new(object: wire::Object<'static>) -> Self {
        let handler = match object.kind {
            wire::Kind::File(file) if object.refused().is_none() => match file.compatible {
                memory::COMPATIBLE if object.pages().is_some() => Handler::Memory,
                memfd::COMPATIBLE if object.memfd().is_some() => Handler::Memfd,
                eventfd::COMPATIBLE if object.eventfd().is_some() => Handler::Eventfd,
                instance::COMPATIBLE if object.inode().is_some() => Handler::Named,
                _ => Handler::None,
            },
            _ => Handler::None,
        };
        Self {
            object,
            handler,
            target: None,
            page: 0,
            spare: None,
            given: false,
        }
    }

    /// Whether it has not been given out.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.given
    }

    /// Whether there is a handler that can restore it.
    pub(crate) fn is_known(&self) -> bool {
        !matches!(self.handler, Handler::None)
    }

    /// Whether it cannot come back with its instance: it is still to be freed when that is given out.
    pub(super) fn stays_out(&self) -> bool {
        self.handler != Handler::Named
    }

    fn size(&self) -> u64 {
        self.object.pages().map_or(0, |pages| pages.size)
    }

    pub(crate) fn info(&self) -> Result<Info> {
        let kind = match self.handler {
            Handler::Memory => sys::LIVEUPDATE_LAB_KIND_MEMORY,
            Handler::Memfd => sys::LIVEUPDATE_LAB_KIND_MEMFD,
            Handler::Eventfd => sys::LIVEUPDATE_LAB_KIND_EVENTFD,
            Handler::Named | Handler::None => return Err(errno::protocol()),
        };
        let flags = self.object.eventfd().map_or(0, |eventfd| eventfd.flags);
        Ok(Info {
            kind,
            bytes: self.size(),
            flags,
            restored: self.given,
        })
    }

    /// The file, once. After an error it may be tried again.
    pub(crate) fn restore(&mut self) -> Result<ARef<File>> {
        self.check_waiting()?;
        if self.target.is_none() {
            self.target = Some(match self.handler {
                Handler::Memory => {
                    let file = memory::empty(self.size())?;
                    let inode = FileInode::of(&file).ok_or(EIO)?;
                    Target::Memory(file, inode)
                }
                Handler::Memfd => Target::Memfd(memfd::empty(self.size())?),
                Handler::Eventfd => return Err(EINVAL),
                Handler::Named | Handler::None => return Err(errno::protocol()),
            });
        }
        self.advance()?;
        if let (Some(Target::Memfd(file)), Some(memfd)) = (&self.target, self.object.memfd()) {
            memfd::complete(file, self.size(), &memfd)?;
        }
        match self.target.take() {
            Some(Target::Memory(file, _) | Target::Memfd(file)) => {
                self.given = true;
                Ok(file)
            }
            other => {
                self.target = other;
                Err(EIO)
            }
        }
    }

    /// Whether it goes into an eventfd that the caller brings.
    pub(crate) fn is_eventfd(&self) -> bool {
        self.handler == Handler::Eventfd
    }

    /// Has an eventfd of the caller's take it over, once.
    pub(crate) fn adopt(&mut self) -> Result<wire::Eventfd> {
        self.check_waiting()?;
        self.given = true;
        self.object.eventfd().ok_or(EIO)
    }

    /// Undoes a restoration whose file could not be delivered.
    pub(crate) fn put_back(&mut self, file: Option<ARef<File>>) {
        self.given = false;
        self.target = file.map(|file| match FileInode::of(&file) {
            Some(inode) => Target::Memory(file, inode),
            None => Target::Memfd(file),
        });
    }

    /// Restores a file of an instance into that.
    pub(super) fn restore_into(&mut self, handle: Handle) -> Result {
        if self.stays_out() {
            pr_warn!("a file of an instance was left in a way unknown here: it stays out\n");
            return Ok(());
        }
        if self.target.is_none() {
            let inode = self.object.inode().ok_or(EIO)?;
            self.target = Some(Target::Named(add(handle, &inode, self.size())?));
        }
        self.advance()
    }

    fn check_waiting(&self) -> Result {
        if self.given {
            return Err(ENOENT);
        }
        Ok(())
    }

    /// Takes over and attaches what is missing.
    fn advance(&mut self) -> Result {
        let (Some(target), Some(pages)) = (&self.target, self.object.pages()) else {
            return Ok(());
        };
        let mut blocks = 0u32;
        for extent in pages.extents() {
            let mut rest = extent.rest(self.page);
            while rest.folios > 0 {
                if blocks % BLOCKS_AT_ONCE == 0 {
                    kho::interruption_point()?;
                }
                blocks = blocks.wrapping_add(1);
                let mut run = match self.spare.take() {
                    Some(run) => run,
                    None => kho::take(&rest)?,
                };
                let result = target.attach(&mut run);
                self.page = run.page();
                if result.is_err() {
                    self.spare = Some(run);
                    return result;
                }
                rest = rest.rest(self.page);
            }
        }
        Ok(())
    }

    /// Preserves once more, for the next kernel, every block of it.
    pub(super) fn pass_on(&self) -> Result {
        for extent in self
            .object
            .pages()
            .into_iter()
            .flat_map(wire::Pages::extents)
        {
            let mut rest = extent;
            while rest.folios > 0 {
                rest = rest.skip(kho::pass_on(&rest)?);
            }
        }
        Ok(())
    }

    /// Frees all of it, what is attached and what never was.
    pub(super) fn free(self, freed: &mut Freed) {
        if self.given {
            return;
        }
        freed.files = freed.files.saturating_add(1);
        // What is attached goes with the file; what was taken over and is not, with this value.
        let attached = self.page;
        let spare = self.spare.as_ref().map_or(0, Run::pages);
        for extent in self
            .object
            .pages()
            .into_iter()
            .flat_map(wire::Pages::extents)
        {
            let mut rest = extent.rest(attached.saturating_add(spare));
            let ours = extent.folios.saturating_sub(rest.folios);
            let mut pages = u64::from(ours).saturating_mul(folio_pages(extent.order));
            while rest.folios > 0 {
                // Dropping it frees it. What is not there is no reason to keep the others.
                let taken = kho::take(&rest).map_or(0, |run| run.pages());
                pages = pages.saturating_add(taken);
                rest = rest.rest(rest.page.saturating_add(taken.max(1)));
            }
            freed.pages = freed.pages.saturating_add(pages);
        }
    }
}

impl Target {
    fn attach(&self, run: &mut Run) -> Result {
        match self {
            Target::Memory(_, inode) | Target::Named(inode) => inode.attach(run),
            Target::Memfd(file) => memfd::attach(file, run),
        }
    }
}

/// A file of this name in a mounted instance, without pages.
fn add(handle: Handle, inode: &wire::Inode<'_>, size: u64) -> Result<FileInode> {
    let attr = sys::lu_attr {
        name: inode.name.as_ptr(),
        name_len: u32::try_from(inode.name.len()).map_err(|_| EINVAL)?,
        mode: inode.mode,
        uid: inode.uid,
        gid: inode.gid,
        atime: inode.atime,
        mtime: inode.mtime,
        ctime: inode.ctime,
        atime_nsec: inode.atime_nsec,
        mtime_nsec: inode.mtime_nsec,
        ctime_nsec: inode.ctime_nsec,
        size,
    };
    // SAFETY: The instance is live, and the name readable for its length.
    let inode = from_err_ptr(unsafe { sys::lu_instance_add(handle.as_ptr(), &attr) })?;
    let inode = NonNull::new(inode).ok_or(ENOMEM)?;
    // SAFETY: The instance keeps it, and the half restored instance is kept by its owner here.
    Ok(unsafe { FileInode::from_raw(inode) })
}
