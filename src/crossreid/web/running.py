"""From settings to a server that runs until it is stopped."""

from __future__ import annotations

import socket
import webbrowser
from importlib.util import find_spec
from pathlib import Path

from crossreid.console import notice
from crossreid.errors import ConfigError
from crossreid.extraction.extractor import make_extractor
from crossreid.galleries import Gallery
from crossreid.galleries.gallery import require_gallery
from crossreid.galleries.judging import chosen_calibration
from crossreid.settings.web import LOOPBACK, WebConfig
from crossreid.web.service import SearchService, samples_at

_PACKAGES = ("fastapi", "uvicorn")
_MOST_CONNECTIONS = 1000
"""Beyond these uvicorn answers with code 503 itself."""


def check_web_packages() -> None:
    """Raise :class:`ConfigError` where what serves pages is not installed."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigError(f"This needs the packages {' and '.join(missing)}: pip install 'crossreid[web]'.")


def make_service(config: WebConfig, gallery: str | Gallery, checkpoint: str | Path) -> SearchService:
    """The service of settings, with a gallery by its place, or an open one.

    Raises:
        CrossReIDError: there is no such gallery or model, they do not belong together, or there are no images to pick from.
    """
    samples = None
    if config.queries is not None:
        samples = samples_at(config.queries, config.queries_modality)
    if not isinstance(gallery, Gallery):
        require_gallery(gallery)  # before the model is loaded
    extractor = make_extractor(checkpoint, config)
    extractor.progress = False
    extractor.workers = 0  # it embeds one picture at a time
    if isinstance(gallery, Gallery):
        opened = gallery
    else:
        opened = Gallery.open(gallery, model=extractor)
    return SearchService(
        extractor,
        opened,
        place=str(gallery),
        samples=samples,
        calibration=chosen_calibration(opened, config.calibration, checkpoint),
        false_match_rate=config.false_match_rate,
        show_names=config.show_names,
        upload_pixels=config.upload_pixels,
    )


def run_server(service: SearchService, config: WebConfig, *, browser: bool = False) -> None:
    """Serve until somebody stops it.

    Raises:
        ConfigError: the address is not this machine's, or taken.
    """
    import uvicorn  # noqa: PLC0415 - extra `web`

    from crossreid.web.application import make_application  # noqa: PLC0415

    listening = _listening(config.host, config.port)
    port = listening.getsockname()[1]  # that the system has chosen where port=0
    app = make_application(
        service,
        hosts=allowed_hosts(config),
        largest_list=config.largest_list,
        upload_bytes=config.upload_mib * 2**20,
        working=config.working,
        waiting=config.waiting,
    )
    host = config.host
    if ":" in host:  # an address of IPv6 stands in brackets, which tell it from the port
        host = f"[{host}]"
    address = f"http://{host}:{port}"
    notice(f"The page: {address}  For programs: {address}/api  Ctrl-C ends it.")
    if config.host not in LOOPBACK:
        notice("Whoever reaches this address can search and see the pictures that are found.")
    if browser:
        webbrowser.open(address)
    settings = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=5,
    )
    with listening:
        uvicorn.Server(settings).run(sockets=[listening])


def allowed_hosts(config: WebConfig) -> set[str]:
    """Names in the header Host that are answered."""
    names = {name.lower() for name in config.names}
    if config.host in LOOPBACK:
        names.update(LOOPBACK)
    return names


def _listening(host: str, port: int) -> socket.socket:
    """A socket that is bound to an address, so that a taken one is told before anything starts."""
    family = socket.AF_INET
    if ":" in host:
        family = socket.AF_INET6
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server can start again at once
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"Nothing can listen at {host}:{port} ({error.strerror or error}): choose another host or port."
        ) from error
    return listening
