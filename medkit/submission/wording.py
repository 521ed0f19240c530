"""What a contest's server says in words: accepted, refused, or neither for sure.

Only one contest's wording is known, so nothing is guessed: success is a clause of its own that says
so, and that no other clause takes back; a refusal says so too. Everything else is unknown.
"""

from __future__ import annotations

import os
import re
import unicodedata
from typing import Sequence

LEFT = re.compile(r"남은 일일 제출 횟수는\s*(\d{1,6})회\s*/\s*(\d{1,6})회")
MARKUP = re.compile(r"(?is)<(script|style)\b.*?</\1\s*>|<[^>]*>")
TEAM = re.compile(r"^(?:(?!니다|[.!?]\s).){1,80}?팀\s(?:(?!니다|[.!?]\s).){1,80}?님[\s,:]+")
FILE = re.compile(r"[\w-]+(\.[\w-]+)*\.csv\b")
QUOTED = re.compile(
    r"\"[^\"]*\"|“[^”]*”|‘[^’]*’|「[^」]*」|『[^』]*』|《[^》]*》|«[^»]*»|`[^`]*`|(?<!\w)'[^']*'(?!\w)"
)
ENDS = ".!?;:,。！？"
CLAUSE = re.compile(rf"(?<=[{ENDS}])(?=\s)|\n")


def _spaced(pattern: str) -> str:
    """The pattern with spaces allowed after each Korean syllable."""
    return re.sub("([가-힣])", r"\1\\s*", pattern)


DONE = re.compile(
    _spaced("제출(?:이|을)?(?:정상적으로|성공적으로)?완료(?:되었|됐|하였|했)습니다")
    + r"(?![가-힣]|\s*\?)(?!\s+(?:라고|라는|라면|이라|란|가|고|는|만)(?![가-힣]))"  # a quotation
    r"|\b(?:submission|entry)\s+(?:(?:has\s+been|was|is)\s+)?(?:now\s+)?(?:successfully\s+)?"
    r"(?:complete|completed|accepted|successful)\b(?!\s*\?)"
    r"|\bfile\s+(?:(?:has\s+been|was|is)\s+)?(?:successfully\s+)?accepted\b(?!\s*\?)"
    r"|\bsuccessfully\s+submitted\b(?!\s*\?)|\bsubmitted\s+successfully\b(?!\s*\?)"
)
IF = re.compile(  # what follows is no statement of what has happened
    r"\b(?:if|when|once|until|till|unless|before|whether|only|must|should|can|could|will|would|may|"
    r"might|wait|please|partially|previous|previously|last|another|other)\b|\bis\s+(?:your|the)\b"
)
WRONG = re.compile(  # it may have the file
    r"오류|에러|예외|시간\s*초과|문제가\s*발생|\b(?:errors?|exceptions?|time-?outs?|timed\s+out)\b"
)
BACK = re.compile(  # takes success back
    r"아닙|아니|않|못|없[습음어다]|취소|무효|중복|보류|제외"
    r"|\b(?:not|cannot|no|never|nothing|invalid|incomplete|cancell?ed|void|withdrawn)\b|n['’]t\b"
)
REFUSED = re.compile(
    r"실패|거절|거부|반려|불가|초과|이미|수\s*없[습음어]"
    r"|(?:제출|완료|접수|등록|저장|처리)\s*되\s*지\s*(?:않|못)|완료\s*된\s*것이\s*아닙"
    r"|\b(?:fail|fails|failed|failure|unsuccessful|reject|rejected|refused|denied|declined|already|"
    r"exceed|exceeds|exceeded|exceeding|cannot|unable|duplicate)\b"
    r"|\b(?:not|n['’]t)\s+(?:be\s+)?(?:accepted|completed|submitted|received|allowed|valid)\b"
)
UNSURE = re.compile(  # still going on, or taken in words that are not known here
    r"아직|대기|진행\s*중|처리\s*중|(?:완료|접수|등록|저장|업로드|반영)\s*(?:되\s*었|됐|하\s*였|했)"
    r"|감사합니다|\b(?:pending|processing|queued|yet|received|saved|uploaded|stored|thanks?)\b"
)
UNSPENT = re.compile(r"차감\s*(?:되|하)지\s*않|\bno submissions? (?:was|were) (?:used|spent)\b")


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
    text, says_own = _without(_plain(message), success)
    clauses = CLAUSE.split(text)
    is_success = says_own or any(DONE.search(c) and not IF.search(c) for c in clauses)
    squeezed = re.sub(r"(?<=[가-힣])\s+(?=[가-힣])", "", text)  # as some write: 실 패
    doubts = [REFUSED, WRONG, BACK]
    if is_success and not any(words.search(text + "\n" + squeezed) for words in doubts):
        return "accepted"
    is_plain = not (is_success or WRONG.search(text) or UNSURE.search(text))
    return "refused" if is_plain and REFUSED.search(text) else "unknown"


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
    """Words to be judged: without mark-up, names of files and teams, and what is quoted."""
    text = unicodedata.normalize("NFC", MARKUP.sub(" ", text))
    text = "".join(char for char in text if unicodedata.category(char) != "Cf")  # no width
    text = re.sub(r"[^\S\n]+", " ", text.lower()).strip()
    return QUOTED.sub("〃", FILE.sub("〃", TEAM.sub("", text)))


def _without(text: str, success: str | Sequence[str]) -> tuple[str, bool]:
    """The text without the sentences of success that a person named, and whether one was there."""
    named = [success] if isinstance(success, str) else list(success)
    named += os.environ.get("MEDKIT_SUCCESS", "").split("|")
    is_there = False
    for sentence in filter(None, (_plain(words).rstrip(ENDS + " ") for words in named)):
        whole = rf"(^|[{ENDS}\n]\s*){re.escape(sentence)}(?=$|[{ENDS}\n])"
        text, count = re.subn(whole, r"\1〃", text)
        is_there = is_there or count > 0
    return text, is_there
