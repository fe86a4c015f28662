//! Messages: sent, received, removed, hidden.

use std::collections::BTreeMap;
use std::time::Duration;

use dormouse_api::error::ApiError;
use dormouse_api::error::Exception;
use dormouse_api::sqs::{
    AttributeValue, Change, Entry, Failed, QueueName, Receive, Request, Settings, attributes_md5,
    batch_answer, batch_too_long, content_id, deduplication_missing, foreign_parameter,
    is_fifo_name, md5, message_gone, message_too_long, not_in_flight, receipt_expired,
    receipt_invalid,
};
use dormouse_model::limits;
use dormouse_store::queue::{
    Draft, Hidden, Message, Queue, QueueKey, Receipt, Removed, Sent, Wait, Wanted,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Result, Service};

/// What a message carries beside its body, as the store keeps it for us.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Attached {
    attributes: BTreeMap<String, AttributeValue>,
    system: BTreeMap<String, AttributeValue>,
}

impl Service<'_> {
    pub(super) async fn of_messages(&self, request: Request) -> Result<Option<Value>> {
        match request {
            Request::SendMessage { queue, entry } => self.send(queue, entry).await.map(Some),
            Request::SendMessageBatch { queue, entries } => {
                self.send_batch(queue, entries).await.map(Some)
            }
            Request::ReceiveMessage { queue, receive } => {
                self.receive(queue, &receive).await.map(Some)
            }
            Request::DeleteMessage { queue, receipt } => {
                let entries = vec![(String::new(), receipt)];
                self.only(self.delete(queue, entries).await?).map(|()| None)
            }
            Request::DeleteMessageBatch { queue, entries } => {
                self.delete(queue, entries).await.map(|settled| Some(batch(settled)))
            }
            Request::ChangeMessageVisibility { queue, receipt, seconds } => {
                let entries = vec![(String::new(), Ok((receipt, seconds)))];
                self.only(self.hide(queue, entries).await?).map(|()| None)
            }
            Request::ChangeMessageVisibilityBatch { queue, entries } => {
                self.hide(queue, entries).await.map(|settled| Some(batch(settled)))
            }
            _ => Err(ApiError::internal(self.dialect)),
        }
    }

    async fn send(&self, queue: QueueName, entry: Entry) -> Result<Value> {
        let queue = self.queue(queue).await?;
        let draft = self.draft(&queue, &entry)?;
        let mut sent = self.put(&queue.key, vec![draft]).await?;
        let sent = sent.pop().ok_or_else(|| ApiError::internal(self.dialect))?;
        Ok(receipt_of(&queue, &entry, &sent))
    }

    async fn send_batch(
        &self,
        queue: QueueName,
        entries: Vec<(String, Result<Entry>)>,
    ) -> Result<Value> {
        let queue = self.queue(queue).await?;
        let read = entries.iter().filter_map(|(_, entry)| entry.as_ref().ok());
        let bytes = read.map(Entry::bytes).sum();
        if bytes > limits::QUEUE_MESSAGE_BYTES {
            return Err(batch_too_long(limits::QUEUE_MESSAGE_BYTES, bytes));
        }
        let (mut drafts, mut taken, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for (id, entry) in entries {
            let drafted = entry.and_then(|entry| Ok((self.draft(&queue, &entry)?, entry)));
            match drafted {
                Ok((draft, entry)) => {
                    drafts.push(draft);
                    taken.push((id, entry));
                }
                Err(error) => failed.push(Failed { id, error }),
            }
        }
        let sent =
            if drafts.is_empty() { Vec::new() } else { self.put(&queue.key, drafts).await? };
        let successful = taken.iter().zip(&sent).map(|((id, entry), sent)| {
            let mut receipt = receipt_of(&queue, entry, sent);
            receipt["Id"] = json!(id);
            receipt
        });
        Ok(batch_answer(successful.collect(), &failed))
    }

    async fn put(&self, key: &QueueKey, drafts: Vec<Draft>) -> Result<Vec<Sent>> {
        let sent = self.inner.queues.send(key, drafts, self.now_ms()).await;
        sent.map_err(|error| self.change(&error))
    }

    /// What a queue makes of an entry, if it takes it.
    fn draft(&self, queue: &Queue, entry: &Entry) -> Result<Draft> {
        let settings = Settings::of(&queue.attributes);
        if entry.bytes() > settings.message_bytes {
            return Err(message_too_long(settings.message_bytes));
        }
        let deduplication = if is_fifo_name(&queue.key.name) {
            Some(ordered(&settings, entry)?)
        } else {
            if let Some(id) = &entry.deduplication {
                return Err(foreign_parameter(id, "MessageDeduplicationId"));
            }
            None
        };
        let (attributes, system) = (entry.attributes.clone(), entry.system_attributes.clone());
        let attached = serde_json::to_string(&Attached { attributes, system });
        Ok(Draft {
            message_id: self.inner.chance.uuid(),
            body: entry.body.clone(),
            attributes: attached.map_err(|_| ApiError::internal(self.dialect))?,
            group: entry.group.clone(),
            deduplication,
            delay_ms: entry.delay_s.map(|seconds| seconds * 1_000),
        })
    }

    async fn receive(&self, queue: QueueName, receive: &Receive) -> Result<Value> {
        let queue = self.queue(queue).await?;
        let seconds = receive.wait_s.unwrap_or_else(|| Settings::of(&queue.attributes).wait_s);
        let patience = Duration::from_secs(seconds.min(limits::QUEUE_WAIT_S));
        let wait = Wait { patience, clock: self.inner.clock.clone() };
        let visibility_ms = receive.visibility_s.map(|seconds| seconds * 1_000);
        let wanted = Wanted { max: receive.max, visibility_ms };
        // Only the wait ends when the server stops: what is being taken is still given.
        let enough = self.inner.stopping.cancelled();
        let received = self.inner.queues.receive(&queue.key, wanted, &wait, enough).await;
        let received = received.map_err(|error| self.change(&error))?;
        let messages: Vec<Value> =
            received.iter().map(|message| self.shown(&queue, message, receive)).collect();
        Ok(if messages.is_empty() { json!({}) } else { json!({ "Messages": messages }) })
    }

    fn shown(&self, queue: &Queue, message: &Message, receive: &Receive) -> Value {
        let attached: Attached = serde_json::from_str(&message.attributes).unwrap_or_default();
        let mut shown = json!({
            "MessageId": message.message_id,
            "ReceiptHandle": message.receipt.to_string(),
            "MD5OfBody": md5(&message.body),
            "Body": message.body,
        });
        let trace = attached.system.get("AWSTraceHeader");
        let ordered = is_fifo_name(&queue.key.name).then(|| sequence(message.sequence));
        let source = message.source.as_deref();
        let known = [
            ("SenderId", Some(self.scope.account.to_string())),
            ("SentTimestamp", Some(message.sent_ms.to_string())),
            ("ApproximateReceiveCount", Some(message.received.to_string())),
            ("ApproximateFirstReceiveTimestamp", Some(message.first_received_ms.to_string())),
            ("MessageGroupId", message.group.clone()),
            ("MessageDeduplicationId", message.deduplication.clone()),
            ("SequenceNumber", ordered),
            ("AWSTraceHeader", trace.and_then(|trace| trace.string_value.clone())),
            (
                "DeadLetterQueueSourceArn",
                source.map(|name| dormouse_api::sqs::queue_arn(self.scope, name)),
            ),
        ];
        let known = known.into_iter().filter(|(name, _)| receive.system.has(name));
        let known: BTreeMap<&str, String> =
            known.filter_map(|(name, value)| Some((name, value?))).collect();
        if !known.is_empty() {
            shown["Attributes"] = json!(known);
        }
        let mut attributes = attached.attributes;
        attributes.retain(|name, _| receive.attributes.has(name));
        if let Some(digest) = attributes_md5(&attributes) {
            shown["MD5OfMessageAttributes"] = json!(digest);
            shown["MessageAttributes"] = json!(attributes);
        }
        shown
    }

    async fn delete(&self, queue: QueueName, entries: Vec<(String, String)>) -> Result<Settled> {
        let key = self.key(queue)?;
        let (mut asked, mut failed) = (Vec::new(), Vec::new());
        for (id, handle) in entries {
            match handle.parse::<Receipt>() {
                Ok(receipt) => asked.push((id, handle, receipt)),
                Err(_) => failed.push(Failed { id, error: receipt_invalid(&handle) }),
            }
        }
        let receipts = asked.iter().map(|(.., receipt)| *receipt).collect();
        let removed = self.inner.queues.remove(&key, receipts, self.now_ms()).await;
        let removed = removed.map_err(|error| self.change(&error))?;
        let mut done = Vec::new();
        for ((id, handle, _), removed) in asked.into_iter().zip(removed) {
            match removed {
                // AWS answers the same whether or not the message stays for another receiver.
                Removed::Gone | Removed::Superseded => done.push(id),
                Removed::Expired => failed.push(Failed { id, error: receipt_expired(&handle) }),
                Removed::Foreign => failed.push(Failed { id, error: receipt_invalid(&handle) }),
            }
        }
        Ok(Settled { done, failed })
    }

    async fn hide(
        &self,
        queue: QueueName,
        entries: Vec<(String, Result<Change>)>,
    ) -> Result<Settled> {
        let key = self.key(queue)?;
        let (mut asked, mut failed) = (Vec::new(), Vec::new());
        for (id, entry) in entries {
            let read = entry.and_then(|(handle, seconds)| match handle.parse::<Receipt>() {
                Ok(receipt) => Ok((handle, (receipt, seconds * 1_000))),
                Err(_) => Err(receipt_invalid(&handle)),
            });
            match read {
                Ok((handle, change)) => asked.push((id, handle, change)),
                Err(error) => failed.push(Failed { id, error }),
            }
        }
        let changes = asked.iter().map(|(.., change)| *change).collect();
        let hidden = self.inner.queues.hide(&key, changes, self.now_ms()).await;
        let hidden = hidden.map_err(|error| self.change(&error))?;
        let mut done = Vec::new();
        for ((id, handle, _), hidden) in asked.into_iter().zip(hidden) {
            let error = match hidden {
                Hidden::Hidden => {
                    done.push(id);
                    continue;
                }
                Hidden::NotInFlight => not_in_flight(),
                Hidden::Gone => message_gone(&handle),
                Hidden::Foreign => receipt_invalid(&handle),
            };
            failed.push(Failed { id, error });
        }
        Ok(Settled { done, failed })
    }

    /// What came of the one entry there was.
    fn only(&self, mut settled: Settled) -> Result<()> {
        settled.failed.pop().map_or(Ok(()), |failed| Err(failed.error))
    }
}

