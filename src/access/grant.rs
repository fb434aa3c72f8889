//! What somebody may: which servers, which views, and which of their tools.

use std::cell::LazyCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use wildmatch::WildMatch;

/// What somebody may. Everything that is not permitted is denied, and what is denied stays so whatever permits it.
#[derive(Debug)]
pub struct Grant {
    /// Tells it from all others there ever were: what was made for it can be kept by this number.
    id: u64,
    permissions: Vec<Permission>,
    deny: Vec<WildMatch>,
    administers: bool,
    /// What would be permitted beside that.
    wider: Vec<Wider>,
}

/// What would be permitted to an access token that had another scope.
#[derive(Clone, Debug)]
pub struct Wider {
    /// The scope.
    pub scope: String,
    /// What it would permit.
    pub permission: Permission,
    /// What it would not, by `server__tool`.
    pub deny: Vec<WildMatch>,
}

/// One thing that is permitted: some tools of some servers, and the views by which they are reached.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Permission {
    /// Servers, by name.
    pub servers: Vec<WildMatch>,
    /// Views, by name: what they show may be used through them.
    pub views: Vec<WildMatch>,
    /// Tools, by `server__tool`; none: all.
    pub tools: Option<Vec<WildMatch>>,
    /// Only tools that say of themselves that they change nothing.
    pub read_only: bool,
}

/// Whether a tool may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolRight {
    /// Whatever it says of itself.
    Always,
    /// If it says that it changes nothing.
    IfReadOnly,
    /// Not at all.
    Never,
}

/// By which way a server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// By its own path, or through all servers together.
    Open,
    /// Through the view of this name.
    View(&'a str),
}

impl Grant {
    /// Everything, as where nobody is asked who he is.
    pub fn everything() -> Arc<Self> {
        static EVERYTHING: LazyLock<Arc<Grant>> = LazyLock::new(|| {
            let all = || vec![WildMatch::new("*")];
            let permission = Permission { servers: all(), views: all(), tools: None, read_only: false };
            Arc::new(Grant::new(vec![permission], Vec::new(), false))
        });
        EVERYTHING.clone()
    }

    /// What these permissions give but for the tools that `deny` fits, by `server__tool`.
    pub fn new(permissions: Vec<Permission>, deny: Vec<WildMatch>, administers: bool) -> Self {
        static COUNTED: AtomicU64 = AtomicU64::new(0);
        Self {
            id: COUNTED.fetch_add(1, Ordering::Relaxed),
            permissions,
            deny,
            administers,
            wider: Vec::new(),
        }
    }

    /// The same, which other scopes would widen.
    #[must_use]
    pub fn widened_by(mut self, wider: Vec<Wider>) -> Self {
        self.wider = wider;
        self
    }

    /// A scope with which a server could be reached this way that cannot be without.
    pub fn scope_for_server(&self, place: Place<'_>, server: &str) -> Option<&str> {
        self.scope_for(|wider| wider.permission.reaches(place, server))
    }

    /// A scope with which a view could be used that cannot be without.
    pub fn scope_for_view(&self, view: &str) -> Option<&str> {
        self.scope_for(|wider| any(&wider.permission.views, view))
    }

    /// A scope with which a tool could be used that cannot be without, if what it says of itself does not prevent that.
    pub fn scope_for_tool(&self, place: Place<'_>, server: &str, tool: &str) -> Option<&str> {
        let full = full(server, tool);
        self.scope_for(|Wider { permission, deny, .. }| {
            !any(&self.deny, &full)
                && !any(deny, &full)
                && permission.reaches(place, server)
                && permission.tools.as_ref().is_none_or(|tools| any(tools, &full))
        })
    }

    fn scope_for(&self, would_do: impl Fn(&Wider) -> bool) -> Option<&str> {
        self.wider.iter().find(|wider| would_do(wider)).map(|wider| wider.scope.as_str())
    }

    /// Tells it from all others there ever were.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whether it gives the same as another.
    pub fn is_same(&self, other: &Self) -> bool {
        let parts = |grant: &Self| (grant.permissions.clone(), grant.deny.clone(), grant.administers);
        parts(self) == parts(other)
    }

    /// Whether its holder may administer the router.
    pub fn administers(&self) -> bool {
        self.administers
    }

    /// Whether it permits nothing at all.
    pub fn is_empty(&self) -> bool {
        self.permissions.is_empty()
    }

    /// Whether a server may be reached this way.
    pub fn server(&self, place: Place<'_>, server: &str) -> bool {
        self.permissions.iter().any(|permission| permission.reaches(place, server))
    }

    /// Whether the view of this name may be used.
    pub fn view(&self, view: &str) -> bool {
        self.permissions.iter().any(|permission| any(&permission.views, view))
    }

    /// Whether every tool of a server may be used this way, so that none needs to be looked at.
    pub fn every_tool(&self, place: Place<'_>, server: &str) -> bool {
        self.deny.is_empty()
            && self.permissions.iter().any(|permission| {
                permission.tools.is_none() && !permission.read_only && permission.reaches(place, server)
            })
    }

