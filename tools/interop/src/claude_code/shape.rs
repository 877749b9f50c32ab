//! The records of a session transcript: only the fields that tell of tasks.

use crate::lax::{Content, Flag, Num, Obj, Str};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Record types that tell nothing of tasks, and are known to.
pub(super) const SILENT_TYPES: [&str; 16] = [
    "agent-color",
    "agent-name",
    "ai-title",
    "custom-title",
    "file-history-snapshot",
    "last-prompt",
    "marble-origami-commit",
    "mode",
    "permission-mode",
    "pr-link",
    "session-meta",
    "started",
    "summary",
    "system",
    "tag",
    "task-summary",
];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Line<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Str<'a>,
    #[serde(borrow)]
    pub(super) timestamp: Str<'a>,
    #[serde(borrow, rename = "sessionId")]
    pub(super) session: Str<'a>,
    #[serde(borrow, rename = "agentId")]
    pub(super) agent: Str<'a>,
    #[serde(rename = "isSidechain")]
    pub(super) sidechain: Flag,
    #[serde(borrow)]
    pub(super) message: Obj<Message<'a>>,
    /// What the tool told its runtime; older and sub-agents' transcripts have none.
    #[serde(borrow, rename = "toolUseResult")]
    pub(super) told: Option<Obj<Told<'a>>>,
    /// Of a `queue-operation`.
    #[serde(borrow)]
    pub(super) content: Str<'a>,
    #[serde(borrow)]
    pub(super) attachment: Obj<Attachment<'a>>,
    /// Of a `progress`.
    #[serde(borrow)]
    pub(super) data: Obj<ProgressData<'a>>,
    #[serde(borrow, rename = "parentToolUseID")]
    pub(super) parent_call: Str<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub(super) content: Content<'a, Block<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Block<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Str<'a>,
    // Of a `text`.
    #[serde(borrow)]
    pub(super) text: Str<'a>,
    // Of a `tool_use`.
    #[serde(borrow)]
    pub(super) id: Str<'a>,
    #[serde(borrow)]
    pub(super) name: Str<'a>,
    #[serde(borrow)]
    pub(super) input: Obj<Input<'a>>,
    // Of a `tool_result`.
    #[serde(borrow, rename = "tool_use_id")]
    pub(super) call: Str<'a>,
    pub(super) is_error: Flag,
    /// Left as it stands: most results are long and belong to no task.
    #[serde(borrow)]
    pub(super) content: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Input<'a> {
    #[serde(borrow)]
    pub(super) subagent_type: Str<'a>,
    #[serde(borrow)]
    pub(super) description: Str<'a>,
    #[serde(borrow)]
    pub(super) name: Str<'a>,
    #[serde(borrow)]
    pub(super) prompt: Str<'a>,
    #[serde(borrow)]
    pub(super) command: Str<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Told<'a> {
    #[serde(borrow)]
    pub(super) status: Str<'a>,
    #[serde(borrow, rename = "agentId")]
    pub(super) agent: Str<'a>,
    #[serde(borrow, rename = "backgroundTaskId")]
    pub(super) background: Str<'a>,
    #[serde(borrow, rename = "taskId")]
    pub(super) task_id: Str<'a>,
    #[serde(borrow, rename = "runId")]
    pub(super) run: Str<'a>,
    #[serde(borrow)]
    pub(super) summary: Str<'a>,
    #[serde(borrow)]
    pub(super) task: Obj<Polled<'a>>,
}

/// What polling a background task told.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Polled<'a> {
    #[serde(borrow)]
    pub(super) task_id: Str<'a>,
    #[serde(borrow)]
    pub(super) status: Str<'a>,
    #[serde(borrow)]
    pub(super) error: Str<'a>,
    #[serde(borrow)]
    pub(super) result: Str<'a>,
    #[serde(borrow)]
    pub(super) output: Str<'a>,
    #[serde(rename = "exitCode")]
    pub(super) exit_code: Num,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Attachment<'a> {
    #[serde(borrow)]
    pub(super) prompt: Str<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ProgressData<'a> {
    #[serde(borrow, rename = "agentId")]
    pub(super) agent: Str<'a>,
}

/// The small file beside a sub-agent's transcript.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Meta<'a> {
    #[serde(borrow, rename = "toolUseId")]
    pub(super) call: Str<'a>,
    #[serde(borrow, rename = "parentAgentId")]
    pub(super) parent_agent: Str<'a>,
}

impl<'a> Line<'a> {
    /// The blocks of the message.
    pub(super) fn blocks(&self) -> &[Block<'a>] {
        match self.message.0.as_ref().map(|message| &message.content) {
            Some(Content::Blocks(blocks)) => blocks,
            Some(Content::Text(_) | Content::Other) | None => &[],
        }
    }

    /// The texts that people or the runtime wrote into the message.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let whole = match self.message.0.as_ref().map(|message| &message.content) {
            Some(Content::Text(text)) => Some(text.as_ref()),
            Some(Content::Blocks(_) | Content::Other) | None => None,
        };
        whole.into_iter().chain(self.blocks().iter().filter_map(|block| block.text.get()))
    }

    /// What the tool told its runtime, if that is an object.
    pub(super) fn told(&self) -> Option<&Told<'a>> {
        self.told.as_ref()?.0.as_ref()
    }
}

impl Block<'_> {
    /// The text of a tool's result: its blocks of text, without what the runtime adds about the
    /// agent's id.
    pub(super) fn result_text(&self) -> String {
        let Some(raw) = self.content else { return String::new() };
        match serde_json::from_str(raw.get()).unwrap_or(Content::<'_, Block<'_>>::Other) {
            Content::Text(text) => text.into_owned(),
            Content::Blocks(blocks) => {
                let texts: Vec<&str> = blocks
                    .iter()
                    .filter_map(|block| block.text.get())
                    .filter(|text| !text.starts_with(AGENT_ID))
                    .collect();
                texts.join("\n")
            }
            Content::Other => String::new(),
        }
    }

    /// The agent's id in a result that has it only as text.
    pub(super) fn agent_in_text(&self) -> Option<String> {
        let (_, after) = self.content?.get().split_once(AGENT_ID)?;
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
        let id = after.get(..end.unwrap_or(after.len()))?;
        (!id.is_empty()).then(|| id.to_owned())
    }
}

const AGENT_ID: &str = "agentId: ";
