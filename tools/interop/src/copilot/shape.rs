//! The records of a session: only the fields that tell of tasks.

use crate::lax::{Content, Flag, Num, Obj, Str};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Families of records that tell nothing of tasks, and are known to.
pub(super) const FAMILIES: [&str; 14] = [
    "abort",
    "assistant.",
    "command.",
    "external_tool.",
    "factory.",
    "hook.",
    "model.",
    "permission.",
    "session.",
    "skill.",
    "subagent.",
    "system.",
    "tool.",
    "user.",
];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Line<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Str<'a>,
    #[serde(borrow)]
    pub(super) timestamp: Str<'a>,
    /// The sub-agent that the record belongs to: an instance, or in older versions its call.
    #[serde(borrow, rename = "agentId")]
    pub(super) agent: Str<'a>,
    #[serde(borrow)]
    pub(super) data: Obj<Data<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Data<'a> {
    #[serde(borrow, rename = "sessionId")]
    pub(super) session: Str<'a>,
    #[serde(borrow, rename = "toolCallId")]
    pub(super) call: Str<'a>,
    #[serde(borrow, rename = "parentToolCallId")]
    pub(super) parent_call: Str<'a>,
    #[serde(borrow, rename = "toolName")]
    pub(super) tool: Str<'a>,
    #[serde(borrow, rename = "agentName")]
    pub(super) agent_name: Str<'a>,
    #[serde(borrow, rename = "agentDescription")]
    pub(super) agent_about: Str<'a>,
    #[serde(borrow)]
    pub(super) arguments: Obj<Arguments<'a>>,
    #[serde(borrow, rename = "toolRequests")]
    pub(super) requests: Content<'a, Request<'a>>,
    pub(super) success: Option<bool>,
    pub(super) cancelled: Flag,
    #[serde(borrow)]
    pub(super) result: Obj<Returned<'a>>,
    /// Words, or an object with a message.
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    /// Of a `system.notification`.
    #[serde(borrow, rename = "kind")]
    pub(super) notice: Obj<Notice<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Arguments<'a> {
    #[serde(borrow)]
    pub(super) description: Str<'a>,
    #[serde(borrow)]
    pub(super) name: Str<'a>,
    #[serde(borrow)]
    pub(super) agent_type: Str<'a>,
    #[serde(borrow)]
    pub(super) command: Str<'a>,
    #[serde(borrow, rename = "shellId")]
    pub(super) shell: Str<'a>,
    #[serde(borrow, rename = "sessionId")]
    pub(super) session: Str<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Request<'a> {
    #[serde(borrow, rename = "toolCallId")]
    pub(super) call: Str<'a>,
    #[serde(borrow)]
    pub(super) name: Str<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Returned<'a> {
    #[serde(borrow)]
    pub(super) content: Str<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Error<'a> {
    #[serde(borrow)]
    pub(super) message: Str<'a>,
    #[serde(borrow)]
    pub(super) code: Str<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Notice<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Str<'a>,
    #[serde(borrow, rename = "agentId")]
    pub(super) agent: Str<'a>,
    #[serde(borrow)]
    pub(super) status: Str<'a>,
    #[serde(borrow, rename = "shellId")]
    pub(super) shell: Str<'a>,
    #[serde(rename = "exitCode")]
    pub(super) exit_code: Num,
}

impl Data<'_> {
    /// Says what an error says, and its code.
    pub(super) fn error(&self) -> (Option<String>, Option<String>) {
        let raw = self.error.map_or("null", RawValue::get);
        let words: Str<'_> = serde_json::from_str(raw).unwrap_or_default();
        let object: Obj<Error<'_>> = serde_json::from_str(raw).unwrap_or_default();
        let object = object.0.unwrap_or_default();
        (words.owned().or_else(|| object.message.owned()), object.code.owned())
    }
}
