//! What Kexec HandOver has under the module's name, as its debugfs shows it.

use std::{fs, io::ErrorKind, path::Path};

use kmod_core::wire::{self, Root, WireError};

use super::{
    context::{Finding, holds},
    observe,
};

const KHO: &str = "/sys/kernel/debug/kho";
const PAGE_SHIFT: u32 = 12;
/// How a device tree begins: before 7.1 nothing else can be published, so that the root lies behind one.
const DEVICE_TREE: [u8; 4] = [0xd0, 0x0d, 0xfe, 0xed];

/// Which way it goes.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// Left by the previous kernel. It can be looked at until somebody takes it.
    In,
    /// For the next one.
    Out,
}

fn path(way: Way) -> String {
    let way = match way {
        Way::In => "in",
        Way::Out => "out",
    };
    format!("{KHO}/{way}/sub_fdts/liveupdate-lab")
}

/// Pages that came with what the previous kernel published, as its kind of kernel wants it.
pub(super) fn wrapping() -> Result<u64, Finding> {
    observe::mounted("debugfs", "/sys/kernel/debug")?;
    let published = fs::read(path(Way::In)).unwrap_or_default();
    Ok(published.starts_with(&DEVICE_TREE).into())
}

/// The published block, as long as it was made.
pub(super) struct Published(Vec<u8>);

impl Published {
    /// The one that goes this way, if there is one.
    pub(super) fn find(way: Way) -> Result<Option<Self>, Finding> {
        observe::mounted("debugfs", "/sys/kernel/debug")?;
        if !Path::new(KHO).join("out").is_dir() {
            return Err(Finding::lacks("the kernel is built without CONFIG_KEXEC_HANDOVER_DEBUGFS"));
        }
        let path = path(way);
        match fs::read(&path) {
            Ok(bytes) if bytes.starts_with(&DEVICE_TREE) => {
                Err(Finding::lacks("the kernel shows the device tree before the root, and not the root"))
            }
            Ok(bytes) => Ok(Some(Self(bytes))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Finding::new(format!("{path} to be read"), error.to_string())),
        }
    }

    /// The same where there has to be one.
    pub(super) fn get(way: Way) -> Result<Self, Finding> {
        Self::find(way)?.ok_or_else(|| Finding::new("a root to be published", "Kexec HandOver shows none"))
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.len()
    }

    /// Pages that Kexec HandOver keeps for it: it rounds up to a block.
    pub(super) fn pages(&self) -> u64 {
        self.0.len().div_ceil(1 << PAGE_SHIFT).next_power_of_two() as u64
    }

    /// As the module's own code reads it.
    pub(super) fn root(&self) -> Result<Root<'_>, Finding> {
        Root::parse(&self.0, PAGE_SHIFT, wire::crc::crc32c)
            .map_err(|error: WireError| Finding::new("a root that is whole", error.name()))
    }

    pub(super) fn is_empty(&self) -> Result<(), Finding> {
        let root = self.root()?;
        holds("the root to name nothing", root.is_empty(), format!("a body of {} bytes", root.body_len))
    }
}
