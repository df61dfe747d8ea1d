#!/bin/sh
# Smoke-test a running service with curl: docker/smoke.sh URL PHOTO. PHOTO shows one woman's face.
set -eu

url=${1:?usage: docker/smoke.sh URL PHOTO}
photo=${2:?usage: docker/smoke.sh URL PHOTO}

fail() {
  echo "$1" >&2
  exit 1
}

# The service may still be starting.
curl --silent --show-error --fail --output /dev/null --retry 60 --retry-delay 1 --retry-all-errors "$url/readyz" ||
  fail "The service did not become ready."

answer=$(curl --silent --show-error --fail --form "image=@$photo" "$url/predict?annotated=false") ||
  fail "POST /predict failed."
case $answer in
  *'"gender":"Female"'*) ;;
  *) fail "POST /predict did not find a woman's face: $answer" ;;
esac

kind=$(curl --silent --show-error --fail --output /dev/null --write-out '%{content_type}' \
  --form "image=@$photo" "$url/analyze") || fail "POST /analyze failed."
[ "$kind" = image/jpeg ] || fail "POST /analyze returned $kind instead of image/jpeg."

count=$(curl --silent --show-error --fail --output /dev/null --write-out '%header{x-face-count}' \
  --form "image=@$photo" "$url/anonymize") || fail "POST /anonymize failed."
[ "$count" -ge 1 ] || fail "POST /anonymize found no face."

status=$(curl --silent --output /dev/null --write-out '%{http_code}' --data-binary 'no photo' \
  --header 'Content-Type: image/jpeg' "$url/predict")
[ "$status" = 415 ] || fail "POST /predict returned $status instead of 415 for a file that is no photo."

curl --silent --show-error --fail "$url/metrics" | grep -q '^visage_faces_total [1-9]' || fail "GET /metrics counts no faces."
echo "The service works."
