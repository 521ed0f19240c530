"""What a report says, in English and in Korean: `WORDS`, by name."""

from __future__ import annotations

from typing import Any

LANGUAGES = ("en", "ko")  # the order of the texts below
WORDS: dict[str, tuple[str, str]] = {
    # the first sheet
    "title": ("Model report", "모델 결과 보고서"),
    "team": ("Team {team}", "팀명 {team}"),
    "ended": ("trained until {day}", "학습 종료일 {day}"),
    "not ended": ("training is {state}", "학습 상태: {state}"),
    "interval": ("95 %: {low} to {high}", "95 % 신뢰구간 {low}–{high}"),
    "no interval": ("one group only: no interval", "그룹이 하나뿐이라 신뢰구간 없음"),
    "judged": ("Held-out {noun}", "검증에 쓴 {noun}"),
    "of groups": ("in {count} groups", "그룹 {count}개"),
    "weights": ("Parameters", "파라미터 수"),
    "million": ("{count} M", "{count} M"),
    "models": ("Models", "모델 수"),
    "one model": ("one model", "단일 모델"),
    "folds judged": ("one of each fold", "폴드마다 하나"),
    # the model
    "model": ("Model", "모델 개요"),
    "model in short": (
        "{backbone} with {millions} million parameters, trained {start}. It is shown pictures of "
        "{size} x {size} pixels and asked for {heads}.",
        "{backbone}(파라미터 {millions}백만 개)를 {start} 학습하였습니다. 입력 영상은 "
        "{size} x {size} 픽셀이며, 모델의 출력은 {heads}입니다.",
    ),
    "from scratch": ("from scratch", "사전 학습 가중치 없이 처음부터"),
    "from weights": ("from the weights of {file}", "{file} 가중치에서 시작하여"),
    "and": (", and ", ", "),
    "head classes": ("{name} ({classes})", "{name}({classes})"),
    "head number": ("{name} (a number)", "{name}(수치)"),
    "head masks": ("masks ({classes})", "마스크({classes})"),
    "many classes": ("{count} classes", "클래스 {count}개"),
    "backbone": ("Backbone", "백본"),
    "decoder": ("Decoder", "디코더"),
    "input": ("Input", "입력 크기"),
    "pixels": ("{size} x {size} pixels", "{size} x {size} 픽셀"),
    "patches": ("windows of {patch} of {size} pixels", "{size} 픽셀 영상의 {patch} 픽셀 창"),
    "part": ("Part of the picture", "영상에서 쓰는 부분"),
    "region": ("each region with a margin of {margin:.0%}", "영역마다 여백 {margin:.0%}"),
    "box": ("each box", "상자 영역"),
    "masked": (", the rest blacked out", ", 바깥은 검게 가림"),
    "start": ("Starting weights", "초기 가중치"),
    "none": ("none (from scratch)", "없음(처음부터 학습)"),
    "epochs": ("Epochs", "에폭"),
    "epochs done": (
        "{done} of {all}, the best kept",
        "{all}에폭 중 {done}에폭 학습, 최적 에폭 저장",
    ),
    "batch": ("Batch", "배치 크기"),
    "images": ("{count} images a step", "스텝당 {count}장"),
    "loss": ("Loss", "손실 함수"),
    "optimizer": ("Optimizer", "최적화 기법"),
    "optimised": ("{name}, weight decay {decay:g}", "{name}, weight decay {decay:g}"),
    "rate": ("Learning rate", "학습률"),
    "scheduled": ("{peak:g} at most, {schedule}", "최대 {peak:g}, {schedule} 스케줄"),
    "augment": ("Augmentation", "데이터 증강"),
    "chosen by": ("Best epoch by", "최적 에폭 기준"),
    "validation loss": ("validation loss", "검증 손실"),
    "more": ("Other settings", "그 밖의 설정"),
    # the data
    "data": ("Data", "데이터"),
    "data in short": (
        "{cases} labelled cases of {groups} groups (patients, mouths, nights). All of a group lie "
        "in one fold, so that no patient is both trained on and judged.",
        "라벨이 있는 사례 {cases}건, 그룹(환자·구강·수면 기록 등) {groups}개를 사용하였습니다. "
        "같은 그룹은 한 폴드에만 속하므로, 학습한 환자로 평가하는 일은 없습니다.",
    ),
    "label": ("Label", "라벨"),
    "cases": ("Cases", "사례 수"),
    "share": ("Share", "비율"),
    "groups": ("Groups", "그룹 수"),
    "unlabelled": ("no label", "라벨 없음"),
    "balance": ("Labels, counted.", "라벨 분포."),
    "quarantine": (
        "Quarantine: {count} records of the training data could not be used.",
        "격리: 학습 데이터 가운데 {count}건은 사용할 수 없어 제외하였습니다.",
    ),
    "no quarantine": (
        "Quarantine: all records of the training data could be used.",
        "격리: 학습 데이터의 모든 기록을 사용할 수 있었습니다.",
    ),
    "unknown quarantine": (
        "Quarantine: not told, since the data folder could not be read here.",
        "격리: 보고서를 만든 곳에서 데이터 폴더를 읽을 수 없어 적지 않습니다.",
    ),
    "reason": ("Reason", "사유"),
    "records": ("Records", "건수"),
    # the folds
    "folds": ("Folds", "교차 검증 폴드"),
    "folds in short": (
        "{count} folds by group. Held out, and never trained on by the model that is judged on "
        "it: {held}.",
        "그룹 단위로 {count}개 폴드로 나누었습니다. 평가할 때 해당 모델의 학습에 쓰지 않은 "
        "폴드: {held}.",
    ),
    "fold": ("Fold", "폴드"),
    "folds caption": ("What each fold holds.", "폴드별 구성."),
    # the curves
    "curves": ("Training", "학습 과정"),
    "best epoch": ("Best epoch", "최적 에폭"),
    "train loss": ("Training loss", "학습 손실"),
    "valid loss": ("Validation loss", "검증 손실"),
    "curves caption": (
        "Fold {fold}: losses, validation scores and learning rate by epoch.",
        "폴드 {fold}: 에폭별 손실, 검증 점수, 학습률.",
    ),
    "curves left out": (
        "The curves of the first {shown} of {count} runs are drawn; the table tells of all.",
        "{count}개 모델 중 앞의 {shown}개만 곡선을 그렸고, 표에는 모두 실었습니다.",
    ),
    # the scores
    "scores": ("Scores", "성능"),
    "scores in short": (
        "{count} held-out {noun} of {groups} groups. The 95 % intervals come of drawing whole "
        "groups again and again, as {noun} of one group are no independent evidence.",
        "검증용 {noun} {count}건(그룹 {groups}개)에 대한 결과입니다. 같은 그룹에 속한 "
        "{noun}끼리는 서로 독립이 아니므로, 95 % 신뢰구간은 그룹을 통째로 재표집하여 구하였습니다.",
    ),
    "threshold": (" Threshold: {threshold}.", " 판정 임계값: {threshold}."),
    "score": ("Score", "지표"),
    "value": ("Value", "값"),
    "low": ("95 % from", "95 % 하한"),
    "high": ("to", "95 % 상한"),
    "intervals caption": ("Scores with 95 % intervals.", "지표와 95 % 신뢰구간."),
    "confusion": ("Confusion matrix of the held-out {noun}", "검증용 {noun}의 혼동 행렬"),
    "reliability": ("how probable, and how often so", "예측 확률과 실제 비율의 일치도"),
    "agreement": ("Predicted over true numbers.", "실제 값과 예측 값."),
    "dice": ("Dice by class, with 95 % intervals.", "클래스별 Dice와 95 % 신뢰구간."),
    # the mistakes
    "mistakes": ("Mistakes", "오답 사례"),
    "mistakes caption": (
        "Held-out {noun}, the worst mistakes first.",
        "검증용 {noun} 가운데 가장 크게 틀린 것부터 보입니다.",
    ),
    "no pictures": (
        "The report holds no pictures of patients, as was asked for.",
        "요청에 따라 이 보고서에는 환자 영상을 싣지 않았습니다.",
    ),
    # where it was trained
    "environment": ("Environment and reproducibility", "실행 환경과 재현성"),
    "medkit": ("medkit", "medkit"),
    "system": ("System", "시스템"),
    "device": ("Device", "장치"),
    "cpu": ("CPU, memory", "CPU·메모리"),
    "cores": ("{cores} cores, {memory} GB", "코어 {cores}개, {memory} GB"),
    "threads": ("Threads", "스레드"),
    "exactness": ("Bits", "비트 재현"),
    "exact always": ("repeatable on this CPU", "이 CPU에서 그대로 재현됨"),
    "exact chosen": ("deterministic algorithms", "결정적 알고리즘 사용"),
    "exact not": ("not asked for on the GPU", "GPU에서는 보장하지 않음"),
    "seed": ("Seed", "시드"),
    "of fold": ("fold {fold}: {text}", "폴드 {fold}: {text}"),
    "first weights": ("Weights, at first", "초기 가중치 해시"),
    "best weights": ("Weights, the best", "최적 가중치 해시"),
    "gone": ("not in the run folder", "실행 폴더에 없음"),
    "cuda": ("CUDA", "CUDA"),
    "package": ("Package", "패키지"),
    "version": ("Version", "버전"),
    "other version": (
        "Trained by medkit {then} (code {code}); this report was made by medkit {now}.",
        "학습에는 medkit {then}(코드 {code})을 썼고, 이 보고서는 medkit {now}로 만들었습니다.",
    ),
    "other code": (
        "medkit's code has changed since the training (then {code}, now {now}).",
        "학습 이후 medkit의 코드가 바뀌었습니다(학습 시 {code}, 현재 {now}).",
    ),
    "differing": (
        "The runs were not all trained on the same: {names} differ; the table tells of the first.",
        "모든 모델의 환경이 같지는 않습니다({names}). 표는 첫 번째 모델의 것입니다.",
    ),
    "inexact": (
        "Fold {fold}, from the log: {text}",
        "폴드 {fold}, 로그 기록: {text}",
    ),
    "resumed": (
        "Fold {fold} was stopped and taken up again ({count} times).",
        "폴드 {fold}: 중단 후 이어서 학습하였습니다({count}회).",
    ),
    # the rules
    "audit": ("Audit", "규정 점검"),
    "rule": ("Rule", "규정"),
    "verdict": ("Verdict", "판정"),
    "found": ("Found", "확인한 내용"),
    "where": ("Where", "근거"),
    "figures": ("More figures", "추가 그림"),
    "figure": ("Figure {}. ", "그림 {}. "),
    "state finished": ("finished", "완료"),
    "state running": ("running", "진행 중"),
    "state stopped": ("stopped", "중단됨"),
    "state failed": ("failed", "실패"),
    "state stale": ("interrupted", "비정상 종료"),
    "state new": ("new", "시작 전"),
}
TITLES = {  # of the kit's contests, in Korean
    "caries": "2023 구강 이미지 합성데이터 활용 경진대회: 충치 판별",
    "pathology": "Korea Health Datathon 2020 B: 유방 조직 양성·악성 판별",
    "sinus": "Korea Health Datathon 2020 A: 상악동염 판별(Waters 영상)",
    "mask": "boostcamp AI Tech: 마스크·성별·나이 분류(18개 클래스, 출력 3개)",
    "mask18": "boostcamp AI Tech: 마스크·성별·나이 분류(18개 클래스)",
    "sleep": "2021 수면 AI 챌린지: 30초 단위 수면 단계 판별",
    "handbone": "boostcamp AI Tech: 손 X선 영상의 뼈 29개 분할",
}
NOUNS = {
    "cases": "사례",
    "teeth": "치아",
    "photos": "사진",
    "hands": "손 영상",
    "sides": "좌우 상악동",
    "epochs": "30초 구간",
}
COLUMNS = {  # of tables of answers
    "class": "클래스",
    "cases": "실제 수",
    "predicted": "예측 수",
    "precision": "정밀도",
    "recall": "재현율",
    "f1": "F1",
    "low": "하한",
    "high": "상한",
    "error": "평균 오차",
}
SCORES = {  # as people write them
    "f1_macro": "F1 (macro)",
    "f1_binary": "F1 (binary)",
    "f1_micro": "F1 (micro)",
    "f1_weighted": "F1 (weighted)",
    "recall_macro": "Recall (macro)",
    "auc": "AUC",
    "accuracy": "Accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "dice": "Dice",
    "iou": "IoU",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
}


class Words:
    """The words of one language: `words("title")`, `words("team", team="A")`."""

    def __init__(self, language: str):
        self.language, self._at = language, LANGUAGES.index(language)

    def __call__(self, key: str, /, **values: Any) -> str:
        text = WORDS[key][self._at]
        return text.format(**values) if values else text

    def contest(self, name: str, title: str) -> str:
        """A contest's title; of those of one's own as it is."""
        return TITLES.get(name, title) if self.language == "ko" else title

    def noun(self, noun: str) -> str:
        """What cases or units are called."""
        return NOUNS.get(noun, noun) if self.language == "ko" else noun

    def column(self, name: str) -> str:
        """The name of a column of answers."""
        return COLUMNS.get(name, name) if self.language == "ko" else name

    def score(self, name: str) -> str:
        """A score's name, with the one by which it is known here."""
        return SCORES.get(name, name)
