"""The one exception for mistakes a user can mend."""

from __future__ import annotations


class ReinvertError(Exception):
    """Something a user did or can repair: ``ReinvertError("what is wrong; what to do")``.

    The command line prints the message as a single line and exits with status 1. Anything else that is raised is a
    fault of ours and keeps its traceback.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
