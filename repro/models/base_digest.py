"""What a frozen network is recognised by, so that what was learnt beside it is not put on another one."""

from __future__ import annotations

import hashlib
import json

import torch
from torch import nn

from repro.models.load import head_modules

SAMPLED = 256
"""Values of each parameter that the digest looks at."""


def base_digest(network: nn.Module) -> str | None:
    """Digests the weights that a network was given, so that an adapter is known to be of them.

    Names, shapes and some values of each parameter of the pre-trained body, rounded to bfloat16, so that it is the same
    in both precisions. Of heads nothing: they belong to a task.

    Args:
        network: not adapted yet.
    Returns:
        SHA-256, or None where the values cannot be had: on the meta device, in another precision.
    """
    body = getattr(network, getattr(network, "base_model_prefix", None) or "", network)
    heads = {id(one) for head in head_modules(network) for one in network.get_submodule(head).parameters()}
    parameters = {name: one.detach() for name, one in body.named_parameters() if id(one) not in heads}
    if not all(one.dtype in (torch.float32, torch.bfloat16) and not one.is_meta for one in parameters.values()):
        return None
    digest = hashlib.sha256(json.dumps([(name, *one.shape) for name, one in parameters.items()]).encode())
    some = [one.flatten()[:: max(1, one.numel() // SAMPLED)] for one in parameters.values()]
    digest.update(torch.cat(some).to(torch.bfloat16).view(torch.uint8).cpu().numpy().tobytes())
    return digest.hexdigest()
