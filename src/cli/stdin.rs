//! The end of our own stdin, where another program holds its other end: then that program has gone, or wants us to go.

/// Waits for the end of stdin. Whatever else stdin is than a pipe or a socket, such as a terminal, a file or nothing, has
/// no such end.
#[cfg(unix)]
pub(super) async fn ended() {
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileTypeExt;
    use std::os::unix::net::UnixStream as Socket;
    use tokio::net::UnixStream;
    use tokio::net::unix::pipe::Receiver;

    let opened = || {
        let file = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
        let kind = file.metadata()?.file_type();
        std::io::Result::Ok((file, kind))
    };
    match opened() {
        Ok((file, kind)) if kind.is_fifo() => read_to_end(Receiver::from_file(file)).await,
        Ok((file, kind)) if kind.is_socket() => {
            let socket = Socket::from(std::os::fd::OwnedFd::from(file));
            let nonblocking = socket.set_nonblocking(true).and_then(|()| UnixStream::from_std(socket));
            read_to_end(nonblocking).await;
        }
        Ok(_) | Err(_) => std::future::pending().await,
    }
}

/// Reads what nobody wants, to the end; for ever, if it cannot be read.
#[cfg(unix)]
async fn read_to_end(stream: std::io::Result<impl tokio::io::AsyncRead + Unpin>) {
    let read = async { tokio::io::copy(&mut stream?, &mut tokio::io::sink()).await };
    if let Err(error) = read.await {
        tracing::debug!(%error, "stdin cannot be read, and its end not be noticed");
        std::future::pending::<()>().await;
    }
}

/// Not known how to wait for on this system.
#[cfg(not(unix))]
pub(super) async fn ended() {
    std::future::pending::<()>().await;
}
