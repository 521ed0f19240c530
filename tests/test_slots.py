from __future__ import annotations

import os
import time
from datetime import datetime, timedelta, timezone

import pandas as pd
import pytest
from small_runs import QUIET, TWO_EPOCHS

import medkit as mk
from medkit.training import slots
from medkit.training.slots import check_open, clock_of, left_s, moment

SEOUL = timezone(timedelta(hours=9))
NOW = datetime(2026, 11, 27, 17, 55, tzinfo=SEOUL)


@pytest.fixture
def in_seoul(monkeypatch):
    monkeypatch.setenv("TZ", "KST-9")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("until", "found"),
    [
        ("17:50", "2026-11-27 17:50:00+09:00"),  # five minutes ago: that slot is over
        ("11:56", "2026-11-27 11:56:00+09:00"),
        ("11:55", "2026-11-28 11:55:00+09:00"),  # six hours ago: tomorrow's
        ("17:56:30", "2026-11-27 17:56:30+09:00"),
        ("23:59", "2026-11-27 23:59:00+09:00"),
        (" 6:05 ", "2026-11-28 06:05:00+09:00"),
        ("09:30Z", "2026-11-27 09:30:00+00:00"),
        ("18:10-05:00", "2026-11-27 18:10:00-05:00"),
        ("2026-12-01 17:50", "2026-12-01 17:50:00+09:00"),
        ("2026-12-01T17:50:00+00:00", "2026-12-01 17:50:00+00:00"),
        (datetime(2026, 12, 1, 8), "2026-12-01 08:00:00+09:00"),
        (NOW.astimezone(timezone.utc), "2026-11-27 08:55:00+00:00"),
        (pd.Timestamp("2026-12-01 08:00"), "2026-12-01 08:00:00+09:00"),
        (None, "None"),
    ],
)
def test_a_time_of_day_is_the_next_one_unless_its_slot_is_just_over(in_seoul, until, found):
    assert str(moment(until, NOW)) == found


def test_a_slot_goes_over_midnight(in_seoul):
    late = datetime(2026, 11, 28, 0, 10, tzinfo=SEOUL)
    assert str(moment("23:50", late)) == "2026-11-27 23:50:00+09:00"
    assert str(moment("00:30", NOW.replace(hour=23))) == "2026-11-28 00:30:00+09:00"


@pytest.mark.parametrize("until", ["", "soon", "25:00", "17:5", "5 pm", "17", 17.5, "2026-13-01"])
def test_what_is_no_time_is_refused(until):
    with pytest.raises(ValueError, match=r"until=.* is no time \(expected such as '17:50'"):
        moment(until)


def test_a_time_is_shown_as_it_is_meant(in_seoul):
    assert clock_of(moment("17:50", NOW)) == "17:50"
    assert clock_of(moment("09:30Z", NOW)) == "09:30 (UTC+0000)"
    assert left_s(None) == float("inf") and check_open(None) is None
    soon = datetime.now(timezone.utc) + timedelta(minutes=5)
    assert 290 < left_s(soon) <= 300 and check_open(soon) is None


def test_a_slot_that_is_over_is_refused_before_anything_is_written(cases, tmp_path):
    over = datetime.now() - timedelta(minutes=5)
    for begin in (mk.fit, mk.start):
        with pytest.raises(ValueError, match=r"until=\d\d:\d\d is over \(this machine's clock"):
            begin(TWO_EPOCHS, cases, tmp_path / "run", until=over, num_workers=0, device="cpu")
    assert not os.listdir(tmp_path)


def test_a_run_that_is_finished_needs_no_slot(cases, tmp_path):
    run = mk.fit(TWO_EPOCHS, cases, tmp_path / "run", until="2099-01-01 00:00", **QUIET)
    assert "until 00:00 by this machine's clock" in (run.path / "log.txt").read_text()
    over = datetime.now() - timedelta(minutes=5)
    assert mk.fit(TWO_EPOCHS, cases, run.path, until=over, **QUIET).state == "finished"


def test_a_slot_over_a_change_of_summer_time_is_as_long_as_it_is(monkeypatch):
    zoneinfo = pytest.importorskip("zoneinfo")
    try:
        zone = zoneinfo.ZoneInfo("America/New_York")
    except zoneinfo.ZoneInfoNotFoundError:
        pytest.skip("this machine knows no zones")

    class Then(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2027, 3, 14, 1, 30, tzinfo=zone).astimezone(tz)

    monkeypatch.setattr(slots, "datetime", Then)
    assert left_s(datetime(2027, 3, 14, 7, 0, tzinfo=zone)) == 4.5 * 3600
