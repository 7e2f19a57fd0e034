"""Search a gallery over HTTP: JSON for programs, and the page.

``python -m crossreid.serve gallery=street.gallery checkpoint=RUN``
"""

from __future__ import annotations

from crossreid.launch import run_command
from crossreid.optimiser import refuse_optimiser
from crossreid.settings.compose import Composed, typed
from crossreid.settings.web import ServeConfig


def main() -> None:
    """The command."""
    run_command("serve", serve)


def serve(composed: Composed) -> None:
    """Answer until somebody stops it."""
    config = typed(ServeConfig, composed)
    refuse_optimiser("serve")
    from crossreid.web.running import (  # noqa: PLC0415 - torch is imported behind the first checks
        check_web_packages,
        make_service,
        run_server,
    )

    check_web_packages()
    run_server(make_service(config, config.gallery, config.checkpoint), config)


if __name__ == "__main__":
    main()
