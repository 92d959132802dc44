#![cfg_attr(fuzzing, no_main)]
#![allow(missing_docs, reason = "a program of one line; the library says what it does")]

fuzz::target!(fuzz::scenario::run);
