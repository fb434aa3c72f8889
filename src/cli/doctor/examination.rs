//! A server, tried as clients try it: what it is, what it speaks, how long it takes, and what is wrong with it.

use std::time::Duration;

use serde::{Serialize, Serializer};
use url::Url;

use super::cause::{self, Case};
use super::finding::Finding;
use super::trial::{Hello, Patience, Patient, Practice, Trial, Trouble};
use crate::config::{Config, EraSetting, RemoteSpec, ServerSpec, Target};
use crate::peer::Mask;
use crate::shell::on_one_line;
use crate::wire::meta::find_string;
use crate::wire::{Code, Era, Revision};

/// A client of the other era is answered no later than the first one was, and so much more.
const MORE: Duration = Duration::from_secs(10);

/// Another path of a remote server has this long to answer.
const ELSEWHERE_WITHIN: Duration = Duration::from_secs(5);

/// How a server was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// It works.
    Well,
    /// It does not, or not for all clients.
    Broken,
    /// It was not tried.
    Untried,
    /// It is switched off.
    Disabled,
}

/// What was found out about a server. What is not known is null.
#[derive(Debug, Serialize)]
pub(super) struct Examination {
    pub(super) name: String,
    pub(super) state: State,
    /// What runs, or is called; without arguments, which may be secret.
    pub(super) target: Option<String>,
    pub(super) era: Option<&'static str>,
    pub(super) protocol_version: Option<String>,
    /// What the server calls itself, and its version.
    pub(super) server: Option<String>,
    #[serde(serialize_with = "seconds")]
    pub(super) started_seconds: Option<Duration>,
    #[serde(serialize_with = "seconds")]
    pub(super) answered_seconds: Option<Duration>,
    #[serde(serialize_with = "seconds")]
    pub(super) listed_seconds: Option<Duration>,
    /// How many tools are served.
    pub(super) tools: Option<usize>,
    /// What they are called.
    #[serde(skip)]
    pub(super) names: Vec<String>,
    pub(super) findings: Vec<Finding>,
    /// What a server that does not work last wrote to stderr.
    pub(super) stderr: Vec<String>,
}

#[expect(clippy::ref_option, reason = "serde gives it so")]
fn seconds<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64()).serialize(serializer)
}

/// The attempts that were made.
#[derive(Debug, Default)]
struct Trials {
    legacy: Option<Trial>,
    modern: Option<Trial>,
    oldest: Option<Trial>,
    elsewhere: Option<Url>,
}

impl Examination {
    /// Tries a server. `state`: how it stands in the router that serves it, if one does.
    pub(super) async fn of(
        server: &ServerSpec,
        state: Option<&str>,
        config: &Config,
        practice: &Practice,
    ) -> Self {
        let mut found = Self::untried(server);
        let (patient, mask) = match &server.target {
            Target::Disabled => return Self { state: State::Disabled, ..found },
            _ if state == Some("disabled") => return Self { state: State::Disabled, ..found },
            Target::Broken(reason) => {
                found.findings.push(cause::of_entry(reason));
                return Self { state: State::Broken, ..found };
            }
            Target::Aggregate(_) => return found,
            Target::Stdio(command) => (Patient::Command(command), Mask::new(command)),
            Target::Remote(remote) => (Patient::Remote(remote), Mask::remote(remote)),
        };
        found.target = found.target.map(|target| mask.apply(&target).into_owned());
        let trials = if server.is_personal() {
            let headers: Vec<&str> = server.env_from_header.headers().map(http::HeaderName::as_str).collect();
            let what = format!("not tried: each user brings what it needs in {}", headers.join(", "));
            found.findings.push(Finding::warning("per-user", what, ""));
            Trials::default()
        } else {
            Trials::make(patient, server, practice).await
        };
        let case = Case {
            server,
            config,
            practice,
            mask: &mask,
            legacy: trials.legacy.as_ref(),
            modern: trials.modern.as_ref(),
            oldest: trials.oldest.as_ref(),
            elsewhere: trials.elsewhere.as_ref(),
        };
        found.findings.extend(cause::of_trial(&case));
        found.era = trials.era();
        if let Some(trial) = case.first() {
            found.note(trial, &case);
        }
        found
    }

