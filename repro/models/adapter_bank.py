"""Several adapters on one frozen network: switched without loading anything again, or one for each example of a batch.

An adapter is a PEFT folder of plain low-rank updates: each has its own rank, alpha and matrices, and its own modules
trained in full (pooler, classifier), even with another number of classes. In a batch with several adapters

    h = W0 x + B[a] A[a] x        a: the adapter of the example

A and B of all adapters stand stacked, filled up with zeros to the largest rank and alpha / r taken into B, so that the
updates of a batch are two batched products, whatever adapters it asks for. W0 is there once.

Source: Hu et al. 2022 (arXiv 2106.09685), section 4.2: switching tasks, and the limit that merged weights have.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.errors import UserError, did_you_mean
from repro.models.adapter_folder import (
    CONFIG,
    PATTERNS,
    TENSORS,
    Update,
    check_base,
    check_plain,
    read_adapter,
    updates,
)
from repro.models.base_digest import base_digest
from repro.models.linear import LINEAR, matrix
from repro.models.load import shape_error

OTHER = "it is of another network"
ABSENT = float("-inf")
"""The logit of a class that an example's task does not have: no probability, never the largest."""


@dataclass
class Choice:
    """What the modules of a bank are to compute with, shared by all of them.

    Attributes:
        name: one adapter for all examples; None is the network alone.
        names: or the adapters by number; the last one is None.
        rows: and the number of each example's adapter, (batch,).
        groups: and the examples of each adapter, those without examples left out.
    """

    name: str | None = None
    names: tuple[str | None, ...] = ()
    rows: Tensor | None = None
    groups: tuple[tuple[str | None, Tensor], ...] = ()


def mixed(adapters: Sequence[str | None], names: Sequence[str], device: torch.device) -> Choice:
    """Chooses an adapter for each example."""
    numbered = (*names, None)
    groups: dict[str | None, list[int]] = {}
    for row, name in enumerate(adapters):
        groups.setdefault(name, []).append(row)
    rows = torch.tensor([numbered.index(name) for name in adapters], device=device)
    return Choice(
        None, numbered, rows, tuple((name, torch.tensor(members, device=device)) for name, members in groups.items())
    )


