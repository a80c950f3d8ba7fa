"""The command that makes the teacher's kit: ``fingerprints class``."""

import click


@click.command("class")
@click.option("--profile", default="quick", show_default=True, help="Of the built book: smoke, quick, full or paper.")
def make_class(profile: str) -> None:
    """Make the teacher's kit of the built book, in _build/class: notebooks, slides, lesson plans, PDF and zip."""
    from .book.chapters import PROFILES, Book
    from .classroom.kit import make_kit
    from .errors import unknown

    if profile not in PROFILES:
        raise unknown("profile", profile, PROFILES)
    click.echo(str(make_kit(Book(), profile)))
