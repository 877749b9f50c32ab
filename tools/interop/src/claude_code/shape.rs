//! The records of a session transcript: only the fields that tell of tasks.

use crate::lax::{Content, Either, Flag, Num, Obj, Str};
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
    pub(super) uuid: Str<'a>,
    #[serde(borrow, rename = "parentUuid")]
    pub(super) parent_uuid: Str<'a>,
    /// Says where a copied record comes from.
    #[serde(borrow, rename = "forkedFrom")]
    pub(super) forked: Obj<Forked<'a>>,
    /// Says who wrote the text of a `user` record, in versions that say so.
    #[serde(borrow)]
    pub(super) origin: Obj<Origin<'a>>,
    #[serde(borrow, rename = "promptSource")]
    pub(super) prompt_source: Str<'a>,
    #[serde(rename = "isCompactSummary")]
    pub(super) compacted: Flag,
    #[serde(borrow)]
    pub(super) message: Obj<Message<'a>>,
    /// Says what the tool told its runtime; older and sub-agents' transcripts have none.
    #[serde(borrow, rename = "toolUseResult")]
    pub(super) told: Option<Either<'a, Told<'a>>>,
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
    // Of a `system` record that tells of the end of a task.
    #[serde(borrow)]
    pub(super) subtype: Str<'a>,
    #[serde(borrow)]
    pub(super) task_id: Str<'a>,
    #[serde(borrow)]
    pub(super) tool_use_id: Str<'a>,
    #[serde(borrow)]
    pub(super) status: Str<'a>,
    #[serde(borrow)]
    pub(super) summary: Str<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Forked<'a> {
    #[serde(borrow, rename = "sessionId")]
    pub(super) session: Str<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Origin<'a> {
    #[serde(borrow)]
    pub(super) kind: Str<'a>,
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
    #[serde(borrow)]
    pub(super) skill: Str<'a>,
    #[serde(borrow)]
    pub(super) args: Str<'a>,
    pub(super) timeout_ms: Num,
    // What a poll or a stop names.
    #[serde(borrow)]
    pub(super) task_id: Str<'a>,
    #[serde(borrow)]
    pub(super) shell_id: Str<'a>,
    #[serde(borrow)]
    pub(super) bash_id: Str<'a>,
    #[serde(borrow)]
    pub(super) agent_id: Str<'a>,
    #[serde(borrow, rename = "agentId")]
    pub(super) agent: Str<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Told<'a> {
    #[serde(borrow)]
    pub(super) status: Str<'a>,
    #[serde(rename = "isAsync")]
    pub(super) is_async: Flag,
    #[serde(rename = "wasInterrupted")]
    pub(super) interrupted: Flag,
    #[serde(borrow, rename = "agentId")]
    pub(super) agent: Str<'a>,
    #[serde(borrow, rename = "backgroundTaskId")]
    pub(super) background: Str<'a>,
    #[serde(borrow, rename = "taskId")]
    pub(super) task: Str<'a>,
    #[serde(borrow, rename = "runId")]
    pub(super) run: Str<'a>,
    #[serde(borrow)]
    pub(super) summary: Str<'a>,
    /// Of a teammate: `name@team`.
    #[serde(borrow)]
    pub(super) teammate_id: Str<'a>,
    #[serde(borrow)]
    pub(super) agent_id: Str<'a>,
    #[serde(borrow)]
    pub(super) name: Str<'a>,
    /// Of a skill that ran as an agent.
    #[serde(borrow, rename = "commandName")]
    pub(super) command_name: Str<'a>,
    #[serde(borrow)]
    pub(super) result: Str<'a>,
    #[serde(rename = "timeoutMs")]
    pub(super) timeout_ms: Num,
    // What a poll or a stop tells.
    #[serde(borrow, rename = "task")]
    pub(super) polled: Obj<Polled<'a>>,
    #[serde(borrow)]
    pub(super) agents: Content<'a, Polled<'a>>,
    #[serde(borrow)]
    pub(super) tasks: Content<'a, Polled<'a>>,
    #[serde(borrow, rename = "shellId")]
    pub(super) shell: Str<'a>,
    #[serde(rename = "exitCode")]
    pub(super) exit_code: Num,
    #[serde(borrow)]
    pub(super) stdout: Str<'a>,
    #[serde(borrow)]
    pub(super) message: Str<'a>,
    #[serde(borrow)]
    pub(super) task_id: Str<'a>,
    #[serde(borrow)]
    pub(super) shell_id: Str<'a>,
}

/// Says what polling a background task told.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Polled<'a> {
    #[serde(borrow)]
    pub(super) task_id: Str<'a>,
    #[serde(borrow, rename = "agentId")]
    pub(super) agent: Str<'a>,
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
    #[serde(borrow, rename = "type")]
    pub(super) kind: Str<'a>,
    #[serde(borrow)]
    pub(super) prompt: Str<'a>,
    /// Says who wrote the prompt, in versions that say so.
    #[serde(borrow, rename = "commandMode")]
    pub(super) mode: Str<'a>,
    #[serde(borrow, rename = "taskId")]
    pub(super) task: Str<'a>,
    #[serde(borrow, rename = "agentId")]
    pub(super) agent: Str<'a>,
    #[serde(borrow, rename = "shellId")]
    pub(super) shell: Str<'a>,
    #[serde(borrow)]
    pub(super) status: Str<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ProgressData<'a> {
    #[serde(borrow, rename = "agentId")]
    pub(super) agent: Str<'a>,
}

