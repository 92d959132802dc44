//! Free memory that holds what nobody may see.

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use super::context::{Finding, works};

const BYTES: usize = 192 << 20;

/// What each of its bytes is.
pub(super) const RUBBISH: u8 = 0xA5;

/// Memory that is filled with rubbish, and free again when this is dropped.
pub(super) struct Soil(*mut std::ffi::c_void);

impl Soil {
    pub(super) fn new() -> Result<Self, Finding> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let base = unsafe { mmap_anonymous(std::ptr::null_mut(), BYTES, access, MapFlags::PRIVATE) };
        let soil = Self(works("mmap", base)?);
        // SAFETY: the mapping is this value's own and so long.
        unsafe { std::ptr::write_bytes(soil.0.cast::<u8>(), RUBBISH, BYTES) };
        Ok(soil)
    }
}

impl Drop for Soil {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`, to which nothing refers.
        let _ = unsafe { munmap(self.0, BYTES) };
    }
}
