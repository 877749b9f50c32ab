//! Files that do not belong into a ledger.

use crate::exit::Problem;
use std::path::Path;

/// Refuses a file in the directory of a ledger, of any: it would go where the copies of that go. A link
/// is followed, and the file itself need not be there. `what` begins the sentence that says so.
pub fn check_outside(what: &str, file: &Path) -> Result<(), Problem> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = || parent.unwrap_or(Path::new(".")).canonicalize();
    // A place that is not there is in no ledger.
    let Ok(place) = file.canonicalize().or_else(|_| parent()) else { return Ok(()) };
    match place.ancestors().find(|directory| is_ledger(directory)) {
        Some(ledger) => {
            let ledger = ledger.display();
            let text = format!("{what} in the ledger {ledger}, and would go where its copies go");
            Err(Problem::usage(text).hint("name one in another directory"))
        }
        None => Ok(()),
    }
}

/// True for the directory of a ledger, which these two are in.
fn is_ledger(directory: &Path) -> bool {
    directory.join("NODE").is_file() && directory.join("journal").is_dir()
}