    /// Whether a tool may be used this way.
    pub fn tool(&self, place: Place<'_>, server: &str, tool: &str) -> ToolRight {
        // Most rules name no tools, and this is asked for every call.
        let full = LazyCell::new(|| full(server, tool));
        if !self.deny.is_empty() && any(&self.deny, &full) {
            return ToolRight::Never;
        }
        let permits = |permission: &&Permission| {
            permission.reaches(place, server)
                && permission.tools.as_ref().is_none_or(|tools| any(tools, &full))
        };
        let mut right = ToolRight::Never;
        for permission in self.permissions.iter().filter(permits) {
            if !permission.read_only {
                return ToolRight::Always;
            }
            right = ToolRight::IfReadOnly;
        }
        right
    }

    /// Whether what a tool says of itself decides whether it may be used.
    pub fn minds_read_only(&self) -> bool {
        self.permissions.iter().any(|permission| permission.read_only)
    }
}

impl ToolRight {
    /// Whether a tool may be used of which it is known whether it says that it changes nothing.
    pub fn holds(self, is_read_only: impl FnOnce() -> bool) -> bool {
        match self {
            Self::Always => true,
            Self::IfReadOnly => is_read_only(),
            Self::Never => false,
        }
    }
}

impl Permission {
    fn reaches(&self, place: Place<'_>, server: &str) -> bool {
        any(&self.servers, server)
            || match place {
                Place::Open => false,
                Place::View(view) => any(&self.views, view),
            }
    }
}

/// A tool as all servers together call it.
fn full(server: &str, tool: &str) -> String {
    [server, "__", tool].concat()
}

fn any(patterns: &[WildMatch], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(patterns: &[&str]) -> Vec<WildMatch> {
        patterns.iter().map(|pattern| WildMatch::new(pattern)).collect()
    }

    fn permission(servers: &[&str], views: &[&str], tools: Option<&[&str]>, read_only: bool) -> Permission {
        Permission {
            servers: patterns(servers),
            views: patterns(views),
            tools: tools.map(patterns),
            read_only,
        }
    }

    #[test]
    fn what_is_not_permitted_is_denied_and_what_is_denied_stays_so() {
        let grant = Grant::new(
            vec![
                permission(&["fetch"], &[], None, false),
                permission(&["git*"], &["dev"], Some(&["*__read_*"]), true),
            ],
            patterns(&["fetch__delete*"]),
            false,
        );
        let open =
            |server: &str, tool: &str, reads: bool| grant.tool(Place::Open, server, tool).holds(|| reads);
        assert!(open("fetch", "get", false));
        assert!(!open("fetch", "delete_all", true), "denied");
        assert!(open("github", "read_file", true));
        assert!(!open("github", "read_file", false), "it may change something");
        assert!(!open("github", "write_file", true));
        assert!(!open("time", "now", true));
        assert!(
            grant.tool(Place::View("dev"), "time", "read_now").holds(|| true),
            "a view is a way to what it shows"
        );
        assert_eq!(grant.tool(Place::View("ops"), "time", "read_now"), ToolRight::Never);
        assert!(grant.server(Place::Open, "github") && !grant.server(Place::Open, "time"));
        assert!(grant.server(Place::View("dev"), "time"));
        assert!(grant.view("dev") && !grant.view("ops"));
        assert!(!grant.every_tool(Place::Open, "fetch"), "one may be denied");
        assert!(!grant.every_tool(Place::Open, "github"));
    }

    #[test]
    fn another_scope_may_permit_more_but_not_what_is_denied() {
        let wider = |scope: &str, permission| Wider {
            scope: scope.to_owned(),
            permission,
            deny: patterns(&["git__push"]),
        };
        let grant =
            Grant::new(vec![permission(&["time"], &[], None, false)], patterns(&["git__drop"]), false)
                .widened_by(vec![
                    wider("read", permission(&["git"], &[], Some(&["git__read_*"]), true)),
                    wider("write", permission(&["git"], &["dev"], None, false)),
                ]);
        assert_eq!(grant.scope_for_server(Place::Open, "git"), Some("read"));
        assert_eq!(grant.scope_for_server(Place::View("dev"), "fetch"), Some("write"));
        assert_eq!((grant.scope_for_view("dev"), grant.scope_for_view("ops")), (Some("write"), None));
        let tool = |tool: &str| grant.scope_for_tool(Place::Open, "git", tool);
        assert_eq!((tool("read_file"), tool("commit")), (Some("read"), Some("write")));
        assert_eq!((tool("push"), tool("drop")), (None, None));
        assert_eq!(grant.scope_for_tool(Place::Open, "fetch", "get"), None);
    }

    #[test]
    fn nobody_is_asked_where_everything_is_permitted() {
        let everything = Grant::everything();
        assert!(everything.every_tool(Place::Open, "any") && everything.view("any"));
        assert!(!everything.administers());
        let nothing = Grant::new(Vec::new(), Vec::new(), false);
        assert!(nothing.is_empty() && !nothing.server(Place::Open, "any"));
        assert_eq!(nothing.tool(Place::Open, "any", "tool"), ToolRight::Never);
        assert_eq!(everything.tool(Place::Open, "any", "tool"), ToolRight::Always);
        assert_ne!(nothing.id(), everything.id());
    }
}
