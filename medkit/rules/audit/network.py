"""Calls that would reach for the network, but for the door that is allowed: `mk.submit` and the
leaderboard's `mk.standing`."""

from __future__ import annotations

import re
from typing import Any, Iterator

from medkit.rules.audit.scopes import Call
from medkit.rules.audit.sources import Finding, Source
from medkit.rules.audit.values import GAP, Thing, options
from medkit.rules.audit.walking import Walker

MODULES = (  # whose every call is for the network
    "requests httpx aiohttp urllib3 urllib.request http.client ftplib smtplib telnetlib imaplib "
    "poplib nntplib xmlrpc paramiko pysftp asyncssh gdown wget kaggle kagglehub huggingface_hub "
    "wandb comet_ml neptune clearml boto3 botocore s3fs gcsfs google.cloud google.colab dropbox "
    "openai anthropic websocket websockets pycurl grpc selenium playwright git roboflow yt_dlp "
    "torch.hub torch.utils.model_zoo gensim.downloader medkit.submission.posting pooch ftputil"
).split()
CALLS = (
    r"socket\.(create_connection|getaddrinfo|gethostbyname\w*|gethostbyaddr)",
    r"socket\.(socket|create_connection)\(\)\.(connect|connect_ex|sendto|send|sendall)",
    r"asyncio\.open_connection|webbrowser\.open\w*|nltk\.download|pip\.main|pip\._internal.*",
    r"sklearn\.datasets\.fetch_\w+|datasets\.load_dataset|transformers\.pipeline",
    r"(transformers|diffusers|timm|monai|tokenizers)\..*(from_pretrained|download\w*)",
    r"tensorflow\.keras\.utils\.get_file|keras\.utils\.get_file",
)
READERS = (
    r"(.*\.)?(get|post|put|urlopen|urlretrieve|open|request|download|connect|fetch|load|imread"
)
READERS += r"|VideoCapture|load_url|read_\w+|loadtxt|genfromtxt|ZipFile|retrieve|open_dataset)"
URL = re.compile(r"(https?|ftp|s3|gs|hf|wss?|sftp|git\+\w+)://", re.I)
LOCAL = re.compile(r"\w+://(127\.0\.0\.1|localhost|\[::1\])", re.I)
AT = r"(?:^|[;|&(`\n]|\$\(|sudo |time |env |xargs )\s*"
PROGRAMS = re.compile(
    AT + r"(?:\S*/)?(wget|curl|aria2c|axel|scp|sftp|ssh|rsync|ftp|lftp|nc|ncat|telnet|gdown|kaggle|"
    r"huggingface-cli|hf|aws|gsutil|gcloud|azcopy|rclone|npm|ping|nslookup|dig|"
    r"git (?:clone|pull|fetch|push|lfs)|apt(?:-get)? (?:install|update)|"
    r"(?:conda|mamba) (?:install|create|update)|docker (?:pull|run))\b",
)
PIP = re.compile(r"\b(?:pip3?|uv pip) (?:install|download)\b(?!.*--no-index)")
SAID = re.compile(  # what outputs say of it
    r"HTTPS?ConnectionPool\(|Max retries exceeded|gaierror|Name or service not known|"
    r"Temporary failure in name resolution|Downloading:? \"?https?://|Cloning into '|"
    r"^Collecting \S+$|URLError|Failed to establish a new connection",
    re.M,
)
SHELL = (
    r"(get_ipython\(\)\.(system|getoutput|getoutput\(\)|sx)|os\.(system|popen|exec\w+|spawn\w+)|"
)
SHELL += r"subprocess\.\w+|pty\.spawn|commands\.getoutput|sh\.\w+|asyncio\.create_subprocess_\w+)"


