"""Names and statuses, with the standard library."""

import json
import os
import sys
import urllib.error
import urllib.request

request = urllib.request.Request(
    os.environ["IMAGECACHES_URL"] + "/imagecaches",
    headers={"Authorization": "Bearer " + os.environ["IMAGECACHES_TOKEN"]},
)
try:
    with urllib.request.urlopen(request, timeout=10) as response:
        for entry in json.load(response)["image_caches"]:
            print(entry["name"], entry["status"])
except urllib.error.HTTPError as error:
    sys.exit(json.load(error)["code"])
