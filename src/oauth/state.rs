//! What a login knows at the moment, and what is being done about it.

use std::collections::VecDeque;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use http::HeaderValue;
use tokio::time::Instant;

use super::error::LoginError;
use super::registration::Proof;
use super::token::Issued;

/// What is known, and the attempt that is under way.
#[derive(Default)]
pub(super) struct State {
    held: Held,
    attempt: Option<Attempt>,
    /// What failed unasked is not tried unasked again before this.
    quiet_until: Option<Instant>,
    /// The last token that a refresh brought because the server had refused the one before.
    refreshed: Option<(HeaderValue, Instant)>,
    /// When the user was asked lately.
    asked: VecDeque<Instant>,
    /// How the token endpoint took the client's own credentials; None: not yet.
    pub(super) proof: Option<Proof>,
}

/// The token at hand.
#[derive(Default)]
enum Held {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    Nothing,
    Token(Bearer),
}

struct Bearer {
    header: HeaderValue,
    issued: Issued,
}

/// An attempt to get a token, which all that want one wait for together.
#[derive(Clone)]
pub(super) struct Attempt {
    /// A server has refused what there was; else it is one ahead of need.
    pub(super) answers_refusal: bool,
    pub(super) outcome: Shared<BoxFuture<'static, Outcome>>,
}

/// The header to send; None if no login is known to be needed.
pub(super) type Outcome = Result<Option<HeaderValue>, LoginError>;

/// Whether a token is to be got before somebody needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    /// The one at hand will do meanwhile.
    Soon,
    Now,
}

/// How the next token can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Client credentials: always, without asking anybody.
    Credentials,
    /// A login, and the refresh tokens that come of it.
    User,
}

impl State {
    /// The header to send.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        match &self.held {
            Held::Token(bearer) => Some(bearer.header.clone()),
            Held::Unknown | Held::Nothing => None,
        }
    }

    /// A token that is newer than the one which somebody has used.
    pub(super) fn newer(&self, used: Option<&HeaderValue>) -> Option<HeaderValue> {
        match &self.held {
            Held::Token(bearer) if Some(&bearer.header) != used && !bearer.issued.is_expired() => {
                Some(bearer.header.clone())
            }
            _ => None,
        }
    }

    /// Whether a token should be got ahead of need.
    pub(super) fn need(&self, source: Source) -> Need {
        let quiet = self.quiet_until.is_some_and(|until| Instant::now() < until);
        match &self.held {
            Held::Unknown => Need::Now,
            Held::Nothing if source == Source::Credentials && !quiet => Need::Now,
            Held::Nothing => Need::Nothing,
            Held::Token(bearer) => {
                let renewable = source == Source::Credentials || bearer.issued.refresh_token().is_some();
                match (bearer.issued.is_expired(), bearer.issued.is_due()) {
                    _ if quiet || !renewable => Need::Nothing,
                    (true, _) => Need::Now,
                    (false, true) => Need::Soon,
                    (false, false) => Need::Nothing,
                }
            }
        }
    }

    /// The attempt that is under way.
    pub(super) fn attempt(&self) -> Option<Attempt> {
        // One whose outcome somebody has seen is over, however it ended.
        self.attempt.clone().filter(|attempt| attempt.outcome.peek().is_none())
    }

    /// Notes an attempt, to be waited for by all.
    pub(super) fn begin(&mut self, answers_refusal: bool, outcome: BoxFuture<'static, Outcome>) -> Attempt {
        let attempt = Attempt { answers_refusal, outcome: outcome.shared() };
        self.attempt = Some(attempt.clone());
        attempt
    }

    /// Notes how the attempt ended, before anybody hears of it.
    pub(super) fn conclude(&mut self, outcome: Result<Option<Issued>, LoginError>) -> Outcome {
        self.attempt = None;
        match outcome {
            Ok(issued) => {
                self.quiet_until = None;
                let bearer = issued.and_then(|issued| Some(Bearer { header: issued.header()?, issued }));
                self.held = bearer.map_or(Held::Nothing, Held::Token);
                Ok(self.header())
            }
            Err(error) => {
                self.quiet_until = Some(Instant::now() + QUIET);
                if matches!(self.held, Held::Unknown) {
                    self.held = Held::Nothing;
                }
                Err(error)
            }
        }
    }

    /// Notes that a refused token was replaced by a refresh.
    pub(super) fn refreshed(&mut self, issued: &Issued) {
        self.refreshed = issued.header().map(|header| (header, Instant::now()));
    }

    /// Whether a refresh can help where the server has refused `used`. If it refuses what a refresh has just brought, it
    /// wants something else: perhaps it takes the tokens of another authorization server now.
    pub(super) fn may_refresh(&self, used: Option<&HeaderValue>) -> bool {
        let Some((header, at)) = &self.refreshed else { return true };
        used != Some(header) || at.elapsed() > PROVEN
    }

    /// Asks for leave to ask the user, who is not to be pestered.
    pub(super) fn may_ask(&mut self) -> Result<(), LoginError> {
        self.asked.retain(|at| at.elapsed() < MEMORY);
        if self.asked.len() >= MOST_QUESTIONS {
            return Err(LoginError::TooOften);
        }
        self.asked.push_back(Instant::now());
        Ok(())
    }
}

