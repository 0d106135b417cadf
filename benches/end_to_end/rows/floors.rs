//! The best figures that this machine can reach, measured in the same run: nothing that is built on these parts can be
//! faster.

use super::Bench;
use crate::Outcome;
use crate::http::Client;
use crate::measure::{Samples, micros};
use crate::process::Redis;
use crate::table::Verdict;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Sockets that one frame goes to.
const SOCKETS: usize = 200;

/// Bytes of that frame.
const FRAME: usize = 300;

/// The figures that other lines show beside theirs.
#[derive(Debug, Default)]
pub(crate) struct Floors {
    /// From an `XADD` to the return of the `XREAD BLOCK` that waits for it.
    pub(crate) wake: Samples,
    /// From the first write of a frame to its arrival at each of [`SOCKETS`] sockets.
    pub(crate) fan_out: Samples,
}

/// Measures them.
pub(crate) async fn measure(bench: &mut Bench) -> Outcome<()> {
    let redis = Redis::start()?;
    let rounds = if bench.quick { 500 } else { 3000 };
    let ping = ping(&redis, rounds)?;
    bench.floors = Floors {
        wake: wake(&redis, rounds)?,
        fan_out: fan_out(rounds / 10).await?,
    };
    let figures = [
        ("floor: PING round trip", &ping),
        ("floor: XADD → XREAD BLOCK returns", &bench.floors.wake),
        ("floor: one 300-byte frame → 200 sockets", &bench.floors.fan_out),
    ];
    for (what, samples) in figures {
        bench.table.line(what, "", samples.told(), "", Verdict::None);
    }
    Ok(())
}

fn ping(redis: &Redis, rounds: usize) -> Outcome<Samples> {
    let mut connection = redis.connection()?;
    let mut samples = Samples::default();
    for _ in 0..rounds {
        let began = micros();
        redis::cmd("PING").query::<String>(&mut connection)?;
        samples.add_since(began);
    }
    Ok(samples)
}

fn wake(redis: &Redis, rounds: usize) -> Outcome<Samples> {
    let mut writer = redis.connection()?;
    let mut reader = redis.connection()?;
    let reading = std::thread::spawn(move || -> Result<Samples, redis::RedisError> {
        let mut samples = Samples::default();
        let mut last = "0-0".to_owned();
        for _ in 0..rounds {
            let mut command = redis::cmd("XREAD");
            command.arg("BLOCK").arg(5000).arg("STREAMS").arg("floor").arg(&last);
            let reply: redis::streams::StreamReadReply = command.query(&mut reader)?;
            let at = micros();
            for entry in reply.keys.iter().flat_map(|stream| &stream.ids) {
                last.clone_from(&entry.id);
                let sent: u64 = entry.get("sent").unwrap_or(at);
                samples.add(at.saturating_sub(sent));
            }
        }
        Ok(samples)
    });
    for _ in 0..rounds {
        std::thread::sleep(Duration::from_millis(1));
        let mut command = redis::cmd("XADD");
        command
            .arg("floor")
            .arg("MAXLEN")
            .arg("~")
            .arg(1000)
            .arg("*")
            .arg("sent")
            .arg(micros());
        command.query::<()>(&mut writer)?;
    }
    // A reader that was late has received two entries at once and waits for more rounds: end its waiting.
    while !reading.is_finished() {
        redis::cmd("XADD")
            .arg("floor")
            .arg("*")
            .arg("sent")
            .arg(micros())
            .query::<()>(&mut writer)?;
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(reading.join().map_err(|_| "the reader broke off")??)
}

async fn fan_out(rounds: usize) -> Outcome<Samples> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut sockets = Vec::new();
    let mut readers = Vec::new();
    for _ in 0..SOCKETS {
        let mut client = TcpStream::connect(address).await?;
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        sockets.push(socket);
        readers.push(tokio::spawn(async move {
            let mut samples = Samples::default();
            let mut frame = vec![0; FRAME];
            while client.read_exact(&mut frame).await.is_ok() {
                let sent = frame[..8].try_into().map_or(0, u64::from_le_bytes);
                samples.add_since(sent);
            }
            samples
        }));
    }
    for _ in 0..rounds {
        let mut frame = vec![b'x'; FRAME];
        frame[..8].copy_from_slice(&micros().to_le_bytes());
        for socket in &mut sockets {
            socket.write_all(&frame).await?;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(sockets);
    let mut all = Samples::default();
    for reader in readers {
        all.merge(reader.await?);
    }
    Ok(all)
}

/// How long an HTTP answer of this many bytes takes when it costs its server nothing: it is ready in memory.
pub(crate) async fn http(bytes: usize) -> Outcome<Samples> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n{}",
        "x".repeat(bytes)
    );
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await?;
        let mut request = [0; 4096];
        while socket.read(&mut request).await? > 0 {
            socket.write_all(answer.as_bytes()).await?;
        }
        Ok::<_, std::io::Error>(())
    });
    let mut client = Client::connect(port).await?;
    let mut samples = Samples::default();
    for _ in 0..300 {
        let began = micros();
        client.get("/").await?;
        samples.add_since(began);
    }
    drop(client);
    server.await??;
    Ok(samples)
}
