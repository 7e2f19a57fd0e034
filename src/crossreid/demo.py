"""The search page: drop a night picture, see the day images that are most like it.

``python -m crossreid.demo``
``python -m crossreid.demo gallery=street.gallery checkpoint=RUN``
"""

from __future__ import annotations

from crossreid.launch import run_command
from crossreid.optimiser import refuse_optimiser
from crossreid.settings.compose import Composed, typed
from crossreid.settings.web import DemoConfig


def main() -> None:
    """The command."""
    run_command("demo", demo)


def demo(composed: Composed) -> None:
    """Show the page until somebody stops it."""
    config = typed(DemoConfig, composed)
    refuse_optimiser("demo")
    from crossreid.web.running import (  # noqa: PLC0415 - torch is imported behind the first checks
        check_web_packages,
        make_service,
        run_server,
    )

    check_web_packages()
    if config.gallery is not None and config.checkpoint is not None:
        service = make_service(config, config.gallery, config.checkpoint)
    else:
        from crossreid.web.embedded import embedded_service  # noqa: PLC0415

        service = embedded_service(config)
    run_server(service, config, browser=config.browser)


if __name__ == "__main__":
    main()
