//! The methods that there are.

/// Every method that a client may ask for, in any revision.
const METHODS: [&str; 21] = [
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "completion/complete",
    "logging/setLevel",
    "subscriptions/listen",
    "tasks/list",
    "tasks/get",
    "tasks/result",
    "tasks/cancel",
    "tasks/update",
    OTHER,
];

/// What clients have invented.
const OTHER: &str = "other";

/// The method of this name, or `other`: names that clients choose never become labels.
pub fn known(method: &str) -> &'static str {
    METHODS.into_iter().find(|known| *known == method).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_invents_is_other() {
        assert_eq!(known("tools/call"), "tools/call");
        assert_eq!(known("x\"} 1\n"), "other");
        assert_eq!(known(""), "other");
    }
}
