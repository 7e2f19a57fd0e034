"""The page and the endpoint: the command's search, and nothing else gets out or in."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import resource
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossreid.errors import ConfigError
from crossreid.extraction import Extractor
from crossreid.extraction.images import list_source
from crossreid.galleries import Gallery
from crossreid.settings.calibration import CalibrationSettings
from crossreid.settings.compose import compose, typed
from crossreid.settings.web import DemoConfig, ServeConfig
from crossreid.studies.calibration.building import calibrate_embeddings
from support import lively_checkpoint, write_video

pytest.importorskip("fastapi", reason="the page needs the extra `web`")
pytest.importorskip("uvicorn", reason="the page needs the extra `web`")

from starlette.testclient import TestClient

from crossreid.web.application import make_application
from crossreid.web.limits import Limits
from crossreid.web.running import allowed_hosts, run_server
from crossreid.web.service import SearchService, samples_at

HERE = "http://127.0.0.1"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, people_root: Path, shared_folder: Path) -> Path:
    return lively_checkpoint("aligngan", tmp_path_factory.mktemp("web"), people_root, shared_folder)


@pytest.fixture(scope="module")
def people_list(tmp_path_factory, people) -> Path:
    lines = ["path,modality,camera,time"]
    for place, row in enumerate(people.rows("test")):
        record = people.records[row]
        lines.append(f"{record.path},{record.modality},{record.camid},{1000 * place}")
    path = tmp_path_factory.mktemp("list") / "people.csv"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def extract(checkpoint: Path) -> Extractor:
    return Extractor(checkpoint, "cpu", workers=0)


@pytest.fixture(scope="module")
def gallery(extract: Extractor, people_list: Path) -> Gallery:
    gallery = Gallery.open(model=extract)
    embedded = extract(people_list)
    gallery.add(embedded.select(~embedded.infrared))
    return gallery


@pytest.fixture(scope="module")
def night(people_list: Path):
    images = list_source(people_list, None)
    return next(path for path, modality in zip(images.paths, images.modalities, strict=True) if modality == "infrared")


@pytest.fixture(scope="module")
def service(extract: Extractor, gallery: Gallery, people_list: Path) -> SearchService:
    return SearchService(extract, gallery, samples=list_source(people_list, None), upload_pixels=10_000)


@pytest.fixture(scope="module")
def client(service: SearchService) -> Iterator[TestClient]:
    app = make_application(service, hosts={"127.0.0.1"}, upload_bytes=200_000, largest_list=50)
    with TestClient(app, base_url=HERE) as client:
        yield client


def sent(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def test_the_endpoint_finds_what_the_search_finds(
    client: TestClient, extract: Extractor, gallery: Gallery, night: Path
) -> None:
    conditions = {"filter": "camera != 2 and modality = 'visible'", "rerank": 10}
    answer = client.post(
        "/api/search", json={"image": sent(night), "modality": "infrared", "top_k": 7, **conditions}
    ).json()
    expected = gallery.search(extract(night, modality="infrared"), 7, **conditions)
    assert answer["query"]["modality"] == "infrared"
    assert [hit["score"] for hit in answer["hits"]] == [round(float(score), 6) for score in expected.scores[0]]
    for hit, path in zip(answer["hits"], expected.lists[0].paths, strict=True):
        shown = Image.open(io.BytesIO(client.get(f"/pictures/{hit['picture']}").content))
        original = Image.open(path).convert("RGB")
        assert shown.size == original.size
        assert np.abs(np.asarray(shown, float) - np.asarray(original, float)).mean() < 6  # encoded anew
    assert [hit["columns"]["camera"] for hit in answer["hits"]] == list(expected.lists[0].columns["camera"])


def test_a_calibration_says_who_matches(extract: Extractor, gallery: Gallery, people_list: Path, night: Path) -> None:
    everybody = extract(people_list)
    persons = [int(Path(path).parent.name) for path in everybody.paths]
    labelled = replace(everybody, pids=np.array(persons), columns={**everybody.columns, "person": persons})
    calibration = calibrate_embeddings(labelled, CalibrationSettings(rates=[0.5], between=["visible-infrared"]), {})
    service = SearchService(extract, gallery, calibration=calibration)
    with TestClient(make_application(service, hosts={"127.0.0.1"}), base_url=HERE) as client:
        answer = client.post("/api/search", json={"image": sent(night), "modality": "infrared", "top_k": 30}).json()
    hits = gallery.search(extract(night, modality="infrared"), 30, calibration=calibration)
    assert answer["nobody"] == hits.nobody(0)
    for hit, match in zip(answer["hits"], hits.matches(0), strict=True):
        assert hit["match"] == match.matches
        assert hit["probability"] == pytest.approx(match.probability)


def test_what_is_known_of_the_query_leaves_images_out(client: TestClient, night: Path) -> None:
    asked = {"image": sent(night), "modality": "infrared", "top_k": 50, "camera": 1, "exclude_camera": True}
    answer = client.post("/api/search", json=asked).json()
    assert answer["hits"]
    assert 1 not in {hit["columns"]["camera"] for hit in answer["hits"]}
    unknown = client.post("/api/search", json={**asked, "camera": None})
    assert unknown.status_code == 400
    assert "need a column camera" in unknown.json()["error"]


def test_a_picture_is_picked_and_is_grey_by_itself(client: TestClient, service: SearchService) -> None:
    samples = client.get("/api/samples").json()
    chosen = next(sample for sample in samples if sample["modality"] == "infrared")
    answer = client.post("/api/search", json={"picture": chosen["picture"], "top_k": 3}).json()
    assert answer["query"] == {"modality": "infrared", "camera": chosen["camera"], "time": chosen["time"]}
    grey = io.BytesIO()
    Image.new("L", (32, 64), 90).save(grey, "PNG")
    answer = client.post("/api/search", json={"image": base64.b64encode(grey.getvalue()).decode()}).json()
    assert answer["query"]["modality"] == "infrared"


def test_no_name_of_a_file_is_shown(client: TestClient, night: Path, people_root: Path, gallery: Gallery) -> None:
    texts = [client.get(path).text for path in ("/", "/api", "/openapi.json", "/api/about", "/api/samples")]
    texts.append(client.post("/api/search", json={"image": sent(night)}).text)
    path = gallery.search(gallery._store.whole(), 1).lists[0].paths[0]
    for condition in (f"path = '{path}'", "id > 'a'", "zone = 3", "camera = 'a'", "camera ~ 1"):
        refused = client.post("/api/search", json={"image": sent(night), "filter": condition})
        assert refused.status_code == 400, condition
        texts.append(refused.text.replace(condition, ""))
    broken = base64.b64encode(night.read_bytes()[:200]).decode()
    texts.append(client.post("/api/search", json={"image": broken}).text)
    for text in texts:
        assert str(people_root) not in text
        assert ".jpg" not in text
        assert "/tmp/" not in text
        assert "crossreid-" not in text


def test_names_are_shown_where_the_owner_says_so(extract: Extractor, gallery: Gallery, night: Path) -> None:
    service = SearchService(extract, gallery, show_names=True)
    with TestClient(make_application(service, hosts={"127.0.0.1"}), base_url=HERE) as client:
        hit = client.post("/api/search", json={"image": sent(night), "top_k": 1}).json()["hits"][0]
        asked = {"image": sent(night), "filter": f"path = '{hit['path']}'"}
        assert [found["path"] for found in client.post("/api/search", json=asked).json()["hits"]] == [hit["path"]]


def test_only_pictures_that_were_found_go_out(client: TestClient, night: Path) -> None:
    for token in ("0" * 32, "..%2f..%2fetc%2fpasswd", str(night), f"%2f{night}", "a"):
        answer = client.get(f"/pictures/{token}")
        assert answer.status_code in (404, 422), token
    for path in (
        "/static/../application.py",
        "/static/%2e%2e/application.py",
        "/static/..%2fapplication.py",
        "/etc/passwd",
    ):
        assert client.get(path).status_code == 404, path
    answer = client.post("/api/search", json={"picture": "0" * 32})
    assert answer.json() == {"error": "There is no such picture: search again."}


def uploads(night: Path) -> dict[str, tuple[bytes, str]]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("night.png", night.read_bytes())
    large = io.BytesIO()
    Image.new("L", (101, 100)).save(large, "PNG")
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    pages = io.BytesIO()
    Image.new("L", (8, 8)).save(pages, "TIFF", save_all=True, append_images=[Image.new("L", (8, 8))])
    return {
        "a zip": (archive.getvalue(), "is no picture: send one as JPEG"),
        "a script named .png": (b"#!/bin/sh\ntouch pwned\n", "is no picture"),
        "nothing": (b"", "is no picture"),
        "postscript, which is a program": (postscript, "is no picture"),
        "half a picture": (night.read_bytes()[: night.stat().st_size // 2], "cannot be read"),
        "a large one": (large.getvalue(), "101 x 100 pixels"),
        "several pages": (pages.getvalue(), "holds 2 pictures"),
    }


def test_other_files_than_pictures_are_refused_in_one_sentence(client: TestClient, night: Path) -> None:
    for kind, (content, sentence) in uploads(night).items():
        for path in ("/api/search", "/api/translation"):
            answer = client.post(path, json={"image": base64.b64encode(content).decode()})
            assert answer.status_code == 400, kind
            assert sentence in answer.json()["error"], (kind, answer.text)


BAD_REQUESTS = [
    ({}, "Send one picture"),
    ({"image": "", "picture": "0" * 32}, "Send one picture"),
    ({"image": "*"}, "not base64"),
    ({"image": 3}, "image: "),
    ({"image": "", "top_k": 0}, "top_k: "),
    ({"image": "", "top_k": 51}, "at most 50"),
    ({"image": "", "top_k": 1e300}, "top_k: "),
    ({"image": "", "rerank": 10**30}, "at most 50"),
    ({"image": "", "exclude_seconds": -1}, "exclude_seconds: "),
    ({"image": "", "modality": "radar"}, "modality: "),
    ({"image": "", "path": "/etc/passwd"}, "path: "),
]


@pytest.mark.parametrize(("asked", "sentence"), BAD_REQUESTS)
def test_bad_requests_are_one_sentence(client: TestClient, asked: dict, sentence: str) -> None:
    answer = client.post("/api/search", json=asked)
    assert answer.status_code in (400, 422)
    assert sentence in answer.json()["error"]
    assert "/etc/passwd" not in answer.text


def test_what_is_no_json_is_refused(client: TestClient) -> None:
    kind = {"content-type": "application/json"}
    for body in (b"", b"{", b"[" * 100_000, b"\xff\xfe", b'{"image": NaN}'):
        answer = client.post("/api/search", content=body, headers=kind)
        assert answer.status_code in (400, 422), body[:10]
        assert answer.json()["error"]
    answer = client.post("/api/search", content=b"{", headers=kind)
    assert answer.json() == {"error": "The request is no JSON."}


def test_requests_of_other_pages_and_names_are_refused(client: TestClient, night: Path) -> None:
    body = json.dumps({"image": sent(night)})
    kind = {"content-type": "application/json"}
    cases = [
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"host": ""}, 421),
        ({"host": "[::1"}, 421),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "multipart/form-data; boundary=x"}, 415),
        ({"origin": HERE, "sec-fetch-site": "same-origin"}, 200),
        ({"host": "127.0.0.1:8000"}, 200),
    ]
    for headers, code in cases:
        answer = client.post("/api/search", content=body, headers={**kind, **headers})
        assert answer.status_code == code, (headers, answer.text)
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/", headers=link).status_code == 200
    picture = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert client.get("/api/samples", headers=picture).status_code == 403


def test_large_requests_are_refused_said_or_not(client: TestClient) -> None:
    kind = {"content-type": "application/json"}
    said = client.post("/api/search", content=b"0" * 200_001, headers=kind)
    assert (said.status_code, said.json()["error"]) == (413, "The request is larger than 0.190735 MiB.")
    pieces = (b"0" * 50_000 for _ in range(5))  # without a length
    assert client.post("/api/search", content=pieces, headers=kind).status_code == 413
    assert client.post("/api/search", content=b"0", headers={**kind, "content-length": "-5"}).status_code == 413


def test_nothing_is_loaded_from_elsewhere(client: TestClient) -> None:
    pages = [client.get(path) for path in ("/", "/api", "/static/page.js", "/static/page.css")]
    for page in pages:
        assert page.status_code == 200
        assert not re.search(r"(src|href|url|import)\s*[=(]\s*[\"']?(https?:)?//", page.text)
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert page.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(", pages[2].text)
    for path in ("/docs", "/redoc"):
        assert client.get(path).status_code == 404


def test_the_reference_says_every_field(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    page = client.get("/api").text
    for field in schema["components"]["schemas"]["SearchRequest"]["properties"]:
        assert f"<code>{field}</code>" in page
    for path in schema["paths"]:
        assert path in page


def test_translation_and_heat_are_those_of_the_method(
    client: TestClient, extract: Extractor, service: SearchService
) -> None:
    import torch

    samples = client.get("/api/samples").json()
    day = next(sample for sample in samples if sample["modality"] == "visible")
    night = next(sample for sample in samples if sample["modality"] == "infrared")
    made = client.post("/api/translation", json={"picture": day["picture"]}).json()
    assert list(made) == ["fake infrared"]
    shown = decoded(made["fake infrared"])
    original = Image.open(service.pictures.known(day["picture"]).path).convert("RGB")
    height, width = extract.size
    pixels = np.asarray(original.resize((width, height), Image.Resampling.BICUBIC), np.float32) / 255
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    with torch.no_grad():
        expected = extract.module.translate(images, images)["fake infrared"][0].permute(1, 2, 0).numpy()
    assert np.abs(shown - np.clip(expected, 0, 1) * 255).max() <= 1
    assert client.post("/api/translation", json={"picture": night["picture"]}).json() == {}
    heat = client.post("/api/heat", json={"picture": night["picture"], "other": day["picture"]}).json()
    assert set(heat) == {"query", "other"}
    for address in heat.values():
        assert decoded(address).shape == (height, width, 3)


def decoded(address: str) -> np.ndarray:
    content = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)), np.float64)


def test_an_exported_model_says_what_it_cannot_show(extract: Extractor, gallery: Gallery, night: Path) -> None:
    class Exported(Extractor):
        def __init__(self) -> None:
            self.__dict__.update(extract.__dict__)

        @property
        def module(self):
            raise ConfigError("An exported program only embeds.")

    service = SearchService(Exported(), gallery)
    assert not service.shows_heat
    with TestClient(make_application(service, hosts={"127.0.0.1"}), base_url=HERE) as client:
        hit = client.post("/api/search", json={"image": sent(night), "top_k": 1}).json()["hits"][0]
        answer = client.post("/api/heat", json={"image": sent(night), "other": hit["picture"]})
        assert (answer.status_code, client.post("/api/translation", json={"image": sent(night)}).json()) == (400, {})
        assert "need the model's checkpoint" in answer.json()["error"]


# ---------------------------------------------------------------- a real server


def settings(*words: str) -> ServeConfig:
    return typed(ServeConfig, compose("serve", ["gallery=g", "checkpoint=c", *words]))


def test_a_thousand_requests_at_once_are_answered_or_refused(
    service: SearchService, night: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    body = json.dumps({"image": sent(night), "padding": "0" * 1_000_000}).encode()  # refused, once it is read
    config = settings("port=0", "working=2", "waiting=3", "upload_mib=2")
    server = threading.Thread(target=serve_until, args=(service, config, monkeypatch), daemon=True)
    server.start()
    port = port_of(capsys)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    codes = asyncio.run(all_at_once(port, body, 1000))
    assert len(codes) == 1000
    assert set(codes) <= {422, 503, None}  # None: the connection was refused, or closed before the body was through
    assert 422 in codes
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024, "a GB of bodies was kept"
    assert asyncio.run(all_at_once(port, json.dumps({"image": sent(night)}).encode(), 1)) == [200]
    STOP.set()
    server.join(20)
    assert not server.is_alive()


STOP = threading.Event()


def serve_until(service: SearchService, config: ServeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command's own server, in a thread, until the event."""
    import uvicorn

    class Stoppable(uvicorn.Server):
        async def on_tick(self, counter: int) -> bool:
            return STOP.is_set() or await super().on_tick(counter)

    STOP.clear()
    monkeypatch.setattr(uvicorn, "Server", Stoppable)
    run_server(service, config)


