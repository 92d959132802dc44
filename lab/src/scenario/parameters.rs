//! `kernel-parameters: kho=off`: what a scenario's kernels are told besides.

use serde::{Deserialize, Deserializer, de::Error as _};

/// Words at the end of the kernels' command line; printable, and not many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelParameters(String);

/// Longest text; kernels take 2048 bytes in all.
const LONGEST: usize = 512;

impl KernelParameters {
    /// The command line with them.
    #[must_use]
    pub fn behind(&self, line: &str) -> String {
        if self.0.is_empty() { line.to_owned() } else { format!("{line} {}", self.0) }
    }
}

impl<'de> Deserialize<'de> for KernelParameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let sound = !text.is_empty() && text.len() <= LONGEST && text.chars().all(|c| c == ' ' || c.is_ascii_graphic());
        // After two hyphens everything is for init.
        if !sound || text.split(' ').any(|word| word.is_empty() || word == "--") {
            return Err(D::Error::custom(format!(
                "kernel parameters are words with one space between them, at most {LONGEST} bytes: `kho=off`"
            )));
        }
        Ok(Self(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_behind_the_line() {
        let parameters: KernelParameters = serde_yaml::from_str("kho=off quiet").unwrap();
        assert_eq!(parameters.behind("panic=-1"), "panic=-1 kho=off quiet");
        assert_eq!(KernelParameters::default().behind("panic=-1"), "panic=-1");
    }

    #[test]
    fn what_is_no_parameter_is_refused() {
        for text in ["''", "' kho=off'", "'a  b'", "\"a\\nb\"", "'a -- b'", "'ä'", &format!("'{}'", "x".repeat(600))] {
            let said = serde_yaml::from_str::<KernelParameters>(text).unwrap_err().to_string();
            assert!(said.contains("words with one space"), "{text}: {said}");
        }
    }
}
