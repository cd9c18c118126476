"""From single-valued overrides to a cell: one resolved configuration with its seed, its identity and its inputs."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from repro import paths
from repro.errors import UserError, did_you_mean
from repro.paths import Places
from repro.records.identity import configuration_identity, content_digest, data_digests, without
from repro.runs.expand import GROUPS, chosen, options, split

INHERITED = ("scale", *paths.NAMES, "source", "threads", "jobs", "logger", "logger.mode", "trainer.accelerator")
"""What an input takes over from the run that wants it, where that was given on the command line."""
SECTIONS = ("model", "network", "task", "paper", "trainer", "logger", "optim", "inputs")
"""Keys that hold keys."""


@dataclass(frozen=True)
class Cell:
    """One composed configuration with its seed.

    Attributes:
        overrides: the words that compose it again, the recipe's choice among them.
        config: the resolved configuration.
        choices: the option chosen in each group.
        identity: 12 hex digits that name the run.
        inputs: the cells it starts from, by name.
        given: the folders that a user gave in place of an input, by name.
    """

    overrides: tuple[str, ...]
    config: dict[str, Any]
    choices: dict[str, str]
    identity: str
    inputs: dict[str, Cell]
    given: dict[str, Path]

    @functools.cached_property
    def deviates(self) -> tuple[str, ...]:
        """Keys in which it differs from the composition without the user's overrides."""
        return _deviations(dict(map(split, self.overrides)), self.config)

    @property
    def paper(self) -> str:
        return self.choices["paper"]

    @property
    def task(self) -> str:
        return self.choices["task"]

    @property
    def seed(self) -> int:
        return self.config["seed"]

    @property
    def places(self) -> Places:
        return Places(**{name: Path(self.config[name]).expanduser() for name in paths.NAMES})

    @property
    def folder(self) -> Path:
        """Where the run lies: runs_dir/PAPER/TASK/IDENTITY."""
        return self.places.runs_dir / self.paper / self.task / self.identity

    @property
    def part(self) -> Path:
        """Where the run lies before it is finished."""
        return self.folder.with_name(f"{self.identity}.part")

    @property
    def title(self) -> str:
        return f"{self.paper} {self.task} seed {self.seed}"


@functools.lru_cache(maxsize=4096)
def cell(overrides: tuple[str, ...]) -> Cell:
    """Composes one cell; the recipe is found where none is named.

    Args:
        overrides: KEY=VALUE, each of a single value.

    Raises:
        UserError: an unknown name or key, a value that nothing supplies, or data or weights that are missing.
    """
    words, config, choices = composed(overrides)
    inputs: dict[str, Cell] = {}
    given: dict[str, Path] = {}
    for name, wanted in (config["inputs"] or {}).items():
        if isinstance(wanted, str):
            given[name] = Path(wanted).expanduser()
        elif wanted:
            inherited = {key: words[key] for key in INHERITED if key in words}
            inputs[name] = cell(
                tuple(f"{key}={value}" for key, value in (dict(map(split, wanted)) | inherited).items())
            )
    for name, place in given.items():
        if not place.is_dir():
            raise UserError(
                f"inputs.{name}={place} is no folder", "give the product folder of a run, or a list of overrides"
            )
    cache = Path(config["cache_dir"]).expanduser()
    identity = configuration_identity(
        config,
        inputs={name: one.identity for name, one in inputs.items()},
        given={name: content_digest(place, cache) for name, place in given.items()},
        data=data_digests(config["task"], cache),
        network=content_digest(_checked_weights(config), cache),
        hardware=_hardware(config) if config["task"].get("measures_hardware") else {},
    )
    return Cell(
        tuple(f"{key}={value}" for key, value in words.items()),
        config,
        choices,
        identity,
        inputs,
        given,
    )


def composed(overrides: tuple[str, ...]) -> tuple[dict[str, str], dict[str, Any], dict[str, str]]:
    """Composes a configuration without looking at data, weights or inputs; the recipe is found where none is named.

    Returns:
        the overrides by key, the resolved configuration, and the option chosen in each group.

    Raises:
        UserError: an unknown name or key, or a value that nothing supplies.
    """
    words = dict(split(word) for word in overrides)
    for group in GROUPS:
        if group in words and words[group] not in options(group):
            raise UserError(f"{group}={words[group]} is not known", did_you_mean(words[group], options(group)))
    words.setdefault("recipe", find_recipe(words))
    config, choices = _compose(tuple(f"{key}={value}" for key, value in words.items()))
    if any(key.startswith("~") for key in words):
        _check_left_out([key.removeprefix("~") for key in words if key.startswith("~")])
    _check(config, choices)
    return words, config, choices


