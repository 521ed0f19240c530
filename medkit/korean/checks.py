"""What is wrong with a table that would be sent, and what was checked: English to Korean."""

from __future__ import annotations

REFUSED_TABLES = {
    "{csv} would be refused: {problems}": "{csv}: 이대로 보내면 거절됩니다. {problems}",
    "{csv} changed while it was checked. Wait until it is written.": (
        "{csv}: 검사하는 동안 바뀌었습니다. 다 쓰일 때까지 기다리세요."
    ),
    "{csv}: no such file (found {found}). Pass what mk.write_submission returns.": (
        "{csv}: 파일이 없습니다(있는 것: {found}). mk.write_submission이 돌려준 경로를 넣으세요."
    ),
    "{csv}: is a folder (found {found}). Pass what mk.write_submission returns.": (
        "{csv}: 폴더입니다(안에 있는 것: {found}). mk.write_submission이 돌려준 경로를 넣으세요."
    ),
    "{path}: not what write_submission writes beside a CSV. Write the CSV again.": (
        "{path}: write_submission이 CSV 옆에 쓰는 파일이 아닙니다. CSV를 다시 만드세요."
    ),
}
PROBLEMS = {
    "It begins with a byte order mark; write it as plain utf-8.": (
        "파일 맨 앞에 BOM이 있습니다. BOM 없는 utf-8로 저장하세요."
    ),
    "It is not utf-8 ({charset}, perhaps); write it as utf-8.": (
        "utf-8이 아닙니다({charset}인 듯합니다). utf-8로 저장하세요."
    ),
    "It is empty.": "빈 파일입니다.",
    "It holds zero bytes (utf-16, perhaps); write it as utf-8.": (
        "0인 바이트가 들어 있습니다(utf-16인 듯합니다). utf-8로 저장하세요."
    ),
    "Some of its lines end in \\r alone; end them with \\n.": (
        "\\r로만 끝나는 줄이 있습니다. 줄 끝을 \\n으로 쓰세요."
    ),
    "It is far larger than {rows:d} rows of {columns:d} cells.": (
        "{rows}행 {columns}열보다 훨씬 큽니다."
    ),
    "It is not a CSV ({why}); end its lines with \\n.": (
        "CSV가 아닙니다({why}). 줄 끝을 \\n으로 쓰세요."
    ),
    "An answer has {found:d} characters (expected at most {longest:d}).": (
        "답 하나가 {found}자입니다(최대 {longest}자)."
    ),
    "Its cells are separated by {found} (expected ','); write it with commas.": (
        "칸이 {found} 문자로 나뉘어 있습니다. 쉼표(,)로 나누어 쓰세요."
    ),
    "Its columns are {found} (expected {wanted}).": "열이 {found}입니다({wanted}여야 합니다).",
    "Write it with index=False.": "index=False로 저장하세요.",
    "It has a header and no rows.": "헤더만 있고 행이 없습니다.",
    "{count:d} lines have another number of cells, e.g. line {line:d}.": (
        "칸 수가 다른 줄이 {count}개 있습니다(예: {line}번째 줄)."
    ),
    "{count:d} ids stand more than once, e.g. {ids}.": "id {count}개가 겹칩니다(예: {ids}).",
    "{count:d} rows have an empty cell, e.g. {ids}.": (
        "빈 칸이 있는 행이 {count}개 있습니다(예: {ids})."
    ),
    "{count:d} of {total:d} ids are missing, e.g. {ids}.": (
        "id {total}개 중 {count}개가 빠졌습니다(예: {ids})."
    ),
    "{count:d} ids are not of this contest, e.g. {ids}.": (
        "이 대회에 없는 id가 {count}개 있습니다(예: {ids})."
    ),
    "It has {count:d} rows (expected {wanted:d}).": "{count}행입니다({wanted}행이어야 합니다).",
    "It has {count:d} lines (expected {wanted:d}, one a case in order).": (
        "{count}줄입니다({wanted}줄이어야 합니다. 케이스마다 순서대로 한 줄)."
    ),
    "Its order is another, from {found} on (expected {wanted}).": (
        "순서가 {found}부터 다릅니다({wanted} 차례입니다)."
    ),
    "{count:d} labels are none of {labels}, e.g. {found}.": (
        "잘못된 라벨이 {count}개 있습니다(예: {found}). 쓸 수 있는 라벨: {labels}."
    ),
    "{count:d} answers are no numbers, e.g. {found}.": (
        "숫자가 아닌 답이 {count}개 있습니다(예: {found})."
    ),
    "{count:d} masks are no runs of their pictures, e.g. {key}: {fault}": (
        "사진에 맞지 않는 마스크가 {count}개 있습니다(예: {key}: {fault})."
    ),
}
NOTES = {  # of a table that is as it must be
    "There is no {name} beside it: ids and labels could not be checked.": (
        "옆에 {name} 파일이 없어 id와 라벨을 검사하지 못했습니다."
    ),
    "Its rows are in another order; the contest goes by their ids.": (
        "행의 순서가 다르지만, 이 대회는 id로 채점하므로 괜찮습니다."
    ),
    "All {count:d} {what} are as {task} wants.": (
        "{count}행을 모두 검사했습니다. {task} 대회의 양식에 맞습니다."
    ),
    "{count:d} could not be looked at ({names}).": (
        "모델이 보지 못한 것이 {count}개 있습니다({names})."
    ),
    "The file was changed after write_submission wrote it.": (
        "write_submission이 쓴 뒤에 파일이 바뀌었습니다."
    ),
    "What it answers could not be checked: the table is the task's own.": (
        "이 대회만의 표라서 답의 내용은 검사하지 못했습니다."
    ),
    "Careful: every row has the label {label}.": "주의: 모든 행의 라벨이 {label}입니다.",
    "Careful: every mask is the same.": "주의: 모든 마스크가 똑같습니다.",
    "Careful: every mask is empty.": "주의: 모든 마스크가 비어 있습니다.",
    "Careful: every mask of {names} is empty.": "주의: {names} 마스크가 모두 비어 있습니다.",
    "Careful: its lines end in \\r\\n (Windows, Excel); \\n is safer.": (
        "주의: 줄이 \\r\\n으로 끝납니다(Windows, Excel). \\n이 더 안전합니다."
    ),
}
