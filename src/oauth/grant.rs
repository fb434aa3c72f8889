//! Getting tokens from a token endpoint, with each kind of grant.

use std::time::Duration;

use oauth2::basic::{BasicClient, BasicErrorResponse, BasicTokenResponse, BasicTokenType};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, DeviceAuthorizationUrl,
    DeviceCodeErrorResponse, EndpointNotSet, EndpointSet, ErrorResponse, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RefreshToken, RequestTokenError, Scope, StandardDeviceAuthorizationResponse, TokenResponse,
    TokenUrl,
};
use url::Url;

use super::endpoint::Endpoint;
use super::error::{LoginError, plain};
use super::fetcher::{FetchError, Fetcher};
use super::registration::{Proof, Registration};
use super::scopes::{OFFLINE, Scopes};
use super::secret::Secret;
use super::token::Issued;

/// A client before a token endpoint, wanting tokens for one resource.
pub(super) struct Grant<'a> {
    client: TokenClient,
    endpoint: &'a Endpoint,
    resource: &'a str,
    fetcher: &'a Fetcher,
}

/// What the browser is sent to, and what is needed to judge what it brings back.
pub(super) struct Question {
    pub(super) url: Url,
    pub(super) state: CsrfToken,
    pub(super) verifier: PkceCodeVerifier,
}

impl<'a> Grant<'a> {
    pub(super) fn new(
        registration: &Registration,
        endpoint: &'a Endpoint,
        resource: &'a str,
        fetcher: &'a Fetcher,
    ) -> Self {
        let mut client =
            BasicClient::new(ClientId::new(registration.client_id.clone())).set_auth_type(match registration
                .proof
            {
                Proof::Basic => AuthType::BasicAuth,
                Proof::Post | Proof::None => AuthType::RequestBody,
            });
        if let Some(secret) = &registration.client_secret {
            client = client.set_client_secret(ClientSecret::new(secret.reveal().to_owned()));
        }
        let client = client.set_token_uri(TokenUrl::from_url(endpoint.url().clone()));
        Self { client, endpoint, resource, fetcher }
    }

    /// The question to the user, to be asked by the browser.
    pub(super) fn question(&self, authorization: &Endpoint, redirect: &Url, scopes: &Scopes) -> Question {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let client = self.client.clone().set_auth_uri(AuthUrl::from_url(authorization.url().clone()));
        let client = client.set_redirect_uri(RedirectUrl::from_url(redirect.clone()));
        let mut request = client
            .authorize_url(CsrfToken::new_random)
            .set_pkce_challenge(challenge)
            .add_scopes(each(scopes))
            // 2025-11-25, authorization: the `resource` parameter "MUST be included in both authorization requests and
            // token requests".
            .add_extra_param(RESOURCE, self.resource);
        if scopes.contains(OFFLINE) {
            // OpenID Connect Core, section 11: without it the scope is ignored.
            request = request.add_extra_param("prompt", "consent");
        }
        let (url, state) = request.url();
        Question { url, state, verifier }
    }

    /// A token for the code that the browser brought back.
    pub(super) async fn code(
        &self,
        code: Secret,
        verifier: PkceCodeVerifier,
        redirect: &Url,
    ) -> Result<Issued, LoginError> {
        let client = self.client.clone().set_redirect_uri(RedirectUrl::from_url(redirect.clone()));
        let request = client
            .exchange_code(AuthorizationCode::new(code.reveal().to_owned()))
            .set_pkce_verifier(verifier)
            .add_extra_param(RESOURCE, self.resource);
        self.issued(request.request_async(self.fetcher).await)
    }

    /// A token for a refresh token.
    pub(super) async fn refresh(&self, token: &Secret) -> Result<Issued, LoginError> {
        let token = RefreshToken::new(token.reveal().to_owned());
        let request = self.client.exchange_refresh_token(&token).add_extra_param(RESOURCE, self.resource);
        self.issued(request.request_async(self.fetcher).await)
    }

    /// A token for the client itself.
    pub(super) async fn credentials(&self, scopes: &Scopes) -> Result<Issued, LoginError> {
        let request = self.client.exchange_client_credentials();
        let request = request.add_scopes(each(scopes)).add_extra_param(RESOURCE, self.resource);
        self.issued(request.request_async(self.fetcher).await)
    }

    /// The words that the user is to enter somewhere else.
    pub(super) async fn device_words(
        &self,
        device: &Endpoint,
        scopes: &Scopes,
    ) -> Result<StandardDeviceAuthorizationResponse, LoginError> {
        let address = DeviceAuthorizationUrl::from_url(device.url().clone());
        let client = self.client.clone().set_device_authorization_url(address);
        let request = client.exchange_device_code().add_scopes(each(scopes));
        let request = request.add_extra_param(RESOURCE, self.resource);
        request.request_async(self.fetcher).await.map_err(|error| failure(error, device))
    }

    /// A token once the user has entered them.
    pub(super) async fn device(
        &self,
        words: &StandardDeviceAuthorizationResponse,
        patience: Duration,
    ) -> Result<Issued, LoginError> {
        let request =
            self.client.exchange_device_access_token(words).add_extra_param(RESOURCE, self.resource);
        // The interval is the authorization server's, which must not make this one a flood.
        let pause = |interval: Duration| tokio::time::sleep(interval.max(SHORTEST_PAUSE));
        match request.request_async(self.fetcher, pause, Some(patience)).await {
            Err(RequestTokenError::ServerResponse(refusal)) => {
                Err(LoginError::Denied { reason: device_code(&refusal) })
            }
            other => self.issued(other),
        }
    }

    fn issued<E: ErrorResponse + Code + 'static>(
        &self,
        response: Result<BasicTokenResponse, RequestTokenError<FetchError, E>>,
    ) -> Result<Issued, LoginError> {
        let response = response.map_err(|error| failure(error, self.endpoint))?;
        let access = Secret::new(response.access_token().secret().as_str());
        let refresh = response.refresh_token().map(|token| Secret::new(token.secret().as_str()));
        let issued = Issued::new(access, refresh, response.expires_in());
        // Another kind of token would have to be shown in another way.
        let is_bearer = *response.token_type() == BasicTokenType::Bearer && issued.header().is_some();
        is_bearer.then_some(issued).ok_or_else(|| unintelligible(self.endpoint))
    }
}

/// A refusal that has an error code.
trait Code {
    fn code(&self) -> String;
}

impl Code for BasicErrorResponse {
    fn code(&self) -> String {
        plain(self.error().as_ref())
    }
}

impl Code for DeviceCodeErrorResponse {
    fn code(&self) -> String {
        device_code(self)
    }
}

fn device_code(refusal: &DeviceCodeErrorResponse) -> String {
    plain(refusal.error().as_ref())
}

/// What went wrong, without the answer's text: it may repeat what was sent.
fn failure<E>(error: RequestTokenError<FetchError, E>, endpoint: &Endpoint) -> LoginError
where
    E: ErrorResponse + Code + 'static,
{
    match error {
        RequestTokenError::Request(error) => LoginError::Fetch(error),
        RequestTokenError::ServerResponse(refusal) => LoginError::Refused { code: refusal.code() },
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => unintelligible(endpoint),
    }
}

fn unintelligible(endpoint: &Endpoint) -> LoginError {
    LoginError::Unintelligible { url: endpoint.to_string() }
}

fn each(scopes: &Scopes) -> impl Iterator<Item = Scope> {
    scopes.iter().map(|scope| Scope::new(scope.to_owned()))
}

type TokenClient = BasicClient<EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// RFC 8707.
const RESOURCE: &str = "resource";

const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
