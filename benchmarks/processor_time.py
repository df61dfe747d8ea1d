"""The service, its stages told by each thread's processor clock: what others take of the processor is no stage's.

`python -m benchmarks.processor_time app:app` takes what gunicorn takes. Waiting, in it, takes next to no time.
"""

import time

from gunicorn.app.wsgiapp import run  # type: ignore[import-untyped]

if __name__ == "__main__":
    # Before the service is imported, which asks for this clock wherever it measures.
    time.perf_counter = time.thread_time
    run()