    fn untried(server: &ServerSpec) -> Self {
        let target = match &server.target {
            Target::Stdio(command) => Some(command.to_string()),
            Target::Remote(remote) => Some(remote.to_string()),
            Target::Aggregate(_) | Target::Disabled | Target::Broken(_) => None,
        };
        Self::new(server.name.to_string(), State::Untried, target.map(|target| on_one_line(&target)))
    }

    /// Nothing is known yet but this.
    pub(super) fn new(name: String, state: State, target: Option<String>) -> Self {
        Self {
            name,
            state,
            target,
            era: None,
            protocol_version: None,
            server: None,
            started_seconds: None,
            answered_seconds: None,
            listed_seconds: None,
            tools: None,
            names: Vec::new(),
            findings: Vec::new(),
            stderr: Vec::new(),
        }
    }

    /// Notes what the attempt that tells most has told.
    fn note(&mut self, trial: &Trial, case: &Case<'_>) {
        let is_broken = trial.trouble.is_some() || self.findings.iter().any(Finding::is_error);
        self.state = if is_broken { State::Broken } else { State::Well };
        let shown = |text: &str| on_one_line(&case.mask.apply(text));
        if let Some(opened) = &trial.opened {
            self.protocol_version = Some(shown(&opened.version()));
            let said = |key| find_string(opened.server_info()?, &[key]);
            self.server = said("name")
                .map(|name| shown(format!("{name} {}", said("version").unwrap_or_default()).trim_end()));
        }
        self.started_seconds = trial.started;
        self.answered_seconds = trial.answered;
        self.listed_seconds = trial.listed;
        self.names = cause::served(case, trial);
        self.tools = trial.listed.map(|_| self.names.len());
        if is_broken {
            self.stderr.clone_from(&trial.words);
        }
    }
}

impl Trials {
    /// Tries a server in every way that makes sense, one after the other: some may run only once.
    async fn make(patient: Patient<'_>, server: &ServerSpec, practice: &Practice) -> Self {
        let patience = Patience::with(practice.patience, server.start_timeout);
        let run = |hello, patience| Trial::run(patient, &server.name, hello, patience, practice);
        let mut trials = Self::default();
        if server.era != EraSetting::Modern {
            trials.legacy = Some(run(Hello::Legacy(Revision::NEWEST_LEGACY), patience).await);
        }
        let is_remote = matches!(patient, Patient::Remote(_));
        let is_worth_more = |trial: &Trial| is_worth_more(trial, is_remote);
        if server.era != EraSetting::Legacy && trials.legacy.as_ref().is_none_or(is_worth_more) {
            let patience = trials.legacy.as_ref().map_or(patience, |legacy| next(patience, legacy));
            trials.modern = Some(run(Hello::Modern, patience).await);
        }
        let is_opened = |trial: &Option<Trial>| trial.as_ref().is_some_and(|trial| trial.opened.is_some());
        let is_refused = matches!(&trials.legacy, Some(Trial { trouble: Some(Trouble::Refused { code, .. }), opened: None, .. })
            if *code != Code::MethodNotFound.number());
        if is_refused && !is_opened(&trials.modern) {
            let patience = trials.legacy.as_ref().map_or(patience, |legacy| next(patience, legacy));
            trials.oldest = Some(run(Hello::Legacy(Revision::V2024_11_05), patience).await);
        }
        if let Patient::Remote(remote) = patient
            && trials.legacy.as_ref().is_some_and(may_be_elsewhere)
            && !is_opened(&trials.modern)
            && !is_opened(&trials.oldest)
        {
            trials.elsewhere = elsewhere(remote, server, practice).await;
        }
        trials
    }

