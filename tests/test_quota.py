from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

import medkit as mk
from medkit.submission.ledger import Entry, ledger_path
from medkit.submission.quota import MAIC, Quota, room, span_of

NOON = datetime(2026, 11, 21, 3, tzinfo=timezone.utc)  # 12:00 in Seoul
HOURLY = Quota(1, window_s=3600)


def sent(*hours_ago, outcome="accepted", left=None, limit=10, now=NOON):
    """Entries, each answered before the next was sent."""
    entries = []
    for k, hours in enumerate(sorted(hours_ago, reverse=True)):
        time = now - timedelta(hours=hours)
        last = left if k == len(hours_ago) - 1 else None
        entries.append(Entry({}, time, time, outcome, last, limit, 2 * k + 1, 2 * k + 2))
    return entries


def test_nothing_sent_leaves_everything():
    now = room(MAIC, [], NOON)
    assert (now.used, now.left, now.limit, now.next_free, now.notes) == (0, 10, 10, NOON, ())
    assert str(now).startswith("10 of 10 left (10 a calendar day in Asia/Seoul).")
    assert str(room(Quota(10, zone="UTC"), [], NOON)) == "10 of 10 left (10 a calendar day in UTC)."


def test_a_day_is_the_contests_not_ours():
    assert room(MAIC, sent(11.9, 12.1, 0.5), NOON).used == 2  # midnight in Seoul was 12 h ago
    assert room(Quota(10, zone="UTC"), sent(2.9, 3.1), NOON).used == 1


def test_refusals_and_what_was_not_sent_cost_nothing():
    for outcome, used in [("accepted", 1), ("unknown", 1), ("refused", 0), ("not sent", 0)]:
        assert room(MAIC, sent(1, outcome=outcome), NOON).used == used


def test_a_full_day_says_when_the_next_slot_is_free():
    now = room(MAIC, sent(*range(1, 11)), NOON)
    assert (now.left, now.used) == (0, 10)
    assert now.next_free == datetime(2026, 11, 21, 15, tzinfo=timezone.utc)
    assert "0 of 10 left" in str(now) and "free at 2026-11-22 00:00 (Asia/Seoul)" in str(now)


def test_what_the_server_said_outranks_the_count():
    now = room(MAIC, sent(3, 2, left=4), NOON)  # teammates sent four more
    assert (now.left, now.used) == (4, 6)
    now = room(MAIC, sent(*range(1, 11), left=2, limit=20), NOON)  # more than the rule knew
    assert (now.left, now.limit) == (2, 20)
    words = "2 of 20 left by the server's count (the rule given here: 10 a calendar day in Asia/"
    assert str(now).startswith(words)
    refused = sent(1, outcome="refused", left=0)
    assert room(MAIC, refused, NOON).left == 0


def test_what_was_sent_since_the_server_spoke_is_taken_off():
    later = Entry({}, NOON, NOON, "unknown", None, None, 90, None)
    assert room(MAIC, [*sent(1, left=4), later], NOON).left == 3
    not_sent = Entry({}, NOON, NOON, "not sent", None, None, 90, 91)
    assert room(MAIC, [*sent(1, left=4), not_sent], NOON).left == 4


def test_answers_that_crossed_count_by_the_smaller():
    first = Entry({}, NOON, NOON, "accepted", 9, 10, opened=1, closed=4)
    second = Entry({}, NOON, NOON, "accepted", 8, 10, opened=2, closed=3)
    assert room(MAIC, [first, second], NOON).left == 8


def test_a_slot_that_the_server_gave_back_counts():
    assert room(MAIC, [*sent(2, left=0), *moved(sent(1, left=3))], NOON).left == 3


def moved(entries):
    """The same, further down in the ledger."""
    for entry in entries:
        entry.opened, entry.closed = entry.opened + 50, entry.closed + 50
    return entries


def test_what_the_server_said_yesterday_is_forgotten():
    assert room(MAIC, sent(13, left=0), NOON).left == 10


def test_one_an_hour_is_a_gap():
    assert room(HOURLY, [], NOON).left == 1
    now = room(HOURLY, sent(0.25), NOON)
    assert now.left == 0 and now.next_free == NOON + timedelta(minutes=45)
    assert "1 in any 1:00:00" in str(now) and "2026-11-21 03:45 (UTC)" in str(now)
    assert room(HOURLY, sent(1.01), NOON).left == 1


def test_a_rolling_window_frees_its_oldest_slot():
    now = room(Quota(3, window_s=86400), sent(23, 20, 5, 2), NOON)
    assert now.left == 0 and now.next_free == NOON + timedelta(hours=4)


