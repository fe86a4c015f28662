//! Durable executions: no function here can have any, so that lists are empty and none is found.

use dormouse_api::lambda::{Operation, durable as api, json_answer};

use super::ask::{Answer, Ask};
use super::versions::stored;

pub(super) async fn answer(ask: &Ask<'_>) -> Answer {
    let (operation, uri) = (ask.operation(), &ask.parts.uri);
    if operation == Operation::ListDurableExecutionsByFunction {
        let target = api::listed(ask.scope, ask.label("FunctionName"), uri)?;
        stored(ask.inner, &target).await?;
        return Ok(json_answer(operation.status(), &api::no_executions()));
    }
    let label = [ask.label("DurableExecutionArn"), ask.label("CallbackId")].concat();
    api::refuse(operation, &label, uri, ask.body)?;
    Err(ask.not_here())
}
