//! The smallest programs that can be a guest's `/init`.

/// Jumps to itself for ever: alive, and silent.
pub(crate) const SPIN: &[u8] = &[0xeb, 0xfe];

/// reboot(LINUX_REBOOT_CMD_RESTART), without a word.
pub(crate) const RESET: &[u8] = &[
    0xb8, 0xa9, 0x00, 0x00, 0x00, // mov eax, 169 (reboot)
    0xbf, 0xad, 0xde, 0xe1, 0xfe, // mov edi, 0xfee1dead
    0xbe, 0x69, 0x19, 0x12, 0x28, // mov esi, 672274793
    0xba, 0x67, 0x45, 0x23, 0x01, // mov edx, 0x01234567
    0x0f, 0x05, // syscall
    0xeb, 0xfe,
];

/// exit(0): the kernel panics when its init does that.
pub(crate) const EXIT: &[u8] = &[
    0xb8, 0x3c, 0x00, 0x00, 0x00, // mov eax, 60 (exit)
    0x31, 0xff, // xor edi, edi
    0x0f, 0x05, // syscall
];

/// A static x86-64 executable of one segment that holds this code.
pub(crate) fn executable(code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let mut elf = Vec::new();
    elf.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    elf.extend([2, 0, 62, 0, 1, 0, 0, 0]); // an executable for x86-64, version 1
    for word in [BASE + HEADERS, 64, 0] {
        elf.extend(word.to_le_bytes()); // entry point, program headers, no sections
    }
    elf.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]); // flags, sizes, one program header
    elf.extend([1, 0, 0, 0, 5, 0, 0, 0]); // loaded, read and executed
    let length = HEADERS + code.len() as u64;
    for word in [0, BASE, BASE, length, length, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(code);
    elf
}
