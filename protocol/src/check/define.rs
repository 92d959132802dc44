//! What a line of the list says of a check.

/// How a check lies in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Within one kernel: `check`.
    Within,
    /// Over a live update: `leave` before and `find` after it. The host moves the state machine.
    Spans,
    /// As [`Shape::Spans`], but the check moves the state machine itself, or leaves it alone on purpose.
    Drives,
}

macro_rules! checks {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal, $shape:ident, $faces:expr;)*) => {
        /// A named check.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Check {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Check {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name, as it stands in a scenario.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it shows, in a sentence or two.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*).trim_ascii(),)* }
            }

            /// How it lies in time.
            #[must_use]
            pub const fn shape(self) -> Shape {
                match self { $(Self::$variant => Shape::$shape,)* }
            }

            /// The interfaces that it can be asked of.
            #[must_use]
            pub const fn faces(self) -> &'static [Interface] {
                match self { $(Self::$variant => $faces,)* }
            }
        }
    };
}

pub(super) use checks;
