#!/bin/sh
# The list by curl, as it comes.
curl --fail-with-body --silent --show-error --max-time 10 --retry 2 \
  --header "Authorization: Bearer $IMAGECACHES_TOKEN" "$IMAGECACHES_URL/imagecaches"
