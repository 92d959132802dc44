//! Words that mean something.

use std::time::Duration;

use lab::kernel::{Catalogue, KernelSpec};
use lab::scenario::size::Size;

pub(super) fn selftest(text: &str) -> Result<lab::selftest::Test, String> {
    use lab::selftest::Test;
    Test::by_name(text).ok_or_else(|| {
        let names: Vec<&str> = Test::ALL.iter().map(|test| test.name()).collect();
        format!("`{text}` is none of the kernel's own tests: {}", names.join(", "))
    })
}

pub(super) fn memory(text: &str) -> Result<Size, String> {
    let size: Size = text.parse()?;
    if !(256 << 20..=64 << 30).contains(&size.0) {
        return Err("between 256 MiB and 64 GiB".to_owned());
    }
    Ok(size)
}

pub(super) fn target(text: &str) -> Result<String, String> {
    let targets = crate::fuzz::targets().map_err(|error| error.to_string())?;
    if targets.iter().any(|target| target == text) {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is no target: {}", targets.join(", ")))
}

pub(super) fn kernel(text: &str) -> Result<KernelSpec, String> {
    let catalogue = Catalogue::read(crate::workspace()).map_err(|error| error.to_string())?;
    catalogue.find(text).map_err(|error| error.to_string())
}

pub(super) fn interface(text: &str) -> Result<protocol::message::Interface, String> {
    match text {
        "luo" => Ok(protocol::message::Interface::Luo),
        "module" => Ok(protocol::message::Interface::Module),
        "kexecfs" => Ok(protocol::message::Interface::Kexecfs),
        "kho" => Ok(protocol::message::Interface::Kho),
        other => Err(format!("`{other}` is no interface: luo, module, kexecfs or kho")),
    }
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if !(0.1..=86_400.0).contains(&seconds) {
        return Err("between 0.1 s and a day".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}
