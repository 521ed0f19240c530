"""What the run's own record says: its task, its initial weights, its versions, its predictions."""

from __future__ import annotations

import re
from typing import Any, Iterator

from medkit import __version__, machine
from medkit.errors import MedkitError
from medkit.rules.audit.network import shell_text
from medkit.rules.audit.sources import Finding, Source, sentence_of
from medkit.rules.audit.values import options
from medkit.rules.audit.walking import Walker
from medkit.runs.folder import Run

SHAPE = ("torch", "timm", "cpu_capability", "code")  # that weights drawn from a seed depend on


def check_order(sources: list[Source]) -> Iterator[Finding]:
    """Whether the cells were run from top to bottom, once, in a fresh kernel."""
    for source in sources:
        cells = source.code if source.is_notebook else []
        ran = [cell for cell in cells if cell.count is not None]
        odd = [c for c in cells if any(number != c.count for number in c.output_counts)]
        odd += [c for c in cells if c.count is None and c.outputs]
        for cell in odd[:1]:
            yield Finding("broken", "an output that is not of this cell's run", cell.where())
        if not ran:
            if cells and not odd:
                yield Finding("unclear", "no cell was run", source.path.name)
            continue
        for wanted, cell in enumerate(ran, 1):
            if cell.count != wanted:
                what = f"run as number {cell.count} (expected {wanted})"
                yield Finding("broken", what, cell.where())
                break
        left = [cell for cell in cells if cell.count is None]
        early = [cell for cell in left if cell.number < ran[-1].number]
        if early:
            yield Finding("broken", "not run, though later cells were", early[0].where())
        elif left:
            yield Finding("unclear", f"{len(left)} cells at the end not run", left[0].where())


def check_task(walker: Walker, run: Run) -> Iterator[Finding]:
    """Whether the notebooks are about the run's contest."""
    name = run.config.task
    told = {}
    for call in walker.calls:
        if call.name in ("medkit.Config", "medkit.get_task", "medkit.remember"):
            for way in options(call.argument(0, "task", "name")):
                if isinstance(way, str):
                    told[way] = call.where
    if told and name not in told:
        other, where = next(iter(told.items()))
        yield Finding("broken", f"the run's task is {name!r}, the notebooks' {other!r}", where)


def check_predictions(run: Run) -> Iterator[Finding]:
    """Whether the run has answers for the cases that it held out."""
    if run.fold is None:
        yield Finding("unclear", "nothing was held out (fold=None)", str(run.path.name))
        return
    try:
        found = run.predictions
        cases = run.cases()
    except MedkitError as error:
        yield Finding("unclear", f"not there: {_short(error)}", run.path.name)
        return
    held_out = set(cases["id"][cases["fold"] == run.fold])
    strange = set(found["id"]) - held_out
    if strange:
        what = f"{len(strange)} of {len(found)} predictions are of cases not held out"
        yield Finding("broken", what, f"{run.path.name}/predictions.csv")


def check_weights(run: Run) -> Iterator[Finding]:
    """Whether the seed still gives the weights with which the run says that it began."""
    try:
        config = run.config
        if config.weights is not None:
            what = "begun from a file of weights, and not from a seed"
            yield Finding("broken", what, f"{run.path.name}/config.json")
            return
        before, task, cases = run.machine, run.task, run.cases()
        from medkit.runs.tensor_files import weights_hash
        from medkit.training.plan import make_plan

        made = weights_hash(make_plan(task, config, cases, run.fold).new_model().state_dict())
    except MedkitError as error:
        yield Finding("unclear", f"cannot be made again: {_short(error)}", run.path.name)
        return
    kept = before.get("initial_weights")
    if kept is None:
        yield Finding("unclear", "their hash was not kept", f"{run.path.name}/machine.json")
    elif kept != made:
        other = _differences(before)
        verdict = "unclear" if other else "broken"
        words = f"other shape: {sentence_of(other)}" if other else "and the shape is the same"
        yield Finding(verdict, f"seed {config.seed} gives others here ({words})", run.path.name)


def _differences(before: dict[str, Any]) -> list[str]:
    """What differs of the shape now from that of a machine.json."""
    now = _flat(machine.record())
    then = _flat(before)
    return [f"{n} {_cut(then.get(n))}, here {_cut(now[n])}" for n in SHAPE if then.get(n) != now[n]]


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    packages = record.get("packages")
    return {**(packages if isinstance(packages, dict) else {}), **record}


def check_versions(run: Run, sources: list[Source]) -> Iterator[Finding]:
    """Versions of the run, of this machine, and of the kernel that saved the notebooks."""
    try:
        before = _flat(run.machine)
    except MedkitError as error:
        yield Finding("unclear", _short(error), run.path.name)
        return
    now = _flat(machine.record())
    where = f"{run.path.name}/machine.json"
    if before.get("medkit") != __version__:
        what = f"medkit {before.get('medkit')} in the run, {__version__} here"
        yield Finding("unclear", what, where)
    elif before.get("code") != now["code"]:
        what = f"medkit {__version__} with other code ({_cut(before.get('code'))}) than here"
        yield Finding("unclear", what, where)
    names = ["python", *machine.PACKAGES]
    other = [f"{n} {before.get(n)}, here {now[n]}" for n in names if before.get(n) != now[n]]
    if other:
        yield Finding("unclear", sentence_of(other), where)
    for source in sources:
        told = source.metadata.get("language_info") or {}
        version = told.get("version") if isinstance(told, dict) else None
        if version is not None and version != before.get("python"):
            what = f"saved by Python {version}, the run is of {before.get('python')}"
            yield Finding("unclear", what, source.path.name)


HARMLESS = re.compile(  # commands that bring no code
    r"\s*(ls|nvidia-smi|pwd|free|df|du|head|tail|wc|mkdir|cat|date|which|lscpu|nproc|"
    r"(pip3?|conda) (list|freeze|show|install|download)|(python3?|pip3?) --?[vV]ersion|wget|curl|"
    r"git)\b[^;|&`$]*"
)


def check_share(walker: Walker, sources: list[Source]) -> Iterator[Finding]:
    """What of the code could not be looked at."""
    for call in walker.calls:
        text = shell_text(call)
        if text is not None and not HARMLESS.fullmatch(text):
            walker.unread.setdefault(call.cell, {})[call.line] = "what a command does"
    whole, unread = share(walker, sources)
    if unread or not whole:
        lines = (
            "no code"
            if not whole
            else f"{100 * (whole - unread) // whole}% of {whole} lines were read"
        )
        yield Finding("unclear", lines)
    for cell, lines in walker.unread.items():
        for line, why in list(lines.items())[:1]:
            more = f" ({len(lines)} lines)" if len(lines) > 1 else ""
            yield Finding("unclear", f"not read: {why}{more}", cell.where(line))


def share(walker: Walker, sources: list[Source]) -> tuple[int, int]:
    """All lines of code, and those that were not read."""
    whole = sum(len(cell.lines) for source in sources for cell in source.code)
    unread = sum(len(lines) for lines in walker.unread.values())
    return whole, min(unread, whole)


def _short(error: Exception) -> str:
    return (
        str(error).partition(". ")[0].replace(str(getattr(error, "filename", "") or "\0"), "")[:120]
    )


def _cut(value: Any) -> str:
    return str(value)[:12]
