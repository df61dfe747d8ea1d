"""The one table of settings. Each row names an environment variable, its default and its meaning."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from visage.cores import available_cores
from visage.directories import MODELS_DIR, STATE_DIR
from visage.errors import SettingsError
from visage.setting_rows import Row, read_values, row, rows_of
from visage.setting_values import (
    ANY_TEXT,
    BOOLEAN,
    HOST,
    HOSTS,
    LOG_LEVEL,
    METRICS_ADDRESS,
    ORIGINS,
    PATH,
    REDIS_URL,
    TOKEN,
    host_and_port,
    integer,
    is_loopback,
    optional,
    seconds,
)

# Batches that each worker uploads or downloads at the same time, and batches whose events it sends.
MAX_TRANSFERS = 16
MAX_WATCHERS = 16

# Bytes of a request besides its body, such as headers. It may have as many more as its body has so far.
MAX_OVERHEAD_BYTES = 2**16

# Largest bodies that fit into the memory of a worker by default. Three can arrive at once, besides smaller ones.
_BODIES_IN_MEMORY = 4

# Threads of each worker for health checks, metrics, pages and rejections.
_OTHER_THREADS = 8


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The values of all settings."""

    pack: str = row(
        "VISAGE_PACK", ANY_TEXT, "compact", "Model pack for faces: a name in the models directory, or a path."
    )
    enhance_pack: str = row(
        "VISAGE_SUPERRES_PACK", ANY_TEXT, "compact", "Pack for enhancement: a name in the models directory, or a path."
    )
    models_dir: Path = row(
        "VISAGE_MODELS_DIR",
        PATH,
        MODELS_DIR,
        "Directory of fetched packs.",
        "models/ in a checkout, ~/.local/share/visage/models after pip",
    )
    mirror: str = row("VISAGE_MIRROR", ANY_TEXT, "", "Base URL to fetch packs from, as `<mirror>/<pack>/<file>`.")
    slots: int = row("VISAGE_SLOTS", integer(1, 64), 1, "Photos that each worker processes at the same time.")
    opencv_threads: int = row("VISAGE_OPENCV_THREADS", integer(1, 64), 1, "OpenCV threads for each slot.")
    queue: int = row(
        "VISAGE_QUEUE", integer(0, 1000), 8, "Photos of each worker that may wait for a slot; more get 429."
    )
    wait_seconds: float = row(
        "VISAGE_WAIT_SECONDS", seconds(0), 5.0, "Seconds that a photo may wait for a slot; then it gets 503."
    )
    max_body_bytes: int = row(
        "VISAGE_MAX_BODY_BYTES",
        integer(1024, 2**31 - 1),
        50 * 2**20,
        "Largest request body, in bytes.",
        "52428800 (50 MiB)",
    )
    body_memory: int | None = row(
        "VISAGE_BODY_MEMORY_BYTES",
        optional(integer(2048, 2**40)),
        None,
        "Most memory for the bodies that a worker has received, in bytes; each takes at most half of what is left.",
        "four of the largest bodies, and 64 KiB",
    )
    max_image_pixels: int = row(
        "VISAGE_MAX_IMAGE_PIXELS",
        integer(1, 2**30),
        200_000_000,
        "Largest image, in pixels: width times height. Large photos are decoded at a reduced size to find faces.",
    )
    max_anonymize_pixels: int = row(
        "VISAGE_MAX_ANONYMIZE_PIXELS",
        integer(1, 2**30),
        50_000_000,
        "Largest image to anonymize, in pixels; it is always decoded at full size.",
    )
    max_decode_bytes: int = row(
        "VISAGE_MAX_DECODE_BYTES",
        integer(2**20, 2**40),
        450_000_000,
        "Most memory for decoding an image, in bytes; the image's kind and size tell in advance how much it takes.",
    )
    max_enhance_pixels: int = row(
        "VISAGE_MAX_ENHANCE_PIXELS",
        integer(1, 2**26),
        5_500_000,
        "Largest image to enhance to three times its width and height, in pixels; the result has nine times as many. "
        "At a smaller scale a larger image is allowed, whose result has at most that size.",
    )
    tile: int | None = row(
        "VISAGE_TILE",
        optional(integer(1, 2**13)),
        None,
        "Side of a square tile for enhancement, in pixels; tiles of other shapes have the same area.",
        "by overlap and memory",
    )
    tile_bytes: int = row(
        "VISAGE_TILE_BYTES",
        integer(2**20, 2**40),
        2**30,
        "Most memory for a tile, in bytes, if `VISAGE_TILE` is not set; it must suffice for the overlap.",
        "1073741824 (1 GiB)",
    )
    overlap: int | None = row(
        "VISAGE_OVERLAP",
        optional(integer(0, 2**10)),
        None,
        "Pixels of its neighbors that each tile includes; too few leave visible seams.",
        "by pack",
    )
    body_seconds: float = row(
        "VISAGE_BODY_SECONDS", seconds(0.1), 10.0, "Seconds for a request to arrive, plus one for each 10 KB of body."
    )
    jpeg_quality: int = row("VISAGE_JPEG_QUALITY", integer(1, 100), 90, "Quality of annotated JPEG images.")
    cache_bytes: int = row(
        "VISAGE_CACHE_BYTES",
        integer(0, 2**40),
        0,
        "Size of each worker's result cache, in bytes; 0 disables it. With Redis: largest result that is cached.",
    )
    cache_seconds: int = row(
        "VISAGE_CACHE_SECONDS", integer(1, 30 * 86400), 3600, "Seconds until a cached result expires."
    )
    cache_url: str = row(
        "VISAGE_CACHE_URL",
        REDIS_URL,
        "",
        "Redis with a result cache for all workers, such as `redis://cache:6379/0`; by default each has its own.",
    )
    state_dir: Path = row(
        "VISAGE_STATE_DIR",
        PATH,
        STATE_DIR,
        "Directory for batches and their queue, which survive a restart.",
        "state/ in a checkout, ~/.local/state/visage after pip, /state in the container",
    )
    batch_store: str = row(
        "VISAGE_BATCH_STORE",
        ANY_TEXT,
        "",
        "Where the files of batches are stored: a directory, or `s3://bucket/prefix` (needs s3fs).",
        "batches/ in the state directory",
    )
    batch_redis: str = row(
        "VISAGE_BATCH_REDIS",
        REDIS_URL,
        "",
        "Redis with the batch queue, for several machines; by default the queue is a file in the state directory.",
    )
    batch_hours: int = row(
        "VISAGE_BATCH_HOURS", integer(1, 30 * 24), 24, "Hours until a batch and all its files are deleted."
    )
    batch_storage_bytes: int | None = row(
        "VISAGE_BATCH_STORAGE_BYTES",
        optional(integer(1, 2**50)),
        None,
        "Most bytes that all kept batches may take together; a new batch that may need more gets 507.",
        "half of the free disk; no limit in a bucket",
    )
    max_batch_bytes: int = row(
        "VISAGE_MAX_BATCH_BYTES",
        integer(1, 2**40),
        2 * 2**30,
        "Largest batch, in bytes, both as it is sent and unpacked.",
        "2147483648 (2 GiB)",
    )
    max_batch_files: int = row("VISAGE_MAX_BATCH_FILES", integer(1, 10**6), 10_000, "Most files in a batch.")
    batch_jobs: int = row(
        "VISAGE_BATCH_JOBS",
        integer(0, 64),
        available_cores,
        "Photos of batches that are processed at the same time; 0 leaves batches to other machines.",
        "number of cores (in the container 1)",
    )
    api_token: str = row(
        "VISAGE_API_TOKEN", TOKEN, "", "Bearer token that the routes for photos and batches and `/metrics` require."
    )
    cors_origins: tuple[str, ...] = row(
        "VISAGE_CORS_ORIGINS",
        ORIGINS,
        (),
        "Origins whose pages may call the service from a browser, separated by commas; `*` allows all.",
    )
    allowed_hosts: tuple[str, ...] = row(
        "VISAGE_ALLOWED_HOSTS",
        HOSTS,
        (),
        "Host names by which clients may call the service, separated by commas; `*` allows all. IP addresses and "
        "`localhost` are always allowed.",
        "all; none if `VISAGE_HOST` is a loopback address",
    )
    metrics: str = row(
        "VISAGE_METRICS",
        METRICS_ADDRESS,
        "open",
        "Where `/metrics` is: `open` for the service's address, `closed`, or an address such as `127.0.0.1:9090`.",
    )
    log_level: str = row(
        "VISAGE_LOG_LEVEL", LOG_LEVEL, "info", "Lowest level that is logged: `debug`, `info`, `warning` or `error`."
    )
    log_addresses: bool = row(
        "VISAGE_LOG_ADDRESSES",
        BOOLEAN,
        False,  # noqa: FBT003
        "Whether the addresses of clients are logged: `true` or `false`.",
        "false",
    )
    host: str = row(
        "VISAGE_HOST",
        HOST,
        "127.0.0.1",
        "Address to listen on: by default only this machine can connect; `0.0.0.0` listens on all addresses.",
        "127.0.0.1 (in the container 0.0.0.0)",
    )
    port: int = row("PORT", integer(1, 65535), 8080, "Port to listen on.")
    workers: int = row(
        "WEB_CONCURRENCY",
        integer(1, 256),
        available_cores,
        "Worker processes that serve.",
        "number of cores (in the container 2)",
    )

    @property
    def threads(self) -> int:
        """The threads of a worker: one for each request that may run or wait. Photos and enhancements queue apart."""
        return self.slots + 2 * self.queue + MAX_TRANSFERS + MAX_WATCHERS + _OTHER_THREADS

    @property
    def max_body_memory(self) -> int:
        """The most memory for the bodies that a worker has received, in bytes."""
        return self.body_memory or _BODIES_IN_MEMORY * self.max_body_bytes + MAX_OVERHEAD_BYTES

    @property
    def max_redacted_pixels(self) -> int:
        """The largest image that is anonymized, in pixels."""
        return min(self.max_image_pixels, self.max_anonymize_pixels)

    @property
    def listens_on_loopback(self) -> bool:
        """Whether only this machine can connect to the service."""
        return is_loopback(self.host)

    @property
    def binds(self) -> list[str]:
        """The addresses to listen on: the service's, and that of `/metrics` if it has its own."""
        metrics = [] if self.metrics in {"open", "closed"} else [self.metrics]
        return [host_and_port(self.host, self.port), *metrics]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read every setting from `environment`. A setting that is unset or empty keeps its default.

        Raises:
            SettingsError: a value is invalid. The message names the variable, the value unless it is secret, and what
                is valid.
        """
        settings = cls(**read_values(rows(), environment))
        # A body takes at most half of what its headers leave.
        if settings.max_body_memory < (minimum := 2 * settings.max_body_bytes + MAX_OVERHEAD_BYTES):
            raise SettingsError(
                f"VISAGE_BODY_MEMORY_BYTES is '{settings.body_memory}'; it must be at least {minimum}: twice "
                "VISAGE_MAX_BODY_BYTES, and 64 KiB for headers."
            )
        if settings.metrics.rpartition(":")[2] == str(settings.port):
            # Requests are told apart by the port on which they arrive.
            raise SettingsError(f"VISAGE_METRICS is {settings.metrics!r}; its port must differ from that of PORT.")
        return settings


def rows() -> list[Row]:
    """The table of settings, in order."""
    return rows_of(Settings)
