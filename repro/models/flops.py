"""How many floating-point operations a network takes, by formula: 2 a multiply-add.

A product of an (m, k) matrix and a (k, n) matrix takes 2 m k n operations. Its backward pass takes as many again for
each of the two operands that needs a gradient, and none for the others: what is frozen has no gradient of its weights,
and where nothing below learns there is none of the activations either.

    linear map        2 in out operations a token; backwards 2 in out for its weight, 2 in out for its input
    attention         2 length^2 width each for Q K^T and P V; backwards twice that, where Q, K and V all need it

The products are found by letting the network run on a few tiny batches, for what it does and for what autograd would do
backwards; the cost of any other batch follows from a polynomial in its shape, fitted once and exactly.

Counted: nn.Linear, Conv1D, low-rank branches, heads, tied decoders, attention (fused or not), convolutions.
Left out: biases, normalisation, softmax and other activations, dropout, looking up embeddings and their gradient, the
loss, the optimiser; what is computed anew in the backward pass (fused attention, gradient checkpointing). Padding
counts, and so does what a causal mask hides, though a fused attention may skip it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

Shape = tuple[int, int]
FITTED: tuple[Shape, ...] = ((1, 2), (1, 4), (1, 6), (2, 2))
CHECKED: Shape = (3, 12)
"""Shapes (rows, tokens) of the tiny batches: those that the polynomials are fitted to, and one that they must give."""


@dataclass(frozen=True)
class Cost:
    """The floating-point operations of a pass, as a polynomial in the shape of its batch, padding counted.

    Attributes:
        batch: whatever the batch is (what is computed from weights alone).
        row: a row (a classifier on the first token).
        token: a token of a row (linear maps).
        pair: a token of a row and a token that it may attend to.
        place: a place that the output layer over the vocabulary is asked for.
    """

    batch: int = 0
    row: int = 0
    token: int = 0
    pair: int = 0
    place: int = 0

    def __call__(self, rows: int, length: int, *, past: int = 0, places: int = 0) -> int:
        """Returns the operations of a batch.

        Args:
            rows: sequences.
            length: tokens of each.
            past: tokens before these, whose keys and values are at hand.
            places: what the output layer is asked for; rows * length where it is asked for all.
        """
        row = self.row + length * (self.token + self.pair * (past + length))
        return self.batch + rows * row + places * self.place

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


class FlopCounter:
    """Counts what a network computes from now on, whoever calls it: forward passes, with their backward passes where
    gradients are on.

    Args:
        network: called as network(input_ids=..., attention_mask=...), adapted and frozen as it will be trained.

    Attributes:
        forward: cost of a forward pass.
        backward: cost of a backward pass.

    Raises:
        ValueError: the cost is no such polynomial (attention in windows), or holds products that are not known here.
    """

    def __init__(self, network: nn.Module) -> None:
        self.forward, self.backward = costs(network)
        self._both, self._operations = self.forward + self.backward, 0
        _hook(network, self._on_body, self._on_output)

    def taken(self) -> int:
        """Returns the operations since it was last asked."""
        operations, self._operations = self._operations, 0
        return operations

    def _on_body(self, module: nn.Module, args: tuple, kwargs: dict) -> None:
        rows, length, past = _shape(args, kwargs)
        self._operations += self._cost()(rows, length, past=past)

    def _on_output(self, module: nn.Module, args: tuple, kwargs: dict) -> None:
        self._operations += self._cost().place * _places(args, kwargs)

    def _cost(self) -> Cost:
        return self._both if torch.is_grad_enabled() else self.forward


def costs(network: nn.Module) -> tuple[Cost, Cost]:
    """Returns the costs of a forward pass and of a backward pass. Neither the weights nor the generators change.

    Raises:
        ValueError: they are no polynomials, or hold products that are not known here.
    """
    device = next(network.parameters()).device
    generators = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(generators), torch.inference_mode(False), torch.enable_grad():
        traces = {shape: _traced(network, *shape, device) for shape in (*FITTED, CHECKED)}
    return _fitted(traces, "forward"), _fitted(traces, "backward")


def output_layer(network: nn.Module) -> nn.Module | None:
    """Returns what stands on the body and gives a score to each word (BERT's `cls`, GPT-2's `lm_head`), if any does.

    A task may ask it for a few places alone.
    """
    words = network.get_output_embeddings() if hasattr(network, "get_output_embeddings") else None
    return next(
        (child for child in network.children() if child is not _body(network) and words in set(child.modules())), None
    )


def _body(network: nn.Module) -> nn.Module:
    return getattr(network, getattr(network, "base_model_prefix", None) or "", network)


def _hook(network: nn.Module, on_body: Callable, on_output: Callable) -> list[RemovableHandle]:
    """Calls on_body and on_output with (module, args, kwargs) before the body and the output layer are called."""
    layer = output_layer(network)
    return [
        _body(network).register_forward_pre_hook(on_body, with_kwargs=True),
        *([layer.register_forward_pre_hook(on_output, with_kwargs=True)] if layer is not None else []),
    ]


def _shape(args: tuple, kwargs: dict) -> tuple[int, int, int]:
    """Returns rows, tokens, and tokens in the cache, of a call of the body."""
    named = {name: kwargs.get(name) for name in ("input_ids", "inputs_embeds")}
    rows, length = _first(args[:1], named).shape[:2]
    cache = kwargs.get("past_key_values")
    return rows, length, 0 if cache is None else int(cache.get_seq_length())


def _places(args: tuple, kwargs: dict) -> int:
    hidden = _first(args, kwargs)  # (..., width)
    return hidden.numel() // hidden.shape[-1]


def _first(args: tuple, kwargs: dict) -> Tensor:
    return next(one for one in (*args, *kwargs.values()) if isinstance(one, Tensor))


def _fitted(traces: Mapping[Shape, _Trace], which: str) -> Cost:
    """Finds the polynomial through what was traced.

    Raises:
        ValueError: there is none.
    """
    body = {shape: getattr(trace, which)["body"] for shape, trace in traces.items()}
    two, four, six, twice = (body[shape] for shape in FITTED)
    past = traces[CHECKED].past
    pair = (six - 2 * four + two) // 8
    token = (four - two) // 2 - pair * (6 + past)
    one_row = twice - two
    checked = traces[CHECKED]
    cost = Cost(
        batch=two - one_row,
        row=one_row - 2 * (token + pair * (past + 2)),
        token=token,
        pair=pair,
        place=getattr(checked, which)["output"] // max(checked.places, 1),
    )
    for (rows, length), trace in traces.items():
        if cost(rows, length, past=past, places=trace.places) != sum(getattr(trace, which).values()):
            raise ValueError(f"its cost is no polynomial in rows and tokens ({rows} rows of {length} tokens differ)")
    return cost


def _traced(network: nn.Module, rows: int, length: int, device: torch.device) -> _Trace:
    ids = torch.zeros(rows, length, dtype=torch.long, device=device)
    trace = _Trace()
    hooks = _hook(network, trace.on_body, trace.on_output)
    layer = output_layer(network)
    if layer is not None:
        hooks.append(layer.register_forward_hook(trace.after_output))
    try:
        with trace:
            network(input_ids=ids, attention_mask=torch.ones_like(ids))
    finally:
        for hook in hooks:
            hook.remove()
    return trace


class _Trace(TorchFunctionMode):
    """Adds up the products that a network computes, in its body and in its output layer, and those of the gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.where, self.past, self.places = "body", 0, 0
        self.forward, self.backward = {"body": 0, "output": 0}, {"body": 0, "output": 0}

    def on_body(self, module: nn.Module, args: tuple, kwargs: dict) -> None:
        self.past = _shape(args, kwargs)[2]

    def on_output(self, module: nn.Module, args: tuple, kwargs: dict) -> None:
        self.where = "output"
        self.places += _places(args, kwargs)

    def after_output(self, *_: Any) -> None:
        self.where = "body"

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func in UNKNOWN:
            raise ValueError(f"it calls torch.{func.__name__}, for which there is no formula")
        if func in PRODUCTS:
            tensors = [one for one in (*args, *(kwargs or {}).values()) if isinstance(one, Tensor)]
            for operations, left_learns, right_learns in PRODUCTS[func](out, *tensors):
                self.forward[self.where] += operations
                if out.requires_grad:
                    self.backward[self.where] += operations * (left_learns + right_learns)
        return out


