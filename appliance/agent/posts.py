"""POSTCMD: what is to be done once the server knows a package's result: REBOOT, SHUTDOWN or a command of the shell.

Source: protocol.md 3 and 5.2.
"""

from __future__ import annotations

from appliance.agent.jobs import Post
from appliance.agent.record import Phase
from appliance.agent.world import World
from appliance.domain.package import PackageId
from appliance.domain.tempo import Tempo


def run_posts(world: World) -> None:
    """Every POSTCMD that is owed; those that take the computer down come last, and once for all packages.

    Each is written down before it starts, so that none runs twice, and is owed until then, so that none is lost.
    """
    owed = [_post(world, package) for package, holding in world.spool.holdings.items() if holding.record.owes_post]
    commands = [post for post in owed if not post.goes_down]
    for post in commands:
        world.spool.note(post.package, Phase.POST_ARMED)
        world.log.info(f"{post.package}: its result is told; now {post.command!r} runs.")
        _done(world, post, world.host.post(post))
    for word in ("REBOOT", "SHUTDOWN"):
        same = [post for post in owed if post.goes_down and post.command.strip().upper() == word]
        if not same or world.goes_down:
            continue
        for post in same:
            world.spool.note(post.package, Phase.POST_ARMED)
        world.log.info(f"{', '.join(post.package for post in same)}: its result is told; now the computer's {word}.")
        code = world.host.post(same[0])
        world.goes_down = code == 0
        for post in same:
            _done(world, post, code)


def _post(world: World, package: PackageId) -> Post:
    at = world.spool.holdings[package].record
    minutes = (world.memory.tempo or Tempo()).execution_timeout_minutes
    return Post(package, at.name, at.pack.post_command, world.spool.folder / package, minutes)


def _done(world: World, post: Post, code: int | None) -> None:
    if code != 0:
        ended = "did not come to its end" if code is None else f"ended with code {code}"
        world.log.warning(f"{post.package}: {post.command!r} {ended}.")
    world.spool.note(post.package, Phase.POST_EXITED, exit_code=code)
    world.spool.forget(post.package)
