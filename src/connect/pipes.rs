//! The two pipes: lines in, lines out, each on a thread of its own.

use crate::wire::line::{Line, LineSplitter};
use bytes::Bytes;
use std::io::{self, Read, Write};
use tokio::sync::mpsc;

/// Bytes read at once: as much as a pipe holds.
const CHUNK: usize = 64 << 10;

/// Reads lines until the input ends, or nobody wants them any more.
pub(super) fn read(mut input: impl Read, limit: usize, found: &mpsc::Sender<Line>) {
    let mut splitter = LineSplitter::new(limit);
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = match input.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => 0,
        };
        let mut lines = Vec::new();
        splitter.feed(&buffer[..count], |line| lines.push(line));
        if count == 0 {
            lines.extend(splitter.finish());
        }
        for line in lines {
            if found.blocking_send(line).is_err() {
                return;
            }
        }
        if count == 0 {
            return;
        }
    }
}

/// Writes lines until there are no more, or nobody reads them any more.
pub(super) fn write(output: impl Write, mut waiting: mpsc::Receiver<Bytes>) -> io::Result<()> {
    let mut output = io::BufWriter::with_capacity(CHUNK, output);
    while let Some(first) = waiting.blocking_recv() {
        let mut next = Some(first);
        while let Some(line) = next {
            output.write_all(&line)?;
            output.write_all(b"\n")?;
            next = waiting.try_recv().ok();
        }
        output.flush()?;
    }
    Ok(())
}
