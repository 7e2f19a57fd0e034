"""What each command is for, the settings that matter most, examples. Defaults and meanings come from the settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CommandText:
    """The words of a command's help that stand nowhere else.

    Attributes:
        summary: what it does, in a line.
        purpose: the same for somebody who has not used it: what goes in, what comes out, where it goes.
        choices: groups to show, in the order in which one thinks of them.
        keys: settings to show, likewise.
        examples: arguments -> what they do.
        page: where more stands, below ``docs/``.
    """

    summary: str
    purpose: str
    choices: tuple[str, ...]
    keys: tuple[str, ...]
    examples: dict[str, str]
    page: str


TEXTS = {
    "train": CommandText(
        summary="train a method, score it, show what it learned",
        purpose="Trains a method on a dataset, scores it by the dataset's protocol, and keeps checkpoints, scores, losses and "
        "figures in a folder of its own below outputs/. Without arguments it trains AlignGAN on embedded people, for which "
        "nothing is downloaded.",
        choices=(
            "model",
            "experiment",
            "data",
            "protocol",
            "scale",
            "preset",
            "selection",
            "trainer",
            "logger",
            "sweep",
        ),
        keys=(
            "seed",
            "data.root",
            "run_dir",
            "jobs",
            "overwrite",
            "resume",
            "trainer.precision",
            "trainer.devices",
            "trainer.checkpoint_every",
            "report.figures",
        ),
        examples={
            "model=lba scale=smoke": "seconds: everything once, on a few embedded people",
            "model=lba data=sysu_mm01 data.root=/data/SYSU-MM01 trainer=gpu logger=wandb": "the paper's, on the real images",
            "-m experiment=aligngan/basel,aligngan/full seed=0,1,2": "six runs, one after the other; jobs=2 for two at once",
        },
        page="training.md",
    ),
    "evaluate": CommandText(
        summary="score a checkpoint, or embeddings from anywhere",
        purpose="Scores what a training left, on its own dataset or another one, or embeddings that any other program wrote. "
        "Prints tables and writes them as JSON beside what was scored.",
        choices=("data", "protocol", "trainer"),
        keys=("checkpoint", "embeddings", "output", "save_embeddings", "data.root", "report.figures"),
        examples={
            "checkpoint=RUN": "the newest weights of a run, as its training scored them",
            "checkpoint=RUN/last.ckpt data=regdb data.root=/data/RegDB": "on another dataset",
            "embeddings=features.npz protocol=sysu_mm01": "what another program computed",
        },
        page="protocols.md",
    ),
    "report": CommandText(
        summary="gather runs into tables beside the published numbers",
        purpose="Reads run folders, prints a table of their means over seeds with intervals, and writes it as Markdown, "
        "JSON and a chart.",
        choices=(),
        keys=("runs", "output", "metrics", "rows", "seeds", "untrained", "bootstrap"),
        examples={
            "runs=outputs": "all runs below a folder",
            "runs=[multirun/one,multirun/two]": "of several folders",
            "runs=outputs metrics=[rank1,mAP] untrained=true": "with the networks before training",
        },
        page="comparing.md",
    ),
    "check": CommandText(
        summary="examine a copy of a dataset",
        purpose="Reads every image of a dataset as training would, counts persons, cameras and pictures, and says what is "
        "missing, damaged or doubtful before any training begins.",
        choices=("data", "protocol"),
        keys=("data.root", "data.cache", "output", "progress"),
        examples={
            "data=sysu_mm01 data.root=/data/SYSU-MM01": "a copy of SYSU-MM01",
            "data=folder data.root=/my/images": "images of your own",
            "data=folder data.root=/my/images output=findings.json": "the findings as JSON too",
        },
        page="datasets.md",
    ),
    "cost": CommandText(
        summary="parameters and milliseconds per image of every method",
        purpose="Builds each method as training would, counts its parameters, and times how long an embedding takes here.",
        choices=(),
        keys=("models", "size", "batches", "warmup", "runs", "accelerator", "output"),
        examples={
            "": "every method at 288x144",
            "models=[lba,agw] batches=[1,16]": "two methods",
            "size=null accelerator=cpu": "each at the size of its paper",
        },
        page="comparing.md",
    ),
    "visualize": CommandText(
        summary="draw figures of a trained model: ranked lists, maps, histograms",
        purpose="Draws what a checkpoint does with a dataset as PNGs: what it finds, what it makes of images, where two images "
        "look alike to it, how embeddings and similarities lie, which cameras are hard. figures=[list] says what there is. "
        "One's own images with known persons are a dataset too: data=folder.",
        choices=("data", "protocol", "trainer"),
        keys=(
            "checkpoint",
            "images",
            "modality",
            "figures",
            "queries",
            "count",
            "persons",
            "training",
            "output",
            "data.root",
        ),
        examples={
            "checkpoint=RUN": "every figure that the method has",
            "checkpoint=RUN figures=[ranked_lists] queries=worst": "what it gets wrong",
            "checkpoint=RUN images=crops/ modality=auto": "on images of persons whom nobody has named",
        },
        page="figures.md",
    ),
    "dashboard": CommandText(
        summary="a workspace and a report in Weights & Biases over a project's runs",
        purpose="Builds what a group keeps open while it trains: runs grouped by method, scores beside chance, losses by "
        "player, pictures; and a report of the same to send to others. Needs an account; output= writes what would be sent.",
        choices=(),
        keys=("project", "entity", "name", "protocols", "players", "output"),
        examples={
            "project=crossreid": "for your default team",
            "project=crossreid entity=our-lab protocols=[regdb/visible_to_thermal]": "for a team, by RegDB's scores",
            "output=dashboard.json": "without sending anything",
        },
        page="wandb.md",
    ),
    "auxiliary": CommandText(
        summary="cm-SSFT: how many unlabelled queries its transfer needs",
        purpose="Scores a trained cm-SSFT with groups of queries of several sizes and draws Rank-1 and mAP over the size.",
        choices=("data", "trainer"),
        keys=("checkpoint", "sizes", "output", "figure", "data.root"),
        examples={
            "checkpoint=RUN": "all sizes",
            "checkpoint=RUN sizes=[1,10,100]": "three sizes",
            "checkpoint=RUN figure=false": "numbers alone",
        },
        page="comparing.md",
    ),
    "image_quality": CommandText(
        summary="JSIA-ReID: how consistent generated images are",
        purpose="Generates images with a trained JSIA-ReID and with generators that it trains on the same images, and scores "
        "how well they keep the person (JSIA-ReID, Table 4).",
        choices=("data",),
        keys=("checkpoint", "output", "baselines", "iterations", "images", "fid", "device", "seed", "data.root"),
        examples={
            "checkpoint=RUN": "beside CycleGAN, StarGAN and a VAE",
            "checkpoint=RUN baselines=[]": "JSIA-ReID alone",
            "checkpoint=RUN iterations=2000 device=cuda": "longer, on a GPU",
        },
        page="comparing.md",
    ),
    "extract": CommandText(
        summary="embed images of your own",
        purpose="Turns images into embeddings with a trained model: a folder, a list, a manifest, pictures of videos. Writes "
        "them with all that is known of each image as an .npz or a Parquet table.",
        choices=(),
        keys=("checkpoint", "images", "modality", "output", "tracks", "unreadable", "batch_size", "workers", "device"),
        examples={
            "checkpoint=RUN images=day/ modality=visible output=day.npz": "a folder",
            "checkpoint=RUN images=people.csv output=people.parquet": "what a manifest lists",
            "checkpoint=RUN images=people.csv output=tracks.npz tracks=average": "one embedding a track",
        },
        page="search.md",
    ),
    "index": CommandText(
        summary="a gallery of embedded images: add, info, remove, build",
        purpose="Keeps embedded images where they can be searched: in a file, a folder of LanceDB or a collection of Milvus. "
        "The action comes first: add, info, remove or build.",
        choices=(),
        keys=(
            "action",
            "gallery",
            "checkpoint",
            "images",
            "embeddings",
            "modality",
            "on_duplicate",
            "ids",
            "filter",
            "export",
        ),
        examples={
            "add gallery=street.gallery checkpoint=RUN images=day/ modality=visible": "add a folder of images",
            "info gallery=street.gallery": "what is in it",
            "build gallery=street.gallery": "an index for large galleries, with its measured recall",
        },
        page="search.md",
    ),
    "search": CommandText(
        summary="the images of a gallery that are most like a query",
        purpose="Ranks the images of a gallery by how alike they are to each query, prints the first ones, and writes lists "
        "and contact sheets where asked for.",
        choices=(),
        keys=(
            "gallery",
            "checkpoint",
            "query",
            "modality",
            "top_k",
            "filter",
            "exclude_camera",
            "exclude_seconds",
            "rerank",
            "output",
            "sheet",
        ),
        examples={
            "gallery=street.gallery checkpoint=RUN query=night.png modality=infrared": "one image",
            "gallery=street.gallery embeddings=night.npz output=hits.csv": "all images of a file of embeddings",
            "gallery=street.gallery checkpoint=RUN query=night.csv exclude_camera=true sheet=hits.html": "with pictures",
        },
        page="search.md",
    ),
    "compare_embeddings": CommandText(
        summary="two methods, ours or anybody's, on the same probes",
        purpose="Scores embeddings that any code wrote, or takes runs as they were scored, by the exact protocols, and tests "
        "whether two methods differ: an interval of the difference over persons, with all their probes, and over seeds. "
        "Prints tables and writes them as JSON, CSV and Markdown.",
        choices=("protocol",),
        keys=(
            "first",
            "second",
            "names",
            "test_ids",
            "query_modality",
            "metrics",
            "bootstrap",
            "output",
        ),
        examples={
            "first=ours.npz second=theirs.mat protocol=sysu_mm01": "files of two codes, on SYSU-MM01",
            "first=[a/seed0,a/seed1] second=[b/seed0,b/seed1]": "runs: persons and seeds are drawn",
            "first=theirs protocol=sysu_mm01 test_ids=test_id.mat": "a folder of theirs_cam1.mat ..., scored alone",
        },
        page="protocols.md",
    ),
    "calibrate": CommandText(
        summary="from which similarity on two images count as one person",
        purpose="Learns thresholds at chosen rates of false matches and probabilities of a match from persons whose identities "
        "are known and who were not trained on, writes them beside the run, and keeps them in a gallery where asked for. "
        "Search then marks what matches.",
        choices=("data", "trainer"),
        keys=(
            "checkpoint",
            "embeddings",
            "images",
            "pairs",
            "grey_range",
            "rates",
            "split",
            "same_camera",
            "probability",
            "prior",
            "gallery",
            "output",
            "figure",
        ),
        examples={
            "checkpoint=RUN": "on the run's calibration or validation persons",
            "checkpoint=RUN images=people.csv gallery=street.gallery": "on a manifest with a column person, for a gallery",
            "checkpoint=RUN pairs=pairs.csv modality=auto rates=[0.01]": "on labelled pairs, at one false match in a hundred",
        },
        page="search.md",
    ),
    "export": CommandText(
        summary="a trained model as ONNX files or programs of torch",
        purpose="Writes what a model does with images at test time, from uint8 pixels to embeddings, as a program for each "
        "modality, once it gives what PyTorch gives. crossreid.extract, index and search take the folder in the place of a "
        "checkpoint; ONNX files need no torch.",
        choices=(),
        keys=("checkpoint", "output", "format", "precision", "dimensions", "images", "modality", "grey_range"),
        examples={
            "checkpoint=RUN output=street.onnx": "ONNX files, for ONNX Runtime anywhere",
            "checkpoint=RUN output=small.onnx precision=int8 dimensions=256 images=crops/": "a smaller one, with what it costs",
            "checkpoint=RUN/best.ckpt output=best.onnx": "the weights that validation chose",
        },
        page="export.md",
    ),
    "import_weights": CommandText(
        summary="weights of a public code as a checkpoint",
        purpose="Reads what the public code of AlignGAN, JSIA-ReID, LbA, AGW, CAJ or DDAG saved, and writes a checkpoint that "
        "embeds images as that code does, for every command that takes one. Each tensor of the file is taken, or left out for "
        "a reason that is said.",
        choices=(),
        keys=("source", "file", "output", "dataset", "split"),
        examples={
            "source=agw file=sysu_agw_best.t output=weights/agw": "one file",
            "source=aligngan file=checkpoints/model-6_250.pkl output=weights/aligngan": "one of a step's eight files",
            "source=lba file=best.t output=weights/lba dataset=regdb split=3": "which split of RegDB it was trained on",
        },
        page="imported_weights.md",
    ),
    "export_weights": CommandText(
        summary="a checkpoint as the file of a public code",
        purpose="Writes weights as the public code of the method saves them: imported ones as they came, to the bit, and those "
        "of a training with preset=official scale=paper.",
        choices=(),
        keys=("checkpoint", "output", "source"),
        examples={
            "checkpoint=RUN output=sysu_ours.t": "the layout that the weights came in, or that of the method",
            "checkpoint=RUN output=sysu_ours.t source=agw": "of weights that were trained as CAJ, for AGW's test",
            "checkpoint=RUN output=checkpoints": "a folder, for methods with several files",
        },
        page="imported_weights.md",
    ),
    "serve": CommandText(
        summary="search a gallery over HTTP",
        purpose="Answers searches in JSON, as crossreid.search does them, with a page for people and one that says what can be "
        "asked. Only this machine is answered unless told otherwise, and only pictures of the gallery go out.",
        choices=(),
        keys=("gallery", "checkpoint", "host", "port", "names", "queries", "show_names", "working", "waiting"),
        examples={
            "gallery=street.gallery checkpoint=RUN": "at http://127.0.0.1:8000",
            "gallery=street.npz checkpoint=street.onnx port=0": "an exported model, at a free port",
            "gallery=street.npz checkpoint=RUN host=0.0.0.0 names=[search.lab.org]": "for other machines",
        },
        page="serving.md",
    ),
    "demo": CommandText(
        summary="the search page: drop a night picture, see the day images",
        purpose="Shows a page on which a picture is dropped or picked, with the images of a gallery that are most like it, "
        "filters, heat maps and translations. Without arguments it shows the embedded people with the model of `make demo`.",
        choices=(),
        keys=("gallery", "checkpoint", "queries", "host", "port", "show_names", "browser"),
        examples={
            "": "the embedded people, with the model at outputs/demo",
            "gallery=street.gallery checkpoint=RUN queries=night/": "one's own, with pictures to pick from",
            "checkpoint=RUN browser=true": "the people of another run, opened in a browser",
        },
        page="serving.md",
    ),
}
"""Command -> its words."""
