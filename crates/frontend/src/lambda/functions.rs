//! The control plane of functions: create, read, change, delete, list.

use bytes::Bytes;
use dormouse_api::error::ApiError;
use dormouse_api::lambda::version::{deletable, unpublishable};
use dormouse_api::lambda::{
    CreateFunctionRequest, FunctionConfiguration, GetAccountSettingsResponse, GetFunctionResponse,
    ListFunctionsRequest, ListFunctionsResponse, Operation, Shown, Target,
    UpdateFunctionCodeRequest, UpdateFunctionConfigurationRequest, json_answer, together,
};
use dormouse_api::service::Dialect;
use dormouse_model::code_signing::arn;
use dormouse_model::function::{
    Architecture, Change, ChangeDenied, Code, Configuration, Function, State,
};
use dormouse_model::layer::{AttachedLayer, LayerVersionKey};
use dormouse_model::names::{CodeSigningConfigId, Qualifier, Scope, Version};
use dormouse_store::functions::CreateFunctionError;
use dormouse_store::{ChangeError, StorageError};
use http::request::Parts;
use http::{Response, StatusCode};
use tracing::error;

use super::ask::{Answer, Ask};
use super::records::paged;
use super::versions::stored;
use super::{code_signing, events, layers, package, versions};
use crate::context::Inner;

pub(super) async fn answer(ask: &Ask<'_>) -> Answer {
    let (inner, scope, body) = (ask.inner, ask.scope, ask.body);
    match ask.operation() {
        Operation::CreateFunction => create(inner, scope, body).await,
        Operation::GetFunction => get(inner, &ask.existing()?, ask.host()).await,
        Operation::GetFunctionConfiguration => get_configuration(inner, &ask.existing()?).await,
        Operation::UpdateFunctionCode => update_code(inner, ask.writing(), body).await,
        Operation::UpdateFunctionConfiguration => {
            update_configuration(inner, scope, ask.writing(), body).await
        }
        Operation::DeleteFunction => delete(inner, &ask.existing()?).await,
        Operation::ListFunctions => list(inner, scope, ask.parts).await,
        Operation::GetAccountSettings => account_settings(inner, scope).await,
        _ => Err(ask.not_here()),
    }
}

/// A storage fault is ours: the caller learns that it is, the log why.
pub(super) fn storage(fault: &StorageError) -> ApiError {
    error!(error = %fault, "store");
    ApiError::internal(Dialect::LAMBDA)
}

fn shown(target: &Target) -> Shown<'_> {
    Shown { qualifier: target.qualifier.as_ref(), ..Shown::default() }
}

async fn create(inner: &Inner, scope: &Scope, body: &[u8]) -> Answer {
    let new = CreateFunctionRequest::read(body)?.validate(scope)?;
    refuse_foreign(new.configuration.architecture)?;
    code_signing::check_new(inner, &new.key, new.code_signing.as_ref()).await?;
    let layers = layers::attach(inner, scope, &new.layers).await?;
    let (code, unzipped_bytes) =
        package::code(inner, scope, new.code, new.configuration.architecture).await?;
    layers::check_size(unzipped_bytes, &layers)?;
    refuse_version(new.publish, &code)?;
    let function = Function {
        key: new.key,
        unique_id: inner.chance.uuid(),
        configuration: Configuration { layers, ..new.configuration },
        code,
        revision: inner.chance.revision_id(),
        last_modified_ms: inner.clock.wall_ms(),
        state: State::Pending,
        tags: new.tags,
    };
    let answer = added(inner, &function, new.publish, new.code_signing).await?;
    inner.deployments.settle(function).await;
    Ok(json_answer(Operation::CreateFunction.status(), &answer))
}

/// Stores a function with all that is to be there with it.
async fn added(
    inner: &Inner,
    function: &Function,
    publish: bool,
    signing: Option<CodeSigningConfigId>,
) -> Result<FunctionConfiguration, ApiError> {
    let shown = || FunctionConfiguration::of(function, &Shown::default());
    if let Some(id) = signing {
        let snapshot = publish.then(|| function.snapshot(None, inner.chance.revision_id()));
        let arn = arn(&function.key.scope, &id);
        let added = inner.code_signing.create(function.clone(), snapshot, id).await;
        let version = added.map_err(|error| code_signing::refused(&error, &function.key, &arn))?;
        return Ok(version.map_or_else(shown, |version| versions::unqualified(&version)));
    }
    let created = if publish {
        versions::create(inner, function).await
    } else {
        inner.functions.create(function.clone()).await.map(|()| shown())
    };
    created.map_err(|error| match error {
        CreateFunctionError::Exists => ApiError::function_exists(&function.key),
        CreateFunctionError::Storage(fault) => storage(&fault),
    })
}