def test_what_a_rolling_reading_would_say_is_a_note():
    (note,) = room(MAIC, sent(*[14 + k / 10 for k in range(10)]), NOON).notes
    assert "10 were sent within 24 hours: if the contest counts" in note
    assert "the next is free at 2026-11-21 21:06 (Asia/Seoul)" in note
    assert room(MAIC, sent(*[14 + k / 10 for k in range(9)]), NOON).notes == ()


def test_a_clock_that_moved_back_is_said_and_counts_as_now():
    now = room(MAIC, sent(-24), NOON)
    assert now.used == 1 and "The clock moved back" in now.notes[0]
    assert "newest time is 2026-11-22 12:00" in now.notes[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"limit": 0, "zone": "UTC"}, "expected a limit of at least 1"),
        ({"limit": 1}, "one of the two"),
        ({"limit": 1, "zone": "UTC", "window_s": 5}, "one of the two"),
        ({"limit": 1, "window_s": 0}, "seconds above 0"),
        ({"limit": 1, "zone": "UTC", "idle_days": 0}, "days above 0"),
        ({"limit": 1, "zone": "Asia/Soul"}, r"unknown zone 'Asia/Soul'.*'\+09:00'"),
        ({"limit": 1, "zone": "+99:00"}, "unknown zone"),
        ({"limit": 1, "zone": "../../etc/passwd"}, "unknown zone"),
    ],
)
def test_a_rule_that_is_none_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        mk.Quota(**options)


@pytest.mark.parametrize(
    ("quota", "moment", "first", "end"),
    [
        (Quota(1, zone="+09:00"), "2026-11-20T14:59:59", "2026-11-19T15:00", "2026-11-20T15:00"),
        (Quota(1, zone="+09:00"), "2026-11-20T15:00", "2026-11-20T15:00", "2026-11-21T15:00"),
        (HOURLY, "2026-11-20T15:00", "2026-11-20T14:00:00.000001", "2026-11-20T16:00"),
    ],
)
def test_a_day_and_a_window_end_when_they_should(quota, moment, first, end):
    first, moment, end = (datetime.fromisoformat(f"{t}+00:00") for t in (first, moment, end))
    assert span_of(quota, moment) == (first, end) and first <= moment < end
    assert span_of(quota, moment.astimezone(quota.tz())) == (first, end)


@pytest.mark.parametrize(
    ("zone", "noon", "first", "end"),
    [
        ("America/New_York", "2026-03-08T17", "2026-03-08T05", "2026-03-09T04"),  # 23 hours
        ("America/New_York", "2026-11-01T17", "2026-11-01T04", "2026-11-02T05"),  # 25 hours
        ("America/Sao_Paulo", "2018-11-04T14", "2018-11-04T03", "2018-11-05T02"),  # no midnight
        ("America/Havana", "2026-11-01T17", "2026-11-01T04", "2026-11-02T05"),  # midnight twice
    ],
)
def test_a_day_is_whole_where_clocks_change(zone, noon, first, end):
    zoneinfo = pytest.importorskip("zoneinfo")
    if zone not in zoneinfo.available_timezones():
        pytest.skip(f"no {zone} here")
    quota = Quota(10, zone=zone)
    noon, first, end = (datetime.fromisoformat(f"{t}:00+00:00") for t in (noon, first, end))
    before = first - timedelta(microseconds=1)
    assert span_of(quota, noon) == span_of(quota, first) == (first, end)
    assert span_of(quota, before)[1] == first and span_of(quota, end)[0] == end
    sent_at = [Entry({}, at, at, "accepted", None, None, 1, 2) for at in (before, first)]
    day = room(quota, sent_at, end - timedelta(seconds=1))
    assert day.used == 1 and room(quota, sent_at, end).used == 0
    full = room(Quota(1, zone=zone), sent_at, noon)
    assert full.next_free == end and full.next_free.tzinfo is timezone.utc


def test_an_offset_is_a_zone():
    assert room(Quota(1, zone="+09:00"), sent(11.9), NOON).left == 0
    assert room(Quota(1, zone="-05:00"), sent(11.9), NOON).next_free.hour == 5


def test_what_is_left_can_be_asked_without_sending(monkeypatch, tmp_path):
    monkeypatch.setenv("MEDKIT_CREDENTIALS", str(tmp_path / "none.json"))
    for name in ("URL", "TEAM"):
        monkeypatch.delenv(f"MEDKIT_{name}", raising=False)
    with pytest.raises(RuntimeError, match="no address or no team"):
        mk.quota_left()
    monkeypatch.setenv("MEDKIT_URL", "https://host")
    monkeypatch.setenv("MEDKIT_TEAM", "7")
    assert mk.quota_left().left == 10 and not ledger_path().exists()


