"""Objects made from what a configuration names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.fabric.utilities.exceptions import MisconfigurationException

from repro.errors import UserError


def built(settings: Mapping[str, Any], **others: Any) -> Any:
    """Instantiates what a configuration names; an error that the user can mend comes out as it is."""
    try:
        return instantiate(settings, **others)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, UserError):
            raise cause from None
        if isinstance(cause, TypeError | ValueError | AttributeError | ImportError | MisconfigurationException):
            said = str(cause).partition("\n")[0]
            raise UserError(
                f"{settings.get('_target_')} does not take these settings ({said})", "--debug shows where it says so"
            ) from error
        raise