def shell_text(call: Call) -> str | None:
    """What a call hands to a shell or another program; None where it is no such call."""
    if call.name in ("%pip", "%conda", "%run"):
        return f"{call.name[1:]} {' '.join(map(str, call.args))}"
    if not re.fullmatch(SHELL, call.name):
        return None
    words: list[str] = []
    for arg in [*call.args, *(v for k, v in call.kwargs.items() if k in ("args", "cmd"))]:
        for way in options(arg):
            parts = way if isinstance(way, (list, tuple)) else [way]
            words += [GAP if isinstance(part, Thing) else str(part) for part in parts]
    return re.sub(r"\S*python[\d.]* -m pip", "pip", " ".join(words).replace(" -q", ""))


def check_network(walker: Walker, sources: list[Source]) -> Iterator[Finding]:
    """Calls, shell commands and outputs that tell of the network."""
    for call in walker.calls:
        verdict, what = _reached(call)
        if what:
            yield Finding(verdict, what, call.where)
    called = {call.name.partition(".")[0] for call in walker.calls}
    for name, cell, line in walker.imports:
        if _module_of(name) and name.partition(".")[0] not in called:
            yield Finding(
                "unclear", f"{name} is imported, and no call of it seen", cell.where(line)
            )
    doors = {(c.cell.home, c.cell.number) for c in walker.calls if _is_door(c.name)}
    for cell in (cell for source in sources for cell in source.code):
        if (cell.home, cell.number) not in doors and any(map(SAID.search, cell.outputs)):
            yield Finding("broken", "an output tells that the network was tried", cell.where())


def _is_door(name: str) -> bool:
    return name.startswith("medkit.") and name.rpartition(".")[2] in (
        *("submit", "standing", "submit_form", "submissions", "quota_left"),
    )


def _module_of(name: str) -> str:
    return next((m for m in MODULES if name == m or name.startswith(f"{m}.")), "")


def _reached(call: Call) -> tuple[str, str]:
    """A verdict and what the call reaches for; no words where it does not."""
    text = shell_text(call)
    if text is not None:
        found = PROGRAMS.search(text) or PIP.search(text)
        if found:
            return "broken", f"a command for the network: {found.group(0).strip(' ;|&(`$')}"
        return ("broken", "a command with an address") if URL.search(text) else ("", "")
    name = call.name
    if _module_of(name):
        is_plain = re.search(r"\.(exceptions|adapters|auth)\.|\.(Request|quote|Timeout)$", name)
        address = _address(call)
        is_local = address and LOCAL.match(address)
        verdict = "unclear" if is_local else "broken"
        return verdict, "" if is_plain else f"{name[:60]} is called"
    if any(re.fullmatch(pattern, name) for pattern in CALLS):
        return "broken", f"{name[:60]} is called"
    if _downloads(call):
        return "broken", f"{name[:60]} would download weights or data"
    address = _address(call)
    if address and re.fullmatch(READERS, name) and not name.startswith("medkit."):
        verdict = "unclear" if LOCAL.match(address) else "broken"
        return verdict, f"{name[:60]} is given an address"
    return "", ""


def _address(call: Call) -> str:
    """The first argument that is an address."""
    for value in (*call.args, *call.kwargs.values()):
        for way in options(value):
            if isinstance(way, str) and URL.match(way):
                return way
    return ""


def _downloads(call: Call) -> bool:
    """Whether a library is asked for what it fetches: pretrained weights, a data set."""
    name = call.name

    def told(*names: str, usual: Any = None) -> bool:
        value = call.argument(None, *names)
        value = usual if value is None and not set(names) & set(call.kwargs) else value
        return any(way not in (None, False, "") for way in options(value))

    if name.startswith(("torchvision.datasets.", "medmnist.", "torchaudio.datasets.")):
        return told("download")
    if name.startswith("torchvision.models."):
        return told("pretrained", "weights", "weights_backbone")
    if name.startswith("timm."):
        return told("pretrained") or call.last == "create_model" and call.argument(1) is True
    if name.startswith("segmentation_models_pytorch.") and call.last[:1].isupper():
        return told("encoder_weights", usual="imagenet") and "losses" not in name
    if re.search(r"keras\.applications\.", name) and call.last[:1].isupper():
        return told("weights", usual="imagenet")
    return told("pretrained") and name.startswith("?")
