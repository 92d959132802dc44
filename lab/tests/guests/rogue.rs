//! An agent that speaks nonsense: compiled by the test itself for the guest, with nothing but std.

use std::fs::File;
use std::io::Write as _;

unsafe extern "C" {
    fn mount(source: *const i8, target: *const i8, kind: *const i8, flags: u64, data: *const i8) -> i32;
}

fn main() {
    // SAFETY: the strings end in NUL, and the call keeps none of them.
    unsafe { mount(c"dev".as_ptr(), c"/dev".as_ptr(), c"devtmpfs".as_ptr(), 0, std::ptr::null()) };
    let mut port = loop {
        // The driver makes the port a moment after it has started init.
        match File::options().read(true).write(true).open("/dev/vport0p1") {
            Ok(port) => break port,
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(10)),
        }
    };
    let mut noise = 1u64;
    loop {
        let bytes: Vec<u8> = (0..4096)
            .map(|_| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (noise >> 56) as u8
            })
            .collect();
        let _ = port.write_all(&bytes);
    }
}
