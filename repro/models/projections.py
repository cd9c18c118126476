"""W_q, W_k, W_v and W_o of attention by the field's words, whatever a family of networks calls its modules.

Some families compute queries, keys and values with one fused matrix, whose rows are those of W_q, W_k and W_v in turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from repro.errors import UserError
from repro.models.linear import matrix

PARTS = ("query", "key", "value")
"""Of a fused matrix, in the order of its rows."""
WORDS = (*PARTS, "output")

FUSED = {"gpt2": "c_attn"}
"""By transformers' model type: the fused matrix."""

# By transformers' model type: how the names of the modules end. A word that is missing is the end of the name itself.
_BERT = {"output": "attention.output.dense"}  # the feed-forward part has an output.dense of its own
_BART = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}
_LLAMA = {**_BART, "output": "o_proj"}
ENDS: dict[str, dict[str, str]] = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "camembert", "electra"), _BERT),
    "deberta-v2": {"query": "query_proj", "key": "key_proj", "value": "value_proj", **_BERT},
    "distilbert": {"query": "q_lin", "key": "k_lin", "value": "v_lin", "output": "out_lin"},
    "gpt2": {"output": "attn.c_proj"},  # the feed-forward part has a c_proj of its own
    **dict.fromkeys(("bart", "opt"), _BART),
    **dict.fromkeys(("llama", "mistral", "qwen2"), _LLAMA),
    "t5": {"query": "q", "key": "k", "value": "v", "output": "o"},
}


def projection(word: str, network: nn.Module) -> tuple[str, int | None]:
    """Finds what a word names in a network.

    Args:
        word: one of WORDS, or the end of the names of modules.
        network: a network of transformers.
    Returns:
        The end of the modules' names; and which part of PARTS is meant, where one matrix holds all three.
    """
    family = getattr(getattr(network, "config", None), "model_type", None)
    if word in PARTS and family in FUSED:
        return FUSED[family], PARTS.index(word)
    return ENDS.get(family, {}).get(word, word), None


def matrices(targets: Sequence[str], network: nn.Module, linear: Mapping[str, nn.Module]) -> dict[str, tuple[int, ...]]:
    """Finds what targets name.

    Args:
        targets: words of attention, or ends of names.
        network: in which they are looked for.
        linear: its linear modules by name.
    Returns:
        By name, in the order of the network: the parts of a fused matrix, none where the whole matrix is meant.
    Raises:
        UserError: a target matches no module, a matrix is named whole and in parts, or one has no three square parts.
    """
    whole, fused = [], {}
    for target in targets:
        end, part = projection(target, network)
        whole.append(end) if part is None else fused.setdefault(end, set()).add(part)
    found = dict.fromkeys(matching(whole, linear), ())
    for end, parts in fused.items():
        for name in matching([end], linear):
            if name in found:
                raise UserError(
                    f"paper.targets names {name} whole and in parts", f"say {end}, or any of {', '.join(PARTS)}"
                )
            d, k = matrix(linear[name]).shape
            if d != len(PARTS) * k:
                raise UserError(
                    f"paper.targets: {name} is a {d} x {k} matrix and holds no {', '.join(PARTS)}",
                    "name other modules, by the ends of their names",
                )
            found[name] = tuple(sorted(parts))
    return {name: found[name] for name in linear if name in found}


def matching(targets: Sequence[str], names: Sequence[str] | Mapping[str, nn.Module]) -> list[str]:
    """The names that end in a target, in the order of the network.

    Raises:
        UserError: a target matches none.
    """
    found = set()
    for target in targets:
        hits = {name for name in names if name == target or name.endswith(f".{target}")}
        if not hits:
            known = ", ".join(dict.fromkeys(name.rpartition(".")[2] for name in names))
            raise UserError(f"paper.targets: no module of this network is called {target!r}", f"there are {known}")
        found |= hits
    return [name for name in names if name in found]
