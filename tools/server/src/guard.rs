//! The right to ask: the host that is called, the origin of a write, the token or the certificate of a
//! node, and the role.
//!
//! A request that fails here reaches no handler. Everything is refused that is not known: a browser
//! that was led here by a name that is not the server's (DNS rebinding), a page that sends a form, a
//! token in a place that is logged.

use crate::{
    accept::told_apart,
    nodes::Shown,
    observe::Client,
    places::Slot,
    problem::Problem,
    rooms::Token,
    service::Service,
    tokens::{Entry, TokenError, Worth},
};
use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method,
        header::{AUTHORIZATION, HOST, ORIGIN, X_CONTENT_TYPE_OPTIONS},
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};
use taskledger::{ids::NodeId, time::Millis};

/// Addresses that are counted.
const ADDRESSES_MAX: usize = 1_024;
/// Where no token is asked for: what these answer is no data.
const OPEN_PATHS: [&str; 2] = ["/healthz", "/readyz"];

/// The requests that a client may send. Of the first three, each allows those before it, too.
///
/// Roles have no order: [`Replicate`](Self::Replicate) is neither above nor below another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Questions.
    Read,
    /// Recording.
    Append,
    /// Redacting.
    Admin,
    /// Reading frames and taking part in replication, and nothing else. No other role allows it.
    Replicate,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Append, Self::Admin, Self::Replicate];

    /// True if a client that has this role may do what needs `needed`.
    #[must_use]
    pub const fn allows(self, needed: Self) -> bool {
        match needed {
            Self::Read => matches!(self, Self::Read | Self::Append | Self::Admin),
            Self::Append => matches!(self, Self::Append | Self::Admin),
            Self::Admin => matches!(self, Self::Admin),
            Self::Replicate => matches!(self, Self::Replicate),
        }
    }

    /// The role as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Append => "append",
            Self::Admin => "admin",
            Self::Replicate => "replicate",
        }
    }
}

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A process of the same user, by the socket.
    Socket,
    /// A client by TCP, and the address that it called.
    Tcp {
        /// The client.
        client: SocketAddr,
        /// The server.
        server: SocketAddr,
        /// True if the connection is one of TLS.
        tls: bool,
    },
}

impl Peer {
    /// The client, of TCP.
    pub(crate) fn client(self) -> Option<SocketAddr> {
        match self {
            Self::Tcp { client, .. } => Some(client),
            Self::Socket => None,
        }
    }

    /// The address by which a client without a token is [told from others](told_apart).
    pub(crate) fn address(self) -> Option<IpAddr> {
        self.client().map(|client| told_apart(client.ip()))
    }

    /// The scheme by which the server was called, and its port where none is named.
    fn scheme(self) -> (&'static str, u16) {
        match self {
            Self::Tcp { tls: true, .. } => ("https", 443),
            Self::Tcp { tls: false, .. } | Self::Socket => ("http", 80),
        }
    }
}

/// A client that may ask.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) role: Role,
    /// Its token, as the file has it, if it has sent one.
    token: Option<Entry>,
    /// The certificate of a node that it has shown, if it has.
    shown: Option<Shown>,
}

impl Caller {
    /// A process that asks by the socket. It may do everything but replicate: that is for nodes, which
    /// are on other machines.
    pub(crate) const SOCKET: Self = Self { role: Role::Admin, token: None, shown: None };

    /// The holder of a token. Its token says what it may do, whatever else it has shown.
    pub(crate) fn holder(token: Entry, shown: Option<Shown>) -> Self {
        Self { role: token.role, token: Some(token), shown }
    }

    /// A node that has sent no token.
    fn of_node(shown: Shown) -> Self {
        Self { role: Role::Replicate, token: None, shown: Some(shown) }
    }

    /// The name of its token, or that of the node. A process at the socket has none.
    pub(crate) fn name(&self) -> Option<&Token> {
        let node = || self.shown.as_ref().map(|shown| &shown.name);
        self.token.as_ref().map(|token| &token.name).or_else(node)
    }

    /// True for a process that asks by the socket.
    pub(crate) fn is_at_socket(&self) -> bool {
        self.name().is_none()
    }

    /// The node that it has proved to be, by a certificate of an authority that is trusted.
    pub(crate) fn node(&self) -> Option<NodeId> {
        self.shown.as_ref().map(|shown| shown.node)
    }

    /// Refuses a client whose token was revoked since, or has expired, or whose certificate is trusted no
    /// more. Reads the files if they changed.
    pub(crate) fn check(&self, service: &Service) -> Result<(), Problem> {
        if self.shown.as_ref().is_some_and(|shown| !trusts(service, shown)) {
            return Err(Problem::unauthorized("the certificate is trusted no more"));
        }
        let Some(token) = &self.token else { return Ok(()) };
        let now = service.options().clock.now();
        let file = service.options().tokens.as_ref();
        let holds = file
            .is_some_and(|file| file.holds(token, now).unwrap_or_else(|error| unusable(&error)));
        holds.then_some(()).ok_or_else(|| Problem::unauthorized("the token holds no more"))
    }
}

