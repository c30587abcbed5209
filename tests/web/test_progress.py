"""How far a download has come, posted where agents talk: the same empty answer whatever it says."""

from __future__ import annotations

import zlib

from appliance.agent.remote import HttpRemote
from tests.fakes.appliance import Answer, device, dump, must, progress, prolog, rows
from tests.web.conftest import Site

ME = device("known")


def as_the_answer_to_a_result(answer: Answer) -> bool:
    said = (answer.status, answer.body, answer.headers["content-type"], answer.headers["content-length"])
    return said == (200, b"", "application/x-compressed", "0")


def test_a_posted_number_is_kept_and_every_other_is_answered_the_same_and_changes_nothing(site: Site) -> None:
    server, package = site.server, site.package
    must("package", "activate", package, "--unchecked", data=server.data)
    must("package", "affect", package, "--computer", "known", data=server.data)
    try:
        assert package.encode() in zlib.decompress(server.post(prolog(ME)).body)
        assert as_the_answer_to_a_result(server.post(progress(ME, package, 2)))
        kept = "SELECT fetched FROM affectation WHERE package_id = ?"
        assert rows(server.data, kept, package) == [(2,)]
        HttpRemote(f"http://127.0.0.1:{server.http}/ocsinventory", bundle=None).mention(progress(ME, package, 3))
        assert rows(server.data, kept, package) == [(3,)]
        before = dump(server.data)
        for who, what, number in [
            *[(ME, package, 1), (ME, package, 3), (ME, package, 5), (ME, site.bare, 1), (ME, "../../x", 1)],
            *[(device("stranger"), package, 4), (ME, "0000000000", 4)],
        ]:
            assert as_the_answer_to_a_result(server.post(progress(who, what, number))), (who, what, number)
        for number in (b"", b"-1", b"4.0", b"4 OR 1", b"9" * 5000):
            body = progress(ME, package, 4).replace(b"<FETCHED>4<", b"<FETCHED>%s<" % number)
            assert as_the_answer_to_a_result(server.post(body)), number
        assert server.post(progress(ME, package, 4).replace(ME.encode(), b"../x")).status == 400
        assert dump(server.data) == before
    finally:
        must("package", "unaffect", package, "--all", data=server.data)
        must("package", "unactivate", package, data=server.data)
