"""Whether what is random in the notebooks was seeded before it was drawn.

medkit's own choices have keys and need none. A draw is held against the generator that it takes:
Python's, NumPy's (scikit-learn's and pandas', too), torch's or TensorFlow's.
"""

from __future__ import annotations

import re
from typing import Iterator

from medkit.rules.audit.scopes import Call
from medkit.rules.audit.sources import Finding
from medkit.rules.audit.values import Thing, marks_of
from medkit.rules.audit.walking import Walker

EVERY = ("python", "numpy", "torch", "tensorflow")
SEEDERS = {  # the end of a name: the generators that it seeds
    "medkit.seed_everything": EVERY,
    "seed_everything": EVERY,
    "set_determinism": EVERY,
    "set_random_seed": EVERY,
    "transformers.set_seed": EVERY,
    "medkit.seeding.seed_globals": EVERY,
    "medkit.seeding.keyed": EVERY,
    "random.seed": ("python",),
    "numpy.random.seed": ("numpy",),
    "torch.manual_seed": ("torch",),
    "torch.random.manual_seed": ("torch",),
    "tensorflow.random.set_seed": ("tensorflow",),
}
DRAWS = {  # a pattern of names: the generator that they draw from
    r"random\.(random|randint|randrange|choices?|shuffle|sample|uniform|gauss|normalvariate|"
    r"betavariate|expovariate|triangular|getrandbits)": "python",
    r"numpy\.random\.(?!seed|default_rng|RandomState|Generator|SeedSequence|get_state|set_state|PCG|"
    r"MT19937|Philox|SFC)\w+": "numpy",
    r"torch\.(rand|randn|randint|randperm|normal|bernoulli|multinomial|poisson)(_like)?": "torch",
    r"(torch|\?)\..*\.(normal|uniform|random|bernoulli|exponential|cauchy)_": "torch",
    r"scipy\.stats\..*\brvs": "numpy",
    r"torch\.nn\.init\.\w+": "torch",
    r"torch\.nn\.(Linear|Conv\w+|Embedding|LSTM|GRU|RNN|Multihead\w+|Transformer\w*)": "torch",
    r"torchvision\.transforms\.(v2\.)?(Random\w+|ColorJitter|\w+Augment\w*)": "torch",
    r"torch\.utils\.data\.(random_split|RandomSampler|WeightedRandomSampler)": "torch",
    r"(timm\.create_model|torchvision\.models\.\w+)": "torch",
    r"tensorflow\.random\.(?!set_seed)\w+": "tensorflow",
}
SKLEARN = (  # of scikit-learn, what draws unless it is given a random_state
    r"sklearn\..*\b(train_test_split|shuffle|resample|ShuffleSplit|StratifiedShuffleSplit|"
    r"GroupShuffleSplit|RandomizedSearchCV|TSNE|KMeans|MiniBatchKMeans|GaussianMixture|"
    r"(Random|Extra|GradientBoosting|HistGradient|DecisionTree|MLP|SGD|Bagging|AdaBoost)\w*"
    r"(Classifier|Regressor|Trees\w*))"
)
FOLDS = r"sklearn\..*\b(Stratified)?(Group)?KFold"
OWN = (r"numpy\.random\.(default_rng|RandomState|SeedSequence|PCG64|MT19937)", r"random\.Random")


def check_seeds(walker: Walker, seed: int) -> Iterator[Finding]:
    """Draws before a seed, generators without one, seeds of the clock, and another seed than the
    run's."""
    seeded: set[str] = set()
    verdict = "broken"
    told: set[int] = set()
    for number, call in enumerate(walker.calls):
        if number in walker.begins:  # what no notebook imports may never run
            seeded, verdict = set(), "broken" if walker.begins[number] else "unclear"
        found = _generator(call) or _seeder(call, seeded) or _draw(call, seeded)
        if found:
            yield Finding(verdict, found, call.where)
        if call.name in ("medkit.Config", "medkit.runs.config.Config"):
            given = call.argument(2, "seed")
            told.add(0 if given is None else given if isinstance(given, int) else seed)
    if told and seed not in told:
        named = " and ".join(str(each) for each in sorted(told))
        yield Finding("broken", f"the run was made with seed {seed}, the notebooks set {named}")


def _is_given(value: object) -> bool:
    return value is not None and "clock" not in marks_of(value)


def _generator(call: Call) -> str:
    """A generator of its own, without a seed."""
    if any(re.fullmatch(pattern, call.name) for pattern in OWN):
        seed = call.argument(0, "seed", "entropy", "x")
        if not _is_given(seed):
            return f"{call.name} without a seed of its own"
    if call.name in ("random.SystemRandom", "torch.seed", "torch.Generator().seed"):
        return f"{call.name} takes its seed from the machine, no two runs are alike"
    return ""


def _seeder(call: Call, seeded: set[str]) -> str:
    for name, generators in SEEDERS.items():
        if call.name == name or call.name.endswith(f".{name}") and "." not in name:
            if not _is_given(call.argument(0, "seed", "a", "random_seed")):
                return f"{call.name} without a number, or with one of the clock"
            seeded.update(generators)
    if call.last == "Config" and "clock" in marks_of(call.argument(2, "seed")):
        return "the seed of a config is taken from the clock"
    return ""


def _draw(call: Call, seeded: set[str]) -> str:
    """A draw from a generator that nothing has seeded."""
    own = call.argument(None, "random_state", "generator", "seed", "rng", "random_seed")
    if own is not None and (not isinstance(own, Thing) or "clock" not in own.marks):
        return ""
    from_ = _drawn_from(call)
    if from_ and (from_ not in seeded or own is not None):
        return f"{_short(call.name)} draws from {from_}'s generator before it is seeded"
    return ""


def _drawn_from(call: Call) -> str:
    for pattern, generator in DRAWS.items():
        if re.fullmatch(pattern, call.name):
            return generator
    is_shuffled = call.argument(None, "shuffle") not in (None, False)
    if re.fullmatch(SKLEARN, call.name):
        return "" if call.argument(None, "shuffle") is False else "numpy"
    if re.fullmatch(FOLDS, call.name) and is_shuffled:
        return "numpy"
    if (
        call.last == "sample"
        and re.match(r"(pandas|medkit|\?)", call.name)
        and (call.name != "?.sample" or {"n", "frac"} & set(call.kwargs))
    ):
        return "numpy"
    if call.last == "DataLoader" and is_shuffled:
        return "torch"
    if call.name.startswith("albumentations.") and call.last == "Compose":
        return "numpy"
    return ""


def _short(name: str) -> str:
    return name if len(name) <= 60 else f"...{name[-57:]}"
