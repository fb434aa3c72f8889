//! The body of a request, read whole, within a limit of bytes and of time.

use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures::future::poll_immediate;
use futures::{Stream, StreamExt};

use super::refusal::Refusal;

/// Reads a body to its end. `content_length` is what the header says, if it is there.
///
/// A body that came in one piece is not copied, and one that is there already arms no timer.
///
/// # Errors
/// [`Refusal::BodyTooLarge`] at once when `content_length` says so, else as soon as more than `limit` bytes
/// have come; [`Refusal::BodyTooSlow`] when the end has not come after `deadline`;
/// [`Refusal::BodyCutShort`] when the client hangs up.
pub async fn bounded_body<S, B>(
    stream: S,
    content_length: Option<u64>,
    limit: usize,
    deadline: Duration,
) -> Result<Bytes, Refusal>
where
    S: Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    let announced = content_length.unwrap_or(0);
    if announced > limit as u64 {
        return Err(Refusal::BodyTooLarge(limit));
    }
    let mut body = pin!(whole(stream, usize::try_from(announced).unwrap_or(limit), limit));
    if let Some(done) = poll_immediate(body.as_mut()).await {
        return done;
    }
    tokio::time::timeout(deadline, body).await.unwrap_or(Err(Refusal::BodyTooSlow(deadline)))
}

async fn whole<S, B>(stream: S, announced: usize, limit: usize) -> Result<Bytes, Refusal>
where
    S: Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    let mut stream = pin!(stream);
    let Some(first) = next_piece(&mut stream).await? else { return Ok(Bytes::new()) };
    if first.len() > limit {
        return Err(Refusal::BodyTooLarge(limit));
    }
    let Some(second) = next_piece(&mut stream).await? else { return Ok(first) };
    // What a header announces is not allocated before it comes: a claim costs a liar nothing.
    let mut body = BytesMut::with_capacity(announced.min(FIRST_ALLOCATION).max(first.len() + second.len()));
    body.extend_from_slice(&first);
    drop(first);
    let mut piece = Some(second);
    while let Some(bytes) = piece {
        if body.len() + bytes.len() > limit {
            return Err(Refusal::BodyTooLarge(limit));
        }
        body.extend_from_slice(&bytes);
        piece = next_piece(&mut stream).await?;
    }
    Ok(body.freeze())
}

async fn next_piece<S, B>(stream: &mut S) -> Result<Option<Bytes>, Refusal>
where
    S: Stream<Item = Result<B, warp::Error>> + Unpin,
    B: Buf,
{
    match stream.next().await {
        // Of `Bytes`, which is what warp gives, this takes a reference and no copy.
        Some(Ok(mut piece)) => Ok(Some(piece.copy_to_bytes(piece.remaining()))),
        Some(Err(_)) => Err(Refusal::BodyCutShort),
        None => Ok(None),
    }
}

/// Larger than nearly every message, smaller than what hurts to hand out for nothing.
const FIRST_ALLOCATION: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;

    const SECOND: Duration = Duration::from_secs(1);

    fn pieces(pieces: &[&'static str]) -> impl Stream<Item = Result<Bytes, warp::Error>> {
        stream::iter(pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect::<Vec<_>>())
    }

    #[tokio::test]
    async fn one_piece_is_not_copied() {
        let piece = Bytes::from(String::from("hello"));
        let body = bounded_body(stream::iter([Ok(piece.clone())]), Some(5), 5, SECOND).await.unwrap();
        assert_eq!(body, piece);
        assert_eq!(body.as_ptr(), piece.as_ptr());
    }

    #[tokio::test]
    async fn pieces_are_joined_within_the_limit() {
        assert_eq!(bounded_body(pieces(&[]), None, 3, SECOND).await.unwrap(), "");
        assert_eq!(bounded_body(pieces(&["a", "", "bc"]), None, 3, SECOND).await.unwrap(), "abc");
        for (found, announced) in [(&["abcd"][..], None), (&["ab", "cd"][..], None), (&[][..], Some(4))] {
            let refusal = bounded_body(pieces(found), announced, 3, SECOND).await.unwrap_err();
            assert_eq!(refusal, Refusal::BodyTooLarge(3));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_is_given_up() {
        let stalled = pieces(&["a"]).chain(stream::pending());
        assert_eq!(bounded_body(stalled, None, 3, SECOND).await.unwrap_err(), Refusal::BodyTooSlow(SECOND));
    }
}
