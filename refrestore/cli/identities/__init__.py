"""`refrestore identities`: who is in a video, and what the user says about it."""

from __future__ import annotations

import typer

from . import answers, draw, look, references, review

app = typer.Typer(help="Look at the people of a project and correct them.", no_args_is_help=True)
for module in (look, answers, draw, review):
    module.register(app)
app.add_typer(references.app, name="references")
