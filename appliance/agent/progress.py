"""Telling our own server how far a download has come: by the way, and of no consequence where it does not arrive.

A genuine server answers a query that it does not know with an error, so it is never asked this one.
"""

from __future__ import annotations

from appliance.agent.failure import Rejected
from appliance.agent.world import World
from appliance.domain.messages import Progress
from appliance.domain.package import PackageId
from appliance.wire import contact as messages

EVERY = 60  # seconds at least between two such messages about one package, but for its last fragment
PAUSE = 600  # seconds that a server is left alone that could not be reached with one


def tell_progress(world: World, package: PackageId) -> None:
    """Say how many fragments of a package are here, where the server wants to know. Raises nothing, keeps nothing."""
    holding, gossip, now = world.spool.holdings[package], world.gossip, world.clock.monotonic()
    if holding.info is None or world.is_genuine or world.memory.trouble or world.patience.failures:
        return
    if now < gossip.until or gossip.refused_in == world.memory.contacts:
        return
    if holding.missing and now - gossip.told.get(package, -EVERY) < EVERY:
        return
    gossip.told[package] = now
    here = holding.info.fragments - len(holding.missing)
    try:
        world.remote.mention(messages.encode_progress(Progress(world.device_id, package, here)))
    except Rejected as error:  # an older server of ours, or no longer ours
        gossip.refused_in = world.memory.contacts
        world.log.debug(f"{package}: the server does not want to know how far it has come: {error}")
    except Exception as error:  # whatever it is, the deployment goes on
        gossip.until = now + PAUSE
        world.log.debug(f"{package}: how far it has come could not be told: {error}")
