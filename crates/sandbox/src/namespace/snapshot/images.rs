//! What is changed in CRIU's images.
//!
//! They say that the processes had users of their own, which CRIU would make anew for them. They are to
//! join users that are there already. So the images are made to say that the processes had the same
//! users as CRIU itself; all other numbers in them are those seen inside, as they should be.
//!
//! An image is a header, a length and one protobuf message. Fields are copied as they are but for one.

use std::fs;
use std::io;
use std::path::Path;

/// Bytes before the length: two marks, or one where it is the inventory.
const HEADER: usize = 8;
const INVENTORY_HEADER: usize = 4;

/// Field of the inventory: the namespaces of CRIU itself.
const ROOT_IDS: u64 = 3;
/// Field of a list of namespaces: the users.
const USERS: u64 = 10;

/// Makes every process in a directory one of CRIU's own users. Blocks.
pub(super) fn forget_users(directory: &Path) -> io::Result<()> {
    let inventory = fs::read(directory.join("inventory.img"))?;
    let own = own_users(&inventory).ok_or_else(|| unknown("inventory.img"))?;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        if name.starts_with("ids-") && name.ends_with(".img") {
            let changed = with_users(&fs::read(&path)?, own).ok_or_else(|| unknown(&name))?;
            fs::write(&path, changed)?;
        }
    }
    Ok(())
}

fn unknown(name: &str) -> io::Error {
    io::Error::other(format!("{name} is not as criu 4 writes it"))
}

/// The number under which the inventory knows CRIU's own users.
fn own_users(image: &[u8]) -> Option<u64> {
    let message = message(image, INVENTORY_HEADER)?;
    let root = fields(message)?.into_iter().find(|field| field.number == ROOT_IDS)?;
    let Value::Bytes(root) = root.value else { return None };
    let users = fields(root)?.into_iter().find(|field| field.number == USERS)?;
    match users.value {
        Value::Number(users) => Some(users),
        _ => None,
    }
}

/// An image of namespaces with other users.
fn with_users(image: &[u8], users: u64) -> Option<Vec<u8>> {
    let mut changed = Vec::with_capacity(image.len());
    for field in fields(message(image, HEADER)?)? {
        let value = if field.number == USERS { Value::Number(users) } else { field.value };
        put(&mut changed, &Field { value, ..field });
    }
    let length = u32::try_from(changed.len()).ok()?.to_le_bytes();
    Some([&image[..HEADER], &length, &changed].concat())
}

/// The only message of an image.
fn message(image: &[u8], header: usize) -> Option<&[u8]> {
    let (length, message) = image.get(header..)?.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    (message.len() == length).then_some(message)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field<'a> {
    number: u64,
    value: Value<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Four([u8; 4]),
    Eight([u8; 8]),
}

/// The fields of a message; nothing if it is none.
fn fields(mut message: &[u8]) -> Option<Vec<Field<'_>>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = number(&mut message)?;
        let value = match key & 7 {
            0 => Value::Number(number(&mut message)?),
            1 => Value::Eight(taken(&mut message)?),
            2 => {
                let length = usize::try_from(number(&mut message)?).ok()?;
                let (bytes, rest) = message.split_at_checked(length)?;
                message = rest;
                Value::Bytes(bytes)
            }
            5 => Value::Four(taken(&mut message)?),
            _ => return None,
        };
        fields.push(Field { number: key >> 3, value });
    }
    Some(fields)
}

fn taken<const N: usize>(message: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = message.split_first_chunk()?;
    *message = rest;
    Some(*taken)
}

/// A number in groups of seven bits, the lowest first.
fn number(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = taken(message)?;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn put(message: &mut Vec<u8>, field: &Field<'_>) {
    let kind = match field.value {
        Value::Number(_) => 0,
        Value::Eight(_) => 1,
        Value::Bytes(_) => 2,
        Value::Four(_) => 5,
    };
    put_number(message, field.number << 3 | kind);
    match field.value {
        Value::Number(value) => put_number(message, value),
        Value::Eight(bytes) => message.extend(bytes),
        Value::Four(bytes) => message.extend(bytes),
        Value::Bytes(bytes) => {
            put_number(message, bytes.len() as u64);
            message.extend(bytes);
        }
    }
}

fn put_number(message: &mut Vec<u8>, mut value: u64) {
    loop {
        let [group, ..] = (value & 0x7f).to_le_bytes();
        value >>= 7;
        message.push(if value == 0 { group } else { group | 0x80 });
        if value == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn image(header: usize, fields: &[Field<'_>]) -> Vec<u8> {
        let mut message = Vec::new();
        for field in fields {
            put(&mut message, field);
        }
        let length = u32::try_from(message.len()).unwrap().to_le_bytes();
        [&vec![7; header][..], &length, &message].concat()
    }

    fn numbered(number: u64, value: u64) -> Field<'static> {
        Field { number, value: Value::Number(value) }
    }

    #[test]
    fn processes_get_the_users_of_criu_and_nothing_else_changes() {
        let mut root = Vec::new();
        put(&mut root, &numbered(9, 5));
        put(&mut root, &numbered(USERS, 300));
        let root = Field { number: ROOT_IDS, value: Value::Bytes(&root) };
        let inventory = image(INVENTORY_HEADER, &[numbered(1, 2), root, numbered(6, 0)]);
        let ids = image(HEADER, &[numbered(1, 2), numbered(USERS, 9), numbered(11, 1)]);
        let expected = image(HEADER, &[numbered(1, 2), numbered(USERS, 300), numbered(11, 1)]);

        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("inventory.img"), inventory).unwrap();
        fs::write(at("ids-4.img"), ids).unwrap();
        fs::write(at("core-4.img"), "another").unwrap();
        forget_users(directory.path()).unwrap();
        assert_eq!(fs::read(at("ids-4.img")).unwrap(), expected);
        assert_eq!(fs::read(at("core-4.img")).unwrap(), b"another");
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_image_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = own_users(&bytes);
            let _ = with_users(&bytes, 1);
        }

        #[test]
        fn fields_come_back_as_they_were(
            numbers in proptest::collection::vec((1u64..1 << 29, any::<u64>()), 0..20),
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut expected: Vec<Field<'_>> =
                numbers.iter().map(|(number, value)| self::numbered(*number, *value)).collect();
            expected.push(Field { number: 2, value: Value::Bytes(&bytes) });
            expected.push(Field { number: 3, value: Value::Four([1, 2, 3, 4]) });
            expected.push(Field { number: 4, value: Value::Eight([9; 8]) });
            let image = image(HEADER, &expected);
            prop_assert_eq!(fields(message(&image, HEADER).unwrap()).unwrap(), expected);
        }
    }
}
