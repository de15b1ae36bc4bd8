//! As much of HTTP as a WebDriver speaks: one request a connection, JSON both ways.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// What a driver answers: the value, or the error with its words.
pub(crate) fn ask(port: u16, method: &str, path: &str, body: &Value) -> Result<Value, String> {
    let text = if method == "POST" { body.to_string() } else { String::new() };
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let length = text.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all((head + &text).as_bytes()).map_err(|error| error.to_string())?;
    let mut answer = BufReader::new(stream);
    let mut head = String::new();
    // The head ends with an empty line.
    while !head.ends_with("\r\n\r\n") {
        let read =
            answer.read_line(&mut head).map_err(|error| format!("{method} {path}: {error}"))?;
        if read == 0 {
            return Err(format!("{method} {path}: it has ended: {head}"));
        }
    }
    let head = head.to_ascii_lowercase();
    // One driver keeps the connection, whatever it is told: the length says where the answer ends.
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = Vec::new();
    let read = match length {
        Some(length) => answer.take(length).read_to_end(&mut body),
        None => answer.read_to_end(&mut body),
    };
    read.map_err(|error| format!("{method} {path}: {error}"))?;
    if head.contains("transfer-encoding: chunked") {
        body = joined(&body);
    }
    let told: Value = serde_json::from_slice(&body).map_err(|error| format!("{error}: {head}"))?;
    let value = told["value"].clone();
    match head.starts_with("http/1.1 200") || head.starts_with("http/1.0 200") {
        true => Ok(value),
        false => Err(value.to_string()),
    }
}

/// The chunks of a body, joined.
fn joined(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).unwrap();
        let size = usize::from_str_radix(size.split(';').next().unwrap().trim(), 16).unwrap();
        let data = &bytes[end + 2..];
        body.extend(&data[..size.min(data.len())]);
        bytes = data.get(size + 2..).unwrap_or_default();
    }
    body
}
