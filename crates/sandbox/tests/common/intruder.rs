//! The program that tries to get out, or to find out where it is, in a namespace sandbox.

use std::os::unix::fs::PermissionsExt;

use dormouse_sandbox::namespace::spawner::Spawner;
use dormouse_sandbox::{BoxFuture, Created, ProcessSpec};

use crate::common::{self, World};

/// Where it lies inside.
pub(crate) const INTRUDER: &str = "/var/task/intruder";

/// Runs a test in a world, made like this, whose content has the intruder.
pub(crate) fn in_world(
    world: fn(Spawner) -> World,
    test: impl FnOnce(World) -> BoxFuture<'static, ()>,
) {
    let spawner = Spawner::launch().expect("the spawner starts");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let world = world(spawner);
        let path = world.content.as_ref().unwrap().path().join("intruder");
        std::fs::copy(env!("CARGO_BIN_EXE_dormouse-sandbox-intruder"), &path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        test(world).await;
    });
}

/// An intruder that does this.
pub(crate) fn intruder(id: u32, actions: &[&str]) -> ProcessSpec {
    ProcessSpec { programs: vec![INTRUDER.to_owned()], ..common::probe(id, actions) }
}

/// What it prints.
pub(crate) async fn attempt(sandbox: &mut Created, actions: &[&str]) -> String {
    common::run(sandbox, intruder(1, actions)).await
}
