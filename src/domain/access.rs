//! Who asks: the tenant a thing belongs to, what a key may do, and the two together.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids::KeyId;

/// The customer of ours that owns a row: 1 to 64 of `a-z`, `0-9`, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct TenantId(String);

impl TenantId {
    /// The tenant of that name, if it is a valid one.
    pub fn parse(name: &str) -> Option<Self> {
        let fits = (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        fits.then(|| Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TenantId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let name = String::deserialize(d)?;
        Self::parse(&name).ok_or_else(|| serde::de::Error::custom("a tenant is 1 to 64 of a-z 0-9 - _"))
    }
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything in its tenant, keys and endpoints included.
    Admin,
    /// A supervisor: reads the team's visits.
    Manager,
    /// A salesperson: holds and confirms visits.
    Rep,
    /// The CRM: makes visits, receives events.
    Integration,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Manager, Self::Rep, Self::Integration];

    /// The name used in JSON, on the command line and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Manager => "manager",
            Self::Rep => "rep",
            Self::Integration => "integration",
        }
    }

    /// The role of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// A caller whose key was found valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Whose things it may see at all.
    pub tenant: TenantId,
    /// What it may do with them.
    pub role: Role,
    /// The key it came with; audit entries name it.
    pub key_id: KeyId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_name_is_short_and_plain() {
        assert_eq!(TenantId::parse("acme-cn_2").unwrap().as_str(), "acme-cn_2");
        for bad in ["", "Acme", "a/b", "..", "名", &"x".repeat(65)] {
            assert_eq!(TenantId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_role_is_read_back_from_its_name() {
        assert!(Role::ALL.into_iter().all(|role| Role::parse(role.as_str()) == Some(role)));
        assert_eq!(Role::parse("root"), None);
    }
}
