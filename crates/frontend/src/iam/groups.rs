//! Groups of users.

use dormouse_api::error::ApiError;
use dormouse_api::iam::{self, Answer, Conflict, GroupRequest, Noun, conflict};
use dormouse_model::limits;
use dormouse_store::iam::{Group, Held, JoinError, User};

use super::roles::without_policies;
use super::{Iam, page, users};

impl Iam<'_> {
    pub(super) async fn group(&self, request: GroupRequest) -> Result<Answer, ApiError> {
        match request {
            GroupRequest::Create { group: name, path } => {
                let group = Group {
                    account: self.account.clone(),
                    arn: self.arn("group", &path, &name),
                    group_id: self.unique_id("AGPA"),
                    name,
                    path,
                    created_ms: self.inner.clock.wall_ms(),
                    policies: Held::default(),
                };
                self.create(group.clone()).await?;
                Ok(Answer::Group(shown(&group)))
            }
            GroupRequest::Update { group, new_name, new_path } => {
                let account = self.account.clone();
                let wanted = new_name.clone().unwrap_or_else(|| group.clone());
                self.rename(&group, &wanted, move |group: &mut Group| {
                    group.name = new_name.unwrap_or_else(|| group.name.clone());
                    group.path = new_path.unwrap_or_else(|| group.path.clone());
                    group.arn = format!("arn:aws:iam::{account}:group{}{}", group.path, group.name);
                })
                .await
            }
            GroupRequest::Delete { group } => {
                self.delete(&group, |group: &Group, users| {
                    without_policies(&group.policies)?;
                    if users > 0 { Err(conflict(Conflict::Users)) } else { Ok(()) }
                })
                .await
            }
            GroupRequest::AddUser { group, user } => {
                let names = (group.clone(), user.clone());
                let groups = &self.inner.iam.groups;
                let joined = groups.join(self.account, names, limits::GROUPS_PER_USER).await;
                let absent = iam::not_found(Noun::User, &user);
                self.joined(&group, absent, joined)
            }
            GroupRequest::RemoveUser { group, user } => {
                self.get::<User>(&user).await?;
                let absent = iam::not_in_group(&user, &group);
                let left = self.inner.iam.groups.leave(self.account, (group.clone(), user)).await;
                self.joined(&group, absent, left)
            }
            reading => self.read_group(reading).await,
        }
    }

    async fn read_group(&self, request: GroupRequest) -> Result<Answer, ApiError> {
        match request {
            GroupRequest::Get { group, paging } => {
                let group: Group = self.get(&group).await?;
                let mut members: Vec<User> = self.all().await?;
                members.retain(|user| user.groups.contains(&group.group_id));
                let page = page(members.into_iter(), |user| user.name.as_str(), &paging);
                Ok(Answer::Members(shown(&group), page.map(|user| users::shown(&user))))
            }
            GroupRequest::List { path_prefix, paging } => {
                let groups = self.list(&path_prefix, &paging).await?;
                Ok(Answer::Groups(groups.map(|group| shown(&group))))
            }
            GroupRequest::ListForUser { user, paging } => {
                let user: User = self.get(&user).await?;
                let mut groups: Vec<Group> = self.all().await?;
                groups.retain(|group| user.groups.contains(&group.group_id));
                let page = page(groups.into_iter(), |group| group.name.as_str(), &paging);
                Ok(Answer::Groups(page.map(|group| shown(&group))))
            }
            _ => Err(ApiError::internal(self.dialect)),
        }
    }

    fn joined(
        &self,
        group: &str,
        absent: ApiError,
        joined: Result<(), JoinError>,
    ) -> Result<Answer, ApiError> {
        match joined {
            Ok(()) => Ok(Answer::Done),
            Err(JoinError::NoGroup) => Err(iam::not_found(Noun::Group, group)),
            Err(JoinError::NoUser) => Err(absent),
            Err(JoinError::TooMany { limit }) => Err(iam::too_many("GroupsPerUser", limit)),
            Err(JoinError::Storage(fault)) => Err(self.storage(&fault)),
        }
    }
}

fn shown(group: &Group) -> iam::Group {
    iam::Group {
        path: group.path.clone(),
        name: group.name.clone(),
        group_id: group.group_id.clone(),
        arn: group.arn.clone(),
        created_ms: group.created_ms,
    }
}
