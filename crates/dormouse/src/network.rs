//! The outbound network of sandboxes: started with the server, stopped with it.

use anyhow::Context;
use dormouse_sandbox::namespace::doctor::Guarantee;
use dormouse_sandbox::namespace::network::NetworkHost;
use tracing::warn;

/// Starts it. `None` when it cannot be had and the operator has given it up.
pub(crate) fn start(instance: &str, given_up: &[Guarantee]) -> anyhow::Result<Option<NetworkHost>> {
    match NetworkHost::start(instance, None) {
        Ok(host) => Ok(Some(host)),
        Err(error) if given_up.contains(&Guarantee::OutboundNetwork) => {
            warn!(%error, "functions reach nothing outside");
            Ok(None)
        }
        Err(error) => Err(error).context(
            "outbound network for functions (go without it: --network none, or \
             --allow-weaker=outbound-network)",
        ),
    }
}