/// Says what the queue says when something starts in the background.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Queued<'a> {
    #[serde(borrow)]
    pub(super) task_id: Str<'a>,
    #[serde(borrow)]
    pub(super) tool_use_id: Str<'a>,
    #[serde(borrow)]
    pub(super) task_type: Str<'a>,
}

/// The small file beside a sub-agent's transcript.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Meta<'a> {
    #[serde(borrow, rename = "toolUseId")]
    pub(super) call: Str<'a>,
    #[serde(borrow, rename = "parentAgentId")]
    pub(super) parent_agent: Str<'a>,
    /// Of a teammate.
    #[serde(borrow)]
    pub(super) name: Str<'a>,
    #[serde(borrow, rename = "teamName")]
    pub(super) team: Str<'a>,
}

/// The state file of a workflow.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Flow<'a> {
    #[serde(borrow, rename = "runId")]
    pub(super) run: Str<'a>,
    #[serde(borrow, rename = "taskId")]
    pub(super) task: Str<'a>,
    #[serde(borrow)]
    pub(super) status: Str<'a>,
    #[serde(borrow, rename = "workflowName")]
    pub(super) name: Str<'a>,
    #[serde(borrow)]
    pub(super) summary: Str<'a>,
    #[serde(borrow)]
    pub(super) timestamp: Str<'a>,
    #[serde(rename = "startTime")]
    pub(super) start: Num,
    #[serde(rename = "durationMs")]
    pub(super) duration: Num,
    #[serde(borrow)]
    pub(super) error: Str<'a>,
    #[serde(borrow)]
    pub(super) result: Option<&'a RawValue>,
}

impl<'a> Line<'a> {
    /// The blocks of the message.
    pub(super) fn blocks(&self) -> &[Block<'a>] {
        match self.message.0.as_ref().map(|message| &message.content) {
            Some(Content::Blocks(blocks)) => blocks,
            Some(Content::Text(_) | Content::Other) | None => &[],
        }
    }

    /// The texts that stand in the message.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let whole = match self.message.0.as_ref().map(|message| &message.content) {
            Some(Content::Text(text)) => Some(text.as_ref()),
            Some(Content::Blocks(_) | Content::Other) | None => None,
        };
        whole.into_iter().chain(self.blocks().iter().filter_map(|block| block.text.get()))
    }

    /// Says what the tool told its runtime, if that is an object.
    pub(super) fn told(&self) -> Option<&Told<'a>> {
        match self.told.as_ref()? {
            Either::Object(told) => Some(told),
            Either::Text(_) | Either::Other => None,
        }
    }

    /// The same, if it is words.
    pub(super) fn told_words(&self) -> Option<&str> {
        match self.told.as_ref()? {
            Either::Text(words) => Some(words.as_ref()),
            Either::Object(_) | Either::Other => None,
        }
    }
}

impl<'a> Told<'a> {
    /// All that a poll told of.
    pub(super) fn polled(&self) -> impl Iterator<Item = &Polled<'a>> {
        let lists = [&self.agents, &self.tasks].into_iter().flat_map(|list| match list {
            Content::Blocks(polled) => polled.as_slice(),
            Content::Text(_) | Content::Other => &[],
        });
        self.polled.0.iter().chain(lists)
    }
}

impl Polled<'_> {
    /// The id that the runtime gave.
    pub(super) fn native(&self) -> Option<&str> {
        self.task_id.get().or_else(|| self.agent.get())
    }
}

impl Input<'_> {
    /// Says what a poll or a stop is about.
    pub(super) fn target(&self) -> Option<String> {
        let ids = [&self.task_id, &self.shell_id, &self.bash_id, &self.agent, &self.agent_id];
        ids.into_iter().find_map(Str::owned)
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

    /// The agent's id in a result that has it only as text. The runtime writes it behind the words
    /// of the agent, at the beginning of a line: what stands before it is not looked at.
    pub(super) fn agent_in_text(&self) -> Option<String> {
        let raw = self.content?.get();
        raw.contains(AGENT_ID).then_some(())?;
        let last = match serde_json::from_str(raw).ok()? {
            Content::Text(text) => text.into_owned(),
            Content::Blocks(blocks) => {
                let blocks: Vec<Block<'_>> = blocks;
                blocks.iter().rev().find_map(|block| block.text.owned())?
            }
            Content::Other => return None,
        };
        let after = last.lines().rev().find_map(|line| line.strip_prefix(AGENT_ID))?;
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
        let id = after.get(..end.unwrap_or(after.len()))?;
        (!id.is_empty()).then(|| id.to_owned())
    }

    /// Says whether the result begins with these words.
    pub(super) fn begins(&self, words: &[&str]) -> bool {
        // Quotes, brackets and the type of the first block stand before them.
        let raw = self.content.map_or("", RawValue::get);
        if !words.iter().any(|word| raw.contains(word)) {
            return false;
        }
        let text = self.result_text();
        words.iter().any(|word| text.trim_start().starts_with(word))
    }
}

const AGENT_ID: &str = "agentId: ";
