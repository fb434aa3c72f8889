//! The methods that there are.

/// Every method that a client may ask for, in any revision; the last one stands for what clients have invented.
const METHODS: [&str; Method::COUNT] = [
    "tools/call",
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "completion/complete",
    "logging/setLevel",
    LISTEN,
    "tasks/list",
    "tasks/get",
    "tasks/result",
    "tasks/cancel",
    "tasks/update",
    "other",
];

const LISTEN: &str = "subscriptions/listen";

/// A method that there is, or the one word for all others: names that clients choose never become labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method(usize);

impl Method {
    /// How many there are.
    pub(super) const COUNT: usize = 21;

    /// The method of this name, or `other`.
    pub fn of(name: &str) -> Self {
        Self(METHODS.iter().position(|known| *known == name).unwrap_or(Self::COUNT - 1))
    }

    /// Each of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// Its name, or `other`.
    pub fn as_str(self) -> &'static str {
        METHODS[self.0]
    }

    /// Whether it calls a tool.
    pub fn is_call(self) -> bool {
        self.0 == 0
    }

    /// Whether it is answered as soon as that can be: a subscription lasts as long as its client likes.
    pub fn is_to_be_quick(self) -> bool {
        self.as_str() != LISTEN
    }

    pub(super) fn index(self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_invents_is_other() {
        assert_eq!(Method::of("tools/call").as_str(), "tools/call");
        assert_eq!(Method::of("x\"} 1\n").as_str(), "other");
        assert_eq!(Method::of("").as_str(), "other");
        assert!(Method::of("tools/call").is_call() && !Method::of("tools/calls").is_call());
        assert!(Method::all().all(|method| Method::of(method.as_str()) == method));
    }
}
