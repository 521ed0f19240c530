"""Sixty answers that a server might give with HTTP 200: half Korean, half of success."""

from __future__ import annotations

import unicodedata

import pytest

from medkit.submission.wording import left_today, outcome_of, says_unspent

ACCEPTED = [
    "용감한팀 홍길동님 제출이 완료되었습니다. 남은 일일 제출 횟수는 8회/10회 입니다.",
    "실패팀 홍길동님 제출이 완료되었습니다. 남은 일일 제출 횟수는 0회/10회 입니다.",
    "이미 없음팀 오류님, 제출이 완료되었습니다.",
    "제출이 완료됐습니다.",
    "제출을 완료하였습니다!",
    "제출을 완료했습니다",
    "제출 완료되었습니다.",
    "제출이 정상적으로 완료되었습니다.",
    "제출이 성공적으로 완료되었습니다. 점수는 잠시 후 반영됩니다.",
    "제출이   완료 되었습니다 .",
    "제 출 이 완 료 되 었 습 니 다.",
    "결과: 제출이 완료되었습니다 (남은 횟수 3회)",
    "<p>제출이 <b>완료되었습니다</b>.</p>",
    "submission_not_final.csv 제출이 완료되었습니다. 채점 대기 중입니다.",
    "제출이\u200b 완료되었습니다.\n다음 제출은 한 시간 뒤에 가능합니다.",
    "Submission completed.",
    "Submission accepted",
    "Submission successful!",
    "Your submission has been accepted.",
    "Your submission was successfully completed; 3 of 10 are left today.",
    "SUBMISSION COMPLETE",
    "The submission is complete. Scoring takes a minute.",
    "Entry accepted: see the leaderboard.",
    "File accepted. Scores are shown at midnight.",
    "The file has been successfully accepted.",
    "Successfully submitted.",
    "Your file was submitted successfully.",
    "Submission accepted, thank you",
    "Submission\u00a0accepted. Scoring is pending.",
    "Submission successful. Team 'No Fail' is now first.",
]
OTHERWISE = [
    ("refused", "제출이 완료된 것이 아닙니다."),
    ("refused", "제출이 완료 실패"),
    ("unknown", "제출이 완료되기 전에 오류가 발생했습니다."),
    ("refused", "이미 오늘의 제출이 완료되어 더 제출할 수 없습니다."),
    ("refused", "제출이 완료되지 않았습니다."),
    ("unknown", "아직 제출이 완료되지 않았습니다. 잠시만 기다려 주세요."),
    ("unknown", "제출이 완료되었습니다만 채점에 실패했습니다."),
    ("unknown", '"제출이 완료되었습니다." 라는 문구가 나올 때까지 창을 닫지 마세요.'),
    ("unknown", "제출이 완료되었습니다 라고 표시되면 성공입니다."),
    ("unknown", "제출이 완료되었습니다. 그러나 파일이 무효 처리되었습니다."),
    ("refused", "오늘의 제출 횟수를 초과했습니다."),
    ("unknown", "제출이 완료되면 이메일로 알려 드립니다."),
    ("unknown", "이미 제출이 완료되었습니다."),
    ("unknown", "파일에 문제가 없습니다. 접수되었습니다."),
    ("unknown", "제출이 완료되었습니다. 채점 중 오 류 발생, 실 패"),
    ("refused", "Your submission was not accepted."),
    ("refused", "Submission unsuccessful."),
    ("refused", "Submission failed: wrong columns."),
    ("unknown", "Submission completed with errors."),
    ("unknown", "An error occurred before the submission completed."),
    ("refused", "You have already submitted this file."),
    ("unknown", "Submission accepted? See the leaderboard."),
    ("unknown", "Once your submission is accepted, it is scored."),
    ("unknown", "If the submission was accepted, you get an e-mail."),
    ("refused", "Daily limit exceeded; the submission is rejected."),
    ("unknown", "Wait for 'Submission accepted' before you close this page."),
    ("unknown", "Your last submission was accepted on Monday."),
    ("unknown", "Submission is incomplete."),
    ("unknown", "Thank you! Saved."),
    ("refused", "Couldn't submit: the file is denied."),
]


def test_there_are_sixty_answers_and_half_of_them_are_korean():
    words = ACCEPTED + [words for _, words in OTHERWISE]
    korean = [text for text in words if any("가" <= char <= "힣" for char in text)]
    assert (len(words), len(set(words)), len(korean)) == (60, 60, 30)


@pytest.mark.parametrize("words", ACCEPTED)
def test_success_is_accepted(words):
    assert outcome_of(words) == "accepted"
    assert outcome_of(unicodedata.normalize("NFD", words)) == "accepted"  # as a Mac would


@pytest.mark.parametrize(("outcome", "words"), OTHERWISE)
def test_nothing_else_is_taken_for_success(outcome, words):
    assert outcome_of(words) == outcome
    assert outcome_of(unicodedata.normalize("NFD", words)) == outcome


@pytest.mark.parametrize("words", ACCEPTED)
@pytest.mark.parametrize("back", ["그러나 실패했습니다.", "It is not valid.", "오류: 42", "Error."])
def test_another_clause_takes_success_back(words, back):
    assert outcome_of(f"{words}\n{back}") == outcome_of(f"{back}\n{words}") == "unknown"


def test_a_contest_may_say_it_in_its_own_words(monkeypatch):
    words = "접수했습니다. 오류 없음!"
    assert outcome_of(words) == "unknown"
    assert outcome_of(words, "접수했습니다. 오류 없음") == "accepted"
    assert outcome_of(words, ["Thank you", "접수했습니다.  오류 없음."]) == "accepted"
    assert outcome_of("미접수했습니다. 오류 없음!", "접수했습니다. 오류 없음") == "unknown"
    assert outcome_of(words + " 저장에 실패했습니다.", "접수했습니다. 오류 없음") != "accepted"
    assert outcome_of("제출이 완료된 것이 아닙니다.", "제출이 완료") == "refused"  # no sentence
    monkeypatch.setenv("MEDKIT_SUCCESS", "Well done | 접수했습니다. 오류 없음")
    assert outcome_of(words) == outcome_of("well done!") == "accepted"
    assert outcome_of("Not well done!") == "unknown"


def test_what_is_left_is_read():
    assert (
        left_today(ACCEPTED[0]) == (8, 10) and left_today("제출이 완료되었습니다.") == (None,) * 2
    )


def test_a_server_that_fails_may_say_that_it_cost_nothing():
    assert says_unspent("서버의 디스크가 가득 찼습니다. 제출 횟수는 차감되지 않았습니다.")
    assert says_unspent("The server cannot write now; no submission was used.")
    assert not says_unspent("오류가 발생했습니다.")
