//! Reads Kconfig files, as far as it takes to say why an option did not get its value.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use super::expression::Expression;

/// The options of a `.config` that are set.
pub type Values = BTreeMap<String, String>;

/// One definition of an option; there may be several.
#[derive(Debug, Clone, Default)]
struct Definition {
    file: String,
    /// What has to hold for the option to be visible, including what encloses it.
    depends: Vec<String>,
    has_prompt: bool,
    /// What has to hold for a person to be asked.
    prompt_if: Option<String>,
    selects: Vec<(String, Option<String>)>,
}

/// The options of a kernel tree.
#[derive(Debug, Clone, Default)]
pub struct Kconfig {
    definitions: HashMap<String, Vec<Definition>>,
}

/// What encloses a line: `if`, `menu` or `choice`, with the conditions that each adds.
struct Block {
    conditions: Vec<String>,
}

/// What the reader is inside of.
enum Item {
    Nothing,
    Symbol(String, Definition),
    /// A `menu` or `choice` header: its `depends on` count for what it encloses.
    Block,
    /// A comment: its `depends on` are nobody's.
    Comment,
}

struct Reader<'a> {
    root: &'a Path,
    kconfig: Kconfig,
    blocks: Vec<Block>,
    depth: u32,
}

impl Kconfig {
    /// Reads a tree's `Kconfig` for x86 and all that it includes. What cannot be read is left out:
    /// it serves an explanation, not a build.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let mut reader = Reader { root, kconfig: Self::default(), blocks: Vec::new(), depth: 0 };
        reader.file("Kconfig");
        reader.kconfig
    }

    /// Reads one text, without what it includes.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let mut reader =
            Reader { root: Path::new("/nonexistent"), kconfig: Self::default(), blocks: Vec::new(), depth: 0 };
        reader.text("Kconfig", text);
        reader.kconfig
    }

    /// Why `symbol` has not the value `wanted`, given the values that all have.
    #[must_use]
    pub fn explain(&self, symbol: &str, wanted: &str, values: &Values) -> String {
        let Some(definitions) = self.definitions.get(symbol) else {
            return "this kernel has no such option".to_owned();
        };
        if wanted == "n" {
            return self.who_selects(symbol, values);
        }
        let reasons: Vec<String> = definitions.iter().map(|definition| definition.obstacle(wanted, values)).collect();
        reasons.join("; or ")
    }

    fn who_selects(&self, symbol: &str, values: &Values) -> String {
        let mut by: Vec<&str> = Vec::new();
        for (name, definitions) in &self.definitions {
            let selects = definitions.iter().flat_map(|it| &it.selects).any(|(selected, condition)| {
                selected == symbol && condition.as_ref().is_none_or(|it| Expression::parse(it).holds(values))
            });
            if selects && values.contains_key(name) {
                by.push(name);
            }
        }
        by.sort_unstable();
        if by.is_empty() {
            "no option selects it; it is on by default and cannot be turned off here".to_owned()
        } else {
            format!("selected by {}", by.join(", "))
        }
    }
}

impl Definition {
    fn obstacle(&self, wanted: &str, values: &Values) -> String {
        let unmet: Vec<String> = self
            .depends
            .iter()
            .map(|text| (text, Expression::parse(text)))
            .filter(|(_, expression)| !expression.holds(values))
            .map(|(text, expression)| {
                let facts: Vec<String> = expression
                    .symbols()
                    .into_iter()
                    .map(|name| format!("{name}={}", values.get(name).map_or("n", String::as_str)))
                    .collect();
                format!("it depends on `{text}` ({})", facts.join(", "))
            })
            .collect();
        let file = &self.file;
        if !unmet.is_empty() {
            return format!("{} [{file}]", unmet.join(" and "));
        }
        match &self.prompt_if {
            _ if !self.has_prompt => {
                format!("it cannot be set by itself, other options select it or it follows a default [{file}]")
            }
            Some(condition) if !Expression::parse(condition).holds(values) => {
                format!("it can be set only if `{condition}` holds [{file}]")
            }
            _ => format!(
                "its dependencies hold, yet {wanted} was not taken: is it one of a choice, or of another type? [{file}]"
            ),
        }
    }
}

