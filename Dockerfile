# Visage on Alpine: `docker build -t visage .`, from the root of the repo.
#
# There are no wheels of OpenCV for musl, and those of numpy have 33 MB that Visage does not use, so the first stage
# compiles both; the second collects Python's packages in an environment of their own; the last has that, the app and the
# compact pack, and nothing to compile with.

FROM python:3.14-alpine@sha256:26730869004e2b9c4b9ad09cab8625e81d256d1ce97e72df5520e806b1709f92 AS python

FROM python AS compiled
# Their versions are those of the Alpine that the digest names.
# hadolint ignore=DL3018
RUN apk add --no-cache build-base cmake linux-headers nasm
COPY docker/build-opencv.sh docker/choose_cv2.py docker/numpy.txt docker/opencv.patch docker/opencv.txt docker/wheel.py \
    /build/
ARG CPU_BASELINE=
ARG CPU_DISPATCH=
RUN CPU_BASELINE="$CPU_BASELINE" CPU_DISPATCH="$CPU_DISPATCH" /build/build-opencv.sh /wheels
COPY docker/build-numpy.sh /build/
RUN /build/build-numpy.sh /wheels

FROM python AS packages
COPY requirements.txt /build/requirements.txt
COPY docker/requirements.txt /build/docker/requirements.txt
# Tests of packages go, and what only compilers and type checkers read: benchmarks/results/image.md has how much that is.
# PyPI's numpy would be taken before the one that was compiled, if that were not named.
RUN --mount=type=bind,from=compiled,source=/wheels,target=/wheels \
    python -m venv --without-pip /opt/visage \
    && pip --python /opt/visage install --no-cache-dir --disable-pip-version-check --only-binary :all: \
        --find-links /wheels -r /build/requirements.txt -r /build/docker/requirements.txt /wheels/numpy-*.whl \
    && find /opt/visage/lib -type d -name tests -prune -exec rm -r {} + \
    && find /opt/visage/lib -type f \( -name '*.pyi' -o -name '*.a' -o -name '*.h' \) -delete

FROM python
LABEL org.opencontainers.image.title="Visage" \
      org.opencontainers.image.description="Face attributes from a photo, on a CPU." \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/visage/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PORT=8080 \
    WEB_CONCURRENCY=2 \
    VISAGE_BATCH_JOBS=1 \
    VISAGE_STATE_DIR=/state
# musl gives every large block back at once, and photos take half as long again to get them anew (docs/operations.md).
# hadolint ignore=DL3018
RUN apk add --no-cache jemalloc
ENV LD_PRELOAD=/usr/lib/libjemalloc.so.2 \
    MALLOC_CONF=narenas:1
RUN addgroup -g 10001 visage && adduser -D -H -u 10001 -G visage visage \
    && install -d -o visage -g visage -m 0700 /state
WORKDIR /app
COPY --from=packages /opt/visage /opt/visage
COPY LICENSE app.py gunicorn.conf.py ./
COPY models/compact models/compact
COPY visage visage
# Read once when it is built, not at every start: at run time nobody may write here. Of Python's own library, which comes
# without bytecode, what serving loads.
RUN python -m compileall -q app.py visage \
    && env -u PYTHONDONTWRITEBYTECODE python -c 'import gunicorn.app.wsgiapp, visage.server.service_worker'
USER 10001:10001
VOLUME /state
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --start-interval=1s --retries=3 \
    CMD ["sh", "-c", "exec wget -q -O /dev/null http://127.0.0.1:$PORT/readyz"]
# Without a shell between, so that `docker stop` reaches gunicorn, which finishes what was begun.
CMD ["gunicorn", "app:app"]