Product = tuple[int, bool, bool]
"""Operations of a product, and whether its left and its right operand need a gradient."""


def _product(out: Tensor, left: Tensor, right: Tensor, *_: Tensor) -> list[Product]:
    """left (..., m, k) times right, over k."""
    return [(2 * out.numel() * left.shape[-1], left.requires_grad, right.requires_grad)]


def _added_product(out: Tensor, added: Tensor, left: Tensor, right: Tensor) -> list[Product]:
    return _product(out, left, right)


def _attention(out: Tensor, q: Tensor, k: Tensor, v: Tensor, *_: Tensor) -> list[Product]:
    """q (batch, heads, queries, d), k and v (batch, heads or fewer, keys, d): S = Q K^T, then P V."""
    keys = k.shape[-2]
    learns = q.requires_grad or k.requires_grad
    return [
        (2 * q.numel() * keys, q.requires_grad, k.requires_grad),
        (2 * out.numel() * keys, learns, v.requires_grad),
    ]


def _convolution(out: Tensor, x: Tensor, kernel: Tensor, *_: Tensor) -> list[Product]:
    return [(2 * out.numel() * kernel[0].numel(), x.requires_grad, kernel.requires_grad)]


PRODUCTS: dict[Callable, Callable[..., list[Product]]] = {
    **dict.fromkeys((F.linear, torch.matmul, torch.mm, torch.bmm, torch.mv), _product),
    **dict.fromkeys((Tensor.matmul, Tensor.__matmul__, Tensor.mm, Tensor.bmm, Tensor.mv), _product),
    **dict.fromkeys((torch.addmm, torch.baddbmm, Tensor.addmm, Tensor.addmm_, Tensor.baddbmm), _added_product),
    F.scaled_dot_product_attention: _attention,
    **dict.fromkeys((F.conv1d, F.conv2d, torch.conv1d, torch.conv2d), _convolution),
}
UNKNOWN = {torch.einsum, torch.tensordot, F.bilinear, F.conv3d, F.multi_head_attention_forward}