def _hardware(config: Mapping[str, Any]) -> dict[str, str | int]:
    """Returns what a task's time, memory or energy depends on: the device, and the threads of a processor."""
    import torch

    from repro.runs.measure import processor

    if torch.cuda.is_available() and config["trainer"]["accelerator"] != "cpu":
        return {"device": torch.cuda.get_device_name()}
    cores = len(os.sched_getaffinity(0))
    return {"device": processor(), "threads": cores if config["threads"] == "auto" else config["threads"]}


def _checked_weights(config: Mapping[str, Any]) -> str | None:
    """Returns the network's path: a folder, a name on the hub, or None.

    Raises:
        UserError: it is no name, and no folder either.
    """
    path = config["network"].get("path")
    if path is None or Path(path).expanduser().is_dir():
        return path
    inside = Path(config["weights_dir"]) in Path(path).parents
    if inside or path.startswith(("/", ".", "~")) or path.count("/") > 1:
        known = paths.how_to_get(Path(path).name) or "data/README.md says what it holds"
        raise UserError(f"the network's folder {path} is missing", f"weights_dir=FOLDER names where yours is; {known}")
    return path


def find_recipe(words: Mapping[str, str]) -> str:
    """Returns the name of the most specific recipe file for the choices in words, or "none"."""
    choice = chosen(words)
    suite = choice["task"].rpartition("/")[0]
    setup = words.get("setup", "null")
    last = f"{choice['scale']}" if setup == "null" else f"{setup}-{choice['scale']}"
    places = dict.fromkeys(place for place in (choice["task"], suite) if place)
    names = (f"{choice['paper']}/{place}/{choice['model']}-{last}" for place in places)
    return next((name for name in names if (paths.CONF / "recipe" / f"{name}.yaml").is_file()), "none")


def flat(config: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Returns a nested mapping as dotted keys."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        found |= flat(value, f"{before}{key}.") if isinstance(value, Mapping) and value else {f"{before}{key}": value}
    return found


def register_resolvers() -> None:
    """Makes known to OmegaConf what the files under conf/ call: a place's default, a path's last part, a sum."""
    OmegaConf.register_new_resolver("default_place", lambda name: str(getattr(Places.default(), name)), replace=True)
    OmegaConf.register_new_resolver("plus", lambda one, other: one + other, replace=True)
    OmegaConf.register_new_resolver("basename", lambda place: Path(str(place)).name, replace=True)


@functools.lru_cache(maxsize=4096)
def _compose(overrides: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, str]]:
    register_resolvers()
    try:
        with initialize_config_dir(str(paths.CONF), version_base=None):
            composed = hydra_compose("config", overrides=list(overrides), return_hydra_config=True)
    except (ConfigCompositionException, HydraException, ValueError) as error:
        raise UserError(*_composition_trouble(error)) from None
    HydraConfig.instance().set_config(composed)
    choices = {key: value for key, value in composed.hydra.runtime.choices.items() if not key.startswith("hydra/")}
    for group in GROUPS:
        if group not in choices:
            raise UserError(f"{group} can't be left out", f"{group}=NAME chooses another one")
    OmegaConf.set_struct(composed, False)
    del composed["hydra"]
    return _resolved(composed, choices), choices


def _resolved(config: DictConfig, choices: Mapping[str, str]) -> dict[str, Any]:
    try:
        return OmegaConf.to_container(config, resolve=True)
    except InterpolationKeyError as error:
        key = str(error).split("'")[1]
        raise UserError(
            f"conf/recipe/{choices['recipe']}.yaml has no {key}", f"add it for task={choices['task']}"
        ) from None
    except OmegaConfBaseException as error:
        line = str(error).splitlines()
        raise UserError(
            f"{getattr(error, 'full_key', None) or 'the configuration'} can't be resolved", line[0]
        ) from None


def _composition_trouble(error: Exception) -> tuple[str, str]:
    """Turns Hydra's words into what is wrong and the mend."""
    cause = error.__cause__
    text = str(error).splitlines()[0]
    key = getattr(cause, "full_key", None)
    if key and "not in" in str(cause):
        base, _ = _compose(())
        known = [name for name in flat(base) if name.partition(".")[0] == key.partition(".")[0]] or list(base)
        return f"{key} is no key of this configuration", f"{did_you_mean(key, known)} (+{key}=VALUE adds one)"
    return text.rstrip("."), str(cause).splitlines()[0] if cause else "`python -m repro --help` lists the names"


def _check(config: Mapping[str, Any], choices: Mapping[str, str]) -> None:
    missing = [key for key, value in flat(config).items() if value == "???"]
    if "network.path" in missing or "network.name" in missing:
        names = ", ".join(name for name in options("network") if "/" not in name)
        raise UserError(
            f"scale={choices['scale']} needs a network of yours",
            f"add network=NAME (there are {names}), or network=hf network.path=FOLDER",
        )
    if missing and choices["recipe"] == "none":
        suite = choices["task"].rpartition("/")[0]
        raise UserError(
            "no recipe for " + " ".join(f"{group}={choices[group]}" for group in ("paper", "task", "model", "scale")),
            f"conf/recipe/{choices['paper']}/{suite}/{choices['model']}-{choices['scale']}.yaml would supply "
            f"{', '.join(missing)}",
        )
    if missing:
        raise UserError(
            f"{', '.join(missing)} has no value", f"give it, or add it to conf/recipe/{choices['recipe']}.yaml"
        )
    _check_values(config)


