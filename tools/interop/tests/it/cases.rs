//! Small recordings, each with one thing that an importer can get wrong. `tests/fixtures/cases`
//! holds them; what each must give stands here.

use super::facts::{Task, fold, parent_of};
use std::{collections::BTreeMap, path::PathBuf};
use taskledger::command::{Command, Proposal};
use taskledger_interop::{NOTE, ReadOptions, Recording, find, read_all};

pub(crate) fn case(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/recordings/cases")
        .join(name)
}

/// All recordings of a case, read together.
pub(crate) fn recordings(name: &str) -> Vec<Recording> {
    let datasets = find(&[case(name)], None).unwrap();
    let read = read_all(&datasets, &ReadOptions::default(), &mut |_| {});
    let mut read: Vec<Recording> = read.into_iter().map(Result::unwrap).collect();
    read.sort_by_key(|recording| recording.rank);
    read
}

struct Case {
    tasks: BTreeMap<String, Task>,
    notes: BTreeMap<String, Vec<String>>,
    bad: Vec<String>,
}

fn read_case(name: &str) -> Case {
    let recordings = recordings(name);
    let proposals: Vec<Proposal> = recordings.iter().flat_map(|r| r.collect().unwrap()).collect();
    let mut notes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for proposal in &proposals {
        if let Command::Emit(emit) = &proposal.command {
            assert_eq!(&*emit.event_type, NOTE);
            let text = serde_json::from_str(&emit.content).unwrap();
            let task = proposal.command.task_id().unwrap();
            notes.entry(task.to_string()).or_default().push(text);
        }
    }
    let bad = recordings.iter().flat_map(|r| &r.tally.bad_lines).map(ToString::to_string).collect();
    Case { tasks: fold(&proposals), notes, bad }
}

impl Case {
    /// `status @ time after the minute < parent [thread] error or result`.
    #[track_caller]
    fn told(&self, id: &str) -> String {
        let task = self.tasks.get(id).unwrap_or_else(|| panic!("{id} in {:?}", self.tasks.keys()));
        let parent = parent_of(&task.spawn).unwrap_or("-");
        let ended = task.finish.as_ref().and_then(|(finish, _)| finish.completed);
        let ended = ended.map_or("-".to_owned(), |at| {
            let at = jiff::Timestamp::from_millisecond(i64::try_from(at.0).unwrap()).unwrap();
            at.to_string()[11..19].to_owned()
        });
        format!("{} {ended} {parent}", task.status().as_str())
    }

    fn text(&self, id: &str) -> String {
        let (finish, _) = self.tasks[id].finish.as_ref().unwrap();
        finish.error.clone().or(finish.result.clone()).unwrap_or_default().to_string()
    }

    fn notes(&self, id: &str) -> String {
        self.notes.get(id).map(|notes| notes.join("; ")).unwrap_or_default()
    }
}

#[test]
fn an_agent_ends_when_its_call_returns_whatever_the_result_says() {
    let case = read_case("agent-return-without-status");
    assert_eq!(case.told("toolu_A"), "completed 10:00:09 -");
    assert!(
        case.notes("toolu_A").contains("nothing says how it ended"),
        "{}",
        case.notes("toolu_A")
    );
    // The sidechain begins with the prompt of its call.
    assert_eq!(case.told("toolu_B"), "completed 10:00:06 toolu_A");
}

#[test]
fn every_poll_that_there_was_tells_of_ends() {
    let case = read_case("bashoutput");
    assert_eq!(case.told("toolu_B"), "failed 10:00:31 -");
    assert_eq!(case.text("toolu_B"), "exit code 2");
    let case = read_case("agentoutputtool");
    assert_eq!(case.told("toolu_A"), "completed 10:00:31 -");
    assert_eq!(case.text("toolu_A"), "\"fine\"");
}

#[test]
fn a_task_that_is_stopped_is_cancelled() {
    assert_eq!(read_case("taskstop-bash").told("toolu_B"), "cancelled 10:00:31 -");
}

