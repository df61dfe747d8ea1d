#!/bin/sh
# Ask a running Visage what its callers ask, with curl alone: docker/smoke.sh URL PHOTO, a photo with one woman's face.
set -eu

url=${1:?name the address of the service}
photo=${2:?name a photo}

fail() {
  echo "$1" >&2
  exit 1
}

# It may have been started a moment ago.
curl --silent --show-error --fail --output /dev/null --retry 60 --retry-delay 1 --retry-all-errors "$url/readyz" ||
  fail "It does not get ready."

answer=$(curl --silent --show-error --fail --form "image=@$photo" "$url/predict?annotated=false") ||
  fail "It does not answer a photo."
case $answer in
  *'"gender":"Female"'*) ;;
  *) fail "It does not know the face: $answer" ;;
esac

kind=$(curl --silent --show-error --fail --output /dev/null --write-out '%{content_type}' \
  --form "image=@$photo" "$url/analyze") || fail "It does not draw."
[ "$kind" = image/jpeg ] || fail "It draws $kind."

count=$(curl --silent --show-error --fail --output /dev/null --write-out '%header{x-face-count}' \
  --form "image=@$photo" "$url/anonymize") || fail "It does not cover faces."
[ "$count" -ge 1 ] || fail "It covers no face."

status=$(curl --silent --output /dev/null --write-out '%{http_code}' --data-binary 'no photo' \
  --header 'Content-Type: image/jpeg' "$url/predict")
[ "$status" = 415 ] || fail "It answers $status to what is no photo."

curl --silent --show-error --fail "$url/metrics" | grep -q '^visage_faces_total [1-9]' || fail "It counts no faces."
echo "It serves."