class AdapterBank(nn.Module):
    """A frozen network with several adapters. The network is changed in place, and in evaluation mode.

    Args:
        network: a network of transformers, as the adapters found it.
        folders: PEFT folders by the names that the adapters get.
    Raises:
        UserError: a folder is no plain low-rank adapter, or one of another network.
    """

    def __init__(self, network: nn.Module, folders: Mapping[str, Path | str] | None = None) -> None:
        super().__init__()
        self.base = base_digest(network)
        self.network = network.requires_grad_(False).eval()
        self.names: list[str] = []
        self._choice = Choice()
        for name, folder in (folders or {}).items():
            self.add(name, folder)

    def add(self, name: str, folder: Path | str) -> None:
        """Reads one more adapter.

        Args:
            name: what it is called from now on.
            folder: with adapter_config.json and adapter_model.safetensors.
        Raises:
            UserError: the name is taken, or the folder is no plain low-rank adapter of this network.
        """
        if name in self.names:
            raise UserError(f"there is an adapter called {name!r} already", "give another name, or remove that one")
        folder = Path(folder)
        config, tensors = read_adapter(folder)
        check_plain(config, folder / CONFIG, PATTERNS)
        check_base(folder, self.base)
        found, whole = updates(config, tensors, folder)
        for path, update in found.items():
            self._check_update(path, update, folder / TENSORS)
        heads = self._heads(config, whole, folder)
        for path, update in found.items():
            self._module(path, Updated).add(name, update)
        for path, parameters in heads.items():
            self._module(path, Replaced).add(name, parameters)
        self.names.append(name)

    def remove(self, name: str) -> None:
        """Forgets an adapter; what no other one adapts is as it was.

        Raises:
            UserError: there is none of this name.
        """
        self._known(name)
        for path, module in self._adapted():
            module.remove(name)
            if module.empty():
                self.network.set_submodule(path, module.inner)
        self.names.remove(name)
        if self._choice.name == name:
            self._choice.name = None

    def use(self, name: str | None) -> None:
        """Chooses the adapter of all examples from now on; None is the network alone.

        Raises:
            UserError: there is none of this name.
        """
        if name is not None:
            self._known(name)
        self._choice.name = name

    @torch.no_grad()
    def forward(self, *, adapters: Sequence[str | None] | None = None, **batch: Any) -> Any:
        """Runs the network.

        Args:
            adapters: the adapter of each example, None for the network alone; where it is not given, that of use().
            batch: what the network takes (input_ids, attention_mask, ...), but no labels: a loss is of one task.
        Returns:
            What the network returns. Where tasks of a batch have different numbers of classes, logits are as wide as
            the widest, and -inf where an example's task has no such class: softmax and argmax of a row stay right.
        Raises:
            UserError: an adapter is unknown, their number is not that of the examples, or labels are given.
        """
        if batch.get("labels") is not None:
            raise UserError("an adapter bank computes no loss", "call it without labels")
        if adapters is None:
            return self.network(**batch)
        rows = next(value for value in batch.values() if isinstance(value, Tensor))
        if isinstance(adapters, str) or len(adapters) != len(rows):
            raise UserError(f"the batch has {len(rows)} examples, and adapters is {adapters!r}", "name one for each")
        for name in set(adapters) - {None}:
            self._known(name)
        if len(set(adapters)) == 1:  # nothing to choose by row
            return self._run(Choice(adapters[0]), batch)
        return self._run(mixed(adapters, self.names, rows.device), batch)

    def _run(self, choice: Choice, batch: Mapping[str, Any]) -> Any:
        before = vars(self._choice).copy()
        vars(self._choice).update(vars(choice))
        try:
            return self.network(**batch)
        finally:
            vars(self._choice).update(before)

    def _known(self, name: str) -> None:
        if name not in self.names:
            raise UserError(f"there is no adapter called {name!r}", did_you_mean(str(name), self.names))

    def _adapted(self) -> list[tuple[str, Updated | Replaced]]:
        return [(path, one) for path, one in self.network.named_modules() if isinstance(one, Updated | Replaced)]

    def _module(self, path: str, kind: type) -> Any:
        """The module that adapts the one at a path, put there where there is none yet."""
        module = self.network.get_submodule(path)
        if not isinstance(module, kind):
            module = kind(module, self._choice)
            self.network.set_submodule(path, module)
        return module

    def _inner(self, path: str, kind: type, file: Path) -> nn.Module:
        """The module at a path as the network brought it, which is to be adapted in some way."""
        try:
            module = self.network.get_submodule(path)
        except AttributeError:
            network = type(self.network).__name__
            raise UserError(f"{file} adapts {path}, which {network} does not have", OTHER) from None
        if not isinstance(module, Updated | Replaced):
            return module
        if not isinstance(module, kind):
            raise UserError(
                f"{file}: of {path} one adapter of a bank has an update, and another one a whole copy",
                "put them into two banks",
            )
        return module.inner

    def _check_update(self, path: str, update: Update, file: Path) -> None:
        module = self._inner(path, Updated, file)
        if not isinstance(module, LINEAR):
            raise UserError(f"{file} adapts {path}, which is no linear map here", OTHER)
        stored, here = (len(update.B), update.A.shape[1]), tuple(matrix(module).shape)
        if stored != here:
            raise UserError(f"{file}: the update of {path} is of shape {stored}, {path} is {here}", OTHER)

    def _heads(
        self, config: Mapping[str, Any], whole: Mapping[str, Tensor], folder: Path
    ) -> dict[str, dict[str, Tensor]]:
        """Sorts what was saved in full by the modules that it belongs to."""
        file = folder / TENSORS
        ends = tuple(f".{end}" for end in config.get("modules_to_save") or ())
        heads: dict[str, dict[str, Tensor]] = {}
        for key, tensor in whole.items():
            parts = key.split(".")
            paths = (".".join(parts[:end]) for end in range(1, len(parts)))
            path = next((one for one in paths if f".{one}".endswith(ends)), None)
            if path is None:
                raise UserError(
                    f"{file} holds {key}", f"{CONFIG} lists no module that it could be of under modules_to_save"
                )
            heads.setdefault(path, {})[key.removeprefix(f"{path}.")] = tensor
        for path, parameters in heads.items():
            here = dict(self._inner(path, Replaced, file).named_parameters())
            for key, tensor in parameters.items():
                if key not in here:
                    raise UserError(f"{file}: {path} has no {key} here", OTHER)
                if tensor.shape[1:] != here[key].shape[1:]:  # classes may differ, what they are computed from may not
                    raise shape_error(file, f"{path}.{key}", tensor, here[key])
        return heads


