//! `insmod FILE [PARAMETER=VALUE…]`

use std::ffi::CString;

use rustix::{
    fs::{Mode, OFlags},
    system::finit_module,
};

use crate::failure::{Outcome, Tell, refuse};

pub(super) fn run(words: &[String]) -> Outcome<()> {
    let Some((file, parameters)) = words.split_first() else {
        return Err(refuse("insmod", "which module?"));
    };
    let parameters = CString::new(parameters.join(" ")).map_err(|_| refuse("insmod", "a parameter holds a NUL"))?;
    let module =
        rustix::fs::open(file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).tell(format!("open {file}"))?;
    finit_module(&module, &parameters, 0).tell(format!("load {file}"))
}