/// What came of a batch.
struct Settled {
    done: Vec<String>,
    failed: Vec<Failed>,
}

fn batch(settled: Settled) -> Value {
    let done = settled.done.into_iter().map(|id| json!({ "Id": id }));
    batch_answer(done.collect(), &settled.failed)
}

/// What tells doubles of an entry in a queue with an order.
fn ordered(settings: &Settings, entry: &Entry) -> Result<String> {
    if entry.group.is_none() {
        let text = "The request must contain the parameter MessageGroupId.";
        return Err(ApiError::new(Exception::SqsMissingParameter, text));
    }
    if let Some(seconds) = entry.delay_s.filter(|seconds| *seconds > 0) {
        return Err(foreign_parameter(&seconds.to_string(), "DelaySeconds"));
    }
    match &entry.deduplication {
        Some(id) => Ok(id.clone()),
        None if settings.content_deduplication => Ok(content_id(&entry.body)),
        None => Err(deduplication_missing()),
    }
}

fn receipt_of(queue: &Queue, entry: &Entry, sent: &Sent) -> Value {
    let mut receipt = json!({
        "MessageId": sent.message_id,
        "MD5OfMessageBody": md5(&entry.body),
    });
    if let Some(digest) = attributes_md5(&entry.attributes) {
        receipt["MD5OfMessageAttributes"] = json!(digest);
    }
    if let Some(digest) = attributes_md5(&entry.system_attributes) {
        receipt["MD5OfMessageSystemAttributes"] = json!(digest);
    }
    if is_fifo_name(&queue.key.name) {
        receipt["SequenceNumber"] = json!(sequence(sent.sequence));
    }
    receipt
}

/// Twenty digits, as AWS's.
fn sequence(number: u64) -> String {
    format!("{:020}", u128::from(number) + 18_800_000_000_000_000_000)
}
