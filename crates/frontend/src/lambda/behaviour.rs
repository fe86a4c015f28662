//! What Lambda does about loops, new runtimes and signatures: configured and shown.

use bytes::Bytes;
use dormouse_api::error::ApiError;
use dormouse_api::lambda::behaviour::{
    PutFunctionRecursionConfigRequest, PutRuntimeManagementConfigRequest, RecursionConfigResponse,
    RuntimeManagementConfigResponse,
};
use dormouse_api::lambda::code_signing::GetFunctionCodeSigningConfigResponse;
use dormouse_api::lambda::{Operation, Target, json_answer};
use dormouse_model::names::FunctionKey;
use http::Response;

use super::functions::storage;
use super::records::change_setting;
use super::versions::stored;
use crate::context::Inner;

type Answer = Result<Response<Bytes>, ApiError>;

pub(super) async fn put_recursion(inner: &Inner, key: FunctionKey, body: &[u8]) -> Answer {
    let config = PutFunctionRecursionConfigRequest::read(body)?.validate()?;
    let target = Target { key, qualifier: None };
    change_setting(inner, &target, move |_| Ok(Some(config))).await?;
    let answer = RecursionConfigResponse::of(config);
    Ok(json_answer(Operation::PutFunctionRecursionConfig.status(), &answer))
}

pub(super) async fn get_recursion(inner: &Inner, key: FunctionKey) -> Answer {
    let target = Target { key, qualifier: None };
    stored(inner, &target).await?;
    let found = inner.settings.get(&target.key, None).await.map_err(|fault| storage(&fault))?;
    let answer = RecursionConfigResponse::of(found.unwrap_or_default());
    Ok(json_answer(Operation::GetFunctionRecursionConfig.status(), &answer))
}

pub(super) async fn put_runtime(inner: &Inner, target: &Target, body: &[u8]) -> Answer {
    let config = PutRuntimeManagementConfigRequest::read(body)?.validate()?;
    stored(inner, target).await?;
    let put = config.clone();
    change_setting(inner, target, move |_| Ok(Some(put))).await?;
    let answer = RuntimeManagementConfigResponse::of(config, target);
    Ok(json_answer(Operation::PutRuntimeManagementConfig.status(), &answer))
}

pub(super) async fn get_runtime(inner: &Inner, target: &Target) -> Answer {
    stored(inner, target).await?;
    let found = inner.settings.get(&target.key, target.qualifier.as_ref()).await;
    let found = found.map_err(|fault| storage(&fault))?.unwrap_or_default();
    let answer = RuntimeManagementConfigResponse::of(found, target);
    Ok(json_answer(Operation::GetRuntimeManagementConfig.status(), &answer))
}

pub(super) async fn get_code_signing(inner: &Inner, target: &Target) -> Answer {
    stored(inner, target).await?;
    let answer = GetFunctionCodeSigningConfigResponse::of(&target.key);
    Ok(json_answer(Operation::GetFunctionCodeSigningConfig.status(), &answer))
}
