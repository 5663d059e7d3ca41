"""Every exception and warning of dynloop.

Each message names the argument, its value, the rule it breaks and the remedy, in one line.
"""

from __future__ import annotations

__all__ = [
    "CheckpointError",
    "ConformanceError",
    "DerivativeError",
    "DynloopError",
    "DynloopWarning",
    "InvalidArgumentError",
    "MissingPackageError",
    "NoStartError",
    "NoTwinError",
    "NotAutonomousError",
    "PromptError",
    "ShapeError",
    "StoreError",
    "StudyError",
    "UnknownFamilyError",
    "UnsafeFileError",
]


class DynloopError(Exception):
    """Base of every error that dynloop raises on purpose."""


class InvalidArgumentError(DynloopError, ValueError):
    """An argument has a value that the function cannot take."""


class ShapeError(InvalidArgumentError):
    """A state, a frame or a record has the wrong shape."""


class NoStartError(DynloopError, ValueError):
    """No start was given and the map knows none of its own."""


class NoTwinError(DynloopError, TypeError):
    """The map cannot be evaluated in the dtype that was asked for."""


class DerivativeError(DynloopError, ArithmeticError):
    """A derivative is not available or is not the derivative of the map (for example silently zero)."""


class NotAutonomousError(DynloopError, ValueError):
    """The loop depends on something else than its state, so it is not one map."""


class ConformanceError(DynloopError, AssertionError):
    """A map or an adapter breaks a rule that every one of them must keep."""


class CheckpointError(DynloopError, OSError):
    """A checkpoint is missing, damaged or not what its config says."""


class UnknownFamilyError(CheckpointError):
    """No adapter recognises the checkpoint."""


class UnsafeFileError(CheckpointError):
    """A file holds more than tensors; it was not loaded."""


class PromptError(DynloopError, ValueError):
    """A prompt does not fit the checkpoint."""


class StudyError(DynloopError, RuntimeError):
    """A study cannot go on; what is finished is kept."""


class StoreError(StudyError, OSError):
    """The folder of a study cannot be written, is damaged, or holds no study."""


class MissingPackageError(DynloopError, ImportError):
    """Something needs a package that dynloop installs only if it is asked to."""


class DynloopWarning(UserWarning):
    """Base of every warning that dynloop gives."""
