"""What a contest's server says in words: accepted, refused, or neither for sure.

Only one contest's wording is known, so nothing is guessed. Success is a sentence that says so and
no more, and on which nothing else in the message casts doubt. A refusal is a sentence that says so,
and beside which nothing sounds like success. Everything else is unknown.
"""

from __future__ import annotations

import html
import os
import re
import unicodedata
from typing import Sequence

LONGEST = 2000  # characters: nothing longer is a plain word
LEFT = re.compile(r"남은 일일 제출 횟수는\s*(\d{1,6})회\s*/\s*(\d{1,6})회")
MARKUP = re.compile(
    r"(?s)<!--.*?-->|<(script|style|template|del|s)\b[^<>]*>.*?</\1\s*>|</?[a-z][^<>]*>"
)
NAME = r"(?:(?!제출)[^\s:;,/\[\](){}<>.!?。-]){1,30}"
TEAM = re.compile(rf"^{NAME}(?: {NAME})?? ?팀 {NAME}(?: {NAME})?? ?님[의이]?[ ,:]+(?=\S)")
FILE = re.compile(r"(?<![\w.-])[\w.-]{1,120}\.csv\b")
QUOTED = re.compile(
    r"\"[^\"]*(?:\"|$)|“[^”]*(?:”|$)|„[^“]*(?:“|$)|‘[^’]*(?:’|$)|「[^」]*」|『[^』]*』|《[^》]*》"
    r"|〈[^〉]*〉|【[^】]*】|\[[^\]]*\]|«[^»]*»|‹[^›]*›|`[^`]*`|\*[^*]*\*|(?<!\w)'[^']*'(?!\w)"
)
SENTENCE = re.compile(r"(?<=[.!?。])(?!\d|\w*\.\w)\s*|\n+")


def _spaced(pattern: str) -> str:
    """The pattern with spaces allowed after each Korean syllable."""
    return re.sub("([가-힣])", r"\1 *", pattern)


ACCEPTED = re.compile(
    r"[ ✅🎉]*(?:(?:〃|결과|알림|안내|최종|파일|귀하의|\w{1,20}님(?:의|이)?|성공)[ ,:!-]*)*"
    + r"(?<![가-힣])(?:"
    + _spaced(
        "제출(?:이|을)?(?:정상적으로|성공적으로|정상|모두)?완료(?:되었|되셨|됐|하였|하셨|했)습니다"
    )
    + _spaced("|(?:정상적으로|성공적으로)제출(?:되었|됐)습니다|제출에성공(?:하였|했)습니다")
    + r")(?:[ ,;(]*(?:남은|잔여|오늘|총|점수는|채점은|다음 제출)[^:=]*)?"
    r"|(?:(?:ok|success|great|thanks?|thank you|congratulations|done|〃)[ ,:!-]+)*"
    r"(?:(?:your|the|this) )?(?:"
    r"(?:submission|entry)(?: has(?: now)? been| was| is)?(?: now)?(?: successfully)? "
    r"(?:complete|completed|accepted|successful)|submission succeeded"
    r"|file(?: has(?: now)? been| was| is)?(?: successfully)? (?:accepted|submitted successfully)"
    r"|successfully submitted|submission submitted successfully)"
    r"(?:[,;:(-]+ *(?:thank|see|score|scoring|good luck|you have|\d+ of|\d+/)[^:=]*"
    r"| and (?:will be|is being) scored)?"
)
REPORTED = re.compile(r"(?:이?라(?:고|는|면|며|더|지)|하고|문구|메시지)")  # what follows words said
DOUBTS = re.compile(  # in Korean, with or without spaces; then in English, also inside words
    r"실패|거절|거부|반려|기각|불가|초과|이미|아닙|아니|않|못|없[습음어다는]|취소|철회|무효|무시|중복"
    r"|보류|제외|오류|에러|예외|문제가?발생|손상|실격|삭제|롤백|비어있|다시제출해|재제출(?:해|하십|바랍)"
    r"|부적합|회수|만료|누락|비정상|중단|차단|미완료|반송|로그인|눌러(?:야|주)|불합격|탈락|틀[린렸]"
    r"|안[됐되된됨]|경고|장애|폐기|마감되|지났|종료되|종료됐|올바르지|불일치|임시|거짓|걸렸"
    r"|fail|err(?:or|_)|exception|reject|refus|denied|declin|invalid|already|exceed|duplicate|unable"
    r"|ignored|discard|abort|wrong|disqualif|delet|expire|corrupt|roll(?:ed)? ?back|resubmit|again"
    r"|problem|warning|missing|closed|revoke|skipped|unauthori|forbidden|http [45]\d\d|mismatch"
    r"|incomplete|unsuccess|timed? ?-?out|cancel|withdrawn|void(?![a-z])|draft|partial|lacks|passed"
    r"|(?<![a-z])(?:not|cannot|never|nothing|none|neither|but|however|unless|until)(?![a-z])"
    r"|(?<![a-z])no(?![a-z]|\. ?\d)"
    r"|(?:is|was|are|were|do|does|did|could|ca|has|have|wo)n['’ʼ`]?t(?![a-z])"
)
REFUSED = re.compile(
    r"제출(?:에|을|이|은)? ?(?:완료)? ?(?:에|이)? ?실패(?:했습니다|하였습니다|되었습니다)?\W*$"
    r"|제출이? ?(?:완료|접수|등록)?되지 않았습니다|제출이 완료된 것이 아닙니다"
    r"|(?:제출|파일)(?:이|은|는|을)? ?(?:거절|거부|반려)(?:되었|됐|하였|했)습니다"
    r"|횟수(?:를|가)? ?(?:모두 ?)?(?:초과|사용)(?:되었|됐|하였|했)습니다"
    r"|(?:더|더 이상|이미)[^.]*제출할 수 없습니다|이미 제출(?:한|된|하신) 파일입니다"
    r"|(?:submission|file|entry) (?:(?:was|is|has been) )?(?:not accepted|rejected|refused|denied"
    r"|declined|unsuccessful|failed|not valid|invalid|not submitted)"
    r"|limit (?:is |was |has been )?(?:exceeded|reached)|already submitted this file"
)
MAYBE = re.compile(  # may be a success in other words, is still going on, or is no statement
    r"완료(?! ?(?:되지|된 것이|되어|실패| 실패))|성공|접수(?!되지)|등록|저장|업로드|전송|받았|점수"
    r"|순위|축하|감사|채점|처리|제출(?:되었|됐|하셨|했)습니다|않(?!았습니다|습니다)|아니|실패하지|거절되지"
    r"|초과하지|아직|대기|진행|오류|에러|예외|시간 ?초과|면(?![가-힣])|경우|여부|수도|수 있|했을"
    r"|[?]|(?<!not )(?<!unsuccess)(?<![a-z])(?:accepted|success|successful|successfully|complete"
    r"|completed|received|saved|sent|uploaded|done|ok|scores?|scored|thanks?)(?![a-z])"
    r"|(?<![a-z])(?:if|when|once|unless|may|might|should|will|would|could|yet|pending|queue|queued"
    r"|processing|retry|retrying|did|does|errors?|exception|confirm|status|determine)(?![a-z])"
    r"|time-?out|timed out"
)
UNSPENT = re.compile(r"차감 ?(?:되|하)지 ?않|(?<![a-z])no submissions? (?:was|were) (?:used|spent)")


