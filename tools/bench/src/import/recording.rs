//! A recorded session of any size, the same in every run: a transcript as Claude Code writes it, in
//! which an agent reads files, and now and then starts another agent and gets its answer.
//!
//! Shapes, field by field, and the share of bytes that tell of tasks are those of real recordings:
//! most of one is what tools answered.

use crate::workload::mixed;
use anyhow::Result;
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

/// Calls of other tools between two agents that are started.
const CALLS: u64 = 8;
/// The time of the first record: 2026-04-26, in seconds since 1970.
const BEGAN: u64 = 1_777_195_277;
const SESSION: &str = "64f42b5c-9da1-4e5f-9ec1-aae47ca0f4c8";
/// What stands in every record.
const COMMON: &str = r#""userType":"external","entrypoint":"sdk-cli","cwd":"/home/ada/projects/ledger","version":"2.1.119","gitBranch":"main""#;
const USAGE: &str = r#""usage":{"input_tokens":6,"cache_creation_input_tokens":29514,"cache_read_input_tokens":0,"output_tokens":521,"server_tool_use":{"web_search_requests":0,"web_fetch_requests":0},"service_tier":"standard","cache_creation":{"ephemeral_1h_input_tokens":29514,"ephemeral_5m_input_tokens":0},"inference_geo":"","speed":"standard"}"#;

/// Writes it; at least `bytes` long, and one call longer at the most. Answers how many agents it
/// tells of.
pub(super) fn write(path: &Path, bytes: u64) -> Result<u64> {
    let mut transcript =
        Transcript { file: BufWriter::new(File::create(path)?), record: 0, bytes: 0 };
    let mut agents = 0;
    while transcript.bytes < bytes {
        transcript.agent(agents)?;
        agents += 1;
        for call in 0..CALLS {
            transcript.other(agents * CALLS + call)?;
        }
    }
    transcript.file.flush()?;
    Ok(agents)
}

struct Transcript {
    file: BufWriter<File>,
    record: u64,
    bytes: u64,
}

impl Transcript {
    /// An agent is started, and answers.
    fn agent(&mut self, nth: u64) -> Result<()> {
        let noise = mixed(nth);
        let call = format!("toolu_{noise:016x}{nth:08x}");
        let prompt = format!(
            "Read chapter {nth} and list what it promises its readers. Report each promise with the \
             line where it is made, and keep the report under {} words.",
            100 + noise % 100
        );
        self.assistant(&format!(
            r#"{{"type":"tool_use","id":"{call}","name":"Agent","input":{{"description":"Read chapter {nth}","subagent_type":"Explore","prompt":"{prompt}"}},"caller":{{"type":"direct"}}}}"#
        ))?;
        let answer = words(noise, 40 + noise % 160);
        let told = format!(
            r#","toolUseResult":{{"status":"completed","prompt":"{prompt}","agentId":"a{noise:016x}","agentType":"Explore","content":[{{"type":"text","text":"{answer}"}}],"totalDurationMs":{},"totalTokens":17138,"totalToolUseCount":2,{USAGE}}}"#,
            noise % 60_000
        );
        self.user(&call, &answer, &told)
    }

    /// Any other tool is called, and answers at length.
    fn other(&mut self, nth: u64) -> Result<()> {
        let noise = mixed(nth ^ 0x5eed);
        if noise.is_multiple_of(3) {
            let said = words(noise, 20 + noise % 60);
            self.assistant(&format!(r#"{{"type":"text","text":"{said}"}}"#))?;
        }
        let call = format!("toolu_{noise:016x}{nth:08x}x");
        self.assistant(&format!(
            r#"{{"type":"tool_use","id":"{call}","name":"Read","input":{{"file_path":"/home/ada/projects/ledger/docs/chapter-{:04}.md"}},"caller":{{"type":"direct"}}}}"#,
            noise % 4_096
        ))?;
        let answer = words(noise, 50 + noise % 1_500);
        let told = format!(
            r#","toolUseResult":{{"type":"text","file":{{"filePath":"docs/chapter-{:04}.md","content":"{answer}","numLines":{}}}}}"#,
            noise % 4_096,
            noise % 400
        );
        self.user(&call, &answer, &told)
    }

    fn assistant(&mut self, block: &str) -> Result<()> {
        let (id, tail) = (mixed(self.record), self.tail());
        self.line(&format!(
            r#"{{"parentUuid":"{id:016x}-1","isSidechain":false,"message":{{"model":"claude-opus-4-7","id":"msg_{id:016x}","type":"message","role":"assistant","content":[{block}],"stop_reason":"tool_use","stop_sequence":null,{USAGE}}},"requestId":"req_{id:016x}","type":"assistant",{tail}"#
        ))
    }

    fn user(&mut self, call: &str, answer: &str, told: &str) -> Result<()> {
        let (id, tail) = (mixed(self.record), self.tail());
        self.line(&format!(
            r#"{{"parentUuid":"{id:016x}-2","isSidechain":false,"type":"user","message":{{"role":"user","content":[{{"tool_use_id":"{call}","type":"tool_result","content":[{{"type":"text","text":"{answer}"}}]}}]}}{told},{tail}"#
        ))
    }

    fn tail(&self) -> String {
        let (id, seconds) = (mixed(self.record ^ 1), BEGAN + self.record);
        let (day, rest) = (26 + (seconds - BEGAN) / 86_400, seconds % 86_400);
        // A transcript of more than four days goes on in the last hour of the month.
        let day = day.min(30);
        let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
        format!(
            r#""uuid":"{id:016x}","timestamp":"2026-04-{day}T{hour:02}:{minute:02}:{second:02}.{:03}Z",{COMMON},"sessionId":"{SESSION}"}}"#,
            self.record % 1_000
        )
    }

    fn line(&mut self, line: &str) -> Result<()> {
        self.record += 1;
        self.bytes += u64::try_from(line.len())? + 1;
        writeln!(self.file, "{line}")?;
        Ok(())
    }
}

/// Words with a line end now and then, as JSON text.
fn words(seed: u64, count: u64) -> String {
    const WORDS: [&str; 16] = [
        "ledger",
        "reads",
        "the",
        "chapter",
        "promises",
        "nothing",
        "but",
        "what",
        "was",
        "written",
        "\\\"durable\\\"",
        "before",
        "it",
        "is",
        "acknowledged",
        "fn main()",
    ];
    let mut text = String::new();
    for number in 0..count {
        let word = mixed(seed ^ number).to_le_bytes();
        let [word, ..] = word;
        text.push_str(WORDS.get(usize::from(word % 16)).copied().unwrap_or_default());
        text.push_str(if number % 12 == 11 { "\\n" } else { " " });
    }
    text
}
