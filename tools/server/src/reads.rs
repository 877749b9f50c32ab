//! Questions and their answers.

use crate::{
    guard::{Caller, Role, needs},
    log,
    places::Slot,
    pools::Full,
    problem::Problem,
    routes::{decode, segments},
    service::Service,
    source::{self, asked::accepts_frames},
    standby::wire::millis,
};
use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
        header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
        request::Parts,
    },
    response::{IntoResponse as _, Response},
};
use taskledger::{ids::Head, ledger, query::Point};
use taskledger_contract::{
    questions::{AskError, Asked, Question},
    render::Form,
};

/// The ledger that an answer is of; of a request to record, the one that is meant.
pub(crate) const LEDGER: HeaderName = HeaderName::from_static("taskledger-ledger");
const SIZE: HeaderName = HeaderName::from_static("taskledger-size");
/// Of a standby: milliseconds since it had all events of its source.
const LAG: HeaderName = HeaderName::from_static("taskledger-lag-ms");
const SHORTFALL: HeaderName = HeaderName::from_static("taskledger-shortfall");

/// Answers a question.
pub(crate) async fn read(
    State(service): State<Service>,
    Extension(caller): Extension<Option<Caller>>,
    request: Request,
) -> Response {
    let (request, _) = request.into_parts();
    let answered = match request.method {
        Method::GET | Method::HEAD => answer(&service, caller.as_ref(), &request).await,
        _ => Err(Problem::method("GET, HEAD")),
    };
    answered.unwrap_or_else(Problem::into_response)
}

async fn answer(
    service: &Service,
    caller: Option<&Caller>,
    request: &Parts,
) -> Result<Response, Problem> {
    let address = parts(&request.uri)?;
    if address.0 == ["log"] && accepts_frames(&request.headers) {
        return frames(service, caller, request, address.1).await;
    }
    let caller = needs(caller, Role::Read)?;
    if log::is_stream(&address, &request.headers) {
        let slot = request.extensions.get::<Slot>();
        return log::begin(service, caller, slot, log::parse(address.1, &request.headers)?).await;
    }
    let (segments, mut params) = address;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let form = form(&mut params, &request.headers)?;
    let (question, at) = Question::parse(&segments, params)?;
    let head = service.ledger().reader().head();
    let run = service.run().filter(|_| question.follows_from_events(at.as_ref()));
    let etag = run.map(|run| etag(run, head, form));
    if let Some(etag) = &etag
        && is_known(&request.headers, etag)
    {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        describe(service, head, Some(etag), response.headers_mut());
        return Ok(response);
    }
    let (answer, head) = ask(service, caller, question, (at, form)).await?;
    let etag = run.map(|run| self::etag(run, head, form));
    let mut response = Response::new(Body::from(answer));
    let kind = match form {
        Form::Json => "application/json",
        Form::Jsonl => "application/x-ndjson",
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    describe(service, head, etag.as_ref(), response.headers_mut());
    Ok(response)
}

/// Begins a stream of frames.
async fn frames(
    service: &Service,
    caller: Option<&Caller>,
    request: &Parts,
    params: Vec<(String, String)>,
) -> Result<Response, Problem> {
    let caller = needs(caller, Role::Replicate)?;
    if request.method != Method::GET {
        return Err(Problem::method("GET"));
    }
    let asked = source::asked::Asked::read(params, &request.headers, caller.node())?;
    source::begin(service, caller, request.extensions.get::<Slot>(), asked).await
}

/// Asks on a thread that may block; the whole answer, and the end of the log that it is of.
async fn ask(
    service: &Service,
    caller: &Caller,
    question: Question,
    (at, form): (Option<Point>, Form),
) -> Result<(Bytes, Head), Problem> {
    let turn = service.pools().turn(caller, question.needs_whole_map()).await?;
    let mut answer = service.pools().answer(caller);
    let (now, service) = (service.options().clock.now(), service.clone());
    let reader = service.ledger().reader();
    let written = reader.run(move |reader| {
        let _turn = turn; // a client that goes away leaves its read running, and its turn taken
        let asked = Asked::new(reader, service.directory(), at.as_ref(), now)?;
        let asked = asked.holding(service.options().answer_bytes_max);
        question.write(&asked, form, &mut answer)?;
        Ok::<_, AskError>((answer, asked.head))
    });
    match written.await {
        Ok((answer, head)) => Ok((answer.finish(), head)),
        Err(AskError::Write(error)) => {
            let full = error.get_ref().and_then(|cause| cause.downcast_ref::<Full>());
            Err(full.copied().map_or_else(|| AskError::Write(error).into(), Problem::from))
        }
        Err(AskError::TooLarge { bytes_max: max }) => Err(Full::One { max }.into()),
        Err(error) => Err(error.into()),
    }
}

/// Says which ledger and which end of its log an answer is of, and what is missing in it.
fn describe(service: &Service, head: Head, etag: Option<&HeaderValue>, headers: &mut HeaderMap) {
    let value = |text: String| HeaderValue::try_from(text).ok();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    let ledger = service.ledger().reader().ledger_id();
    headers.extend(value(ledger.to_string()).map(|value| (LEDGER, value)));
    headers.extend(value(head.size.to_string()).map(|value| (SIZE, value)));
    headers.extend(etag.map(|etag| (ETAG, etag.clone())));
    if service.ledger().role() == ledger::Role::Standby {
        let age = service.nodes().followed().1.age.map(millis);
        let told = age.map_or("unknown".to_owned(), |age| age.to_string());
        headers.extend(value(told).map(|value| (LAG, value)));
    }
    if let Some(short) = service.ledger().shortfall() {
        // Never silent: the answer is not of the whole history, or it is not known to be.
        let all = short.held.map_or("unknown".to_owned(), |held| held.to_string());
        let told = value(format!("readable={}; held={all}", short.readable));
        headers.extend(told.map(|value| (SHORTFALL, value)));
    }
}

/// The tag of every answer that follows from the events up to `head`. The bytes of an answer are those of
/// the program, too: another build may write others. So a tag holds for one run of the server.
fn etag(run: u64, head: Head, form: Form) -> HeaderValue {
    let root = head.root.to_string();
    let form = match form {
        Form::Json => 'j',
        Form::Jsonl => 'l',
    };
    let root = root.get(..32).unwrap_or(&root);
    let text = format!("\"{}-{root}-{form}-{run:x}\"", head.size);
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("\"\""))
}

fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let same = |tag: &str| tag.trim().trim_start_matches("W/").as_bytes() == etag.as_bytes();
    let tags = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    tags.flat_map(|value| value.split(',')).any(same)
}

/// The form that is asked for: by `format=`, or by what the client accepts.
pub(crate) fn form(
    params: &mut Vec<(String, String)>,
    headers: &HeaderMap,
) -> Result<Form, Problem> {
    let place = params.iter().position(|(name, _)| name == "format");
    let named = place.map(|place| params.remove(place).1);
    match named.as_deref() {
        Some("json") => return Ok(Form::Json),
        Some("jsonl") => return Ok(Form::Jsonl),
        Some(_) => {
            return Err(Problem::bad_request("format: expected json or jsonl"));
        }
        None => {}
    }
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let kinds = accepted.flat_map(|value| value.split(','));
    let mut kinds = kinds.map(|kind| kind.split(';').next().unwrap_or_default().trim());
    let lines = kinds.any(|kind| kind.eq_ignore_ascii_case("application/x-ndjson"));
    Ok(if lines { Form::Jsonl } else { Form::Json })
}

/// The segments of a path, and the parameters.
pub(crate) type Address = (Vec<String>, Vec<(String, String)>);

/// The segments of a path after `/v1`, and the parameters, each decoded by itself.
pub(crate) fn parts(uri: &Uri) -> Result<Address, Problem> {
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decode(name, true)?, decode(value, true)?))
    });
    Ok((segments(uri.path())?, pairs.collect::<Result<_, Problem>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_slash_belongs_to_the_id() {
        let uri: Uri = "/v1/tasks/a%2Fb%20c+d/why?at=%40-3&x=a+b".parse().unwrap();
        let (segments, params) = parts(&uri).unwrap();
        assert_eq!(segments, ["tasks", "a/b c+d", "why"]);
        let expected = [("at", "@-3"), ("x", "a b")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(params, expected);
        assert!(parts(&"/v1/tasks/%ff".parse().unwrap()).is_err());
    }

    #[test]
    fn lines_are_given_to_those_who_ask_for_them() {
        let asks = |accept: &'static str, format: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            let format = format.map(|format| ("format".to_owned(), format.to_owned()));
            form(&mut format.into_iter().collect(), &headers)
        };
        assert_eq!(asks("*/*", None).unwrap(), Form::Json);
        assert_eq!(asks("text/html, Application/x-ndjson;q=1", None).unwrap(), Form::Jsonl);
        assert_eq!(asks("application/x-ndjson", Some("json")).unwrap(), Form::Json);
        assert!(asks("*/*", Some("csv")).is_err());
    }
}
