# Visage on Alpine. Build it with `make image`, or in the root of the repo with `docker build -t visage .`
#
# PyPI has no OpenCV wheels for musl, and its wheels of numpy and Pillow contain 33 and 16 MB that Visage does not use, so
# the stages `opencv`, `numpy` and `pillow` compile them. The stage `packages` installs the Python packages into a virtual
# environment. The stage `files` puts together what the image contains: that environment, the app and the pack `compact`,
# but no compiler. The last stage copies its files into one layer, so that what was deleted takes no space.

FROM python:3.14-alpine@sha256:26730869004e2b9c4b9ad09cab8625e81d256d1ce97e72df5520e806b1709f92 AS python

FROM python AS compiler
# The digest above pins the Alpine release, and so the versions of these packages.
# hadolint ignore=DL3018
RUN apk add --no-cache build-base cmake lcms2-dev libjpeg-turbo-dev linux-headers nasm

FROM compiler AS opencv
COPY docker/build-opencv.sh docker/numpy.txt docker/opencv-avx512.patch docker/opencv-avx512-depthwise.patch \
    docker/opencv.txt docker/wheel.py /build/
ARG CPU_BASELINE=
ARG CPU_DISPATCH=
# A directory that is the same each time lets a compiler's cache work.
RUN BUILD=/build/opencv CPU_BASELINE="$CPU_BASELINE" CPU_DISPATCH="$CPU_DISPATCH" /build/build-opencv.sh /wheels \
    && rm -r /build/opencv/*

FROM compiler AS numpy
COPY docker/build-numpy.sh docker/numpy.txt /build/
RUN /build/build-numpy.sh /wheels

FROM compiler AS pillow
COPY docker/build-pillow.sh docker/pillow.txt /build/
RUN /build/build-pillow.sh /wheels

FROM python AS packages
COPY requirements.txt /build/requirements.txt
COPY docker/requirements.txt /build/docker/requirements.txt
# No mounts, because buildah 1.28 does not wait for the stages that they name.
COPY --from=opencv /wheels /wheels
COPY --from=numpy /wheels /wheels
COPY --from=pillow /wheels /wheels
# The compiled packages are named as files, because pip prefers PyPI's wheels otherwise. Delete the packages' tests, the
# files for compilers and type checkers, and what nothing imports of numpy: its Fortran compiler, Fourier transforms,
# random numbers and others.
RUN python -m venv --without-pip /opt/visage \
    && grep -hv -e '^numpy=' -e '^opencv-python-headless=' -e '^pillow=' /build/requirements.txt \
        /build/docker/requirements.txt >/build/others.txt \
    && pip --python /opt/visage install --no-cache-dir --disable-pip-version-check --no-compile --only-binary :all: \
        -r /build/others.txt /wheels/*.whl \
    && find /opt/visage/lib -type d -name tests -prune -exec rm -r {} + \
    && find /opt/visage/lib/python3*/site-packages/numpy -type d \( -name _pyinstaller -o -name doc -o -name f2py \
        -o -name fft -o -name ma -o -name polynomial -o -name random -o -name testing \) -prune -exec rm -r {} + \
    && find /opt/visage/lib/python3*/site-packages/numpy -type f \( -name '_simd.*.so' -o -name '*_tests.*.so' \) -delete \
    && find /opt/visage/lib -type f \( -name '*.pyi' -o -name '*.a' -o -name '*.h' \) -delete

FROM python AS files
# musl returns each large block to the system at once, which makes photos take 1.5 times as long (docs/decisions.md).
# jemalloc does not. Pillow uses the other two.
# hadolint ignore=DL3018
RUN apk add --no-cache jemalloc lcms2 libjpeg-turbo
RUN addgroup -g 10001 visage && adduser -D -H -u 10001 -G visage visage \
    && install -d -o visage -g visage -m 0700 /state
WORKDIR /app
COPY --from=packages /opt/visage /opt/visage
COPY LICENSE app.py gunicorn.conf.py ./
COPY models/compact models/compact
COPY visage visage
# Write bytecode now, because the directories are read-only at run time: of the app, and of the modules that it imports.
# Then delete what only a build needs, such as pip, and what is for a person at a screen.
RUN /opt/visage/bin/python -m compileall -q app.py visage \
    && /opt/visage/bin/python -c 'import gunicorn.app.wsgiapp, redis, visage.server.service_worker' \
    && find /usr/local \( -name 'config-3*' -o -name ensurepip -o -name 'idle*' -o -name include -o -name 'pip*' \
        -o -name pkgconfig -o -name pydoc_data -o -name tkinter -o -name turtledemo \) -prune -exec rm -r {} +

FROM scratch
LABEL org.opencontainers.image.title="Visage" \
      org.opencontainers.image.description="Face attributes from a photo, on a CPU." \
      org.opencontainers.image.licenses="Apache-2.0"
# The whole system on purpose: the layers below have what the stage `files` deleted.
# hadolint ignore=DL3067
COPY --from=files / /
ENV PATH=/opt/visage/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LD_PRELOAD=/usr/lib/libjemalloc.so.2 \
    MALLOC_CONF=narenas:1 \
    VISAGE_HOST=0.0.0.0 \
    PORT=8080 \
    WEB_CONCURRENCY=2 \
    VISAGE_BATCH_JOBS=1 \
    VISAGE_STATE_DIR=/state
WORKDIR /app
USER 10001:10001
VOLUME /state
EXPOSE 8080
STOPSIGNAL SIGTERM
# buildah and podman 4 know no --start-interval. With a short interval a started service is soon known to be healthy.
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=6 \
    CMD ["sh", "-c", "exec wget -q -O /dev/null http://127.0.0.1:$PORT/readyz"]
# No shell, so that gunicorn, which replaces this process, receives the SIGTERM of `docker stop` and drains requests in flight.
CMD ["python", "app.py"]
