//! What is said of an instance before it is mounted.

use std::{fmt, str::FromStr};

use super::{Instance, context::Context};
use crate::{Name, Result};

/// Page sizes of an instance's files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Huge {
    /// 4 KiB.
    #[default]
    Never,
    /// 2 MiB wherever they fit.
    Always,
}

/// A secret that a later mount of the same instance must know too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; 16]);

impl From<[u8; 16]> for Key {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl FromStr for Key {
    type Err = InvalidKey;

    fn from_str(text: &str) -> std::result::Result<Self, InvalidKey> {
        // The standard library's parser takes a sign.
        if text.len() != 32 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(InvalidKey(()));
        }
        u128::from_str_radix(text, 16).map(|key| Self(key.to_be_bytes())).map_err(|_| InvalidKey(()))
    }
}

impl Key {
    fn digits(self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Tells nothing of it: it is a secret.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Not a [`Key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidKey(());

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key is 32 hexadecimal digits")
    }
}

impl std::error::Error for InvalidKey {}

/// Whether the instance must, may or must not be one that the previous kernel handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Origin {
    #[default]
    Either,
    Retrieved,
    Fresh,
}

/// An instance before it is mounted. What is not said is left to the kernel.
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is mounted before `mount`"]
pub struct Builder {
    name: Option<Name>,
    size: Option<u64>,
    huge: Option<Huge>,
    key: Option<Key>,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    origin: Origin,
}

impl Builder {
    /// What the next kernel finds it by, together with the user who mounts it: `default` if not given.
    pub fn name(mut self, name: Name) -> Self {
        self.name = Some(name);
        self
    }

    /// Most bytes that its files may have, counted in pages: half of the memory if not given.
    pub fn size(mut self, bytes: u64) -> Self {
        self.size = Some(bytes);
        self
    }

    /// The size of its files' pages.
    pub fn huge(mut self, huge: Huge) -> Self {
        self.huge = Some(huge);
        self
    }

    /// A secret, without which nobody can retrieve it (EACCES).
    pub fn key(mut self, key: Key) -> Self {
        self.key = Some(key);
        self
    }

    /// The root directory's permissions.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode & 0o7777);
        self
    }

    /// The root directory's owner.
    pub fn uid(mut self, uid: u32) -> Self {
        self.uid = Some(uid);
        self
    }

    /// The root directory's group.
    pub fn gid(mut self, gid: u32) -> Self {
        self.gid = Some(gid);
        self
    }

    /// Only one that the previous kernel handed over will do: ENOENT if there is none. Undoes
    /// [`Self::fresh`].
    pub fn retrieve(mut self) -> Self {
        self.origin = Origin::Retrieved;
        self
    }

    /// Only a new one will do: EEXIST if one of this name was handed over. Undoes [`Self::retrieve`].
    pub fn fresh(mut self) -> Self {
        self.origin = Origin::Fresh;
        self
    }

    /// Mounts it, nowhere; without set-user-id, devices and executables.
    ///
    /// If one of this name was handed over, and the machine is still UPDATED, this retrieves it.
    ///
    /// # Errors
    /// ENODEV if the kernel has no kexecfs; EBUSY if one of this name is mounted already; ENOENT, EEXIST,
    /// EACCES as above; EIO if memory of a file is not there. A failed attempt may be made again.
    pub fn mount(&self) -> Result<Instance> {
        let context = Context::open("kexecfs")?;
        for (key, value) in self.options() {
            match value {
                Some(value) => context.set_string(key, &value)?,
                None => context.set_flag(key)?,
            }
        }
        Ok(Instance { mount: context.mount()? })
    }

    /// For fsconfig: names with their values, or flags.
    fn options(&self) -> Vec<(&'static str, Option<String>)> {
        let huge = |huge| match huge {
            Huge::Never => "never",
            Huge::Always => "always",
        };
        let strings = [
            ("name", self.name.map(|name| name.to_string())),
            ("size", self.size.map(|size| size.to_string())),
            ("huge", self.huge.map(|it| huge(it).to_owned())),
            ("key", self.key.map(Key::digits)),
            ("mode", self.mode.map(|mode| format!("{mode:o}"))),
            ("uid", self.uid.map(|uid| uid.to_string())),
            ("gid", self.gid.map(|gid| gid.to_string())),
        ];
        let flag = match self.origin {
            Origin::Either => None,
            Origin::Retrieved => Some("retrieve"),
            Origin::Fresh => Some("fresh"),
        };
        let strings = strings.into_iter().filter_map(|(key, value)| Some((key, Some(value?))));
        strings.chain(flag.map(|flag| (flag, None))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_nothing_set() {
        assert_eq!(Instance::builder().options(), []);
    }

    #[test]
    fn options_are_the_kernel_s() {
        let key = "0123456789abcdef00112233445566ff";
        let builder = Instance::builder()
            .name(Name::new("lab").unwrap())
            .size(64 << 20)
            .huge(Huge::Always)
            .key(key.parse().unwrap())
            .mode(0o1750)
            .uid(1000)
            .gid(7)
            .fresh()
            .retrieve();
        let told: Vec<String> = builder
            .options()
            .into_iter()
            .map(|(key, value)| value.map_or_else(|| key.to_owned(), |value| format!("{key}={value}")))
            .collect();
        let expected = ["name=lab", "size=67108864", "huge=always", &format!("key={key}"), "mode=1750", "uid=1000"];
        assert_eq!(told[..6], expected);
        assert_eq!(told[6..], ["gid=7", "retrieve"]);
        assert_eq!(Instance::builder().retrieve().fresh().options(), [("fresh", None)]);
    }

    #[test]
    fn keys_are_checked_and_kept_secret() {
        let key: Key = "00000000000000000000000000000abc".parse().unwrap();
        assert_eq!(key.digits(), "00000000000000000000000000000abc");
        assert_eq!(format!("{key:?}"), "Key(..)");
        for bad in ["", "0", "+0000000000000000000000000000abc", &"g".repeat(32), &"0".repeat(33)] {
            assert_eq!(bad.parse::<Key>(), Err(InvalidKey(())), "{bad}");
        }
    }
}
