//! Recordings of tools that are not read here, known by their shape, so that a report names them
//! instead of reading them as something else.

use crate::lax::{Obj, Str};
use serde::{Deserialize, de::IgnoredAny};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Look<'a> {
    #[serde(borrow, rename = "type")]
    kind: Str<'a>,
    #[serde(borrow, rename = "sessionId")]
    session: Str<'a>,
    #[serde(borrow, rename = "sessionID")]
    session_of_part: Str<'a>,
    #[serde(borrow, rename = "projectHash")]
    project_hash: Str<'a>,
    #[serde(borrow)]
    object: Str<'a>,
    message: Obj<Message>,
    payload: Obj<IgnoredAny>,
    #[serde(rename = "resourceSpans")]
    spans: Option<IgnoredAny>,
    trajectory: Option<IgnoredAny>,
    #[serde(rename = "invocationId")]
    invocation: Option<IgnoredAny>,
    #[serde(rename = "trace_id")]
    trace: Option<IgnoredAny>,
    #[serde(rename = "run_type")]
    run_type: Option<IgnoredAny>,
    observations: Option<IgnoredAny>,
    #[serde(borrow)]
    cwd: Str<'a>,
    #[serde(borrow)]
    id: Str<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message {
    parts: Option<IgnoredAny>,
}

/// Says what a record looks like; `None` if it looks like nothing that is known.
pub(crate) fn of(record: &str) -> Option<&'static str> {
    let look: Look<'_> = serde_json::from_str(record).ok()?;
    let kind = look.kind.get().unwrap_or_default();
    let parts = look.message.0.as_ref().is_some_and(|message| message.parts.is_some());
    let codex = ["session_meta", "response_item", "event_msg", "turn_context", "compacted"];
    Some(if parts && look.session.get().is_some() {
        "Qwen Code, or another tool of its kin"
    } else if codex.contains(&kind) && look.payload.0.is_some() {
        "Codex CLI"
    } else if look.project_hash.get().is_some() {
        "Gemini CLI"
    } else if look.session_of_part.get().is_some() {
        "OpenCode"
    } else if look.object.is("trace") || look.object.is("trace.span") {
        "the OpenAI Agents SDK"
    } else if look.spans.is_some() {
        "OpenTelemetry (OTLP)"
    } else if look.run_type.is_some() && look.trace.is_some() {
        "LangSmith"
    } else if look.observations.is_some() {
        "Langfuse"
    } else if look.trajectory.is_some() {
        "SWE-agent"
    } else if look.invocation.is_some() {
        "the Agent Development Kit"
    } else if kind == "session" && look.cwd.get().is_some() && look.id.get().is_some() {
        "pi, or another tool of its kin"
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_records_of_other_tools_are_known_by_their_shape() {
        let cases = [
            (r#"{"type":"user","sessionId":"s","message":{"parts":[]}}"#, Some("Qwen")),
            (r#"{"type":"session_meta","payload":{}}"#, Some("Codex")),
            (r#"{"sessionId":"s","projectHash":"p"}"#, Some("Gemini")),
            (r#"{"type":"tool","tool":"task","sessionID":"s"}"#, Some("OpenCode")),
            (r#"{"resourceSpans":[]}"#, Some("OpenTelemetry")),
            (r#"{"a":1}"#, None),
            ("{", None),
        ];
        for (record, like) in cases {
            let found = of(record);
            assert_eq!(found.is_some(), like.is_some(), "{record}");
            assert!(found.unwrap_or_default().contains(like.unwrap_or_default()), "{record}");
        }
    }
}
