"""The one table of settings: each is read from the environment variable that its row names."""

import os
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from visage.errors import SettingsError
from visage.setting_values import any_text, integer, log_level, metrics_place, origins, redis_url, seconds, token, truth

T = TypeVar("T")

_CHECKOUT = Path(__file__).resolve().parent.parent

BUNDLED_MODELS = _CHECKOUT / "models"

# Beside the models: the service and the workers of batches find the same one, wherever each is started from.
STATE = _CHECKOUT / "state"


def available_cores() -> int:
    """The number of cores that this process may run on (affinity respected), at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def _row(name: str, parse: Callable[[str], T], default: T | Callable[[], T], help: str, shown: str | None = None) -> T:
    """One row of the table. `shown` words the default where the value itself would say little."""
    metadata = {"name": name, "parse": parse, "help": help, "shown": shown}
    made: Any = (
        field(default_factory=default, metadata=metadata)
        if callable(default)
        else field(default=default, metadata=metadata)
    )
    return made  # type: ignore[no-any-return]


# Batches that are sent or fetched, and that are watched, at the same time, by each worker.
MAX_TRANSFERS = 16
MAX_WATCHERS = 16


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that an operator can choose. A field's row names its variable, default and meaning."""

    pack: str = _row("VISAGE_PACK", any_text, "compact", "Model pack: a name under the models directory, or a path.")
    enhance_pack: str = _row("VISAGE_SUPERRES_PACK", any_text, "compact", "Model pack whose net enlarges pictures.")
    models_dir: Path = _row(
        "VISAGE_MODELS_DIR", Path, BUNDLED_MODELS, "Directory where fetched packs lie.", shown="models/"
    )
    mirror: str = _row(
        "VISAGE_MIRROR", any_text, "", "Base URL that packs are fetched from, as `<mirror>/<pack>/<file>`."
    )
    slots: int = _row("VISAGE_SLOTS", integer(1, 64), 1, "Analyzers a worker: photos worked on at the same time.")
    opencv_threads: int = _row("VISAGE_OPENCV_THREADS", integer(1, 64), 1, "OpenCV threads that each analyzer may use.")
    queue: int = _row("VISAGE_QUEUE", integer(0, 1000), 8, "Requests a worker that may wait for a slot; more get 429.")
    wait_seconds: float = _row("VISAGE_WAIT_SECONDS", seconds(0), 5.0, "Longest wait for a slot; then 503.")
    max_body_bytes: int = _row(
        "VISAGE_MAX_BODY_BYTES",
        integer(1024, 2**31 - 1),
        10 * 2**20,
        "Largest request body.",
        shown="10485760 (10 MiB)",
    )
    max_image_pixels: int = _row(
        "VISAGE_MAX_IMAGE_PIXELS", integer(1, 2**30), 50_000_000, "Largest picture, width times height."
    )
    max_enhance_pixels: int = _row(
        "VISAGE_MAX_ENHANCE_PIXELS",
        integer(1, 2**26),
        5_500_000,
        "Largest picture that is enlarged; nine times as many come out of a net that enlarges threefold.",
    )
    tile: int | None = _row(
        "VISAGE_TILE",
        integer(1, 2**13),
        None,
        "Side of the squares in which pictures are enlarged, in pixels; of other shapes as many pixels.",
        shown="by overlap and memory",
    )
    tile_bytes: int = _row(
        "VISAGE_TILE_BYTES",
        integer(2**20, 2**40),
        2**30,
        "Most memory for a tile, where its side is not set; too little for the overlap is refused.",
        shown="1073741824 (1 GiB)",
    )
    overlap: int | None = _row(
        "VISAGE_OVERLAP",
        integer(0, 2**10),
        None,
        "Pixels of its neighbours that each tile is shown; with too few of them seams can be seen.",
        shown="by pack",
    )
    body_seconds: float = _row("VISAGE_BODY_SECONDS", seconds(0.1), 10.0, "Longest time to receive a body; then 408.")
    jpeg_quality: int = _row("VISAGE_JPEG_QUALITY", integer(1, 100), 90, "Quality of the annotated JPEG.")
    cache_bytes: int = _row(
        "VISAGE_CACHE_BYTES",
        integer(0, 2**40),
        0,
        "Most bytes of answers that a worker keeps for when they are asked again; 0 is off. With Redis: of one answer.",
    )
    cache_seconds: int = _row(
        "VISAGE_CACHE_SECONDS", integer(1, 30 * 86400), 3600, "Longest time that an answer is kept."
    )
    cache_url: str = _row(
        "VISAGE_CACHE_URL",
        redis_url,
        "",
        "Redis that keeps answers for all workers, such as `redis://cache:6379/0`; by default each keeps its own.",
    )
    state_dir: Path = _row(
        "VISAGE_STATE_DIR",
        Path,
        STATE,
        "Directory for what outlives a restart: batches and their queue.",
        shown="state/",
    )
    batch_store: str = _row(
        "VISAGE_BATCH_STORE",
        any_text,
        "",
        "Where photos of batches lie: a directory, or `s3://bucket/prefix` (needs s3fs).",
        shown="batches/ in the state directory",
    )
    batch_redis: str = _row(
        "VISAGE_BATCH_REDIS",
        redis_url,
        "",
        "Redis with the queue of batches, for several machines; by default a file in the state directory.",
    )
    batch_hours: int = _row(
        "VISAGE_BATCH_HOURS", integer(1, 30 * 24), 24, "Hours after which a batch is deleted with all that it has."
    )
    max_batch_bytes: int = _row(
        "VISAGE_MAX_BATCH_BYTES",
        integer(1, 2**40),
        2 * 2**30,
        "Largest batch, as it is sent and unpacked.",
        shown="2147483648 (2 GiB)",
    )
    max_batch_files: int = _row("VISAGE_MAX_BATCH_FILES", integer(1, 10**6), 10_000, "Most files of a batch.")
    batch_jobs: int = _row(
        "VISAGE_BATCH_JOBS",
        integer(0, 64),
        available_cores,
        "Photos of batches that are worked on at the same time; 0 leaves batches to other machines.",
        shown="number of cores",
    )
    api_token: str = _row(
        "VISAGE_API_TOKEN",
        token,
        "",
        "Bearer token that the photo routes and `/metrics` ask for.",
    )
    cors_origins: tuple[str, ...] = _row(
        "VISAGE_CORS_ORIGINS", origins, (), "Origins that browsers may call from, separated by commas; `*` is any."
    )
    metrics: str = _row(
        "VISAGE_METRICS",
        metrics_place,
        "open",
        "Where `/metrics` is: `open` beside the rest, `closed`, or alone at an address such as `127.0.0.1:9090`.",
    )
    log_level: str = _row("VISAGE_LOG_LEVEL", log_level, "info", "Least level of what is logged.")
    log_addresses: bool = _row(
        "VISAGE_LOG_ADDRESSES",
        truth,
        False,  # noqa: FBT003
        "Whether the log has the callers' addresses: `true` or `false`.",
        shown="false",
    )
    host: str = _row("VISAGE_HOST", any_text, "0.0.0.0", "Address to listen on.")  # noqa: S104
    port: int = _row("PORT", integer(1, 65535), 8080, "Port to listen on.")
    workers: int = _row(
        "WEB_CONCURRENCY", integer(1, 256), available_cores, "Worker processes.", shown="number of cores"
    )

    @property
    def threads(self) -> int:
        """Those of a worker: each photo that is worked on or waits holds one, and so does an answer that takes long.

        Pictures that are enlarged have a queue of their own. The rest answer health checks and refuse what is too much.
        """
        return self.slots + 2 * self.queue + MAX_TRANSFERS + MAX_WATCHERS + 8

    @property
    def binds(self) -> list[str]:
        """The addresses to listen on: that of the service, and that of the metrics where they have their own."""
        own = [] if self.metrics in {"open", "closed"} else [self.metrics]
        return [f"{self.host}:{self.port}", *own]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read every row from `environment`; an unset or empty variable keeps its default.

        Raises:
            SettingsError: a value is not what its row takes; the sentence names variable, value and what fits.
        """
        values: dict[str, Any] = {}
        for row in rows():
            text = environment.get(row.name, "").strip()
            if not text:
                continue
            try:
                values[row.field] = row.parse(text)
            except ValueError:
                raise SettingsError(f"{row.name} is {text!r}; it must be {row.parse.__doc__}.") from None
        return cls(**values)


@dataclass(frozen=True)
class Row:
    """One setting as people see it: variable, default in words, meaning."""

    field: str
    name: str
    parse: Callable[[str], Any]
    default: str
    help: str


def rows() -> list[Row]:
    """The table of settings, in order."""
    return [_as_row(each) for each in fields(Settings)]


def _as_row(each: "Field[Any]") -> Row:
    shown = each.metadata["shown"]
    if shown is None:
        shown = "none" if each.default in ("", ()) else str(each.default)
    return Row(each.name, each.metadata["name"], each.metadata["parse"], shown, each.metadata["help"])