def test_a_slot_of_days_ago_that_was_never_answered_costs_nothing_today():
    (said,) = sent(1, left=1)
    lost = Entry(
        {}, NOON - timedelta(days=5), NOON - timedelta(days=5), "unknown", None, 10, 0, None
    )
    assert room(MAIC, [lost, said], NOON).left == 1


def test_what_was_sent_before_midnight_and_answered_after_is_of_both_days():
    midnight = datetime(2026, 11, 20, 15, tzinfo=timezone.utc)  # in Seoul
    late = timedelta(seconds=20)
    over = Entry({}, midnight - late, midnight + late, "accepted", 0, 10, 1, 2)
    now = room(MAIC, [over], midnight + 2 * late)
    assert (now.left, now.used) == (9, 1)  # the server's "0 left" was said of yesterday
    assert room(HOURLY, [over], midnight + timedelta(minutes=59, seconds=50)).left == 1


MIDNIGHT = datetime(2026, 11, 20, 15, tzinfo=timezone.utc)  # of the 21st in Seoul
SECOND = timedelta(seconds=1)


def test_a_clock_that_is_fast_at_midnight_blocks_no_day():
    """Sent at 23:59:55 by the server's clock, which had nothing left; ours was ten seconds on."""
    ours, servers = MIDNIGHT + 5 * SECOND, MIDNIGHT - 5 * SECOND
    for told in (servers, None):  # a server that says what time it is, and one that does not
        last = Entry({}, ours, ours, "accepted", 0, 10, 1, 2, server_time=told)
        now = room(MAIC, [last], NOON)
        assert (now.left, now.used) == ((10, 0) if told else (9, 1))
        assert room(Quota(1, zone="Asia/Seoul"), [last], NOON).left == (1 if told else 0)


def test_the_day_is_that_of_the_servers_clock():
    ours = MIDNIGHT + 5 * SECOND
    last = Entry({}, ours, ours, "accepted", 0, 10, 1, 2, server_time=ours - 10 * SECOND)
    early, late = room(MAIC, [last], ours + SECOND), room(MAIC, [last], ours + 6 * SECOND)
    assert (early.left, late.left) == (0, 10)
    assert "free at 2026-11-21 00:00" in str(early)


def test_what_is_said_early_in_a_day_by_a_server_with_a_clock_is_believed():
    early = MIDNIGHT + 30 * SECOND
    last = Entry({}, early, early, "accepted", 3, 10, 1, 2, server_time=early)
    assert room(MAIC, [last], NOON).left == 3


def test_a_clock_that_is_wrong_by_hours_has_days_of_its_own():
    """Both sides are counted by it, as nobody knows when it is set right."""
    for hours in (1, 9):
        times = [MIDNIGHT - timedelta(hours=hours + k / 10) for k in range(1, 11)]
        facts = [
            Entry({}, t, t, "accepted", None, 10, k, k + 1, server_time=t + timedelta(hours=hours))
            for k, t in enumerate(sorted(times))
        ]
        assert room(MAIC, facts, MIDNIGHT + SECOND).left == 10


def test_a_clock_that_was_wrong_by_hours_is_not_believed_to_be_so_for_ever():
    """Ten were sent, by a clock that has been set right since."""
    for hours in (-3, 3):
        sent_at = NOON - timedelta(hours=1)
        facts = [
            Entry(
                {},
                sent_at,
                sent_at,
                "accepted",
                9 - k,
                10,
                2 * k,
                2 * k + 1,
                server_time=sent_at + timedelta(hours=hours),
            )
            for k in range(10)
        ]
        later = NOON + timedelta(hours=4)
        assert room(MAIC, facts, later).left == 0
        assert room(MAIC, facts, NOON + timedelta(hours=20)).left == 10


def test_an_intent_that_was_settled_counts_once():
    lost = Entry({}, NOON, NOON, "accepted", None, None, 1, 2, is_settled=True)
    told = Entry({}, NOON, NOON, "accepted", 8, 10, 3, 4)
    assert room(MAIC, [lost, told], NOON + SECOND).left == 8


def test_a_rule_against_idle_teams_is_told_from_the_ledger():
    assert "can remove a team that sends nothing for 3 days, and this ledger knows of nothing" in (
        str(room(MAIC, [], NOON))
    )
    now = room(MAIC, [*sent(40), *sent(30, outcome="refused"), *sent(26, outcome="unknown")], NOON)
    assert "by this ledger the next is due before 2026-11-22 20:00 (Asia/Seoul)" in str(now)
    assert "remove" not in str(room(MAIC, sent(1), NOON))  # one was sent today
    assert "remove" not in str(room(Quota(10, zone="UTC"), sent(40), NOON))
    hourly = Quota(1, window_s=3600, idle_days=0.5)
    assert "nothing for 0.5 days: by this ledger" in str(room(hourly, sent(9), NOON))
