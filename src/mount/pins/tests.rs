use super::*;
use crate::config::{CommandSpec, ServerSpec};
use std::path::Path;

fn config(directory: &Path) -> Config {
    let mut server = ServerSpec::stdio("s".parse().unwrap(), CommandSpec::new("run"));
    server.tools.pin = Pin::First;
    Config { servers: vec![server], pins_file: Some(directory.join("pins.json")), ..Config::default() }
}

fn pins(directory: &Path) -> Arc<Pins> {
    Pins::of(&config(directory), TaskTracker::new())
}

fn tool(description: &str) -> String {
    format!(r#"{{"name":"t","description":"{description}"}}"#)
}

/// Whether a tool that says this is shown.
fn shows(pins: &Arc<Pins>, pin: Pin, description: &str) -> bool {
    pins.see("s", pin, "t", &tool(description))
}

#[tokio::test]
async fn a_tool_is_shown_as_it_was_first_seen_and_otherwise_not_before_it_is_approved() {
    let directory = tempfile::tempdir().unwrap();
    let pins = pins(directory.path());
    assert_eq!(pins.standing("s", "t"), Standing::New);
    assert!(shows(&pins, Pin::First, "a") && shows(&pins, Pin::First, "a"));
    assert_eq!(pins.standing("s", "t"), Standing::Fresh);
    assert!(!shows(&pins, Pin::First, "b"));
    assert_eq!(pins.standing("s", "t"), Standing::Held);
    assert!(!pins.knows("s", "t", &tool("a")) && !pins.knows("s", "t", &tool("b")));
    assert!(!shows(&pins, Pin::First, "a"), "that it says it again is for a person to judge");
    assert!(!shows(&pins, Pin::First, "c"));
    let held = pins.held_back("s").remove(0);
    let texts = (held.approved.as_ref().unwrap().text().unwrap(), held.says.text().unwrap());
    assert_eq!(texts, (r#"{"description":"a","name":"t"}"#, r#"{"description":"c","name":"t"}"#));
    let seen = Definition::of(&tool("b")).unwrap().digest();
    assert_eq!(pins.approve("s", "t", Some(&seen)), Err(NotApproved::Changed("t".into())));
    assert!(!shows(&pins, Pin::First, "c"), "nothing was approved");
    assert_eq!(pins.approve("s", "t", Some(&held.says.digest())), Ok(()));
    assert_eq!(pins.approve("s", "t", None), Err(NotApproved::NotHeld("t".into())));
    assert!(shows(&pins, Pin::First, "c") && pins.knows("s", "t", &tool("c")));
    assert!(!shows(&pins, Pin::First, "a"), "it is what was approved before");
    assert!(!pins.see("s", Pin::First, "u", r#"{"name":"u","Name":"t"}"#), "nobody knows what it says");
}

#[tokio::test]
async fn a_new_tool_waits_for_approval_where_that_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let pins = pins(directory.path());
    assert!(!shows(&pins, Pin::Approved, "a"));
    assert_eq!(pins.standing("s", "t"), Standing::Held);
    assert_eq!(pins.held_back("s")[0].approved, None);
    pins.approve("s", "t", None).unwrap();
    assert_eq!(pins.standing("s", "t"), Standing::Known);
    assert!(shows(&pins, Pin::Approved, "a"));
    pins.doubt("s");
    assert_eq!(pins.standing("s", "t"), Standing::Known);
}

#[tokio::test]
async fn what_is_noted_outlives_the_router_and_what_others_write_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (pins(directory.path()), pins(directory.path()));
    assert!(shows(&one, Pin::First, "a"));
    one.saved().await.unwrap();
    assert!(other.see("s", Pin::First, "u", r#"{"name":"u"}"#));
    other.saved().await.unwrap();
    let next = pins(directory.path());
    assert_eq!((next.standing("s", "t"), next.standing("s", "u")), (Standing::Known, Standing::Known));
    assert!(!shows(&next, Pin::First, "b"));
    next.saved().await.unwrap();
    one.read_again(&config(directory.path()));
    assert_eq!(one.standing("s", "t"), Standing::Held);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_hides_every_tool_until_it_is_mended() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pins.json");
    std::fs::write(&path, "{").unwrap();
    let pins = pins(directory.path());
    assert!(!shows(&pins, Pin::First, "a"));
    let Standing::Broken(reason) = pins.standing("s", "t") else { panic!("it is used") };
    assert!(reason.contains("pins.json: EOF") && reason.contains("mend it"), "{reason}");
    assert!(matches!(pins.approve("s", "t", None), Err(NotApproved::Broken(_))));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{", "it is left as it is");
    std::fs::remove_file(&path).unwrap();
    pins.read_again(&config(directory.path()));
    assert!(shows(&pins, Pin::First, "a"));
}

#[tokio::test]
async fn where_nothing_can_be_written_the_pins_hold_as_long_as_the_router_runs() {
    let directory = tempfile::tempdir().unwrap();
    let gone = directory.path().join("gone");
    let pins = pins(&gone);
    assert!(shows(&pins, Pin::First, "a"));
    assert!(pins.saved().await.unwrap_err().contains("pins.json: "));
    assert!(!shows(&pins, Pin::First, "b"));
    std::fs::create_dir(&gone).unwrap();
    pins.saved().await.unwrap();
    assert_eq!(super::file::read(&gone.join("pins.json")).unwrap().unwrap()["s"].len(), 1);
}
