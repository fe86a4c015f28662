//! Queues: made, found, listed, changed, emptied, removed.

use std::collections::BTreeMap;

use dormouse_api::error::{ApiError, Exception};
use dormouse_api::sqs::{
    Paging, QueueName, RedrivePermission, Request, Settings, add_permission, agree, check, created,
    deleted_recently, is_fifo_name, no_such_queue, purge_in_progress, queue_arn, remove_permission,
    visible,
};
use dormouse_model::limits;
use dormouse_store::queue::{CreateQueueError, PurgeError, Queue, QueueKey};
use serde_json::{Value, json};

use super::settings::rules;
use super::{Result, Service};

/// Names of a list without `MaxResults` (API model: up to 1000, and no token).
const LISTED: usize = 1_000;

type Attributes = BTreeMap<String, String>;

impl Service<'_> {
    pub(super) async fn of_queues(&self, request: Request) -> Result<Option<Value>> {
        match request {
            Request::CreateQueue { name, attributes, tags } => {
                self.create(name, attributes, tags).await.map(Some)
            }
            Request::GetQueueUrl { name, owner } => {
                let account = owner.unwrap_or_else(|| self.scope.account.clone());
                let queue = self.queue(QueueName { account, name }).await?;
                Ok(Some(json!({ "QueueUrl": self.url(&queue.key.name) })))
            }
            Request::ListQueues { prefix, paging } => self.list(&prefix, paging).await.map(Some),
            Request::ListDeadLetterSourceQueues { queue, paging } => {
                self.sources(queue, paging).await.map(Some)
            }
            Request::GetQueueAttributes { queue, names } => {
                self.attributes(queue, &names).await.map(Some)
            }
            Request::ListQueueTags { queue } => {
                let tags = self.queue(queue).await?.tags;
                Ok(Some(if tags.is_empty() { json!({}) } else { json!({ "Tags": tags }) }))
            }
            other => self.changing(other).await.map(|()| None),
        }
    }

    async fn changing(&self, request: Request) -> Result<()> {
        match request {
            Request::DeleteQueue { queue } => {
                let deleted = self.inner.queues.delete(&self.key(queue)?, self.now_ms()).await;
                deleted.map_err(|error| self.change(&error))
            }
            Request::PurgeQueue { queue } => self.purge(queue).await,
            Request::SetQueueAttributes { queue, attributes } => self.set(queue, attributes).await,
            Request::TagQueue { queue, tags } => {
                self.update(queue, |queue| {
                    let mut all = queue.tags.clone();
                    all.extend(tags);
                    check_tags(&all)?;
                    Ok(Queue { tags: all, ..queue.clone() })
                })
                .await
            }
            Request::UntagQueue { queue, keys } => {
                self.update(queue, move |queue| {
                    let mut tags = queue.tags.clone();
                    tags.retain(|key, _| !keys.contains(key));
                    Ok(Queue { tags, ..queue.clone() })
                })
                .await
            }
            Request::AddPermission { queue, label, accounts, actions } => {
                self.update(queue, move |queue| {
                    let arn = queue_arn(&queue.key.scope, &queue.key.name);
                    let policy = queue.attributes.get("Policy").map(String::as_str);
                    with_policy(queue, add_permission(policy, &arn, (&label, &accounts, &actions))?)
                })
                .await
            }
            Request::RemovePermission { queue, label } => {
                self.update(queue, move |queue| {
                    let policy = queue.attributes.get("Policy").map(String::as_str);
                    with_policy(queue, remove_permission(policy, &label)?)
                })
                .await
            }
            _ => Err(ApiError::internal(self.dialect)),
        }
    }

    async fn create(&self, name: String, given: Attributes, tags: Attributes) -> Result<Value> {
        check(&name, &given)?;
        check_tags(&tags)?;
        let attributes = created(&name, &given);
        self.check_redrive(&name, &attributes).await?;
        let now_ms = self.now_ms();
        let queue = Queue {
            key: QueueKey { scope: self.scope.clone(), name: name.clone() },
            rules: rules(&name, &attributes),
            attributes,
            tags,
            created_ms: now_ms,
            modified_ms: now_ms,
        };
        match self.inner.queues.create(queue).await {
            Ok(()) => {}
            Err(CreateQueueError::Exists(there)) => agree(&there.attributes, &given)?,
            Err(CreateQueueError::DeletedRecently) => return Err(deleted_recently()),
            Err(CreateQueueError::Storage(fault)) => return Err(self.storage(&fault)),
        }
        Ok(json!({ "QueueUrl": self.url(&name) }))
    }

    /// Dead letters go to a queue that is there, is of the same kind and world, and allows it.
    async fn check_redrive(&self, name: &str, attributes: &Attributes) -> Result<()> {
        let Some(redrive) = Settings::of(attributes).redrive else {
            return Ok(());
        };
        let target = redrive.target_arn.rsplit(':').next().unwrap_or_default().to_owned();
        let key = QueueKey { scope: self.scope.clone(), name: target.clone() };
        let found = self.inner.queues.get(&key).await.map_err(|fault| self.storage(&fault))?;
        let refuse = |reason: &str| {
            let value = &attributes["RedrivePolicy"];
            let text =
                format!("Value {value} for parameter RedrivePolicy is invalid. Reason: {reason}");
            Err(ApiError::new(Exception::SqsInvalidParameterValue, text))
        };
        let is_here = redrive.target_arn == queue_arn(self.scope, &target);
        let Some(found) = found.filter(|_| is_here) else {
            return refuse("Dead letter target does not exist.");
        };
        if is_fifo_name(&target) != is_fifo_name(name) {
            return refuse("Dead-letter queue must be same type of queue as the source.");
        }
        let permission = RedrivePermission::of(&found.attributes);
        if !permission.allows(&queue_arn(self.scope, name)) {
            return refuse("Queue does not have permission to use the dead-letter queue.");
        }
        Ok(())
    }

    async fn set(&self, queue: QueueName, given: Attributes) -> Result<()> {
        check(&queue.name, &given)?;
        self.check_redrive(&queue.name, &given).await?;
        let now_ms = self.now_ms();
        self.update(queue, move |queue| {
            let attributes = Settings::changed(&queue.attributes, &given);
            let rules = rules(&queue.key.name, &attributes);
            Ok(Queue { attributes, rules, modified_ms: now_ms, ..queue.clone() })
        })
        .await
    }

    async fn update(
        &self,
        queue: QueueName,
        change: impl FnOnce(&Queue) -> Result<Queue> + Send + 'static,
    ) -> Result<()> {
        let changed = self.inner.queues.change(&self.key(queue)?, change).await;
        changed.map_err(|error| self.change(&error))?.map(drop)
    }

    async fn purge(&self, queue: QueueName) -> Result<()> {
        let key = self.key(queue)?;
        self.inner.queues.purge(&key, self.now_ms()).await.map_err(|error| match error {
            PurgeError::Missing => no_such_queue(),
            PurgeError::InProgress => purge_in_progress(&key.name),
            PurgeError::Storage(fault) => self.storage(&fault),
        })
    }

    async fn attributes(&self, queue: QueueName, names: &[String]) -> Result<Value> {
        let queue = self.queue(queue).await?;
        let counts = self.inner.queues.counts(&queue.key, self.now_ms()).await;
        let counts = counts.map_err(|error| self.change(&error))?;
        let mut all = queue.attributes;
        let mut add = |name: &str, value: String| all.insert(name.to_owned(), value);
        add("ApproximateNumberOfMessages", counts.visible.to_string());
        add("ApproximateNumberOfMessagesDelayed", counts.delayed.to_string());
        add("ApproximateNumberOfMessagesNotVisible", counts.in_flight.to_string());
        add("CreatedTimestamp", (queue.created_ms / 1_000).to_string());
        add("LastModifiedTimestamp", (queue.modified_ms / 1_000).to_string());
        add("QueueArn", queue_arn(self.scope, &queue.key.name));
        let all = visible(all, names)?;
        Ok(if all.is_empty() { json!({}) } else { json!({ "Attributes": all }) })
    }

    async fn list(&self, prefix: &str, paging: Paging) -> Result<Value> {
        let limit = paging.items.unwrap_or(LISTED);
        let token = paging.token.as_deref();
        let names = self.inner.queues.list(self.scope, prefix, token, limit + 1).await;
        let names = names.map_err(|fault| self.storage(&fault))?;
        Ok(self.page(names, &paging, "QueueUrls"))
    }

    async fn sources(&self, queue: QueueName, paging: Paging) -> Result<Value> {
        let key = self.queue(queue).await?.key;
        let limit = paging.items.unwrap_or(LISTED);
        let token = paging.token.as_deref();
        let names = self.inner.queues.dead_letter_sources(&key, token, limit + 1).await;
        let names = names.map_err(|fault| self.storage(&fault))?;
        Ok(self.page(names, &paging, "queueUrls"))
    }

    /// The token is the last name of the page before. One name more than fits says that there is more.
    fn page(&self, mut names: Vec<String>, paging: &Paging, member: &str) -> Value {
        let limit = paging.items.unwrap_or(LISTED);
        let more = names.len() > limit;
        names.truncate(limit);
        let urls: Vec<String> = names.iter().map(|name| self.url(name)).collect();
        // ListQueues leaves an empty list out.
        let empty = urls.is_empty() && member == "QueueUrls";
        let mut page = if empty { json!({}) } else { json!({ member: urls }) };
        if more && paging.items.is_some() {
            page["NextToken"] = json!(names.last());
        }
        page
    }

    pub(super) async fn queue(&self, queue: QueueName) -> Result<Queue> {
        let found = self.inner.queues.get(&self.key(queue)?).await;
        found.map_err(|fault| self.storage(&fault))?.ok_or_else(no_such_queue)
    }
}

fn with_policy(queue: &Queue, policy: String) -> Result<Queue> {
    let given = Attributes::from([("Policy".to_owned(), policy)]);
    let attributes = Settings::changed(&queue.attributes, &given);
    Ok(Queue { attributes, ..queue.clone() })
}

fn check_tags(tags: &Attributes) -> Result<()> {
    if tags.len() > limits::TAGS {
        let text = format!("Too many tags added for queue. Maximum allowed is {}.", limits::TAGS);
        return Err(ApiError::new(Exception::SqsInvalidParameterValue, text));
    }
    Ok(())
}
