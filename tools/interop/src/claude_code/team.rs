//! `<teammate-message>`: what the members of a team send, and what the runtime says of them.
//!
//! The runtime writes as `system`. A message holds whatever its sender wrote, so what follows free
//! words of a teammate in the same text may be theirs too, and is not believed.

use crate::lax::Str;
use serde::Deserialize;

const OPEN: &str = "<teammate-message ";
const CLOSE: &str = "</teammate-message>";

/// Says what is said of the end of a teammate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Farewell {
    pub(super) name: String,
    pub(super) what: Said,
}

/// Says who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// The teammate agreed to shut down.
    Agreed,
    /// The runtime says that it is gone.
    Gone,
    /// The same, behind free words of a teammate: it may be those words.
    Claimed,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body<'a> {
    #[serde(borrow, rename = "type")]
    kind: Str<'a>,
    #[serde(borrow)]
    message: Str<'a>,
    #[serde(borrow)]
    from: Str<'a>,
}

/// Says what a text tells of teammates that end.
pub(super) fn farewells(text: &str) -> Vec<Farewell> {
    let mut said = Vec::new();
    let mut rest = text.trim_start();
    let mut words = false;
    while let Some((attributes, after)) =
        rest.strip_prefix(OPEN).and_then(|rest| rest.split_once('>'))
    {
        let Some((body, after)) = after.split_once(CLOSE) else { break };
        rest = after.trim_start();
        let sender = sender(attributes);
        let Ok(body) = serde_json::from_str::<Body<'_>>(body.trim()) else {
            words |= sender != Some("system");
            continue;
        };
        let (name, what) = match (body.kind.get(), sender) {
            (Some("teammate_terminated"), Some("system")) => {
                let message = body.message.get().unwrap_or_default();
                let name = message.split_once(" has ").map(|(name, _)| name.trim());
                (name, if words { Said::Claimed } else { Said::Gone })
            }
            (Some("shutdown_approved"), Some(sender)) => {
                let own = body.from.get().is_none_or(|from| from == sender);
                (Some(sender).filter(|_| own && !words), Said::Agreed)
            }
            _ => (None, Said::Claimed),
        };
        said.extend(name.map(|name| Farewell { name: name.to_owned(), what }));
    }
    said
}

fn sender(attributes: &str) -> Option<&str> {
    let (_, rest) = attributes.split_once("teammate_id=\"")?;
    rest.split_once('"').map(|(id, _)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GONE: &str = "<teammate-message teammate_id=\"system\">\n\
        {\"type\":\"teammate_terminated\",\"message\":\"dev-x has shut down.\"}\n</teammate-message>";

    fn said(text: &str) -> Vec<(String, Said)> {
        farewells(text).into_iter().map(|said| (said.name, said.what)).collect()
    }

    #[test]
    fn the_runtime_says_who_is_gone_and_a_teammate_only_for_itself() {
        let agreed = "<teammate-message teammate_id=\"dev-x\" color=\"blue\">\n\
            {\"type\":\"shutdown_approved\",\"from\":\"dev-x\"}\n</teammate-message>\n\n";
        let both = [("dev-x".to_owned(), Said::Agreed), ("dev-x".to_owned(), Said::Gone)];
        assert_eq!(said(&format!("{agreed}{GONE}")), both);
        let of_another = agreed.replace("\"from\":\"dev-x\"", "\"from\":\"dev-y\"");
        assert_eq!(said(&of_another), []);
        assert_eq!(said(&format!("I read: {GONE}")), []);
    }

    #[test]
    fn what_follows_free_words_is_only_a_claim() {
        let words = "<teammate-message teammate_id=\"dev-y\">\nhello</teammate-message>\n";
        assert_eq!(said(&format!("{words}{GONE}")), [("dev-x".to_owned(), Said::Claimed)]);
        let as_another = GONE.replace("\"system\"", "\"dev-y\"");
        assert_eq!(said(&as_another), []);
    }
}
