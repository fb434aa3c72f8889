use super::*;
use crate::config::{CommandSpec, Pin, RemoteSpec};
use serde_json::json;

fn lists(tool: &str) -> Lists {
    Lists {
        at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        discovered: Some(r#"{"serverInfo":{"name":"x"}, "big": 12345678901234567890.10}"#.into()),
        tools: Some(vec![tool.into(), r#"{"name":"b"}"#.into()]),
        prompts: Some(Vec::new()),
        resources: None,
        templates: Some(vec![r#"{"uriTemplate":"a://{x}"}"#.into()]),
    }
}

/// The key of a server with every tool.
fn of(target: &Target, capabilities: &Map<String, Value>) -> ListKey {
    ListKey::of(&ServerSpec::new("s".parse().unwrap(), target.clone()), capabilities)
}

fn key(program: &str) -> ListKey {
    of(&Target::Stdio(CommandSpec::new(program)), &Map::new())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[tokio::test]
async fn what_is_kept_comes_back_to_the_letter_and_the_last_one_counts() {
    let folder = tempfile::tempdir().unwrap();
    let cache = ListCache::new(Some(&folder.path().join("a/b")));
    assert_eq!(cache.load(&key("a")).await, None);
    let first = lists("{ \"name\" : \"\\u0061\",\n \"n\": 1.0 }");
    cache.store(&key("a"), &first).await;
    assert_eq!(cache.load(&key("a")).await, Some(first));
    assert_eq!(cache.load(&key("b")).await, None);
    let second = lists(r#"{"name":"other"}"#);
    cache.store(&key("a"), &second).await;
    assert_eq!(cache.load(&key("a")).await, Some(second));
    assert_eq!(files(&folder.path().join("a/b/lists")).len(), 1);
}

#[tokio::test]
async fn without_a_directory_and_where_nothing_can_be_written_it_works_without() {
    let cache = ListCache::new(None);
    cache.store(&key("a"), &lists("{}")).await;
    assert_eq!(cache.load(&key("a")).await, None);
    let file = tempfile::NamedTempFile::new().unwrap();
    let cache = ListCache::new(Some(file.path()));
    cache.store(&key("a"), &lists("{}")).await;
    assert_eq!(cache.load(&key("a")).await, None);
}

#[tokio::test]
async fn what_is_not_json_or_too_large_is_not_kept_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let cache = ListCache::new(Some(folder.path()));
    cache.store(&key("a"), &lists("{}, {}")).await;
    let large = format!("\"{}\"", "x".repeat(usize::try_from(LARGEST).unwrap()));
    cache.store(&key("a"), &lists(&large)).await;
    assert_eq!(cache.load(&key("a")).await, None);
    cache.store(&key("a"), &lists("{}")).await;
    assert_eq!(files(&folder.path().join("lists")).len(), 1);
}

#[tokio::test]
async fn a_broken_file_and_one_of_another_version_are_passed_over_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let cache = ListCache::new(Some(folder.path()));
    cache.store(&key("a"), &lists("{}")).await;
    let file = files(&folder.path().join("lists")).pop().unwrap();
    let whole = fs::read_to_string(&file).unwrap();
    let other = whole.replacen("\"version\":1", "\"version\":2", 1);
    assert_ne!(other, whole);
    let broken = [
        "",
        "null",
        "{}",
        r#"{"version":1}"#,
        r#"{"version":1,"lists":{"at":0}}"#,
        &whole[..whole.len() / 2],
    ];
    for text in broken.into_iter().chain([r#"{"version":2,"lists":[]}"#, &other]) {
        fs::write(&file, text).unwrap();
        assert_eq!(cache.load(&key("a")).await, None, "{text}");
    }
    cache.store(&key("a"), &lists("{}")).await;
    assert_eq!(cache.load(&key("a")).await, Some(lists("{}")));
}

#[test]
fn the_oldest_files_go_first_and_so_does_what_nobody_will_finish() {
    let folder = tempfile::tempdir().unwrap();
    let make = |name: &str, length: usize, age: u64| {
        let path = folder.path().join(name);
        fs::write(&path, "x".repeat(length)).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        path
    };
    let kept = [make("d.json", 30, 1), make("notes.txt", 500, 9000), make("unfinished-new", 1, 10)];
    let (a, b, c) = (make("a.json", 10, 300), make("b.json", 10, 200), make("c.json", 10, 100));
    let abandoned = make("unfinished-old", 1, 2 * 3600);
    clear(folder.path(), 3, 1000);
    assert!(!a.exists() && !abandoned.exists() && b.exists() && c.exists());
    clear(folder.path(), 3, 45);
    assert!(!b.exists() && c.exists());
    clear(folder.path(), 3, 35);
    assert!(!c.exists());
    let mut expected = kept.to_vec();
    expected.sort();
    assert_eq!(files(folder.path()), expected);
}

#[test]
fn whatever_makes_another_server_makes_another_key_and_nothing_secret_shows() {
    let command = CommandSpec::new("server");
    let with = |change: fn(&mut CommandSpec)| {
        let mut command = command.clone();
        change(&mut command);
        Target::Stdio(command)
    };
    let none = Map::new();
    let capabilities = |value: Value| value.as_object().unwrap().clone();
    let sampling = capabilities(json!({ "sampling": {} }));
    let remote = |url: &str| RemoteSpec::new(url).unwrap();
    let mut with_token = remote("https://host.example/mcp");
    with_token.set_header("Authorization", "Bearer s3cret".to_owned());
    let mut pinned = ServerSpec::new("s".parse().unwrap(), with(|_| {}));
    pinned.tools.pin = Pin::First;
    let keys = [
        ListKey::of(&pinned, &none),
        of(&with(|_| {}), &none),
        of(&with(|_| {}), &sampling),
        of(&with(|command| command.program = "other".into()), &none),
        of(&with(|command| command.args = vec!["ab".into()]), &none),
        of(&with(|command| command.args = vec!["a".into(), "b".into()]), &none),
        of(&with(|command| command.cwd = Some("/srv".into())), &none),
        of(&with(|command| drop(command.env.insert("KEY".into(), "s3cret".into()))), &none),
        of(&with(|command| drop(command.env.insert("KEY".into(), "other".into()))), &none),
        of(&Target::Remote(remote("https://host.example/mcp")), &none),
        of(&Target::Remote(remote("https://host.example/other")), &none),
        of(&Target::Remote(with_token), &none),
    ];
    for (at, key) in keys.iter().enumerate() {
        assert!(keys[..at].iter().all(|other| other != key), "{at}");
        assert!(key.0.len() == 64 && key.0.chars().all(|letter| letter.is_ascii_hexdigit()), "{key:?}");
    }
    assert_eq!(of(&with(|_| {}), &none), keys[1]);
    let one = capabilities(json!({ "a": 1, "b": {} }));
    let same = capabilities(serde_json::from_str(r#"{ "b": { }, "a": 1 }"#).unwrap());
    assert_eq!(of(&with(|_| {}), &one), of(&with(|_| {}), &same));
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_user_can_read_it_and_where_others_may_write_nothing_is_believed() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let cache = ListCache::new(Some(&folder.path().join("cache")));
    cache.store(&key("a"), &lists("{}")).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let directory = folder.path().join("cache/lists");
    assert_eq!((mode(&folder.path().join("cache")), mode(&directory)), (0o700, 0o700));
    assert_eq!(mode(&files(&directory)[0]), 0o600);
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o770)).unwrap();
    assert_eq!(cache.load(&key("a")).await, None);
    cache.store(&key("b"), &lists("{}")).await;
    assert_eq!(files(&directory).len(), 1);
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(cache.load(&key("a")).await, Some(lists("{}")));
}