def _check_left_out(keys: Sequence[str]) -> None:
    """Checks that nothing was deleted (~KEY) that every run has."""
    for key in keys:
        if "." not in key or key.partition(".")[0] not in ("optim", "inputs", "paper", "task", "by_task", "origin"):
            raise UserError(f"{key} can't be left out", f"{key}=VALUE gives it another value")


def _check_values(config: Mapping[str, Any]) -> None:
    """Checks that the keys which the whole way of a run rests on have values of their kind."""
    given = flat(config)
    for key, value in given.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{key}={value} is no finite number", "give one")
    for name in (*SECTIONS, "network.config", "task.files"):
        first, _, last = name.partition(".")
        value = config[first].get(last, {}) if last else config[first]
        if not isinstance(value, Mapping) and not (value is None and name in ("inputs", "task.files")):
            raise UserError(f"{name}={value} has no keys", f"set one of its keys, such as {name}.KEY=VALUE")
    for name in (*paths.NAMES, "network.path"):
        if not isinstance(given.get(name, ""), str | None):
            raise UserError(f"{name}={given[name]} is no name of a folder", f"write ./ before it: {name}=./FOLDER")
    for name, (right, kind, words) in _VALUES.items():
        if name in given and not right(given[name]):
            raise UserError(f"{name}={given[name]} is no {kind}", f"give {words}")
    for name, wanted in (config["inputs"] or {}).items():
        if not (wanted is None or isinstance(wanted, str) or _is_words(wanted)):
            raise UserError(
                f"inputs.{name}={wanted} is no input", "give the product folder of a run, a list of overrides, or null"
            )


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool)


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


_MODES = ("online", "offline", "disabled", "none")
_VALUES: dict[str, tuple[Callable[[Any], bool], str, str]] = {
    "seed": (lambda value: _is_whole(value, -(2**63)), "integer", "a whole number, such as seed=0"),
    "rerun": (_is_truth, "truth value", "true or false"),
    "fast_dev_run": (lambda value: _is_truth(value) or _is_whole(value, 0), "truth value", "true or false"),
    "threads": (lambda value: value == "auto" or _is_whole(value, 1), "number of threads", "auto, or 1 and more"),
    "checkpoint_seconds": (lambda value: isinstance(value, int | float) and value >= 0, "time", "0 or more"),
    "logger.mode": (lambda value: value in _MODES, "way to log", f"one of {', '.join(_MODES)}"),
    "outside_identity": (_is_words, "list of keys", "[KEY, ...]"),
    "trainer.accumulate_grad_batches": (lambda value: _is_whole(value, 1), "number of batches", "1 or more"),
    "trainer.log_every_n_steps": (lambda value: _is_whole(value, 0), "number of steps", "1 or more"),
    "trainer.max_epochs": (lambda value: value is None or _is_whole(value, -1), "number of epochs", "a whole number"),
    "trainer.max_steps": (lambda value: _is_whole(value, -1), "number of steps", "a whole number"),
}
"""What the values of some keys must be, what they are not else, and what to give."""


def _deviations(words: Mapping[str, str], config: Mapping[str, Any]) -> tuple[str, ...]:
    """Compares with the composition that has the same paper, task, model and scale, and nothing else from the user."""
    plain = {group: words[group] for group in ("paper", "task", "model", "scale", "setup") if group in words}
    recipe = {"recipe": find_recipe(plain)}
    base, _ = _compose(tuple(f"{key}={value}" for key, value in (plain | recipe).items()))
    outside = [key for key in config["outside_identity"] if key != "inputs"] + ["seed"]
    ours, theirs = flat(without(config, outside)), flat(without(base, outside))
    differing = [
        key
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key) and theirs.get(key) != "???"
    ]
    own = [key.lstrip("+~") for key in words]
    followed = [key for key in differing if not any(f"{key}.".startswith(f"{one}.") for one in (*own, "network"))]
    if followed:  # unless it follows from a key that the user did write, such as a learning rate from a rank
        kept = [key for key in words if key not in GROUPS or key in (*plain, "network")]
        others = {key: words[key] for key in kept if _first(key) not in ("inputs", "by_task")} | recipe
        implied = flat(_compose(tuple(f"{key}={value}" for key, value in others.items()))[0])
        differing = [key for key in differing if key not in followed or ours.get(key) != implied.get(key)]
    return tuple(dict.fromkeys("network" if key.startswith("network.") else key for key in differing))


def _first(key: str) -> str:
    return key.lstrip("+~").partition(".")[0]
