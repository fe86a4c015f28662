//! One call to the environment's owner and its answer. Knows no call by name.

use tokio::sync::{mpsc, oneshot};

use crate::call::Call;

pub(crate) type Place<'a> = mpsc::Permit<'a, Call>;

/// The owner ended: nobody answers any more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gone;

/// A place in the channel to the owner. Taken before a body is read, so that bodies are bounded too.
pub(crate) async fn reserve(calls: &mpsc::Sender<Call>) -> Result<Place<'_>, Gone> {
    calls.reserve().await.map_err(|_| Gone)
}

/// One call to the owner and its answer. However long it takes: `next` is parked here.
pub(crate) async fn put<T, E: From<Gone>>(
    place: Place<'_>,
    call: impl FnOnce(oneshot::Sender<Result<T, E>>) -> Call,
) -> Result<T, E> {
    let (reply, answer) = oneshot::channel();
    place.send(call(reply));
    answer.await.unwrap_or_else(|_| Err(Gone.into()))
}

/// Both, where there is no body.
pub(crate) async fn ask<T, E: From<Gone>>(
    calls: &mpsc::Sender<Call>,
    call: impl FnOnce(oneshot::Sender<Result<T, E>>) -> Call,
) -> Result<T, E> {
    put(reserve(calls).await?, call).await
}
