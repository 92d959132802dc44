//! Requirements by face, as a table; and in words whatever in it is no pass.

use console::style;
use protocol::message::Interface;

use super::terminal::plain;
use crate::result::{Cell, CellState, Conformance};

/// The table.
#[must_use]
pub fn table(conformance: &Conformance) -> String {
    let mut faces: Vec<Interface> = Vec::new();
    for cell in &conformance.cells {
        if !faces.contains(&cell.face) {
            faces.push(cell.face);
        }
    }
    let rows: Vec<&[Cell]> = conformance.cells.chunks(faces.len().max(1)).collect();
    let texts = |row: &[Cell]| row.first().map_or(0, |cell| cell.requirement.text().chars().count());
    let wide = rows.iter().map(|row| texts(row)).max().unwrap_or(0).max("requirement".len());
    let columns: Vec<usize> = faces.iter().map(|&face| head(face).len().max("not found out".len())).collect();
    let mut head_line = format!("{:<3}  {:<wide$}", "id", "requirement");
    for (&face, width) in faces.iter().zip(&columns) {
        head_line.push_str(&format!("  {:<width$}", head(face)));
    }
    let mut lines = vec![head_line.trim_end().to_owned()];
    lines.push("─".repeat(lines[0].chars().count().max(wide)));
    for row in rows {
        let Some(first) = row.first() else { continue };
        let mut line = format!("{:<3}  {:<wide$}", first.requirement.to_string(), first.requirement.text());
        for (cell, width) in row.iter().zip(&columns) {
            // Padded before it is coloured: escapes have no width.
            line.push_str("  ");
            line.push_str(&coloured(cell.state, &format!("{:<width$}", word(cell.state))));
        }
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

/// Why cells are no passes, a line each; those that share their reason in one.
#[must_use]
pub fn reasons(conformance: &Conformance) -> String {
    let mut lines: Vec<(CellState, String, String)> = Vec::new();
    for cell in &conformance.cells {
        let Some(reason) = &cell.reason else { continue };
        let place = format!("{} {}", cell.requirement, cell.face.name());
        match lines.iter_mut().find(|(state, _, known)| *state == cell.state && known == reason) {
            Some((_, places, _)) => {
                places.push_str(", ");
                places.push_str(&place);
            }
            None => lines.push((cell.state, place, reason.clone())),
        }
    }
    let said = lines.iter().map(|(state, places, reason)| format!("{}: {places}: {}", word(*state), plain(reason)));
    said.collect::<Vec<_>>().join("\n")
}

/// How many cells are what, in a line.
#[must_use]
pub fn summary(conformance: &Conformance) -> String {
    use CellState::{DoesNotHold, Failed, NotApplicable, NotFoundOut, Passed, Unproven};
    let count = |state| format!("{} {}", conformance.count(state), word(state));
    let parts = [Passed, DoesNotHold, Failed, NotFoundOut, NotApplicable, Unproven].map(count);
    let part = if conformance.whole { "" } else { " (of a part of the scenarios: what is unproven does not count)" };
    format!("conformance: {}{part}", parts.join(", "))
}

fn head(face: Interface) -> &'static str {
    match face {
        Interface::Luo => "luo",
        Interface::Module => "ioctl (module)",
        Interface::Kexecfs => "kexecfs",
        Interface::Kho => "plain KHO",
    }
}

fn word(state: CellState) -> &'static str {
    match state {
        CellState::Passed => "pass",
        CellState::DoesNotHold => "does not hold",
        CellState::Failed => "FAIL",
        CellState::NotFoundOut => "not found out",
        CellState::NotApplicable => "n/a",
        CellState::Unproven => "unproven",
    }
}

fn coloured(state: CellState, text: &str) -> String {
    let styled = style(text);
    let styled = match state {
        CellState::Passed => styled.green(),
        CellState::Failed | CellState::NotFoundOut => styled.red(),
        CellState::DoesNotHold => styled.magenta(),
        CellState::NotApplicable => styled.dim(),
        CellState::Unproven => styled.yellow(),
    };
    styled.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requirement::Requirement;

    fn cell(requirement: Requirement, face: Interface, state: CellState, reason: Option<&str>) -> Cell {
        Cell { requirement, face, state, reason: reason.map(str::to_owned), evidence: Vec::new() }
    }

    fn some() -> Conformance {
        use CellState::{Failed, NotApplicable, Passed, Unproven};
        use Interface::{Kexecfs, Module};
        let cells = vec![
            cell(Requirement::C1, Module, Passed, None),
            cell(Requirement::C1, Kexecfs, NotApplicable, Some("it has none")),
            cell(Requirement::T4, Module, NotApplicable, Some("it has none")),
            cell(Requirement::T4, Kexecfs, Failed, Some("the state \u{1b}[2J was 2")),
            cell(Requirement::T5, Module, Unproven, None),
            cell(Requirement::T5, Kexecfs, Unproven, None),
        ];
        Conformance { whole: true, cells }
    }

    #[test]
    fn a_line_a_requirement_and_a_column_a_face() {
        console::set_colors_enabled(false);
        let table = table(&some());
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 2 + 3, "{table}");
        assert!(lines[0].starts_with("id ") && lines[0].ends_with("ioctl (module)  kexecfs"), "{table}");
        let columns = |line: &str| {
            line.split("  ").map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(columns(lines[2]), ["C1", Requirement::C1.text(), "pass", "n/a"], "{table}");
        assert_eq!(columns(lines[3]), ["T4", Requirement::T4.text(), "n/a", "FAIL"], "{table}");
        assert_eq!(lines[3].find("n/a"), lines[2].find("pass"), "aligned: {table}");
    }

    #[test]
    fn reasons_are_shared_and_harmless() {
        assert_eq!(reasons(&some()), "n/a: C1 kexecfs, T4 module: it has none\nFAIL: T4 kexecfs: the state  [2J was 2");
        assert_eq!(
            summary(&some()),
            "conformance: 1 pass, 0 does not hold, 1 FAIL, 0 not found out, 2 n/a, 2 unproven"
        );
    }
}
