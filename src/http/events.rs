//! For operators: what has happened lately, and what happens.

use super::front::Front;
use super::operator::Operator;
use super::{feed, reply};
use crate::access::Caller;
use bytes::Bytes;
use warp::reply::Response;

/// `GET /admin/events`: an event stream, which ends with the router or with the caller's rights.
pub(super) fn events(front: &Front, _: &Operator<'_>, caller: &Caller, head: bool) -> Response {
    if head {
        return reply::events_head();
    }
    let (past, coming) = front.events.listen();
    feed::stream(&past, coming, |line: &Bytes| Some(line.clone()), reply::while_known(caller))
}
