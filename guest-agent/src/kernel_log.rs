//! The kernel's log: its text, and what it says about how the kernel came to run.

use protocol::message::{Handover, Previous};

use crate::failure::{Outcome, Tell};

const READ_ALL: libc::c_int = 3;
const SIZE_BUFFER: libc::c_int = 10;

/// What Kexec HandOver says that takes what it was handed; the second before 6.19.
const FOUND: [&str; 2] =
    ["KHO: found kexec handover data.", "KHO: found kexec handover data. Will skip init for some devices"];

/// Most bytes of log that a reply carries.
pub(crate) const LIMIT: usize = 256 << 10;

/// The newest part of the log, at most `limit` bytes.
pub(crate) fn read(limit: usize) -> Outcome<String> {
    let mut text = vec![0u8; limit.min(buffer_size())];
    let length = libc::c_int::try_from(text.len()).unwrap_or(libc::c_int::MAX);
    // SAFETY: `text` is writable and `length` bytes long.
    let read = unsafe { libc::klogctl(READ_ALL, text.as_mut_ptr().cast(), length) };
    let read = usize::try_from(read).map_err(|_| std::io::Error::last_os_error()).tell("syslog READ_ALL")?;
    text.truncate(read);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Size of the kernel's buffer, or what is surely enough.
fn buffer_size() -> usize {
    // SAFETY: this action takes no buffer.
    let size = unsafe { libc::klogctl(SIZE_BUFFER, std::ptr::null_mut(), 0) };
    // Printed lines are longer than the records they come from.
    usize::try_from(size).map_or(1 << 20, |size| (2 * size).min(8 << 20))
}

/// How this kernel came to run, by its own word.
pub(crate) fn handover() -> Option<Handover> {
    find_handover(&read(usize::MAX).ok()?)
}

fn find_handover(log: &str) -> Option<Handover> {
    let mut words = log.lines().filter_map(kernels_words);
    words.find(|words| FOUND.contains(words))?;
    Some(Handover { previous: words.find_map(parse_previous) })
}

/// What the kernel said in a line such as `<6>[    0.000000] KHO: exec from: RELEASE (count N)`: its message, whole.
/// The command line, which is in the log as well, may hold any words; and a line with a facility comes from user space.
fn kernels_words(line: &str) -> Option<&str> {
    let (priority, rest) = line.strip_prefix('<')?.split_once('>')?;
    if priority.parse::<u32>().ok()? >= 8 {
        return None;
    }
    match rest.strip_prefix('[') {
        Some(stamped) => Some(stamped.split_once("] ")?.1),
        None => Some(rest),
    }
}

fn parse_previous(words: &str) -> Option<Previous> {
    let (release, count) = words.strip_prefix("KHO: exec from: ")?.rsplit_once(" (count ")?;
    let count = count.strip_suffix(')')?.parse().ok()?;
    Some(Previous { release: release.to_owned(), count })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUND: &str = "<6>[    0.000000] KHO: found kexec handover data.";
    const BEFORE_6_19: &str = "<6>[    0.000000] KHO: found kexec handover data. Will skip init for some devices";

    fn previous(line: &str) -> Option<Previous> {
        find_handover(&format!("{FOUND}\n{line}\n")).and_then(|found| found.previous)
    }

    #[test]
    fn the_kernels_lines_are_read() {
        let found = previous("<6>[    0.000000] KHO: exec from: 7.3.4-lab+ (count 12)");
        assert_eq!(found, Some(Previous { release: "7.3.4-lab+".into(), count: 12 }));
        // Without CONFIG_PRINTK_TIME.
        assert_eq!(previous("<6>KHO: exec from: a (count 1)").map(|found| found.count), Some(1));
        // Before 7.1.
        assert_eq!(find_handover(FOUND), Some(Handover { previous: None }));
        assert_eq!(find_handover(BEFORE_6_19), Some(Handover { previous: None }));
    }

    #[test]
    fn what_only_looks_like_it_is_not() {
        for line in [
            "",
            "<6>",
            "KHO: exec from: a (count 1)",
            "<6>[    0.000000] Command line: KHO: exec from: a (count 1)",
            "<12>[    1.000000] KHO: exec from: a (count 1)",
            "<6>[    0.000000] KHO: exec from: a (count -1)",
            "<6>[    0.000000] KHO: exec from: a (count 4294967296)",
            "<6>[    0.000000] KHO: exec from: a",
            "<6>[    0.000000",
            "<12>[    1.000000] KHO: found kexec handover data.",
            "<6>[    0.000000] KHO: found kexec handover data. Not.",
        ] {
            assert_eq!(previous(line), None, "{line}");
            assert_eq!(find_handover(line), None, "{line}");
        }
    }
}
