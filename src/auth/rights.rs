//! From the rules of the configuration to what somebody may.

use crate::access::{Grant, Permission, Wider};
use crate::config::{PrincipalLimits, RuleSpec, Who, patterns};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// The rules. Those who are concerned by the same ones have the same grant.
#[derive(Debug)]
pub(super) struct Rights {
    rules: Vec<RuleSpec>,
    /// How much each may have, where no rule says otherwise.
    limits: PrincipalLimits,
    /// By the rules that it is made of.
    grants: Mutex<HashMap<Vec<usize>, Arc<Grant>>>,
}

/// What somebody is known by.
#[derive(Clone, Debug, Default)]
pub(super) struct Identity<'a> {
    /// The owner of a key of this name.
    pub(super) token: Option<&'a str>,
    /// The subject of an access token.
    pub(super) subject: Option<&'a str>,
    /// The name in a certificate.
    pub(super) certificate: Option<&'a str>,
    /// Groups that he is in.
    pub(super) groups: BTreeSet<&'a str>,
    /// What his access token is good for.
    pub(super) scopes: BTreeSet<&'a str>,
}

impl Rights {
    pub(super) fn new(rules: &[RuleSpec], limits: &PrincipalLimits) -> Self {
        Self { rules: rules.to_vec(), limits: *limits, grants: Mutex::default() }
    }

    /// How much somebody may have who is known.
    pub(super) fn limits(&self, identity: &Identity<'_>) -> PrincipalLimits {
        self.limits_by(|who| identity.is(who))
    }

    /// How much all those may have together who have shown nothing.
    pub(super) fn limits_of_anonymous(&self) -> PrincipalLimits {
        self.limits_by(|who| *who == Who::Anonymous)
    }

    /// Of the rules that concern somebody the strictest; where they say nothing, what is said for everybody.
    fn limits_by(&self, is: impl Fn(&Who) -> bool) -> PrincipalLimits {
        let rules = self.rules.iter().filter(|rule| rule.who.iter().any(&is)).map(|rule| rule.limits);
        rules.reduce(|all, more| all.strictest(&more)).unwrap_or_default().or(&self.limits)
    }

    /// What somebody may who is known. Where there are no rules, that is everything.
    pub(super) fn of(&self, identity: &Identity<'_>) -> Arc<Grant> {
        let concerned = self.rules.iter().any(|rule| rule.who != [Who::Anonymous]);
        if !concerned {
            return Grant::everything();
        }
        self.made_of(self.concerning(|who| identity.is(who)))
    }

    /// What somebody may who has shown nothing, if he may anything.
    pub(super) fn of_anonymous(&self) -> Option<Arc<Grant>> {
        let rules = self.concerning(|who| *who == Who::Anonymous);
        (!rules.is_empty()).then(|| self.made_of(rules))
    }

    /// What somebody may whose key is good for `allow` alone: servers, tools as `server__tool`, and views as `views/NAME`.
    /// What the rules deny him stays denied.
    pub(super) fn narrowed(&self, identity: &Identity<'_>, allow: &[String]) -> Arc<Grant> {
        let rules: Vec<&RuleSpec> =
            self.rules.iter().filter(|rule| rule.who.iter().any(|who| identity.is(who))).collect();
        let denied: Vec<String> = rules.iter().flat_map(|rule| rule.deny.clone()).collect();
        let permissions = allow.iter().map(|pattern| {
            let one = |text: &str| patterns(&[text.to_owned()]);
            if let Some(view) = pattern.strip_prefix("views/") {
                Permission { views: one(view), ..Permission::default() }
            } else if let Some((server, _)) = pattern.split_once("__") {
                Permission { servers: one(server), tools: Some(one(pattern)), ..Permission::default() }
            } else {
                Permission { servers: one(pattern), ..Permission::default() }
            }
        });
        let administers = rules.iter().any(|rule| rule.admin);
        Arc::new(Grant::new(permissions.collect(), patterns(&denied), administers))
    }

    fn concerning(&self, is: impl Fn(&Who) -> bool) -> Vec<usize> {
        let rules = self.rules.iter().enumerate();
        rules.filter(|(_, rule)| rule.who.iter().any(&is)).map(|(at, _)| at).collect()
    }

    fn made_of(&self, numbers: Vec<usize>) -> Arc<Grant> {
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(grant) = grants.get(&numbers) {
            return grant.clone();
        }
        let rules = || numbers.iter().map(|at| &self.rules[*at]);
        let permissions = rules().map(permission);
        let denied: Vec<String> = rules().flat_map(|rule| rule.deny.clone()).collect();
        let administers = rules().any(|rule| rule.admin);
        let grant = Grant::new(permissions.collect(), patterns(&denied), administers);
        let grant = Arc::new(grant.widened_by(self.beside(&numbers)));
        grants.insert(numbers, grant.clone());
        grant
    }
}