def outcome_of(message: str, success: str | Sequence[str] = ()) -> str:
    """ "accepted", "refused" or "unknown": what a server's words mean.

    Args:
        success: whole sentences that this contest's server says of an accepted file; those of
            `MEDKIT_SUCCESS`, with a | between two, count as well.

    Example:
        >>> outcome_of("용감한팀 홍길동님 제출이 완료되었습니다.")
        'accepted'
        >>> outcome_of("이미 오늘의 제출이 완료되어 더 제출할 수 없습니다.")
        'refused'
    """
    if len(message) > LONGEST:
        return "unknown"
    text, says_own = _without_own(_plain(message), success)
    sentences = _sentences(QUOTED.sub("〃", text))
    is_success = says_own or any(
        _is_statement(s) and ACCEPTED.fullmatch(_bare(s)) for s in sentences
    )
    seen = unicodedata.normalize("NFC", message.lower())
    marks = " ".join(found.group(0) for found in MARKUP.finditer(seen))
    if is_success and not _is_doubtful(f"{text}\n{marks}", sentences):
        return "accepted"
    is_refusal = any(REFUSED.search(_bare(s)) for s in sentences)
    return "refused" if is_refusal and not (is_success or MAYBE.search(text)) else "unknown"


def says_unspent(message: str) -> bool:
    """Whether a server that failed says that it cost no submission."""
    return UNSPENT.search(_plain(message)) is not None


def left_today(words: str) -> tuple[int | None, int | None]:
    """How many submissions the server says are left, and of how many.

    Source: the wording of MAIC's Sleep AI Challenge, 2021.
    """
    found = LEFT.search(words)
    return (int(found.group(1)), int(found.group(2))) if found else (None, None)


def _plain(text: str) -> str:
    """Words to be judged: as a person sees them, without names of teams and files."""
    text = MARKUP.sub(" ", html.unescape(text[:LONGEST]).lower()).replace("´", "'")
    text = unicodedata.normalize("NFKC", text).replace("\u0307", "")  # of a Turkish capital I
    text = "".join(char for char in text if unicodedata.category(char) != "Cf")  # no width
    text = re.sub(r"[^\S\n]+", " ", text).strip()
    return FILE.sub("〃", TEAM.sub("", text))


def _sentences(text: str) -> list[str]:
    return [part.strip() for part in SENTENCE.split(text) if part and part.strip()]


def _is_statement(sentence: str) -> bool:
    return not sentence.rstrip(" )").endswith("?")


def _bare(sentence: str) -> str:
    """A sentence without its end, and without a remark in brackets that closes it."""
    return sentence.rstrip(" .!~)^✅🎉")


def _is_doubtful(text: str, sentences: Sequence[str]) -> bool:
    """Whether anything takes a success back, however its letters are spaced."""
    squeezed = re.sub(r"(?<=[가-힣])[\s·\u119e_-]+(?=[가-힣])", "", text)  # as some write: 실 패
    letters = re.sub(r"(?<=\b[a-z]) (?=[a-z]\b)", "", text)  # f a i l e d
    forms = (text, squeezed, letters)
    is_reported = any(REPORTED.match(sentence) for sentence in sentences)
    return is_reported or "?" in text or any(DOUBTS.search(form) for form in forms)


def _without_own(text: str, success: str | Sequence[str]) -> tuple[str, bool]:
    """The text without the sentences of success that a person named, and whether one was there."""
    named = [success] if isinstance(success, str) else list(success)
    named += os.environ.get("MEDKIT_SUCCESS", "").split("|")
    is_there = False
    for words in named:
        sentence = _plain(words).strip("\"' ").rstrip(".! ")
        if not re.search(r"[^\W\d_〃]", sentence):  # nothing that could be said
            continue
        whole = rf"(^|[.!?\n] *){re.escape(sentence)}(?= *(?:[.!\n]|$))"
        text, count = re.subn(whole, r"\1〃", text)
        is_there = is_there or count > 0
    return text, is_there
