//! What Lambda does about loops and new runtimes: configured and shown.

use dormouse_api::error::ApiError;
use dormouse_api::lambda::behaviour::{
    PutFunctionRecursionConfigRequest, PutRuntimeManagementConfigRequest, RecursionConfigResponse,
    RuntimeManagementConfigResponse, unqualified,
};
use dormouse_api::lambda::{Operation, Target, json_answer, together};
use dormouse_model::names::FunctionKey;

use super::ask::{Answer, Ask, Asked};
use super::functions::storage;
use super::records::change_setting;
use super::versions::stored;
use crate::context::Inner;

pub(super) async fn answer(ask: &Ask<'_>) -> Answer {
    let inner = ask.inner;
    let whole = || unqualified(ask.scope, ask.label("FunctionName"));
    match ask.operation() {
        Operation::PutFunctionRecursionConfig => put_recursion(inner, whole(), ask.body).await,
        Operation::GetFunctionRecursionConfig => get_recursion(inner, whole()?).await,
        Operation::PutRuntimeManagementConfig => put_runtime(inner, ask.existing(), ask.body).await,
        Operation::GetRuntimeManagementConfig => get_runtime(inner, &ask.existing()?).await,
        _ => Err(ask.not_here()),
    }
}

async fn put_recursion(inner: &Inner, key: Result<FunctionKey, ApiError>, body: &[u8]) -> Answer {
    let config = PutFunctionRecursionConfigRequest::read(body).and_then(|asked| asked.validate());
    let (key, config) = together(key, config)?;
    let target = Target { key, qualifier: None };
    change_setting(inner, &target, move |_| Ok(Some(config))).await?;
    let answer = RecursionConfigResponse::of(config);
    Ok(json_answer(Operation::PutFunctionRecursionConfig.status(), &answer))
}

async fn get_recursion(inner: &Inner, key: FunctionKey) -> Answer {
    let target = Target { key, qualifier: None };
    stored(inner, &target).await?;
    let found = inner.settings.get(&target.key, None).await.map_err(|fault| storage(&fault))?;
    let answer = RecursionConfigResponse::of(found.unwrap_or_default());
    Ok(json_answer(Operation::GetFunctionRecursionConfig.status(), &answer))
}

async fn put_runtime(inner: &Inner, target: Asked, body: &[u8]) -> Answer {
    let config = PutRuntimeManagementConfigRequest::read(body).and_then(|asked| asked.validate());
    let (target, config) = together(target, config)?;
    let target = &target;
    stored(inner, target).await?;
    let put = config.clone();
    change_setting(inner, target, move |_| Ok(Some(put))).await?;
    let answer = RuntimeManagementConfigResponse::of(config, target);
    Ok(json_answer(Operation::PutRuntimeManagementConfig.status(), &answer))
}

async fn get_runtime(inner: &Inner, target: &Target) -> Answer {
    stored(inner, target).await?;
    let found = inner.settings.get(&target.key, target.qualifier.as_ref()).await;
    let found = found.map_err(|fault| storage(&fault))?.unwrap_or_default();
    let answer = RuntimeManagementConfigResponse::of(found, target);
    Ok(json_answer(Operation::GetRuntimeManagementConfig.status(), &answer))
}