#[test]
fn a_teammate_ends_by_the_message_that_says_so() {
    assert_eq!(read_case("teammate-shutdown").told("toolu_A"), "completed 10:00:50 -");
}

#[test]
fn a_workflow_ends_by_its_state_file() {
    let case = read_case("workflow-state-file");
    assert_eq!(case.told("toolu_W1"), "completed 10:00:06 -");
    assert_eq!(case.told("toolu_W2"), "failed 10:00:06 -");
    assert_eq!(case.text("toolu_W2"), "Error: batches is undefined");
    assert_eq!(case.tasks["toolu_W1"].spawn.name.as_deref(), Some("sweep"));
}

#[test]
fn older_names_of_notifications_and_remote_agents_are_known() {
    assert_eq!(read_case("agent-notification").told("toolu_A"), "completed 10:00:40 -");
    let case = read_case("remote-agent");
    assert_eq!(case.told("toolu_A"), "completed 10:00:50 -");
    assert_eq!(case.text("toolu_A"), "\"RR\"");
}

#[test]
fn a_monitor_ends_when_its_time_is_over() {
    assert_eq!(read_case("monitor-timeout").told("toolu_M"), "cancelled 10:00:06 -");
}

#[test]
fn what_an_agent_quotes_ends_no_other_task() {
    let case = read_case("notice-inside-a-result");
    assert_eq!(case.told("toolu_A"), "completed 10:00:30 -");
    assert!(case.text("toolu_A").ends_with("and then more text\""), "{}", case.text("toolu_A"));
    assert_eq!(case.told("toolu_B"), "running - -");
    assert!(case.notes("toolu_B").contains("says that it ended as failed"));
}

#[test]
fn what_a_person_types_ends_no_task() {
    let case = read_case("typed-notices");
    for task in ["toolu_A", "toolu_B", "toolu_C"] {
        assert_eq!(case.told(task), "running - -", "{task}");
        assert!(case.notes(task).contains("not believed"), "{task}: {}", case.notes(task));
    }
}

#[test]
fn a_tool_of_another_kind_ends_no_task() {
    let case = read_case("answers-of-other-tools");
    assert_eq!(case.told("toolu_A"), "running - -");
    assert!(case.notes("toolu_A").contains("not believed"));
}

#[test]
fn words_in_an_error_are_not_those_of_the_user() {
    assert_eq!(read_case("error-words-of-an-agent").told("toolu_A"), "failed 10:00:09 -");
}

#[test]
fn agents_beside_the_session_belong_to_it() {
    let case = read_case("agent-files-beside-the-session");
    assert_eq!(case.told("toolu_BG"), "running - toolu_A");
    assert_eq!(recordings("agent-files-beside-the-session").len(), 1);
}

#[test]
fn a_skill_that_runs_as_an_agent_is_a_task() {
    let case = read_case("skill-that-forks");
    assert_eq!(case.told("toolu_K"), "completed 10:00:40 -");
    assert_eq!(case.tasks["toolu_K"].spawn.name.as_deref(), Some("audit-deps"));
    assert_eq!(case.told("toolu_K2"), "completed 10:00:09 toolu_K");
}

#[test]
fn an_id_that_is_used_again_is_another_call() {
    let case = read_case("ids-repeated-inside-a-session");
    let id = |nth: &str| format!("11111111-2222-4333-8444-000000000001/Task:0{nth}");
    assert_eq!(case.told(&id("")), "completed 10:00:05 -");
    assert_eq!(case.told(&id("#2")), "failed 10:00:15 -");
    assert_eq!(case.told(&id("#3")), "completed 10:00:25 -");
    assert!(case.notes(&id("#2")).contains("used for several calls"));
    assert_eq!(case.tasks.len(), 3);
}

