"""Runs gunicorn with stages timed by the processor clock of their thread, so that other processes do not count.

`python -m benchmarks.support.processor_time app:app` takes gunicorn's arguments. Waiting takes almost no time on this
clock.
"""

import time

from gunicorn.app.wsgiapp import run  # type: ignore[import-untyped]

if __name__ == "__main__":
    # This precedes the import of the service, which uses this clock for every measurement.
    time.perf_counter = time.thread_time
    run()
