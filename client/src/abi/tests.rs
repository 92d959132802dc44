//! The layout against the C header, as the system's C compiler sees it.

use std::{
    fmt::Write as _,
    io::ErrorKind,
    mem::offset_of,
    path::Path,
    process::{Command as Process, Stdio},
};

use super::*;

/// The C expression, and what it must be.
struct Fact(String, u64);

/// The facts of one structure: its size, and each field's place and size.
macro_rules! structure {
    ($c:literal, $rust:ident, $($field:ident),*) => {{
        let c = concat!("struct liveupdate_lab_", $c);
        let argument = $rust::new();
        assert_eq!(argument.size as usize, size_of::<$rust>());
        let mut facts = vec![Fact(format!("sizeof({c})"), size_of::<$rust>() as u64)];
        $(
            let field = stringify!($field);
            facts.push(Fact(format!("offsetof({c}, {field})"), offset_of!($rust, $field) as u64));
            facts.push(Fact(format!("sizeof((({c} *)0)->{field})"), size_of_val(&argument.$field) as u64));
        )*
        facts
    }};
}

fn number<T>(command: &Command<T>) -> Fact {
    Fact(format!("LIVEUPDATE_LAB_{}", command.name), command.opcode.into())
}

fn constant(name: &str, value: u64) -> Fact {
    Fact(format!("LIVEUPDATE_LAB_{name}"), value)
}

fn facts() -> Vec<Fact> {
    let mut facts = vec![
        number(&FD_PRESERVE),
        number(&FD_UNPRESERVE),
        number(&FD_RESTORE),
        number(&GET_STATE),
        number(&PREPARE),
        number(&FREEZE),
        number(&CANCEL),
        number(&FINISH),
        number(&SESSION_CREATE),
        number(&SESSION_RETRIEVE),
        number(&DEPEND),
        number(&FD_INFO),
        number(&REASON),
        number(&STATUS),
        number(&MEM_CREATE),
        constant("NAME_LEN", NAME_LEN as u64),
        constant("REASON_LEN", REASON_LEN as u64),
        constant("NORMAL", crate::State::Normal as u64),
        constant("PREPARED", crate::State::Prepared as u64),
        constant("FROZEN", crate::State::Frozen as u64),
        constant("UPDATED", crate::State::Updated as u64),
        constant("KIND_MEMORY", KIND_MEMORY.into()),
        constant("KIND_MEMFD", KIND_MEMFD.into()),
        constant("KIND_EVENTFD", KIND_EVENTFD.into()),
        constant("PRESERVE_MEMFD", PRESERVE_MEMFD.into()),
        constant("MEM_SMALL", MEM_SMALL.into()),
        constant("MEM_HUGE", MEM_HUGE.into()),
    ];
    facts.extend(structure!("fd_preserve", FdPreserve, size, fd, token, flags, reserved));
    facts.extend(structure!("fd_unpreserve", FdUnpreserve, size, reserved, token));
    facts.extend(structure!("fd_restore", FdRestore, size, fd, token));
    facts.extend(structure!("get_state", GetState, size, state));
    facts.extend(structure!("event", Event, size, reserved));
    facts.extend(structure!("session", Session, size, fd, name));
    facts.extend(structure!("depend", Depend, size, reserved, token, on, name));
    facts.extend(structure!("fd_info", FdInfo, size, kind, token, bytes, flags, restored));
    facts.extend(structure!("reason", Reason, size, len, text));
    facts.extend(structure!(
        "status",
        Status,
        size,
        state,
        generation,
        participants,
        inherited,
        unclaimed,
        freed_pages
    ));
    facts.extend(structure!("mem_create", MemCreate, size, fd, bytes, flags, reserved));
    facts
}

/// Compiles a program that prints each expression on a line, and runs it. `None` without a compiler.
fn ask_c(header: &Path, facts: &[Fact]) -> Option<String> {
    let mut program = format!("#include <stddef.h>\n#include <stdio.h>\n#include \"{}\"\n", header.display());
    program.push_str("int main(void)\n{\n");
    for Fact(expression, _) in facts {
        writeln!(program, "\tprintf(\"%llu\\n\", (unsigned long long)({expression}));").unwrap();
    }
    program.push_str("\treturn 0;\n}\n");

    let dir = tempfile::tempdir().unwrap();
    let (source, executable) = (dir.path().join("layout.c"), dir.path().join("layout"));
    std::fs::write(&source, program).unwrap();
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    match Process::new(&compiler).args(["-Wall", "-Werror", "-o"]).arg(&executable).arg(&source).status() {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        status => assert!(status.unwrap().success(), "{} does not compile", header.display()),
    }
    let output = Process::new(&executable).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_layout_is_the_c_header_s() {
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kmod/uapi/liveupdate_lab.h");
    let facts = facts();
    let Some(told) = ask_c(&header, &facts) else {
        eprintln!("skipped: there is no C compiler to ask");
        return;
    };
    let told: Vec<u64> = told.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(told.len(), facts.len());
    for (Fact(expression, ours), theirs) in facts.iter().zip(told) {
        assert_eq!(*ours, theirs, "{expression}");
    }
}

/// A structure or an ioctl that is new in the header must not go unnoticed.
#[test]
fn all_of_the_header_is_known() {
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kmod/uapi/liveupdate_lab.h");
    let header = std::fs::read_to_string(header).unwrap();
    let known: Vec<String> = facts().into_iter().map(|Fact(expression, _)| expression).collect();
    for line in header.lines() {
        if let Some(structure) = line.strip_prefix("struct ").and_then(|line| line.strip_suffix(" {")) {
            assert!(known.contains(&format!("sizeof(struct {structure})")), "struct {structure}");
        }
        if let Some(name) = line.strip_prefix("#define ").filter(|line| line.contains("_IO(")) {
            let name = name.split_whitespace().next().unwrap();
            assert!(known.iter().any(|known| known == name), "{name}");
        }
    }
}

#[test]
fn another_file_does_not_know_the_calls() {
    let null = std::fs::File::open("/dev/null").unwrap();
    let null = std::os::fd::AsFd::as_fd(&null);
    assert_eq!(call(null, &GET_STATE, &mut GetState::new()), Err(Errno::NOTTY));
    assert_eq!(open(null, &MEM_CREATE, &mut MemCreate::new()).err(), Some(Errno::NOTTY));
}