/// Between attempts that nobody asked for and that fail.
const QUIET: Duration = Duration::from_secs(10);

/// A token that has lived so long has been of use.
const PROVEN: Duration = Duration::from_mins(1);

/// Logins within [`MEMORY`]: one, and steps up to more scopes.
const MOST_QUESTIONS: usize = 3;

const MEMORY: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::secret::Secret;

    fn issued(word: &str, refreshable: bool, lifetime: Option<u64>) -> Issued {
        let refresh = refreshable.then(|| Secret::new("r"));
        Issued::new(Secret::new(word), refresh, lifetime.map(Duration::from_secs))
    }

    fn holding(issued: Issued) -> State {
        let mut state = State::default();
        assert!(state.conclude(Ok(Some(issued))).is_ok());
        state
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_got_ahead_of_need_where_that_asks_nobody() {
        let table = [
            (State::default(), Need::Now, Need::Now),
            (holding(issued("a", true, Some(3600))), Need::Nothing, Need::Nothing),
            (holding(issued("a", true, None)), Need::Nothing, Need::Nothing),
            (holding(issued("a", true, Some(0))), Need::Now, Need::Now),
            (holding(issued("a", false, Some(0))), Need::Nothing, Need::Now),
        ];
        for (state, user, credentials) in table {
            assert_eq!((state.need(Source::User), state.need(Source::Credentials)), (user, credentials));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_is_left_alone_for_a_while() {
        let mut state = holding(issued("a", true, Some(0)));
        assert!(state.conclude(Err(LoginError::Forbidden)).is_err());
        assert_eq!(state.need(Source::User), Need::Nothing);
        assert!(state.header().is_some(), "the server may still take it");
        tokio::time::advance(QUIET).await;
        assert_eq!(state.need(Source::User), Need::Now);
    }

    #[test]
    fn what_somebody_has_used_or_what_has_expired_is_not_newer() {
        let state = holding(issued("a", true, None));
        let header = state.header();
        assert!(state.newer(None).is_some());
        assert_eq!(state.newer(header.as_ref()), None);
        assert_eq!(holding(issued("a", true, Some(0))).newer(None), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_user_is_not_pestered() {
        let mut state = State::default();
        for _ in 0..MOST_QUESTIONS {
            state.may_ask().expect("not often yet");
        }
        assert!(matches!(state.may_ask(), Err(LoginError::TooOften)));
        tokio::time::advance(MEMORY).await;
        state.may_ask().expect("it is long ago");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_refresh_has_just_brought_and_is_refused_leads_to_a_login() {
        let mut state = State::default();
        let issued = issued("a", true, None);
        let header = issued.header();
        assert!(state.may_refresh(header.as_ref()));
        state.refreshed(&issued);
        assert!(!state.may_refresh(header.as_ref()));
        assert!(state.may_refresh(None));
        tokio::time::advance(PROVEN * 2).await;
        assert!(state.may_refresh(header.as_ref()));
    }
}
