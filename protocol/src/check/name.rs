//! The name of a check, and the check of a name.

use std::fmt;
use std::str::FromStr;

use super::Check;

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No check has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no check `{0}`")]
pub struct UnknownCheck(pub String);

impl FromStr for Check {
    type Err = UnknownCheck;

    fn from_str(name: &str) -> Result<Self, UnknownCheck> {
        Self::ALL.iter().copied().find(|check| check.name() == name).ok_or_else(|| UnknownCheck(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_variants_and_unique() {
        for &check in Check::ALL {
            let mut kebab = String::new();
            for c in format!("{check:?}").chars() {
                if c.is_uppercase() && !kebab.is_empty() {
                    kebab.push('-');
                }
                kebab.extend(c.to_lowercase());
            }
            assert_eq!(check.name(), kebab);
            assert_eq!(check.name().parse(), Ok(check));
            assert!(!check.faces().is_empty(), "{check} can be asked of nothing");
        }
        assert_eq!("nonsense".parse::<Check>(), Err(UnknownCheck("nonsense".to_owned())));
    }
}
