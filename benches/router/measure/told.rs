//! Echo calls of which an access log and a collector of traces are told, beside the same calls of which nobody is.
//!
//! Both sides are the router: what is compared is what is written and sent, so here `limit` is the way without that.

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::contestant::{Mounts, Told};
use crate::lab::Lab;

pub(super) async fn take(lab: &mut Lab) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    // It ends with this measure.
    let mut collector = JoinSet::new();
    collector.spawn(collect(listener));
    // The last one is compared with a router that observes nothing at all.
    for (told, what, metrics, floor) in [
        (Told::AccessLog, "access log", true, 0.95),
        (Told::Collector(url.clone()), "traces", true, 0.92),
        (Told::Both(url), "metrics, access log and traces", false, 0.92),
    ] {
        for sessions in [16, 64] {
            let mounts = Mounts { sessions, metrics, ..Mounts::default() };
            lab.beside(what, floor, &Mounts { told: told.clone(), metrics: true, ..mounts.clone() }, &mounts)
                .await?;
        }
    }
    Ok(())
}

/// Takes whatever is sent, as a collector on another machine would: it costs this one little.
async fn collect(listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        connections.spawn(answer(connection));
    }
}

/// Answers each request of one connection that it has taken all. What it takes is not kept, nor is memory touched for it: the
/// collector's own work is not what is measured.
async fn answer(mut connection: TcpStream) -> Option<()> {
    let mut memory = vec![0; 64 << 10];
    loop {
        let mut read = connection.read(&mut memory).await.ok().filter(|read| *read > 0)?;
        let end = loop {
            if let Some(end) = memory[..read].windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            read += connection.read(&mut memory[read..]).await.ok().filter(|more| *more > 0)?;
        };
        let head = String::from_utf8_lossy(&memory[..end]).to_ascii_lowercase();
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        let mut rest = (end + length?).saturating_sub(read);
        while rest > 0 {
            let most = rest.min(memory.len());
            rest -= connection.read(&mut memory[..most]).await.ok().filter(|read| *read > 0)?;
        }
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.ok()?;
    }
}