    fn era(&self) -> Option<&'static str> {
        let speaks = |trial: &Option<Trial>| trial.as_ref().is_some_and(|trial| trial.opened.is_some());
        match (speaks(&self.legacy) || speaks(&self.oldest), speaks(&self.modern)) {
            (true, true) => Some("dual"),
            (true, false) => Some(Era::Legacy.as_str()),
            (false, true) => Some(Era::Modern.as_str()),
            (false, false) => None,
        }
    }
}

/// How long an attempt after the first one may take: a server that starts in a minute has it again, and one that never
/// answers what it does not know is not waited for twice.
fn next(patience: Patience, first: &Trial) -> Patience {
    match first.trouble {
        Some(Trouble::Silent(_)) if first.opened.is_none() && first.hears_modern => patience,
        Some(Trouble::Silent(_)) if first.opened.is_none() => patience.at_most(MORE),
        _ => patience.at_most(first.settled + MORE),
    }
}

/// Whether a client of the other era may fare better, or tells more.
fn is_worth_more(trial: &Trial, is_remote: bool) -> bool {
    match &trial.trouble {
        None | Some(Trouble::Ended(_) | Trouble::Refused { .. } | Trouble::Nonsense(_)) => true,
        // A process has been asked already.
        Some(Trouble::Silent(_)) => trial.opened.is_some() || trial.hears_modern || is_remote,
        Some(Trouble::NotStarted(_) | Trouble::NotCalled(_)) => false,
        Some(Trouble::Lost(reason)) => {
            !reason.contains("cannot be reached")
                && !reason.contains("answered 401")
                && !reason.contains("answered 403")
        }
    }
}

/// Whether a remote server may be at another path.
fn may_be_elsewhere(trial: &Trial) -> bool {
    match &trial.trouble {
        Some(Trouble::Lost(reason)) => cause::may_be_elsewhere(reason),
        Some(Trouble::Refused { .. } | Trouble::Nonsense(_)) => trial.opened.is_none(),
        _ => false,
    }
}

/// Where else on its host a remote server answers.
async fn elsewhere(remote: &RemoteSpec, server: &ServerSpec, practice: &Practice) -> Option<Url> {
    let path = remote.url.path().trim_end_matches('/');
    let paths = [format!("{path}/mcp"), "/mcp".to_owned(), format!("{path}/sse"), "/sse".to_owned()];
    let mut tried = vec![remote.url.path().to_owned()];
    for path in paths {
        if tried.contains(&path) {
            continue;
        }
        let mut other = remote.clone();
        other.url.set_path(&path);
        tried.push(path);
        let hello = Hello::Legacy(Revision::NEWEST_LEGACY);
        let patience = Patience { answer: ELSEWHERE_WITHIN, whole: ELSEWHERE_WITHIN };
        let trial = Trial::run(Patient::Remote(&other), &server.name, hello, patience, practice).await;
        if trial.opened.is_some() {
            return Some(other.url);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_attempt_may_take_what_was_said_else_what_the_router_allows() {
        let said = Patience::with(Some(seconds(90)), seconds(60));
        assert_eq!((said.answer, said.whole), (seconds(90), seconds(90)));
        assert_eq!(Patience::with(None, seconds(60)).answer, seconds(60));
        // It is told how long a server takes that has too little time.
        assert_eq!(Patience::with(None, seconds(4)).answer, seconds(30));
    }

    #[test]
    fn a_second_attempt_has_as_long_as_the_first_has_taken_and_more() {
        let patience = Patience::with(None, seconds(60));
        let first = |settled, trouble| Trial { settled, trouble: Some(trouble), ..Trial::default() };
        let refused = || Trouble::Refused { code: -32601, message: String::new() };
        assert_eq!(next(patience, &first(seconds(14), refused())).answer, seconds(24));
        assert_eq!(next(patience, &first(seconds(55), refused())).answer, seconds(60));
        let silent = || first(seconds(60), Trouble::Silent(seconds(60)));
        assert_eq!(next(patience, &silent()).answer, seconds(10));
        assert_eq!(next(patience, &Trial { hears_modern: true, ..silent() }), patience);
    }
}
