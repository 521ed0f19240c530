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
    "Your submission has been accepted and will be scored.",
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


ATTACKS = [  # found by an attack on the judge: none may be accepted
    *("If all columns are present, your submission is accepted.", "Submission accepted: false"),
    *("Wait until you see: Submission accepted.", "Make sure your submission is complete."),
    *("Submission accepted formats are csv and zip.", "Neither submission was accepted."),
    *("Submission complete 40%", "제출이 완료되었습니다 0건", "제출이 완료되었습니다(X)"),
    *('제출이 완료되었습니다. 상태: "실패"', "제출이 완료되었습니다. 채점 결과: <실패>"),
    *(
        "제출 실패: 용감한팀 홍길동님 제출이 완료되었습니다.",
        "[오류] 용감한팀 홍길동님, 제출이 완료되었습니다.",
    ),
    *("용감한팀 제출 실패, 홍길동님 제출이 완료되었습니다.", "제출이 완료되었습니다？"),
    *(
        "파일이 정상이면, 제출이 완료되었습니다.",
        "이전 제출이 완료되었습니다.",
        "미제출이 완료되었습니다.",
    ),
    *(
        "제출이 완료되었습니다 메시지가 나올 때까지 기다리세요.",
        "제출이 완료되었습니다.라는 말이 나오면",
    ),
    *("<!-- <b>제출이 완료되었습니다.</b> --> 마감", "<s>제출이 완료되었습니다.</s>"),
    *("제출이 완료되었습니다. failed인 파일입니다.", "제출이 완료되었습니다. &#49892;&#54056;"),
    *("Submission accepted. upload_failed", "Submission accepted. It isn&#39;t valid."),
    *(
        "Submission accepted. ＦＡＩＬＥＤ",
        "제출이 완료되었습니다. 실-패",
        "Submission accepted. F A I L E D",
    ),
    *("제출이 완료되었습니다. 확인 버튼을 눌러야 확정됩니다.", "임시 제출이 완료되었습니다."),
    *(
        "Draft submission accepted.",
        "Submission accepted. " + "x" * 5000,
        "Submission accepted for review.",
    ),
]
MAYBE = [  # none may be refused: the same bytes would go again
    *(
        "제출되었습니다. 이후 수정할 수 없습니다.",
        "제출에 실패하지 않았습니다.",
        "채점에 실패했습니다.",
    ),
    *("제출에 실패하면 문의해 주세요.", "제출 여부를 확인할 수 없습니다.", "접수 완료: 수정 불가"),
    *("Submitted. You cannot edit it.", "Scoring failed.", "The submission may have failed."),
    *(
        "Your submission has already been accepted.",
        "The file was not rejected.",
        "실패팀이 제출했습니다.",
    ),
    *('"제출이 완료되었습니다." 수정할 수 없습니다.', "Submission failed. Retrying... submitted."),
    *(
        "중복 제출은 거부됩니다.",
        "점수 0.83 (이미 제출한 최고점 0.85)",
        "제출 횟수를 초과하지 않았습니다.",
    ),
]


@pytest.mark.parametrize("words", ATTACKS)
def test_no_attack_is_taken_for_success(words):
    assert outcome_of(words) != "accepted"
    assert outcome_of(unicodedata.normalize("NFD", words)) != "accepted"


@pytest.mark.parametrize("words", MAYBE)
def test_what_may_be_success_is_no_refusal(words):
    assert outcome_of(words) == outcome_of(unicodedata.normalize("NFD", words)) == "unknown"


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
    assert outcome_of("접수했습니다. 라는 문구를 기다리세요.", "접수했습니다") == "unknown"
    assert outcome_of("접수했습니다?", "접수했습니다") == "unknown"
    assert outcome_of("접수했습니다.", '"접수했습니다"') == "accepted"  # as some shells leave it
    assert outcome_of('"rejected". sub.csv', ['"접수"', "sub.csv", "...", '"']) == "unknown"
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
