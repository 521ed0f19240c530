"""version_check.ipynb runs alone on a server: here its cells run on fake servers."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import threading
import time

import pytest
from fake_servers import CELLS, GIB, NO_GPU, NO_TORCH, NOTEBOOK, SOURCES, gpu, load, server

from medkit import machine

HEADER = "| NVIDIA-SMI {0}    Driver Version: {0}    CUDA Version: {1}     |"


@pytest.fixture
def check():
    return load()


def marks(check, facts):
    return {what: (mark, found) for what, found, _, mark in check.Report(facts).rows}


def test_notebook_is_written_for_python_3_6_and_the_standard_library():
    tree = ast.parse("\n".join(SOURCES), feature_version=(3, 6))
    modules = set()
    for node in ast.walk(tree):
        assert not isinstance(node, ast.NamedExpr)
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            modules.add(node.module)
    known = (
        "ctypes html importlib json os pathlib platform re shutil socket subprocess sys threading "
        "zipfile"
    )
    assert modules == set(known.split())


def test_cells_are_short_and_one_holds_the_parameters():
    written = [source for source in SOURCES if not source.startswith(("FLOOR =", "CURRENT ="))]
    assert max(source.count("\n") + 1 for source in written) <= 20 and len(written) + 2 == len(
        SOURCES
    )
    tagged = [cell for cell in CELLS if "parameters" in cell["metadata"].get("tags", [])]
    assert ["".join(cell["source"]) for cell in tagged] == ['DATA = "dataset"']


def test_it_runs_from_top_to_bottom_and_looks_at_this_machine(tmp_path):
    script = tmp_path / "check.py"
    last = SOURCES[-1].replace(
        "Report(facts, save(facts))", "print(repr(Report(facts, save(facts))))"
    )
    script.write_text("\n\n".join([*SOURCES[:-1], last]), "utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    ran = subprocess.run(
        [sys.executable, str(script)], stdout=subprocess.PIPE, cwd=tmp_path, env=environment
    )
    text = ran.stdout.decode("utf-8")
    assert ran.returncode == 0
    assert "folder dataset" in text and "no such file or directory; set DATA above" in text
    assert f"lane fits Python {sys.version.split()[0]}" in text
    assert text.splitlines()[-2:] == [
        "What was found is saved as medkit_check.json.",
        "결과를 저장했습니다: medkit_check.json",
    ]
    facts = json.loads((tmp_path / "medkit_check.json").read_text(encoding="utf-8"))
    assert facts["python"] == sys.version.split()[0] and facts["kit"]["error"] == "not uploaded yet"
    assert sorted(os.listdir(tmp_path)) == ["check.py", "medkit_check.json"]  # and nothing else


# memory and cores: the notebook and medkit.machine read the same files alike

CGROUPS = {  # files of a fake machine: (memory, cores), where it has 64 GiB and many cores
    "no container": ({}, 64 * GIB, None),
    "version 2": (
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": str(8 * GIB),
            "sys/fs/cgroup/cpu.max": "150000 100000",
        },
        8 * GIB,
        1.5,
    ),
    "version 2, the group above binds": (
        {
            "proc/self/cgroup": "0::/user/session",
            "sys/fs/cgroup/user/session/memory.max": "max",
            "sys/fs/cgroup/user/session/cpu.max": "max 100000",
            "sys/fs/cgroup/user/memory.max": str(2 * GIB),
            "sys/fs/cgroup/user/cpu.max": "100000 100000",
        },
        2 * GIB,
        1.0,
    ),
    "version 1": (
        {
            "proc/self/cgroup": "4:memory:/\n1:cpu,cpuacct:/\n9:name=systemd:/\n0::/",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": str(16 * GIB),
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
        16 * GIB,
        0.5,
    ),
    "version 1, seen from a container": (
        {
            "proc/self/cgroup": "4:memory:/docker/0123abcd\n1:cpu:/docker/0123abcd",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": str(4 * GIB),
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
        4 * GIB,
        None,
    ),
    "version 1 without a limit": (
        {
            "proc/self/cgroup": "4:memory:/",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        },
        64 * GIB,
        None,
    ),
}


@pytest.mark.parametrize("case", CGROUPS)
def test_memory_and_cores_are_the_containers_and_not_the_hosts(check, tmp_path, case):
    files, memory, quota = CGROUPS[case]
    files = {"proc/meminfo": f"MemTotal:       {64 * 2**20} kB\nMemFree: 1 kB", **files}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert check.host_memory(tmp_path) == 64 * GIB
    assert check.memory_limit(tmp_path) == machine.memory_limit(tmp_path) == memory
    assert check.cpu_quota(tmp_path) == quota
    mine = check.cores_allowed(tmp_path / "nothing")
    cores = max(1, int(min(mine, quota or mine)))
    assert check.cores_allowed(tmp_path) == machine.cores(tmp_path) == cores


def test_memory_is_unknown_where_nothing_says(check, tmp_path):
    assert check.memory_limit(tmp_path) is machine.memory_limit(tmp_path) is None


# driver and GPU


@pytest.mark.parametrize(
    "text, expected",
    [
        (HEADER.format("525.60.13", "12.0"), ("525.60.13", "12.0")),
        (HEADER.format("470.82.01", "N/A"), ("470.82.01", None)),
        ("| KMD Version: 590.44.01     CUDA UMD Version: 13.1     |", ("590.44.01", "13.1")),
        ("NVIDIA-SMI has failed because it couldn't communicate with the driver.", (None, None)),
        ("", (None, None)),
    ],
)
def test_driver_and_cuda_are_read_from_the_header(check, text, expected):
    assert check.parse_header(text) == expected


def test_gpus_are_read_from_the_query(check):
    text = "NVIDIA RTX A6000, 49140, 40960\nNVIDIA H100 80GB HBM3, MIG, 81559, [N/A]\n"
    first, second = check.parse_gpus(text, "8.6\n9.0\n")
    assert first == {
        "name": "NVIDIA RTX A6000",
        "total": 49140 * 2**20,
        "free": 40960 * 2**20,
        "capability": "8.6",
    }
    assert (second["name"], second["free"]) == ("NVIDIA H100 80GB HBM3, MIG", None)
    assert second["capability"] == "9.0"


def test_old_drivers_do_not_know_the_capability(check):
    refusal = 'Field "compute_cap" is not a valid field to query.\n'
    assert check.parse_gpus("Tesla T4, 15109, 15000", refusal)[0]["capability"] is None
    assert check.parse_gpus("No devices were found\n") == []


def test_looking_works_with_nvidia_smi_and_without(check, tmp_path):
    smi = tmp_path / "nvidia-smi"
    smi.write_text(
        f"#!/bin/sh\ncase $1 in\n *compute_cap) echo 8.6 ;;\n"
        f" *memory.free) echo 'NVIDIA RTX A6000, 49140, 40960' ;;\n"
        f" *) echo '{HEADER.format('525.60.13', '12.0')}' ;;\nesac\n"
    )
    smi.chmod(0o755)
    found = check.look_at_gpu(str(smi))
    assert (found["driver"], found["cuda"]) == ("525.60.13", "12.0")
    assert [card["capability"] for card in found["gpus"]] == ["8.6"]
    assert check.look_at_gpu(str(tmp_path / "missing"))["gpus"] == []
    assert check.cuda_of_library("libnothing.so.1") is None


# the program that hangs is not waited for, which Python finds worth a warning
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_program_that_hangs_fails_or_is_missing_gives_a_reason(check):
    began = time.monotonic()
    sleeper = "import time; time.sleep(600)"
    assert check.answer(sys.executable, "-c", sleeper, seconds=0.3) == ("", "no answer in 0.3 s")
    assert time.monotonic() - began < 300
    out, reason = check.answer(sys.executable, "-c", "import sys; print(1); sys.exit('so sorry')")
    assert (out.strip(), reason) == ("1", "so sorry")
    assert "no-such-program" in check.answer("no-such-program")[1]


# torch


def test_torch_that_works_is_told_with_its_version(check):
    import torch

    found = check.look_at_torch()
    assert found["version"] == torch.__version__ and found["error"] == ""


@pytest.mark.parametrize(
    "program, error",
    [
        ("raise OSError('libcublas.so.11: undefined symbol')", "libcublas.so.11: undefined symbol"),
        ("import os; os.abort()", "stopped"),
        ("print('hello')", "no answer"),
    ],
)
def test_broken_torch_is_a_row_and_not_a_crash(check, program, error):
    torch = check.look_at_torch(program)
    assert error in torch["error"]
    mark, found = marks(check, server(check, torch=torch))["torch"]
    assert mark == "✗" and found.startswith("broken: ") and error in found


# data, disk, network


def test_data_folder_is_read_only_writable_or_missing(check, tmp_path, monkeypatch):
    (tmp_path / "1_Train_Val").mkdir()
    found = check.look_at_data(str(tmp_path))
    assert (found["is_readable"], found["is_writable"]) == (True, True)
    assert found["inside"] == "1_Train_Val"
    monkeypatch.setattr(check.os, "access", lambda path, mode: False)  # root may write anywhere
    assert check.look_at_data(str(tmp_path))["is_writable"] is False
    missing = check.look_at_data(str(tmp_path / "none"))
    assert missing["inside"] == "no such file or directory; set DATA above"


def test_room_is_unknown_for_a_disk_that_is_not_there(check, tmp_path):
    assert check.free_room(tmp_path) > 0
    assert check.free_room(tmp_path / "none") is None


def test_network_is_tried_with_a_time_limit_and_nothing_is_sent(check):
    received = []
    with check.socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection = listener.accept()[0]
            with connection:
                received.append(connection.recv(100))

        thread = threading.Thread(target=serve)
        thread.start()
        assert check.connects("127.0.0.1", listener.getsockname()[1])
        thread.join()
        port = listener.getsockname()[1]
    assert received == [b""]
    assert not check.connects("127.0.0.1", port)


def test_a_dead_name_server_does_not_hold_up_the_check(check, monkeypatch):
    release = threading.Event()

    def lookup(*_):
        release.wait(600)
        raise OSError("no such name")

    monkeypatch.setattr(check.socket, "create_connection", lookup)
    began = time.monotonic()
    assert not check.connects(seconds=0.05)
    release.set()
    assert time.monotonic() - began < 300


# judgement


@pytest.mark.parametrize(
    "name, version, stands",
    [
        ("torch", None, "missing"),
        ("torch", "1.13.0+cu117", "fits"),
        ("torch", "2.4.1", "fits"),
        ("torch", "2.10.1", "fits"),
        ("torch", "2.11.0", "newer"),
        ("torch", "1.12.1", "older"),
        ("numpy", "2.0.0rc1", "fits"),
        ("pandas", "1.5.3", "older"),
        ("requests", "2.32.3", "fits"),
        ("requests", "2.32.1", "older"),
        ("requests", "2.32.0", "older"),
        ("requests", "2.31.0", "older"),
    ],
)
def test_versions_are_compared_number_by_number(check, name, version, stands):
    assert check.compare(name, version) == stands


@pytest.mark.parametrize(
    "python, lane",
    [("3.7.16", None), ("3.8.10", "floor"), ("3.10.13", "floor"), ("3.11.7", "current")]
    + [("3.13.0", "current"), ("3.14.0", None)],
)
def test_python_decides_the_lane(check, python, lane):
    assert check.lane_of(python) == lane


def cells_of(lines):
    return [line for line in lines if line.startswith("import zipfile")]


def test_contest_server_keeps_its_torch_and_is_told_the_rest(check):
    facts = server(check)
    lines = check.verdict(facts)
    assert lines[0] == "✓ The floor lane fits Python 3.8.10."
    without, with_network = cells_of(lines)
    command = next(line for line in with_network.splitlines() if "torch" in line)
    assert command.startswith("%pip install torch==1.13.0 torchvision==0.14.0 albucore==0.0.17 ")
    assert " timm==1.0.30 " in command and " numpy==1.24.4 " in command  # 1.24.1 is not enough
    assert command.endswith(f' "./medkit-{check.VERSION}[notebooks,leaderboard]"')
    assert without.splitlines() == [
        "import zipfile",
        'zipfile.ZipFile("medkit.zip").extractall()',
        'zipfile.ZipFile("wheels.zip").extractall()',
        "%pip install --no-index --find-links wheels --upgrade pip==25.0.1",
        "%pip install --no-index --find-links wheels numpy==1.24.4 "
        f'"./medkit-{check.VERSION}[notebooks,leaderboard]"',
        f"%run medkit-{check.VERSION}/tools/copy_notebooks.py",
    ]
    found = marks(check, facts)
    assert found["torch"] == ("✓", "1.13.0+cu117, CUDA 11.7, uses the GPU")
    assert found["RAM"] == ("✓", "100.0 GiB (host: 503.0 GiB)")
    assert found["cores"] == ("✓", "10 (host: 64)")
    assert found["/dev/shm"][0] == "!" and found["timm"] == ("✗", "not installed")
    assert found["folder dataset"] == ("✓", "read-only: 1_Train_Val")
    assert found["GPU"] == ("✓", "NVIDIA RTX A6000, 40.0 GiB free of 48.0 GiB")


def test_bare_server_with_network_gets_the_lanes_constraints(check):
    kit = {"folder": None, "error": "not uploaded yet"}
    facts = server(check, torch=NO_TORCH, python="3.12.1", network=True, gpu=NO_GPU, kit=kit)
    folder = f"medkit-{check.VERSION}"
    assert check.verdict(facts) == [
        "✓ The current lane fits Python 3.12.1.",
        "! There is no GPU: keep images small and epochs few.",
        "Upload medkit.zip beside this notebook and run this in a new cell; "
        "its last line says what to do next:",
        'import zipfile\nzipfile.ZipFile("medkit.zip").extractall()\n'
        "%pip install --upgrade pip==26.3\n"
        f'%pip install -c {folder}/constraints.txt "./{folder}[notebooks,leaderboard]"\n'
        f"%run {folder}/tools/copy_notebooks.py",
    ]
    found = marks(check, facts)
    assert found["torch"] == ("✗", "not installed")
    assert found["GPU"] == ("!", "none found") and found["network"] == ("✓", "reachable")
    assert found["medkit.zip"] == ("!", "not uploaded yet")


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_the_readme_shows_the_cell_of_a_server_without_torch(check, name):
    cell = check.verdict(server(check, torch=NO_TORCH, network=True))[-1]
    text = (NOTEBOOK.parent / name).read_text(encoding="utf-8")
    assert cell in text.replace("\n   ", "\n")


def test_old_python_is_told_to_choose_another_kernel(check):
    facts = server(check, python="3.7.16", packages=None)
    expected = ["✗ No lane fits Python 3.7.16. Choose a kernel with Python 3.8 to 3.13."]
    assert check.verdict(facts) == expected
    assert marks(check, facts)["packages"][1] == "not looked at: this Python is too old"


@pytest.mark.parametrize(
    "python, card, sentence",
    [
        (
            "3.11.7",
            gpu("470.82.01", "11.4"),
            "✗ The current lane's torch 2.10.0 needs CUDA 12.8, the driver allows 11.4. "
            "A kernel with Python 3.8 to 3.10 could use it; ask for one.",
        ),
        (
            "3.8.10",
            gpu(name="NVIDIA H100", capability="9.0"),
            "✗ The floor lane's torch 1.13.1 was not built for the NVIDIA H100 (compute "
            "capability 9.0), but for 3.7 to 8.6. "
            "A kernel with Python 3.11 to 3.13 could use it; ask for one.",
        ),
        (
            "3.8.10",
            gpu("390.48", "9.1", "Tesla K80", "3.7"),
            "! The floor lane's torch 1.13.1 needs CUDA 11.7, the driver allows 9.1. "
            "Training will run on the CPU.",
        ),
    ],
)
def test_gpu_that_the_lane_cannot_use_is_named_with_a_way_out(check, python, card, sentence):
    facts = server(check, python=python, gpu=card, torch=NO_TORCH)
    assert sentence in check.verdict(facts)
    assert marks(check, facts)["NVIDIA driver"][0] == "✗"


def test_later_cards_of_a_known_generation_fit(check):
    ada = gpu(name="NVIDIA RTX 6000 Ada", capability="8.9")
    assert check.gpu_misfit("floor", ada) == ""
    assert check.gpu_misfit("current", gpu(capability=None)) == ""


def test_torch_that_does_not_see_the_gpu_is_replaced(check):
    torch = {"version": "2.10.0+cpu", "cuda": None, "gpu": "", "error": ""}
    facts = server(check, python="3.11.7", torch=torch)
    assert marks(check, facts)["torch"] == ("!", "2.10.0+cpu, without CUDA, sees no GPU")
    assert "\n%pip install -c medkit-" in check.cell_with_network(facts, "current")
    assert check.lacking(facts, "current")["torch"] == "2.10.0"


def test_packages_outside_their_range_are_pinned_to_the_lane(check):
    packages = {name: pins[0] for name, pins in check.TESTED.items()}
    packages.update(pandas="1.5.3", timm="1.1.0", torch="1.13.1+cu117")
    facts = server(check, packages=packages)
    wanted = check.lacking(facts, "floor")
    assert {"timm": "1.0.30", "pandas": "2.0.3"}.items() <= wanted.items()
    assert not {"torch", "torchvision", "numpy", "pillow"} & set(wanted)
    offline = check.cell_without_network(facts, "floor")
    assert "wheels pandas==2.0.3 timm==1.0.30 " in offline
    found = marks(check, facts)
    assert found["pandas"] == ("!", "1.5.3 (older than tested)")
    assert found["timm"] == ("!", "1.1.0 (newer than tested)")


def test_every_line_of_the_verdict_is_followed_by_the_same_in_korean(check, tmp_path):
    old, none = {"folder": None, "error": "not uploaded yet"}, gpu("390.48", "9.1", "K80", "3.7")
    servers = [
        {"python": "3.7.16", "packages": None},
        {"python": "3.11.7", "gpu": gpu("470.82.01", "11.4")},
        {"gpu": gpu(name="NVIDIA H100", capability="9.0"), "torch": NO_TORCH},
        {"gpu": none, "torch": NO_TORCH, "kit": old},
        {"gpu": NO_GPU, "network": True, "kit": old},
        {"network": True},
    ]
    verdicts = [check.verdict(server(check, **changes)) for changes in servers]
    saved = check.save({}, str(tmp_path / "x.json")), check.save({}, str(tmp_path / "no" / "x"))
    lines = [line for lines in [*verdicts, saved] for line in lines]
    told = [line for line in lines if not line.startswith(("import zipfile", "python -m"))]
    for line in told:
        korean = check.in_korean(line)
        marks = [text[0] for text in (line, korean) if text[0] in "✓!✗"]
        assert re.search("[가-힣]", korean) and len(marks) != 1 and len(set(marks)) < 2, korean
        numbers = [re.findall(r"\d+(?:\.\d+)*", text) for text in (line, korean)]
        assert sorted(numbers[0]) == sorted(numbers[1]), (line, korean)
        assert not re.search("[{}]| (?:lane|the|is|to|and) ", korean), korean
    for english in check.KOREAN:  # no row is left from an older wording
        pattern = re.escape(english).replace(r"\{\}", ".+?")
        assert any(re.search(pattern, line) for line in told), english
    assert check.in_both(verdicts[1])[1].startswith("✓ Python 3.11.7에는 current 레인이")
    assert all(check.in_korean(line) == "" for line in lines if line not in told)


def test_report_shows_as_text_and_as_html(check):
    data = {"path": "<b>", "is_readable": False, "is_writable": False, "inside": "a & b"}
    report = check.Report(server(check, data=data))
    assert "✓ Python" in repr(report) and "%pip install" in repr(report)
    page = report._repr_html_()
    assert "folder &lt;b&gt;" in page and "a &amp; b" in page and "<b>found</b>" in page
