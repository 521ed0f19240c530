from __future__ import annotations

import pytest
from showing import values_of

from medkit.errors import SubmitError
from medkit.submission.addresses import check_address, host_of, place
from medkit.submission.credentials import Credentials

SAME = [
    ("localhost:8765", "1"),
    ("127.0.0.1:8765", "01"),
    ("LOCALHOST:08765", "١"),
    ("[::1]:8765", " 1 "),
    ("[0:0:0:0:0:0:0:1]:8765", "１"),
    ("localhost.:8765", "001"),
]


@pytest.mark.parametrize(("host", "team"), SAME)
def test_one_place_has_one_key(host, team):
    assert place(host, team) == ("localhost:8765", "1")


def test_a_port_that_goes_without_saying_is_none():
    hosts = [
        "contest.kr",
        "contest.kr:443",
        "Contest.KR:0443",
        "contest.kr.",
        "contest.kr:80",
        "contest.kr:",
    ]
    assert {place(host, "7") for host in hosts} == {("contest.kr:443", "7")}


def test_other_places_have_other_keys():
    places = [("a.kr", "1"), ("b.kr", "1"), ("a.kr:8443", "1"), ("a.kr", "2"), ("a.kr", "1a")]
    places += [("10.0.0.1", "1"), ("10.0.0.11", "1"), ("[fe80::1]", "1"), ("a.kr", "team a")]
    assert len({place(*each) for each in places}) == len(places)


def test_what_stands_in_an_old_ledger_has_a_key():
    assert place("", "") == (":443", "") and place(None, 7)[1] == "7"


def test_the_host_of_an_address_is_what_is_shown():
    assert host_of("https://Contest.kr:8443/x") == "contest.kr:8443"
    assert check_address("http://127.0.0.1:1") == [] == check_address("https://contest.kr")


def test_a_name_in_korean_letters_is_its_coded_one():
    assert place("대회.kr", "1") == place("xn--vk1b378d.kr", "1") == place("대회.KR:443", "1")


@pytest.mark.parametrize("url", ["https://me:hunter2@host", "https://host?password=hunter2"])
def test_a_password_in_an_address_is_in_no_frame(url):
    who = Credentials(url, "42", "me@x.kr", "a", "b")
    with pytest.raises(SubmitError, match="or more than that") as caught:
        check_address(who.url)
    assert "hunter2" not in values_of(caught.value, __file__)
