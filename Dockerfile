# Visage on Alpine. Build it with `make image`, or in the root of the repo with `docker build -t visage .`
#
# The stage `compiled` compiles OpenCV, numpy and Pillow: PyPI has no OpenCV wheels for musl, and its wheels of numpy and
# Pillow contain 33 and 16 MB that Visage does not use. The stage `packages` installs the Python packages into a virtual environment. The last stage
# contains that environment, the app and the pack `compact`, but no compiler.

FROM python:3.14-alpine@sha256:26730869004e2b9c4b9ad09cab8625e81d256d1ce97e72df5520e806b1709f92 AS python

FROM python AS compiled
# The digest above pins the Alpine release, and so the versions of these packages.
# hadolint ignore=DL3018
RUN apk add --no-cache build-base cmake lcms2-dev libjpeg-turbo-dev linux-headers nasm
COPY docker/build-opencv.sh docker/choose_cv2.py docker/numpy.txt docker/opencv.patch docker/opencv.txt docker/wheel.py \
    /build/
ARG CPU_BASELINE=
ARG CPU_DISPATCH=
RUN CPU_BASELINE="$CPU_BASELINE" CPU_DISPATCH="$CPU_DISPATCH" /build/build-opencv.sh /wheels
COPY docker/build-numpy.sh /build/
RUN /build/build-numpy.sh /wheels
COPY docker/build-pillow.sh docker/pillow.txt /build/
RUN /build/build-pillow.sh /wheels

FROM python AS packages
COPY requirements.txt /build/requirements.txt
COPY docker/requirements.txt /build/docker/requirements.txt
# Delete the packages' tests, the files for compilers and type checkers, and what nothing imports of numpy: its Fortran
# compiler, Fourier transforms, random numbers and others. benchmarks/results/image.md has their size.
# The compiled numpy and Pillow are named as files, because pip prefers PyPI's wheels otherwise.
RUN --mount=type=bind,from=compiled,source=/wheels,target=/wheels \
    python -m venv --without-pip /opt/visage \
    && pip --python /opt/visage install --no-cache-dir --disable-pip-version-check --only-binary :all: \
        --find-links /wheels -r /build/requirements.txt -r /build/docker/requirements.txt \
        /wheels/numpy-*.whl /wheels/pillow-*.whl \
    && find /opt/visage/lib -type d -name tests -prune -exec rm -r {} + \
    && find /opt/visage/lib/python3*/site-packages/numpy -type d \( -name _pyinstaller -o -name doc -o -name f2py \
        -o -name fft -o -name ma -o -name polynomial -o -name random -o -name testing \) -prune -exec rm -r {} + \
    && find /opt/visage/lib/python3*/site-packages/numpy -type f \( -name '_simd.*.so' -o -name '*_tests.*.so' \) -delete \
    && find /opt/visage/lib -type f \( -name '*.pyi' -o -name '*.a' -o -name '*.h' \) -delete

FROM python
LABEL org.opencontainers.image.title="Visage" \
      org.opencontainers.image.description="Face attributes from a photo, on a CPU." \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/visage/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    VISAGE_HOST=0.0.0.0 \
    PORT=8080 \
    WEB_CONCURRENCY=2 \
    VISAGE_BATCH_JOBS=1 \
    VISAGE_STATE_DIR=/state
# musl returns each large block to the system at once, which makes photos take 1.5 times as long (docs/decisions.md).
# Pillow uses the other two.
# hadolint ignore=DL3018
RUN apk add --no-cache jemalloc lcms2 libjpeg-turbo
ENV LD_PRELOAD=/usr/lib/libjemalloc.so.2 \
    MALLOC_CONF=narenas:1
RUN addgroup -g 10001 visage && adduser -D -H -u 10001 -G visage visage \
    && install -d -o visage -g visage -m 0700 /state
WORKDIR /app
COPY --from=packages /opt/visage /opt/visage
COPY LICENSE app.py gunicorn.conf.py ./
COPY models/compact models/compact
COPY visage visage
# Write bytecode now, because the directory is read-only at run time. The standard library has no bytecode in this image
# either; the second command writes it for the modules that the service imports.
RUN python -m compileall -q app.py visage \
    && env -u PYTHONDONTWRITEBYTECODE python -c 'import gunicorn.app.wsgiapp, visage.server.service_worker'
USER 10001:10001
VOLUME /state
EXPOSE 8080
STOPSIGNAL SIGTERM
# buildah and podman 4 know no --start-interval. With a short interval a started service is soon known to be healthy.
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=6 \
    CMD ["sh", "-c", "exec wget -q -O /dev/null http://127.0.0.1:$PORT/readyz"]
# No shell, so that gunicorn, which replaces this process, receives the SIGTERM of `docker stop` and drains requests in flight.
CMD ["python", "app.py"]
