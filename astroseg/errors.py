"""Every error and warning that astroseg raises on purpose."""

__all__ = [
    "AstrosegError",
    "AstrosegWarning",
    "FolderError",
    "ImageError",
    "NoDetectionsWarning",
    "PluginError",
    "UsageError",
    "WorkerLostError",
]


class AstrosegError(Exception):
    """Base of all deliberate errors: one line that says what is wrong and what would work.

    The command line prints the line and ends with ``exit_status``.
    """

    exit_status = 1


class ImageError(AstrosegError):
    """An image (or mask, background or noise file) cannot be used."""


class FolderError(AstrosegError):
    """A run cannot be kept in its folder."""


class UsageError(AstrosegError, ValueError):
    """An option or argument is wrong."""

    exit_status = 2


class PluginError(AstrosegError):
    """A plugin is missing, broken or breaks the contract."""


class WorkerLostError(AstrosegError):
    """A process that worked on a part of an image died, or did not return."""


class AstrosegWarning(UserWarning):
    """Something was assumed, repaired or ignored; the message says what."""


class NoDetectionsWarning(AstrosegWarning):
    """Nothing was found; the catalogue is empty and complete."""
