"""The application: a page for people, JSON for programs, both by the same service behind the same limits."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from crossreid.errors import CrossReIDError, DataError
from crossreid.version import __version__
from crossreid.web.limits import Limits
from crossreid.web.service import Query, SearchService, temporary_folder

_HERE = Path(__file__).resolve().parent
_TOKEN = r"^[0-9a-f]{32}$"

Token = Annotated[str, Field(pattern=_TOKEN, description="a picture that an answer named")]
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PictureRequest(_Strict):
    """A picture: sent, or named by its token."""

    image: str | None = Field(None, description="a JPEG, PNG, WebP, BMP or TIFF in base64")
    picture: Token | None = None
    modality: Literal["visible", "infrared", "auto"] = Field("auto", description="auto: a grey picture is infrared")


class SearchRequest(PictureRequest):
    """What to search for, as ``python -m crossreid.search`` takes it."""

    top_k: int = Field(20, ge=1, description="images to find")
    filter: str | None = Field(
        None, description="which images are looked at, such as camera != 3 and time > '2025-11-03'"
    )
    camera: Annotated[str, Field(max_length=200)] | Number | None = Field(None, description="the query's")
    time: Number | None = Field(None, description="the query's, in seconds since 1970")
    exclude_camera: bool = Field(False, description="leave out images of the query's camera")
    exclude_seconds: Number | None = Field(None, ge=0, description="of these only the ones within so many seconds")
    rerank: int = Field(0, ge=0, description="re-rank so many nearest images by k-reciprocal neighbours")


class HeatRequest(PictureRequest):
    """A picture, and one of the gallery that it is compared with."""

    other: Token


class TranslationRequest(PictureRequest):
    """A picture, and one of the other modality, whose style some methods take."""

    other: Token | None = None


class GalleryHit(BaseModel):
    """An image of the gallery."""

    rank: int = Field(description="from 1")
    score: float = Field(description="cosine similarity in [-1, 1], or the method's own")
    match: bool | None = Field(
        None, description="it shows the query's person, by the model's calibration; null without one"
    )
    probability: float | None = Field(None, description="that it does, likewise")
    modality: str
    picture: str = Field(description="its token: GET /pictures/TOKEN is the picture")
    columns: dict[str, str | float | None] = Field(description="what the gallery knows of it, such as camera and time")
    path: str | None = Field(None, description="its file, where the server shows names")


class QueryDescription(BaseModel):
    """The query as it was understood."""

    modality: str
    camera: str | float | None = None
    time: float | None = None


class SearchAnswer(BaseModel):
    """The images most like the query, most alike first."""

    query: QueryDescription
    nobody: bool | None = Field(None, description="no image matches, by the model's calibration; null without one")
    hits: list[GalleryHit]


def make_application(
    service: SearchService,
    *,
    hosts: Collection[str],
    largest_list: int = 200,
    upload_bytes: int = 10 * 2**20,
    working: int = 2,
    waiting: int = 16,
) -> ASGIApp:
    """The application as uvicorn serves it.

    Args:
        service: what answers.
        hosts: names by which this server may be called.
        largest_list: images that one search may ask for.
        upload_bytes: of a request.
        working, waiting: requests at once; see :class:`~crossreid.web.limits.Limits`.
    """
    app = FastAPI(
        title="crossreid",
        version=__version__,
        description="Search a gallery for the person of a picture.",
        docs_url=None,  # FastAPI's own load scripts from elsewhere
        redoc_url=None,
    )
    _answer_errors(app, service)
    _add_pages(app, service)
    _add_facts(app, service)
    _add_questions(app, service, largest_list)
    return Limits(app, hosts=hosts, largest=upload_bytes, working=working, waiting=waiting)


def _answer_errors(app: FastAPI, service: SearchService) -> None:
    """Every refusal is one sentence as JSON, which shows no file of this machine."""

    @app.exception_handler(RequestValidationError)
    def refuse(_: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"error": _sentence(error)}, 422)

    @app.exception_handler(HTTPException)
    def say(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": f"{error.detail}."}, error.status_code)

    @app.exception_handler(CrossReIDError)
    def explain(_: Request, error: CrossReIDError) -> JSONResponse:
        return JSONResponse({"error": service.anonymous(str(error))}, 400)


def _add_pages(app: FastAPI, service: SearchService) -> None:
    """What people look at: the search page, and the reference of the endpoint."""
    templates = Environment(loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined)
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")

    @app.get("/", include_in_schema=False)
    def page() -> HTMLResponse:
        template = templates.get_template("page.html.jinja")
        return HTMLResponse(template.render(about=service.about()))

    @app.get("/api", include_in_schema=False)
    def reference() -> HTMLResponse:
        api = app.openapi()
        template = templates.get_template("reference.html.jinja")
        return HTMLResponse(template.render(api=api, schema=json.dumps(api, indent=2)))


def _add_facts(app: FastAPI, service: SearchService) -> None:
    """What is there: the gallery and its model, pictures to pick from, pictures that an answer named."""

    @app.get("/api/about", summary="the gallery, its model, and what can be asked for")
    def about() -> dict[str, Any]:
        return service.about()

    @app.get("/api/samples", summary="pictures to pick from")
    def samples() -> list[dict[str, Any]]:
        return service.samples()

    @app.get("/pictures/{token}", summary="a picture that an answer named, as a small JPEG", response_class=Response)
    def picture(token: Token) -> Response:
        known = service.pictures.known(token)
        if known is None:
            return JSONResponse({"error": "There is no such picture: search again."}, 404)
        return Response(service.pictures.jpeg(known), media_type="image/jpeg")


def _add_questions(app: FastAPI, service: SearchService, largest_list: int) -> None:
    """What is worked out for a picture: a search, heat maps, translations.

    Functions without ``async``, which FastAPI runs in threads: a model at work does not hold up the other requests.
    """

    @app.post("/api/search", summary="the images most like a picture")
    def search(asked: SearchRequest) -> SearchAnswer:
        if max(asked.top_k, asked.rerank) > largest_list:
            raise DataError(f"Ask for at most {largest_list} images.")
        conditions = {
            "filter": asked.filter or None,
            "exclude_camera": asked.exclude_camera,
            "exclude_seconds": asked.exclude_seconds,
            "rerank": asked.rerank,
        }

        def found(query: Query) -> dict[str, Any]:
            return service.search(query, asked.top_k, **conditions)

        return SearchAnswer(**_with_picture(service, asked, found, asked.camera, asked.time))

    @app.post("/api/heat", summary="what makes two pictures alike, as heat maps (Grad-CAM)")
    def heat(asked: HeatRequest) -> dict[str, str]:
        other = service.sample(asked.other, "auto")
        return _with_picture(service, asked, lambda query: service.heat(query, other))

    @app.post("/api/translation", summary="what the method makes of a picture in the other modality")
    def translation(asked: TranslationRequest) -> dict[str, str]:
        other = None
        if asked.other is not None:
            other = service.sample(asked.other, "auto")
        return _with_picture(service, asked, lambda query: service.translated(query, other))


def _with_picture(
    service: SearchService,
    asked: PictureRequest,
    answer: Callable[[Query], dict[str, Any]],
    camera: Any = None,
    time: float | None = None,
) -> dict[str, Any]:
    """Answer by the picture of a request, which is a file for so long.

    Raises:
        DataError: there is none, or two.
    """
    if (asked.image is None) == (asked.picture is None):
        raise DataError("Send one picture: image in base64, or the token of one as picture.")
    if asked.picture is not None:
        query = service.sample(asked.picture, asked.modality)
        # What is said of a picture to pick from wins over what its list says.
        if camera is not None:
            query = replace(query, camera=camera)
        if time is not None:
            query = replace(query, time=time)
        return answer(query)
    with temporary_folder() as folder:
        path = service.upload(asked.image or "", Path(folder))
        return answer(Query(path, asked.modality, camera, time))


def _sentence(error: RequestValidationError) -> str:
    """What is wrong with a request, without repeating what was sent."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return "The request is no JSON."
    names = [str(part) for part in first["loc"] if part != "body"]
    place = ".".join(names) or "The request"
    return f"{place}: {first['msg']}."