#[test]
fn a_copy_belongs_to_what_it_is_a_copy_of_and_adds_what_it_adds() {
    let original = "11111111-2222-4333-8444-000000000001";
    for name in ["resume-copied-under-a-new-id", "branch-sorts-before-its-origin"] {
        let case = read_case(name);
        let thread = |task: &str| case.tasks[task].spawn.thread.to_string();
        if name.starts_with("resume") {
            assert_eq!(case.told("toolu_A"), "completed 10:00:20 -");
            assert_eq!(case.told("toolu_B"), "cancelled 10:01:00 -");
            assert_eq!((thread("toolu_A"), thread("toolu_B")), (original.into(), original.into()));
        } else {
            assert_eq!(thread("toolu_A"), "99999999-2222-4333-8444-000000000009");
            assert_eq!(thread("toolu_C"), "00000000-2222-4333-8444-000000000000");
        }
        let copies: Vec<usize> = recordings(name).iter().map(|r| r.copies.len()).collect();
        assert_eq!(copies, [0, 1], "{name}");
    }
}

#[test]
fn lines_that_others_can_read_are_read() {
    let case = read_case("lone-surrogate-in-a-call");
    assert_eq!(case.told("toolu_B"), "completed 10:00:40 -");
    assert!(case.tasks["toolu_B"].spawn.description.ends_with('\u{fffd}'));
    assert_eq!(case.bad, Vec::<String>::new());
    for (name, bad) in [
        ("nul-bytes-before-a-record", 0),
        ("record-over-several-lines", 0),
        ("two-records-on-a-line", 1),
    ] {
        let case = read_case(name);
        assert_eq!(case.told("toolu_B"), "completed 10:00:40 -", "{name}");
        assert_eq!(case.bad.len(), bad, "{:?}", case.bad);
    }
    assert!(read_case("record-over-several-lines").text("toolu_B").contains("line two"));
}

#[test]
fn a_bad_name_costs_the_name_and_not_the_task() {
    let case = read_case("agent-type-with-a-line-break");
    assert_eq!(case.told("toolu_A"), "completed 10:00:05 -");
    assert_eq!(case.tasks["toolu_A"].spawn.name.as_deref(), Some("reviewer\\nfast"));
    assert!(case.notes("toolu_A").contains("name"));
}

#[test]
fn a_sub_agent_is_found_by_its_instance() {
    let case = read_case("copilot-nested-agent-id");
    assert_eq!(case.told("call-outer"), "completed 10:00:06 -");
    assert_eq!(case.told("call-inner"), "failed 10:00:05 call-outer");
    assert_eq!(case.text("call-inner"), "model call failed");
}

#[test]
fn a_sub_agent_that_was_torn_down_is_cancelled() {
    assert_eq!(read_case("copilot-cancelled").told("call-a"), "cancelled 10:00:05 -");
}

#[test]
fn several_agents_of_one_call_are_several_tasks() {
    let case = read_case("copilot-one-call-many-agents");
    assert_eq!(case.told("call-f"), "completed 10:00:04 -");
    assert_eq!(case.told("call-f/south"), "failed 10:00:06 -");
    assert_eq!(case.tasks["call-f/south"].spawn.call.as_ref().unwrap().as_str(), "call-f");
}

#[test]
fn commands_in_the_background_and_refused_calls_are_tasks() {
    let case = read_case("copilot-shells");
    assert_eq!(case.told("call-build"), "failed 10:00:20 call-outer");
    assert_eq!(case.text("call-build"), "exit code 3");
    assert_eq!(case.told("call-serve"), "cancelled 10:00:22 -");
    assert_eq!(case.told("call-watch"), "completed 10:00:25 -");
    assert!(case.notes("call-watch").contains("nothing says how it ended"));
    assert_eq!(case.told("call-slow"), "completed 10:00:30 -");
    assert_eq!(case.told("call-refused"), "failed 10:00:33 -");
    assert_eq!(case.text("call-refused"), "unknown agent type");
    assert_eq!(case.told("call-denied"), "cancelled 10:00:35 -");
    assert_eq!(case.tasks.len(), 7, "and no more: {:?}", case.tasks.keys());
    // A session without its head is named by its folder.
    assert_eq!(case.tasks["call-slow"].spawn.thread.as_str(), "copilot-shells");
}
