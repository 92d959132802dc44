//! Kconfig's conditions, such as `A && !B || C = y`.

use super::kconfig::Values;

/// A condition. What cannot be understood counts as true: it is then not blamed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    Symbol(String),
    Equal(String, String),
    Unequal(String, String),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Unknown,
}

impl Expression {
    pub(super) fn parse(text: &str) -> Self {
        let tokens = tokens(text);
        let mut parser = Parser { tokens: &tokens, at: 0, depth: 0 };
        match parser.or() {
            Some(expression) if parser.at == tokens.len() => expression,
            _ => Self::Unknown,
        }
    }

    /// Whether it is `y` or `m`.
    pub(super) fn holds(&self, values: &Values) -> bool {
        let value = |name: &str| match name {
            "y" | "n" | "m" => name.to_owned(),
            _ => values.get(name).map_or_else(|| "n".to_owned(), |value| value.trim_matches('"').to_owned()),
        };
        match self {
            Self::Symbol(name) => matches!(value(name).as_str(), "y" | "m"),
            Self::Equal(a, b) => value(a) == literal(b, values),
            Self::Unequal(a, b) => value(a) != literal(b, values),
            Self::Not(inner) => !inner.holds(values),
            Self::And(a, b) => a.holds(values) && b.holds(values),
            Self::Or(a, b) => a.holds(values) || b.holds(values),
            Self::Unknown => true,
        }
    }

    /// The symbols that it names.
    pub(super) fn symbols(&self) -> Vec<&str> {
        let mut found = Vec::new();
        self.collect(&mut found);
        found
    }

    fn collect<'a>(&'a self, found: &mut Vec<&'a str>) {
        match self {
            Self::Symbol(name) | Self::Equal(name, _) | Self::Unequal(name, _) => {
                if !found.contains(&name.as_str()) {
                    found.push(name);
                }
            }
            Self::Not(inner) => inner.collect(found),
            Self::And(a, b) | Self::Or(a, b) => {
                a.collect(found);
                b.collect(found);
            }
            Self::Unknown => {}
        }
    }
}

/// The right side of a comparison: a symbol's value, else the word itself.
fn literal(word: &str, values: &Values) -> String {
    values.get(word).map_or(word, |value| value.trim_matches('"')).to_owned()
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("&&") || rest.starts_with("||") || rest.starts_with("!=") {
            2
        } else if matches!(first, '!' | '(' | ')' | '=') {
            1
        } else if first == '"' {
            rest[1..].find('"').map_or(rest.len(), |end| end + 2)
        } else {
            rest.find(|c: char| c.is_whitespace() || "&|!()=".contains(c)).unwrap_or(rest.len()).max(first.len_utf8())
        };
        tokens.push(rest[..length].trim_matches('"').to_owned());
        rest = rest[length..].trim_start();
    }
    tokens
}

struct Parser<'a> {
    tokens: &'a [String],
    at: usize,
    depth: u32,
}

impl Parser<'_> {
    fn or(&mut self) -> Option<Expression> {
        let mut left = self.and()?;
        while self.take("||") {
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        Some(left)
    }

    fn and(&mut self) -> Option<Expression> {
        let mut left = self.unary()?;
        while self.take("&&") {
            left = Expression::And(Box::new(left), Box::new(self.unary()?));
        }
        Some(left)
    }

    fn unary(&mut self) -> Option<Expression> {
        // Deeper than anything a person writes.
        if self.depth > 200 {
            return None;
        }
        self.depth += 1;
        let found = if self.take("!") {
            Some(Expression::Not(Box::new(self.unary()?)))
        } else if self.take("(") {
            let inner = self.or()?;
            self.take(")").then_some(inner)
        } else {
            self.comparison()
        };
        self.depth -= 1;
        found
    }

    fn comparison(&mut self) -> Option<Expression> {
        let name = self.word()?;
        if self.take("=") {
            return Some(Expression::Equal(name, self.word()?));
        }
        if self.take("!=") {
            return Some(Expression::Unequal(name, self.word()?));
        }
        // `<`, `$(…)` and the like are beyond us.
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        Some(if plain { Expression::Symbol(name) } else { Expression::Unknown })
    }

    fn word(&mut self) -> Option<String> {
        let word = self.tokens.get(self.at)?;
        if matches!(word.as_str(), "&&" | "||" | "!" | "(" | ")" | "=" | "!=") {
            return None;
        }
        self.at += 1;
        Some(word.clone())
    }

    fn take(&mut self, token: &str) -> bool {
        let taken = self.tokens.get(self.at).is_some_and(|it| it == token);
        self.at += usize::from(taken);
        taken
    }
}
