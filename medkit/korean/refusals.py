"""Why nothing was sent or a file was not accepted, and the form: English to Korean, row by row.

{name} is any text, {name:d} a number; a name of `PARTS` is one of the phrases there.
"""

from __future__ import annotations

REFUSALS = {  # each SubmitError
    "submit: {meaning} (HTTP {status:d}). {settle} The server said: {answer}": (
        "{meaning}(HTTP {status}). {settle} 서버의 답: {answer}"
    ),
    "submit: {meaning} (HTTP {status:d}). The server said: {answer}": (
        "{meaning}(HTTP {status}). 서버의 답: {answer}"
    ),
    "submit: {before} Look at the leaderboard; again=True sends it again and spends a slot.": (
        "{before} 리더보드를 확인하세요. again=True를 주면 다시 보내고 제출 횟수를 한 번 씁니다."
    ),
    "submit: not sent, {room}": "보내지 않았습니다. {room}",
    "If the contest's page shows that there is room, pass over_quota=True.": (
        "대회 페이지에 제출 횟수가 남아 있다면 over_quota=True를 주세요."
    ),
    "submit: the connection to {host} broke after sending ({kind}), so the server may have the "
    "file. {settle}": (
        "파일을 보낸 뒤 {host} 서버와 연결이 끊어졌습니다({kind}). "
        "서버가 파일을 받았을 수도 있습니다. {settle}"
    ),
    "submit: {host} could not be reached ({kind}). Nothing was sent and no slot spent; {advice}": (
        "{host}에 연결하지 못했습니다({kind}). "
        "아무것도 보내지 않았고 제출 횟수도 그대로입니다. {advice}"
    ),
    "submit: no {names} (looked in MEDKIT_* and, for this address, in {path}). Run "
    "mk.save_credentials() once, in a cell of its own: it asks in boxes.": (
        "제출에 필요한 정보가 없습니다: {names} (MEDKIT_* 환경 변수와 {path}에서 찾았습니다). "
        "따로 만든 셀에서 mk.save_credentials()를 한 번 실행하세요. 입력 칸으로 묻습니다."
    ),
    "submit: {names} cannot be sent, being no text in utf-8. Nothing was sent; type it again with "
    "mk.save_credentials(change=True).": (
        "{names}: utf-8로 쓸 수 없는 글자가 있습니다. 아무것도 보내지 않았습니다. "
        "mk.save_credentials(change=True)로 다시 입력하세요."
    ),
    "submit: no ledger can be kept ({why}). Nothing was sent; set MEDKIT_LEDGER to a file that you "
    "may write.": (
        "장부를 쓸 수 없습니다({why}). 아무것도 보내지 않았습니다. "
        "MEDKIT_LEDGER에 쓰기 권한이 있는 파일의 경로를 넣으세요."
    ),
    "submit: requests {version} is installed (expected 2.32.2 or newer, as older ones do not tell "
    "whether anything was sent). Nothing was sent: install a newer one and restart the kernel.": (
        "설치된 requests의 버전이 {version}입니다(2.32.2보다 오래되면 보냈는지 알 수 없습니다). "
        "아무것도 보내지 않았습니다. 새 버전을 설치하고 커널을 다시 시작하세요."
    ),
    "submit: MEDKIT_CA names {path}, which is not a file (expected the network's certificate, "
    "PEM). Correct it; nothing was sent.": (
        "MEDKIT_CA에 적힌 파일이 없습니다: {path} (네트워크의 PEM 인증서여야 합니다). "
        "아무것도 보내지 않았습니다. 경로를 고치세요."
    ),
    "submit: the address has no host that can be read, or more than that (expected https://host). "
    "Correct it with mk.save_credentials(change=True).": (
        "주소에서 호스트를 읽을 수 없거나 다른 것이 섞여 있습니다"
        "(https://host 형식이어야 합니다). mk.save_credentials(change=True)로 고치세요."
    ),
    "submit: the address begins with {scheme} (expected https). Passwords are not sent in the "
    "open; correct it with mk.save_credentials(change=True).": (
        "주소의 앞부분이 {scheme}입니다(https여야 합니다). 비밀번호는 암호화하지 않고 보내지 "
        "않습니다. mk.save_credentials(change=True)로 고치세요."
    ),
    "quota_left: no address or no team. Run mk.save_credentials() once.": (
        "서버 주소나 팀 번호를 아직 모릅니다. mk.save_credentials()를 한 번 실행하세요."
    ),
    "standing: no address is known. Run mk.save_credentials() once.": (
        "서버 주소를 아직 모릅니다. mk.save_credentials()를 한 번 실행하세요."
    ),
    "save_credentials: nobody can be asked here. Call it in a notebook that you run by hand, or "
    "set MEDKIT_URL, MEDKIT_TEAM, MEDKIT_EMAIL, MEDKIT_PASSWORD and MEDKIT_CONTEST_PASSWORD.": (
        "여기서는 물어볼 수 없습니다. 직접 실행하는 노트북에서 부르거나, 환경 변수 MEDKIT_URL, "
        "MEDKIT_TEAM, MEDKIT_EMAIL, MEDKIT_PASSWORD, MEDKIT_CONTEST_PASSWORD를 정하세요."
    ),
    "{path}: belongs to another user (number {number:d}), so its address may be anyone's; it is "
    "not used. Remove it, or set MEDKIT_CREDENTIALS to a file of yours, and run "
    "mk.save_credentials().": (
        "{path}: 다른 사용자(번호 {number})의 파일이라 그 안의 주소를 믿을 수 없어 쓰지 "
        "않았습니다. 파일을 지우거나 MEDKIT_CREDENTIALS에 내 파일의 경로를 넣고 "
        "mk.save_credentials()를 실행하세요."
    ),
    "{path}: others can read it, and it cannot be tightened ({why}). It is not used: set "
    "MEDKIT_CREDENTIALS to a file on another disk, and run mk.save_credentials().": (
        "{path}: 다른 사람이 읽을 수 있는데 권한을 바꿀 수도 없어({why}) 쓰지 않았습니다. "
        "MEDKIT_CREDENTIALS에 다른 디스크의 파일 경로를 넣고 mk.save_credentials()를 실행하세요."
    ),
}
_ROOM = {
    "{left:d} of {limit:d} left ({rule}).": "남은 제출은 {limit}번 중 {left}번입니다({rule}).",
    "{left:d} of {limit:d} left ({rule}); the next is free at {time}.": (
        "남은 제출은 {limit}번 중 {left}번입니다({rule}). 다음 제출은 {time}부터 할 수 있습니다."
    ),
    "{left:d} of {limit:d} left by the server's count (the rule given here: {rule}).": (
        "서버가 센 남은 제출은 {limit}번 중 {left}번입니다(여기서 정한 규칙: {rule})."
    ),
    "{left:d} of {limit:d} left by the server's count (the rule given here: {rule}); the next is "
    "free at {time}.": (
        "서버가 센 남은 제출은 {limit}번 중 {left}번입니다(여기서 정한 규칙: {rule}). "
        "다음 제출은 {time}부터 할 수 있습니다."
    ),
    "The clock moved back: the ledger's newest time is {newest}, and now is {now}. The count may "
    "be wrong; set the clock right.": (
        "시계가 뒤로 갔습니다. 장부의 마지막 시각은 {newest}인데 지금은 {now}입니다. "
        "횟수가 틀릴 수 있으니 시계를 맞추세요."
    ),
    "{count:d} were sent within 24 hours: if the contest counts any 24 hours and not days, the "
    "next is free at {time}.": (
        "24시간 안에 {count}번 보냈습니다. 대회가 날짜가 아니라 24시간 단위로 센다면 "
        "다음 제출은 {time}부터 할 수 있습니다."
    ),
    "The contest can remove a team that sends nothing for {days} days, and this ledger knows of "
    "nothing that was accepted.": (
        "{days}일 동안 제출하지 않은 팀은 대회에서 빠질 수 있습니다. "
        "이 장부에는 접수된 제출이 없습니다."
    ),
    "The contest can remove a team that sends nothing for {days} days: by this ledger the next is "
    "due before {time}.": (
        "{days}일 동안 제출하지 않은 팀은 대회에서 빠질 수 있습니다. "
        "이 장부대로라면 {time} 전에 다시 제출해야 합니다."
    ),
}
_NO_WORD = "the server did not say that it accepted the file: "
_MEANING = {
    "e-mail or password is wrong; run mk.save_credentials(change=True)": (
        "이메일이나 비밀번호가 틀렸습니다. mk.save_credentials(change=True)로 다시 입력하세요"
    ),
    "the contest password is wrong, or the team may not submit; run "
    "mk.save_credentials(change=True) or ask the organisers": (
        "대회 비밀번호가 틀렸거나 제출할 수 없는 팀입니다. "
        "mk.save_credentials(change=True)로 다시 입력하거나 주최 측에 문의하세요"
    ),
    "there is no such team or contest at this address; run mk.save_credentials(change=True)": (
        "이 주소에는 그런 팀이나 대회가 없습니다. mk.save_credentials(change=True)로 고치세요"
    ),
    "the file is too large for the server; send a smaller one": (
        "파일이 너무 커서 서버가 받지 않습니다. 더 작은 파일을 보내세요"
    ),
    "the server refused the file": "서버가 파일을 거절했습니다",
    "the server says that it refused the file": "서버가 파일을 거절했다고 합니다",
    "the server did not say clearly that it accepted the file": (
        "서버의 답만으로는 접수되었는지 분명하지 않습니다"
    ),
    "the answer cannot be read ({why})": "서버의 답을 읽을 수 없습니다({why})",
    "{elsewhere}; correct the URL with mk.save_credentials(change=True)": (
        "{elsewhere}. mk.save_credentials(change=True)로 주소를 고치세요"
    ),
    "{elsewhere}": "{elsewhere}",
    "the server is asked too often; {wait}": "서버에 너무 자주 요청했습니다. {wait}",
    "the day's submissions are used up; wait for the next day": (
        "오늘의 제출 횟수를 다 썼습니다. 내일까지 기다리세요"
    ),
    "the server could not take the file": "서버가 파일을 받지 못했습니다",
    "the server could not take the file; {wait}": "서버가 파일을 받지 못했습니다. {wait}",
    "the server failed and may have the file": (
        "서버에 오류가 났습니다. 파일은 받았을 수도 있습니다"
    ),
    "the server failed and may have the file; {wait}": (
        "서버에 오류가 났습니다. 파일은 받았을 수도 있습니다. {wait}"
    ),
    "the server did not say anything, nor that it accepted the file": (
        "서버가 아무 답도 하지 않아 접수되었는지 알 수 없습니다"
    ),
    _NO_WORD + "its JSON has no message": "서버의 답(JSON)에 접수되었다는 메시지가 없습니다",
    _NO_WORD + "it answered with {kind} (expected the contest's JSON), perhaps a log-in page": (
        "서버가 접수되었다고 하지 않았습니다. 답이 대회의 JSON이 아니라 {kind}입니다. "
        "로그인 페이지일 수도 있습니다"
    ),
}
PARTS = {  # what stands within a sentence, by its name there
    "room": _ROOM,
    "meaning": _MEANING,
    "elsewhere": {
        "the server sends to another address ({host}), which got nothing": (
            "서버가 다른 주소({host})로 넘기려 했습니다. 그쪽에는 아무것도 보내지 않았습니다"
        ),
        "the server sends to another address, which got nothing": (
            "서버가 다른 주소로 넘기려 했습니다. 그쪽에는 아무것도 보내지 않았습니다"
        ),
    },
    "wait": {"wait until {time} (Seoul)": "{time}(서울 시각)까지 기다리세요"},
    "settle": {
        "Look at the leaderboard before you send it again; then "
        'mk.note_outcome({csv}, "accepted" or "refused") settles it.': (
            "다시 보내기 전에 리더보드를 확인하고, 결과를 "
            'mk.note_outcome({csv}, "accepted" 또는 "refused")로 적어 두세요.'
        )
    },
    "answer": {"nothing": "없음", "{words}": "{words}"},
    "advice": {
        "check the address with mk.save_credentials(change=True), and the network.": (
            "mk.save_credentials(change=True)로 주소를 확인하고, 네트워크도 확인하세요."
        ),
        "name your network's own certificate in MEDKIT_CA if the server is the right one.": (
            "서버가 맞다면 네트워크의 자체 인증서를 MEDKIT_CA에 적으세요."
        ),
    },
    "before": {
        "these bytes were sent at {time} (Seoul), and the file {fate}.": (
            "내용이 똑같은 파일을 {time}(서울 시각)에 이미 보냈고, 그 파일은 {fate}."
        ),
        "the receipt beside the CSV says that these bytes were accepted at {time}, though the "
        "ledger ({path}) does not.": (
            "CSV 옆의 접수증에는 똑같은 파일이 {time}에 접수되었다고 적혀 있습니다"
            "(장부 {path}에는 없습니다)."
        ),
        "a damaged line of the ledger ({path}) names these bytes: they may be there.": (
            "장부({path})의 손상된 줄에 이 파일이 적혀 있습니다. 이미 보냈을 수도 있습니다."
        ),
    },
    "fate": {"was accepted": "접수되었습니다", "may have arrived": "도착했을 수도 있습니다"},
    "rule": {
        "{count:d} a calendar day in {zone}": "{zone} 날짜로 하루 {count}번",
        "{count:d} in any {span}": "{span}마다 {count}번",
    },
}
FORM = {
    "Choose a file.": "파일을 고르세요.",
    "Type {names} first; nothing was sent.": (
        "먼저 입력하세요: {names}. 아무것도 보내지 않았습니다."
    ),
    "sending ...": "보내는 중 ...",
    "For another submission press Look again.": "또 제출하려면 다시 보기를 누르세요.",
    "Here would be a form; this server shows no widgets. mk.submit(csv) does the same.": (
        "이 서버에서는 입력 칸이 보이지 않습니다. mk.submit(csv)로 제출하세요."
    ),
    "Local score: {score} held out": "로컬 점수(검증 데이터): {score}",
}
