//! What is asked about log groups themselves: their life, their retention, their tags.

use std::collections::BTreeMap;

use dormouse_api::error::ApiError;
use dormouse_api::logs::{
    self, CreateLogGroup, DescribeLogGroups, DescribeLogGroupsResponse, GroupFacts,
    ListTagsResponse, LogGroup, NamedGroup, Operation, PutRetentionPolicy, Tag, Untag,
};
use dormouse_store::ChangeError;
use dormouse_store::logs::{CreateGroupError, Group, GroupSettings};

use super::{Answer, Service};

impl Service<'_> {
    pub(super) async fn about_groups(&self, operation: Operation, body: &[u8]) -> Answer {
        match operation {
            Operation::CreateLogGroup => self.create(CreateLogGroup::read(body)?).await,
            Operation::DeleteLogGroup => self.delete(NamedGroup::read(body)?).await,
            Operation::DescribeLogGroups => self.groups(DescribeLogGroups::read(body)?).await,
            Operation::PutRetentionPolicy => {
                let asked = PutRetentionPolicy::read(body)?;
                self.retain(asked.group, Some(asked.days)).await
            }
            Operation::DeleteRetentionPolicy => {
                self.retain(NamedGroup::read(body)?.group, None).await
            }
            Operation::TagLogGroup => self.tag(Tag::of_name(body)?).await,
            Operation::TagResource => self.tag(Tag::of_resource(self.scope, body)?).await,
            Operation::UntagLogGroup => self.untag(Untag::of_name(body)?).await,
            Operation::UntagResource => self.untag(Untag::of_resource(self.scope, body)?).await,
            Operation::ListTagsLogGroup => self.tags(NamedGroup::read(body)?).await,
            Operation::ListTagsForResource => {
                self.tags(NamedGroup::of_resource(self.scope, body)?).await
            }
            Operation::CreateLogStream
            | Operation::DeleteLogStream
            | Operation::PutLogEvents
            | Operation::DescribeLogStreams
            | Operation::GetLogEvents
            | Operation::FilterLogEvents => Err(ApiError::internal(self.dialect)),
        }
    }

    async fn create(&self, asked: CreateLogGroup) -> Answer {
        let group = self.group(asked.group);
        let settings = GroupSettings { class: asked.class, tags: asked.tags };
        match self.inner.logs.create_group(&group, settings, self.inner.clock.wall_ms()).await {
            Ok(()) => Ok(logs::done(self.id)),
            Err(CreateGroupError::Exists) => Err(logs::group_exists()),
            Err(CreateGroupError::Storage(fault)) => Err(self.storage(&fault)),
        }
    }

    async fn delete(&self, asked: NamedGroup) -> Answer {
        self.changed(self.inner.logs.delete_group(&self.group(asked.group)).await)
    }

    async fn retain(&self, group: String, days: Option<u32>) -> Answer {
        self.changed(self.inner.logs.set_retention(&self.group(group), days).await)
    }

    async fn tag(&self, mut asked: Tag) -> Answer {
        let group = self.group(std::mem::take(&mut asked.group));
        self.change_tags(group, |tags| asked.add_to(tags)).await
    }

    async fn untag(&self, asked: Untag) -> Answer {
        self.change_tags(self.group(asked.group), move |tags| {
            tags.retain(|key, _| !asked.keys.contains(key));
            Ok(())
        })
        .await
    }

    async fn change_tags(
        &self,
        group: dormouse_store::logs::GroupKey,
        change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), ApiError> + Send + 'static,
    ) -> Answer {
        match self.inner.logs.change_tags(&group, change).await {
            Ok(outcome) => outcome.map(|()| logs::done(self.id)),
            Err(error) => self.changed(Err(error)),
        }
    }

    async fn tags(&self, asked: NamedGroup) -> Answer {
        let group = self.inner.logs.group(&self.group(asked.group)).await;
        let group = group.map_err(|fault| self.storage(&fault))?.ok_or_else(logs::no_group)?;
        Ok(logs::answer(&ListTagsResponse { tags: group.tags }, self.id))
    }

    /// The token is the last name of the page before.
    async fn groups(&self, asked: DescribeLogGroups) -> Answer {
        let mut log_groups = Vec::new();
        let mut after = asked.next_token.clone();
        let next_token = 'pages: loop {
            let found =
                self.inner.logs.groups(self.scope, &asked.prefix, after.as_deref(), asked.limit);
            let found = found.await.map_err(|fault| self.storage(&fault))?;
            let exhausted = found.len() < asked.limit;
            for group in found {
                if log_groups.len() == asked.limit {
                    break 'pages after;
                }
                after = Some(group.name.clone());
                if is_asked_for(&group, &asked) {
                    log_groups.push(self.shown(group));
                }
            }
            if exhausted {
                break None;
            }
            if log_groups.len() == asked.limit {
                break after;
            }
        };
        Ok(logs::answer(&DescribeLogGroupsResponse { log_groups, next_token }, self.id))
    }

    fn shown(&self, group: Group) -> LogGroup {
        let facts = GroupFacts {
            created_ms: group.created_ms,
            retention_days: group.retention_days,
            stored_bytes: group.stored_bytes,
            class: group.class,
        };
        LogGroup::of(self.scope, &group.name, facts)
    }

    fn changed(&self, outcome: Result<(), ChangeError>) -> Answer {
        match outcome {
            Ok(()) => Ok(logs::done(self.id)),
            Err(ChangeError::Missing) => Err(logs::no_group()),
            Err(ChangeError::Storage(fault)) => Err(self.storage(&fault)),
        }
    }
}

fn is_asked_for(group: &Group, asked: &DescribeLogGroups) -> bool {
    group.name.contains(&asked.contains)
        && asked.class.as_ref().is_none_or(|class| *class == group.class)
}
