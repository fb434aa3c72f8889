//! A good client's calls while five hundred connections are slow or silent, beside the same calls without them.

use std::time::Duration;

use anyhow::Result;
use futures::future::try_join_all;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::call::Call;
use crate::connection::{Address, Connection};
use crate::contestant::{Door, Mounts};
use crate::fleet::{Fleet, race};
use crate::lab::Lab;
use crate::session::Accept;
use crate::sheet::{Line, Unit};

/// Latency over TLS, and the router's memory.
pub(super) async fn take(lab: &mut Lab) -> Result<()> {
    let mounts = Mounts { door: Door::Encrypted, ..Mounts::default() };
    let (quiet, busy) = (lab.router(&mounts).await?, lab.router(&mounts).await?);
    let mut usual = Fleet::open(&quiet, Accept::Both, 1).await?;
    let mut beside = Fleet::open(&busy, Accept::Both, 1).await?;
    beside.call(&Call::echo()).await?;
    tokio::time::sleep(CALM).await;
    let before = busy.resident();
    let mut slow = Vec::with_capacity(SLOW);
    for first in (0..SLOW).step_by(AT_ONCE) {
        slow.extend(try_join_all((first..first + AT_ONCE).map(|number| open(busy.address(), number))).await?);
    }
    tokio::time::sleep(CALM).await;
    let during = busy.resident();
    let [beside, usual] = race([&mut beside, &mut usual], Call::echo(), 1, lab.pace).await;
    for (name, part) in [("p50", 0.50), ("p99", 0.99)] {
        let name = format!("latency {name} beside {SLOW} slow connections");
        let line = Line::new(name, Unit::Micros).times_reference(2.0, 1.2);
        lab.compare(&line, &beside, &usual, |tally| tally.quantile(part) / 1e9);
    }
    if let (Some(before), Some(during)) = (before, during) {
        let line = Line::new("memory of a slow connection", Unit::Kilobytes);
        lab.record(&line, during.saturating_sub(before) as f64 / SLOW as f64);
    }
    drop(slow);
    quiet.stop().await?;
    busy.stop().await
}

/// A connection that is kept and says no more.
enum Slow {
    Silent { _stream: TcpStream },
    Begun { _connection: Box<Connection> },
}

/// Opens one of four kinds: silent, half a handshake, half a head, half a body.
async fn open(address: &Address, number: usize) -> Result<Slow> {
    let kind = number % 4;
    if kind < 2 {
        let mut stream = TcpStream::connect(address.socket).await?;
        if kind == 1 {
            // The record of a ClientHello of 512 bytes, and its beginning.
            stream.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]).await?;
        }
        return Ok(Slow::Silent { _stream: stream });
    }
    let mut connection = Connection::open(address).await?;
    let head =
        format!("POST /servers/echo/mcp HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n");
    let rest = if kind == 2 {
        "x-half: "
    } else {
        "accept: application/json\r\ncontent-length: 1000\r\n\r\n{\"json"
    };
    connection.begin(format!("{head}{rest}").as_bytes()).await?;
    Ok(Slow::Begun { _connection: Box::new(connection) })
}

const SLOW: usize = 500;
/// Handshakes side by side; few enough that the first of them are not over their time before the last have begun.
const AT_ONCE: usize = 50;
/// Until what was freed at the end of a start is free.
const CALM: Duration = Duration::from_millis(200);
