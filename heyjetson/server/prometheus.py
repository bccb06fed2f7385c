"""What is counted, for Prometheus."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

disable_created_metrics()  # they only make the text longer
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
FACTORS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)

REQUESTS = Counter("heyjetson_requests", "Requests answered.", ("method", "route", "status"), registry=REGISTRY)
DURATION = Histogram(
    "heyjetson_request_seconds", "Time to the end of the answer.", ("route",), buckets=LATENCY, registry=REGISTRY
)
AUDIO = Counter("heyjetson_audio_seconds", "Seconds of sound that were transcribed.", registry=REGISTRY)
FACTOR = Histogram(
    "heyjetson_real_time_factor", "Processing time over length of a recording.", buckets=FACTORS, registry=REGISTRY
)
PARTIAL = Histogram(
    "heyjetson_partial_seconds", "From a live stream's sound to its partial.", buckets=LATENCY, registry=REGISTRY
)
STREAMS = Gauge("heyjetson_streams", "Live streams that are open.", registry=REGISTRY)
QUEUE = Gauge("heyjetson_queue_length", "Recordings that wait.", registry=REGISTRY)
RUNNING = Gauge("heyjetson_recordings_running", "Recordings that are being worked on.", registry=REGISTRY)
REFUSED = Counter("heyjetson_refused", "Requests and sockets refused, by reason.", ("reason",), registry=REGISTRY)

DEADLINES = Counter(
    "heyjetson_deadlines", "Work that was given up because it took too long.", ("pool",), registry=REGISTRY
)
OVERDUE = Gauge("heyjetson_threads_overdue", "Threads that still do what was given up.", ("pool",), registry=REGISTRY)
FULL = Counter("heyjetson_disk_full", "What was not written for want of room.", ("what",), registry=REGISTRY)
KEPT = Gauge("heyjetson_kept_bytes", "Of the recordings that are kept.", registry=REGISTRY)
RESULTS = Gauge("heyjetson_results_bytes", "Of the results of performance runs.", registry=REGISTRY)
LOG_LEFT_OUT = Counter("heyjetson_log_lines_left_out", "Lines over the log's bound.", registry=REGISTRY)


def observe_transcription(seconds_of_audio: float, seconds_taken: float) -> None:
    """Count a recording, or a piece of a stream."""
    AUDIO.inc(seconds_of_audio)
    if seconds_of_audio > 0:
        FACTOR.observe(seconds_taken / seconds_of_audio)


def observe_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count a request.

    Args:
        method: of HTTP.
        route: its template, so that there are few.
        status: of the answer.
        seconds: that it took.
    """
    REQUESTS.labels(method, route, str(status)).inc()
    DURATION.labels(route).observe(seconds)


def stream_opened() -> None:
    """A live stream begins."""
    STREAMS.inc()


def stream_closed() -> None:
    """A live stream has ended."""
    STREAMS.dec()


def text(waiting: int, running: int) -> bytes:
    """Everything in Prometheus' format.

    Args:
        waiting: recordings in the queue.
        running: recordings in work.
    """
    QUEUE.set(waiting)
    RUNNING.set(running)
    return generate_latest(REGISTRY)
