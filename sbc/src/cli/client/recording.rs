//! A recording, read while the daemon makes it.

use std::io;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Bytes;
use hyper::{HeaderMap, Method};
use sbc::io::admin::types::{EndRecordingRequest, LOST, PACKETS, RECORDING, RecordRequest};
use tokio::signal::unix::{SignalKind, signal};

use super::{Daemon, DaemonError, LONGEST, PATIENCE};

/// What has come of a recording.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::cli) struct Tally {
    /// Packets that came.
    pub(in crate::cli) packets: u64,
    /// Those of them that are not in the capture.
    pub(in crate::cli) lost: u64,
}

/// How a recording ended.
#[derive(Debug)]
pub(in crate::cli) enum End {
    /// With all of it.
    Whole(Tally),
    /// It could not be written.
    Unwritten(io::Error),
}

impl Daemon {
    /// Records a call: what comes of it is written piece by piece, until it ends; Ctrl-C ends it.
    ///
    /// # Errors
    /// See [`DaemonError`].
    pub(in crate::cli) fn record(
        &self,
        request: &RecordRequest,
        write: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<End, DaemonError> {
        let body = serde_json::to_vec(request).map_err(|error| self.foreign(error))?;
        self.runtime.block_on(self.follow(body.into(), write))
    }

    async fn follow(
        &self,
        request: Bytes,
        mut write: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<End, DaemonError> {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(DaemonError::Host)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(DaemonError::Host)?;
        let asked = self.send(Method::POST, "/api/record.pcap", request);
        let answer = tokio::time::timeout(PATIENCE, asked).await;
        let answer = answer.map_err(|_| DaemonError::Late {
            address: self.address.clone(),
        })??;
        let status = answer.status();
        if !status.is_success() {
            let body = Limited::new(answer.into_body(), LONGEST).collect().await;
            let body = body.map_err(|error| self.foreign(error))?;
            return Err(self.refused(status, &body.to_bytes()));
        }
        let Some(number) = number(answer.headers(), RECORDING) else {
            return Err(self.foreign("a recording without its number"));
        };
        let mut body = answer.into_body();
        let mut is_ending = false;
        let cut = || DaemonError::Cut {
            address: self.address.clone(),
        };
        loop {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                _ = interrupt.recv(), if !is_ending => None,
                _ = terminate.recv(), if !is_ending => None,
            };
            match frame {
                Some(Ok(frame)) => {
                    if let Some(Err(error)) = frame.data_ref().map(|piece| write(piece)) {
                        return Ok(End::Unwritten(error));
                    }
                    if let Some(trailers) = frame.trailers_ref() {
                        let count = |name| number_of(trailers, name);
                        return Ok(End::Whole(Tally {
                            packets: count(PACKETS),
                            lost: count(LOST),
                        }));
                    }
                }
                // It ends with its trailers, unless it is cut off.
                Some(Err(_)) => return Err(cut()),
                None if is_ending => return Err(cut()),
                None => {
                    is_ending = true;
                    self.end(number).await?;
                }
            }
        }
    }

    /// What is on its way still comes.
    async fn end(&self, recording: u64) -> Result<(), DaemonError> {
        let request = EndRecordingRequest { recording };
        let request = serde_json::to_vec(&request).map_err(|error| self.foreign(error))?;
        let asked = self.exchange(Method::DELETE, "/api/recording", request.into());
        match tokio::time::timeout(PATIENCE, asked).await {
            // One that has ended meanwhile is refused, and has.
            Ok(answered) => answered.map(drop),
            Err(_) => Err(DaemonError::Late {
                address: self.address.clone(),
            }),
        }
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

fn number_of(trailers: &HeaderMap, name: &str) -> u64 {
    number(trailers, name).unwrap_or_default()
}
