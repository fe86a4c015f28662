//! IAM's requests: which action is whose.

use std::collections::BTreeMap;

use super::groups::GroupRequest;
use super::held::{HeldRequest, IdentityName};
use super::instance_profiles::InstanceProfileRequest;
use super::members::{Members, Paging};
use super::policies::PolicyRequest;
use super::roles::RoleRequest;
use super::users::{AccessKeyRequest, UserRequest};
use crate::error::ApiError;
use crate::form::Form;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// About a role.
    Role(RoleRequest),
    /// About a user.
    User(UserRequest),
    /// About a user's access keys.
    AccessKey(AccessKeyRequest),
    /// About a group.
    Group(GroupRequest),
    /// About an instance profile.
    InstanceProfile(InstanceProfileRequest),
    /// About a managed policy.
    Policy(PolicyRequest),
    /// About the policies of a role, a user or a group.
    Held(IdentityName, HeldRequest),
    /// About the tags of something.
    Tags(Tagged, TagRequest),
    /// The policy that bounds a role or a user, or that none does any more.
    Boundary(IdentityName, Option<String>),
}

/// What can have tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tagged {
    /// A role, by its name.
    Role(String),
    /// A user, by its name.
    User(String),
    /// An instance profile, by its name.
    InstanceProfile(String),
    /// A managed policy, by its ARN.
    Policy(String),
}

/// What is asked about tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagRequest {
    /// To add some.
    Add(BTreeMap<String, String>),
    /// To remove some, by their keys.
    Remove(Vec<String>),
    /// To list them.
    List(Paging),
}

impl Request {
    /// Reads an action's form. Nothing for an action we do not have.
    ///
    /// # Errors
    /// Every violated constraint in one text; a document that is no policy.
    pub fn read(action: &str, form: &Form) -> Result<Option<Self>, ApiError> {
        let mut members = Members::of(form);
        let Some(request) = Self::of(action, &mut members) else {
            return Ok(None);
        };
        members.finish()?;
        Ok(Some(request))
    }

    fn of(action: &str, members: &mut Members<'_>) -> Option<Self> {
        RoleRequest::read(action, members)
            .map(Self::Role)
            .or_else(|| UserRequest::read(action, members).map(Self::User))
            .or_else(|| AccessKeyRequest::read(action, members).map(Self::AccessKey))
            .or_else(|| GroupRequest::read(action, members).map(Self::Group))
            .or_else(|| InstanceProfileRequest::read(action, members).map(Self::InstanceProfile))
            .or_else(|| PolicyRequest::read(action, members).map(Self::Policy))
            .or_else(|| HeldRequest::read(action, members).map(|(of, ask)| Self::Held(of, ask)))
            .or_else(|| tags(action, members).map(|(of, ask)| Self::Tags(of, ask)))
            .or_else(|| boundary(action, members))
    }
}

fn tags(action: &str, members: &mut Members<'_>) -> Option<(Tagged, TagRequest)> {
    let of: fn(&mut Members<'_>) -> Tagged = match action {
        "TagRole" | "UntagRole" | "ListRoleTags" => |members| Tagged::Role(members.role()),
        "TagUser" | "UntagUser" | "ListUserTags" => |members| Tagged::User(members.user(128)),
        "TagInstanceProfile" | "UntagInstanceProfile" | "ListInstanceProfileTags" => {
            |members| Tagged::InstanceProfile(members.instance_profile())
        }
        "TagPolicy" | "UntagPolicy" | "ListPolicyTags" => {
            |members| Tagged::Policy(members.policy_arn())
        }
        _ => return None,
    };
    let of = of(members);
    let ask = if action.starts_with("Tag") {
        TagRequest::Add(members.tags())
    } else if action.starts_with("Untag") {
        TagRequest::Remove(members.tag_keys())
    } else {
        TagRequest::List(members.paging())
    };
    Some((of, ask))
}