impl Rights {
    /// What the other rules permit to those whose access tokens have some scope.
    fn beside(&self, numbers: &[usize]) -> Vec<Wider> {
        let others = self.rules.iter().enumerate().filter(|(at, _)| !numbers.contains(at));
        let wider = |rule: &RuleSpec| {
            let scope = rule.who.iter().find_map(|who| match who {
                Who::Scope(scope) => Some(scope.clone()),
                _ => None,
            });
            Some(Wider { scope: scope?, permission: permission(rule), deny: patterns(&rule.deny) })
        };
        others.filter_map(|(_, rule)| wider(rule)).collect()
    }
}

fn permission(rule: &RuleSpec) -> Permission {
    Permission {
        servers: patterns(&rule.servers),
        views: patterns(&rule.views),
        tools: rule.allow.as_deref().map(patterns),
        read_only: rule.read_only,
    }
}

impl Identity<'_> {
    fn is(&self, who: &Who) -> bool {
        match who {
            Who::Everybody => true,
            Who::Anonymous => false,
            Who::Token(name) => self.token == Some(name),
            Who::Group(name) => self.groups.contains(name.as_str()),
            Who::Scope(name) => self.scopes.contains(name.as_str()),
            Who::Subject(name) => self.subject == Some(name),
            Who::Certificate(name) => self.certificate == Some(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Place;

    #[test]
    fn a_key_that_is_good_for_some_things_is_good_for_nothing_else() {
        let rules = [
            RuleSpec { who: vec![Who::Everybody], servers: vec!["*".into()], ..RuleSpec::default() },
            RuleSpec {
                who: vec![Who::Token("a".into())],
                deny: vec!["git__push".into()],
                ..RuleSpec::default()
            },
        ];
        let identity = Identity { token: Some("a"), ..Identity::default() };
        let allow = ["time".to_owned(), "git__p*".to_owned(), "views/dev".to_owned()];
        let grant = Rights::new(&rules, &PrincipalLimits::default()).narrowed(&identity, &allow);
        let may = |server: &str, tool: &str| grant.tool(Place::Open, server, tool).holds(|| true);
        assert!(may("time", "now") && may("git", "pull"));
        assert!(!may("git", "push"), "a rule denies it");
        assert!(!may("git", "commit") && !may("fetch", "get"));
        assert!(grant.view("dev") && !grant.view("ops"));
    }

    #[test]
    fn who_is_concerned_by_no_rule_may_nothing() {
        let rules = [RuleSpec { who: vec![Who::Group("dev".into())], ..RuleSpec::default() }];
        assert!(Rights::new(&rules, &PrincipalLimits::default()).of(&Identity::default()).is_empty());
        assert!(
            Rights::new(&[], &PrincipalLimits::default()).of(&Identity::default()).server(Place::Open, "any")
        );
        assert!(Rights::new(&[], &PrincipalLimits::default()).of_anonymous().is_none());
    }

    #[test]
    fn the_strictest_rule_that_says_how_much_holds_before_what_holds_for_all() {
        let sessions = |sessions| PrincipalLimits { sessions: Some(sessions), ..PrincipalLimits::default() };
        let rule = |who: Who, limits| RuleSpec { who: vec![who], limits, ..RuleSpec::default() };
        let streams = PrincipalLimits { streams: Some(9), ..PrincipalLimits::default() };
        let rules = [
            rule(Who::Group("dev".into()), sessions(50)),
            rule(Who::Token("alice".into()), sessions(20)),
            rule(Who::Everybody, streams),
            rule(Who::Anonymous, sessions(1)),
        ];
        let rights = Rights::new(&rules, &PrincipalLimits { processes: Some(3), ..sessions(5) });
        let of = |token, groups: &[&'static str]| {
            let groups = groups.iter().copied().collect();
            let limits = rights.limits(&Identity { token: Some(token), groups, ..Identity::default() });
            assert_eq!((limits.streams, limits.processes), (Some(9), Some(3)));
            limits.sessions
        };
        assert_eq!(of("alice", &["dev"]), Some(20));
        assert_eq!(of("bob", &["dev"]), Some(50), "a rule may give more than there is for all");
        assert_eq!(of("bob", &[]), Some(5));
        assert_eq!(rights.limits_of_anonymous().sessions, Some(1));
    }
}
