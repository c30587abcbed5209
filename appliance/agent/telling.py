"""Telling the server results, until it knows them; and what is done after that: POSTCMD. Source: product.md 5.

A result is kept for as long as it takes. A server that does not take them is left alone ever longer, at most an hour.
"""

from __future__ import annotations

from appliance.agent.failure import Unreachable
from appliance.agent.world import World
from appliance.domain.messages import Report
from appliance.domain.status import spelled
from appliance.wire import contact as messages
from appliance.wire.malformed import Malformed

HOUR = 3600
RESEND = 60  # seconds; doubled at each failure, spread, at most an hour


def send_results(world: World, *, at_once: bool = False) -> bool:
    """Tell the server the results that it has not acknowledged; whether none is left. `at_once`: patience aside."""
    patience, now = world.patience, world.clock.now()
    pending = world.spool.pending()
    if not pending:
        patience.failures = patience.until = 0
        return True
    if not at_once and 0 < patience.until - now <= HOUR:  # further off: the clock was set back
        return False
    for package in pending:
        at = world.spool.holdings[package].record
        code = spelled(at.code, at.exit_code, genuine=world.is_genuine)
        try:
            receipt = world.remote.contact(messages.encode_report(Report(world.device_id, package, code)))
            if receipt:  # servers answer nothing here, or a REPLY; the page of a hotel's gateway is neither
                messages.decode_inventory_reply(receipt)
        except (Unreachable, Malformed) as error:
            patience.failures += 1
            longest = min(HOUR, RESEND * 2 ** min(patience.failures - 1, 10))
            patience.until = now + int(longest * (0.5 + world.chance() / 2))
            world.log.warning(f"{package}: {code} could not be told to the server and is kept: {error}")
            return False
        world.log.info(f"{package}: the server knows of {code}.")
        world.spool.acknowledge(package)
    patience.failures = patience.until = 0
    return True


def tell(world: World, *, at_once: bool = False) -> bool:
    """As `send_results`; then what was to be done once the server knows."""
    told = send_results(world, at_once=at_once)
    if any(holding.record.owes_post for holding in world.spool.holdings.values()):
        from appliance.agent import posts  # late.py has imported it

        posts.run_posts(world)
    return told