class Updated(nn.Module):
    """A linear map with the low-rank updates of several adapters.

    Args:
        inner: the linear map, W0 (d, k).
        choice: which of them, shared in the bank.
    """

    def __init__(self, inner: nn.Module, choice: Choice) -> None:
        super().__init__()
        self.inner, self._choice = inner, choice
        self._updates: dict[str, tuple[Tensor, Tensor]] = {}
        self._stacked: tuple[tuple, Tensor, Tensor] | None = None

    @property
    def weight(self) -> Tensor:
        """W0's own weight, for code that asks a projection for its dtype or device."""
        return self.inner.weight

    def add(self, name: str, update: Update) -> None:
        """Takes one more, with alpha / r in its B."""
        self._updates[name] = (update.A.to(self.weight), (update.B.t() * update.scale).to(self.weight))
        self._stacked = None

    def remove(self, name: str) -> None:
        """Forgets one, if it is here."""
        self._updates.pop(name, None)
        self._stacked = None

    def empty(self) -> bool:
        """Whether there is none."""
        return not self._updates

    def forward(self, x: Tensor) -> Tensor:  # x: (batch, ..., k)
        h, choice = self.inner(x), self._choice  # (batch, ..., d)
        if choice.rows is not None:
            A, B = self._all(choice.names)
            rows = len(choice.rows)
            z = torch.bmm(x.reshape(rows, -1, x.shape[-1]), A[choice.rows].transpose(1, 2))  # (batch, tokens, r)
            return torch.baddbmm(h.reshape(rows, -1, h.shape[-1]), z, B[choice.rows]).view(h.shape)
        if choice.name not in self._updates:
            return h
        A, B = self._updates[choice.name]
        return torch.addmm(h.flatten(0, -2), F.linear(x, A).flatten(0, -2), B).view(h.shape)

    def _all(self, names: tuple[str | None, ...]) -> tuple[Tensor, Tensor]:
        """A (names, r, k) and B (names, r, d), zero where an adapter has no update here, or one of a smaller rank."""
        if self._stacked is None or self._stacked[0] != names:
            (d, k), r = matrix(self.inner).shape, max(len(A) for A, _ in self._updates.values())
            A_all, B_all = (self.weight.new_zeros(len(names), r, width) for width in (k, d))
            for number, name in enumerate(names):
                if name in self._updates:
                    A, B = self._updates[name]
                    A_all[number, : len(A)], B_all[number, : len(B)] = A, B
            self._stacked = names, A_all, B_all
        return self._stacked[1:]

    def _apply(self, fn: Callable, recurse: bool = True) -> nn.Module:  # moves to a device come by here
        self._updates = {name: (fn(A), fn(B)) for name, (A, B) in self._updates.items()}
        self._stacked = None
        return super()._apply(fn, recurse)


class Replaced(nn.Module):
    """A module of which adapters have copies of their own.

    Args:
        inner: the network's.
        choice: which copy, shared in the bank.
    """

    def __init__(self, inner: nn.Module, choice: Choice) -> None:
        super().__init__()
        self.inner, self._choice = inner, choice
        self.names: list[str] = []
        self.copies = nn.ModuleList()

    def add(self, name: str, parameters: Mapping[str, Tensor]) -> None:
        """Makes a copy with these parameters."""
        module = copy.deepcopy(self.inner)
        for key, tensor in parameters.items():
            path, _, leaf = key.rpartition(".")
            owner = module.get_submodule(path)
            setattr(owner, leaf, nn.Parameter(tensor.to(getattr(owner, leaf)), requires_grad=False))
            if isinstance(owner, nn.Linear):
                owner.out_features = len(owner.weight)
        self.names.append(name)
        self.copies.append(module)

    def remove(self, name: str) -> None:
        """Forgets one, if it is here."""
        if name in self.names:
            del self.copies[self.names.index(name)]
            self.names.remove(name)

    def empty(self) -> bool:
        """Whether there is none."""
        return not self.names

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:  # x: (batch, ...)
        if self._choice.rows is None:
            return self._of(self._choice.name)(x, *args, **kwargs)
        outs = [(rows, self._of(name)(x[rows], *args, **kwargs)) for name, rows in self._choice.groups]
        first, width = outs[0][1], max(out.shape[-1] for _, out in outs)
        every = first.new_full((len(x), *first.shape[1:-1], width), ABSENT)
        for rows, out in outs:
            every[rows, ..., : out.shape[-1]] = out
        return every

    def _of(self, name: str | None) -> nn.Module:
        return self.copies[self.names.index(name)] if name in self.names else self.inner
