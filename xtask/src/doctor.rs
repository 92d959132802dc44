//! `cargo xtask doctor`

use lab::cache::Cache;
use lab::host::{Doctor, Family};

use crate::cli::Doctor as Options;
use crate::exit::Exit;

pub(crate) fn run(options: &Options) -> Exit {
    let cache = match Cache::open() {
        Ok(cache) => cache,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Infrastructure;
        }
    };
    let mut missing = 0;
    for check in Doctor::new(&cache).inspect(options.profile.compiler()) {
        let good = check.is_good();
        println!("{} {check}", if good { "ok     " } else { "MISSING" });
        if !good {
            missing += 1;
            println!("        {}", check.remedy.command(Family::here()));
        }
    }
    if missing == 0 { Exit::Passed } else { Exit::Failed }
}
