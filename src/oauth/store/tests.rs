use super::*;
use crate::oauth::registration::{Proof, Registration};
use crate::oauth::secret::Secret;
use crate::oauth::token::Issued;
use tempfile::TempDir;

fn token(word: &str) -> Token {
    Token {
        resource: "https://a.example/mcp".to_owned(),
        issuer: "https://b.example".to_owned(),
        endpoint: "https://b.example/token".to_owned(),
        client: Registration { client_id: "me".to_owned(), client_secret: None, proof: Proof::None },
        scopes: "a".into(),
        issued: Issued::new(Secret::new(word), None, None),
    }
}

fn store(directory: &TempDir) -> Store {
    Store::new(&directory.path().join("deep/er"), "https://a.example/mcp", "me")
}

async fn header(store: &Store) -> Option<http::HeaderValue> {
    store.read().await.expect("it can be read").and_then(|token| token.issued.header())
}

#[tokio::test]
async fn a_login_is_kept_and_replaced() {
    let directory = TempDir::new().expect("a directory");
    let store = store(&directory);
    assert_eq!(header(&store).await, None);
    let lock = store.lock().await.expect("the lock");
    for word in ["one", "two"] {
        store.write(&lock, &token(word)).await.expect("it is written");
        assert_eq!(header(&store).await.expect("a token"), format!("Bearer {word}"));
    }
    let names: Vec<_> = fs::read_dir(&store.directory).expect("a directory").flatten().collect();
    assert_eq!(names.len(), 2, "the login and its lock: {names:?}");
}

#[test]
fn each_server_and_each_client_has_a_file_of_its_own() {
    let directory = Path::new("/x");
    let paths = [("a", ""), ("a", "b"), ("b", ""), ("ab", ""), ("a", "c")];
    let paths: std::collections::BTreeSet<_> =
        paths.iter().map(|(resource, client)| Store::new(directory, resource, client).path()).collect();
    assert_eq!(paths.len(), 5, "{paths:?}");
}

#[tokio::test(start_paused = true)]
async fn the_lock_is_waited_for() {
    let directory = TempDir::new().expect("a directory");
    let store = store(&directory);
    let held = store.lock().await.expect("the lock");
    let other = store.clone();
    let wait = other.lock();
    tokio::pin!(wait);
    assert!(tokio::time::timeout(PAUSE * 20, &mut wait).await.is_err());
    drop(held);
    wait.await.expect("the lock");
}

#[tokio::test]
async fn what_cannot_be_understood_is_passed_over() {
    let directory = TempDir::new().expect("a directory");
    let store = store(&directory);
    let lock = store.lock().await.expect("the lock");
    store.write(&lock, &token("one")).await.expect("it is written");
    fs::write(store.path(), "{").expect("it is broken");
    assert_eq!(header(&store).await, None);
}

#[cfg(unix)]
mod permissions {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    }

    fn allow(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    }

    #[tokio::test]
    async fn only_the_user_can_read_a_login() {
        let directory = TempDir::new().expect("a directory");
        let store = store(&directory);
        let lock = store.lock().await.expect("the lock");
        store.write(&lock, &token("one")).await.expect("it is written");
        assert_eq!((mode(&store.path()), mode(&store.directory)), (0o600, 0o700));
        for open in [0o640, 0o604, 0o620] {
            allow(&store.path(), open);
            let error = store.read().await.expect_err("others may have read it");
            assert!(matches!(error, StoreError::Exposed { mode, .. } if mode == open), "{error}");
            assert!(error.to_string().contains("remove it"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_directory_that_others_can_change_keeps_no_login() {
        let directory = TempDir::new().expect("a directory");
        let store = store(&directory);
        drop(store.lock().await.expect("the lock"));
        allow(&store.directory, 0o755);
        drop(store.lock().await.expect("they may look"));
        allow(&store.directory, 0o775);
        let error = store.lock().await.expect_err("others may change it");
        assert!(matches!(error, StoreError::Exposed { .. }), "{error}");
    }
}
