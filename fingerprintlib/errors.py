"""What goes wrong, in one sentence that names the thing and the mend.

The commands print the sentence alone (a traceback only with ``--debug``) and exit with the status given here.
"""


class FingerprintsError(Exception):
    """Something failed while working: a file is damaged, a loss is not finite, the disk is full."""

    exit_status = 1


class UsageError(FingerprintsError, ValueError):
    """Something was asked for that cannot be: an unknown name, a wrong type, a value out of range."""

    exit_status = 2


class BookError(FingerprintsError):
    """A chapter or the book did not build; the message names chapter, cell and error."""

    def __init__(self, message: str, exit_status: int = 1):
        super().__init__(message)
        self.exit_status = exit_status


def one_line(text: str) -> str:
    """The text as one sentence: white space folded, a full stop at its end."""
    line = " ".join(text.split())
    return line if line.endswith((".", "!", "?")) else line + "."


def unknown(kind: str, name: object, known: "list[str] | tuple[str, ...]", of: str = "") -> UsageError:
    """The error for a name that does not exist, with the nearest that does (or all, when none is near).

    Args:
        kind: what is called so.
        name: that does not exist.
        known: those that do.
        of: whose it would be.
    """
    import difflib

    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"There is: {', '.join(known) or 'none'}."
    whose = f" of {of}" if of else ""
    return UsageError(f"Unknown {kind} {name!r}{whose}. {hint}")