async fn get(inner: &Inner, target: &Target, host: &str) -> Answer {
    let found = stored(inner, target).await?;
    let reserved = inner.concurrency.of(&target.key).await.map_err(|fault| storage(&fault))?;
    let answer = GetFunctionResponse::of(&found.function, &found.shown(target), |digest| {
        package::location(inner, host, digest)
    });
    let answer = answer.with_concurrency(reserved);
    Ok(json_answer(Operation::GetFunction.status(), &answer))
}

async fn get_configuration(inner: &Inner, target: &Target) -> Answer {
    let found = stored(inner, target).await?;
    let answer = FunctionConfiguration::of(&found.function, &found.shown(target));
    Ok(json_answer(Operation::GetFunctionConfiguration.status(), &answer))
}

async fn list(inner: &Inner, scope: &Scope, parts: &Parts) -> Answer {
    let asked = ListFunctionsRequest::read(&parts.uri)?;
    if asked.all_versions {
        return versions::list_all(inner, scope, &asked).await;
    }
    // One more than the page tells whether there is another.
    let after = asked.after.as_ref().map(|(name, _)| name);
    let found = inner.functions.list(scope, after, asked.items + 1).await;
    let (functions, more) = paged(found.map_err(|fault| storage(&fault))?, asked.items);
    let next_marker = functions.last().filter(|_| more).map(|last| last.key.name.to_string());
    let shown = Shown::default();
    let functions = functions.iter().map(|f| FunctionConfiguration::listed(f, &shown)).collect();
    let answer = ListFunctionsResponse { functions, next_marker };
    Ok(json_answer(Operation::ListFunctions.status(), &answer))
}

async fn update_code(inner: &Inner, target: Result<Target, ApiError>, body: &[u8]) -> Answer {
    let asked = UpdateFunctionCodeRequest::read(body).and_then(|asked| asked.validate());
    let (target, asked) = together(target, asked)?;
    let target = &target;
    if let Some(architecture) = asked.architecture {
        refuse_foreign(architecture)?;
    }
    let current = stored(inner, target).await?.function;
    code_signing::check_unsigned(inner, &target.key).await?;
    asked.code.check(&current.configuration.program, "updating")?;
    let architecture = asked.architecture.unwrap_or(current.configuration.architecture);
    let (code, unzipped_bytes) =
        package::code(inner, &target.key.scope, asked.code, architecture).await?;
    refuse_version(asked.publish, &code)?;
    let mut configuration = current.configuration.clone();
    configuration.architecture = asked.architecture.unwrap_or(configuration.architecture);
    if asked.dry_run {
        layers::check_size(unzipped_bytes, &configuration.layers)?;
        let would_be = Function { configuration, code, ..current };
        let answer = FunctionConfiguration::of(&would_be, &shown(target));
        return Ok(json_answer(Operation::UpdateFunctionCode.status(), &answer));
    }
    let (revision, now_ms) = (inner.chance.revision_id(), inner.clock.wall_ms());
    let architecture = asked.architecture;
    let make = move |function: &Function| {
        // Whatever else was changed meanwhile stays.
        let mut configuration = function.configuration.clone();
        layers::check_size(unzipped_bytes, &configuration.layers)?;
        configuration.architecture = architecture.unwrap_or(configuration.architecture);
        let expected = asked.expected;
        Ok(Change { configuration, code, revision, expected, now_ms })
    };
    let (function, answer) = if asked.publish {
        versions::change(inner, target, make).await?
    } else {
        let function = change(inner, target, make).await?;
        let answer = FunctionConfiguration::of(&function, &shown(target));
        (function, answer)
    };
    inner.deployments.settle(function).await;
    Ok(json_answer(Operation::UpdateFunctionCode.status(), &answer))
}

async fn update_configuration(
    inner: &Inner,
    scope: &Scope,
    target: Result<Target, ApiError>,
    body: &[u8],
) -> Answer {
    let asked = UpdateFunctionConfigurationRequest::read(body).and_then(|asked| asked.validate());
    let (target, asked) = together(target, asked)?;
    let target = &target;
    let (revision, now_ms) = (inner.chance.revision_id(), inner.clock.wall_ms());
    let layers = match asked.layers(scope)? {
        Some(keys) => Some(fitting(inner, scope, target, &keys).await?),
        None => None,
    };
    let arn = target.key.arn();
    let function = change(inner, target, move |function| {
        let expected = asked.expected.clone();
        let mut configuration = asked.applied_to(function.configuration.clone())?;
        if let Some((code, layers)) = layers {
            // The sizes were added up for other code.
            if code != function.code {
                return Err(ApiError::update_in_progress(&arn));
            }
            configuration.layers = layers;
        }
        Ok(Change { configuration, code: function.code.clone(), revision, expected, now_ms })
    })
    .await?;
    let answer = FunctionConfiguration::of(&function, &shown(target));
    inner.deployments.settle(function).await;
    Ok(json_answer(Operation::UpdateFunctionConfiguration.status(), &answer))
}

