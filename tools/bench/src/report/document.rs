//! A document of which programs write the sections between marks, and people the rest.

use anyhow::{Result, bail};

/// The document with a section in place of the one of the same name; behind all else if it has
/// none. Nothing outside of the section changes.
///
/// # Errors
/// If the section begins and does not end: what is behind it could be anybody's.
pub(super) fn replaced(document: &str, name: &str, text: &str) -> Result<String> {
    let begin = format!("<!-- measured: {name} -->");
    let end = format!("<!-- end of {name} -->");
    let section = format!("{begin}\n\n{}\n\n{end}", text.trim());
    let Some((before, rest)) = document.split_once(&begin) else {
        let gap = if document.is_empty() { "" } else { "\n" };
        return Ok(format!("{document}{gap}{section}\n"));
    };
    let Some((_, after)) = rest.split_once(&end) else {
        bail!("the section {name} has no end: {end:?} is missing");
    };
    Ok(format!("{before}{section}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_outlives_every_run() {
        let first = replaced("# By hand\n", "a", "| 1 |").unwrap();
        let first = first + "\nMore by hand.\n";
        let both = replaced(&first, "b", "| 2 |\n").unwrap();
        let again = replaced(&both, "a", "| 3 |").unwrap();
        assert_eq!(
            again,
            "# By hand\n\n<!-- measured: a -->\n\n| 3 |\n\n<!-- end of a -->\n\nMore by hand.\n\n\
             <!-- measured: b -->\n\n| 2 |\n\n<!-- end of b -->\n"
        );
        assert_eq!(replaced(&again, "a", "| 3 |").unwrap(), again);
    }

    #[test]
    fn a_section_without_an_end_is_left_alone() {
        assert!(replaced("<!-- measured: a -->\nby hand", "a", "| 1 |").is_err());
    }
}
