//! The configuration that the lab asks for, and whether it got it.

use std::collections::BTreeMap;

use super::kconfig::{Kconfig, Values};
use super::{Error, Series};

/// One option and the value that it has to get.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    symbol: String,
    value: String,
    since: Option<Series>,
    until: Option<Series>,
}

/// Options for a kernel. A line may end in `# since 7.1` or `# until 6.18` (that series included):
/// it then counts for those kernels only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    lines: Vec<Line>,
}

impl Fragment {
    /// Reads a fragment.
    ///
    /// # Errors
    /// A line is neither an option nor a comment.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut lines = Vec::new();
        for (index, raw) in text.lines().enumerate() {
            let line = parse_line(raw.trim()).map_err(|reason| Error::Fragment { line: index + 1, reason })?;
            lines.extend(line);
        }
        Ok(Self { lines })
    }

    /// What counts for a series, as `.config` lines.
    #[must_use]
    pub fn for_series(&self, series: Series) -> String {
        self.wanted(series)
            .map(|line| match line.value.as_str() {
                "n" => format!("# CONFIG_{} is not set\n", line.symbol),
                value => format!("CONFIG_{}={value}\n", line.symbol),
            })
            .collect()
    }

    /// Whether a series gets this option with the value `y`.
    #[must_use]
    pub fn enables(&self, symbol: &str, series: Series) -> bool {
        self.wanted(series).any(|line| line.symbol == symbol && line.value == "y")
    }

    /// Compares with what the kernel's configuration made of it. Each option that did not take is explained;
    /// `kconfig` is read only if there is one.
    pub fn problems(&self, series: Series, config: &str, kconfig: impl FnOnce() -> Kconfig) -> Vec<String> {
        let values = values(config);
        let wrong: Vec<&Line> =
            self.wanted(series).filter(|line| current(&values, &line.symbol) != line.value).collect();
        if wrong.is_empty() {
            return Vec::new();
        }
        let kconfig = kconfig();
        wrong
            .into_iter()
            .map(|line| {
                let has = current(&values, &line.symbol);
                let why = kconfig.explain(&line.symbol, &line.value, &values);
                format!("CONFIG_{} should be {} and is {has}: {why}", line.symbol, line.value)
            })
            .collect()
    }

    /// The lines that count for a series; of several about one option, the last.
    fn wanted(&self, series: Series) -> impl Iterator<Item = &Line> {
        let counts = move |line: &&Line| {
            line.since.is_none_or(|since| series >= since) && line.until.is_none_or(|until| series <= until)
        };
        self.lines
            .iter()
            .enumerate()
            .filter(move |(index, line)| {
                let again = |later: &Line| later.symbol == line.symbol && counts(&later);
                counts(line) && !self.lines[index + 1..].iter().any(again)
            })
            .map(|(_, line)| line)
    }
}

fn parse_line(text: &str) -> Result<Option<Line>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let (symbol, value, rest) = if let Some(rest) = text.strip_prefix("# CONFIG_") {
        // A comment that begins so and goes on otherwise is a slip, not a comment.
        let (symbol, rest) = rest.split_once(" is not set").ok_or("`# CONFIG_…` without `is not set`")?;
        (symbol, "n", rest)
    } else if text.starts_with('#') {
        return Ok(None);
    } else {
        let (symbol, rest) = text
            .strip_prefix("CONFIG_")
            .and_then(|text| text.split_once('='))
            .ok_or_else(|| format!("`{text}` is no option"))?;
        let (value, rest) = rest.split_once(" #").map_or((rest, ""), |(value, rest)| (value, rest));
        (symbol, value.trim(), rest)
    };
    if symbol.is_empty() || !symbol.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(format!("`{symbol}` is no name of an option"));
    }
    if value.is_empty() {
        return Err(format!("CONFIG_{symbol} has no value"));
    }
    let mut line = Line { symbol: symbol.to_owned(), value: value.to_owned(), since: None, until: None };
    let mut words = rest.trim().trim_start_matches('#').split_whitespace();
    while let Some(word) = words.next() {
        let series = words.next().and_then(|text| text.parse().ok());
        match (word, series) {
            ("since", Some(series)) => line.since = Some(series),
            ("until", Some(series)) => line.until = Some(series),
            _ => return Err(format!("after CONFIG_{symbol} only `since X.Y` and `until X.Y` are known")),
        }
    }
    Ok(Some(line))
}

/// The options of a `.config`; those not set are absent.
fn values(config: &str) -> Values {
    config
        .lines()
        .filter_map(|line| line.strip_prefix("CONFIG_")?.split_once('='))
        .map(|(symbol, value)| (symbol.to_owned(), value.to_owned()))
        .collect::<BTreeMap<_, _>>()
}

fn current<'a>(values: &'a Values, symbol: &str) -> &'a str {
    values.get(symbol).map_or("n", String::as_str)
}