impl Reader<'_> {
    fn file(&mut self, name: &str) {
        // A cycle, or a tree made to hurt.
        if self.depth > 30 {
            return;
        }
        let name = name.replace("$(SRCARCH)", "x86").replace("$(ARCH)", "x86").replace("$(HEADER_ARCH)", "x86");
        if let Ok(text) = fs::read_to_string(self.root.join(&name)) {
            self.depth += 1;
            self.text(&name, &text);
            self.depth -= 1;
        }
    }

    fn text(&mut self, file: &str, text: &str) {
        let joined = text.replace("\\\n", " ");
        let mut item = Item::Nothing;
        let mut help: Option<Option<usize>> = None;
        for raw in joined.lines() {
            let indent = raw.chars().take_while(|c| c.is_whitespace()).map(|c| if c == '\t' { 8 } else { 1 }).sum();
            let line = raw.trim();
            if line.is_empty() || (line.starts_with('#') && help.is_none()) {
                continue;
            }
            // Help lasts as long as lines are indented like its first.
            match help {
                Some(None) if indent > 0 => {
                    help = Some(Some(indent));
                    continue;
                }
                Some(Some(first)) if indent >= first => continue,
                _ => help = None,
            }
            if line == "help" || line == "---help---" {
                help = Some(None);
                continue;
            }
            let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            self.line(file, word, strip_comment(rest.trim()), &mut item);
        }
        self.finish(&mut item);
    }

    fn line(&mut self, file: &str, word: &str, rest: &str, item: &mut Item) {
        match word {
            "config" | "menuconfig" => {
                self.finish(item);
                let depends = self.blocks.iter().flat_map(|block| block.conditions.iter().cloned()).collect();
                let definition = Definition { file: file.to_owned(), depends, ..Definition::default() };
                *item = Item::Symbol(rest.to_owned(), definition);
            }
            "menu" | "choice" => {
                self.finish(item);
                self.blocks.push(Block { conditions: Vec::new() });
                *item = Item::Block;
            }
            "if" => {
                self.finish(item);
                self.blocks.push(Block { conditions: vec![rest.to_owned()] });
            }
            "endif" | "endmenu" | "endchoice" => {
                self.finish(item);
                self.blocks.pop();
            }
            "comment" => {
                self.finish(item);
                *item = Item::Comment;
            }
            "source" | "rsource" | "osource" => {
                self.finish(item);
                self.file(rest.trim_matches('"'));
            }
            "depends" => {
                let condition = rest.strip_prefix("on").unwrap_or(rest).trim().to_owned();
                match item {
                    Item::Symbol(_, definition) => definition.depends.push(condition),
                    Item::Block => self.blocks.iter_mut().last().map_or((), |block| block.conditions.push(condition)),
                    Item::Nothing | Item::Comment => {}
                }
            }
            "bool" | "tristate" | "string" | "int" | "hex" | "prompt" if !rest.is_empty() => {
                if let Item::Symbol(_, definition) = item {
                    definition.has_prompt = true;
                    definition.prompt_if = split_condition(rest).1.map(str::to_owned);
                }
            }
            "select" | "imply" => {
                if let Item::Symbol(_, definition) = item {
                    let (name, condition) = split_condition(rest);
                    definition.selects.push((name.to_owned(), condition.map(str::to_owned)));
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, item: &mut Item) {
        if let Item::Symbol(name, definition) = std::mem::replace(item, Item::Nothing) {
            self.kconfig.definitions.entry(name).or_default().push(definition);
        }
    }
}

/// `X` and `C` of `X if C`; an `if` inside a quoted prompt is none.
fn split_condition(text: &str) -> (&str, Option<&str>) {
    let after_quote = match text.strip_prefix('"') {
        Some(rest) => rest.find('"').map_or(text.len(), |end| end + 2),
        None => 0,
    };
    match text.get(after_quote..).and_then(|rest| rest.find(" if ")) {
        Some(at) => (text[..after_quote + at].trim(), Some(text[after_quote + at + 4..].trim())),
        None => (text.trim(), None),
    }
}

fn strip_comment(text: &str) -> &str {
    if text.starts_with('"') { text } else { text.split(" #").next().unwrap_or(text).trim() }
}
