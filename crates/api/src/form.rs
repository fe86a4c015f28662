//! The body of a query-protocol request: a form. Parsed once, bounded, then asked for members.

use std::collections::BTreeMap;

use crate::error::{ApiError, Exception};
use crate::service::Service;

/// Members one form may have (ours). Past it the request is refused.
const MEMBERS: usize = 1_000;

/// Dots in the name of a member (ours; none of any service has more than nine). Deeper ones are left
/// out of a tree.
const DEPTH: usize = 12;

/// Members by the parts of their names: `A.1.B=x` is a text in a branch in a branch.
#[derive(Debug)]
pub(crate) enum Node {
    Text(String),
    Branch(Branch),
}

pub(crate) type Branch = BTreeMap<String, Node>;

/// What stands under numbers, in their order; what does not is left out.
pub(crate) fn numbered(branch: Branch) -> impl Iterator<Item = Node> {
    let numbers =
        branch.into_iter().filter_map(|(number, node)| Some((number.parse::<u32>().ok()?, node)));
    numbers.collect::<BTreeMap<u32, Node>>().into_values()
}

/// The first of a name counts, as does the first of what is a text here and a branch there.
fn plant(branch: &mut Branch, parts: &[&str], text: &str) {
    match parts {
        [] => {}
        [leaf] => {
            branch.entry((*leaf).to_owned()).or_insert_with(|| Node::Text(text.to_owned()));
        }
        [first, rest @ ..] => {
            let next = branch.entry((*first).to_owned());
            if let Node::Branch(next) = next.or_insert_with(|| Node::Branch(Branch::new())) {
                plant(next, rest, text);
            }
        }
    }
}

/// The members of a form in the order they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a form, from a body or from the query string of a GET.
    ///
    /// # Errors
    /// When it has more members than any operation could need.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        let members: Vec<_> =
            form_urlencoded::parse(bytes).into_owned().take(MEMBERS + 1).collect();
        if members.len() > MEMBERS {
            let text = format!("A request may have at most {MEMBERS} parameters.");
            return Err(ApiError::new(Exception::Validation, text));
        }
        Ok(Self(members))
    }

    /// A member.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// All members by the parts of their names.
    pub(crate) fn tree(&self) -> Branch {
        let mut root = Branch::new();
        for (name, text) in &self.0 {
            let parts: Vec<&str> = name.splitn(DEPTH + 1, '.').collect();
            if parts.len() <= DEPTH {
                plant(&mut root, &parts, text);
            }
        }
        root
    }

    /// The operation asked for.
    ///
    /// # Errors
    /// `MissingAction` when there is none.
    pub fn action(&self) -> Result<&str, ApiError> {
        self.get("Action").filter(|action| !action.is_empty()).ok_or_else(|| {
            let text = "Missing Action";
            ApiError::new(Exception::MissingAction, text)
        })
    }

    /// The service its `Version` belongs to.
    #[must_use]
    pub fn service(&self) -> Option<Service> {
        Service::of_version(self.get("Version")?)
    }

    /// The members `prefix.1.suffix`, `prefix.2.suffix`, … up to the first that is missing.
    #[must_use]
    pub fn indexed(&self, prefix: &str, suffix: &str) -> Vec<&str> {
        (1..=MEMBERS).map_while(|i| self.get(&format!("{prefix}.{i}{suffix}"))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_decoded_and_lists_end_at_the_first_gap() {
        let form = Form::parse(b"Action=A&L.member.1.K=a%20b&L.member.2.K=c+d&L.member.4.K=e");
        let form = form.unwrap();
        assert_eq!(form.action().unwrap(), "A");
        assert_eq!(form.indexed("L.member", ".K"), ["a b", "c d"]);
        assert!(Form::parse(b"").unwrap().action().is_err());
        assert!(Form::parse(&b"a&".repeat(MEMBERS + 1)).is_err());
    }
}