/// Layers that fit beside the code that a function has now, and which code that is.
async fn fitting(
    inner: &Inner,
    scope: &Scope,
    target: &Target,
    keys: &[LayerVersionKey],
) -> Result<(Code, Vec<AttachedLayer>), ApiError> {
    let code = stored(inner, target).await?.function.code;
    let layers = layers::attach(inner, scope, keys).await?;
    if !layers.is_empty() {
        code_signing::check_unsigned(inner, &target.key).await?;
        let unzipped = match code.package() {
            Some(package) => package::unzipped_bytes(inner, &package.digest).await?,
            // A directory is as large as its owner likes.
            None => 0,
        };
        layers::check_size(unzipped, &layers)?;
    }
    Ok((code, layers))
}

/// Reads, changes and writes a function in one transaction.
async fn change(
    inner: &Inner,
    target: &Target,
    make: impl FnOnce(&Function) -> Result<Change, ApiError> + Send + 'static,
) -> Result<Function, ApiError> {
    only_latest(target)?;
    let changed = inner.functions.change(&target.key, move |function| changed(function, make));
    unwrapped(changed.await, target)
}

/// A function after a change, or why it is not changed, in AWS's words.
pub(super) fn changed(
    function: &Function,
    make: impl FnOnce(&Function) -> Result<Change, ApiError>,
) -> Result<Function, ApiError> {
    function.changed(make(function)?).map_err(|denied| match denied {
        ChangeDenied::Pending => ApiError::function_in_state("Pending"),
        ChangeDenied::InProgress => ApiError::update_in_progress(&function.key.arn()),
        ChangeDenied::StaleRevision => ApiError::stale_revision(),
    })
}

/// Published versions and aliases are not there for who changes a function.
pub(super) fn only_latest(target: &Target) -> Result<(), ApiError> {
    match target.qualifier {
        None | Some(Qualifier::Version(Version::Latest)) => Ok(()),
        Some(_) => Err(ApiError::function_not_found(&target.arn())),
    }
}

/// What came of a change of a target.
pub(super) fn unwrapped<T>(
    changed: Result<Result<T, ApiError>, ChangeError>,
    target: &Target,
) -> Result<T, ApiError> {
    match changed {
        Ok(result) => result,
        Err(ChangeError::Missing) => Err(ApiError::function_not_found(&target.arn())),
        Err(ChangeError::Storage(fault)) => Err(storage(&fault)),
    }
}

async fn delete(inner: &Inner, target: &Target) -> Answer {
    if let Some(number) = deletable(target.qualifier.as_ref())? {
        versions::delete(inner, target, number).await?;
    } else {
        let deleted = inner.functions.delete(&target.key).await.map_err(|fault| storage(&fault))?;
        let deleted = deleted.ok_or_else(|| ApiError::function_not_found(&target.arn()))?;
        inner.deployments.removed(&target.key).await;
        events::forget(inner, deleted).await;
    }
    let mut answer = Response::new(Bytes::new());
    // Recorded from AWS, though the model says 200.
    *answer.status_mut() = StatusCode::NO_CONTENT;
    Ok(answer)
}

async fn account_settings(inner: &Inner, scope: &Scope) -> Answer {
    let usage = inner.functions.usage(scope).await.map_err(|fault| storage(&fault))?;
    let layers = inner.layers.code_bytes(scope).await.map_err(|fault| storage(&fault))?;
    let versions = inner.versions.code_bytes(scope).await.map_err(|fault| storage(&fault))?;
    let code_bytes = usage.code_bytes.saturating_add(layers).saturating_add(versions);
    let reserved = inner.concurrency.total(scope).await.map_err(|fault| storage(&fault))?;
    let answer = GetAccountSettingsResponse::of(code_bytes, usage.functions, reserved);
    Ok(json_answer(Operation::GetAccountSettings.status(), &answer))
}

/// A version of a directory would not stay what it is.
fn refuse_version(publish: bool, code: &Code) -> Result<(), ApiError> {
    match code {
        Code::Directory { .. } if publish => Err(unpublishable()),
        Code::Directory { .. } | Code::Zip(_) | Code::Image(_) => Ok(()),
    }
}

/// Code for another instruction set would fail at its first start; better to hear it now.
fn refuse_foreign(architecture: Architecture) -> Result<(), ApiError> {
    let here =
        if cfg!(target_arch = "aarch64") { Architecture::Arm64 } else { Architecture::X86_64 };
    if architecture != here {
        return Err(ApiError::invalid_parameter(format!(
            "This machine runs {} code, not {}.",
            here.as_str(),
            architecture.as_str()
        )));
    }
    Ok(())
}