/// True if the certificate that was shown is still one of an authority that is trusted, and has not expired.
fn trusts(service: &Service, shown: &Shown) -> bool {
    let options = service.options();
    options.tls.as_ref().is_some_and(|tls| tls.trusts(&shown.chain, options.clock.now()))
}

/// An operator must act: until then no token holds.
fn unusable<T: Default>(error: &TokenError) -> T {
    tracing::error!(error = %error, "the file of tokens cannot be used");
    T::default()
}

/// The number of times that each address has failed in the minute.
#[derive(Debug, Default)]
pub(crate) struct Tries(Mutex<(u64, BTreeMap<IpAddr, usize>)>);

impl Tries {
    /// Counts a failure. False if there were more than `max`.
    fn fail(&self, client: IpAddr, now: Millis, max: usize) -> bool {
        let mut tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now.0 / 60_000;
        if tries.0 != minute {
            *tries = (minute, BTreeMap::new());
        }
        if tries.1.len() >= ADDRESSES_MAX && !tries.1.contains_key(&client) {
            return false;
        }
        let failed = tries.1.entry(client).or_default();
        *failed = failed.saturating_add(1);
        *failed <= max
    }
}

/// Lets a request through, or refuses it.
pub(crate) async fn guard(
    State(service): State<Service>,
    mut request: Request,
    next: Next,
) -> Response {
    let admitted = admit(&service, &request)
        .and_then(|caller| own(&request, caller.as_ref()).map(|()| caller));
    let mut response = match admitted {
        Ok(caller) => {
            let name = caller.as_ref().and_then(Caller::name);
            let client = name.map(|name| Client(Arc::clone(name)));
            request.extensions_mut().insert(caller);
            let mut response = next.run(request).await;
            if let Some(client) = client {
                response.extensions_mut().insert(client);
            }
            response
        }
        Err(problem) => problem.into_response(),
    };
    let nosniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// Gives the connection to the client that was let in.
fn own(request: &Request, caller: Option<&Caller>) -> Result<(), Problem> {
    let slot = request.extensions().get::<Slot>();
    let (Some(caller), Some(slot)) = (caller, slot) else { return Ok(()) };
    let told = slot.belongs_to(caller.name());
    told.map_err(|met| met.refuse("too many connections").closing())
}

fn admit(service: &Service, request: &Request) -> Result<Option<Caller>, Problem> {
    let peer = request.extensions().get::<Peer>().copied();
    let host = host(request)?;
    if peer != Some(Peer::Socket) {
        check_host(host, peer, service)?;
    }
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_read {
        // A host that serves by itself says nothing of its connections.
        let scheme = peer.unwrap_or(Peer::Socket).scheme().0;
        check_origin(request.headers(), scheme, host)?;
    }
    if names_a_token(request.uri().query().unwrap_or_default()) {
        let text = "a token in an address would be logged: send it as `Authorization: Bearer`";
        return Err(Problem::new(axum::http::StatusCode::BAD_REQUEST, "token-in-query", text));
    }
    if peer == Some(Peer::Socket) {
        return Ok(Some(Caller::SOCKET));
    }
    if is_read && OPEN_PATHS.contains(&request.uri().path()) {
        return Ok(None);
    }
    let shown = request.extensions().get::<Shown>();
    let shown = shown.filter(|shown| trusts(service, shown)).cloned();
    let caller = match shown {
        Some(shown) if !request.headers().contains_key(AUTHORIZATION) => Caller::of_node(shown),
        shown => Caller::holder(check_token(service, peer, request.headers())?, shown),
    };
    tracing::debug!(client = caller.name().map(|name| &**name), "admitted");
    Ok(Some(caller))
}

/// The name by which the server is called; one, and the same wherever it stands.
fn host(request: &Request) -> Result<Option<&str>, Problem> {
    let refuse = |why| Problem::new(axum::http::StatusCode::BAD_REQUEST, "bad-host", why);
    let mut named = request.headers().get_all(HOST).iter();
    let host = named.next().map(|host| host.to_str().map_err(|_| refuse("the host is no text")));
    let host = host.transpose()?;
    if named.next().is_some() {
        return Err(refuse("more than one host is named"));
    }
    match request.uri().authority() {
        Some(authority) if host != Some(authority.as_str()) => {
            Err(refuse("the target names another host than the header"))
        }
        _ => Ok(host),
    }
}

fn check_host(host: Option<&str>, peer: Option<Peer>, service: &Service) -> Result<(), Problem> {
    let refuse = || {
        let text = "the server is not called by this name; --host NAME:PORT adds one";
        Problem::forbidden("host-not-allowed", text)
    };
    let host = host.ok_or_else(refuse)?.to_ascii_lowercase();
    let own = |peer: Peer, server: SocketAddr| {
        let port = server.port();
        // Clients leave out the port that belongs to the scheme.
        let name = host.strip_suffix(&format!(":{port}"));
        let name = name.or_else(|| (port == peer.scheme().1).then_some(host.as_str()));
        let names = ["localhost", "127.0.0.1", "[::1]"];
        let address = SocketAddr::new(server.ip(), 0).to_string();
        name.is_some_and(|name| names.contains(&name) || address.strip_suffix(":0") == Some(name))
    };
    let called = match peer {
        Some(peer @ Peer::Tcp { server, .. }) => own(peer, server),
        Some(Peer::Socket) | None => false,
    };
    (called || service.options().hosts.contains(&host)).then_some(()).ok_or_else(refuse)
}

/// Refuses a write that a page of another origin sends.
fn check_origin(headers: &HeaderMap, scheme: &str, host: Option<&str>) -> Result<(), Problem> {
    const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    let refuse = || Problem::forbidden("origin-not-allowed", "writes come from no other origin");
    if let Some(site) = headers.get(SITE)
        && !["same-origin", "none"].iter().any(|allowed| site == allowed)
    {
        return Err(refuse());
    }
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let own = host.map(|host| format!("{scheme}://{host}"));
    (own.is_some_and(|own| origin == own.as_str())).then_some(()).ok_or_else(refuse)
}

/// True if a parameter of the query is a token.
fn names_a_token(query: &str) -> bool {
    let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_ascii_lowercase();
    query.split('&').any(|pair| ["token", "access_token"].contains(&name(pair).as_str()))
}

fn check_token(
    service: &Service,
    peer: Option<Peer>,
    headers: &HeaderMap,
) -> Result<Entry, Problem> {
    let now = service.options().clock.now();
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = given.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    let worth = match (&service.options().tokens, token) {
        (Some(file), Some(token)) => {
            file.check(token, now).unwrap_or_else(|error| unusable(&error))
        }
        (None, _) | (_, None) => Worth::Unknown,
    };
    let expired = match worth {
        Worth::Holds(token) => {
            tracing::debug!(client = %token.name, "admitted");
            return Ok(token);
        }
        Worth::Expired(name) => Some(name),
        Worth::Unknown => None,
    };
    let max = service.options().failed_tokens_max;
    let address = peer.and_then(Peer::address);
    let problem = match address {
        Some(client) if !service.tries().fail(client, now, max) => Problem::too_many_tries(max),
        _ => Problem::unauthorized("a token that holds is needed: `Authorization: Bearer`"),
    };
    Err(match expired {
        Some(name) => problem.of_expired(name),
        None => problem,
    })
}

/// Refuses a client whose role does not allow what is asked.
pub(crate) fn needs(caller: Option<&Caller>, role: Role) -> Result<&Caller, Problem> {
    match caller {
        Some(caller) if caller.role.allows(role) => Ok(caller),
        Some(caller) => {
            let (has, role) = (caller.role.as_str(), role.as_str());
            let by = match (&caller.token, &caller.shown) {
                (Some(_), _) => "the token has",
                (None, Some(_)) => "the certificate of a node gives",
                (None, None) => "the socket gives",
            };
            Err(Problem::forbidden("role", format!("this needs the role {role}; {by} {has}")))
        }
        None => Err(Problem::unauthorized("a token is needed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_fails_too_often_is_told_so_until_the_minute_is_over() {
        let tries = Tries::default();
        let [one, other]: [IpAddr; 2] =
            ["127.0.0.1", "127.0.0.2"].map(|text| text.parse().unwrap());
        for _ in 0..50 {
            assert!(tries.fail(one, Millis(0), 50));
        }
        assert!(!tries.fail(one, Millis(59_999), 50));
        assert!(tries.fail(other, Millis(59_999), 50));
        assert!(tries.fail(one, Millis(60_000), 50));
    }

    #[test]
    fn the_addresses_that_are_counted_are_bounded() {
        let tries = Tries::default();
        for number in 0..2_000_u32 {
            tries.fail(IpAddr::from(number.to_be_bytes()), Millis(0), 50);
        }
        assert_eq!(tries.0.lock().unwrap().1.len(), ADDRESSES_MAX);
    }

    #[test]
    fn replication_is_for_nodes_and_for_tokens_of_that_role_alone() {
        let token = |role| Entry { name: "a".into(), role, hash: [0; 32], expires: None };
        let node = NodeId([7; 16]);
        let shown = Shown { node, name: "node:07".into(), chain: Arc::from([]) };
        let may = |caller: &Caller| needs(Some(caller), Role::Replicate).is_ok();
        assert!(!may(&Caller::SOCKET) && Caller::SOCKET.node().is_none());
        for role in Role::ALL {
            let holder = Caller::holder(token(role), None);
            assert_eq!(may(&holder), role == Role::Replicate, "{role:?}");
            assert_eq!(holder.node(), None);
            // A certificate says which node it is, and not what its token allows.
            let both = Caller::holder(token(role), Some(shown.clone()));
            assert_eq!(may(&both), role == Role::Replicate, "{role:?}");
            assert_eq!(both.node(), Some(node));
        }
        let caller = Caller::of_node(shown);
        assert!(may(&caller) && caller.node() == Some(node) && !caller.is_at_socket());
    }

    #[test]
    fn a_token_in_the_query_is_seen_wherever_it_stands() {
        assert!(names_a_token("at=@&Token=x"));
        assert!(names_a_token("access_token"));
        assert!(!names_a_token("thread=token"));
    }
}
