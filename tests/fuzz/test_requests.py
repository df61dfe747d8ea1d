"""Random streams of requests mean the same to Visage and to gunicorn's parser."""

import time
from random import Random

from fuzz import wire
from fuzz.requests import stream

# Of the processor: about 50,000 streams. With the 40 seconds in .ci/run, these are a minute.
SECONDS = 20
MIN_STREAMS = 300


def test_random_streams_of_requests_mean_the_same_to_two_parsers() -> None:
    random, streams, read = Random(21), 0, 0
    end = time.process_time() + SECONDS
    while streams < MIN_STREAMS or time.process_time() < end:
        data = stream(random) if random.random() < 0.8 else wire.mutate(random, b"")
        wire.check(data)
        streams += 1
        read += bool(wire.requests_in(data))

    # Enough of them are valid for the comparison to mean something.
    assert read > streams / 10