fn boundary(action: &str, members: &mut Members<'_>) -> Option<Request> {
    let arn =
        |members: &mut Members<'_>| Some(members.arn("PermissionsBoundary", "permissionsBoundary"));
    let (of, arn) = match action {
        "PutRolePermissionsBoundary" => (IdentityName::Role(members.role()), arn(members)),
        "DeleteRolePermissionsBoundary" => (IdentityName::Role(members.role()), None),
        "PutUserPermissionsBoundary" => (IdentityName::User(members.user(64)), arn(members)),
        "DeleteUserPermissionsBoundary" => (IdentityName::User(members.user(64)), None),
        _ => return None,
    };
    Some(Request::Boundary(of, arn))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: &str) -> Result<Option<Request>, ApiError> {
        let form = Form::parse(form.as_bytes()).unwrap();
        Request::read(form.action().unwrap(), &form)
    }

    const TRUST: &str = "%7B%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%22*%22%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%7D";

    #[test]
    fn a_role_gets_its_defaults() {
        let form = format!(
            "Action=CreateRole&RoleName=r&AssumeRolePolicyDocument={TRUST}\
             &Tags.member.1.Key=k&Tags.member.1.Value=v"
        );
        let Some(Request::Role(RoleRequest::Create {
            role,
            path,
            max_session_duration_s,
            tags,
            ..
        })) = read(&form).unwrap()
        else {
            panic!("not a CreateRole")
        };
        assert_eq!((role.as_str(), path.as_str(), max_session_duration_s), ("r", "/", 3_600));
        assert_eq!(tags["k"], "v");
    }

    #[test]
    fn what_is_missing_or_wrong_is_told() {
        let text = |form: &str| read(form).unwrap_err().to_string();
        insta::assert_snapshot!(text("Action=CreateRole&RoleName=a+b&MaxSessionDuration=1").replace("; ", ";\n"), @r"
        ValidationException: 3 validation errors detected: Value '1' at 'maxSessionDuration' failed to satisfy constraint: Member must have value greater than or equal to 3600;
        Value 'a b' at 'roleName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]+;
        Value null at 'assumeRolePolicyDocument' failed to satisfy constraint: Member must not be null
        ");
        let document = "Action=CreateRole&RoleName=r&AssumeRolePolicyDocument=x";
        assert_eq!(
            text(document),
            "MalformedPolicyDocumentException: This policy contains invalid Json"
        );
        assert_eq!(
            text("Action=AttachRolePolicy&RoleName=r"),
            "ValidationException: 1 validation error detected: Value null at 'policyArn' failed to satisfy constraint: Member must not be null"
        );
        insta::assert_snapshot!(text("Action=UpdateAccessKey&AccessKeyId=AKIA&Status=On").replace("; ", ";\n"), @r"
        ValidationException: 2 validation errors detected: Value 'AKIA' at 'accessKeyId' failed to satisfy constraint: Member must have length greater than or equal to 16;
        Value 'On' at 'status' failed to satisfy constraint: Member must satisfy enum value set: [Active, Inactive]
        ");
        insta::assert_snapshot!(text("Action=ListUsers&PathPrefix=x&MaxItems=0").replace("; ", ";\n"), @r"
        ValidationException: 2 validation errors detected: Value 'x' at 'pathPrefix' failed to satisfy constraint: Member must satisfy regular expression pattern: \u002F[\u0021-\u007F]*;
        Value '0' at 'maxItems' failed to satisfy constraint: Member must have value greater than or equal to 1
        ");
    }

    #[test]
    fn every_action_is_read_and_others_are_left() {
        let role = "r".to_owned();
        let paging = Paging { marker: None, items: 100 };
        let same = |form: &str, request: Request| assert_eq!(read(form), Ok(Some(request)));
        same("Action=GetRole&RoleName=r", Request::Role(RoleRequest::Get { role: role.clone() }));
        same(
            "Action=ListRolePolicies&RoleName=r",
            Request::Held(
                IdentityName::Role(role.clone()),
                HeldRequest::ListInline { paging: paging.clone() },
            ),
        );
        same(
            "Action=ListInstanceProfilesForRole&RoleName=r&MaxItems=5&Marker=m",
            Request::InstanceProfile(InstanceProfileRequest::ListForRole {
                role: role.clone(),
                paging: Paging { marker: Some("m".into()), items: 5 },
            }),
        );
        same("Action=GetUser", Request::User(UserRequest::Get { user: None }));
        same(
            "Action=UntagUser&UserName=u&TagKeys.member.1=a&TagKeys.member.2=b",
            Request::Tags(
                Tagged::User("u".into()),
                TagRequest::Remove(vec!["a".into(), "b".into()]),
            ),
        );
        same(
            "Action=DeleteRolePermissionsBoundary&RoleName=r",
            Request::Boundary(IdentityName::Role(role), None),
        );
        assert_eq!(read("Action=CreateVirtualMFADevice"), Ok(None));
    }
}
