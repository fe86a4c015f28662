//! Signatures of code: which configuration a function has.

use dormouse_api::lambda::code_signing::GetFunctionCodeSigningConfigResponse;
use dormouse_api::lambda::{Operation, Target, json_answer};

use super::ask::{Answer, Ask};
use super::versions::stored;
use crate::context::Inner;

pub(super) async fn answer(ask: &Ask<'_>) -> Answer {
    match ask.operation() {
        Operation::GetFunctionCodeSigningConfig => get(ask.inner, &ask.existing()?).await,
        _ => Err(ask.not_here()),
    }
}

async fn get(inner: &Inner, target: &Target) -> Answer {
    stored(inner, target).await?;
    let answer = GetFunctionCodeSigningConfigResponse::of(&target.key);
    Ok(json_answer(Operation::GetFunctionCodeSigningConfig.status(), &answer))
}