def port_of(capsys) -> int:
    printed = ""
    deadline = time.monotonic() + 30
    while not (found := re.search(r"http://127\.0\.0\.1:(\d+)", printed)):
        assert time.monotonic() < deadline, printed
        time.sleep(0.05)
        printed += capsys.readouterr().out
    return int(found[1])


async def all_at_once(port: int, body: bytes, count: int) -> list[int | None]:
    head = (
        f"POST /api/search HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode()

    async def one() -> int | None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return None
        try:
            writer.write(head)
            for start in range(0, len(body), 2**16):  # in pieces: this process's own memory is measured
                writer.write(body[start : start + 2**16])
                await writer.drain()
            answer = await asyncio.wait_for(reader.read(200), 60)
            return int(answer.split()[1]) if answer else None
        except OSError:
            return None
        finally:
            writer.close()

    return list(await asyncio.gather(*(one() for _ in range(count))))


def test_only_this_machine_is_let_in_unless_told(monkeypatch: pytest.MonkeyPatch, service: SearchService) -> None:
    assert allowed_hosts(settings()) == {"127.0.0.1", "localhost", "::1"}
    with pytest.raises(ConfigError, match="lets other machines in"):
        settings("host=0.0.0.0")
    assert allowed_hosts(settings("host=0.0.0.0", "names=[Search.lab.org]")) == {"search.lab.org"}
    with pytest.raises(ConfigError, match="Nothing can listen at"):
        run_server(service, settings("host=192.0.2.1", "names=[x]"))
    with pytest.raises(ConfigError, match="checkpoint=RUN"):
        typed(DemoConfig, compose("demo", ["gallery=g"]))


def test_the_demo_without_a_model_says_how_to_make_one(run_here, tmp_path: Path) -> None:
    done = run_here("demo")
    assert done.code == 1
    assert "`make demo` trains one in minutes" in done.output


def test_the_demo_shows_the_people_of_a_run(
    run_here, checkpoint: Path, people_root: Path, monkeypatch: pytest.MonkeyPatch, people
) -> None:
    from crossreid.web import running

    shown: list[SearchService] = []
    monkeypatch.setattr(running, "run_server", lambda service, config, browser: shown.append(service))
    done = run_here("demo", f"checkpoint={checkpoint}", "device=cpu", "workers=0", "progress=false")
    assert done.code == 0, done.output
    day = [record for record in map(people.records.__getitem__, people.rows("test")) if record.modality == "visible"]
    assert shown[0].about()["images"] == len(day)
    sample = next(iter(shown[0].samples()))
    assert sample["modality"] == "infrared"
    query = shown[0].sample(sample["picture"], "auto")
    assert len(shown[0].search(query, 5)["hits"]) == 5


@pytest.mark.parametrize("pieces", [0, 3])
def test_a_body_that_trickles_in_is_refused_in_time(pieces: int) -> None:
    """A client that sends some bytes, or none, and then nothing more holds its place no longer than the limit."""
    sent: list[dict] = []
    reached: list[bytes] = []

    async def application(scope: dict, receive, send) -> None:
        while (message := await receive()).get("more_body"):
            reached.append(message["body"])
        raise AssertionError("the whole body never came")

    async def receive() -> dict:
        if len(reached) < pieces:
            return {"type": "http.request", "body": b"{", "more_body": True}
        await asyncio.sleep(60)
        raise AssertionError("waited for longer than the limit")

    async def send(message: dict) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"), (b"content-length", b"100")]
    scope = {"type": "http", "method": "POST", "path": "/api/search", "headers": headers}
    limits = Limits(application, hosts=["127.0.0.1"], largest=1000, working=1, waiting=0, seconds=0.2)
    began = time.monotonic()
    asyncio.run(limits(scope, receive, send))
    assert time.monotonic() - began < 5
    assert sent[0]["status"] == 408
    assert "did not arrive within 0.2 seconds" in json.loads(sent[1]["body"])["error"]
    assert (len(reached), limits.present) == (pieces, 0)


# ---------------------------------------------------------------- parts of files, and values of a request


def asked_alike(client: TestClient, token: str, picture: np.ndarray, other: str, modality: str) -> None:
    """A picture by its token is answered as the same one that is sent."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    upload = {"image": base64.b64encode(stream.getvalue()).decode(), "modality": modality}
    picked = {"picture": token, "modality": modality}
    hits = [client.post("/api/search", json=asked).json()["hits"] for asked in (upload, picked)]
    assert hits[0] == hits[1]
    for path in ("/api/heat", "/api/translation"):
        made = [client.post(path, json={**asked, "other": other}).json() for asked in (upload, picked)]
        assert made[0], path
        assert made[0] == made[1], path


def test_people_in_one_picture_are_pictures_of_their_own(
    extract: Extractor, gallery: Gallery, people_root: Path, tmp_path: Path
) -> None:
    paths = sorted((people_root / "cam1").rglob("*.jpg"))
    crops = [np.asarray(Image.open(path)) for path in (paths[0], paths[-1])]
    height, width = crops[0].shape[:2]
    scene = np.zeros((height + 5, 2 * width, 3), np.uint8)
    scene[5:, :width], scene[:height, width:] = crops
    Image.fromarray(scene).save(tmp_path / "scene.png")
    lines = ["path,modality,camera,time,x,y,width,height"]
    lines += [
        f"scene.png,visible,1,500,0,5,{width},{height}",
        f"scene.png,visible,2,900,{width},0,{width},{height}",
        "scene.png,visible,3,950,5000,0,8,8",
    ]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    service = SearchService(extract, gallery, samples=list_source(tmp_path / "m.csv", None))
    with TestClient(make_application(service, hosts={"127.0.0.1"}), base_url=HERE) as client:
        *samples, outside = client.get("/api/samples").json()
        for sample, crop, place in zip(samples, crops, ((1, 500), (2, 900)), strict=True):
            answer = client.post("/api/search", json={"picture": sample["picture"], "top_k": 5}).json()
            assert (answer["query"]["camera"], answer["query"]["time"]) == place
            shown = np.asarray(Image.open(io.BytesIO(client.get(f"/pictures/{sample['picture']}").content)), float)
            assert shown.shape == crop.shape
            assert np.abs(shown - crop).mean() < 6  # encoded anew
            asked_alike(client, sample["picture"], crop, answer["hits"][0]["picture"], "visible")
        found = client.post("/api/heat", json={"picture": samples[0]["picture"], "other": samples[1]["picture"]}).json()
        assert decoded(found["other"]).shape == (*extract.size, 3)
        refused = client.post("/api/search", json={"picture": outside["picture"]})
        assert (refused.status_code, "its box lies outside" in refused.json()["error"]) == (400, True)


def test_pictures_of_one_video_are_pictures_of_their_own(extract: Extractor, gallery: Gallery, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="videos need the extra `video`")
    pictures = np.random.default_rng(0).integers(0, 256, (3, 64, 48, 3), dtype=np.uint8)
    write_video(tmp_path / "v.mkv", pictures)
    (tmp_path / "m.csv").write_text("path,frame,camera\nv.mkv,2,1\nv.mkv,0,2\n")
    service = SearchService(extract, gallery, samples=samples_at(str(tmp_path / "m.csv"), "visible"))
    with TestClient(make_application(service, hosts={"127.0.0.1"}), base_url=HERE) as client:
        for sample, number, camera in zip(client.get("/api/samples").json(), (2, 0), (1, 2), strict=True):
            answer = client.post("/api/search", json={"picture": sample["picture"]}).json()
            assert answer["query"]["camera"] == camera
            asked_alike(client, sample["picture"], pictures[number], answer["hits"][0]["picture"], "visible")


def test_videos_to_pick_from_need_what_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.csv").write_text("path,frame\nv.mkv,2\n")
    monkeypatch.setattr("crossreid.extraction.video.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="is a video, which needs the package av"):
        samples_at(str(tmp_path / "m.csv"), "visible")


def test_what_a_request_says_of_its_picture_goes_before_what_the_sample_says(client: TestClient) -> None:
    sample = next(sample for sample in client.get("/api/samples").json() if sample["camera"] and sample["time"])
    for said in (0, 3, ""):
        for time_said in (0, 7):
            asked = {"picture": sample["picture"], "camera": said, "time": time_said}
            query = client.post("/api/search", json=asked).json()["query"]
            assert (query["camera"], query["time"]) == (said, time_said)
    nothing_said = client.post("/api/search", json={"picture": sample["picture"], "camera": None}).json()["query"]
    assert (nothing_said["camera"], nothing_said["time"]) == (sample["camera"], sample["time"])


SPELLINGS = [
    "{}",
    "{}/",
    "{}//",
    "{}/.",
    "{}/../x.gallery",
    "sub/x.gallery",
    "./sub/x.gallery/",
    "sub/../sub/x.gallery",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_place_of_a_gallery_is_not_shown_however_it_is_spelt(
    extract: Extractor, gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "sub" / "x.gallery"
    place = spelling.format(folder)
    service = SearchService(extract, gallery, place=place)
    for named in (folder, Path(place), place, Path(place).resolve()):
        for sentence in (
            f"The gallery '{named}' is empty.",
            f"'{named}/gallery.json' does not describe a gallery.",
            f"The gallery '{named}' cannot be read (Not found: {str(folder)[1:]}/images.lance/1.lance): restore it.",
            f"The gallery '{named}' cannot be read ({folder}: no room): restore it.",
        ):
            shown = service.anonymous(sentence)
            assert "x.gallery" not in shown
            assert str(tmp_path)[1:] not in shown
    assert service.anonymous(f"The gallery '{place}' is empty.") == "The gallery is empty."
    assert service.anonymous("The column 'x' is none.") == "The column 'x' is none."


def test_a_gallery_that_is_damaged_while_it_is_served_does_not_say_where_it_lies(
    extract: Extractor, people_list: Path, tmp_path: Path, night: Path
) -> None:
    pytest.importorskip("lancedb", reason="folders need the extra `search`")
    folder = tmp_path / "x.gallery"
    gallery = Gallery.open(folder, model=extract)
    embedded = extract(people_list)
    gallery.add(embedded.select(~embedded.infrared))
    service = SearchService(extract, gallery, place=f"{folder}/")
    with TestClient(make_application(service, hosts={"127.0.0.1"}), base_url=HERE) as client:
        for path in (folder / "images.lance").rglob("*"):
            if path.is_file():
                path.write_bytes(b"")
        (folder / "gallery.json").write_text("{}")
        answers = [client.post("/api/search", json={"image": sent(night)}), client.get("/api/about")]
    assert answers[0].status_code == 400
    for answer in answers:
        assert "x.gallery" not in answer.text
        assert str(tmp_path)[1:] not in answer.text


# ---------------------------------------------------------------- several at once


@pytest.mark.slow
def test_requests_at_once_are_answered_as_one_after_the_other(
    tmp_path: Path, people_root: Path, shared_folder: Path, people_list: Path
) -> None:
    """Of a method that has averages for each modality, and translates by those of the batch."""
    import httpx

    checkpoint = lively_checkpoint("jsia", tmp_path, people_root, shared_folder, "model.test_norm=per_modality")
    extract = Extractor(checkpoint, "cpu", workers=0)
    gallery = Gallery.open(model=extract)
    gallery.add(extract(people_list))
    service = SearchService(extract, gallery, samples=list_source(people_list, None))
    samples = {sample["modality"]: sample["picture"] for sample in service.samples()}
    questions = []
    for modality, other in (("visible", "infrared"), ("infrared", "visible")):
        asked = {"picture": samples[modality]}
        questions.append(("/api/search", {**asked, "top_k": 5}))
        questions += [(path, {**asked, "other": samples[other]}) for path in ("/api/heat", "/api/translation")]
    for layer in extract.module.modules():
        if hasattr(layer, "infrared_mean"):
            layer.register_forward_pre_hook(lambda *_: time.sleep(0.001))  # so that forwards overlap wherever they may
    before = {name: buffer.clone() for name, buffer in extract.module.named_buffers()}

    async def answered(together: bool) -> list[object]:
        app = make_application(service, hosts={"127.0.0.1"}, working=6)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HERE) as client:
            asked = [client.post(path, json=body, timeout=60) for path, body in questions]
            answers = await asyncio.gather(*asked) if together else [await question for question in asked]
        assert [answer.status_code for answer in answers] == [200] * len(questions)
        return [answer.json() for answer in answers]

    alone = asyncio.run(answered(together=False))
    assert asyncio.run(answered(together=True)) == alone
    assert asyncio.run(answered(together=False)) == alone
    for name, buffer in extract.module.named_buffers():
        assert buffer.equal(before[name]), name
